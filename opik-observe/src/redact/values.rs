//! What may leave as records of opik-core.

use opik_core::model::{RecordSource, ScoreTarget};
use opik_core::{Batch, ErrorInfo, FeedbackScore, Json, ScoreRecord, Span, SpanType, Trace, Usage};

use super::Common;
use super::cleared::{Cleared, Content};
use super::rows::{INPUT, OUTPUT, content, metadata};
use crate::raw::Kind;

/// Adds what may leave to a batch of records.
pub(crate) fn push_value(cleared: &Cleared<'_>, common: &Common, batch: &mut Batch) {
    match cleared.head.kind {
        Kind::Trace => batch.traces.push(trace(cleared, common)),
        Kind::Span => batch.spans.push(span(cleared, common)),
        Kind::Score => batch.scores.push(score(cleared, common)),
    }
}

/// JSON as the other form writes it.
fn json(write: impl FnOnce(&mut Vec<u8>)) -> Option<Json> {
    let mut text = Vec::new();
    write(&mut text);
    serde_json::from_slice(&text).ok()
}

fn content_json(open: &str, value: Option<&Content<'_>>) -> Option<Json> {
    value.and_then(|value| json(|out| content(out, open, value)))
}

fn owned(text: Option<&std::borrow::Cow<'_, str>>) -> Option<String> {
    text.map(|text| text.clone().into_owned())
}

fn error(cleared: &Cleared<'_>) -> Option<ErrorInfo> {
    let kind = cleared.error.as_deref()?;
    Some(match cleared.message.as_deref() {
        Some(message) => ErrorInfo::new(kind, message),
        None => ErrorInfo::of_type(kind),
    })
}

fn metadata_json(cleared: &Cleared<'_>) -> Option<Json> {
    let some = !cleared.metadata.is_empty();
    some.then(|| json(|out| metadata(out, &cleared.metadata)))
        .flatten()
}

fn tags(cleared: &Cleared<'_>) -> Vec<String> {
    cleared
        .tags
        .iter()
        .map(|tag| tag.clone().into_owned())
        .collect()
}

fn trace(cleared: &Cleared<'_>, common: &Common) -> Trace {
    let head = &cleared.head;
    let mut trace = Trace::new(head.trace, head.start);
    trace.project_name.clone_from(&common.project);
    trace.environment.clone_from(&common.environment);
    trace.name = Some(cleared.name.clone().into_owned());
    trace.end_time = head.end;
    trace.last_updated_at = Some(head.version);
    trace.source = Some(RecordSource::Sdk);
    trace.input = content_json(INPUT, cleared.input.as_ref());
    trace.output = content_json(OUTPUT, cleared.output.as_ref());
    trace.metadata = metadata_json(cleared);
    trace.tags = tags(cleared);
    trace.error_info = error(cleared);
    trace.thread_id = owned(cleared.thread.as_ref());
    trace.ttft = cleared.ttft;
    trace
}

fn span(cleared: &Cleared<'_>, common: &Common) -> Span {
    let head = &cleared.head;
    let mut span = Span::new(head.span, head.trace, head.start);
    span.project_name.clone_from(&common.project);
    span.environment.clone_from(&common.environment);
    span.parent_span_id = head.parent;
    span.name = Some(cleared.name.clone().into_owned());
    span.r#type = Some(SpanType::from(&*cleared.word));
    span.end_time = head.end;
    span.last_updated_at = Some(head.version);
    span.source = Some(RecordSource::Sdk);
    span.input = content_json(INPUT, cleared.input.as_ref());
    span.output = content_json(OUTPUT, cleared.output.as_ref());
    span.metadata = metadata_json(cleared);
    span.model = owned(cleared.model.as_ref());
    span.provider = owned(cleared.provider.as_ref());
    span.tags = tags(cleared);
    let counts = cleared.usage.iter();
    span.usage = Usage(
        counts
            .map(|(name, count)| (name.clone().into_owned(), *count))
            .collect(),
    );
    span.error_info = error(cleared);
    span.total_estimated_cost = cleared.cost;
    span.ttft = cleared.ttft;
    span
}

/// What a score is given to.
pub(super) fn target(cleared: &Cleared<'_>) -> ScoreTarget {
    match (cleared.thread.as_deref(), cleared.head.parent) {
        (Some(thread), _) => ScoreTarget::Thread(thread.to_owned()),
        (None, Some(span)) => ScoreTarget::Span(span),
        (None, None) => ScoreTarget::Trace(cleared.head.trace),
    }
}

fn score(cleared: &Cleared<'_>, common: &Common) -> ScoreRecord {
    let mut score = FeedbackScore::new(&*cleared.name, cleared.score);
    score.last_updated_at = Some(cleared.head.start);
    score.category_name = owned(cleared.category.as_ref());
    score.reason = owned(cleared.reason.as_ref());
    let mut record = ScoreRecord::new(target(cleared), score);
    record.project_name.clone_from(&common.project);
    record
}
