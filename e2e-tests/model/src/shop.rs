//! [`Shop`]: which steps are possible in a world, and what each of them does.

use crate::{
    laws,
    orders::{DEADLINE, Restore},
    world::{Call, Command, Left, Life, Shelf, World},
};
use contracts::Timestamp;
use payments::domain::Task;
use stateright::{Model, Property};

/// Orders for the last piece.
#[derive(Debug, Clone)]
pub struct Shop {
    /// How many orders there are.
    pub orders: usize,
    /// What may go wrong, and how often.
    pub bounds: Bounds,
    /// The rule that is broken, to see that it is missed.
    pub broken: Option<Broken>,
}

/// How many faults of each kind may happen on one path, at any moment.
pub type Bounds = Left;

/// A rule of the shop, broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// Payments calls the bank without an idempotency key.
    NoIdempotencyKey,
    /// Payments declines an expired payment without voiding the charge.
    NoVoid,
    /// Inventory releases reserved stock of any order.
    ReleaseIgnoresItsOrder,
    /// Orders restores its own log to the committed offset, not to its end.
    OwnLogToTheCommittedOffset,
}

/// A step. Numbers are those of the orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Orders reads something, decides, commits.
    Orders(usize, OrdersInput),
    /// Inventory splits the next transition into commands.
    Split(usize),
    /// Inventory reads the next command.
    Stock,
    /// Payments reads the next transition.
    Intake(usize),
    /// Payments claims what is due and calls the bank.
    Claim(usize),
    /// The bank acts on the call.
    BankActs {
        /// Whose payment.
        number: usize,
        /// What it makes of a first charge.
        declines: bool,
    },
    /// The bank acts on a request after payments has stopped waiting for its answer.
    StrayArrives {
        /// Whose payment.
        number: usize,
        /// Which request, when several are on their way.
        which: usize,
        /// What it makes of a first charge.
        declines: bool,
    },
    /// Payments gets the bank's answer.
    AnswerArrives(usize),
    /// Payments writes the bank's answer.
    WriteAnswer(usize),
    /// Payments ends what has no outcome at its deadline.
    Expire(usize),
    /// Debezium sends the next message of payments.
    Relay(usize),
    /// Something goes wrong, or a customer changes their mind.
    Fault(Fault),
}

/// What makes orders act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrdersInput {
    /// The next record on `orders.commands`.
    Command,
    /// The next record on `orders`.
    Transition,
    /// The next record on `order-validations`.
    Validation,
    /// Time.
    Deadline,
}

/// What may happen besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The customer sends a CancelOrder.
    Cancel(usize),
    /// The deadline passes.
    DeadlinePasses,
    /// Orders dies, and comes back with its disk or without.
    Restart {
        /// Its store is lost.
        disk_is_lost: bool,
    },
    /// Orders handles an input and dies after the commit, before its store has it.
    RestartBehind(usize, OrdersInput),
    /// A call to the bank goes wrong.
    Call(usize, CallFault),
    /// A client sends its PlaceOrder or CancelOrder again.
    RepeatCommand(usize, Command),
    /// A validator says it again.
    RepeatValidation(usize),
    /// A command to inventory comes again; its offset.
    RepeatInventory(usize),
    /// Debezium sends again, from this row of the outbox on.
    RelayFrom(usize, usize),
}

/// How a call to the bank goes wrong, wherever it is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallFault {
    /// Payments dies: nothing says how it ended. Otherwise it gives up waiting.
    pub dies: bool,
    /// A request that is on its way will arrive all the same.
    pub request_arrives: bool,
}

impl Model for Shop {
    type State = World;
    type Action = Action;

