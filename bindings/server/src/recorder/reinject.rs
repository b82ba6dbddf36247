//! Files in place of the references to them.
//!
//! Clients take long base64 texts out of contents, upload them, and leave
//! `[input-attachment-1-1795170315351-sdk.png]` in their place. Whoever reads a single record gets
//! them back, unless he asks for the references.
//!
//! Newer clients take a file with what stands before it, `data:image/png;base64,`, older ones leave
//! that where it is. A file comes back as a data URI in both cases, and with that prefix once.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opik_core::{Json, Span, Trace};
use opik_store::records::{AttachmentKey, Target};

use crate::app::App;
use crate::http::ApiError;

/// The name of a file between brackets at the beginning of a text, and what comes after.
fn reference(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.strip_prefix('[')?.split_once(']')?;
    let (field, number) = name.split_once("-attachment-")?;
    let (number, extension) = number.rsplit_once('.')?;
    let number = number.strip_suffix("-sdk").unwrap_or(number);
    let (count, moment) = number.split_once('-')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let fits = matches!(field, "input" | "output" | "metadata")
        && digits(count)
        && digits(moment)
        && !extension.is_empty()
        && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
    fits.then_some((name, rest))
}

/// Whether the kind of a file can stand in a JSON text as it is.
fn is_plain(kind: &str) -> bool {
    kind.contains('/')
        && kind
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/+.-_;= ".contains(&byte))
}

async fn restored(app: &App, on: Target, content: Option<Json>) -> Result<Option<Json>, ApiError> {
    let Some(json) = content else { return Ok(None) };
    if !json.as_str().contains("-attachment-") {
        return Ok(Some(json));
    }
    let mut out = String::with_capacity(json.as_str().len());
    let mut rest = json.as_str();
    while let Some((before, _)) = rest.split_once('[') {
        let (_, here) = rest.split_at_checked(before.len()).unwrap_or(("", ""));
        out.push_str(before);
        let found = match reference(here) {
            None => None,
            Some((name, after)) => {
                let key = AttachmentKey {
                    target: on,
                    file_name: name.to_owned(),
                };
                app.store()
                    .attachment(key)
                    .await?
                    .map(|(about, content)| (about.mime_type, content, after))
            }
        };
        match found {
            Some((kind, content, after)) => {
                if !before.ends_with(";base64,") && is_plain(&kind) {
                    out.push_str("data:");
                    out.push_str(&kind);
                    out.push_str(";base64,");
                }
                STANDARD.encode_string(content, &mut out);
                rest = after;
            }
            None => {
                out.push('[');
                rest = here.strip_prefix('[').unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    Ok(serde_json::from_str(&out).ok().or(Some(json)))
}

pub(super) async fn into_trace(app: &App, trace: &mut Trace) -> Result<(), ApiError> {
    let on = Target::Trace(trace.id);
    trace.input = restored(app, on, trace.input.take()).await?;
    trace.output = restored(app, on, trace.output.take()).await?;
    trace.metadata = restored(app, on, trace.metadata.take()).await?;
    Ok(())
}

pub(super) async fn into_span(app: &App, span: &mut Span) -> Result<(), ApiError> {
    let on = Target::Span(span.id);
    span.input = restored(app, on, span.input.take()).await?;
    span.output = restored(app, on, span.output.take()).await?;
    span.metadata = restored(app, on, span.metadata.take()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{is_plain, reference};

    #[test]
    fn kinds_that_would_break_a_text_are_left_out() {
        assert!(is_plain("image/svg+xml") && is_plain("text/plain; charset=utf-8"));
        assert!(
            !is_plain("") && !is_plain("png") && !is_plain("image/\"png") && !is_plain("a/\\b")
        );
    }

    #[test]
    fn only_names_that_clients_make_are_references() {
        let name = "input-attachment-1-1795170315351-sdk.png";
        assert_eq!(reference(&format!("[{name}] x")), Some((name, " x")));
        assert!(reference("[output-attachment-2-17.json]").is_some());
        for other in [
            "[1, 2]",
            "[input-attachment-1.png]",
            "[else-attachment-1-2.png]",
            "[x",
            "[]",
        ] {
            assert_eq!(reference(other), None, "{other}");
        }
    }
}
