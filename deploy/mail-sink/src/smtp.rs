//! [`Session`]: the server's side of one SMTP connection (RFC 5321), without IO. Bytes go in,
//! replies and whole mails come out.
//!
//! The extensions are those that cost nothing here: 8BITMIME, PIPELINING, SIZE and SMTPUTF8. There
//! is no TLS and no authentication: it listens for a shop on the same machine.

use std::slice::Iter;
use std::time::{Duration, Instant};

use smtp_proto::request::receiver::{DataReceiver, RequestReceiver};
use smtp_proto::{Error, MAIL_BODY_BINARYMIME, Request};

use crate::faults::{Nothing, Says, Step, Weather};

/// The fewest recipients of one mail that a server must take (RFC 5321, 4.5.3.1.8); more are
/// refused.
const RECIPIENTS_MAX: usize = 100;

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
    /// How long the replies wait.
    pub(crate) pause: Duration,
    /// How the connection ends after the replies, if it does.
    pub(crate) end: Option<Nothing>,
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

/// The sky over a conversation: the faults that are switched on, now.
struct Sky<'a> {
    weather: &'a mut Weather,
    now: Instant,
}

impl Session {
    /// What the server says first.
    pub(crate) fn greet(weather: &mut Weather) -> Answer {
        let mut answer = Answer::default();
        match weather.at(Step::Greeting, &[]) {
            Some(fault) => answer.fail(fault),
            None => answer.say("220 mail-sink ESMTP"),
        }
        answer
    }

    /// Takes what the client has sent: any part of a line or of a mail, or several of them.
    pub(crate) fn receive(&mut self, bytes: &[u8], weather: &mut Weather, now: Instant) -> Answer {
        let (mut bytes, mut answer) = (bytes.iter(), Answer::default());
        let mut sky = Sky { weather, now };
        while answer.end.is_none() && !bytes.as_slice().is_empty() {
            if self.data.is_some() {
                self.take_in(&mut bytes, &mut sky, &mut answer);
                continue;
            }
            match self.requests.ingest(&mut bytes).map(Request::into_owned) {
                Ok(request) => self.obey(request, &mut sky, &mut answer),
                Err(Error::NeedsMoreData { .. }) => break,
                Err(error) => refuse(&error, &mut answer),
            }
        }
        answer
    }

    /// Takes in a part of the mail, or its end.
    fn take_in(&mut self, bytes: &mut Iter<'_, u8>, sky: &mut Sky<'_>, answer: &mut Answer) {
        let Some(data) = &mut self.data else { return };
        let envelope = self.envelope.get_or_insert_default();
        if envelope.message.is_empty()
            && let Some(fault) = sky.weather.at(Step::Content, &envelope.to)
        {
            answer.fail(fault);
            answer.end.get_or_insert(Nothing::Close);
            return;
        }
        let is_whole = data.ingest(bytes, &mut envelope.message);
        if envelope.message.len() > sky.weather.mail_bytes_max() {
            // What follows cannot be told from commands unless it is read to its end.
            answer.end("552 5.3.4 the mail is too large");
        } else if is_whole {
            self.data = None;
            let fault = sky.weather.at(Step::End, &envelope.to);
            let kept = self.envelope.take();
            answer.pause += sky.weather.end_latency();
            match fault {
                Some(fault @ Says::Code(_)) => answer.fail(fault),
                Some(fault @ Says::Nothing(_)) => {
                    answer.mails.extend(kept);
                    answer.fail(fault);
                }
                None => {
                    answer.mails.extend(kept);
                    answer.say("250 2.0.0 kept");
                }
            }
        }
    }

    /// What the server does about `request`, if not what it should.
    fn fault(&self, request: &Request<String>, sky: &mut Sky<'_>) -> Option<Says> {
        let recipients = self.envelope.as_ref().map_or(&[][..], |envelope| &envelope.to);
        match request {
            Request::Ehlo { .. } => sky.weather.at(Step::Ehlo, &[]),
            Request::Mail { .. } => sky.weather.at(Step::Mail, &[]),
            Request::Rcpt { to } => sky.weather.at_recipient(&to.address, sky.now),
            Request::Data => sky.weather.at(Step::Data, recipients),
            _ => None,
        }
    }

