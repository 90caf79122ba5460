//! A server that offers PIPELINING (RFC 2920) gets a mail's commands at once, and each of its
//! answers counts.

use crate::fixtures::confirmed;
use contracts::email::EmailKind;
use email::{
    DeliveryError, Mailer,
    adapters::smtp::SmtpMailer,
    config::SmtpAddr,
    domain::mail::{Mail, compose},
};
use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};
use testkit::PATIENCE;

const COMMANDS: [&str; 3] = ["MAIL", "RCPT", "DATA"];

/// Answers nothing before all three commands are there, then to the one in `reply` with the rest
/// of it. Hands over the mails, and on which connection each came.
fn server(reply: &'static str) -> (SmtpMailer, Receiver<(usize, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let (mails, received) = channel();
    thread::spawn(move || {
        for (n, stream) in listener.incoming().enumerate() {
            // A client that hangs up in the middle is no concern of the server's.
            let _ = serve(&stream.expect("a connection"), reply, (n, &mails));
        }
    });
    let addr = SmtpAddr { host: "127.0.0.1".into(), port };
    (SmtpMailer::new(addr, "Shop <shop@murmuration.shop>".parse().expect("an address")), received)
}

fn serve(
    mut stream: &TcpStream,
    reply: &str,
    (connection, mails): (usize, &Sender<(usize, String)>),
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let (refused, refusal) = reply.split_once(' ').unwrap_or_default();
    stream.write_all(b"220 hello\r\n")?;
    lines.next();
    stream.write_all(b"250-hello\r\n250-pipelining\r\n250 SIZE\r\n")?;
    loop {
        let said: Vec<_> = lines.by_ref().take(COMMANDS.len()).collect();
        if said.len() < COMMANDS.len() {
            return Ok(());
        }
        for (line, command) in said.iter().zip(COMMANDS) {
            assert!(line.starts_with(command), "{said:?}");
            let success = if command == "DATA" { "354 go on" } else { "250 fine" };
            let answer = if command == refused { refusal } else { success };
            write!(stream, "{answer}\r\n")?;
        }
        let mail: Vec<_> = lines.by_ref().take_while(|line| line != ".").collect();
        stream.write_all(b"250 accepted\r\n")?;
        let _ = mails.send((connection, mail.join("\n")));
    }
}

fn mail(n: u128) -> Mail {
    compose(&confirmed(n), EmailKind::Confirmation)
}

#[test]
fn three_commands_come_at_once_and_the_next_mail_on_the_same_connection() {
    let (mut mailer, received) = server("");
    for n in [1, 2] {
        mailer.deliver(&mail(n)).unwrap();
        let (connection, text) = received.recv_timeout(PATIENCE).unwrap();
        assert_eq!(connection, 0);
        assert!(text.contains(&mail(n).message_id), "{text}");
    }
}

#[test]
fn a_refusal_says_the_same_as_without_and_leaves_no_mail() {
    type Kind = fn(String) -> DeliveryError;
    let (never, later, outage): (Kind, Kind, Kind) =
        (DeliveryError::Permanent, DeliveryError::Refused, DeliveryError::Outage);
    for (reply, kind) in [
        // The server goes on to DATA all the same: what it has then is no mail without its dot.
        ("RCPT 550 no such user here", never),
        ("RCPT 451 come back later", later),
        ("DATA 554 no valid recipients", never),
        ("MAIL 553 we do not know this sender", outage),
        ("MAIL 421 we close", outage),
    ] {
        let (mut mailer, received) = server(reply);
        let error = mailer.deliver(&mail(1)).unwrap_err();
        let text = error.to_string();
        assert_eq!(error, kind(text.clone()), "{reply}");
        assert!(text.contains(reply.split_once(' ').unwrap().1), "{text}");
        drop(mailer);
        let left = received.try_iter().find(|(_, text)| text.contains("Message-ID"));
        assert!(left.is_none(), "{reply}: {left:?}");
    }
}
