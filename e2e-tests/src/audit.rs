//! [`audit`]: whether every law of the shop holds for some traffic, whatever happened meanwhile.
//! [`all_confirmed`]: and whether it made every customer happy.

use crate::{
    outside::{Outside, PATIENCE},
    traffic::Placed,
};
use anyhow::{Result, ensure};
use auditor::{Scope, Verdict, audit_of};
use evidence::audit_at_rest;
use std::{collections::BTreeMap, time::Duration};

/// How long an effect may take: as long as a test waits, because other tests may have stopped a
/// service. It makes nothing good, as the audit ends well only when nothing is on its way.
const GRACE: Duration = PATIENCE;

/// Wait until nothing of `placed` is on its way: every order has ended, and everything that follows
/// from it shows. Then every law holds for these orders and their products. What other tests have
/// put into the shop on purpose does not count, unless it shows there.
///
/// # Errors
/// What does not hold, with the story of the orders concerned.
pub async fn audit(outside: &Outside, placed: &[Placed]) -> Result<Verdict> {
    let skus = placed.iter().filter_map(|order| order.sku.parse().ok());
    let scope = Scope::of(placed.iter().map(|order| order.id), skus);
    let state = outside.shop().state();
    let verdict =
        audit_at_rest(state, GRACE, PATIENCE, |evidence| audit_of(evidence, &scope)).await?;
    ensure!(verdict.is_clean() && verdict.pending() == 0, "{verdict}");
    ensure!(verdict.orders == placed.len(), "{} were placed\n{verdict}", placed.len());
    Ok(verdict)
}

/// As [`audit`], and every order is confirmed.
///
/// # Errors
/// As [`audit`], and the orders that are not confirmed, with their reasons.
pub async fn all_confirmed(outside: &Outside, placed: &[Placed]) -> Result<Verdict> {
    let verdict = audit(outside, placed).await?;
    if verdict.statuses != BTreeMap::from([("confirmed", placed.len())]) {
        for order in placed {
            outside.confirmed(order.id).await?;
        }
    }
    Ok(verdict)
}
