//! Writing a record.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use opik_core::{SpanType, Timestamp};
use serde::Serialize;

use super::top::{Place, Top};
use super::{
    END_AT, FIELD, FLAG_DECLARED, FLAG_OPEN, FLAG_PARENT, Form, HEAD, ID_AT, Kind, PARENT_AT,
    START_AT, TRACE_AT, Tag,
};
use crate::{Name, Value};

/// Bytes that a new buffer has.
const FIRST: usize = 1 << 10;

/// What is known of a record when it begins.
pub(crate) struct Head<'a> {
    pub(crate) kind: Kind,
    pub(crate) span_type: Option<&'a SpanType>,
    pub(crate) id: [u8; 16],
    pub(crate) trace: [u8; 16],
    pub(crate) parent: Option<[u8; 16]>,
    pub(crate) start: Timestamp,
    pub(crate) name: &'a Name<'a>,
}

/// A record under construction.
///
/// The buffer is initialised beyond the record, and stays so from one record to the next: a field
/// then needs one check of the room for it and a few moves.
#[derive(Default)]
pub(crate) struct Raw {
    bytes: Vec<u8>,
    /// Bytes of the record.
    length: usize,
}

/// Where the length of a field was left open.
struct Open(usize);

/// What became of a value of the program; no form when it has none.
#[derive(Default)]
struct Written {
    form: Option<Form>,
}

impl Written {
    fn new(done: bool, sink: Option<&Limited<'_>>, text: bool) -> Self {
        let cut = sink.is_some_and(|sink| sink.full);
        let form = match (done, cut) {
            (_, true) => Some(Form::Cut),
            (true, false) if text => Some(Form::Text),
            (true, false) => Some(Form::Json),
            (false, false) => None,
        };
        Self { form }
    }
}

impl Raw {
    /// Begins a record; what was in here is forgotten.
    #[inline]
    pub(crate) fn begin(&mut self, head: &Head<'_>) {
        let mut flags = FLAG_OPEN;
        if head.parent.is_some() {
            flags |= FLAG_PARENT;
        }
        if head.name.declared {
            flags |= FLAG_DECLARED;
        }
        let name = head.name.text.as_bytes();
        let name_length = u32::try_from(name.len()).unwrap_or(0);
        let name = if name_length == 0 { &[] } else { name };
        let span_type = head.span_type.map_or(0, span_type_code);
        self.length = 0;
        let place = self.room(HEAD + name.len());
        if let Some((fixed, rest)) = place.split_first_chunk_mut::<HEAD>() {
            fixed[..4].copy_from_slice(&[head.kind as u8, flags, span_type, 0]);
            fixed[4..ID_AT].copy_from_slice(&name_length.to_le_bytes());
            fixed[ID_AT..TRACE_AT].copy_from_slice(&head.id);
            fixed[TRACE_AT..PARENT_AT].copy_from_slice(&head.trace);
            fixed[PARENT_AT..START_AT].copy_from_slice(&head.parent.unwrap_or_default());
            fixed[START_AT..END_AT].copy_from_slice(&head.start.as_micros().to_le_bytes());
            fixed[END_AT..].fill(0);
            copy(rest, name);
        }
        if let Some(other) = head.span_type.filter(|_| span_type == 0) {
            self.text(Tag::SpanType, other.as_str());
        }
    }

    #[inline]
    fn head(&self) -> &[u8; HEAD] {
        self.bytes.first_chunk().unwrap_or(&[0; HEAD])
    }

    pub(crate) fn trace(&self) -> [u8; 16] {
        let trace = self.head()[TRACE_AT..].first_chunk();
        trace.copied().unwrap_or_default()
    }

    /// The identifier of a span; `None` when this is none.
    pub(crate) fn span(&self) -> Option<[u8; 16]> {
        let head = self.head();
        let id = head[ID_AT..].first_chunk().copied();
        id.filter(|_| head[0] == Kind::Span as u8)
    }

    /// Bytes that it takes, used or not.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// When it began.
    pub(crate) fn start(&self) -> Timestamp {
        let start = self.head()[START_AT..].first_chunk();
        Timestamp::from_micros(start.map_or(0, |start| i64::from_le_bytes(*start)))
    }

