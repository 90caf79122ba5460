//! What each step does to the world: which record goes to which service, and where what comes of it
//! is put. What comes of it, the services say.

use crate::{
    Action, Broken, Fault,
    bank::Account,
    known::Known,
    loops::{Done, Input, Loop, Step, Task, Topics},
    message::{Message, Says, Sent},
    payments::{self, Work},
    shop::{CallFault, OrdersInput},
    story::{self, Command, DEADLINE, order_id, partition_of, sku},
    world::{Life, Line, Shelf, Stage, World},
};
use ::payments::domain;
use contracts::{
    Timestamp,
    inventory::{InventoryCommand, Release, ReservationState, StockEntry},
    orders::OrderCommand,
    topics::{
        INVENTORY_COMMANDS, ORDER_COMMANDS, ORDER_REFUSALS, ORDER_VALIDATIONS, ORDERS,
        ORDERS_LATEST, RESERVATIONS, STOCK,
    },
};

/// The error is why something was refused.
type Result<T> = std::result::Result<T, String>;

impl Shelf {
    /// One piece, delivered before the story begins.
    pub fn with_one_piece(orders: usize) -> Self {
        let mut shelf = Self { entries: vec![None; orders], ..Self::default() };
        shelf.commands.records.push(story::restock().into());
        let mut world = World {
            shelf,
            now: Timestamp(0),
            lives: vec![],
            left: Default::default(),
            dead_letter: None,
        };
        world.stock(None).expect("a Restock is good");
        world.shelf
    }

    /// The order that the piece is held for.
    fn holder(&self) -> Option<usize> {
        let is_held = |entry: &Option<Known<Message>>| match entry.as_ref().map(|m| &m.says) {
            Some(Says::Entry(StockEntry::Reservation(held))) => {
                held.state == ReservationState::Reserved
            }
            _ => false,
        };
        self.entries.iter().position(is_held)
    }
}

impl World {
    /// Does what `action` says.
    pub(crate) fn take(&mut self, action: Action, broken: Option<Broken>) -> Result<()> {
        let now = self.now;
        match action {
            Action::Orders(number, input) => {
                let done = self.orders(number, input)?;
                self.lives[number].task = done.task;
                Ok(())
            }
            Action::Split(number) => self.split(number),
            Action::Stock => self.stock(broken),
            Action::Intake(number) => {
                let (life, partition) = (&mut self.lives[number], partition_of(&order_id(number)));
                let offset = life.payments_read;
                life.payments_read += 1;
                let record = life.transitions.records[offset].clone();
                life.pay(Work::Record(record, partition, offset), now, broken)
            }
            Action::Supervise(number) => self.lives[number].pay(Work::Look, now, broken),
            Action::BankActs { number, which, declines } => {
                self.lives[number].bank_acts(which, declines, broken);
                Ok(())
            }
            Action::AnswerArrives(number, which) => {
                let Line { call, stage } = &mut self.lives[number].calls[which];
                if let Stage::Acted(input) = stage {
                    *stage = Stage::Answered(call.over(domain::Input::clone(input), now).into());
                }
                Ok(())
            }
            Action::WriteAnswer(number, which) => {
                let life = &mut self.lives[number];
                match life.end_call(which).stage {
                    Stage::Answered(called) => life.pay(Work::Called(called), now, broken),
                    _ => Ok(()),
                }
            }
            Action::Relay(number) => {
                let life = &mut self.lives[number];
                let row = life.tables.outbox[life.relayed].message().clone();
                life.relayed += 1;
                life.transitions.records.push(Message::from(row).into());
                Ok(())
            }
            Action::Fault(fault) => self.suffer(fault, broken),
        }
    }

    fn suffer(&mut self, fault: Fault, broken: Option<Broken>) -> Result<()> {
        match fault {
            Fault::Cancel(number) => {
                self.left.cancellations -= 1;
                self.lives[number].send(number, Command::Cancel);
            }
            Fault::DeadlinePasses => {
                self.left.deadlines -= 1;
                self.now = self.now + DEADLINE;
            }
            Fault::Restart { disk_is_lost } => {
                self.left.restarts -= 1;
                for number in 0..self.lives.len() {
                    let task = match disk_is_lost {
                        true => Known::default(),
                        false => self.lives[number].task.clone(),
                    };
                    self.restart(number, task, broken);
                }
            }
            Fault::RestartBehind(number, input) => {
                self.left.restarts -= 1;
                // What it has committed is not in its store.
                self.orders(number, input)?;
                for number in 0..self.lives.len() {
                    self.restart(number, self.lives[number].task.clone(), broken);
                }
            }
            Fault::Call(number, which, fault) => {
                self.left.calls -= 1;
                let now = self.now;
                self.lives[number].call_fails(which, fault, now);
            }
            Fault::RepeatCommand(number, command) => {
                self.left.repeats -= 1;
                self.lives[number].send(number, command);
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
                self.lives[number].relayed = row;
            }
        }
        Ok(())
    }

