//! From a request to the command log, and back with an answer.

use std::{future::Future, pin::Pin, time::Duration};

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue},
    response::{IntoResponse, Response},
};
use contracts::{orders::OrderCommand, owns::Orders, topics::ORDER_COMMANDS};
use service_kit::{
    Caller, Problem,
    telemetry::{about_order, trace_headers},
};
use streams::{lineage::Cause, record::names};
use streams_kafka::{SendError, Sender};
use tokio::time::timeout;

use super::{
    App, answer, idempotency, prefer,
    waiters::{Goal, Outcome, Ticket},
};

/// Longest wait for the decision on a command with a key.
const DECISION_TIMEOUT: Duration = Duration::from_secs(1);

/// What a [`CommandLog`] answers.
pub type Sent<'a> = Pin<Box<dyn Future<Output = Result<(), SendError>> + Send + 'a>>;

/// Where commands go: `orders.commands`.
pub trait CommandLog: Send + Sync + 'static {
    /// Put `command` there, and wait until it is safe.
    fn send<'a>(&'a self, command: &'a OrderCommand, cause: Cause) -> Sent<'a>;
}

impl CommandLog for Sender<Orders> {
    fn send<'a>(&'a self, command: &'a OrderCommand, cause: Cause) -> Sent<'a> {
        Box::pin(async move {
            Sender::send(self, &ORDER_COMMANDS, &command.order_id(), command, cause).await
        })
    }
}

/// Send `command`, wait for `goal` if the client prefers that, and answer.
///
/// # Errors
/// A [`Problem`]: the command could not be sent.
pub(super) async fn carry_out(
    app: &App,
    (caller, headers): (&Caller, &HeaderMap),
    command: OrderCommand,
    goal: Goal,
) -> Result<Response, Problem> {
    about_order(command.order_id());
    let accepted = answer::Accepted::new(&command, &app.view_url);
    let Some(wait) = prefer::wait(headers) else {
        return match refused(app, (caller, headers), &command).await? {
            Some(refused) => Ok(answer::settled(refused, Goal::Decided, &accepted)),
            None => Ok(accepted.into_response()),
        };
    };
    let customer = match &command {
        OrderCommand::CancelOrder(cancel) => cancel.customer_id.clone(),
        OrderCommand::PlaceOrder(_) => None,
    };
    let (order_id, command_id) = (command.order_id(), command.command_id());
    let ticket = app.waiters.register_for(customer, order_id, command_id, goal);
    let ticket = ticket.map_err(|_| {
        Problem::unavailable("too many requests wait for an outcome; come without `Prefer: wait`")
    })?;
    send(app, caller, &command).await?;
    let mut response = match outcome(app, ticket, wait).await {
        Some(outcome) => answer::settled(outcome, goal, &accepted),
        None => accepted.into_response(),
    };
    let applied = HeaderValue::try_from(format!("wait={}", wait.as_secs()));
    response.headers_mut().insert(
        HeaderName::from_static("preference-applied"),
        applied.expect("digits can stand in a header"),
    );
    Ok(response)
}

/// Send `command`. With a key, its refusal, if it was refused: the key may belong to another
/// request, and only the owner of the order's partition knows what was asked for first. So this
/// waits until the owner has decided, [`DECISION_TIMEOUT`] at most. A repeated command causes
/// nothing that could be heard, so it is accepted when that time is over.
async fn refused(
    app: &App,
    (caller, headers): (&Caller, &HeaderMap),
    command: &OrderCommand,
) -> Result<Option<Outcome>, Problem> {
    let ticket = match command {
        OrderCommand::PlaceOrder(place) if idempotency::is_keyed(headers) => {
            // When too many wait, the refusal shows at the view alone.
            app.waiters.register_decision(place.order_id, place.command_id)
        }
        OrderCommand::PlaceOrder(_) | OrderCommand::CancelOrder(_) => None,
    };
    send(app, caller, command).await?;
    let Some(ticket) = ticket else { return Ok(None) };
    let decided = outcome(app, ticket, DECISION_TIMEOUT).await;
    Ok(decided.filter(|outcome| matches!(outcome, Outcome::Refused(_))))
}

async fn send(app: &App, caller: &Caller, command: &OrderCommand) -> Result<(), Problem> {
    let traceparent =
        trace_headers().get(names::TRACEPARENT).and_then(|v| v.to_str().ok().map(str::to_owned));
    let caller = caller.identity().map(ToString::to_string);
    let cause = Cause { traceparent, caller, ..Cause::default() };
    let sending = app.admission.sending(command);
    let sent = app.commands.send(command, cause).await;
    let Err(error) = sent else {
        sending.acknowledged();
        return Ok(());
    };
    Err(match error {
        SendError::Unavailable(cause) => {
            tracing::debug!("{} was not taken: {cause}", command.name());
            Problem::unavailable(
                "the command was not acknowledged in time and may or may not be carried out; \
                 repeating it under the same Idempotency-Key is safe",
            )
        }
        error @ SendError::NoSchema(_) => Problem::unavailable(error.to_string()),
        SendError::Invalid(cause) => Problem::internal(&anyhow::anyhow!(cause)),
    })
}

/// What came of the command within `wait`, unless the service stops before.
async fn outcome(app: &App, mut ticket: Ticket, wait: Duration) -> Option<Outcome> {
    app.shutdown.run_until_cancelled(timeout(wait, ticket.outcome())).await?.ok()
}
