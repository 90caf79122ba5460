//! The answers to clients: accepted, the order, or the reasons against it.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use contracts::{
    Order, Reason, Status,
    orders::{CommandRefused, OrderCommand},
};
use serde::Serialize;
use serde_json::json;
use service_kit::Problem;
use utoipa::ToSchema;

use super::{
    representation::OrderBody,
    waiters::{Goal, Outcome},
};

/// The command is in the log; what comes of it can be seen at `Location`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Accepted {
    /// The order, a UUID.
    order_id: String,
    /// The command, a UUID.
    command_id: String,
    #[serde(skip)]
    location: String,
}

impl Accepted {
    pub(super) fn new(command: &OrderCommand, view_url: &str) -> Self {
        let order_id = command.order_id().to_string();
        let location = format!("{view_url}/orders/{order_id}");
        Self { order_id, command_id: command.command_id().to_string(), location }
    }

    fn located(&self, mut response: Response) -> Response {
        // A UUID is a valid header value. If VIEW_URL is none, no answer has a location.
        if let Ok(location) = HeaderValue::try_from(&self.location) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }

    fn problem(&self, status: StatusCode, code: &'static str, title: &'static str) -> Problem {
        Problem::new(status, code, title)
            .with("order_id", self.order_id.as_str())
            .with("command_id", self.command_id.as_str())
    }
}

impl IntoResponse for Accepted {
    /// 202, with the place where the order will be seen.
    fn into_response(self) -> Response {
        let response = (StatusCode::ACCEPTED, Json(&self)).into_response();
        self.located(response)
    }
}

/// The answer to a client that has waited for `outcome`.
pub(super) fn settled(outcome: Outcome, goal: Goal, accepted: &Accepted) -> Response {
    match (outcome, goal) {
        (Outcome::Shown(_), _) | (Outcome::Settled(_), Goal::Decided) => {
            accepted.clone().into_response()
        }
        (Outcome::Settled(order), Goal::Placed) => placed(&order, accepted),
        (Outcome::Settled(order), Goal::Cancelled) => {
            let response = (StatusCode::OK, Json(OrderBody::from(&*order))).into_response();
            accepted.located(response)
        }
        (Outcome::Refused(refused), Goal::Placed | Goal::Decided) => {
            not_placed(&refused, accepted).into_response()
        }
        (Outcome::Refused(refused), Goal::Cancelled) => {
            let title = "The order cannot be cancelled";
            let problem = accepted.problem(StatusCode::CONFLICT, "cancellation_refused", title);
            explained(problem, &refused.reasons).into_response()
        }
    }
}

fn placed(order: &Order, accepted: &Accepted) -> Response {
    let (status, code, title) = match order.status {
        Status::Confirmed => {
            let response = (StatusCode::CREATED, Json(OrderBody::from(order))).into_response();
            return accepted.located(response);
        }
        Status::Rejected => {
            (StatusCode::UNPROCESSABLE_ENTITY, "order_rejected", "The order was rejected")
        }
        Status::Refunded => {
            (StatusCode::CONFLICT, "order_refunded", "The order was cancelled and refunded")
        }
        Status::Cancelled
        | Status::Requested
        | Status::Validated
        | Status::Paid
        | Status::PaymentDeclined
        | Status::RefundDue => (StatusCode::CONFLICT, "order_cancelled", "The order was cancelled"),
    };
    let problem = accepted.problem(status, code, title);
    accepted.located(explained(problem, &order.reasons).into_response())
}

fn not_placed(refused: &CommandRefused, accepted: &Accepted) -> Problem {
    let reused = refused.reasons.iter().any(|reason| reason.code == "idempotency_key_reused");
    let problem = if reused {
        let title = "The idempotency key belongs to another request";
        accepted.problem(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", title)
    } else {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        let problem = accepted.problem(status, "order_refused", "The order cannot be placed");
        with_fields(problem, &refused.reasons)
    };
    explained(problem, &refused.reasons)
}

/// The request cannot be carried out, with the path of each member that is wrong.
pub(super) fn invalid(reasons: &[Reason]) -> Problem {
    with_fields(Problem::invalid("the order cannot be placed"), reasons)
}

fn with_fields(problem: Problem, reasons: &[Reason]) -> Problem {
    reasons.iter().fold(problem, |problem, reason| {
        problem.field(&reason.check, reason.code.clone(), &reason.detail)
    })
}

fn explained(problem: Problem, reasons: &[Reason]) -> Problem {
    let details: Vec<_> = reasons.iter().map(|reason| reason.detail.as_str()).collect();
    let reasons: Vec<_> = reasons
        .iter()
        .map(|reason| json!({"check": reason.check, "code": reason.code, "detail": reason.detail}))
        .collect();
    problem.detail(details.join("; ")).with("reasons", reasons)
}
