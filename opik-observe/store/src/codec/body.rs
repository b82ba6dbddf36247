//! Bodies: the long or rare content of one record, as tagged fields.
//!
//! `tag:u8 length:varint bytes`, repeated. The tags are 1 input, 2 output, 3 metadata, 4 message of
//! the error, 5 its traceback (left out when it repeats the message or the type), 6 everything
//! else as a JSON object. Unknown tags are skipped.

use opik_core::model::{AnnotationQueueRef, ExperimentRef, Extra, GuardrailValidation};
use opik_core::{Comment, ErrorInfo, FeedbackScore, Json, Span, Trace};
use serde::{Deserialize, Serialize};

use super::bytes::{Reader, put_len, str_of};
use crate::error::StoreError;

const INPUT: u8 = 1;
const OUTPUT: u8 = 2;
const METADATA: u8 = 3;
const MESSAGE: u8 = 4;
const TRACEBACK: u8 = 5;
const REST: u8 = 6;

fn put(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    put_len(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_content(
    out: &mut Vec<u8>,
    [input, output, metadata]: [Option<&Json>; 3],
    error: Option<&ErrorInfo>,
) {
    for (tag, json) in [(INPUT, input), (OUTPUT, output), (METADATA, metadata)] {
        if let Some(json) = json {
            put(out, tag, json.as_str().as_bytes());
        }
    }
    let Some(error) = error else { return };
    if let Some(message) = &error.message {
        put(out, MESSAGE, message.as_bytes());
    }
    if error.message.as_deref() != Some(&error.traceback) {
        put(out, TRACEBACK, error.traceback.as_bytes());
    }
}

/// Rare fields of a span.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct SpanRest {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    feedback_scores: Vec<FeedbackScore>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    comments: Vec<Comment>,
    #[serde(skip_serializing_if = "Extra::is_empty")]
    extra: Extra,
}

/// Rare fields of a trace.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct TraceRest {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    feedback_scores: Vec<FeedbackScore>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    comments: Vec<Comment>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    guardrails_validations: Vec<GuardrailValidation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    experiment: Option<ExperimentRef>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    annotation_queues: Vec<AnnotationQueueRef>,
    #[serde(skip_serializing_if = "Extra::is_empty")]
    extra: Extra,
}

/// Whether a span has fields that only a body can hold.
pub(crate) fn span_has_rest(span: &Span) -> bool {
    !(span.feedback_scores.is_empty() && span.comments.is_empty() && span.extra.is_empty())
}

/// Whether a trace has fields that only a body can hold.
pub(crate) fn trace_has_rest(trace: &Trace) -> bool {
    !(trace.feedback_scores.is_empty()
        && trace.comments.is_empty()
        && trace.guardrails_validations.is_empty()
        && trace.experiment.is_none()
        && trace.annotation_queues.is_empty()
        && trace.extra.is_empty())
}

fn put_rest<T: Serialize>(out: &mut Vec<u8>, rest: &T) -> Result<(), StoreError> {
    let json = serde_json::to_vec(rest).map_err(|error| StoreError::Internal(error.into()))?;
    put(out, REST, &json);
    Ok(())
}

/// Appends the body of a span.
pub(crate) fn put_span(out: &mut Vec<u8>, span: &Span) -> Result<(), StoreError> {
    let content = [&span.input, &span.output, &span.metadata].map(Option::as_ref);
    put_content(out, content, span.error_info.as_ref());
    if span_has_rest(span) {
        put_rest(
            out,
            &SpanRest {
                feedback_scores: span.feedback_scores.clone(),
                comments: span.comments.clone(),
                extra: span.extra.clone(),
            },
        )?;
    }
    Ok(())
}