    fn obey(&mut self, request: Request<String>, sky: &mut Sky<'_>, answer: &mut Answer) {
        if let Some(fault) = self.fault(&request, sky) {
            return answer.fail(fault);
        }
        let bytes_max = sky.weather.mail_bytes_max();
        match request {
            Request::Ehlo { .. } => {
                self.envelope = None;
                answer.say("250-mail-sink");
                answer.say("250-8BITMIME");
                answer.say("250-PIPELINING");
                answer.say(&format!("250-SIZE {bytes_max}"));
                answer.say("250 SMTPUTF8");
            }
            Request::Helo { .. } => {
                self.envelope = None;
                answer.say("250 mail-sink");
            }
            Request::Mail { .. } if self.envelope.is_some() => {
                answer.say("503 5.5.1 a mail is under way already");
            }
            Request::Mail { from } if from.size > bytes_max => {
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
        self.end = Some(Nothing::Close);
    }

    /// A fault that was switched on.
    fn fail(&mut self, fault: Says) {
        match fault {
            Says::Code(451) => self.say("451 4.7.1 greylisted: come back later"),
            Says::Code(421) => self.end("421 4.3.2 the service ends: a fault that was switched on"),
            Says::Code(code) => {
                self.say(&format!("{code} {}.0.0 a fault that was switched on", code / 100));
            }
            Says::Nothing(end) => self.end = Some(end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::MAIL_BYTES_MAX;

    /// One mail, with a line that begins with a dot.
    const DIALOGUE: &str = "EHLO shop\r\nMAIL FROM:<shop@x.org> SIZE=60\r\n\
        RCPT TO:<ada@x.org>\r\nDATA\r\nSubject: hi\r\n\r\n..dotted\r\nend\r\n.\r\nQUIT\r\n";

    fn codes(answer: &Answer) -> Vec<String> {
        let text = String::from_utf8(answer.replies.clone()).unwrap();
        text.lines().map(|line| line.chars().take(4).collect()).collect()
    }

    /// What a new session answers on a good day.
    fn answer_to(dialogue: &str) -> Answer {
        receive(&mut Session::default(), dialogue.as_bytes())
    }

    fn receive(session: &mut Session, bytes: &[u8]) -> Answer {
        session.receive(bytes, &mut Weather::default(), Instant::now())
    }

    fn replies_to(dialogue: &str) -> Vec<String> {
        codes(&answer_to(dialogue))
    }

    #[test]
    fn a_mail_is_whole_whether_it_comes_at_once_or_byte_by_byte() {
        let at_once = answer_to(DIALOGUE);
        let (mut session, mut in_pieces) = (Session::default(), Answer::default());
        for byte in DIALOGUE.as_bytes() {
            let answer = receive(&mut session, &[*byte]);
            in_pieces.replies.extend(answer.replies);
            in_pieces.mails.extend(answer.mails);
            in_pieces.end = in_pieces.end.or(answer.end);
        }
        let mail = Envelope {
            from: "shop@x.org".into(),
            to: vec!["ada@x.org".into()],
            message: b"Subject: hi\r\n\r\n.dotted\r\nend\r\n".into(),
        };
        for answer in [at_once, in_pieces] {
            assert_eq!(answer.mails, std::slice::from_ref(&mail));
            assert_eq!(answer.end, Some(Nothing::Close), "QUIT ends it");
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
        let answer = answer_to(twice);
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
            let codes = replies_to(&format!("{wrong}\r\nNOOP\r\n"));
            assert!(codes[0].starts_with("50") && codes[1] == "250 ", "{wrong}: {codes:?}");
        }
    }

    #[test]
    fn neither_a_line_nor_a_mail_nor_its_recipients_grow_without_bound() {
        let mut session = Session::default();
        let line = receive(&mut session, &[b'x'; 8 * 1024]);
        assert!(line.end.is_some() && codes(&line) == ["500 "], "{:?}", codes(&line));

        let announced = format!("MAIL FROM:<a@x.org> SIZE={}\r\n", MAIL_BYTES_MAX + 1);
        assert_eq!(replies_to(&announced), ["552 "]);

        let mut session = Session::default();
        receive(&mut session, b"MAIL FROM:<a@x.org>\r\nRCPT TO:<b@x.org>\r\nDATA\r\n");
        let piece = [b'x'; 64 * 1024];
        let large = (0..=MAIL_BYTES_MAX / piece.len()).map(|_| receive(&mut session, &piece));
        let last = large.last().unwrap();
        assert!(last.end.is_some() && codes(&last) == ["552 "] && last.mails.is_empty());

        let many = "RCPT TO:<b@x.org>\r\n".repeat(RECIPIENTS_MAX + 1);
        let codes = replies_to(&format!("MAIL FROM:<a@x.org>\r\n{many}"));
        assert_eq!(codes.last().map(String::as_str), Some("452 "));
    }

    /// What a session with one mail to ada answers under `faults`, command by command.
    fn under(faults: serde_json::Value) -> (Vec<String>, Answer) {
        let faults: crate::faults::Faults = serde_json::from_value(faults).unwrap();
        let mut weather = Weather::new(faults.checked().unwrap());
        let (mut session, mut all) = (Session::default(), Session::greet(&mut weather));
        for line in DIALOGUE.split_inclusive("\r\n") {
            if all.end.is_none() {
                let answer = session.receive(line.as_bytes(), &mut weather, Instant::now());
                all.replies.extend(answer.replies);
                all.mails.extend(answer.mails);
                all.pause += answer.pause;
                all.end = answer.end;
            }
        }
        let mut codes = codes(&all);
        codes.retain(|code| code != "250-");
        (codes, all)
    }

    #[test]
    fn each_step_can_be_refused_or_left_without_an_answer() {
        let rule = |at: &str, says: serde_json::Value| {
            under(serde_json::json!({ "rules": [{ "at": at, "says": says }] }))
        };
        let good = ["220 ", "250 ", "250 ", "250 ", "354 ", "250 ", "221 "];
        assert_eq!(under(serde_json::json!({})).0, good);
        let steps = ["greeting", "ehlo", "mail", "rcpt", "data", "content"];
        for (said, at) in steps.iter().enumerate() {
            let said = if *at == "content" { 5 } else { said };
            for (says, end) in [("silence", Nothing::Silence), ("close", Nothing::Close)] {
                let (codes, all) = rule(at, says.into());
                assert_eq!(codes, good[..said], "{at}");
                assert_eq!(all.end, Some(end), "{at}");
                assert!(all.mails.is_empty(), "{at}");
            }
            let (codes, all) = rule(at, 421.into());
            assert_eq!(codes[..said], good[..said], "{at}");
            assert_eq!(codes[said..], ["421 "], "{at}");
            assert_eq!(all.end, Some(Nothing::Close), "{at}");
        }
        let (codes, all) = rule("rcpt", 550.into());
        assert_eq!(codes[3..5], ["550 ", "503 "]);
        assert!(all.mails.is_empty());
    }

    #[test]
    fn a_mail_without_an_answer_is_kept_and_one_that_is_refused_is_not() {
        let end = |says: serde_json::Value| {
            under(
                serde_json::json!({ "rules": [{ "at": "end", "says": says, "to": "ada@x.org" }] }),
            )
        };
        for says in ["silence", "close"] {
            let (codes, all) = end(says.into());
            assert_eq!((codes.len(), all.mails.len()), (5, 1), "{says}: {codes:?}");
        }
        let (codes, all) = end(451.into());
        assert_eq!((&*codes[5], all.mails.len()), ("451 ", 0));
        let (_, all) = under(serde_json::json!({ "end_latency_ms": 4_000 }));
        assert_eq!((all.pause, all.mails.len()), (Duration::from_secs(4), 1));
        let (codes, all) = under(serde_json::json!({ "mail_bytes_max": 20 }));
        assert_eq!((&*codes[2], all.mails.len()), ("552 ", 0), "it was announced with MAIL");
    }
}
