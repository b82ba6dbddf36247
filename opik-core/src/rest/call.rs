//! One call, put together before anything is sent.

use bytes::Bytes;
use reqwest::Method;
use serde::Serialize;

use super::bodies::Bodies;
use super::error::{RestError, RestErrorKind};

/// Bodies shorter than this travel uncompressed, as with the official clients.
const COMPRESS_FROM: usize = 256;

/// Whether a call may be sent again when nobody knows if the first one arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Twice is the same as once: reads, deletes, and writes that carry their identifiers.
    Always,
    /// Twice would make two: repeated only when the server certainly did not act.
    IfRefused,
}

/// What a success looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expect {
    /// No content.
    Nothing,
    /// JSON.
    Json,
    /// A JSON object on each line.
    Lines,
    /// Any bytes.
    Bytes,
}

/// A body with its headers.
#[derive(Debug, Clone)]
pub(super) struct Payload {
    pub(super) bytes: Bytes,
    pub(super) json: bool,
    pub(super) gzip: bool,
}

/// A call: what is sent and what is expected.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: Vec<String>,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) payload: Option<Payload>,
    pub(super) repeat: Repeat,
    pub(super) expect: Expect,
    /// Whether the call moves a file and may take longer.
    pub(super) transfer: bool,
}

impl Call {
    /// A call of an endpoint under `/v1/private`.
    pub(super) fn new(method: Method, path: &str) -> Self {
        let mut call = Self::public(method, "v1/private");
        call.path.extend(path.split('/').map(str::to_owned));
        call
    }

    /// A call of an endpoint elsewhere.
    pub(super) fn public(method: Method, path: &str) -> Self {
        let expect = if method == Method::GET {
            Expect::Json
        } else {
            Expect::Nothing
        };
        Self {
            method,
            path: path.split('/').map(str::to_owned).collect(),
            query: Vec::new(),
            payload: None,
            repeat: Repeat::Always,
            expect,
            transfer: false,
        }
    }

    pub(super) fn get(path: &str) -> Self {
        Self::new(Method::GET, path)
    }

    pub(super) fn post(path: &str) -> Self {
        Self::new(Method::POST, path)
    }

    pub(super) fn put(path: &str) -> Self {
        Self::new(Method::PUT, path)
    }

    pub(super) fn patch(path: &str) -> Self {
        Self::new(Method::PATCH, path)
    }

    pub(super) fn delete(path: &str) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// Adds a segment to the path, whatever characters it has.
    pub(super) fn at(mut self, segment: &(impl ToString + ?Sized)) -> Self {
        self.path.push(segment.to_string());
        self
    }

    pub(super) fn query(mut self, name: &'static str, value: &(impl ToString + ?Sized)) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    pub(super) fn query_some(self, name: &'static str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    pub(super) fn expect(mut self, expect: Expect) -> Self {
        self.expect = expect;
        self
    }

    pub(super) fn once(mut self) -> Self {
        self.repeat = Repeat::IfRefused;
        self
    }

    /// Sends JSON.
    pub(super) fn json<T: Serialize + ?Sized>(self, body: &T) -> Result<Self, RestError> {
        let text = serde_json::to_vec(body).map_err(|error| {
            RestError::new(
                RestErrorKind::InvalidRequest,
                format!("{self}: the body has no JSON form"),
            )
            .with_source(error)
        })?;
        Ok(self.json_text(text))
    }

    /// Sends a text that is JSON already.
    pub(super) fn json_text(mut self, text: impl Into<Bytes>) -> Self {
        self.payload = Some(Payload {
            bytes: text.into(),
            json: true,
            gzip: false,
        });
        self
    }

    /// Sends a file as it is.
    pub(super) fn file(mut self, bytes: Bytes) -> Self {
        self.payload = Some(Payload {
            bytes,
            json: false,
            gzip: false,
        });
        self.transfer = true;
        self
    }

    /// Compresses a JSON body that is long enough to gain by it.
    pub(super) fn compress(&mut self, bodies: &Bodies) {
        let Some(payload) = &mut self.payload else {
            return;
        };
        if !payload.json || payload.gzip || payload.bytes.len() < COMPRESS_FROM {
            return;
        }
        if let Some(packed) = bodies.gzip(&payload.bytes) {
            payload.bytes = packed;
            payload.gzip = true;
        }
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path.join("/"))
    }
}
