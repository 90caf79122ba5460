//! [`SmtpMailer`]: mails over SMTP (RFC 5321), on one connection that is kept open.

use crate::{
    config::SmtpAddr,
    domain::mail::Mail,
    mailer::{DeliveryError, Mailer},
};
use lettre::{
    Message, SmtpTransport, Transport,
    message::{Mailbox, MultiPart},
    transport::smtp::PoolConfig,
};
use service_kit::{Outage, Readiness, Shutdown};
use std::time::Duration;

/// Longest wait for the server at each step of a delivery. Times the steps and the mails of a
/// batch it stays below Kafka's `max.poll.interval.ms`.
const TIMEOUT: Duration = Duration::from_secs(3);

/// An idle connection is closed after this.
const IDLE: Duration = Duration::from_secs(60);

/// How often the server is asked whether it is there.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// Sends mails to one server.
pub struct SmtpMailer {
    transport: SmtpTransport,
    from: Mailbox,
    addr: SmtpAddr,
}

impl SmtpMailer {
    /// A mailer for the server at `addr`, which need not be there yet.
    pub fn new(addr: SmtpAddr, from: Mailbox) -> Self {
        let pool = PoolConfig::new().max_size(1).min_idle(0).idle_timeout(IDLE);
        // "Dangerous", as the connection is not encrypted: see SMTP_ADDR.
        let transport = SmtpTransport::builder_dangerous(&addr.host)
            .port(addr.port)
            .timeout(Some(TIMEOUT))
            .pool_config(pool)
            .build();
        Self { transport, from, addr }
    }

    /// Asks the server now and then whether it is there, and keeps `check` as it says, until
    /// `shutdown`. Mails tell as well, but nobody should have to wait for one to know.
    pub fn watch(
        &self,
        check: Readiness,
        shutdown: Shutdown,
    ) -> impl Future<Output = ()> + Send + 'static {
        let transport = self.transport.clone();
        let mut outage = Outage::new("the mail server", self.addr.to_string());
        async move {
            loop {
                let transport = transport.clone();
                let probe = tokio::task::spawn_blocking(move || transport.test_connection());
                match probe.await {
                    Ok(Ok(true)) => {
                        outage.recovered();
                        check.up();
                    }
                    Ok(Ok(false)) => check.down(outage.failed("it does not answer")),
                    Ok(Err(error)) => check.down(outage.failed(error)),
                    Err(error) => check.down(outage.failed(error)),
                }
                let pause = tokio::time::sleep(PROBE_INTERVAL);
                if shutdown.run_until_cancelled(pause).await.is_none() {
                    return;
                }
            }
        }
    }

    fn message(&self, mail: &Mail) -> Result<Message, DeliveryError> {
        let address = mail.to_address.parse().map_err(|error| {
            DeliveryError::Permanent(format!("{:?} is no address: {error}", mail.to_address))
        })?;
        // A line break or a NUL cannot stand in a header: lettre panics over it.
        let name = mail.to_name.replace(char::is_control, " ");
        Message::builder()
            .message_id(Some(mail.message_id.clone()))
            .from(self.from.clone())
            .to(Mailbox::new(Some(name), address))
            .subject(mail.subject.clone())
            .multipart(MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone()))
            .map_err(|error| DeliveryError::Permanent(error.to_string()))
    }
}

impl Mailer for SmtpMailer {
    fn deliver(&mut self, mail: &Mail) -> Result<(), DeliveryError> {
        let message = self.message(mail)?;
        match self.transport.send(&message) {
            Ok(_) => Ok(()),
            // A client error is about the mail, too: an address that this server cannot take.
            Err(error) if error.is_permanent() || error.is_client() => {
                Err(DeliveryError::Permanent(format!("the mail server refuses: {error}")))
            }
            Err(error) => {
                let place = &self.addr;
                Err(DeliveryError::Temporary(format!("the mail server at {place}: {error}")))
            }
        }
    }
}
