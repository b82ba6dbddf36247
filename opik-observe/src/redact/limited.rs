//! Content that is too large for a row, and files in content.

use opik_core::wire::{ContentField, FieldLimits, FieldOwner, WireAttachment};

use super::Common;
use super::cleared::{Cleared, Content, Leaf};
use super::rows;
use crate::raw::Kind;

/// A byte of a text is at most so many bytes of JSON.
const ESCAPED: usize = 6;
/// Braces, quotes and the name of a field around a value.
const AROUND: usize = 100;

/// JSON texts of a record's content, as they are sent.
#[derive(Default)]
pub(super) struct Limited {
    pub(super) input: Option<String>,
    pub(super) output: Option<String>,
    pub(super) metadata: Option<String>,
}

/// The content of a record with its limits applied; its files are added to `files`. `None` when it is
/// so small that every limit leaves it as it is, as most is.
pub(super) fn limited(
    cleared: &Cleared<'_>,
    common: &Common,
    files: &mut Vec<WireAttachment>,
) -> Option<Limited> {
    let metadata = cleared
        .metadata
        .iter()
        .map(|(key, leaf)| key.len() + size_of_leaf(leaf));
    let contents = [&cleared.input, &cleared.output].into_iter().flatten();
    let size = contents.map(size).sum::<usize>() + metadata.sum::<usize>();
    if common.limits.leave(size * ESCAPED + AROUND * 3) {
        return None;
    }
    let head = &cleared.head;
    let owner = match head.kind {
        Kind::Span => FieldOwner::span(head.trace, head.span, head.start),
        Kind::Trace | Kind::Score => FieldOwner::trace(head.trace, head.start),
    }
    .in_project(common.project.as_deref());
    let content = |open, content: &Option<Content<'_>>| {
        let content = content.as_ref()?;
        text(|out| rows::content(out, open, content))
    };
    let (input, output) = (
        content(rows::INPUT, &cleared.input),
        content(rows::OUTPUT, &cleared.output),
    );
    let (input, output) =
        common
            .limits
            .apply_both(input.as_deref(), output.as_deref(), &owner, files);
    let metadata = (!cleared.metadata.is_empty())
        .then(|| text(|out| rows::metadata(out, &cleared.metadata)))
        .flatten();
    Some(Limited {
        input: input.map(Into::into),
        output: output.map(Into::into),
        metadata: metadata.map(|json| within(&common.limits, &json, &owner, files)),
    })
}

fn within(
    limits: &FieldLimits,
    json: &str,
    owner: &FieldOwner<'_>,
    files: &mut Vec<WireAttachment>,
) -> String {
    limits
        .apply(ContentField::Metadata, json, owner, files)
        .into_owned()
}

fn text(write: impl FnOnce(&mut Vec<u8>)) -> Option<String> {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).ok()
}

fn size(content: &Content<'_>) -> usize {
    match content {
        Content::Whole(text) | Content::Cut(text) => text.len(),
        Content::Wrapped(leaf) => size_of_leaf(leaf),
    }
}

fn size_of_leaf(leaf: &Leaf<'_>) -> usize {
    match leaf {
        Leaf::Text(text) | Leaf::Json(text) => text.len(),
        // The longest number.
        Leaf::Int(_) | Leaf::Float(_) | Leaf::Bool(_) => 25,
    }
}