    /// Orders acts: on the next record of a topic, or because time has passed. It commits its
    /// decision; its store is as it was.
    fn orders(&mut self, number: usize, input: OrdersInput) -> Result<Done> {
        let life = &mut self.lives[number];
        let log = match input {
            OrdersInput::Command => Some(&mut life.commands),
            OrdersInput::Transition => Some(&mut life.transitions),
            OrdersInput::Validation => Some(&mut life.validations),
            OrdersInput::Deadline => None,
        };
        let input = match log {
            Some(log) => {
                log.read += 1;
                Input::Record(log.records[log.read - 1].clone(), log.read - 1)
            }
            None => Input::Tick,
        };
        let is_cancellation = matches!(&input, Input::Record(message, _)
            if matches!(message.decode(&ORDER_COMMANDS), Some(OrderCommand::CancelOrder(_))));
        let done = self.orders_step(number, input).take();
        let is_refused = done.sent.iter().any(|sent| sent.topic == ORDER_REFUSALS.name());
        self.lives[number].promised |= is_cancellation && !is_refused;
        self.put(&done)?;
        Ok(done)
    }

    fn orders_step(&self, number: usize, input: Input) -> Step {
        let partition = partition_of(&order_id(number));
        let task = self.lives[number].task.clone();
        Step { of: Loop::Orders, partition, task, input, now: self.now }
    }

    /// Whether time has something to say to orders.
    pub(crate) fn time_acts(&self, number: usize) -> bool {
        let done = self.orders_step(number, Input::Tick).take();
        !done.sent.is_empty() || done.task != self.lives[number].task
    }

    /// Orders starts, and its store has `task`.
    fn restart(&mut self, number: usize, task: Known<Task>, broken: Option<Broken>) {
        let Life { commands, transitions, validations, .. } = &self.lives[number];
        let whole = |log: &crate::world::Log| log.records.clone();
        let mut own = whole(transitions);
        if broken == Some(Broken::OwnLogToTheCommittedOffset) {
            own.truncate(transitions.read);
        }
        let topics = vec![
            (ORDERS.name(), own, transitions.read),
            (ORDER_COMMANDS.name(), whole(commands), commands.read),
            (ORDER_VALIDATIONS.name(), whole(validations), validations.read),
        ];
        let input = Input::Start(Topics { topics }.into());
        self.lives[number].task = Step { task, ..self.orders_step(number, input) }.take().task;
    }

    /// The split loop reads a transition of order `number`.
    fn split(&mut self, number: usize) -> Result<()> {
        let done = self.lives[number].split_next(number, self.now);
        self.lives[number].split_read += 1;
        self.put(&done)
    }

    /// The stock loop reads a command.
    pub(crate) fn stock(&mut self, broken: Option<Broken>) -> Result<()> {
        let (log, task) = (&mut self.shelf.commands, self.shelf.task.clone());
        let offset = log.read;
        log.read += 1;
        let mut message = log.records[offset].clone();
        if broken == Some(Broken::ReleaseIgnoresItsOrder)
            && let Some(InventoryCommand::Release(release)) = message.decode(&INVENTORY_COMMANDS)
            && let Some(holder) = self.shelf.holder()
        {
            let any: InventoryCommand = Release { order_id: order_id(holder), ..release }.into();
            message = message.instead(&INVENTORY_COMMANDS, &any).into();
        }
        let (input, partition) = (Input::Record(message, offset), partition_of(&sku()));
        let done = Step { of: Loop::Stock, partition, task, input, now: self.now }.take();
        self.put(&done)?;
        self.shelf.task = done.task;
        Ok(())
    }

    /// Puts what was sent where it is read.
    fn put(&mut self, done: &Done) -> Result<()> {
        if let Some(cause) = &done.dead_letter {
            return Err(cause.clone());
        }
        for Sent { topic, partition, message } in done.sent.iter() {
            let number = *partition as usize;
            if *topic == ORDERS.name() {
                self.lives[number].transitions.records.push(message.clone());
            } else if *topic == ORDER_VALIDATIONS.name() {
                self.lives[number].validations.records.push(message.clone());
            } else if *topic == INVENTORY_COMMANDS.name() {
                self.shelf.commands.records.push(message.clone());
            } else if *topic == ORDERS_LATEST.name() {
                self.lives[number].latest = Some(message.clone());
            } else if *topic == STOCK.name() {
                self.shelf.level = Some(message.clone());
            } else if *topic == RESERVATIONS.name() {
                self.reserved(message);
            } else if let Says::Refused(command) = &message.says
                && command == "PlaceOrder"
            {
                return Err("a PlaceOrder was refused".into());
            }
        }
        Ok(())
    }

