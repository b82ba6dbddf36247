//! Limits of what a row carries inline: files inside of content go out, and what is too long for
//! Opik is left out with a mark.
//!
//! Both are what Opik's official clients do, in the same form, so that the server and the page show
//! them alike:
//!
//! - **Files.** A run of 256,000 or more characters of base64, alone or in a `data:` URL or in the
//!   midst of a text, whose bytes begin like a PNG, JPEG, GIF, WebP or SVG picture, a PDF, an MP4 or a
//!   JSON, becomes a [`WireAttachment`]. In its place stays `[input-attachment-<n>-<ms>-sdk.png]`,
//!   which the server replaces by the file on reading. Other runs stay where they are. Names of
//!   fields are not looked into.
//! - **Size.** An `input` or `output` of more than 20 MB becomes `{"opik_truncated":true,…}` with its
//!   size; when both together are more than that, both do. `metadata` is left whole.
//!
//! Where the official clients take a random number for `<n>` and the clock for `<ms>`, here `<n>`
//! comes from the bytes and `<ms>` is when the record began: rows of one record that are made again name
//! the same files, which the server keeps once.
//!
//! All of it is a function of its arguments. A text below the limits is not looked at. In a longer
//! one, one byte in 256,000 and its surroundings tell whether there is a long run: nothing else is
//! read. Runs are found in the text as it is written, so one whose `/` are written `\/` stays.

mod base64_runs;
mod sniff;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::WireAttachment;
use crate::{SpanId, Timestamp, TraceId};

/// Takes what the decoder of the official clients takes: also a last character with bits to spare.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

const MB: usize = 1024 * 1024;

/// The fields of a row that carry content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ContentField {
    /// `input`.
    Input,
    /// `output`.
    Output,
    /// `metadata`.
    Metadata,
}

impl ContentField {
    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::Metadata => "metadata",
        }
    }
}

/// The trace or span that a field belongs to.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct FieldOwner<'a> {
    /// The trace.
    pub trace: TraceId,
    /// The span, where it is not the trace itself.
    pub span: Option<SpanId>,
    /// The project that its files go to; that of the exporter where absent.
    pub project_name: Option<&'a str>,
    /// When the trace or span began.
    pub start: Timestamp,
}

impl<'a> FieldOwner<'a> {
    /// A trace that began at a moment.
    #[must_use]
    pub fn trace(id: TraceId, start: Timestamp) -> Self {
        Self {
            trace: id,
            span: None,
            project_name: None,
            start,
        }
    }

    /// A span of a trace that began at a moment.
    #[must_use]
    pub fn span(trace: TraceId, id: SpanId, start: Timestamp) -> Self {
        Self {
            span: Some(id),
            ..Self::trace(trace, start)
        }
    }

    /// Its project.
    #[must_use]
    pub fn in_project(mut self, name: Option<&'a str>) -> Self {
        self.project_name = name;
        self
    }
}

/// How much content a row carries inline.
///
/// ```
/// use opik_core::wire::{ContentField, FieldLimits, FieldOwner};
/// use opik_core::{Timestamp, TraceId};
///
/// let owner = FieldOwner::trace(TraceId::generate(), Timestamp::now());
/// let limits = FieldLimits::default().max_field_bytes(1_000);
/// let mut files = Vec::new();
/// let long = format!("\"{}\"", "so much text ".repeat(100));
/// let sent = limits.apply(ContentField::Input, &long, &owner, &mut files);
/// assert_eq!(
///     sent,
///     r#"{"opik_truncated":true,"reason":"<omitted_due_to_size_0MB_error_code_413_400>"}"#
/// );
/// assert_eq!(limits.apply(ContentField::Input, "[1]", &owner, &mut files), "[1]");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldLimits {
    max_field: usize,
    min_base64: usize,
    extract: bool,
}

impl Default for FieldLimits {
    /// 20 MB, and files of 256,000 characters or more are taken out.
    fn default() -> Self {
        Self {
            max_field: 20 * MB,
            min_base64: 256_000,
            extract: true,
        }
    }
}

