//! [`Session`]: the server's side of one SMTP connection (RFC 5321), without IO. Bytes go in,
//! replies and whole mails come out.
//!
//! The extensions are those that cost nothing here: 8BITMIME, PIPELINING, SIZE and SMTPUTF8. There
//! is no TLS and no authentication: it listens for a shop on the same machine.

use smtp_proto::request::receiver::{DataReceiver, RequestReceiver};
use smtp_proto::{Error, MAIL_BODY_BINARYMIME, Request};

/// The largest mail that is taken, in bytes, as it travels.
pub(crate) const MAIL_BYTES_MAX: usize = 1024 * 1024;
/// The fewest recipients of one mail that a server must take (RFC 5321, 4.5.3.1.8); more are
/// refused.
const RECIPIENTS_MAX: usize = 100;

/// What the server says first.
pub(crate) const GREETING: &[u8] = b"220 mail-sink ESMTP\r\n";

/// A mail as it was handed over.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Envelope {
    /// The sender; empty for a notification (RFC 5321, 4.5.5).
    pub(crate) from: String,
    /// The recipients.
    pub(crate) to: Vec<String>,
    /// The mail: headers and body.
    pub(crate) message: Vec<u8>,
}

/// What follows from some bytes.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// To be written to the client, after the mails are kept.
    pub(crate) replies: Vec<u8>,
    /// Mails that are whole.
    pub(crate) mails: Vec<Envelope>,
    /// The connection ends after the replies.
    pub(crate) close: bool,
}

/// One connection.
#[derive(Default)]
pub(crate) struct Session {
    requests: RequestReceiver,
    /// The mail that is being handed over, from `MAIL FROM` on.
    envelope: Option<Envelope>,
    /// Present from `DATA` to the lone dot.
    data: Option<DataReceiver>,
}

impl Session {
    /// Takes what the client has sent: any part of a line or of a mail, or several of them.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Answer {
        let (mut bytes, mut answer) = (bytes.iter(), Answer::default());
        while !answer.close && !bytes.as_slice().is_empty() {
            if let Some(data) = &mut self.data {
                let envelope = self.envelope.get_or_insert_default();
                let is_whole = data.ingest(&mut bytes, &mut envelope.message);
                if envelope.message.len() > MAIL_BYTES_MAX {
                    // What follows cannot be told from commands unless it is read to its end.
                    answer.end("552 5.3.4 the mail is too large");
                } else if is_whole {
                    self.data = None;
                    answer.mails.extend(self.envelope.take());
                    answer.say("250 2.0.0 kept");
                }
                continue;
            }
            match self.requests.ingest(&mut bytes).map(Request::into_owned) {
                Ok(request) => self.obey(request, &mut answer),
                Err(Error::NeedsMoreData { .. }) => break,
                Err(error) => refuse(&error, &mut answer),
            }
        }
        answer
    }

    fn obey(&mut self, request: Request<String>, answer: &mut Answer) {
        match request {
            Request::Ehlo { .. } => {
                self.envelope = None;
                answer.say("250-mail-sink");
                answer.say("250-8BITMIME");
                answer.say("250-PIPELINING");
                answer.say(&format!("250-SIZE {MAIL_BYTES_MAX}"));
                answer.say("250 SMTPUTF8");
            }
            Request::Helo { .. } => {
                self.envelope = None;
                answer.say("250 mail-sink");
            }
            Request::Mail { .. } if self.envelope.is_some() => {
                answer.say("503 5.5.1 a mail is under way already");
            }
            Request::Mail { from } if from.size > MAIL_BYTES_MAX => {
                answer.say("552 5.3.4 the mail is too large");
            }
            Request::Mail { from } if from.flags & MAIL_BODY_BINARYMIME != 0 => {
                answer.say("555 5.5.4 BINARYMIME is not supported");
            }
            Request::Mail { from } => {
                self.envelope = Some(Envelope { from: from.address, ..Envelope::default() });
                answer.say("250 2.1.0 sender ok");
            }
            Request::Rcpt { to } => match &mut self.envelope {
                None => answer.say("503 5.5.1 MAIL comes first"),
                Some(envelope) if envelope.to.len() == RECIPIENTS_MAX => {
                    answer.say("452 4.5.3 too many recipients");
                }
                Some(envelope) => {
                    envelope.to.push(to.address);
                    answer.say("250 2.1.5 recipient ok");
                }
            },
            Request::Data
                if self.envelope.as_ref().is_none_or(|envelope| envelope.to.is_empty()) =>
            {
                answer.say("503 5.5.1 RCPT comes first");
            }
            Request::Data => {
                self.data = Some(DataReceiver::new());
                answer.say("354 end with a dot on a line of its own");
            }
            Request::Rset => {
                self.envelope = None;
                answer.say("250 2.0.0 ok");
            }
            Request::Noop { .. } => answer.say("250 2.0.0 ok"),
            Request::Vrfy { .. } => answer.say("252 2.1.5 send it and see"),
            Request::Quit => answer.end("221 2.0.0 bye"),
            Request::Lhlo { .. }
            | Request::Bdat { .. }
            | Request::Auth { .. }
            | Request::Expn { .. }
            | Request::Help { .. }
            | Request::Etrn { .. }
            | Request::Atrn { .. }
            | Request::Burl { .. }
            | Request::StartTls => answer.say("502 5.5.1 not supported"),
        }
    }
}

