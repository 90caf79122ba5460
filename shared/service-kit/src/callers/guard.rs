//! The layer of each route that asks who calls.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{Access, Callers, Refused, until};
use crate::Problem;

/// Serves the caller who may call a route with this `access`. Without a judge, there is none.
pub(super) async fn admit(
    State(access): State<Access>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(callers) = request.extensions().get::<Callers>().cloned() else {
        return Problem::internal(&anyhow::anyhow!("no one judges callers")).into_response();
    };
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let address = peer.map(|ConnectInfo(address)| address.ip());
    match callers.admit(access, request.headers(), address).await {
        Ok((caller, verified)) => {
            if let Some(verified) = &verified {
                tracing::debug!(caller = %verified.identity, "a caller is known");
            }
            request.extensions_mut().insert(caller);
            let response = next.run(request).await;
            match verified {
                Some(verified) => until::ends(response, verified.expires),
                None => response,
            }
        }
        Err(refused) => {
            tell(&refused, request.method(), request.uri().path(), address.as_ref());
            refused.into_response()
        }
    }
}

/// For who watches over the shop. A limit that is met is met often.
fn tell(refused: &Refused, method: &Method, path: &str, address: Option<&std::net::IpAddr>) {
    let address = address.map(tracing::field::display);
    match refused {
        Refused::TooMany(_) | Refused::NoKeys => {
            tracing::debug!(address, "{method} {path}: refused: {refused}");
        }
        Refused::NoToken | Refused::Wrong(_) | Refused::NotAllowed(_) => {
            tracing::info!(address, "{method} {path}: refused: {refused}");
        }
    }
}

/// The answers of the guard, for the documents.
pub(super) const ANSWERS: [(StatusCode, &str); 2] = [
    (StatusCode::UNAUTHORIZED, "There is no token, or it does not hold"),
    (StatusCode::FORBIDDEN, "The caller may not do this"),
];
