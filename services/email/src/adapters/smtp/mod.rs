//! [`SmtpMailer`]: mails over SMTP (RFC 5321), on connections that are kept open.
//!
//! A server may take ten minutes for its answer to a mail (RFC 5321, 4.5.3.2.6), and Kafka takes
//! the partitions away from a consumer that does not poll for five (`max.poll.interval.ms`). So
//! each mail has a thread, which waits as long as the RFC asks for, and the processor waits for
//! [`PATIENCE`] only: then the mail is under way, and the others go on.

mod address;
mod conversation;
pub mod reply;

use crate::{
    config::SmtpAddr,
    domain::{
        mail::Mail,
        reply::{Step, Verdict},
    },
    mailer::{DeliveryError, Mailer, UNDER_WAY_MAX},
};
use address::{needs_smtputf8, travelling};
use conversation::{Command, Conversation, Stop, patience};
use lettre::{
    Address, Message,
    address::Envelope,
    message::{Mailbox, MultiPart},
};
use service_kit::{Outage, Readiness, Shutdown};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel},
    },
    thread,
    time::Duration,
};

/// Longest wait of the processor for the end of one delivery, or for a conversation to become
/// free. Times the mails of a batch, and those that are due, it stays far below Kafka's
/// `max.poll.interval.ms`.
const PATIENCE: Duration = Duration::from_millis(500);

/// Most open connections that wait for a mail.
const IDLE_MAX: usize = 2;

/// Most answers that are kept until they are asked for. One that is not was another instance's to
/// ask for, as the partition has moved.
const ANSWERS_MAX: usize = 128;

/// How often the server is asked whether it is there.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// Longest wait for its greeting then. A mail waits for longer: some servers keep strangers
/// waiting for some seconds.
const PROBE_PATIENCE: Duration = Duration::from_secs(10);

type Delivered = Result<(), DeliveryError>;

/// Sends mails to one server.
pub struct SmtpMailer {
    server: Server,
    /// Mails without an answer so far, by Message-ID.
    under_way: HashMap<String, Receiver<Delivered>>,
    /// One for each further conversation that may be under way.
    places: Receiver<()>,
    place_back: Sender<()>,
}

/// The place of a conversation, which is free again when it ends, however it ends.
struct Place(Sender<()>);

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

/// What the threads share.
#[derive(Clone)]
struct Server {
    addr: SmtpAddr,
    from: Mailbox,
    /// Connections whose last mail went well.
    idle: Arc<Mutex<Vec<Conversation>>>,
}

impl SmtpMailer {
    /// A mailer for the server at `addr`, which need not be there yet.
    pub fn new(addr: SmtpAddr, mut from: Mailbox) -> Self {
        if let Ok(email) = travelling(from.email.as_ref()) {
            from.email = email;
        }
        let (place_back, places) = channel();
        for _ in 0..UNDER_WAY_MAX {
            let _ = place_back.send(());
        }
        let server = Server { addr, from, idle: Arc::default() };
        Self { server, under_way: HashMap::new(), places, place_back }
    }

    /// Asks the server now and then whether it is there, and keeps `check` as it says, until
    /// `shutdown`. Mails tell as well, but health should not wait for a mail.
    pub fn watch(
        &self,
        check: Readiness,
        shutdown: Shutdown,
    ) -> impl Future<Output = anyhow::Result<()>> + Send + 'static {
        let addr = self.server.addr.clone();
        let mut outage = Outage::new("the mail server", addr.to_string());
        async move {
            loop {
                let (addr, (answer, asked)) = (addr.clone(), tokio::sync::oneshot::channel());
                // A thread, as the runtime would wait for a blocking task when it ends.
                let probe =
                    move || answer.send(Conversation::open(&addr, |_| PROBE_PATIENCE).map(drop));
                // Without a thread the answer never comes, which is an error of its own.
                let begun = thread::Builder::new().name("smtp-probe".to_owned()).spawn(probe);
                let Some(asked) = shutdown.run_until_cancelled(asked).await else { return Ok(()) };
                match asked {
                    Ok(Ok(())) => {
                        outage.recovered();
                        check.up();
                    }
                    Ok(Err(stop)) => check.down(outage.failed(stop)),
                    Err(error) => {
                        let why = begun.err().map_or(error.to_string(), |error| error.to_string());
                        check.down(outage.failed(why));
                    }
                }
                let pause = tokio::time::sleep(PROBE_INTERVAL);
                if shutdown.run_until_cancelled(pause).await.is_none() {
                    return Ok(());
                }
            }
        }
    }

    /// `mail` as it goes to the server, and to whom.
    ///
    /// # Errors
    /// [`DeliveryError::Permanent`] if it has no address.
    pub fn write(&self, mail: &Mail) -> Result<(Address, Message), DeliveryError> {
        let to = travelling(&mail.to_address).map_err(|error| {
            let cause = format!("{:?} is no address: {error}", mail.to_address);
            DeliveryError::Permanent(cause)
        })?;
        let message = self.server.message(mail, to.clone())?;
        Ok((to, message))
    }

    /// Begin to hand `message` over, on a thread of its own.
    fn begin(
        &mut self,
        to: Address,
        message: Message,
    ) -> Result<Receiver<Delivered>, DeliveryError> {
        if self.places.recv_timeout(PATIENCE).is_err() {
            return Err(DeliveryError::Outage(format!(
                "the mail server at {} has not answered to {UNDER_WAY_MAX} mails",
                self.server.addr
            )));
        }
        let (answer, answered) = channel();
        let (server, place) = (self.server.clone(), Place(self.place_back.clone()));
        let converse = move || {
            let _ = answer.send(server.deliver(&to, &message));
            drop(place);
        };
        let thread = thread::Builder::new().name("smtp".to_owned()).spawn(converse);
        thread.map(|_| answered).map_err(|error| self.server.outage(&error))
    }

    /// Forget answers if there are too many, which the processor will not ask for any more.
    fn keep(&mut self, message_id: &str, answer: Receiver<Delivered>) {
        if self.under_way.len() >= ANSWERS_MAX {
            self.under_way
                .retain(|_, answer| matches!(answer.try_recv(), Err(TryRecvError::Empty)));
        }
        self.under_way.insert(message_id.to_owned(), answer);
    }
}

