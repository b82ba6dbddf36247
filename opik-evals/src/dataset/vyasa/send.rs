//! What Vyasa's `run_evals.py` sends, and where.
//!
//! One request to a path that Opik itself does not have: `POST {base}/api/evals` with
//! `{"project", "records"}`, the key as a bearer token. The recorder of `opik-rs serve` takes it, and
//! so did the servers that the script was written for. What Opik takes is sent by
//! [`submit`](crate::submit).

use std::fmt::{self, Write as _};
use std::io::BufRead;
use std::time::Duration;

use opik_core::Secret;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode, Url};

use super::records::Lines;
use crate::dataset::node::Document;
use crate::dataset::{DatasetError, Node};

/// What the script waits for a connection and for each part of an answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The longest that sending a whole dataset may take.
const WHOLE: Duration = Duration::from_secs(600);

/// The server that `run_evals.py` sends to.
///
/// ```
/// use std::time::Duration;
/// use opik_core::Secret;
/// use opik_evals::dataset::vyasa::VyasaServer;
///
/// let server = VyasaServer::new("http://127.0.0.1:5000/")
///     .key(Secret::new("k3y"))
///     .project("vyasa")
///     .timeout(Duration::from_secs(2));
/// assert!(!format!("{server:?}").contains("k3y"));
/// ```
#[derive(Clone)]
pub struct VyasaServer {
    base: String,
    key: Option<Secret>,
    project: String,
    timeout: Duration,
}

/// Why a dataset did not arrive. The words are those of the script where it has any.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VyasaSendError {
    /// The dataset cannot be read.
    #[error("the dataset cannot be read")]
    Dataset(#[from] DatasetError),
    /// A number of a record is one that JSON does not have.
    #[error("Out of range float values are not JSON compliant")]
    NotFinite,
    /// The address is none.
    #[error("the address of the server is none")]
    Address,
    /// The server refused.
    #[error("{status} {side} Error: {reason} for url: {url}")]
    Status {
        /// The status code.
        status: u16,
        /// `Client` or `Server`.
        side: &'static str,
        /// The usual words for the status.
        reason: &'static str,
        /// Where it was sent, without credentials.
        url: String,
    },
    /// The server cannot be reached, or did not answer in time.
    #[error("the server at {url} did not take it")]
    Http {
        /// Where it was sent, without credentials.
        url: String,
        /// What happened.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl VyasaServer {
    /// The server at an address, such as `http://127.0.0.1:5000`. Project `vyasa`, no key, 2 seconds.
    #[must_use]
    pub fn new(base_url: impl Into<String>) -> Self {
        Self {
            base: base_url.into(),
            key: None,
            project: "vyasa".to_owned(),
            timeout: TIMEOUT,
        }
    }

    /// With a key. An empty one is none.
    #[must_use]
    pub fn key(mut self, key: Secret) -> Self {
        self.key = Some(key).filter(|key| !key.is_empty());
        self
    }

    /// With another project.
    #[must_use]
    pub fn project(mut self, project: impl Into<String>) -> Self {
        self.project = project.into();
        self
    }

    /// How long to wait for a connection, and for each part of an answer.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends a dataset, whole and once, and says how many records it had. Lines that are no JSON are
    /// passed over, as the script does. The whole dataset is held in memory.
    ///
    /// # Errors
    ///
    /// [`VyasaSendError`]; nothing is repeated.
    pub async fn send(&self, name: &str, input: impl BufRead) -> Result<u64, VyasaSendError> {
        let (body, count) = body(name, input, &self.project)?;
        let url = format!("{}/api/evals", self.base.trim_end_matches('/'));
        let mut url: Url = url.parse().map_err(|_| VyasaSendError::Address)?;
        let client = Client::builder()
            .connect_timeout(self.timeout)
            .read_timeout(self.timeout)
            .timeout(WHOLE)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .build();
        let client = client.map_err(|error| failed(&url, error))?;
        let mut request = client
            .post(url.clone())
            .header(CONTENT_TYPE, "application/json");
        // Credentials of the address are sent by the client, and shown to nobody.
        let shown = url.set_username("").and_then(|()| url.set_password(None));
        shown.map_err(|()| VyasaSendError::Address)?;
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose());
        }
        let answer = request.body(body).send().await;
        let status = answer.map_err(|error| failed(&url, error))?.status();
        if status.is_client_error() || status.is_server_error() || status.is_redirection() {
            return Err(refused(status, &url));
        }
        Ok(count)
    }
}

fn failed(url: &Url, error: reqwest::Error) -> VyasaSendError {
    VyasaSendError::Http {
        url: url.to_string(),
        source: error.without_url().into(),
    }
}

fn refused(status: StatusCode, url: &Url) -> VyasaSendError {
    VyasaSendError::Status {
        status: status.as_u16(),
        side: if status.is_server_error() {
            "Server"
        } else {
            "Client"
        },
        reason: status.canonical_reason().unwrap_or("unknown"),
        url: url.to_string(),
    }
}

impl fmt::Debug for VyasaServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VyasaServer")
            .field("key", &self.key.is_some())
            .field("project", &self.project)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// The body of the request, as Python's `json.dumps` writes it, and the number of records.
fn body(name: &str, input: impl BufRead, project: &str) -> Result<(String, u64), VyasaSendError> {
    let mut lines = Lines::new(input);
    let mut body = String::from("{\"project\": ");
    push_ascii(&mut body, &Node::from(project).to_json());
    body.push_str(", \"records\": [");
    let mut count = 0;
    let (mut line, mut document, mut json) = (Vec::new(), Document::default(), String::new());
    loop {
        line.clear();
        let more = lines.next_line(&mut line);
        let more = more.map_err(|source| DatasetError::Read {
            file: name.to_owned(),
            source,
        })?;
        if !more {
            break;
        }
        let Some(record) = std::str::from_utf8(&line)
            .ok()
            .and_then(|text| document.read_python(text).ok())
        else {
            continue;
        };
        if !record.is_finite() {
            return Err(VyasaSendError::NotFinite);
        }
        body.push_str(if count > 0 { ", " } else { "" });
        json.clear();
        record.write_json(&mut json);
        push_ascii(&mut body, &json);
        count += 1;
    }
    body.push_str("]}");
    Ok((body, count))
}

/// JSON with everything escaped that is not a printable character of ASCII; such characters stand
/// in texts only.
fn push_ascii(out: &mut String, json: &str) {
    for c in json.chars() {
        if (' '..='~').contains(&c) {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a String cannot fail.
            write!(out, "\\u{unit:04x}").unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_what_python_writes() {
        let lines = "{\"label\": \"é\", \"n\": 1e3, \"big\": 123456789012345678901}\nbad\n{\"t\": \"😀\u{7f}\\n\"}\n";
        let (body, count) = body("d", lines.as_bytes(), "p\"").unwrap();
        assert_eq!(count, 2);
        assert_eq!(
            body,
            "{\"project\": \"p\\\"\", \"records\": [{\"label\": \"\\u00e9\", \"n\": 1000.0, \"big\": \
             123456789012345678901}, {\"t\": \"\\ud83d\\ude00\\u007f\\n\"}]}"
        );
        assert_eq!(
            super::body("d", &b""[..], "").unwrap().0,
            "{\"project\": \"\", \"records\": []}"
        );
        for bad in ["{\"a\": NaN}", "{\"a\": [1, {\"b\": -Infinity}]}"] {
            let error = super::body("d", bad.as_bytes(), "p").unwrap_err();
            assert!(matches!(error, VyasaSendError::NotFinite), "{bad}");
        }
    }
}
