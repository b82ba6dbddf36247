//! Keeping a store: copies, bringing them back, forgetting what is old, giving space back.

pub(crate) mod backup;
pub(crate) mod prune;
pub(crate) mod restore;
pub(crate) mod vacuum;

use opik_store::StoreError;

use crate::exit::{Code, Failure, opening_hint};

fn failed(error: StoreError, what: impl Into<String>) -> Failure {
    let hint = match &error {
        StoreError::Exists { .. } => "name another file",
        StoreError::InUse { .. } => "stop the server and other commands that use it",
        other => opening_hint(other),
    };
    Failure::new(Code::Store, what).cause(error).hint(hint)
}