impl Mailer for SmtpMailer {
    fn deliver(&mut self, mail: &Mail) -> Delivered {
        let (answer, patience) = match self.under_way.remove(&mail.message_id) {
            Some(answer) => (answer, Duration::ZERO),
            None => {
                let (to, message) = self.write(mail)?;
                (self.begin(to, message)?, PATIENCE)
            }
        };
        match answer.recv_timeout(patience) {
            Ok(delivered) => delivered,
            Err(RecvTimeoutError::Timeout) => {
                self.keep(&mail.message_id, answer);
                let addr = &self.server.addr;
                let cause = format!("the mail server at {addr} has not answered yet");
                Err(DeliveryError::UnderWay(cause))
            }
            Err(error @ RecvTimeoutError::Disconnected) => Err(self.server.outage(&error)),
        }
    }
}

impl Server {
    fn message(&self, mail: &Mail, to: Address) -> Result<Message, DeliveryError> {
        // A header cannot contain a line break or a NUL: lettre panics over it.
        let name = mail.to_name.replace(char::is_control, " ");
        // Else lettre reads the addresses back from the headers, and does not know all of them.
        let envelope = Envelope::new(Some(self.from.email.clone()), vec![to.clone()])
            .map_err(|error| DeliveryError::Permanent(error.to_string()))?;
        Message::builder()
            .envelope(envelope)
            .message_id(Some(mail.message_id.clone()))
            .from(self.from.clone())
            .to(Mailbox::new(Some(name), to))
            .subject(mail.subject.clone())
            .multipart(MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone()))
            .map_err(|error| DeliveryError::Permanent(error.to_string()))
    }

    fn deliver(&self, to: &Address, message: &Message) -> Delivered {
        let mut conversation = self.conversation(to)?;
        conversation.content(&content(message)).map_err(|stop| self.stopped(&stop))?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(conversation);
        }
        Ok(())
    }

    /// A conversation in which the server waits for a mail to `to`. An open one may be closed by
    /// now, or soon, as servers limit the mails and the silence on one (RFC 5321, 4.5.3.2.7): what
    /// a new one says counts.
    fn conversation(&self, to: &Address) -> Result<Conversation, DeliveryError> {
        let open = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(mut open) = open {
            match open.commands(&self.envelope(&open, to)?) {
                Ok(()) => return Ok(open),
                Err((0, _)) => {}
                Err((_, stop)) => return Err(self.stopped(&stop)),
            }
        }
        let new = Conversation::open(&self.addr, patience);
        let mut new = new.map_err(|stop| self.stopped(&stop))?;
        let envelope = self.envelope(&new, to)?;
        new.commands(&envelope).map_err(|(_, stop)| self.stopped(&stop))?;
        Ok(new)
    }

    /// What comes before a mail to `to`.
    fn envelope(
        &self,
        conversation: &Conversation,
        to: &Address,
    ) -> Result<[Command; 3], DeliveryError> {
        let from = &self.from.email;
        let needed = [to, from].into_iter().find(|address| needs_smtputf8(address));
        if let Some(address) = needed
            && !conversation.has_smtputf8
        {
            let cause = format!("the mail server cannot mail to {address}: it has no SMTPUTF8");
            return Err(match address == from {
                // No mail would do better.
                true => DeliveryError::Outage(cause.replace("mail to", "mail from")),
                false => DeliveryError::Permanent(cause),
            });
        }
        let parameter = if needed.is_some() { " SMTPUTF8" } else { "" };
        // The sender alone is every mail's; what only this recipient needs says something of it.
        let step = if needed == Some(to) { Step::Recipient } else { Step::Sender };
        Ok([
            (step, format!("MAIL FROM:<{from}>{parameter}")),
            (Step::Recipient, format!("RCPT TO:<{to}>")),
            (Step::Data, "DATA".to_owned()),
        ])
    }

    /// What becomes of a mail whose conversation has stopped.
    fn stopped(&self, stop: &Stop) -> DeliveryError {
        match stop.verdict() {
            Verdict::Continue | Verdict::Outage => self.outage(stop),
            Verdict::Later => DeliveryError::Refused(format!(
                "the mail server does not take this mail for now: {stop}"
            )),
            Verdict::Never => DeliveryError::Permanent(format!("the mail server refuses: {stop}")),
            Verdict::Doubtful => DeliveryError::Doubtful(format!(
                "the mail server had the whole mail, and did not say whether it took it: {stop}"
            )),
        }
    }

    fn outage(&self, cause: &impl std::fmt::Display) -> DeliveryError {
        DeliveryError::Outage(format!("the mail server at {}: {cause}", self.addr))
    }
}

/// The mail with its end. A line that begins with a dot gets another one (RFC 5321, 4.5.2).
fn content(message: &Message) -> Vec<u8> {
    let formatted = message.formatted();
    let lines = String::from_utf8_lossy(&formatted).replace("\r\n.", "\r\n..");
    format!("{lines}\r\n.\r\n").into_bytes()
}
