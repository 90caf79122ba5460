//! `GET /topology`: the shop as the tables of the contracts have it.

use crate::shapes::topology::Topology;
use axum::Json;

/// Services, topics, flows and the baton table
///
/// Made from the tables that the services run by.
#[utoipa::path(get, path = "/topology", operation_id = "topology",
    responses((status = 200, body = Topology)))]
pub(super) async fn show() -> Json<Topology> {
    Json(Topology::of_contracts())
}
