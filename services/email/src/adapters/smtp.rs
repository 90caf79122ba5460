//! [`SmtpMailer`]: mails over SMTP (RFC 5321), on one open connection.

use crate::{
    config::SmtpAddr,
    domain::mail::Mail,
    mailer::{DeliveryError, Mailer},
};
use lettre::{
    Address, Message,
    message::{Mailbox, MultiPart},
    transport::smtp::{
        Error,
        client::SmtpConnection,
        commands::{self, Data, Rcpt},
        extension::{ClientId, Extension, MailParameter},
    },
};
use service_kit::{Outage, Readiness, Shutdown};
use std::time::Duration;

/// Longest wait for the server at each step of a delivery. Times the steps and the mails of a
/// batch it stays below Kafka's `max.poll.interval.ms`.
const TIMEOUT: Duration = Duration::from_secs(3);

/// How often the server is asked whether it is there.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// Sends mails to one server.
pub struct SmtpMailer {
    addr: SmtpAddr,
    from: Mailbox,
    /// Open since the last mail, if that went well.
    connection: Option<SmtpConnection>,
}

impl SmtpMailer {
    /// A mailer for the server at `addr`, which need not be there yet.
    pub fn new(addr: SmtpAddr, from: Mailbox) -> Self {
        Self { addr, from, connection: None }
    }

    /// Asks the server now and then whether it is there, and keeps `check` as it says, until
    /// `shutdown`. Mails tell as well, but health should not wait for a mail.
    pub fn watch(
        &self,
        check: Readiness,
        shutdown: Shutdown,
    ) -> impl Future<Output = anyhow::Result<()>> + Send + 'static {
        let addr = self.addr.clone();
        let mut outage = Outage::new("the mail server", addr.to_string());
        async move {
            loop {
                let addr = addr.clone();
                let probe = tokio::task::spawn_blocking(move || {
                    connect(&addr).map(|mut connection| connection.abort())
                });
                match probe.await {
                    Ok(Ok(())) => {
                        outage.recovered();
                        check.up();
                    }
                    Ok(Err(error)) => check.down(outage.failed(error)),
                    Err(error) => check.down(outage.failed(error)),
                }
                let pause = tokio::time::sleep(PROBE_INTERVAL);
                if shutdown.run_until_cancelled(pause).await.is_none() {
                    return Ok(());
                }
            }
        }
    }

    fn message(&self, mail: &Mail, to: Address) -> Result<Message, DeliveryError> {
        // A header cannot contain a line break or a NUL: lettre panics over it.
        let name = mail.to_name.replace(char::is_control, " ");
        Message::builder()
            .message_id(Some(mail.message_id.clone()))
            .from(self.from.clone())
            .to(Mailbox::new(Some(name), to))
            .subject(mail.subject.clone())
            .multipart(MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone()))
            .map_err(|error| DeliveryError::Permanent(error.to_string()))
    }

    /// A connection on which the server takes a mail from us to `to`. The open one may be closed by
    /// now, or soon, as servers limit the mails and the silence on one (RFC 5321, 4.5.3.2.7): what
    /// a new one says counts.
    fn begin(&mut self, to: &Address) -> Result<SmtpConnection, DeliveryError> {
        if let Some(open) = self.connection.take()
            && let Ok(connection) = self.mail_from(open, to)
        {
            return Ok(connection);
        }
        let new = connect(&self.addr).map_err(|error| self.unavailable(&error))?;
        self.mail_from(new, to)
    }

    fn mail_from(
        &self,
        mut connection: SmtpConnection,
        to: &Address,
    ) -> Result<SmtpConnection, DeliveryError> {
        let is_ascii = AsRef::<str>::as_ref(to).is_ascii();
        if !is_ascii && !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            connection.abort();
            let cause = format!("the mail server cannot mail to {to}: it has no SMTPUTF8");
            return Err(DeliveryError::Permanent(cause));
        }
        let parameters = if is_ascii { Vec::new() } else { vec![MailParameter::SmtpUtfEight] };
        // A server that does not want us, or our sender, says nothing about this mail: no mail
        // would do better. So whatever it says up to here passes with its settings, or ours.
        match connection.command(commands::Mail::new(Some(self.from.email.clone()), parameters)) {
            Ok(_) => Ok(connection),
            Err(error) => {
                connection.abort();
                Err(self.unavailable(&error))
            }
        }
    }

    fn unavailable(&self, error: &Error) -> DeliveryError {
        DeliveryError::Temporary(format!("the mail server at {}: {error}", self.addr))
    }
}

impl Mailer for SmtpMailer {
    fn deliver(&mut self, mail: &Mail) -> Result<(), DeliveryError> {
        let to: Address = mail.to_address.parse().map_err(|error| {
            DeliveryError::Permanent(format!("{:?} is no address: {error}", mail.to_address))
        })?;
        let message = self.message(mail, to.clone())?;
        let mut connection = self.begin(&to)?;
        if let Err(error) = send(&mut connection, to, &message) {
            connection.abort();
            return Err(match error.is_permanent() {
                true => DeliveryError::Permanent(format!("the mail server refuses: {error}")),
                false => self.unavailable(&error),
            });
        }
        self.connection = Some(connection);
        Ok(())
    }
}

fn connect(addr: &SmtpAddr) -> Result<SmtpConnection, Error> {
    let place = (addr.host.as_str(), addr.port);
    SmtpConnection::connect(place, Some(TIMEOUT), &ClientId::default(), None, None)
}

/// The rest of a mail, command by command.
///
/// lettre's own way writes the end of the mail apart from the mail, and the kernel holds that small
/// second write back until the first is acknowledged: 40 ms for each mail. Here it is one write.
fn send(connection: &mut SmtpConnection, to: Address, message: &Message) -> Result<(), Error> {
    connection.command(Rcpt::new(to, Vec::new()))?;
    connection.command(Data)?;
    connection.command(content(message)).map(drop)
}

/// The mail with its end. A line that begins with a dot gets another one (RFC 5321, 4.5.2).
fn content(message: &Message) -> String {
    let formatted = message.formatted();
    let lines = String::from_utf8_lossy(&formatted).replace("\r\n.", "\r\n..");
    format!("{lines}\r\n.\r\n")
}
