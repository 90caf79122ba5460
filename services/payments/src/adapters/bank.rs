//! The bank over HTTP. It is outside the shop: it may be slow, lose an answer or be away, so every
//! call has a timeout and a key that makes it safe to repeat: the order id.

use crate::{
    domain::{Answer, Input, Task},
    supervisor::Call,
};
use contracts::{
    Order,
    metrics::{BANK_CALLS, BANK_SECONDS},
};
use reqwest::{RequestBuilder, Response, StatusCode, header::HeaderValue, redirect::Policy};
use serde::Deserialize;
use serde_json::json;
use service_kit::config::without_secrets;
use std::time::{Duration, Instant};
use streams::{
    Meters,
    tracer::{self, Attributes, Span, names as attribute},
};

/// Longest text of the bank that is kept, in characters.
const TEXT_CHARS_MAX: usize = 200;

/// Longest answer that is read, in bytes. What the bank says takes some hundred.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A client of the bank. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Bank {
    /// With a password, if it has one: for requests alone.
    base: String,
    /// Without it: for logs and spans.
    url: String,
    http: reqwest::Client,
    meters: Meters,
}

/// What the bank's answers have in common; a problem has `code` and `detail` as a decline has.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    charge_id: String,
    code: String,
    detail: String,
}

impl Bank {
    /// The bank at `url`.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(url: &str) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder().redirect(Policy::none()).build()?;
        let base = url.trim_end_matches('/').to_owned();
        let url = without_secrets(&base);
        Ok(Self { base, url, http, meters: Meters::default() })
    }

    /// The same, with its calls measured.
    pub fn measured(self, meters: Meters) -> Self {
        for task in [Task::Charge, Task::Void, Task::Refund] {
            meters.count(&BANK_CALLS, &[name(task), "unknown"], 0);
        }
        Self { meters, ..self }
    }

    /// Where it is, without a password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Makes `call`; what came of it within `timeout`. What did not arrive, or does not say what
    /// the bank did, is [`Input::BankUnknown`].
    pub async fn perform(&self, call: &Call, timeout: Duration) -> Input {
        let (begun, task) = (Instant::now(), name(call.task));
        let mut span = self.span(call);
        let input = self.ask(call, timeout, span.as_deref_mut()).await;
        if let (Some(span), Input::BankUnknown(cause)) = (&mut span, &input) {
            span.fail(cause);
        }
        self.meters.record(&BANK_SECONDS, &[task], begun.elapsed().as_secs_f64());
        self.meters.count(&BANK_CALLS, &[task, outcome(&input)], 1);
        input
    }

    /// The span of `call`; how often it was made before tells repeated ones apart.
    fn span(&self, call: &Call) -> Option<Box<dyn Span>> {
        let template = template(call.task);
        let path = template.replace("{key}", &call.order_id().to_string());
        let attributes: Attributes = vec![
            (attribute::HTTP_METHOD, "POST".into()),
            (attribute::HTTP_RESENDS, i64::from(call.attempt.saturating_sub(1)).into()),
            (attribute::SERVER_ADDRESS, self.place().0.into()),
            (attribute::SERVER_PORT, self.place().1.into()),
            (attribute::URL_FULL, format!("{}{path}", self.url).into()),
            (attribute::URL_TEMPLATE, template.into()),
        ];
        tracer::call(call.traceparent.as_deref(), &format!("POST {template}"), attributes)
    }

    /// Host and port.
    fn place(&self) -> (String, i64) {
        let url = reqwest::Url::parse(&self.url).ok();
        let host = url.as_ref().and_then(|url| url.host_str()).unwrap_or_default().to_owned();
        (host, url.and_then(|url| url.port_or_known_default()).unwrap_or_default().into())
    }

    async fn ask(
        &self,
        call: &Call,
        timeout: Duration,
        mut span: Option<&mut (dyn Span + 'static)>,
    ) -> Input {
        let mut request = self.request(call.task, &call.payment.order).timeout(timeout);
        // A row may be older than the check of headers: the order counts, not its trace.
        let traceparent = span.as_deref().map(Span::traceparent).or(call.traceparent.clone());
        let traceparent = traceparent.map(HeaderValue::try_from);
        if let Some(Ok(traceparent)) = traceparent {
            request = request.header("traceparent", traceparent);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                // The answer is kept and logged, and the URL may have a secret.
                let error = anyhow::Error::new(error.without_url());
                return Input::BankUnknown(format!("{error:#}"));
            }
        };
        let status = response.status();
        if let Some(span) = &mut span {
            span.set(attribute::HTTP_STATUS, i64::from(status.as_u16()).into());
        }
        match read(response).await {
            Ok(answer) => heard(call.task, status, &answer),
            Err(error) => Input::BankUnknown(format!("{status}, but {error}")),
        }
    }

    fn request(&self, task: Task, order: &Order) -> RequestBuilder {
        let key = order.order_id.to_string();
        let total = &order.total;
        let url = format!("{}{}", self.base, template(task).replace("{key}", &key));
        match task {
            Task::Charge => {
                let body = json!({
                    "amount_minor": total.amount_minor,
                    "currency": total.currency,
                    "customer": order.customer.customer_id,
                    "reference": key,
                });
                self.http.post(url).header("Idempotency-Key", key).json(&body)
            }
            Task::Void => self.http.post(url),
            Task::Refund => {
                self.http.post(url).json(&json!({ "amount_minor": total.amount_minor }))
            }
        }
    }
}

