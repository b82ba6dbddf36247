//! Records whose content is kept within the limits of a row.

use std::borrow::Cow;

use crate::wire::{ContentField, FieldLimits, FieldOwner, WireAttachment};
use crate::{Json, Span, Trace};

/// A trace as it is sent; its files are added to `files`.
pub(super) fn trace<'t>(
    limits: &FieldLimits,
    trace: &'t Trace,
    project: Option<&str>,
    files: &mut Vec<WireAttachment>,
) -> Cow<'t, Trace> {
    if limits.leave(bytes([&trace.input, &trace.output, &trace.metadata])) {
        return Cow::Borrowed(trace);
    }
    let owner = FieldOwner::trace(trace.id, trace.start_time).in_project(project);
    let mut sent = trace.clone();
    let fields = [&mut sent.input, &mut sent.output, &mut sent.metadata];
    limit(limits, fields, &owner, files);
    Cow::Owned(sent)
}

/// A span as it is sent; its files are added to `files`.
pub(super) fn span<'s>(
    limits: &FieldLimits,
    span: &'s Span,
    project: Option<&str>,
    files: &mut Vec<WireAttachment>,
) -> Cow<'s, Span> {
    if limits.leave(bytes([&span.input, &span.output, &span.metadata])) {
        return Cow::Borrowed(span);
    }
    let owner = FieldOwner::span(span.trace_id, span.id, span.start_time).in_project(project);
    let mut sent = span.clone();
    let fields = [&mut sent.input, &mut sent.output, &mut sent.metadata];
    limit(limits, fields, &owner, files);
    Cow::Owned(sent)
}

fn bytes(fields: [&Option<Json>; 3]) -> usize {
    let size = |json: &Json| json.as_str().len();
    fields.into_iter().flatten().map(size).sum()
}

fn limit(
    limits: &FieldLimits,
    [input, output, metadata]: [&mut Option<Json>; 3],
    owner: &FieldOwner<'_>,
    files: &mut Vec<WireAttachment>,
) {
    let text = |json: &Option<Json>| json.as_ref().map(|json| json.as_str().to_owned());
    let (was_input, was_output) = (text(input), text(output));
    let (new_input, new_output) =
        limits.apply_both(was_input.as_deref(), was_output.as_deref(), owner, files);
    replace(input, new_input);
    replace(output, new_output);
    let was_metadata = text(metadata);
    let apply = |json| limits.apply(ContentField::Metadata, json, owner, files);
    replace(metadata, was_metadata.as_deref().map(apply));
}

fn replace(json: &mut Option<Json>, sent: Option<Cow<'_, str>>) {
    if let Some(Cow::Owned(text)) = sent {
        // JSON with a text replaced by a text is JSON, so this always parses.
        *json = Json::parse(&text).ok().or_else(|| json.take());
    }
}