impl FieldLimits {
    /// No limits: everything stays as it is.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
            .max_field_bytes(usize::MAX)
            .extract_files(false)
    }

    /// Most bytes of `input` and `output`, one or both together; 20 MB (of 1024 * 1024 bytes).
    #[must_use]
    pub fn max_field_bytes(mut self, bytes: usize) -> Self {
        self.max_field = bytes;
        self
    }

    /// Fewest characters of base64 that are taken for a file; 256,000. Below 4 it counts as 4.
    #[must_use]
    pub fn min_base64_chars(mut self, chars: usize) -> Self {
        self.min_base64 = chars.max(4);
        self
    }

    /// Whether files are taken out of content; they are.
    #[must_use]
    pub fn extract_files(mut self, on: bool) -> Self {
        self.extract = on;
        self
    }

    /// Whether a field of so many bytes stays as it is, whatever is in it. Two fields have to be
    /// asked for together.
    #[must_use]
    pub fn leave(&self, bytes: usize) -> bool {
        bytes <= self.max_field && (!self.extract || bytes < self.min_base64)
    }

    /// The JSON text of a field as it is sent; its files are added to `files`.
    ///
    /// A text that is no JSON comes out as it went in, or with runs of base64 replaced.
    #[must_use]
    pub fn apply<'j>(
        &self,
        field: ContentField,
        json: &'j str,
        owner: &FieldOwner<'_>,
        files: &mut Vec<WireAttachment>,
    ) -> Cow<'j, str> {
        let rest = self.without_files(field, json, owner, files);
        if rest.len() > self.max_field && field != ContentField::Metadata {
            return Cow::Owned(mark(rest.len()));
        }
        rest
    }

    /// `input` and `output` of one record as they are sent: as [`apply`](Self::apply), and when both
    /// together are too long, neither is sent.
    #[must_use]
    pub fn apply_both<'j>(
        &self,
        input: Option<&'j str>,
        output: Option<&'j str>,
        owner: &FieldOwner<'_>,
        files: &mut Vec<WireAttachment>,
    ) -> (Option<Cow<'j, str>>, Option<Cow<'j, str>>) {
        let input = input.map(|json| self.apply(ContentField::Input, json, owner, files));
        let output = output.map(|json| self.apply(ContentField::Output, json, owner, files));
        let size = |json: &Option<Cow<'_, str>>| json.as_ref().map_or(0, |json| json.len());
        if size(&input).saturating_add(size(&output)) <= self.max_field {
            return (input, output);
        }
        let marked = |json: Cow<'j, str>| match json {
            // A field that is marked already keeps its size.
            Cow::Owned(text) if text.starts_with(MARK) => Cow::Owned(text),
            json => Cow::Owned(mark(json.len())),
        };
        (input.map(marked), output.map(marked))
    }

    fn without_files<'j>(
        &self,
        field: ContentField,
        json: &'j str,
        owner: &FieldOwner<'_>,
        files: &mut Vec<WireAttachment>,
    ) -> Cow<'j, str> {
        if !self.extract || json.len() < self.min_base64 {
            return Cow::Borrowed(json);
        }
        let mut rest = String::new();
        let mut copied = 0;
        for run in base64_runs::of(json, self.min_base64) {
            let Some(file) = file_of(field, json.get(run.base64.clone()), owner, files) else {
                continue;
            };
            rest.push_str(json.get(copied..run.whole.start).unwrap_or_default());
            rest.push('[');
            rest.push_str(&file);
            rest.push(']');
            copied = run.whole.end;
        }
        if copied == 0 {
            return Cow::Borrowed(json);
        }
        rest.push_str(json.get(copied..).unwrap_or_default());
        Cow::Owned(rest)
    }
}

/// A run of base64 in a text.
struct Run {
    /// The characters of base64.
    base64: Range<usize>,
    /// These and the beginning of the `data:` URL before them.
    whole: Range<usize>,
}

/// What a mark begins with.
const MARK: &str = "{\"opik_truncated\":true,\"reason\":\"<omitted_due_to_size_";

/// What stands for a field of this size. Megabytes are rounded, as by the official clients.
fn mark(size: usize) -> String {
    let megabytes = size.saturating_add(MB / 2) / MB;
    format!("{MARK}{megabytes}MB_error_code_413_400>\"}}")
}

/// Keeps what is in a run as a file, when it is one, and returns the file's name.
fn file_of(
    field: ContentField,
    base64: Option<&str>,
    owner: &FieldOwner<'_>,
    files: &mut Vec<WireAttachment>,
) -> Option<String> {
    let bytes = BASE64.decode(base64?).ok()?;
    let (mime_type, extension) = sniff::mime_type(&bytes)?;
    let mut hasher = DefaultHasher::new();
    hasher.write(&bytes);
    let mut number = hasher.finish() % 99_999_999 + 1;
    let field = field.as_str();
    let millis = owner.start.as_micros().div_euclid(1_000).unsigned_abs();
    loop {
        let name = format!("{field}-attachment-{number}-{millis}-sdk.{extension}");
        let same = files.iter().find(|file| {
            (file.trace, file.span) == (owner.trace, owner.span) && file.file_name == name
        });
        match same {
            Some(same) if same.bytes == bytes => return Some(name),
            Some(_) => number = number % 99_999_999 + 1,
            None => {
                let mut file = WireAttachment::new(owner.trace, name.clone(), mime_type, bytes);
                file.span = owner.span;
                file.project_name = owner.project_name.map(str::to_owned);
                files.push(file);
                return Some(name);
            }
        }
    }
}