    /// The first customer may have cancelled before the order was placed: CancelOrder comes first.
    fn init_states(&self) -> Vec<World> {
        let world = |first: Vec<Command>, left| {
            let mut lives = vec![Life::new([Command::Place]); self.orders];
            lives[0] = Life::new(first);
            let shelf = Shelf::with_one_piece(self.orders);
            World { now: Timestamp(0), lives, shelf, left, dead_letter: None }
        };
        let mut worlds = vec![world(vec![Command::Place], self.bounds)];
        if let Some(cancellations) = self.bounds.cancellations.checked_sub(1) {
            let left = Left { cancellations, ..self.bounds };
            worlds.push(world(vec![Command::Cancel, Command::Place], left));
        }
        worlds
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.dead_letter.is_none() {
            steps(world, actions);
            faults(world, actions);
        }
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        if let Err(cause) = world.take(action, self.broken) {
            world.dead_letter = Some(cause);
            return Some(world);
        }
        for life in &mut world.lives {
            life.pass_split();
            life.pass_payments();
        }
        assert!(world.progress() > last.progress(), "{action:?} uses nothing up: {last:#?}");
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        laws::properties(self)
    }
}

/// The steps of a good day.
fn steps(world: &World, actions: &mut Vec<Action>) {
    for (number, life) in world.lives.iter().enumerate() {
        let mut add = |possible, action| {
            if possible {
                actions.push(action);
            }
        };
        for input in orders_inputs(world, number) {
            add(true, Action::Orders(number, input));
        }
        let written = life.transitions.records.len();
        add(life.split_read < written, Action::Split(number));
        add(life.payments_read < written, Action::Intake(number));
        add(life.open_task().is_some(), Action::Claim(number));
        if let Some(Call::Asked(task)) = life.call {
            add(true, Action::BankActs { number, declines: false });
            let is_first = life.account.is_unknown() && task == Task::Charge;
            add(is_first, Action::BankActs { number, declines: true });
        }
        for which in 0..life.strays.len() {
            add(true, Action::StrayArrives { number, which, declines: false });
            let is_first = life.account.is_unknown() && life.strays[which] == Task::Charge;
            add(is_first, Action::StrayArrives { number, which, declines: true });
        }
        add(matches!(life.call, Some(Call::Acted(_))), Action::AnswerArrives(number));
        add(matches!(life.call, Some(Call::Answered(..))), Action::WriteAnswer(number));
        add(life.is_expired(world.now), Action::Expire(number));
        add(life.outbox.next().is_some(), Action::Relay(number));
    }
    if world.shelf.commands.next().is_some() {
        actions.push(Action::Stock);
    }
}

fn orders_inputs(world: &World, number: usize) -> impl Iterator<Item = OrdersInput> {
    let life = &world.lives[number];
    [
        (life.commands.next().is_some(), OrdersInput::Command),
        (life.transitions.next().is_some(), OrdersInput::Transition),
        (life.validations.next().is_some(), OrdersInput::Validation),
        (life.is_due(world.now), OrdersInput::Deadline),
    ]
    .into_iter()
    .filter_map(|(possible, input)| possible.then_some(input))
}

fn faults(world: &World, actions: &mut Vec<Action>) {
    let left = world.left;
    let mut add = |fault| actions.push(Action::Fault(fault));
    if left.deadlines > 0 {
        add(Fault::DeadlinePasses);
    }
    if left.restarts > 0 {
        add(Fault::Restart { disk_is_lost: false });
        add(Fault::Restart { disk_is_lost: true });
    }
    for (number, life) in world.lives.iter().enumerate() {
        if left.cancellations > 0 && !life.commands.contains(&Command::Cancel) {
            add(Fault::Cancel(number));
        }
        if left.restarts > 0 {
            orders_inputs(world, number).for_each(|input| add(Fault::RestartBehind(number, input)));
        }
        let call_faults: &[(bool, bool)] = match life.call {
            Some(Call::Asked(_)) => &[(false, false), (false, true), (true, false), (true, true)],
            Some(Call::Acted(_)) => &[(false, false), (true, false)],
            // What is here cannot be lost on the way.
            Some(Call::Answered(..)) => &[(true, false)],
            None => &[],
        };
        if left.calls > 0 {
            for (dies, request_arrives) in call_faults.iter().copied() {
                add(Fault::Call(number, CallFault { dies, request_arrives }));
            }
        }
        if left.repeats > 0 {
            for command in [Command::Place, Command::Cancel] {
                if life.commands.contains(&command) {
                    add(Fault::RepeatCommand(number, command));
                }
            }
            if !life.validations.records.is_empty() {
                add(Fault::RepeatValidation(number));
            }
            (0..life.outbox.read).for_each(|row| add(Fault::RelayFrom(number, row)));
        }
    }
    if left.repeats > 0 {
        (0..world.shelf.commands.read).for_each(|offset| add(Fault::RepeatInventory(offset)));
    }
}

