//! Mail servers as they are: slow, greylisting, old, closing, silent. The whole service against a
//! server on a socket, by a clock of the test's own; without Kafka.

use crate::fixtures::{confirmed, order_id, seen};
use contracts::{
    Order, Timestamp,
    email::{EmailKind, Waiting},
    topics::{EMAILS, EMAILS_WAITING, ORDER_VIEWS},
};
use email::{
    DeliveryError, EmailProcessor, Mailer,
    adapters::smtp::SmtpMailer,
    config::SmtpAddr,
    domain::mail::{Mail, compose},
};
use service_kit::{Health, Shutdown};
use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, channel},
    },
    thread,
    time::Instant,
};
use streams::{MemoryStore, Outgoing, Record, tx::dlq_names};
use testkit::{Driver, Fed, PATIENCE, wait_for};

const ADA: &str = "ada@example.org";
const BOB: &str = "bob@example.org";

/// What the server has heard on all connections: commands, and `.` for each whole mail.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    /// How often a line that begins with `start` was heard.
    fn count(&self, start: &str) -> usize {
        self.lines().iter().filter(|line| line.starts_with(start)).count()
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().expect("no code panics with it").clone()
    }

    /// Message-IDs of the whole mails.
    fn mails(&self) -> Vec<String> {
        let lines = self.lines();
        lines.iter().filter_map(|line| line.strip_prefix("Message-ID: ")).map(Into::into).collect()
    }
}

/// Starts a server that answers each command, and each whole mail (`.`), to the recipient at hand
/// as `script` says; none: it hangs up. What `script` leaves empty is answered with success.
fn server(
    script: impl Fn(&str, &str) -> Option<String> + Send + Sync + 'static,
) -> (SmtpMailer, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let addr = SmtpAddr { host: "127.0.0.1".into(), port };
    let (heard, script) = (Heard::default(), Arc::new(script));
    let all = heard.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (heard, script) = (all.clone(), Arc::clone(&script));
            // A client that hangs up is no concern of the server's.
            thread::spawn(move || serve(&stream.expect("a connection"), &heard, &*script));
        }
    });
    (SmtpMailer::new(addr, "Shop <shop@murmuration.shop>".parse().expect("an address")), heard)
}

fn serve(
    mut stream: &TcpStream,
    heard: &Heard,
    script: &dyn Fn(&str, &str) -> Option<String>,
) -> Option<()> {
    let mut lines = BufReader::new(stream).lines();
    let (mut to, mut in_mail) = (String::new(), false);
    let mut say = |reply: &str| stream.write_all(format!("{reply}\r\n").as_bytes()).ok();
    say("220 hello")?;
    while let Some(Ok(line)) = lines.next() {
        if !in_mail || line == "." || line.starts_with("Message-ID: ") {
            heard.0.lock().expect("no code panics with it").push(line.clone());
        }
        if in_mail && line != "." {
            continue;
        }
        if let Some(recipient) = line.strip_prefix("RCPT TO:") {
            recipient.trim_matches(['<', '>']).clone_into(&mut to);
        }
        let reply = script(&line, &to)?;
        let success = if line == "DATA" { "354 go on" } else { "250 fine" };
        let reply = if reply.is_empty() { success } else { &reply };
        in_mail = line == "DATA" && reply.starts_with('3');
        say(reply)?;
    }
    Some(())
}

/// The shop's email service, without Kafka.
struct Shop(Driver<EmailProcessor<SmtpMailer>>);

impl Shop {
    fn new(mailer: SmtpMailer) -> Self {
        Self(Driver::new(EmailProcessor::new(mailer)))
    }

    /// The order `id` of `customer` is settled, and the view shows it.
    fn settled(&mut self, id: u128, customer: &str) -> Record {
        let mut order: Order = confirmed(id);
        order.customer.email = customer.to_owned().try_into().expect("an address");
        self.0.record(&ORDER_VIEWS, &order_id(id), &seen(order), "view")
    }

    fn settle(&mut self, id: u128, customer: &str) -> Fed {
        let record = self.settled(id, customer);
        self.0.feed_record(&record)
    }

    /// To whom mails were sent, as `emails` has it.
    fn announced(&self, sent: &[Outgoing]) -> Vec<String> {
        self.0.sent_on(&EMAILS, sent).into_iter().map(|mail| mail.recipient).collect()
    }

