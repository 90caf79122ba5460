//! [`Looks`]: the looks of requests that wait for orders, many in one query.
//!
//! A change wakes each request that waits for it, and a lost connection wakes all of them: a
//! thousand looks at once. One by one they would take every session of the database, and other
//! questions would wait behind them. So a few of them look for all the others.

use super::App;
use crate::views::OfOrder;
use contracts::OrderId;
use parking_lot::Mutex;
use service_kit::Problem;
use std::{collections::BTreeSet, sync::Arc};
use tokio::sync::{Semaphore, oneshot};

/// How many look at a time, with one session each: the database has ten for an instance.
const LEADERS_MAX: usize = 2;

/// Most requests of one look.
const TOGETHER_MAX: usize = 256;

/// See the module. Clones share them.
#[derive(Debug)]
pub(super) struct Looks<V>(Arc<Asked<V>>);

#[derive(Debug)]
struct Asked<V> {
    waiting: Mutex<Vec<Question<V>>>,
    leaders: Semaphore,
}

#[derive(Debug)]
struct Question<V> {
    order_id: OrderId,
    answer: oneshot::Sender<Option<V>>,
}

impl<V> Default for Looks<V> {
    fn default() -> Self {
        let (waiting, leaders) = (Mutex::default(), Semaphore::new(LEADERS_MAX));
        Self(Arc::new(Asked { waiting, leaders }))
    }
}

impl<V> Clone for Looks<V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<V: OfOrder + Clone> Looks<V> {
    /// What is to be seen of the order from now on.
    ///
    /// # Errors
    /// As [`App::read`].
    pub(super) async fn find(&self, app: &App, order_id: OrderId) -> Result<Option<V>, Problem> {
        let (answer, mut answered) = oneshot::channel();
        self.0.waiting.lock().push(Question { order_id, answer });
        loop {
            let leader = tokio::select! {
                biased;
                found = &mut answered => return match found {
                    Ok(found) => Ok(found),
                    // Who looked has found an error, or has left. What is wrong, one finds alone.
                    Err(_) => alone(app, order_id).await,
                },
                leader = self.0.leaders.acquire() => leader,
            };
            self.lead(app).await;
            drop(leader);
        }
    }

    /// Looks for those who have asked for longest.
    async fn lead(&self, app: &App) {
        let questions: Vec<_> = {
            let mut waiting = self.0.waiting.lock();
            // Whose client has left does not wait any more.
            waiting.retain(|question| !question.answer.is_closed());
            let together = waiting.len().min(TOGETHER_MAX);
            waiting.drain(..together).collect()
        };
        let ids: BTreeSet<_> = questions.iter().map(|question| question.order_id).collect();
        let ids: Vec<_> = ids.into_iter().collect();
        if ids.is_empty() {
            return;
        }
        let look = || V::find_all(app.pool(), &ids);
        let Ok(found) = app.read(V::NEEDS, look).await else { return };
        for Question { order_id, answer } in questions {
            // Its client may have left meanwhile.
            let _ = answer.send(found.get(&order_id).cloned());
        }
    }
}

async fn alone<V: OfOrder>(app: &App, order_id: OrderId) -> Result<Option<V>, Problem> {
    app.read(V::NEEDS, || V::find(app.pool(), order_id)).await
}