fn refuse(error: &Error, answer: &mut Answer) {
    match error {
        Error::UnknownCommand | Error::InvalidResponse { .. } | Error::NeedsMoreData { .. } => {
            answer.say("500 5.5.1 unknown command");
        }
        Error::InvalidSenderAddress => answer.say("501 5.1.7 no address of a sender"),
        Error::InvalidRecipientAddress => answer.say("501 5.1.3 no address of a recipient"),
        Error::SyntaxError { syntax } => answer.say(&format!("501 5.5.2 syntax: {syntax}")),
        Error::InvalidParameter { param } => {
            answer.say(&format!("501 5.5.4 not a value of {param}"));
        }
        Error::UnsupportedParameter { param } => {
            // The client's own text: only what fits in a line of a reply.
            let shown: String = param.chars().filter(|c| c.is_ascii_graphic()).take(64).collect();
            answer.say(&format!("555 5.5.4 not supported: {shown}"));
        }
        // The rest of the line would be taken for a command.
        Error::ResponseTooLong => answer.end("500 5.5.2 the line is too long"),
    }
}

impl Answer {
    fn say(&mut self, line: &str) {
        self.replies.extend_from_slice(line.as_bytes());
        self.replies.extend_from_slice(b"\r\n");
    }

    fn end(&mut self, line: &str) {
        self.say(line);
        self.close = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One mail, with a line that begins with a dot.
    const DIALOGUE: &str = "EHLO shop\r\nMAIL FROM:<shop@x.org> SIZE=60\r\n\
        RCPT TO:<ada@x.org>\r\nDATA\r\nSubject: hi\r\n\r\n..dotted\r\nend\r\n.\r\nQUIT\r\n";

    fn codes(answer: &Answer) -> Vec<String> {
        let text = String::from_utf8(answer.replies.clone()).unwrap();
        text.lines().map(|line| line.chars().take(4).collect()).collect()
    }

    fn replies_to(dialogue: &str) -> Vec<String> {
        codes(&Session::default().receive(dialogue.as_bytes()))
    }

    #[test]
    fn a_mail_is_whole_whether_it_comes_at_once_or_byte_by_byte() {
        let at_once = Session::default().receive(DIALOGUE.as_bytes());
        let (mut session, mut in_pieces) = (Session::default(), Answer::default());
        for byte in DIALOGUE.as_bytes() {
            let answer = session.receive(&[*byte]);
            in_pieces.replies.extend(answer.replies);
            in_pieces.mails.extend(answer.mails);
            in_pieces.close |= answer.close;
        }
        let mail = Envelope {
            from: "shop@x.org".into(),
            to: vec!["ada@x.org".into()],
            message: b"Subject: hi\r\n\r\n.dotted\r\nend\r\n".into(),
        };
        for answer in [at_once, in_pieces] {
            assert_eq!(answer.mails, std::slice::from_ref(&mail));
            assert!(answer.close, "QUIT ends it");
            let ehlo = ["250-", "250-", "250-", "250-", "250 "];
            assert_eq!(
                codes(&answer),
                [&ehlo[..], &["250 ", "250 ", "354 ", "250 ", "221 "]].concat()
            );
        }
    }

    #[test]
    fn commands_out_of_order_are_refused_and_change_nothing() {
        assert_eq!(replies_to("RCPT TO:<a@x.org>\r\n"), ["503 "]);
        assert_eq!(replies_to("MAIL FROM:<a@x.org>\r\nDATA\r\n"), ["250 ", "503 "]);
        let twice =
            "MAIL FROM:<a@x.org>\r\nMAIL FROM:<b@x.org>\r\nRCPT TO:<c@x.org>\r\nDATA\r\nx\r\n.\r\n";
        let answer = Session::default().receive(twice.as_bytes());
        assert_eq!(codes(&answer), ["250 ", "503 ", "250 ", "354 ", "250 "]);
        assert_eq!(answer.mails[0].from, "a@x.org");
    }

    #[test]
    fn a_reset_forgets_the_mail_that_was_begun() {
        let reset = "MAIL FROM:<a@x.org>\r\nRCPT TO:<b@x.org>\r\nRSET\r\nDATA\r\n";
        assert_eq!(replies_to(reset), ["250 ", "250 ", "250 ", "503 "]);
    }

    #[test]
    fn what_is_not_spoken_here_is_refused_and_the_connection_goes_on() {
        for wrong in ["STARTTLS", "AUTH PLAIN AGEAYg==", "NONSENSE"] {
            let answer = Session::default().receive(format!("{wrong}\r\nNOOP\r\n").as_bytes());
            let codes = codes(&answer);
            assert!(codes[0].starts_with("50") && codes[1] == "250 ", "{wrong}: {codes:?}");
        }
    }

    #[test]
    fn neither_a_line_nor_a_mail_nor_its_recipients_grow_without_bound() {
        let mut session = Session::default();
        let line = session.receive(&[b'x'; 8 * 1024]);
        assert!(line.close && codes(&line) == ["500 "], "{:?}", codes(&line));

        let announced = format!("MAIL FROM:<a@x.org> SIZE={}\r\n", MAIL_BYTES_MAX + 1);
        assert_eq!(replies_to(&announced), ["552 "]);

        let mut session = Session::default();
        session.receive(b"MAIL FROM:<a@x.org>\r\nRCPT TO:<b@x.org>\r\nDATA\r\n");
        let piece = [b'x'; 64 * 1024];
        let large = (0..=MAIL_BYTES_MAX / piece.len()).map(|_| session.receive(&piece));
        let last = large.last().unwrap();
        assert!(last.close && codes(&last) == ["552 "] && last.mails.is_empty());

        let many = "RCPT TO:<b@x.org>\r\n".repeat(RECIPIENTS_MAX + 1);
        let codes = replies_to(&format!("MAIL FROM:<a@x.org>\r\n{many}"));
        assert_eq!(codes.last().map(String::as_str), Some("452 "));
    }
}
