//! Reading a record, for the redaction only.

use std::borrow::Cow;

use opik_core::{SpanId, Timestamp, TraceId};

use super::{FLAG_DECLARED, FLAG_OPEN, FLAG_PARENT, Form, Kind, SPAN_TYPES, Tag};

/// A record in a chunk.
#[derive(Clone, Copy)]
pub(crate) struct RawView<'a> {
    kind: Kind,
    flags: u8,
    span_type: u8,
    id: [u8; 16],
    trace: [u8; 16],
    parent: [u8; 16],
    start: i64,
    end: i64,
    name: &'a str,
    fields: &'a [u8],
}

/// One field.
pub(crate) struct Field<'a> {
    pub(crate) tag: Tag,
    /// Empty where the tag has no key.
    pub(crate) key: &'a str,
    pub(crate) payload: Payload<'a>,
}

/// The value of a field.
pub(crate) enum Payload<'a> {
    Text(&'a str),
    Declared(&'a str),
    Json(&'a str),
    Cut(Cow<'a, str>),
    Int(i64),
    Float(f64),
    Bool(bool),
}

impl<'a> Payload<'a> {
    /// The text of a plain field.
    pub(crate) fn as_text(&self) -> Option<&'a str> {
        match self {
            Self::Text(text) | Self::Declared(text) => Some(text),
            Self::Json(_) | Self::Cut(_) | Self::Int(_) | Self::Float(_) | Self::Bool(_) => None,
        }
    }
}

/// Takes `N` bytes off the front.
fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(head)
}

/// Takes so many bytes off the front.
fn take_block<'a>(bytes: &mut &'a [u8], length: u32) -> Option<&'a [u8]> {
    let (block, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(block)
}

#[inline]
fn text(bytes: &[u8]) -> Option<&str> {
    // Most fields have no key.
    if bytes.is_empty() {
        return Some("");
    }
    // Short texts as the standard library does it, long ones with the vector units of the machine.
    simdutf8::basic::from_utf8(bytes).ok()
}

/// The key of a field. The usual counts of tokens are known by sight.
#[inline]
fn key(bytes: &[u8]) -> Option<&str> {
    match bytes {
        b"completion_tokens" => Some("completion_tokens"),
        b"prompt_tokens" => Some("prompt_tokens"),
        b"total_tokens" => Some("total_tokens"),
        other => text(other),
    }
}

impl<'a> RawView<'a> {
    /// Reads the head; `None` when the bytes are no record.
    pub(crate) fn parse(mut bytes: &'a [u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let [kind, flags, span_type, _] = *take(bytes)?;
        let name = u32::from_le_bytes(*take(bytes)?);
        let kind = [Kind::Trace, Kind::Span, Kind::Score]
            .into_iter()
            .find(|known| *known as u8 == kind)?;
        Some(Self {
            kind,
            flags,
            span_type,
            id: *take(bytes)?,
            trace: *take(bytes)?,
            parent: *take(bytes)?,
            start: i64::from_le_bytes(*take(bytes)?),
            end: i64::from_le_bytes(*take(bytes)?),
            name: text(take_block(bytes, name)?)?,
            fields: bytes,
        })
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The identifier, whatever kind of record it is.
    pub(crate) fn key(&self) -> [u8; 16] {
        self.id
    }

    pub(crate) fn span_id(&self) -> SpanId {
        SpanId::from_bytes(self.id)
    }

    pub(crate) fn trace_id(&self) -> TraceId {
        TraceId::from_bytes(self.trace)
    }

    pub(crate) fn parent(&self) -> Option<SpanId> {
        (self.flags & FLAG_PARENT != 0).then(|| SpanId::from_bytes(self.parent))
    }

    pub(crate) fn is_open(&self) -> bool {
        self.flags & FLAG_OPEN != 0
    }

    pub(crate) fn start(&self) -> Timestamp {
        Timestamp::from_micros(self.start)
    }

    pub(crate) fn end(&self) -> Option<Timestamp> {
        (!self.is_open()).then(|| Timestamp::from_micros(self.end))
    }

    /// The name and whether it is a literal of the program.
    pub(crate) fn name(&self) -> (&'a str, bool) {
        (self.name, self.flags & FLAG_DECLARED != 0)
    }

    /// The type of a span as last given, found without reading the other fields.
    pub(crate) fn span_type(&self) -> &'a str {
        let mut bytes = self.fields;
        let mut last = None;
        while let Some((tag, value)) = skip(&mut bytes) {
            if tag == Tag::SpanType as u8 {
                last = text(value);
            }
        }
        let begun = usize::from(self.span_type).checked_sub(1);
        let begun = begun.and_then(|index| SPAN_TYPES.get(index));
        last.or(begun.map(|span_type| span_type.as_str()))
            .unwrap_or("general")
    }

    /// Calls `take` with every field but the type of a span with which the record began, in the order
    /// in which they were given.
    ///
    /// The same as [`fields`](Self::fields), without handing values through an iterator, which costs as
    /// much again as reading them.
    #[inline]
    pub(crate) fn for_each(&self, mut take: impl FnMut(Field<'a>)) {
        let mut bytes = self.fields;
        while let Some(field) = field(&mut bytes) {
            take(field);
        }
    }

    /// The fields in the order in which they were given; ends early where bytes make no sense.
    pub(crate) fn fields(&self) -> impl Iterator<Item = Field<'a>> + use<'a> {
        let mut bytes = self.fields;
        let span_type = usize::from(self.span_type).checked_sub(1);
        let span_type = span_type.and_then(|index| SPAN_TYPES.get(index));
        let span_type = span_type.map(|span_type| Field {
            tag: Tag::SpanType,
            key: "",
            payload: Payload::Declared(span_type.as_str()),
        });
        let others = std::iter::from_fn(move || field(&mut bytes));
        span_type.into_iter().chain(others)
    }
}

/// Passes over a field: its tag and its value.
fn skip<'a>(bytes: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let [tag, _, k, l] = *take(bytes)?;
    let length = u32::from_le_bytes(*take(bytes)?);
    take_block(bytes, u16::from_le_bytes([k, l]).into())?;
    Some((tag, take_block(bytes, length)?))
}

// As a call, its result would go through memory twice.
#[inline(always)]
fn field<'a>(bytes: &mut &'a [u8]) -> Option<Field<'a>> {
    let [tag, form, k, l] = *take(bytes)?;
    let (tag, form) = (Tag::from_byte(tag)?, Form::from_byte(form)?);
    let length = u32::from_le_bytes(*take(bytes)?);
    let key = key(take_block(bytes, u16::from_le_bytes([k, l]).into())?)?;
    let mut payload = take_block(bytes, length)?;
    let payload = match form {
        Form::Text => Payload::Text(text(payload)?),
        Form::Declared => Payload::Declared(text(payload)?),
        Form::Json => Payload::Json(text(payload)?),
        Form::Cut => Payload::Cut(String::from_utf8_lossy(payload)),
        Form::Int => Payload::Int(i64::from_le_bytes(*take(&mut payload)?)),
        Form::Float => Payload::Float(f64::from_le_bytes(*take(&mut payload)?)),
        Form::Bool => Payload::Bool(take::<1>(&mut payload)?[0] != 0),
    };
    Some(Field { tag, key, payload })
}
