//! Asking an Opik server: one short try, and failures in words.

use std::future::Future;
use std::time::Duration;

use opik_core::rest::{OpikClientBuilder, RestError, RestErrorKind, RetryPolicy};

use crate::exit::{Code, Failure};

/// How long a person waits for one answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A client that answers soon, whatever the answer is.
pub(crate) fn impatient(builder: OpikClientBuilder) -> OpikClientBuilder {
    builder
        .timeout(PATIENCE)
        .connect_timeout(PATIENCE)
        .retry(RetryPolicy::none())
}

/// Runs one conversation with a server on this thread.
pub(crate) fn talk<T>(conversation: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Code::Failed, "cannot ask the server").cause(error))?;
    Ok(runtime.block_on(conversation))
}

/// What the refusal of a key or workspace means, and what to do; nothing for other failures.
pub(crate) fn refusal(error: &RestError, workspace: &str) -> Option<(String, &'static str)> {
    match error.kind() {
        RestErrorKind::Unauthorized => Some((
            format!("the server does not accept the key for the workspace {workspace}"),
            "copy the key from the settings of your account, and check the workspace",
        )),
        RestErrorKind::Forbidden => Some((
            format!("the server gives no access to the workspace {workspace}"),
            "ask its owner to invite you, or name another workspace",
        )),
        RestErrorKind::NotFound => Some((
            format!("the server knows no workspace {workspace}"),
            "a self-hosted server has only the workspace default",
        )),
        _ => None,
    }
}
