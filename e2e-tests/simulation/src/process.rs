//! The processes of the shop: the parts of each service that live and die together.

use crate::{
    effects::{MailServer, Postgres},
    faults,
    mutation::{self, count_answers, release_any},
    outside::customers,
    payments::{intake, supervisor::Supervisor},
    shop::{Rules, Shop},
};
use contracts::{catalog::Product, fraud::CHECK, values::UNAVAILABLE};
use email::EmailProcessor;
use fraud::{domain::exposure, processor::CheckProcessor};
use inventory::{SplitProcessor, StockProcessor};
use orders::{catalog::Catalog, domain::place_order::Terms, processor::OrdersProcessor};
use std::{cell::Cell, rc::Rc, time::Duration};
use streams_sim::{Actor, Sim, Stage, mutation::Meddled};
use view::{freshness::Freshness, processor::ViewProcessor};

/// What an instance of `service` consists of.
pub(crate) fn start(
    sim: &mut Sim,
    shop: &Shop,
    service: &'static str,
    instance: u32,
) -> Vec<Box<dyn Actor<Shop>>> {
    let rules = shop.rules;
    match service {
        "orders" => vec![Box::new(orders(sim, instance, rules))],
        "inventory" => {
            let any = sim.has(mutation::RELEASE_ANY).then(|| sim.codec.clone());
            let stock = move || Meddled::new(StockProcessor, any.clone().map(release_any));
            vec![
                Box::new(Stage::new(sim, "inventory-split", instance, 500, || SplitProcessor)),
                Box::new(Stage::new(sim, "inventory-stock", instance, 500, stock)),
            ]
        }
        "payments" => {
            let work = Rc::<Cell<bool>>::default();
            let intake = intake::stage(sim, instance, Rc::clone(&work));
            vec![Box::new(intake), Box::new(Supervisor::new(instance, work))]
        }
        "view" => {
            let effects = shop.effects.clone();
            let make = move || ViewProcessor::new(Postgres(effects.clone()), Freshness::default());
            let max = view::processor::BATCH_RECORDS_MAX;
            vec![Box::new(Stage::new(sim, "view", instance, max, make))]
        }
        "email" => {
            let effects = shop.effects.clone();
            let make = move || EmailProcessor::new(MailServer::new(effects.clone()));
            let max = email::mailer::BATCH_RECORDS_MAX;
            vec![Box::new(Stage::new(sim, "email", instance, max, make))]
        }
        "fraud" => {
            let limit_minor = rules.fraud_limit_minor.expect("a shop with fraud has a limit");
            let terms = exposure::Terms { limit_minor, window: Duration::from_secs(3600) };
            let check = move || CheckProcessor::new(terms.clone());
            let split = || fraud::processor::SplitProcessor;
            vec![
                Box::new(Stage::new(sim, "fraud-split", instance, 500, split)),
                Box::new(Stage::new(sim, "fraud-check", instance, 500, check)),
            ]
        }
        other => unreachable!("{other} is not simulated"),
    }
}

fn orders(sim: &mut Sim, instance: u32, rules: Rules) -> Stage<Meddled<OrdersProcessor>> {
    let name = format!("orders-{instance}");
    let (whole, people) = (customers::products(), customers::customers);
    let row = if sim.strikes(faults::UNREADABLE_ROW, &name) {
        Some("eur".parse().map(|currency| Product { currency, ..whole[0].clone() }))
    } else if sim.strikes(faults::PLACEHOLDER, &name) {
        Some(UNAVAILABLE.parse().map(|name| Product { name, ..whole[0].clone() }))
    } else {
        None
    };
    let first = match row {
        _ if sim.strikes(faults::LATE_CATALOG, &name) => Some(Catalog::fixed([], [])),
        row => {
            row.map(|row| Catalog::with_row(whole.clone(), people(), (whole[0].sku.clone(), row)))
        }
    };
    let (first, catalog) = (Cell::new(first), Catalog::fixed(whole, people()));
    let counted = sim.has(mutation::COUNTED_ANSWERS).then(|| sim.codec.clone());
    let make = move || {
        let extra_checks = rules.fraud_limit_minor.map(|_| CHECK.to_owned());
        let extra_checks = extra_checks.into_iter().collect();
        let terms = Terms { deadline: rules.deadline, extra_checks };
        // Only its first life knows less.
        let known = first.take().unwrap_or_else(|| catalog.clone());
        Meddled::new(OrdersProcessor::new(known, terms), counted.clone().map(count_answers))
    };
    Stage::new(sim, "orders", instance, 500, make)
}
