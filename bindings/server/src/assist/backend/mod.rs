//! Where traces are read, on behalf of whoever asks.

mod local;
mod opik;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use opik_core::{TraceId, TraceSource};

use super::caller::Caller;

pub(crate) use local::LocalBackend;
pub(crate) use opik::{OpikBackend, OpikSettings};

/// A trace that a caller may read.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Its identifier; made up where the one in the path is no UUID.
    pub(crate) id: TraceId,
    /// Reads it, and what lies beside it, with the caller's rights. The trace was read already.
    pub(crate) source: Arc<dyn TraceSource>,
}

/// Why a trace is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It does not exist, or not for this caller.
    NotFound,
    /// The session is not, or no longer, valid.
    Unauthorized,
    /// The server cannot be reached, fails, or answers nonsense.
    Unavailable,
    /// The server takes too long.
    Timeout,
    /// The server asks for fewer requests.
    TooMany,
}

/// Where traces are read.
#[async_trait]
pub(crate) trait Backend: Send + Sync + fmt::Debug {
    /// Reads a trace with the caller's rights, which also confirms them.
    async fn open(&self, caller: &Caller, trace: &str) -> Result<Opened, Refusal>;

    /// Whether it can be reached.
    async fn is_ready(&self) -> bool;
}
