//! [`Shop`]: which steps are possible in a world, and what each of them does.

use crate::{
    laws,
    story::{self, Command},
    world::{Left, Life, Log, Shelf, Stage, World},
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
    /// The supervisor of payments claims a payment that is due and calls the bank, or ends one at
    /// its deadline.
    Supervise(usize),
    /// The bank acts on a request.
    BankActs {
        /// Whose payment.
        number: usize,
        /// Which call.
        which: usize,
        /// What it makes of a first charge.
        declines: bool,
    },
    /// Payments gets the bank's answer to this call.
    AnswerArrives(usize, usize),
    /// Payments writes the bank's answer to this call.
    WriteAnswer(usize, usize),
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
    /// A call to the bank goes wrong: whose payment, and which call.
    Call(usize, usize, CallFault),
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
        let shelf = Shelf::with_one_piece(self.orders);
        let world = |first: &[Command], left| {
            let life = |number| {
                let commands = if number == 0 { first } else { &[Command::Place] };
                Life::new(commands.iter().map(|command| story::command(number, *command)))
            };
            let lives = (0..self.orders).map(life).collect();
            World { now: Timestamp(0), lives, shelf: shelf.clone(), left, dead_letter: None }
        };
        let mut worlds = vec![world(&[Command::Place], self.bounds)];
        if let Some(cancellations) = self.bounds.cancellations.checked_sub(1) {
            let left = Left { cancellations, ..self.bounds };
            worlds.push(world(&[Command::Cancel, Command::Place], left));
        }
        worlds
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.dead_letter.is_none() {
            possible_steps(world, actions);
            possible_faults(world, actions);
        }
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        if let Err(cause) = world.take(action, self.broken) {
            world.dead_letter = Some(cause);
            return Some(world);
        }
        world.pass_what_says_nothing();
        assert!(world.progress() > last.progress(), "{action:?} uses nothing up: {last:#?}");
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        laws::properties(self)
    }
}

/// The steps of a good day.
fn possible_steps(world: &World, actions: &mut Vec<Action>) {
    for (number, life) in world.lives.iter().enumerate() {
        actions.extend(orders_inputs(world, number).map(|input| Action::Orders(number, input)));
        let mut add = |possible, action| {
            if possible {
                actions.push(action);
            }
        };
        let written = life.transitions.records.len();
        add(life.split_read < written, Action::Split(number));
        add(life.payments_read < written, Action::Intake(number));
        add(life.has_work(world.now), Action::Supervise(number));
        for (which, line) in life.calls.iter().enumerate() {
            match line.stage {
                Stage::Asked | Stage::Stray => {
                    let is_first = life.account.is_unknown() && line.call.task == Task::Charge;
                    add(true, Action::BankActs { number, which, declines: false });
                    add(is_first, Action::BankActs { number, which, declines: true });
                }
                Stage::Acted(_) => add(true, Action::AnswerArrives(number, which)),
                Stage::Answered(_) => add(true, Action::WriteAnswer(number, which)),
            }
        }
        add(life.relayed < life.tables.outbox.len(), Action::Relay(number));
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
        (world.time_acts(number), OrdersInput::Deadline),
    ]
    .into_iter()
    .filter_map(|(possible, input)| possible.then_some(input))
}

fn possible_faults(world: &World, actions: &mut Vec<Action>) {
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
        let was_sent = |command| {
            let sent = story::command(number, command);
            life.commands.records.contains(&sent)
        };
        if left.cancellations > 0 && !was_sent(Command::Cancel) {
            add(Fault::Cancel(number));
        }
        if left.restarts > 0 {
            orders_inputs(world, number).for_each(|input| add(Fault::RestartBehind(number, input)));
        }
        if left.calls > 0 {
            for (which, line) in life.calls.iter().enumerate() {
                for (dies, request_arrives) in call_faults(&line.stage) {
                    add(Fault::Call(number, which, CallFault { dies, request_arrives }));
                }
            }
        }
        if left.repeats > 0 {
            for command in [Command::Place, Command::Cancel].into_iter().filter(|c| was_sent(*c)) {
                add(Fault::RepeatCommand(number, command));
            }
            if !life.validations.records.is_empty() {
                add(Fault::RepeatValidation(number));
            }
            (0..life.relayed).for_each(|row| add(Fault::RelayFrom(number, row)));
        }
    }
    if left.repeats > 0 {
        (0..world.shelf.commands.read).for_each(|offset| add(Fault::RepeatInventory(offset)));
    }
}

/// How a call can go wrong where it is: whether payments dies, and whether the request arrives.
fn call_faults(stage: &Stage) -> Vec<(bool, bool)> {
    match stage {
        Stage::Stray => vec![],
        Stage::Asked => vec![(false, false), (false, true), (true, false), (true, true)],
        Stage::Acted(_) => vec![(false, false), (true, false)],
        // What is here cannot be lost on the way.
        Stage::Answered(_) => vec![(true, false)],
    }
}

impl World {
    /// Whether nothing is left to do until something goes wrong.
    pub fn is_at_rest(&self) -> bool {
        // A cheap look first: nearly every world has a record that a service has not read.
        let is_read = |log: &Log| log.next().is_none();
        let logs = |life: &Life| {
            [&life.commands, &life.transitions, &life.validations].into_iter().all(is_read)
        };
        if !is_read(&self.shelf.commands) || !self.lives.iter().all(logs) {
            return false;
        }
        let mut possible = Vec::new();
        possible_steps(self, &mut possible);
        possible.is_empty()
    }
}
