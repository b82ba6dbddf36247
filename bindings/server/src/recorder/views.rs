//! Traces, spans and threads as Opik shows them.

use std::collections::BTreeMap;

use opik_core::model::{ValueEntry, VisibilityMode};
use opik_core::{FeedbackScore, Json, Span, Thread, Timestamp, Trace};

use crate::http::USER;

/// Contents with more characters than this are cut where a client asks for that.
const MOST_CHARS: usize = 10_000;

/// What a client wants to see of records.
#[derive(Debug, Clone, Default)]
pub(super) struct Shape {
    /// Cut long inputs and outputs.
    pub(super) truncate: bool,
    /// Fields to leave out.
    pub(super) exclude: Vec<String>,
}

impl Shape {
    fn cut(&self, content: &mut Option<Json>) {
        if !self.truncate {
            return;
        }
        if let Some(json) = content
            && json.as_str().len() > MOST_CHARS
            && let Some((end, _)) = json.as_str().char_indices().nth(MOST_CHARS)
        {
            let head = json.as_str().get(..end).unwrap_or_default();
            *content = Some(Json::string(head));
        }
    }

    fn without(&self, field: &str) -> bool {
        self.exclude.iter().any(|name| name == field)
    }
}

fn user() -> Option<String> {
    Some(USER.to_owned())
}

/// A text member as the first of an object. Metadata that is no object stays as it is.
fn with_first(metadata: Option<Json>, name: &str, value: &str) -> Option<Json> {
    let rest = match &metadata {
        None => "}",
        Some(json) => match json.as_str().trim_start().strip_prefix('{') {
            Some(rest) => rest,
            None => return metadata,
        },
    };
    let comma = if rest.trim_start().starts_with('}') {
        ""
    } else {
        ","
    };
    let text = format!("{{\"{name}\":{value}{comma}{rest}");
    // Whatever could not be read back is shown as it was.
    serde_json::from_str(&text).ok().or(metadata)
}

/// Scores with who gave them, as Opik shows them.
pub(super) fn shown_scores(scores: &mut [FeedbackScore]) {
    for score in scores {
        score.created_by = user();
        score.last_updated_by = user();
        let entries = std::mem::take(&mut score.value_by_author);
        score.value_by_author = if entries.is_empty() {
            let mut entry = ValueEntry::default();
            entry.value = Some(score.value);
            entry.reason.clone_from(&score.reason);
            entry.category_name.clone_from(&score.category_name);
            entry.source = Some(score.source.clone());
            entry.last_updated_at = score.last_updated_at;
            BTreeMap::from([(USER.to_owned(), entry)])
        } else {
            let named = |author: String| {
                if author.is_empty() {
                    USER.to_owned()
                } else {
                    author
                }
            };
            entries
                .into_iter()
                .map(|(author, entry)| (named(author), entry))
                .collect()
        };
    }
}

fn shown_moment(updated: &mut Option<Timestamp>, created: Option<Timestamp>) {
    // A record of which only patches have come has no version yet.
    if *updated == Some(Timestamp::EPOCH) {
        *updated = created;
    }
}

