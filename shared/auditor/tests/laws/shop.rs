//! A small shop that makes no mistake: it lives a few orders and writes down the evidence.

use auditor::{
    Announcement, BankEntry, Booking, CustomerOrderRow, DeadLetter, Evidence, LedgerEntry, LineRow,
    Logged, Mail, OrderRow, PaymentRow, PaymentSection, ProductRow, RefusalRow, SalesRow, StockRow,
    TimelineRow,
};
use contracts::{
    CommandId, Currency, Money, Order, OrderId, OrderLine, Payment, PaymentStatus, Reason,
    ServiceName, Sku, Status, Timestamp, TransitionKind,
    catalog::Product,
    email::{EmailKind, EmailSent, EmailWaiting, Waiting},
    inventory::{
        InventoryCommand, OrderValidation, Outcome, Reservation, ReservationState, Restock,
        RestockApplied, StockLevel,
    },
    orders::{CancelOrder, CommandRefused, OrderCommand, PlaceOrder, RequestedLine},
    partition::{self, partition_for},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use uuid::Uuid;

/// The time from acceptance to the deadline.
const DEADLINE: Duration = Duration::from_secs(60);
const PRICE_MINOR: i64 = 500;
/// The evidence is taken this long after the last record.
pub const REST: Duration = Duration::from_secs(3600);

/// A shop at work.
#[derive(Default)]
pub struct Shop {
    pub evidence: Evidence,
    now: Timestamp,
    ids: u128,
    levels: BTreeMap<Sku, StockLevel>,
    sold: BTreeMap<Sku, (i64, i64)>,
}

pub fn sku(text: &str) -> Sku {
    text.parse().unwrap()
}

/// Append a record that `writer` writes because of `causation`.
pub fn append<T>(
    topic: &mut Vec<Logged<T>>,
    key: &str,
    (at, writer): (Timestamp, &str),
    causation: Option<String>,
    value: T,
) -> (i32, i64) {
    let partition = partition_for(key.split('/').next().unwrap().as_bytes(), partition::count());
    let last = topic.iter().filter(|record| record.partition == partition).map(|r| r.offset).max();
    let offset = last.map_or(0, |last| last + 1);
    topic.push(Logged {
        partition,
        offset,
        timestamp: at,
        key: key.into(),
        writer: Some(writer.into()),
        lineage: Some(format!("{writer}@0.1.0")),
        causation,
        value: Ok(value),
    });
    (partition, offset)
}

impl Shop {
    /// A hundred TEA and one LAST in the house.
    pub fn open() -> Self {
        let mut shop = Self { now: Timestamp(1_800_000_000_000), ..Self::default() };
        for (name, quantity) in [("TEA", 100), ("LAST", 1)] {
            shop.catalog(name);
            shop.restock(name, quantity);
        }
        // Every copy of the catalog has it by then.
        shop.now = shop.now + Duration::from_secs(60);
        shop
    }

    /// What was seen, a while later.
    pub fn close(mut self) -> Evidence {
        self.evidence.taken_at = self.now + REST;
        self.evidence.grace = Duration::from_secs(10);
        self.evidence
    }

    fn tick(&mut self) -> Timestamp {
        self.now = self.now + Duration::from_millis(7);
        self.now
    }

    fn id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128(self.ids)
    }

    fn catalog(&mut self, name: &str) {
        let product = Product {
            sku: sku(name),
            name: name.parse().unwrap(),
            description: "".parse().unwrap(),
            price_minor: PRICE_MINOR.try_into().unwrap(),
            currency: Currency::EUR,
            picture: "".parse().unwrap(),
            active: true,
        };
        let at = (self.tick(), "catalog");
        let log = &mut self.evidence.log.catalog_products;
        append(log, name, at, None, Some(product.clone()));
        self.evidence.view.products.push(ProductRow { sku: sku(name), product: Some(product) });
    }

    pub fn restock(&mut self, name: &str, quantity: i32) {
        let (at, command_id, sku) = (self.tick(), CommandId(self.id()), sku(name));
        let command = Restock { sku: sku.clone(), command_id, quantity, issued_at: at };
        let log = &mut self.evidence.log.inventory_commands;
        append(log, name, (at, "inventory"), None, InventoryCommand::Restock(command));
        let cause = log.last().map(|record| record.address("inventory.commands"));
        let key = format!("{name}/{command_id}");
        let added = RestockApplied { sku: sku.clone(), command_id, quantity, updated_at: at };
        let log = &mut self.evidence.log;
        append(&mut log.reservations, &key, (at, "inventory"), cause, added.into());
        self.level(&sku, |level| level.on_hand += i64::from(quantity));
    }

    fn level(&mut self, sku: &Sku, change: impl FnOnce(&mut StockLevel)) {
        let at = self.now;
        let new = StockLevel {
            sku: sku.clone(),
            on_hand: 0,
            reserved: 0,
            available: 0,
            committed: 0,
            version: 0,
            updated_at: at,
        };
        let level = self.levels.entry(sku.clone()).or_insert(new);
        change(level);
        level.available = level.on_hand - level.reserved;
        level.version += 1;
        level.updated_at = at;
        let StockLevel { on_hand, reserved, available, version, .. } = *level;
        let level = level.clone();
        append(&mut self.evidence.log.stock, sku.as_str(), (at, "inventory"), None, level);
        let rows = &mut self.evidence.view.stock;
        rows.retain(|row| row.sku != *sku);
        rows.push(StockRow { sku: sku.clone(), on_hand, reserved, available, version });
    }

    fn reservation(&mut self, order: &Order, line: usize, state: ReservationState) {
        let line = &order.lines[line];
        let (sku, order_id, quantity) = (line.sku.clone(), order.order_id, line.quantity);
        let (at, key) = (self.tick(), format!("{sku}/{order_id}"));
        let held = Reservation { sku: sku.clone(), order_id, quantity, state, updated_at: at };
        let log = &mut self.evidence.log;
        append(&mut log.reservations, &key, (at, "inventory"), None, held.into());
        let quantity = i64::from(quantity);
        match state {
            ReservationState::Reserved => self.level(&sku, |level| level.reserved += quantity),
            ReservationState::Refused => {}
            ReservationState::Released => self.level(&sku, |level| level.reserved -= quantity),
            ReservationState::Committed => self.level(&sku, |level| {
                level.reserved -= quantity;
                level.on_hand -= quantity;
                level.committed += quantity;
            }),
        }
    }

    /// The reservation of the order's only line, and its outcome.
    pub fn check(&mut self, order: &Order, passed: bool) {
        let state = if passed { ReservationState::Reserved } else { ReservationState::Refused };
        self.reservation(order, 0, state);
        let validation = OrderValidation {
            order_id: order.order_id,
            check: order.required_checks[0].clone(),
            outcome: if passed { Outcome::Passed } else { Outcome::Failed },
            code: if passed { "ok" } else { "out_of_stock" }.into(),
            detail: String::new(),
            decided_at: self.now,
        };
        let (key, at) = (order.order_id.to_string(), (self.now, "inventory"));
        append(&mut self.evidence.log.order_validations, &key, at, None, validation);
    }

    /// What was held goes where the order went.
    pub fn settle(&mut self, order: &Order, state: ReservationState) {
        self.reservation(order, 0, state);
    }

    /// Ask for an order; it is accepted.
    pub fn place(&mut self, name: &str, quantity: i32) -> Order {
        let (order_id, command_id, at) = (OrderId(self.id()), CommandId(self.id()), self.tick());
        self.ask(order_id, command_id, name, quantity);
        let line = [(name, name, quantity, PRICE_MINOR)];
        let order = Order {
            order_id,
            version: 0,
            placed_by: command_id,
            deadline: at + DEADLINE,
            ..testkit::orders::order(0, &line, at)
        };
        self.go(&order, TransitionKind::OrderRequested, Status::Requested, |_| {})
    }

    fn ask(&mut self, order_id: OrderId, command_id: CommandId, name: &str, quantity: i32) {
        let (ada, lines) =
            ("ada".parse().unwrap(), vec![RequestedLine { sku: sku(name), quantity }]);
        let command = PlaceOrder::new(command_id, order_id, ada, lines, self.now);
        let (key, at) = (order_id.to_string(), (self.now, "orders"));
        append(&mut self.evidence.log.order_commands, &key, at, None, command.into());
    }

    /// Ask for an order; it is refused.
    pub fn refuse(&mut self, name: &str) -> OrderId {
        let (order_id, command_id) = (OrderId(self.id()), CommandId(self.id()));
        self.tick();
        self.ask(order_id, command_id, name, 1);
        self.refusal(order_id, command_id, "PlaceOrder", "unknown_sku", None);
        order_id
    }

    /// Say that a command was refused, which was judged by this version of the order.
    pub fn refusal(
        &mut self,
        order_id: OrderId,
        command_id: CommandId,
        command: &str,
        code: &str,
        order_version: Option<i64>,
    ) {
        let reasons = vec![Reason::new("order", code, "")];
        let (command, refused_at) = (command.to_owned(), self.tick());
        let refusal = CommandRefused {
            customer_id: None,
            command_id,
            order_id,
            command: command.clone(),
            reasons: reasons.clone(),
            order_version,
            refused_at,
        };
        let (key, at) = (order_id.to_string(), (refused_at, "orders"));
        append(&mut self.evidence.log.order_refusals, &key, at, None, refusal);
        let row = RefusalRow { command_id, order_id, command, reasons, order_version, refused_at };
        self.evidence.view.refusals.push(row);
    }

    /// Ask for a cancellation, which is `accepted` or refused.
    pub fn cancel(&mut self, order_id: OrderId, accepted: bool) {
        let (command_id, issued_at) = (CommandId(self.id()), self.tick());
        let command = CancelOrder { command_id, order_id, issued_at, customer_id: None };
        let (key, at) = (order_id.to_string(), (issued_at, "orders"));
        append(&mut self.evidence.log.order_commands, &key, at, None, command.into());
        if !accepted {
            self.refusal(order_id, command_id, "CancelOrder", "already_confirmed", Some(4));
        }
    }

    /// The order makes a transition, and every place shows it. `change` is its content.
    pub fn go(
        &mut self,
        order: &Order,
        transition: TransitionKind,
        status: Status,
        change: impl FnOnce(&mut Order),
    ) -> Order {
        use TransitionKind::{PaymentDeclined, PaymentReceived, PaymentRefunded};
        let at = self.tick();
        let mut next = Order { version: order.version + 1, transition, status, ..order.clone() };
        next.occurred_at = if next.version == 1 { order.requested_at } else { at };
        change(&mut next);
        let by_payments = [PaymentDeclined, PaymentReceived, PaymentRefunded].contains(&transition);
        let writer = if by_payments { "payments" } else { "orders" };
        let key = next.order_id.to_string();
        let cause = Some(self.command_of(next.placed_by));
        let log = &mut self.evidence.log;
        let place = append(&mut log.orders, &key, (at, writer), cause, Arc::new(next.clone()));
        append(&mut log.orders_latest, &key, (at, "orders"), None, Arc::new(next.clone()));
        self.show(&next, writer, place);
        next
    }

    /// The address of the command.
    fn command_of(&self, command_id: CommandId) -> String {
        let mut commands = self.evidence.log.order_commands.iter();
        let is_it = |r: &&Logged<OrderCommand>| r.read().unwrap().command_id() == command_id;
        commands.find(is_it).unwrap().address("orders.commands")
    }

    fn show(&mut self, order: &Order, writer: &str, (partition, offset): (i32, i64)) {
        let (order_id, status) = (order.order_id, order.status.as_str().to_owned());
        let customer_id = order.customer.customer_id.to_string();
        let causation = Some(self.command_of(order.placed_by));
        let view = &mut self.evidence.view;
        view.timeline.push(TimelineRow {
            order_id,
            version: order.version,
            transition: order.transition.as_str().into(),
            status: status.clone(),
            address: format!("orders/{partition}/{offset}"),
            writer: writer.into(),
            lineage: Some(format!("{writer}@0.1.0")),
            causation,
            occurred_at: order.occurred_at,
            latency_ms: order.occurred_at.millis() - order.requested_at.millis(),
        });
        view.customer_orders.retain(|row| row.order_id != order_id);
        view.customer_orders.push(CustomerOrderRow {
            order_id,
            customer_id: customer_id.clone(),
            version: order.version,
            status: status.clone(),
            total: order.total.clone(),
            requested_at: order.requested_at,
        });
        let line = |line: &OrderLine| LineRow {
            sku: line.sku.to_string(),
            name: line.name.to_string(),
            quantity: line.quantity,
            unit_price_minor: line.unit_price_minor.minor(),
            total_minor: line.total_minor(),
        };
        let payment = |payment: &Payment| PaymentSection {
            status: payment.status.as_str().into(),
            amount: payment.amount.clone(),
            reference: payment.reference.clone(),
        };
        view.orders.retain(|row| row.order_id != order_id);
        view.orders.push(OrderRow {
            order_id,
            version: order.version,
            status,
            customer_id,
            lines: order.lines.iter().map(line).collect(),
            total: order.total.clone(),
            payment: order.payment.as_ref().map(payment),
            reasons: order.reasons.clone(),
            requested_at: order.requested_at,
            deadline: order.deadline,
            note: order.note.to_string(),
        });
        self.announce(order);
    }

    fn announce(&mut self, order: &Order) {
        let (order_id, key, now) = (order.order_id, order.order_id.to_string(), self.now);
        let order_seen = Arc::new(order.clone());
        let update = Announcement { order_id, view_version: order.version, order: order_seen };
        let log = &mut self.evidence.log;
        let (partition, offset) = append(&mut log.order_views, &key, (now, "view"), None, update);
        if order.status == Status::Confirmed {
            for line in &order.lines {
                let (orders, pieces) = self.sold.entry(line.sku.clone()).or_default();
                *orders += 1;
                *pieces += i64::from(line.quantity);
                let (sku, orders, quantity) = (line.sku.clone(), *orders, *pieces);
                let revenue = Money::new(quantity * PRICE_MINOR, Currency::EUR);
                let sales = &mut self.evidence.view.sales;
                sales.retain(|row| row.sku != sku);
                sales.push(SalesRow { sku, orders, quantity, revenue });
            }
        }
        let Some(kind) = EmailKind::for_status(order.status) else { return };
        let (to, local) =
            (order.customer.email.to_string(), format!("{order_id}.{}", kind.as_str()));
        let message_id = format!("{local}@murmuration.shop");
        let sent = EmailSent {
            order_id,
            kind,
            message_id: format!("<{message_id}>"),
            recipient: to.clone(),
            sent_kinds: vec![kind],
            sent_at: now,
        };
        let cause = Some(format!("order-views/{partition}/{offset}"));
        append(&mut self.evidence.log.emails, &key, (now, "email"), cause, sent);
        self.evidence.mails.push(Mail { message_id, to, at: now });
    }

    /// The confirmation of `order_id` was not taken by the mail server, and waits until `next_at`.
    pub fn mail_waits(&mut self, order_id: OrderId, next_at: Timestamp) {
        let (of_it, key, since) = (format!("{order_id}."), order_id.to_string(), self.now);
        let (kind, refusals, doubts) = (EmailKind::Confirmation, 1, 0);
        self.evidence.mails.retain(|mail| !mail.message_id.starts_with(&of_it));
        self.evidence.log.emails.retain(|record| record.key != key);
        let waiting = Waiting {
            kind,
            since,
            next_at,
            refusals,
            doubts,
            cause: "451 come back later".to_owned(),
            topic: "order-views".into(),
            offset: 0,
            headers: BTreeMap::new(),
            announcement: Vec::new(),
        };
        let (on, waits) = (&mut self.evidence.log.emails_waiting, Some(waiting));
        append(on, &key, (since, "email"), None, EmailWaiting { order_id, waiting: waits });
    }

    /// The bank books, and, if payments learns of it, the ledger.
    pub fn book(&mut self, order: &Order, kind: Booking, in_ledger: bool) {
        let (order_id, at) = (order.order_id, self.tick());
        let sign = if kind == Booking::Capture { 1 } else { -1 };
        let amount = |sign| Money::new(sign * order.total.amount_minor, Currency::EUR);
        self.evidence.bank.push(BankEntry {
            key: order_id.to_string(),
            kind,
            amount: amount(sign),
            customer: order.customer.customer_id.to_string(),
            charge_id: format!("ch_{order_id}"),
            at,
        });
        for (account, sign) in [("bank", sign), ("sales", -sign)] {
            if in_ledger {
                let (account, amount) = (account.to_owned(), amount(sign));
                let entry = LedgerEntry { order_id, kind, account, amount, at };
                self.evidence.payments.ledger.push(entry);
            }
        }
    }

    /// Payments knows the order as `status`.
    pub fn payment_row(&mut self, order: &Order, status: &str) {
        let order_id = order.order_id;
        let rows = &mut self.evidence.payments.rows;
        rows.retain(|row| row.order_id != order_id);
        rows.push(PaymentRow {
            order_id,
            status: status.into(),
            void_due: false,
            reference: None,
            last_error: None,
            updated_at: self.now,
        });
    }

    /// `service` puts the last record of `orders` aside; an operator settles the dead letter.
    pub fn put_aside(&mut self, service: ServiceName) {
        let record = self.evidence.log.orders.last().unwrap();
        let (key, origin) = (record.key.clone(), record.address("orders"));
        self.dead_letter(service, &key, origin);
    }

    /// `service` has put the record at `origin` aside; an operator has settled the dead letter.
    pub fn dead_letter(&mut self, service: ServiceName, key: &str, origin: String) {
        let (key, offset) = (key.to_owned(), self.evidence.dead_letters.len() as i64);
        self.evidence.dead_letters.push(DeadLetter {
            service,
            partition: 0,
            offset,
            timestamp: self.now,
            key,
            origin,
            cause: "impossible".into(),
            settled: true,
            replayed: false,
            value_bytes: 7,
            cut: None,
            original: None,
        });
    }

    /// The same, and the operator has replayed it.
    pub fn replayed(&mut self, service: ServiceName, key: &str, origin: String) {
        self.dead_letter(service, key, origin);
        self.evidence.dead_letters.last_mut().unwrap().replayed = true;
    }

    /// Let the deadline of every open order come.
    pub fn wait(&mut self) {
        self.now = self.now + DEADLINE;
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }
}

/// What a payment that was captured brings.
pub fn captured(order: &mut Order) {
    pay(order, PaymentStatus::Captured, Some(format!("ch_{}", order.order_id)));
}

/// What a payment that was declined brings.
pub fn declined(order: &mut Order) {
    pay(order, PaymentStatus::Declined, None);
    order.reasons.push(Reason::new("payment", "declined", ""));
}

fn pay(order: &mut Order, status: PaymentStatus, reference: Option<String>) {
    let (amount, decided_at) = (order.total.clone(), order.occurred_at);
    order.payment = Some(Payment { status, amount, reference, decided_at });
}