    fn reserved(&mut self, message: &Known<Message>) {
        if let Says::Entry(StockEntry::Reservation(reservation)) = &message.says {
            let number = partition_of(&reservation.order_id) as usize;
            self.shelf.entries[number] = Some(message.clone());
        }
    }

    /// Passes the split loop and payments over transitions that ask nothing of them. Such a read
    /// has no effect and no service can tell when it happens, so it need not be a step of its own.
    pub(crate) fn pass_what_says_nothing(&mut self) {
        let now = self.now;
        for (number, life) in self.lives.iter_mut().enumerate() {
            while life.split_read < life.transitions.records.len() {
                let done = life.split_next(number, now);
                if done.dead_letter.is_some() || !done.sent.is_empty() {
                    break;
                }
                life.split_read += 1;
            }
            let unread = &life.transitions.records[life.payments_read..];
            let says_nothing = |m: &&Known<Message>| matches!(&m.says, Says::Order(_, false));
            life.payments_read += unread.iter().take_while(says_nothing).count();
        }
    }
}

impl Life {
    fn send(&mut self, number: usize, command: Command) {
        self.commands.records.push(story::command(number, command));
    }

    /// What the split loop makes of the next transition.
    fn split_next(&self, number: usize, now: Timestamp) -> Done {
        let offset = self.split_read;
        let input = Input::Record(self.transitions.records[offset].clone(), offset);
        let (partition, task) = (partition_of(&order_id(number)), Known::default());
        Step { of: Loop::Split, partition, task, input, now }.take()
    }

    /// A step of payments, and the calls that it makes because of it.
    fn pay(&mut self, work: Work, now: Timestamp, broken: Option<Broken>) -> Result<()> {
        let done = payments::Step::new(&self.tables, work, now, broken).take();
        self.tables = done.tables;
        self.end_claims(now, broken);
        for call in done.calls.iter().cloned() {
            let stage = match call.timeout(now) {
                Some(_) => Stage::Asked,
                None => Stage::Answered(call.over(domain::Input::DeadlinePassed, now).into()),
            };
            self.calls.push(Line { call, stage });
        }
        done.refused.map_or(Ok(()), Err)
    }

    /// Calls whose claim is over: a request on its way arrives, but its answer changes nothing, as
    /// the supervisor itself says. So the model drops the answer.
    fn end_claims(&mut self, now: Timestamp, broken: Option<Broken>) {
        for line in std::mem::take(&mut self.calls) {
            if line.stage == Stage::Stray || self.tables.is_claimed_by(&line.call) {
                self.calls.push(line);
                continue;
            }
            let (answer, is_on_its_way) = match &line.stage {
                Stage::Acted(input) => {
                    (line.call.over(domain::Input::clone(input), now).into(), false)
                }
                Stage::Answered(called) => (called.clone(), false),
                Stage::Asked | Stage::Stray => {
                    (line.call.over(domain::Input::DeadlinePassed, now).into(), true)
                }
            };
            let done = payments::Step::new(&self.tables, Work::Called(answer), now, broken).take();
            assert_eq!(done.tables, self.tables, "an answer without a claim: {line:?}");
            if is_on_its_way {
                self.calls.push(Line { stage: Stage::Stray, ..line });
            }
        }
    }

    /// A request arrives at the bank.
    fn bank_acts(&mut self, which: usize, declines: bool, broken: Option<Broken>) {
        let has_key = broken != Some(Broken::NoIdempotencyKey);
        let mut account = Account::clone(&self.account);
        let input = account.act(&self.calls[which].call, declines, has_key);
        self.account = account.into();
        match self.calls[which].stage {
            Stage::Stray => drop(self.end_call(which)),
            _ => self.calls[which].stage = Stage::Acted(input.into()),
        }
    }

    fn end_call(&mut self, which: usize) -> Line {
        self.calls.remove(which)
    }

    /// Payments dies, or gives the call up and knows that it does not know.
    fn call_fails(&mut self, which: usize, fault: CallFault, now: Timestamp) {
        let Line { call, stage } = self.end_call(which);
        if stage == Stage::Asked && fault.request_arrives {
            self.calls.push(Line { call: call.clone(), stage: Stage::Stray });
        }
        if !fault.dies {
            let unknown = domain::Input::BankUnknown("no answer".into());
            let stage = Stage::Answered(call.over(unknown, now).into());
            self.calls.push(Line { call, stage });
        }
    }
}
