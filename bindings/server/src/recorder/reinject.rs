//! Files in place of the references to them.
//!
//! Clients take long base64 texts out of contents, upload them, and leave
//! `[input-attachment-1-1795170315351-sdk.png]` in their place. Whoever reads records whole gets
//! them back, unless he asks for the references.
//!
//! Newer clients take a file with what stands before it, `data:image/png;base64,`, older ones leave
//! that where it is. A file comes back as a data URI in both cases, and with that prefix once.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opik_core::{Json, Span, Trace};
use opik_store::records::{AttachmentKey, Target};
use opik_store::{Store, StoreError};

/// Bytes of files that one page of records gets back. What is beyond stays a reference, so that a
/// page of many large files does not take the memory of all of them.
const MOST_IN_A_PAGE: usize = 64 * 1024 * 1024;

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

/// The content with its files, as long as they have room in what is `left`.
async fn restored(
    store: &Store,
    on: Target,
    content: Option<Json>,
    left: &mut usize,
) -> Result<Option<Json>, StoreError> {
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
                let found = store.attachment(key).await?;
                found
                    .filter(|(_, content)| content.len() <= *left)
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
                *left = left.saturating_sub(content.len());
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

async fn fill_trace(store: &Store, trace: &mut Trace, left: &mut usize) -> Result<(), StoreError> {
    let on = Target::Trace(trace.id);
    trace.input = restored(store, on, trace.input.take(), left).await?;
    trace.output = restored(store, on, trace.output.take(), left).await?;
    trace.metadata = restored(store, on, trace.metadata.take(), left).await?;
    Ok(())
}

async fn fill_span(store: &Store, span: &mut Span, left: &mut usize) -> Result<(), StoreError> {
    let on = Target::Span(span.id);
    span.input = restored(store, on, span.input.take(), left).await?;
    span.output = restored(store, on, span.output.take(), left).await?;
    span.metadata = restored(store, on, span.metadata.take(), left).await?;
    Ok(())
}

/// A record that is read alone gets all of its files.
pub(super) async fn into_trace(store: &Store, trace: &mut Trace) -> Result<(), StoreError> {
    let mut left = usize::MAX;
    fill_trace(store, trace, &mut left).await
}

/// As [`into_trace`].
pub(super) async fn into_span(store: &Store, span: &mut Span) -> Result<(), StoreError> {
    let mut left = usize::MAX;
    fill_span(store, span, &mut left).await
}

/// The records of a page get files up to a bound, the first ones first.
pub(super) async fn into_traces(store: &Store, traces: &mut [Trace]) -> Result<(), StoreError> {
    let mut left = MOST_IN_A_PAGE;
    for trace in traces {
        fill_trace(store, trace, &mut left).await?;
    }
    Ok(())
}

/// As [`into_traces`].
pub(super) async fn into_spans(store: &Store, spans: &mut [Span]) -> Result<(), StoreError> {
    let mut left = MOST_IN_A_PAGE;
    for span in spans {
        fill_span(store, span, &mut left).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use opik_core::{Json, TraceId};
    use opik_store::Store;
    use opik_store::records::{AttachmentKey, Target};

    use super::{is_plain, reference, restored};

    #[tokio::test]
    async fn files_come_back_as_long_as_there_is_room() {
        let store = Store::open_in_memory().unwrap();
        let on = Target::Trace(TraceId::generate());
        for n in 1..=3 {
            let key = AttachmentKey {
                target: on,
                file_name: format!("input-attachment-{n}-1.txt"),
            };
            let file = vec![b'a'; if n == 2 { 7 } else { 3 }];
            let kind = "text/plain".to_owned();
            store.put_attachment(key, None, kind, file).await.unwrap();
        }
        let names = (1..=3).map(|n| format!("\"[input-attachment-{n}-1.txt]\""));
        let text = format!("[{}]", names.collect::<Vec<_>>().join(","));
        let mut left = 8;
        let read = restored(&store, on, Some(Json::parse(&text).unwrap()), &mut left).await;
        let read = read.unwrap().unwrap();
        let file = "data:text/plain;base64,YWFh";
        assert_eq!(
            read.as_str(),
            format!("[\"{file}\",\"[input-attachment-2-1.txt]\",\"{file}\"]")
        );
        assert_eq!(left, 2, "what came back takes room, what stayed does not");
    }

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
