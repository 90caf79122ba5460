//! SMTP, against a server of a few lines that says what it is told to.

use crate::fixtures::confirmed;
use contracts::email::EmailKind;
use email::{
    DeliveryError, Mailer,
    adapters::smtp::SmtpMailer,
    config::SmtpAddr,
    domain::mail::{Mail, compose},
};
use service_kit::{Health, Shutdown};
use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};
use testkit::{PATIENCE, wait_for};

/// Accepts `connections` one after the other, answers the first command of `reply` with its rest,
/// hangs up after `mails_each` mails, and hands over what it was sent.
fn server(
    connections: usize,
    reply: &'static str,
    mails_each: usize,
) -> (SmtpAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let (mails, received) = channel();
    thread::spawn(move || {
        for _ in 0..connections {
            let (stream, _) = listener.accept().expect("a connection");
            // A client that hangs up in the middle is no concern of the server's.
            let _ = serve(&stream, reply, mails_each, &mails);
        }
    });
    (SmtpAddr { host: "127.0.0.1".to_owned(), port }, received)
}

fn serve(
    mut stream: &TcpStream,
    reply: &str,
    mut mails_left: usize,
    mails: &Sender<String>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let (refused, refusal) = reply.split_once(' ').unwrap_or_default();
    writeln!(stream, "220 hello\r")?;
    while let Some(line) = lines.next().transpose()? {
        match line.split([' ', ':']).next().unwrap_or_default() {
            command if command == refused => writeln!(stream, "{refusal}\r")?,
            "DATA" => {
                writeln!(stream, "354 go on\r")?;
                let mail: Vec<_> =
                    lines.by_ref().map_while(Result::ok).take_while(|line| line != ".").collect();
                writeln!(stream, "250 accepted\r")?;
                let _ = mails.send(mail.join("\n"));
                mails_left -= 1;
                if mails_left == 0 {
                    return Ok(());
                }
            }
            _ => writeln!(stream, "250 fine\r")?,
        }
    }
    Ok(())
}

fn mailer(addr: SmtpAddr) -> SmtpMailer {
    SmtpMailer::new(addr, "Murmuration <shop@murmuration.shop>".parse().expect("an address"))
}

fn mail() -> Mail {
    compose(&confirmed(1), EmailKind::Confirmation)
}

#[test]
fn a_mail_has_its_message_id_sender_recipient_and_both_bodies() {
    let (addr, received) = server(1, "", 1);
    mailer(addr).deliver(&mail()).unwrap();
    let raw = received.recv_timeout(PATIENCE).unwrap();
    for header in [
        "Message-ID: <00000000-0000-0000-0000-000000000001.confirmation@murmuration.shop>",
        "From: Murmuration <shop@murmuration.shop>",
        "To: \"Ada Lovelace\" <ada@example.org>",
        "Subject: Your order is confirmed",
        "Date: ",
        "multipart/alternative",
        "text/plain",
        "text/html",
    ] {
        assert!(raw.contains(header), "no {header} in\n{raw}");
    }
}

#[test]
fn a_connection_that_the_server_has_closed_is_replaced() {
    let (addr, received) = server(2, "", 1);
    let mut mailer = mailer(addr);
    mailer.deliver(&mail()).unwrap();
    mailer.deliver(&mail()).unwrap();
    assert_eq!(received.iter().take(2).count(), 2);
}

#[test]
fn a_refusal_is_about_the_mail_or_the_server_and_in_its_words() {
    type Kind = fn(String) -> DeliveryError;
    let (never, later, outage): (Kind, Kind, Kind) =
        (DeliveryError::Permanent, DeliveryError::Refused, DeliveryError::Outage);
    for (reply, kind) in [
        ("RCPT 550 no such user here", never),
        ("RCPT 451 come back later", later),
        ("DATA 554 we do not want it", never),
        ("DATA 451 come back later", later),
        // Not about this mail: every mail would be refused.
        ("MAIL 553 we do not know this sender", outage),
        ("MAIL 452 the disk is full", outage),
        ("EHLO 454 not now", outage),
        ("EHLO 421 we close", outage),
        ("MAIL 421 we close", outage),
        // Perhaps about this mail: the next one shows it.
        ("RCPT 421 we close", later),
        ("DATA 421 we close", later),
    ] {
        let (addr, _mails) = server(1, reply, 1);
        let error = mailer(addr).deliver(&mail()).unwrap_err();
        let text = error.to_string();
        assert_eq!(error, kind(text.clone()), "{reply}");
        let (_, words) = reply.split_at("RCPT ".len());
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn an_address_that_is_none_is_refused_before_it_is_sent() {
    let addr = SmtpAddr { host: "127.0.0.1".to_owned(), port: 1 };
    let mail = Mail { to_address: "nobody\r\nBcc: all@example.org".to_owned(), ..mail() };
    let error = mailer(addr).deliver(&mail).unwrap_err();
    assert!(matches!(&error, DeliveryError::Permanent(why) if why.contains("is no address")));
}

/// Names are free text: whatever stands in one, it is neither a header nor a panic.
#[test]
fn a_name_may_be_anything() {
    for name in ["Ada\r\nBcc: all@example.org", "Zo\u{eb} \u{1f426}", "\0\u{7f}\t", "\"<>,", ""] {
        let (addr, received) = server(1, "", 1);
        let mail = Mail { to_name: name.to_owned(), ..mail() };
        mailer(addr).deliver(&mail).unwrap();
        let raw = received.recv_timeout(PATIENCE).unwrap();
        assert!(!raw.lines().any(|line| line.starts_with("Bcc:")), "{raw}");
        let to = raw.lines().find(|line| line.starts_with("To: ")).unwrap();
        assert!(to.ends_with("ada@example.org") || to.ends_with("<ada@example.org>"), "{to}");
    }
}

/// A dot at the beginning of a line must not end the mail.
#[test]
fn a_mail_may_have_a_line_that_is_a_dot() {
    let (addr, received) = server(1, "", 1);
    let mail = Mail { text: "before\r\n.\r\n.after\r\n".to_owned(), ..mail() };
    mailer(addr).deliver(&mail).unwrap();
    let raw = received.recv_timeout(PATIENCE).unwrap();
    assert!(raw.contains("before\n..\n..after\n"), "{raw}");
}

#[test]
fn an_address_that_the_server_cannot_take_is_refused_for_good() {
    let (addr, _mails) = server(1, "", 1);
    let mail = Mail { to_address: "zo\u{eb}@example.org".to_owned(), ..mail() };
    let error = mailer(addr).deliver(&mail).unwrap_err();
    assert!(matches!(&error, DeliveryError::Permanent(why) if why.contains("SMTPUTF8")), "{error}");
}

#[tokio::test]
async fn the_check_says_that_the_server_is_away() {
    let addr = SmtpAddr { host: "127.0.0.1".to_owned(), port: 1 };
    let mut absent = mailer(addr);
    let error = absent.deliver(&mail()).unwrap_err();
    assert!(matches!(&error, DeliveryError::Outage(why) if why.contains("127.0.0.1:1")));

    let (health, shutdown) = (Health::new(), Shutdown::new());
    let watch = tokio::spawn(absent.watch(health.check("smtp"), shutdown.clone()));
    let (addr, _mails) = server(1, "", 1);
    let present = Health::new();
    tokio::spawn(mailer(addr).watch(present.check("smtp"), shutdown.clone()));
    let ready = || async { if present.is_ready() { Ok(()) } else { Err("not ready") } };
    wait_for("the mail server that is there", PATIENCE, ready).await;
    assert!(!health.is_ready());
    shutdown.cancel();
    watch.await.unwrap().unwrap();
}