    /// Marks the record as complete. It ends no earlier than it began, whatever the clock says.
    #[inline]
    pub(crate) fn end(&mut self, at: Timestamp) {
        let at = at.max(self.start());
        if let Some(head) = self.bytes.first_chunk_mut::<HEAD>() {
            head[1] &= !FLAG_OPEN;
            head[END_AT..].copy_from_slice(&at.as_micros().to_le_bytes());
        }
    }

    /// Turns the record of a span into one of a trace with the same fields.
    pub(crate) fn turn_into_trace(&mut self, id: [u8; 16]) {
        if let Some(head) = self.bytes.first_chunk_mut::<HEAD>() {
            head[0] = Kind::Trace as u8;
            head[1] &= !FLAG_PARENT;
            head[ID_AT..TRACE_AT].copy_from_slice(&id);
        }
    }

    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    #[inline]
    pub(crate) fn text(&mut self, tag: Tag, text: &str) {
        self.field(tag, Form::Text, "", text.as_bytes());
    }

    pub(crate) fn name(&mut self, tag: Tag, name: &Name<'_>) {
        let form = if name.declared {
            Form::Declared
        } else {
            Form::Text
        };
        self.field(tag, form, "", name.text.as_bytes());
    }

    pub(crate) fn float(&mut self, tag: Tag, number: f64) {
        self.number(tag, Form::Float, "", number.to_le_bytes());
    }

    /// A value under a key; `false` when it has no JSON form or is too long for any.
    /// Inlined, and by value: for a value whose form the caller knows, one call is left.
    #[inline(always)]
    pub(crate) fn keyed(&mut self, tag: Tag, key: &str, value: Value<'_>) -> bool {
        match value {
            Value::Bool(truth) => self.field(tag, Form::Bool, key, &[truth.into()]),
            Value::Int(number) => self.number(tag, Form::Int, key, number.to_le_bytes()),
            Value::Float(number) => self.number(tag, Form::Float, key, number.to_le_bytes()),
            Value::Text(text) => self.field(tag, Form::Text, key, text.as_bytes()),
            Value::Json(json) => self.keyed_json(tag, key, &json),
        }
    }

    /// A field of known size; one that is too long is left out and `false` comes back.
    #[inline(always)]
    fn field(&mut self, tag: Tag, form: Form, key: &str, value: &[u8]) -> bool {
        let Some(head) = field_head(tag, form, key, value.len()) else {
            return false;
        };
        let place = self.room(FIELD + key.len() + value.len());
        if let Some((fixed, rest)) = place.split_first_chunk_mut::<FIELD>()
            && let Some((key_place, value_place)) = rest.split_at_mut_checked(key.len())
        {
            *fixed = head;
            copy(key_place, key.as_bytes());
            copy(value_place, value);
        }
        true
    }

    /// The same for a number.
    #[inline(always)]
    fn number(&mut self, tag: Tag, form: Form, key: &str, number: [u8; 8]) -> bool {
        let Some(head) = field_head(tag, form, key, number.len()) else {
            return false;
        };
        let place = self.room(FIELD + key.len() + number.len());
        if let Some((fixed, rest)) = place.split_first_chunk_mut::<FIELD>()
            && let Some((key_place, value_place)) = rest.split_last_chunk_mut::<8>()
        {
            *fixed = head;
            copy(key_place, key.as_bytes());
            *value_place = number;
        }
        true
    }

    fn keyed_json(&mut self, tag: Tag, key: &str, json: &serde_json::Value) -> bool {
        self.serialized(tag, key, usize::MAX, |mut sink| {
            let written = serde_json::to_writer(&mut sink, json).is_ok();
            Written::new(written, Some(&sink), false)
        })
    }

    /// A value of the program as JSON, cut at `limit` bytes, or as it is where it is a text; `false`
    /// when it has no JSON form.
    ///
    /// The program's own code runs in here. Should it panic, the panic ends here: recording
    /// changes nothing in its host.
    pub(crate) fn json<T: Serialize + ?Sized>(
        &mut self,
        tag: Tag,
        value: &T,
        limit: usize,
    ) -> bool {
        self.serialized(tag, "", limit, |sink| {
            let mut place = Place::new(sink);
            let written = value.serialize(Top(&mut place)).is_ok();
            let (sink, text) = place.into_parts();
            Written::new(written, sink.as_ref(), text)
        })
    }