    fn waiting(&self, sent: &[Outgoing]) -> Option<Waiting> {
        self.0.sent_on(&EMAILS_WAITING, sent).pop().and_then(|mail| mail.waiting)
    }

    /// Let time pass until `next_at`.
    fn tick_at(&mut self, next_at: Timestamp) -> Vec<Outgoing> {
        assert_eq!(self.0.at(Timestamp(next_at.millis() - 1)).tick(), [], "not before its time");
        self.0.at(next_at).tick()
    }
}

fn letter(sent: &[Outgoing]) -> Option<&Outgoing> {
    sent.iter().find(|outgoing| outgoing.topic == "email.dlq")
}

#[test]
fn a_slow_final_dot_holds_up_no_other_mail_and_repeats_none() {
    let (open, gate): (_, Receiver<()>) = channel();
    let gate = Mutex::new(gate);
    let (mailer, heard) = server(move |line, to| {
        if line == "." && to == ADA {
            let _ = gate.lock().unwrap().recv();
        }
        Some(String::new())
    });
    let mut shop = Shop::new(mailer);
    let slow = shop.settle(1, ADA);
    assert_eq!(shop.announced(&slow.sent), [""; 0]);
    let mut waiting = shop.waiting(&slow.sent).expect("it waits");
    assert!(waiting.cause.contains("has not answered yet"), "{}", waiting.cause);
    let quick = shop.settle(2, BOB);
    assert_eq!(shop.announced(&quick.sent), [BOB]);
    // The announcement may come again, and the answer may take minutes.
    assert_eq!(shop.settle(1, ADA).sent, []);
    for _ in 0..100 {
        let sent = shop.tick_at(waiting.next_at);
        assert_eq!(shop.announced(&sent), [""; 0]);
        waiting = shop.waiting(&sent).expect("it waits on");
    }
    open.send(()).unwrap();
    let since = Instant::now();
    let last = loop {
        let sent = shop.tick_at(waiting.next_at);
        match shop.waiting(&sent) {
            Some(still) => waiting = still,
            None => break sent,
        }
        assert!(since.elapsed() < PATIENCE, "no answer");
        thread::yield_now();
    };
    assert_eq!(shop.announced(&last), [ADA]);
    assert_eq!((heard.count("RCPT TO:<ada"), heard.mails().len()), (1, 2), "{:?}", heard.lines());
}

/// A mail would have minutes for each answer; health should not.
#[tokio::test]
async fn health_names_a_server_that_greets_and_then_is_silent() {
    let (_never, gate): (_, Receiver<()>) = channel();
    let gate = Mutex::new(gate);
    let (mailer, _) = server(move |_, _| {
        let _ = gate.lock().unwrap().recv();
        None
    });
    let (health, shutdown) = (Health::new(), Shutdown::new());
    let watch = tokio::spawn(mailer.watch(health.check("smtp"), shutdown.clone()));
    wait_for("health to name the server", PATIENCE, || async {
        let details = health.details();
        let is_named = details.iter().any(|one| one.contains("no answer within 10 s"));
        if is_named { Ok(()) } else { Err(details) }
    })
    .await;
    shutdown.cancel();
    watch.await.unwrap().unwrap();
}

#[test]
fn a_greylisted_mail_waits_alone_and_through_a_loss_of_the_store() {
    let refusals = Mutex::new(2);
    let (mailer, heard) = server(move |line, to| {
        let mut left = refusals.lock().unwrap();
        if line.starts_with("RCPT") && to == ADA && *left > 0 {
            *left -= 1;
            return Some("451 4.7.1 greylisted".into());
        }
        Some(String::new())
    });
    let mut shop = Shop::new(mailer);
    let fed = shop.settle(1, ADA);
    let first = shop.waiting(&fed.sent).expect("it waits");
    assert!(first.cause.contains("451 4.7.1 greylisted"), "{}", first.cause);
    let fed = shop.settle(2, BOB);
    assert_eq!(shop.announced(&fed.sent), [BOB]);
    let sent = shop.tick_at(first.next_at);
    let second = shop.waiting(&sent).expect("it waits on");
    assert!(second.next_at - first.next_at > first.next_at - first.since, "the pauses grow");

    // Another instance has the log and no store.
    shop.0.store = MemoryStore::default();
    for outgoing in &sent {
        shop.0.restore(&Record {
            topic: outgoing.topic.into(),
            partition: outgoing.partition,
            offset: 0,
            timestamp_ms: 0,
            key: outgoing.key.clone(),
            value: outgoing.value.clone(),
            headers: outgoing.headers.clone(),
        });
    }
    let sent = shop.tick_at(second.next_at);
    assert_eq!((shop.announced(&sent), shop.waiting(&sent)), (vec![ADA.to_owned()], None));
    let sent = sent.iter().find(|outgoing| outgoing.topic == EMAILS.name()).unwrap();
    let cause = sent.headers.get("causationid").unwrap();
    assert!(cause.starts_with("order-views/") && cause.ends_with("/0"), "{cause}");
    assert_eq!(shop.0.at(Timestamp(i64::MAX / 2)).tick(), [], "nothing is left");
    assert_eq!(heard.mails().len(), 2);
}

