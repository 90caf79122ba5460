//! How often: what becomes of a mail when the server, the batch or the process does not hold.

use crate::fixtures::{Postbox, cancelled, confirmed, order_id, paid, refunded, requested, seen};
use contracts::{Order, Timestamp, topics::ORDER_VIEWS};
use email::{DeliveryError, EmailProcessor};
use streams::{Failure, MemoryStore, Processor, Record, Tx};
use testkit::Driver;

fn record(driver: &mut Driver<EmailProcessor<Postbox>>, order: Order) -> Record {
    let id = order.order_id;
    driver.record(&ORDER_VIEWS, &id, &seen(order), "view")
}

/// Process `batch` as a processor does, up to the first failure, and then give the transaction up.
fn lose(driver: &mut Driver<EmailProcessor<Postbox>>, batch: &[Record]) -> Result<(), Failure> {
    let (store, codec) = (driver.store.clone(), driver.codec().clone());
    let mut tx = Tx::new(&store, &codec, Timestamp(0));
    let processor = driver.processor_mut();
    let mut process = |record: &Record| {
        tx.begin(record);
        processor.process(record, &mut tx)?;
        tx.keep();
        Ok(())
    };
    let result = batch.iter().try_for_each(&mut process);
    driver.processor_mut().reset();
    result
}

#[test]
fn while_the_server_is_away_the_batch_waits_and_no_mail_is_sent_twice() {
    let postbox = Postbox::default();
    let mut driver = Driver::new(EmailProcessor::new(postbox.clone()));
    let first = record(&mut driver, confirmed(1));
    let second = record(&mut driver, confirmed(2));

    lose(&mut driver, std::slice::from_ref(&first)).unwrap();
    assert_eq!(postbox.accepted().len(), 1, "accepted, but not committed");
    postbox.refuse(Some(DeliveryError::Outage("connection refused".to_owned())));
    let failure = lose(&mut driver, &[first.clone(), second.clone()]).unwrap_err();
    assert!(matches!(&failure, Failure::Retriable(_)), "{failure}");
    assert!(failure.to_string().contains("connection refused"), "{failure}");
    assert!(driver.state().iter().all(Vec::is_empty), "nothing was committed");

    postbox.refuse(None);
    let fed: Vec<_> = [first, second].iter().map(|r| driver.feed_record(r)).collect();
    assert!(fed.iter().all(|fed| fed.sent.len() == 1), "each is announced: {fed:?}");
    assert_eq!(postbox.accepted().len(), 2, "the first was not sent again");
}

#[test]
fn a_mail_that_is_refused_for_good_is_a_dead_letter_and_hides_no_other() {
    let postbox = Postbox::default();
    let mut driver = Driver::new(EmailProcessor::new(postbox.clone()));
    let bad = record(&mut driver, confirmed(1));
    postbox.refuse(Some(DeliveryError::Permanent("550 no such user".to_owned())));
    let fed = driver.feed_record(&bad);
    assert_eq!(fed.dead_letter.as_deref(), Some("550 no such user"));
    assert!(fed.sent.is_empty());
    postbox.refuse(None);
    let good = record(&mut driver, confirmed(2));
    assert_eq!(driver.feed_record(&good).dead_letter, None);
    // A dead letter that is replayed, once the address is right, is mailed.
    assert_eq!(driver.feed_record(&bad).sent.len(), 1);
    assert_eq!(postbox.accepted().len(), 2);
}

/// The one case in which a mail is sent twice, and how it can be told.
#[test]
fn after_a_crash_before_the_commit_the_same_message_id_is_used() {
    let postbox = Postbox::default();
    let mut crashed = Driver::new(EmailProcessor::new(postbox.clone()));
    let update = record(&mut crashed, confirmed(1));
    lose(&mut crashed, std::slice::from_ref(&update)).unwrap();
    let mut restarted = Driver::new(EmailProcessor::new(postbox.clone()));
    let update = record(&mut restarted, confirmed(1));
    restarted.feed_record(&update);
    let accepted = postbox.accepted();
    assert_eq!(accepted.len(), 2);
    assert_eq!(accepted[0], accepted[1]);
}

#[test]
fn the_state_is_what_its_topic_says() {
    let mut driver = Driver::new(EmailProcessor::new(Postbox::default()));
    let orders = [confirmed(1), cancelled(&requested(2)), refunded(3), cancelled(&paid(4))];
    let mut announced = Vec::new();
    for order in orders {
        let update = record(&mut driver, order);
        announced.extend(driver.feed_record(&update).sent);
    }
    assert_eq!(announced.len(), 3);
    let state = driver.state();
    driver.store = MemoryStore::default();
    for (offset, outgoing) in (0..).zip(&announced) {
        let read = Record {
            topic: outgoing.topic.into(),
            partition: outgoing.partition,
            offset,
            timestamp_ms: 0,
            key: outgoing.key.clone(),
            value: outgoing.value.clone(),
            headers: outgoing.headers.clone(),
        };
        driver.restore(&read);
        let foreign = Record { key: Some(order_id(9).to_string().into_bytes()), ..read };
        driver.restore(&foreign);
    }
    assert_eq!(driver.state(), state);
}