/// Appends the body of a trace.
pub(crate) fn put_trace(out: &mut Vec<u8>, trace: &Trace) -> Result<(), StoreError> {
    let content = [&trace.input, &trace.output, &trace.metadata].map(Option::as_ref);
    put_content(out, content, trace.error_info.as_ref());
    if trace_has_rest(trace) {
        put_rest(
            out,
            &TraceRest {
                feedback_scores: trace.feedback_scores.clone(),
                comments: trace.comments.clone(),
                guardrails_validations: trace.guardrails_validations.clone(),
                experiment: trace.experiment.clone(),
                annotation_queues: trace.annotation_queues.clone(),
                extra: trace.extra.clone(),
            },
        )?;
    }
    Ok(())
}

/// The fields of a body, not yet parsed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Body<'a> {
    pub(crate) input: Option<&'a str>,
    pub(crate) output: Option<&'a str>,
    pub(crate) metadata: Option<&'a str>,
    pub(crate) message: Option<&'a str>,
    pub(crate) traceback: Option<&'a str>,
    rest: Option<&'a [u8]>,
}

impl<'a> Body<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, StoreError> {
        let mut reader = Reader::new(bytes);
        let mut body = Self::default();
        while !reader.is_empty() {
            let tag = reader.byte()?;
            let len = reader.len()?;
            let bytes = reader.bytes(len)?;
            match tag {
                INPUT => body.input = Some(str_of(bytes)?),
                OUTPUT => body.output = Some(str_of(bytes)?),
                METADATA => body.metadata = Some(str_of(bytes)?),
                MESSAGE => body.message = Some(str_of(bytes)?),
                TRACEBACK => body.traceback = Some(str_of(bytes)?),
                REST => body.rest = Some(bytes),
                _ => {}
            }
        }
        Ok(body)
    }

    fn error(&self, known: Option<ErrorInfo>) -> Option<ErrorInfo> {
        let mut error = known?;
        error.message = self.message.map(str::to_owned);
        let traceback = self.traceback.or(self.message).unwrap_or_default();
        traceback.clone_into(&mut error.traceback);
        Some(error)
    }

    fn rest<T: Default + for<'de> Deserialize<'de>>(&self) -> Result<T, StoreError> {
        match self.rest {
            None => Ok(T::default()),
            Some(bytes) => serde_json::from_slice(bytes)
                .map_err(|_| StoreError::Damaged("the rare fields of a record are not JSON")),
        }
    }

    /// Whether everything in it can be read.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        for content in [self.input, self.output, self.metadata] {
            json(content)?;
        }
        self.rest::<serde::de::IgnoredAny>().map(drop)
    }

    /// Completes a span that was read from its columns.
    pub(crate) fn fill_span(&self, span: &mut Span, with_content: bool) -> Result<(), StoreError> {
        if with_content {
            span.input = json(self.input)?;
            span.output = json(self.output)?;
            span.metadata = json(self.metadata)?;
        }
        span.error_info = self.error(span.error_info.take());
        let rest: SpanRest = self.rest()?;
        span.feedback_scores = rest.feedback_scores;
        span.comments = rest.comments;
        span.extra = rest.extra;
        Ok(())
    }

    /// Completes a trace that was read from its columns.
    pub(crate) fn fill_trace(&self, trace: &mut Trace, content: bool) -> Result<(), StoreError> {
        if content {
            trace.input = json(self.input)?;
            trace.output = json(self.output)?;
            trace.metadata = json(self.metadata)?;
        }
        trace.error_info = self.error(trace.error_info.take());
        let rest: TraceRest = self.rest()?;
        trace.feedback_scores = rest.feedback_scores;
        trace.comments = rest.comments;
        trace.guardrails_validations = rest.guardrails_validations;
        trace.experiment = rest.experiment;
        trace.annotation_queues = rest.annotation_queues;
        trace.extra = rest.extra;
        Ok(())
    }
}

/// JSON that was checked when it was taken.
fn json(text: Option<&str>) -> Result<Option<Json>, StoreError> {
    let damaged = |_| StoreError::Damaged("a content is not JSON");
    text.map(|text| serde_json::from_str(text).map_err(damaged))
        .transpose()
}