/// Each time that the server hears of this recipient, it closes the channel, or hangs up.
#[test]
fn a_recipient_for_whom_the_server_closes_the_channel_holds_up_no_other_mail() {
    for at in ["RCPT", "DATA"] {
        for answer in [Some("421 4.3.2 we close"), None] {
            let (mailer, heard) = server(move |line, to| match line.starts_with(at) && to == ADA {
                true => answer.map(Into::into),
                false => Some(String::new()),
            });
            let mut shop = Shop::new(mailer);
            let fed = shop.settle(1, ADA);
            let mut waiting = shop.waiting(&fed.sent).expect("it waits");
            for id in 2..5 {
                let fed = shop.settle(id, BOB);
                assert_eq!(shop.announced(&fed.sent), [BOB], "{at}: {answer:?}");
                let sent = shop.tick_at(waiting.next_at);
                waiting = shop.waiting(&sent).expect("it waits on");
            }
            assert_eq!((waiting.refusals, heard.mails().len()), (4, 3), "{at}: {answer:?}");
        }
    }
}

#[test]
fn a_mail_that_is_greylisted_for_ever_is_a_dead_letter_in_the_end_and_can_be_replayed() {
    let is_over = Arc::new(Mutex::new(false));
    let over = Arc::clone(&is_over);
    let (mailer, _) = server(move |line, _| {
        let refused = line.starts_with("RCPT") && !*over.lock().unwrap();
        Some(if refused { "450 not yet".into() } else { String::new() })
    });
    let mut shop = Shop::new(mailer);
    let update = shop.settled(1, ADA);
    let fed = shop.0.feed_record(&update);
    let first = shop.waiting(&fed.sent).expect("it waits");
    let (mut waiting, mut sent) = (Some(first.clone()), fed.sent);
    while let Some(Waiting { next_at, .. }) = waiting {
        sent = shop.tick_at(next_at);
        waiting = shop.waiting(&sent);
    }
    let days = (shop.0.now() - first.since).as_secs() / (24 * 60 * 60);
    assert_eq!(days, 4);
    let letter = letter(&sent).expect("a dead letter");
    let cause = letter.headers.get(dlq_names::CAUSE).unwrap();
    assert!(cause.contains("given up") && cause.contains("450 not yet"), "{cause}");
    assert_eq!(letter.headers.get(dlq_names::TOPIC), Some("order-views"));
    let offset = update.offset.to_string();
    assert_eq!(letter.headers.get(dlq_names::OFFSET), Some(&*offset));
    assert_eq!(letter.value, update.value, "it can be replayed");
    *is_over.lock().unwrap() = true;
    let fed = shop.0.feed_record(&update);
    assert_eq!(shop.announced(&fed.sent), [ADA]);
}

#[test]
fn a_mail_whose_end_is_doubtful_is_sent_a_few_times_and_then_a_person_is_told() {
    let (mailer, heard) = server(|line, to| (line != "." || to != ADA).then(String::new));
    let mut shop = Shop::new(mailer);
    let mut sent = shop.settle(1, ADA).sent;
    let fed = shop.settle(2, BOB);
    assert_eq!(shop.announced(&fed.sent), [BOB]);
    let mut pauses = Vec::new();
    while let Some(Waiting { next_at, .. }) = shop.waiting(&sent) {
        pauses.push((next_at - shop.0.now()).as_secs());
        sent = shop.tick_at(next_at);
    }
    assert_eq!(pauses, [60, 300, 1500, 7200]);
    let cause = letter(&sent).and_then(|letter| letter.headers.get(dlq_names::CAUSE)).unwrap();
    assert!(cause.contains("5 whole mails without an answer"), "{cause}");
    let mut mails = heard.mails();
    mails.retain(|id| id.contains(&order_id(1).to_string()));
    assert_eq!(mails.len(), 5, "{mails:?}");
    mails.dedup();
    assert_eq!(mails.len(), 1, "the same Message-ID");
}