fn template(task: Task) -> &'static str {
    match task {
        Task::Charge => "/charges",
        Task::Void => "/charges/{key}/void",
        Task::Refund => "/charges/{key}/refund",
    }
}

fn name(task: Task) -> &'static str {
    match task {
        Task::Charge => "charge",
        Task::Void => "void",
        Task::Refund => "refund",
    }
}

fn outcome(input: &Input) -> &'static str {
    match input {
        Input::BankAnswered(Answer::Captured { .. })
        | Input::VoidConfirmed
        | Input::RefundConfirmed => "done",
        Input::BankAnswered(Answer::Declined { .. }) => "declined",
        Input::BankAnswered(Answer::Refused { .. }) => "refused",
        Input::BankAnswered(Answer::Voided) => "voided",
        Input::BankUnknown(_)
        | Input::DeadlinePassed
        | Input::OrderValidated(_)
        | Input::RefundDue(_) => "unknown",
    }
}

async fn read(mut response: Response) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(chunk) =
        response.chunk().await.map_err(|error| format!("the answer broke off: {error}"))?
    {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(format!("the answer is longer than {ANSWER_BYTES_MAX} bytes"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// What the bank says about `task` with this `status` and the bytes of this `answer`.
pub fn heard(task: Task, status: StatusCode, answer: &[u8]) -> Input {
    // A body that is not what was expected says nothing, but the status still does.
    let body = serde_json::from_slice(answer).unwrap_or_default();
    match task {
        Task::Charge => charged(status, body),
        Task::Void => voided(status, &body),
        Task::Refund => refunded(status, &body),
    }
}

fn charged(status: StatusCode, body: Body) -> Input {
    let (code, detail) = (text(&body.code), text(&body.detail));
    // What is left of it: without a reference, nothing finds the money again.
    let reference = text(&body.charge_id);
    Input::BankAnswered(match status {
        StatusCode::OK | StatusCode::CREATED if !reference.is_empty() => {
            Answer::Captured { reference }
        }
        StatusCode::PAYMENT_REQUIRED if !code.is_empty() => Answer::Declined { code, detail },
        StatusCode::CONFLICT if code == "voided" => Answer::Voided,
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY if !code.is_empty() => {
            Answer::Refused { code, detail }
        }
        // Anything else (a wrong address, a proxy, an outage) does not say what the bank did.
        _ => return unknown(status, &body),
    })
}

fn voided(status: StatusCode, body: &Body) -> Input {
    match status {
        StatusCode::OK => Input::VoidConfirmed,
        // The bank has refunded it already: it holds nothing.
        StatusCode::CONFLICT if body.code == "refunded" => Input::VoidConfirmed,
        _ => unknown(status, body),
    }
}

fn refunded(status: StatusCode, body: &Body) -> Input {
    match status {
        StatusCode::OK | StatusCode::CREATED => Input::RefundConfirmed,
        // The bank has voided it already: the money is back.
        StatusCode::CONFLICT if body.code == "voided" => Input::RefundConfirmed,
        _ => unknown(status, body),
    }
}

fn unknown(status: StatusCode, body: &Body) -> Input {
    Input::BankUnknown(format!("the bank answered {status} {}", text(&body.code)).trim().to_owned())
}

/// A text of the bank, in bounds.
fn text(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(code: &str, charge_id: &str) -> Body {
        Body { code: code.into(), charge_id: charge_id.into(), detail: "why".into() }
    }

    #[test]
    fn only_what_says_what_the_bank_did_is_an_answer() {
        let status = |code| StatusCode::from_u16(code).unwrap();
        let charge = |code, text, id| match charged(status(code), body(text, id)) {
            Input::BankAnswered(answer) => format!("{answer:?}"),
            Input::BankUnknown(_) => "unknown".into(),
            other => panic!("{other:?}"),
        };
        assert!(charge(201, "", "ch_1").starts_with("Captured"));
        assert!(charge(200, "", "ch_1").starts_with("Captured"));
        assert!(charge(402, "amount_rule", "").starts_with("Declined"));
        assert!(charge(409, "voided", "").starts_with("Voided"));
        assert!(charge(422, "idempotency_key_reused", "").starts_with("Refused"));
        assert_eq!(charge(201, "", "\u{1}\n"), "unknown", "nothing is left of the reference");
        for (code, text) in [(200, ""), (402, ""), (404, "not_found"), (409, "busy"), (503, "x")] {
            assert_eq!(charge(code, text, ""), "unknown", "{code} {text}");
        }
        assert_eq!(voided(status(200), &body("", "")), Input::VoidConfirmed);
        assert_eq!(voided(status(409), &body("refunded", "")), Input::VoidConfirmed);
        assert!(matches!(voided(status(500), &body("", "")), Input::BankUnknown(_)));
        assert_eq!(refunded(status(201), &body("", "")), Input::RefundConfirmed);
        assert_eq!(refunded(status(409), &body("voided", "")), Input::RefundConfirmed);
        assert!(matches!(refunded(status(404), &body("not_found", "")), Input::BankUnknown(_)));
    }
}