impl World {
    /// Whether nothing is left to do until something goes wrong.
    pub fn is_at_rest(&self) -> bool {
        let mut possible = Vec::new();
        steps(self, &mut possible);
        possible.is_empty()
    }

    fn take(&mut self, action: Action, broken: Option<Broken>) -> Result<(), String> {
        let now = self.now;
        match action {
            Action::Orders(number, input) => self.lives[number].decide(number, input, now),
            Action::Split(number) => self.split(number),
            Action::Stock => self.stock(broken),
            Action::Intake(number) => self.lives[number].intake(now),
            Action::Claim(number) => {
                self.lives[number].claim(now);
                Ok(())
            }
            Action::BankActs { number, declines } => {
                self.lives[number].bank_acts(declines, broken);
                Ok(())
            }
            Action::StrayArrives { number, which, declines } => {
                self.lives[number].stray_arrives(which, declines, broken);
                Ok(())
            }
            Action::AnswerArrives(number) => {
                self.lives[number].answer_arrives(now);
                Ok(())
            }
            Action::WriteAnswer(number) => self.lives[number].write_answer(broken),
            Action::Expire(number) => self.lives[number].expire(now, broken),
            Action::Relay(number) => {
                self.lives[number].relay();
                Ok(())
            }
            Action::Fault(fault) => self.suffer(fault, broken),
        }
    }

    fn suffer(&mut self, fault: Fault, broken: Option<Broken>) -> Result<(), String> {
        let now = self.now;
        let restore =
            Restore { own_log_to_end: broken != Some(Broken::OwnLogToTheCommittedOffset) };
        match fault {
            Fault::Cancel(number) => {
                self.left.cancellations -= 1;
                self.lives[number].commands.push(Command::Cancel);
            }
            Fault::DeadlinePasses => {
                self.left.deadlines -= 1;
                self.now = now + DEADLINE;
            }
            Fault::Restart { disk_is_lost } => {
                self.left.restarts -= 1;
                for (number, life) in self.lives.iter_mut().enumerate() {
                    life.restart(number, disk_is_lost, restore)?;
                }
            }
            Fault::RestartBehind(number, input) => {
                self.left.restarts -= 1;
                self.lives[number].decide_and_restart(number, input, now, restore)?;
                for (other, life) in self.lives.iter_mut().enumerate().filter(|(n, _)| *n != number)
                {
                    life.restart(other, false, restore)?;
                }
            }
            Fault::Call(number, CallFault { dies, request_arrives }) => {
                self.left.calls -= 1;
                let life = &mut self.lives[number];
                life.forget_call(request_arrives);
                if !dies {
                    life.give_up_the_call(now, broken)?;
                }
            }
            Fault::RepeatCommand(number, command) => {
                self.left.repeats -= 1;
                self.lives[number].commands.push(command);
            }
            Fault::RepeatValidation(number) => {
                self.left.repeats -= 1;
                self.lives[number].validations.repeat(0);
            }
            Fault::RepeatInventory(offset) => {
                self.left.repeats -= 1;
                self.shelf.commands.repeat(offset);
            }
            Fault::RelayFrom(number, row) => {
                self.left.repeats -= 1;
                self.lives[number].outbox.read = row;
            }
        }
        Ok(())
    }
}
