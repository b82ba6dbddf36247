//! Who looks at which item of an annotation queue, for as long as nobody else should.
//!
//! Locks are in memory: they last minutes, and a restart gives every item free.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::routing::{get, put};
use axum::{Extension, Json, Router};
use opik_core::catalog::QueueCatalog as _;
use opik_core::{EntityId, Timestamp};
use serde_json::{Value, json};

use crate::app::App;
use crate::http::{ApiError, PathId, PathIds, USER};

/// How long an item is locked where its queue does not say.
const SECONDS: u32 = 300;
/// How many locks there are at once, at most.
const MOST: usize = 100_000;

/// When the lock on an item of a queue ends. There is one user, so there is one lock on each.
type Locks = Arc<Mutex<BTreeMap<(EntityId, EntityId), Timestamp>>>;

pub(super) fn routes() -> Router<App> {
    let locks = Locks::default();
    Router::new()
        .route("/annotation-queues/{queue}/items/{item}/lock", put(lock))
        .route("/annotation-queues/{id}/locks", get(list))
        .layer(Extension(locks))
}

async fn lock(
    State(app): State<App>,
    Extension(locks): Extension<Locks>,
    PathIds(queue, item): PathIds<EntityId>,
) -> Result<Json<Value>, ApiError> {
    let found = app.store().queue(queue).await?.ok_or_else(|| {
        ApiError::not_found(format!("Not found annotation queue with id '{queue}'"))
    })?;
    let now = Timestamp::now();
    let seconds = i64::from(found.lock_timeout_seconds.unwrap_or(SECONDS));
    let expires = now.plus_micros(seconds.saturating_mul(1_000_000));
    let acquired = {
        let mut locks = locks.lock().unwrap_or_else(PoisonError::into_inner);
        locks.retain(|_, expires| *expires > now);
        let has_room = locks.len() < MOST || locks.contains_key(&(queue, item));
        if has_room {
            locks.insert((queue, item), expires);
        }
        has_room
    };
    Ok(Json(json!({
        "acquired": acquired,
        "item_id": item,
        "locked_by": USER,
        "expires_at": expires,
    })))
}

async fn list(
    State(app): State<App>,
    Extension(locks): Extension<Locks>,
    PathId(id): PathId<EntityId>,
) -> Result<Json<Value>, ApiError> {
    if app.store().queue(id).await?.is_none() {
        let text = format!("Not found annotation queue with id '{id}'");
        return Err(ApiError::not_found(text));
    }
    let now = Timestamp::now();
    let locks = locks.lock().unwrap_or_else(PoisonError::into_inner);
    let held: BTreeMap<String, Value> = locks
        .iter()
        .filter(|((queue, _), expires)| *queue == id && **expires > now)
        .map(|((_, item), _)| {
            let entry = json!({"active_locks": 1, "locked_by": [USER]});
            (item.to_string(), entry)
        })
        .collect();
    Ok(Json(json!({"locks": held})))
}
