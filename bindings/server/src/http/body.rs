//! JSON bodies as Opik reads them.
//!
//! - `Content-Encoding: gzip` or none; over the limit of the configuration, which counts what is
//!   decompressed, the answer is 413.
//! - `NaN`, `Infinity` and `-Infinity` are accepted outside of texts and become texts of that
//!   spelling, which is how Opik gives them back.
//! - An empty body is an empty object: the official client sends `POST /auth` that way.
//! - Unknown fields are ignored. `null` means absent, which types say with `Option`.

use std::io::Read as _;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use flate2::read::MultiGzDecoder;
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;

use super::ApiError;
use crate::app::App;

/// Bodies over this size are decompressed and parsed where they hold up nobody else.
const LARGE: usize = 64 << 10;

/// A JSON body. See the module.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned + Send + 'static> FromRequest<App> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        read(request, app, usize::MAX).await.map(Self)
    }
}

/// A JSON body of at most so many bytes, decompressed: 422 beyond, with the text that the official
/// client looks for before it halves its batch.
#[derive(Debug)]
pub(crate) struct SmallBody<T, const MIB: usize>(pub(crate) T);

impl<T: DeserializeOwned + Send + 'static, const MIB: usize> FromRequest<App>
    for SmallBody<T, MIB>
{
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        read(request, app, MIB << 20).await.map(Self)
    }
}

async fn read<T: DeserializeOwned + Send + 'static>(
    request: Request,
    app: &App,
    most: usize,
) -> Result<T, ApiError> {
    let limit = app.config().largest_body();
    let is_gzip = is_gzip(&request)?;
    let raw = collect(request.into_body(), limit).await?;
    let is_large = raw.len() > LARGE;
    let parse = move || {
        let text = if is_gzip { gunzip(&raw, limit)? } else { raw };
        if text.len() > most {
            return Err(ApiError::invalid(format!(
                "Request size exceeds the maximum allowed size of {}MB",
                most >> 20
            )));
        }
        from_bytes(&text)
    };
    if !is_large {
        return parse();
    }
    tokio::task::spawn_blocking(parse)
        .await
        .map_err(|_| unreadable("the body could not be read"))?
}

/// Room that a body gets at once because it says how long it is. Beyond, it gets room as it arrives.
const MOST_RESERVED: usize = 4 << 20;

/// Collects a body of at most `limit` bytes. One that comes in a single piece is not copied; of
/// others every piece is let go before the next one is read, which then uses the same memory.
pub(crate) async fn collect(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut pieces = body.into_data_stream();
    let mut next = async |room: usize| match pieces.next().await {
        None => Ok(None),
        Some(Ok(piece)) if piece.len() <= room => Ok(Some(piece)),
        Some(Ok(_)) => Err(too_large(limit)),
        Some(Err(_)) => Err(unreadable("the body ended too early")),
    };
    let Some(first) = next(limit).await? else {
        return Ok(Bytes::new());
    };
    let Some(second) = next(limit - first.len()).await? else {
        return Ok(first);
    };
    let mut whole = Vec::with_capacity(announced.min(MOST_RESERVED).min(limit));
    for piece in [first, second] {
        whole.extend_from_slice(&piece);
    }
    while let Some(piece) = next(limit - whole.len()).await? {
        whole.extend_from_slice(&piece);
    }
    Ok(whole.into())
}

/// How much of the body of a refused request is read and thrown away, and for how long.
const MOST_DRAINED: usize = 32 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Answers a request without looking at its body. The body is taken off the line first, as far as
/// it is not too large: a client that is still sending would see a broken connection, not the answer.
pub(crate) async fn refuse(request: Request, error: ApiError) -> Response {
    let mut parts = request.into_body().into_data_stream();
    let drain = async {
        let mut left = MOST_DRAINED;
        while let Some(Ok(part)) = parts.next().await {
            left = left.saturating_sub(part.len());
            if left == 0 {
                break;
            }
        }
    };
    // What is left after that closes the connection.
    drop(tokio::time::timeout(DRAIN_TIME, drain).await);
    error.into_response()
}

/// Whether the body is gzip; other encodings are refused.
pub(crate) fn is_gzip(request: &Request) -> Result<bool, ApiError> {
    let Some(encoding) = request.headers().get(header::CONTENT_ENCODING) else {
        return Ok(false);
    };
    match encoding.as_bytes().to_ascii_lowercase().as_slice() {
        b"gzip" | b"x-gzip" => Ok(true),
        b"" | b"identity" => Ok(false),
        _ => Err(ApiError::message(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "only gzip is supported as Content-Encoding",
        )),
    }
}

/// Decompresses to at most `limit` bytes.
pub(crate) fn gunzip(raw: &[u8], limit: usize) -> Result<Bytes, ApiError> {
    let mut text = Vec::with_capacity(raw.len().saturating_mul(4).min(limit));
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(raw)
        .take(most)
        .read_to_end(&mut text)
        .map_err(|_| unreadable("the body is not gzip"))?;
    if text.len() > limit {
        return Err(too_large(limit));
    }
    Ok(text.into())
}

fn too_large(limit: usize) -> ApiError {
    ApiError::message(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("the request body is over the limit of {limit} bytes"),
    )
}

