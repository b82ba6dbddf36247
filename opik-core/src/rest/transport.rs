//! The one place that sends: headers, time limits, repetitions, reading of answers.

use std::time::Instant;

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Response, Url};
use serde::de::DeserializeOwned;

use super::call::{Call, Expect, Repeat};
use super::client::OpikClient;
use super::error::{ErrorBody, RestError, RestErrorKind};
use super::{ndjson, rate_limit};
use crate::Timestamp;
use crate::id::random_bits;

/// Most bytes of the body of an error that are looked at.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// A successful answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// The call, for errors about its content.
    context: String,
    body: Vec<u8>,
    headers: HeaderMap,
    attempts: u32,
}

impl Answer {
    /// The body read as JSON.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, RestError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| self.corrupt("the answer has another shape", &error))
    }

    /// The lines of the body, each read as JSON.
    pub(super) fn lines<T: DeserializeOwned>(&self) -> Result<Vec<T>, RestError> {
        ndjson::lines(&self.body)
            .enumerate()
            .map(|(number, line)| {
                serde_json::from_slice(line).map_err(|error| {
                    self.corrupt(&format!("line {} has another shape", number + 1), &error)
                })
            })
            .collect()
    }

    /// The body as it came.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.body
    }

    /// The identifier of what was created: the last segment of `Location`.
    pub(super) fn created_id(&self) -> Result<String, RestError> {
        let location = self
            .headers
            .get(LOCATION)
            .and_then(|value| value.to_str().ok());
        let id = location
            .and_then(|path| path.trim_end_matches('/').rsplit('/').next())
            .filter(|id| !id.is_empty());
        id.map(str::to_owned)
            .ok_or_else(|| self.unexpected("the answer has no Location"))
    }

    /// The tag of an uploaded part.
    pub(super) fn etag(&self) -> Result<String, RestError> {
        let tag = self.headers.get(ETAG).and_then(|value| value.to_str().ok());
        tag.map(str::to_owned)
            .ok_or_else(|| self.unexpected("the answer has no ETag"))
    }

    /// A header as text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn unexpected(&self, what: &str) -> RestError {
        RestError::new(
            RestErrorKind::InvalidResponse,
            format!("{}: {what}", self.context),
        )
        .with_attempts(self.attempts)
    }

    /// serde quotes values in its messages, so only the place of the error is kept.
    fn corrupt(&self, what: &str, error: &serde_json::Error) -> RestError {
        let place = format!("{what} at line {}, column {}", error.line(), error.column());
        self.unexpected(&place)
    }
}

impl OpikClient {
    /// Sends a call to the server, again and again as the policy says.
    pub(super) async fn send(&self, mut call: Call) -> Result<Answer, RestError> {
        if self.inner.compression {
            call.compress(&self.inner.bodies);
        }
        let url = self.inner.base.endpoint(&call.path, &call.query);
        self.send_to(url, &call).await
    }

    /// Sends a call to a URL. The key goes along only when it leads to the same server.
    pub(super) async fn send_to(&self, url: Url, call: &Call) -> Result<Answer, RestError> {
        let context = call.to_string();
        let began = Instant::now();
        let mut attempts = 0_u32;
        loop {
            attempts += 1;
            let error = match self.attempt(url.clone(), call, &context).await {
                Ok((body, headers)) => {
                    return Ok(Answer {
                        context,
                        body,
                        headers,
                        attempts,
                    });
                }
                Err(error) => error.with_attempts(attempts),
            };
            let certainly_not_done = matches!(
                error.kind(),
                RestErrorKind::Connect | RestErrorKind::RateLimited
            );
            let again =
                error.is_retryable() && (call.repeat == Repeat::Always || certainly_not_done);
            if !again {
                return Err(error);
            }
            let policy = &self.inner.retry;
            let named = error.retry_after();
            match policy.wait(attempts, began.elapsed(), named, random_bits()) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            }
        }
    }

    async fn attempt(
        &self,
        url: Url,
        call: &Call,
        context: &str,
    ) -> Result<(Vec<u8>, HeaderMap), RestError> {
        let inner = &self.inner;
        let timeout = if call.transfer {
            inner.transfer_timeout
        } else {
            inner.timeout
        };
        let ours = inner.base.is_origin_of(&url);
        let mut request = inner
            .http
            .request(call.method.clone(), url)
            .timeout(timeout);
        if ours {
            request = request.headers(inner.headers.clone());
        }
        if let Some(payload) = &call.payload {
            if payload.json {
                request = request.header(CONTENT_TYPE, "application/json");
            }
            if payload.gzip {
                request = request.header(CONTENT_ENCODING, "gzip");
            }
            request = request.body(payload.bytes.clone());
        }
        let response = request
            .send()
            .await
            .map_err(|error| RestError::of_transport(context, error))?;
        let status = response.status();
        let headers = response.headers().clone();
        if !status.is_success() {
            let wait = rate_limit::wait(&headers, Timestamp::now());
            // The status is known; what cannot be read of the body is not worth another error.
            let body = read(response, MAX_ERROR_BODY, context)
                .await
                .unwrap_or_default();
            let error = RestError::of_status(context, status.as_u16(), ErrorBody::parse(&body));
            return Err(error.with_retry_after(wait));
        }
        let body = read(response, inner.max_response, context).await?;
        check_answer(call.expect, &headers, &body, context)?;
        Ok((body, headers))
    }
}

/// Reads a body up to a limit.
async fn read(mut response: Response, limit: usize, context: &str) -> Result<Vec<u8>, RestError> {
    let mut body = Vec::new();
    loop {
        let chunk = response.chunk().await;
        let chunk = chunk.map_err(|error| RestError::of_transport(context, error))?;
        let Some(chunk) = chunk else { return Ok(body) };
        if body.len() + chunk.len() > limit {
            return Err(RestError::new(
                RestErrorKind::InvalidResponse,
                format!("{context}: the answer has more than {limit} bytes"),
            ));
        }
        body.extend_from_slice(&chunk);
    }
}

/// Refuses successes that Opik did not send: the page of a proxy or of the web front end.
fn check_answer(
    expect: Expect,
    headers: &HeaderMap,
    body: &[u8],
    context: &str,
) -> Result<(), RestError> {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::to_str);
    let kind = kind
        .and_then(Result::ok)
        .unwrap_or_default()
        .to_ascii_lowercase();
    let of_opik = match expect {
        Expect::Bytes => true,
        Expect::Nothing => body.is_empty() || kind.contains("json"),
        Expect::Json => kind.contains("json"),
        Expect::Lines => {
            body.is_empty() || kind.contains("json") || kind.starts_with("application/octet-stream")
        }
    };
    if !of_opik {
        let kind = kind.split(';').next().unwrap_or_default();
        let kind = if kind.is_empty() {
            "no content type"
        } else {
            kind
        };
        return Err(RestError::new(
            RestErrorKind::InvalidResponse,
            format!("{context}: not an answer of Opik ({kind}); check the base URL"),
        ));
    }
    if expect == Expect::Lines
        && let Some(error) = ndjson::error_line(body)
    {
        let status = match &error {
            ErrorBody::Message { code, .. } => *code,
            _ => 500,
        };
        return Err(RestError::of_status(
            &format!("{context}: inside the stream"),
            status,
            error,
        ));
    }
    Ok(())
}