#[test]
fn a_refusal_for_good_is_a_dead_letter_at_once() {
    for (line, words) in [("RCPT", "550 no such user"), (".", "554 we do not want it")] {
        let (mailer, _) = server(move |said, _| {
            Some(if said.starts_with(line) { words.into() } else { String::new() })
        });
        let fed = Shop::new(mailer).settle(1, ADA);
        assert!(fed.dead_letter.as_deref().is_some_and(|cause| cause.contains(words)), "{fed:?}");
        assert_eq!(fed.sent, [], "it does not wait");
    }
}

#[test]
fn a_server_without_esmtp_is_spoken_to() {
    for refusal in [Some("502 what is EHLO"), Some("500 what"), None] {
        let (mailer, heard) = server(move |line, _| match line.starts_with("EHLO") {
            true => refusal.map(Into::into),
            false => Some(String::new()),
        });
        let mut shop = Shop::new(mailer);
        let fed = shop.settle(1, ADA);
        assert_eq!(shop.announced(&fed.sent), [ADA]);
        assert_eq!(heard.count("HELO "), 1, "{:?}", heard.lines());
        assert_eq!(heard.count(&format!("RCPT TO:<{ADA}>")), 1);
    }
}

#[test]
fn an_address_of_any_kind_travels_as_its_rfc_says() {
    let smtputf8 = |offered: bool| {
        server(move |line, _| {
            let is_asked = line.starts_with("EHLO") && offered;
            Some(if is_asked { "250-fine\r\n250 SMTPUTF8".into() } else { String::new() })
        })
    };
    // It takes no such parameter, although it has said so: no other mail waits for that.
    let (mailer, _) = server(|line, _| {
        let said = if line.starts_with("EHLO") { "250-fine\r\n250 SMTPUTF8" } else { "" };
        let said = if line.ends_with("SMTPUTF8") { "555 not supported" } else { said };
        Some(said.into())
    });
    let mut shop = Shop::new(mailer);
    let fed = shop.settle(1, "zo\u{eb}@example.org");
    assert!(fed.dead_letter.as_deref().is_some_and(|cause| cause.contains("555")), "{fed:?}");
    let fed = shop.settle(2, BOB);
    assert_eq!(shop.announced(&fed.sent), [BOB]);
    for (customer, offered, said) in [
        ("\"ada lovelace\"@example.org", false, Ok("RCPT TO:<\"ada lovelace\"@example.org>")),
        ("\"a@b\"@example.org", false, Ok("RCPT TO:<\"a@b\"@example.org>")),
        ("ada@[IPv6:2001:db8::1]", false, Ok("RCPT TO:<ada@[IPv6:2001:db8::1]>")),
        ("ada+tea@example.org", false, Ok("RCPT TO:<ada+tea@example.org>")),
        ("o'brien@example.org", false, Ok("RCPT TO:<o'brien@example.org>")),
        ("ada@m\u{fc}nchen.de", false, Ok("RCPT TO:<ada@xn--mnchen-3ya.de>")),
        ("zo\u{eb}@example.org", true, Ok("RCPT TO:<zo\u{eb}@example.org>")),
        ("zo\u{eb}@example.org", false, Err("it has no SMTPUTF8")),
        ("nobody", true, Err("is no address")),
    ] {
        let (mut mailer, heard) = smtputf8(offered);
        let mail = compose(&confirmed(1), EmailKind::Confirmation);
        let result = mailer.deliver(&Mail { to_address: customer.to_owned(), ..mail });
        match said {
            Ok(said) => assert_eq!((result, heard.count(said)), (Ok(()), 1), "{customer}"),
            Err(why) => match result {
                Err(DeliveryError::Permanent(cause)) => assert!(cause.contains(why), "{cause}"),
                other => panic!("{customer}: {other:?}"),
            },
        }
        let extended = usize::from(customer.starts_with("zo") && offered);
        assert_eq!(heard.count("MAIL FROM:<shop@murmuration.shop> SMTPUTF8"), extended);
    }
}
