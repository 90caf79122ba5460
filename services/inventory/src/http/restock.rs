//! `POST /stock/{sku}/restock`: goods have arrived.

use super::App;
use axum::{Json, extract::State, http::StatusCode};
use contracts::{
    CommandId, Sku, Timestamp,
    inventory::{InventoryCommand, RESTOCK_QUANTITY_MAX, Restock},
    topics::INVENTORY_COMMANDS,
};
use serde::{Deserialize, Serialize};
use service_kit::{Caller, Problem, ValidJson, ValidPath, json::whole, telemetry::trace_headers};
use std::fmt::Display;
use streams::lineage::Cause;
use streams_kafka::SendError;
use utoipa::ToSchema;
use uuid::Uuid;

/// How many pieces have arrived.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RestockRequest {
    /// Pieces.
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 10_000_000)]
    quantity: i64,
    /// A request that is sent again with the same id counts once. Made up if left out.
    #[schema(value_type = Option<String>, format = "uuid")]
    command_id: Option<Uuid>,
}

/// The command has been accepted; the stock will show it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RestockAccepted {
    /// The command. Send it with a repetition of the request.
    #[schema(value_type = String, format = "uuid")]
    command_id: Uuid,
    /// The product.
    #[schema(value_type = String)]
    sku: Sku,
}

/// Take pieces of a product into stock.
#[utoipa::path(
    post,
    path = "/stock/{sku}/restock",
    params(("sku" = String, Path, example = "TEA", description = "a product of the catalog")),
    request_body = RestockRequest,
    responses(
        (status = 202, description = "accepted, counted soon", body = RestockAccepted),
        (status = 404, description = "the catalog has no such product", body = Problem),
        (status = 422, description = "the quantity is out of bounds", body = Problem),
        (status = 503, description = "the catalog or Kafka is away", body = Problem),
    )
)]
pub(super) async fn restock(
    State(app): State<App>,
    caller: Caller,
    ValidPath(sku): ValidPath<String>,
    ValidJson(request): ValidJson<RestockRequest>,
) -> Result<(StatusCode, Json<RestockAccepted>), Problem> {
    let quantity = checked(request.quantity)?;
    if !app.products.is_ready() {
        return Err(Problem::unavailable("the catalog has not been read yet"));
    }
    // What cannot be a sku is no product either.
    let sku: Sku = sku.parse().map_err(unknown)?;
    if app.products.get(&sku).is_none() {
        return Err(unknown(format_args!("there is no product {sku}")));
    }
    let command_id = CommandId(request.command_id.unwrap_or_else(Uuid::now_v7));
    let issued_at = Timestamp::now();
    let command: InventoryCommand =
        Restock { sku: sku.clone(), command_id, quantity, issued_at }.into();
    app.commands
        .send(&INVENTORY_COMMANDS, &sku, &command, cause(command_id, &caller))
        .await
        .map_err(|error| match error {
            SendError::Unavailable(why) => Problem::unavailable(why),
            error @ SendError::NoSchema(_) => Problem::unavailable(error.to_string()),
            SendError::Invalid(why) => Problem::invalid(why),
        })?;
    Ok((StatusCode::ACCEPTED, Json(RestockAccepted { command_id: command_id.0, sku })))
}

fn checked(quantity: i64) -> Result<i32, Problem> {
    let fits = |quantity: &i32| (1..=RESTOCK_QUANTITY_MAX).contains(quantity);
    i32::try_from(quantity).ok().filter(fits).ok_or_else(|| {
        let bounds = format!("must be between 1 and {RESTOCK_QUANTITY_MAX}");
        Problem::invalid("nothing was restocked").field("quantity", "out_of_range", bounds)
    })
}

fn unknown(why: impl Display) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "unknown_sku", "The catalog has no such product").field(
        "sku",
        "unknown",
        why.to_string(),
    )
}

/// The person at the edge is the cause; the story is named after the command.
fn cause(command_id: CommandId, caller: &Caller) -> Cause {
    let headers = trace_headers();
    let traceparent = headers.get("traceparent").and_then(|value| value.to_str().ok());
    Cause {
        correlation_id: Some(command_id.to_string()),
        traceparent: traceparent.map(str::to_owned),
        caller: caller.identity().map(ToString::to_string),
        ..Cause::default()
    }
}