fn unreadable(details: impl Into<String>) -> ApiError {
    ApiError::message(StatusCode::BAD_REQUEST, "Unable to process JSON").details(details)
}

/// Reads JSON leniently.
pub(crate) fn from_bytes<T: DeserializeOwned>(text: &[u8]) -> Result<T, ApiError> {
    if text.iter().all(u8::is_ascii_whitespace) {
        return serde_json::from_slice(b"{}").map_err(|error| problem(&error));
    }
    // Texts are checked all at once, which is several times as fast as one by one. Where that fails,
    // what is wrong may be in a field that nobody looks at.
    let read = match simdutf8::basic::from_utf8(text) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(text),
    };
    match read {
        Ok(value) => Ok(value),
        Err(error) => match quoted_numbers(text) {
            Some(text) => serde_json::from_slice(&text).map_err(|error| problem(&error)),
            None => Err(problem(&error)),
        },
    }
}

/// The place and the kind of a problem, never the text.
fn problem(error: &serde_json::Error) -> ApiError {
    use serde_json::error::Category;
    let what = match error.classify() {
        Category::Io => "unreadable",
        Category::Syntax => "syntax error",
        Category::Data => "a value is missing or of another type than expected",
        Category::Eof => "the text ends too early",
    };
    unreadable(format!(
        "{what} at line {}, column {}",
        error.line(),
        error.column()
    ))
}

/// The text with `NaN`, `Infinity` and `-Infinity` in quotes; `None` when it has none of them
/// outside of texts.
fn quoted_numbers(text: &[u8]) -> Option<Vec<u8>> {
    const WORDS: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];
    let mut out = Vec::with_capacity(text.len() + 64);
    let mut found = false;
    let mut rest = text;
    let mut in_text = false;
    while let [first, after @ ..] = rest {
        if in_text {
            out.push(*first);
            rest = after;
            if *first == b'"' {
                in_text = false;
            } else if *first == b'\\'
                && let [escaped, after @ ..] = after
            {
                out.push(*escaped);
                rest = after;
            }
            continue;
        }
        if let Some(word) = WORDS.iter().find(|word| rest.starts_with(word)) {
            out.push(b'"');
            out.extend_from_slice(word);
            out.push(b'"');
            rest = rest.get(word.len()..).unwrap_or_default();
            found = true;
            continue;
        }
        in_text = *first == b'"';
        out.push(*first);
        rest = after;
    }
    found.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::io::Write as _;

    #[test]
    fn not_a_number_becomes_a_text_outside_of_texts_only() {
        let text = br#"{"a": NaN, "b": [-Infinity, Infinity], "c": "NaN \" NaN", "d": 1}"#;
        let value: Value = from_bytes(text).unwrap();
        assert_eq!(
            value,
            json!({"a": "NaN", "b": ["-Infinity", "Infinity"], "c": "NaN \" NaN", "d": 1})
        );
        assert!(from_bytes::<Value>(b"{\"a\": NaN").is_err());
        assert!(from_bytes::<Value>(b"{\"a\": \"\\").is_err());
    }

    #[test]
    fn an_empty_body_is_an_empty_object() {
        assert_eq!(from_bytes::<Value>(b" ").unwrap(), json!({}));
    }

    #[tokio::test]
    async fn a_body_is_whole_however_it_comes_and_over_the_limit_it_is_refused() {
        let body = |pieces: &[&'static str]| {
            let pieces: Vec<_> = pieces
                .iter()
                .map(|&it| Ok::<_, std::io::Error>(it))
                .collect();
            Body::from_stream(futures_util::stream::iter(pieces))
        };
        let whole = async |pieces: &[&'static str], limit| {
            let whole = collect(body(pieces), limit).await;
            whole.map_err(|error| error.into_response().status())
        };
        let too_large = Err(StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(whole(&[], 4).await, Ok(Bytes::new()));
        assert_eq!(whole(&["abcd"], 4).await, Ok("abcd".into()));
        assert_eq!(whole(&["abcd"], 3).await, too_large);
        assert_eq!(whole(&["ab", "cd"], 4).await, Ok("abcd".into()));
        assert_eq!(whole(&["ab", "cd"], 3).await, too_large);
        assert_eq!(whole(&["a", "bc", "", "d"], 4).await, Ok("abcd".into()));
        assert_eq!(whole(&["a", "b", "cd"], 3).await, too_large);

        let cut = [Ok("ab"), Err(std::io::Error::other("cut"))];
        let cut = Body::from_stream(futures_util::stream::iter(cut));
        let error = collect(cut, 4).await.unwrap_err();
        assert_eq!(error.into_response().status(), StatusCode::BAD_REQUEST);
    }

    #[test]
    fn a_gzip_bomb_stops_at_the_limit() {
        let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        bomb.write_all(&vec![b' '; 1 << 20]).unwrap();
        let bomb = bomb.finish().unwrap();
        assert!(gunzip(&bomb, 1 << 20).is_ok());
        assert!(gunzip(&bomb, (1 << 20) - 1).is_err());
        assert!(gunzip(b"no gzip", 10).is_err());
    }
}