/// A trace as it is shown.
pub(super) fn trace(mut trace: Trace, shape: &Shape) -> Trace {
    trace.project_name = None;
    trace.name = trace.name.filter(|name| !name.is_empty());
    trace.created_by = user();
    trace.last_updated_by = user();
    shown_moment(&mut trace.last_updated_at, trace.created_at);
    trace.visibility_mode.get_or_insert(VisibilityMode::Default);
    trace.total_estimated_cost = trace.total_estimated_cost.filter(|cost| *cost > 0.0);
    trace.has_tool_spans.get_or_insert(false);
    trace.llm_span_count.get_or_insert(0);
    trace.span_count.get_or_insert(0);
    if !trace.providers.is_empty()
        && let Ok(list) = serde_json::to_string(&trace.providers)
    {
        trace.metadata = with_first(trace.metadata.take(), "providers", &list);
    }
    shown_scores(&mut trace.feedback_scores);
    shape.cut(&mut trace.input);
    shape.cut(&mut trace.output);
    let blank = Trace::new(trace.id, trace.start_time);
    macro_rules! leave_out {
        ($($field:ident),+) => { $(if shape.without(stringify!($field)) { trace.$field = blank.$field; })+ };
    }
    leave_out!(
        name,
        end_time,
        input,
        output,
        metadata,
        tags,
        error_info,
        usage,
        created_at,
        last_updated_at,
        created_by,
        last_updated_by,
        feedback_scores,
        span_feedback_scores,
        comments,
        guardrails_validations,
        total_estimated_cost,
        span_count,
        duration,
        ttft,
        thread_id,
        visibility_mode,
        llm_span_count,
        has_tool_spans,
        providers,
        experiment,
        annotation_queues,
        source,
        environment
    );
    trace
}

/// A span as it is shown in lists: with the identifier of its project only.
pub(super) fn span(mut span: Span, shape: &Shape) -> Span {
    span.project_name = None;
    span.name = span.name.filter(|name| !name.is_empty());
    span.created_by = user();
    span.last_updated_by = user();
    shown_moment(&mut span.last_updated_at, span.created_at);
    span.r#type = Some(span.kind().clone());
    span.total_estimated_cost = span.total_estimated_cost.filter(|cost| *cost > 0.0);
    if let Some(provider) = &span.provider
        && let Ok(text) = serde_json::to_string(provider)
    {
        span.metadata = with_first(span.metadata.take(), "provider", &text);
    }
    shown_scores(&mut span.feedback_scores);
    shape.cut(&mut span.input);
    shape.cut(&mut span.output);
    let blank = Span::new(span.id, span.trace_id, span.start_time);
    macro_rules! leave_out {
        ($($field:ident),+) => { $(if shape.without(stringify!($field)) { span.$field = blank.$field; })+ };
    }
    leave_out!(
        name,
        end_time,
        input,
        output,
        metadata,
        model,
        provider,
        tags,
        usage,
        error_info,
        created_at,
        last_updated_at,
        created_by,
        last_updated_by,
        feedback_scores,
        comments,
        total_estimated_cost,
        total_estimated_cost_version,
        duration,
        ttft,
        source,
        environment
    );
    span
}

/// A thread as it is shown.
pub(super) fn thread(mut thread: Thread, shape: &Shape) -> Thread {
    shown_scores(&mut thread.feedback_scores);
    shape.cut(&mut thread.first_message);
    shape.cut(&mut thread.last_message);
    thread
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text).unwrap()
    }

    #[test]
    fn a_member_goes_before_those_of_an_object_and_numbers_keep_their_spelling() {
        let of = |text: &str| with_first(Some(json(text)), "p", "[1]").unwrap();
        assert_eq!(of(r#"{"a": 1.0e2}"#).as_str(), r#"{"p":[1],"a": 1.0e2}"#);
        assert_eq!(of("{ }").as_str(), r#"{"p":[1] }"#);
        assert_eq!(of("\"text\"").as_str(), "\"text\"");
        assert_eq!(
            with_first(None, "p", "[1]").unwrap().as_str(),
            r#"{"p":[1]}"#
        );
    }

    #[test]
    fn long_content_is_cut_to_a_text_on_request() {
        let mut it = Trace::new(opik_core::TraceId::generate(), Timestamp::now());
        it.input = Some(json(&format!("{{\"a\": \"{}\"}}", "ä".repeat(20_000))));
        let whole = trace(it.clone(), &Shape::default());
        assert_eq!(whole.input, it.input);
        let shape = Shape {
            truncate: true,
            exclude: vec!["span_count".to_owned()],
        };
        let cut = trace(it, &shape);
        let text: String = cut.input.unwrap().decode().unwrap();
        assert_eq!(text.chars().count(), MOST_CHARS);
        assert_eq!(cut.span_count, None);
    }
}
