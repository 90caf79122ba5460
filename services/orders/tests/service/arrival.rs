//! Inputs from different topics come in any order; the end is the same.

use contracts::{Status, inventory::OrderValidation};

use crate::{
    fixtures::{cancel, failed, order_id, passed, place},
    shop::Shop,
};

#[derive(Debug, Clone)]
enum Event {
    Place,
    ReadBack,
    Outcome(OrderValidation),
    Cancel,
}
use Event::{Cancel, Outcome, Place, ReadBack};

/// Every order of `events`.
fn permutations(events: &[Event]) -> Vec<Vec<Event>> {
    if events.is_empty() {
        return vec![vec![]];
    }
    let mut all = Vec::new();
    for index in 0..events.len() {
        let mut rest = events.to_vec();
        let first = rest.remove(index);
        all.extend(permutations(&rest).into_iter().map(|mut tail| {
            tail.insert(0, first.clone());
            tail
        }));
    }
    all
}

/// What the order comes to, after all events and everything that follows from them.
fn play(events: &[Event]) -> (Shop, Status) {
    let mut shop = Shop::new();
    for event in events {
        match event {
            Place => drop(shop.command(place(1))),
            // At the head of the log there may be nothing yet; what is there later is settled.
            ReadBack => drop(shop.read_back()),
            Outcome(validation) => drop(shop.validation(validation)),
            Cancel => drop(shop.command(cancel(1, 9))),
        }
    }
    shop.settle();
    let status = shop.orders()[0].status;
    (shop, status)
}

#[test]
fn an_order_whose_checks_pass_is_confirmed_whatever_comes_first() {
    let events = [Place, ReadBack, Outcome(passed(1, "TEA")), Outcome(passed(1, "MUG"))];
    for events in permutations(&events) {
        let (shop, status) = play(&events);
        assert_eq!(status, Status::Confirmed, "{events:?}");
        assert_eq!(shop.story().len(), 4, "each transition once: {:?}", shop.story());
    }
}

#[test]
fn one_failed_check_rejects_the_order_whatever_comes_first() {
    let events = [Place, ReadBack, Outcome(failed(1, "TEA")), Outcome(passed(1, "MUG"))];
    for events in permutations(&events) {
        let (shop, status) = play(&events);
        assert_eq!(status, Status::Rejected, "{events:?}");
        assert_eq!(shop.orders()[0].reasons.len(), 1, "{events:?}");
        assert_eq!(shop.story().len(), 2, "each transition once: {:?}", shop.story());
    }
}

#[test]
fn outcomes_that_were_there_before_the_order_are_all_given_as_reasons() {
    let events = [Outcome(failed(1, "TEA")), Outcome(failed(1, "MUG")), Place, ReadBack].to_vec();
    let (shop, status) = play(&events);
    assert_eq!((status, shop.orders()[0].reasons.len()), (Status::Rejected, 2));
}

#[test]
fn an_accepted_cancellation_is_kept_whatever_comes_first() {
    let outcomes = [
        [passed(1, "TEA"), passed(1, "MUG")],
        [passed(1, "TEA"), failed(1, "MUG")],
        [failed(1, "TEA"), failed(1, "MUG")],
    ];
    for [first, second] in outcomes {
        let events = [ReadBack, Outcome(first), Outcome(second), Cancel];
        for mut events in permutations(&events) {
            events.insert(0, Place);
            let (shop, status) = play(&events);
            match shop.refusals.as_slice() {
                [] => assert!(
                    matches!(status, Status::Cancelled | Status::Refunded),
                    "accepted, and yet {status}: {events:?}"
                ),
                // The order was over when the cancellation came.
                [refused] => {
                    assert_eq!(refused.reasons[0].code, format!("already_{status}"), "{events:?}");
                }
                many => panic!("{many:?}"),
            }
        }
    }
}

#[test]
fn a_cancellation_before_its_order_is_refused_and_does_no_harm() {
    let (passed_tea, passed_mug) = (Outcome(passed(1, "TEA")), Outcome(passed(1, "MUG")));
    let (shop, status) = play(&[Cancel, Place, ReadBack, passed_tea, passed_mug]);
    assert_eq!(status, Status::Confirmed);
    assert_eq!(shop.refusals[0].reasons[0].code, "unknown_order");
}

#[test]
fn a_cancellation_at_each_point_of_the_straight_way_ends_as_it_must() {
    let run = |cancel_after: usize| {
        let mut shop = Shop::new();
        let steps: [&dyn Fn(&mut Shop); 4] = [
            &|shop| drop(shop.command(place(1))),
            &|shop| {
                shop.read_back();
                shop.validation(&passed(1, "TEA"));
                shop.validation(&passed(1, "MUG"));
            },
            // Validated: payments is at it.
            &|shop| drop(shop.read_back()),
            &Shop::settle,
        ];
        for (index, step) in steps.iter().enumerate() {
            step(&mut shop);
            if index == cancel_after {
                shop.command(cancel(1, 9));
            }
        }
        shop.settle();
        (shop.entry(order_id(1)).order.unwrap().status, shop.refusals.len())
    };
    assert_eq!(run(0), (Status::Cancelled, 0), "before it is read back");
    assert_eq!(run(1), (Status::Refunded, 0), "while it is being validated");
    assert_eq!(run(2), (Status::Refunded, 0), "while payments holds the baton");
    assert_eq!(run(3), (Status::Confirmed, 1), "after it was confirmed");
}