    fn serialized(
        &mut self,
        tag: Tag,
        key: &str,
        limit: usize,
        write: impl FnOnce(Limited<'_>) -> Written,
    ) -> bool {
        let open = Open(self.length);
        if !self.field(tag, Form::Json, key, &[]) {
            return false;
        }
        let start = self.length;
        let sink = Limited {
            left: limit,
            raw: self,
            full: false,
        };
        let written = catch_unwind(AssertUnwindSafe(|| write(sink)));
        let form = written.unwrap_or_default().form;
        let kept = form.is_some_and(|form| self.close(&open, start, form));
        if !kept {
            self.length = open.0;
        }
        kept
    }

    /// Fills in the length of a field and its form; `false` when it is beyond 4 GiB.
    fn close(&mut self, open: &Open, start: usize, form: Form) -> bool {
        let field = self.bytes.get_mut(open.0..);
        let field = field.and_then(|bytes| bytes.first_chunk_mut::<FIELD>());
        let (Ok(length), Some(field)) = (u32::try_from(self.length - start), field) else {
            return false;
        };
        field[4..].copy_from_slice(&length.to_le_bytes());
        field[1] = form as u8;
        true
    }

    /// The next `size` bytes of the record, whatever is in them.
    #[inline(always)]
    fn room(&mut self, size: usize) -> &mut [u8] {
        let start = self.length;
        let end = start.saturating_add(size);
        if end > self.bytes.len() {
            self.grow(end);
        }
        self.length = end;
        self.bytes.get_mut(start..end).unwrap_or_default()
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, least: usize) {
        let size = least.checked_next_power_of_two().unwrap_or(least);
        self.bytes.resize(size.max(FIRST), 0);
    }
}

/// The code of a type of span; 0 when it has none.
#[inline]
fn span_type_code(kind: &SpanType) -> u8 {
    match kind {
        SpanType::General => 1,
        SpanType::Tool => 2,
        SpanType::Llm => 3,
        SpanType::Guardrail => 4,
        _ => 0,
    }
}

/// The fixed part of a field; `None` when key or value are too long to be one.
#[inline(always)]
fn field_head(tag: Tag, form: Form, key: &str, value: usize) -> Option<[u8; FIELD]> {
    let key = u64::from(u16::try_from(key.len()).ok()?);
    let value = u64::from(u32::try_from(value).ok()?);
    let head = u64::from(tag as u8) | u64::from(form as u8) << 8 | key << 16 | value << 32;
    Some(head.to_le_bytes())
}

/// Copies between slices of one length. Up to 32 bytes, such as keys have, it is two overlapping
/// moves and no call.
#[inline(always)]
fn copy(to: &mut [u8], from: &[u8]) {
    match from.len() {
        0 => {}
        1..4 => {
            for (to, from) in to.iter_mut().zip(from) {
                *to = *from;
            }
        }
        4..8 => ends::<4>(to, from),
        8..16 => ends::<8>(to, from),
        16..=32 => ends::<16>(to, from),
        _ if to.len() == from.len() => to.copy_from_slice(from),
        _ => {}
    }
}

/// Copies the first and the last `N` bytes.
#[inline(always)]
fn ends<const N: usize>(to: &mut [u8], from: &[u8]) {
    if let (Some(to), Some(from)) = (to.first_chunk_mut::<N>(), from.first_chunk::<N>()) {
        *to = *from;
    }
    if let (Some(to), Some(from)) = (to.last_chunk_mut::<N>(), from.last_chunk::<N>()) {
        *to = *from;
    }
}

/// Takes so many bytes and then fails, so that a huge value costs no more than its limit.
pub(super) struct Limited<'a> {
    raw: &'a mut Raw,
    left: usize,
    full: bool,
}

impl Limited<'_> {
    /// Whether so many bytes are within the limit.
    pub(super) fn holds(&self, bytes: usize) -> bool {
        bytes <= self.left
    }

    /// Appends bytes that are within the limit.
    pub(super) fn copy(&mut self, bytes: &[u8]) {
        self.left = self.left.saturating_sub(bytes.len());
        copy(self.raw.room(bytes.len()), bytes);
    }
}

impl io::Write for Limited<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.left);
        self.copy(bytes.get(..taken).unwrap_or_default());
        if taken < bytes.len() {
            self.full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
