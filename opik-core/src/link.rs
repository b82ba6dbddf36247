//! Links into Opik's web page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;

use crate::TraceId;

/// Where a trace is shown in the web page of the server with this base URL: an address of the
/// server that redirects to the page of the trace's project.
///
/// The base URL is the one that clients use, up to and including `/api`, with or without a slash at
/// the end; [`OpikSettings::base_url`](crate::settings::OpikSettings::base_url) is one. It is taken
/// as it is: give one without a password.
///
/// ```
/// use opik_core::{TraceId, trace_url};
///
/// let id: TraceId = "01920000-0000-7000-8000-000000000001".parse()?;
/// assert_eq!(
///     trace_url("http://localhost:5173/api", id),
///     "http://localhost:5173/api/v1/session/redirect/projects/\
///      ?trace_id=01920000-0000-7000-8000-000000000001\
///      &path=aHR0cDovL2xvY2FsaG9zdDo1MTczL2FwaS8="
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn trace_url(base_url: &str, trace: TraceId) -> String {
    let base = format!("{}/", base_url.trim().trim_end_matches('/'));
    let path = URL_SAFE.encode(&base);
    format!("{base}v1/session/redirect/projects/?trace_id={trace}&path={path}")
}
