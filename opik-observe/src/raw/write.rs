//! Writing a record.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use opik_core::Timestamp;
use serde::Serialize;

use super::{END_AT, FLAG_DECLARED, FLAG_OPEN, FLAG_PARENT, Form, HEAD, Kind, START_AT, Tag};
use crate::{Name, Value};

/// What is known of a record when it begins.
pub(crate) struct Head<'a> {
    pub(crate) kind: Kind,
    pub(crate) id: [u8; 16],
    pub(crate) trace: [u8; 16],
    pub(crate) parent: Option<[u8; 16]>,
    pub(crate) start: Timestamp,
    pub(crate) name: &'a Name<'a>,
}

/// A record under construction.
pub(crate) struct Raw {
    bytes: Vec<u8>,
}

/// Where the length of a field was left open.
struct Open(usize);

impl Raw {
    /// Begins a record in a buffer whose content is forgotten.
    pub(crate) fn begin(mut bytes: Vec<u8>, head: &Head<'_>) -> Self {
        bytes.clear();
        let mut flags = FLAG_OPEN;
        if head.parent.is_some() {
            flags |= FLAG_PARENT;
        }
        if head.name.declared {
            flags |= FLAG_DECLARED;
        }
        // One copy instead of many small ones: this is the hot path.
        let mut fixed = [0; HEAD];
        let parts: [&[u8]; 6] = [
            &[head.kind as u8, flags],
            &head.id,
            &head.trace,
            head.parent.as_ref().map_or(&[0; 16], |parent| parent),
            &head.start.as_micros().to_le_bytes(),
            &[0; 8],
        ];
        let mut rest = fixed.as_mut_slice();
        for part in parts {
            if let Some(place) = rest.split_off_mut(..part.len()) {
                place.copy_from_slice(part);
            }
        }
        bytes.extend_from_slice(&fixed);
        let mut raw = Self { bytes };
        raw.push_text(&head.name.text);
        raw
    }

    /// When it began.
    pub(crate) fn start(&self) -> Timestamp {
        let start = self.bytes.get(START_AT..END_AT);
        let start = start.and_then(|bytes| bytes.try_into().ok());
        Timestamp::from_micros(i64::from_le_bytes(start.unwrap_or_default()))
    }

    /// Marks the record as complete. It ends no earlier than it began, whatever the clock says.
    pub(crate) fn end(&mut self, at: Timestamp) {
        let at = at.max(self.start());
        if let Some(flags) = self.bytes.get_mut(1) {
            *flags &= !FLAG_OPEN;
        }
        if let Some(end) = self.bytes.get_mut(END_AT..END_AT + 8) {
            end.copy_from_slice(&at.as_micros().to_le_bytes());
        }
    }

    /// Turns the record of a span into one of a trace with the same fields.
    pub(crate) fn turn_into_trace(&mut self, id: [u8; 16]) {
        if let Some(head) = self.bytes.first_chunk_mut::<18>() {
            head[0] = Kind::Trace as u8;
            head[1] &= !FLAG_PARENT;
            head[2..].copy_from_slice(&id);
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn text(&mut self, tag: Tag, text: &str) {
        self.plain(tag, Form::Text, text.as_bytes());
    }

    pub(crate) fn name(&mut self, tag: Tag, name: &Name<'_>) {
        let form = if name.declared {
            Form::Declared
        } else {
            Form::Text
        };
        self.plain(tag, form, name.text.as_bytes());
    }

    pub(crate) fn float(&mut self, tag: Tag, number: f64) {
        self.plain(tag, Form::Float, &number.to_le_bytes());
    }

    /// A value under a key; `false` when it has no JSON form.
    #[inline]
    pub(crate) fn keyed(&mut self, tag: Tag, key: &str, value: &Value<'_>) -> bool {
        match value {
            Value::Bool(truth) => self.keyed_plain(tag, key, Form::Bool, &[(*truth).into()]),
            Value::Int(number) => self.keyed_plain(tag, key, Form::Int, &number.to_le_bytes()),
            Value::Float(number) => self.keyed_plain(tag, key, Form::Float, &number.to_le_bytes()),
            Value::Text(text) => self.keyed_plain(tag, key, Form::Text, text.as_bytes()),
            Value::Json(json) => return self.keyed_json(tag, key, json),
        }
        true
    }

    /// A field whose size is known; one beyond 4 GiB is left out.
    fn plain(&mut self, tag: Tag, form: Form, payload: &[u8]) {
        if let Ok(length) = u32::try_from(payload.len() + 1) {
            let [a, b, c, d] = length.to_le_bytes();
            self.bytes
                .extend_from_slice(&[tag as u8, a, b, c, d, form as u8]);
            self.bytes.extend_from_slice(payload);
        }
    }

    /// The same with a key.
    fn keyed_plain(&mut self, tag: Tag, key: &str, form: Form, payload: &[u8]) {
        let length = size_of::<u32>() + key.len() + 1 + payload.len();
        if let (Ok(length), Ok(key_length)) = (u32::try_from(length), u32::try_from(key.len())) {
            let [a, b, c, d] = length.to_le_bytes();
            let [e, f, g, h] = key_length.to_le_bytes();
            self.bytes
                .extend_from_slice(&[tag as u8, a, b, c, d, e, f, g, h]);
            self.bytes.extend_from_slice(key.as_bytes());
            self.bytes.push(form as u8);
            self.bytes.extend_from_slice(payload);
        }
    }

    fn keyed_json(&mut self, tag: Tag, key: &str, json: &serde_json::Value) -> bool {
        let open = self.open(tag);
        self.push_text(key);
        self.bytes.push(Form::Json as u8);
        let written = serde_json::to_writer(&mut self.bytes, json).is_ok();
        if written {
            self.close(&open);
        } else {
            self.bytes.truncate(open.0);
        }
        written
    }

    /// A value of the program as JSON, cut at `limit` bytes; `false` when it has no JSON form.
    ///
    /// The program's own code runs in here. Should it panic, the panic ends here: recording
    /// changes nothing in its host.
    pub(crate) fn json<T: Serialize + ?Sized>(
        &mut self,
        tag: Tag,
        value: &T,
        limit: usize,
    ) -> bool {
        let open = self.open(tag);
        let form_at = self.bytes.len();
        self.bytes.push(Form::Json as u8);
        let mut sink = Limited {
            left: limit,
            bytes: &mut self.bytes,
            full: false,
        };
        let written = catch_unwind(AssertUnwindSafe(|| {
            serde_json::to_writer(&mut sink, value).is_ok()
        }))
        .unwrap_or(false);
        let full = sink.full;
        if full && let Some(form) = self.bytes.get_mut(form_at) {
            *form = Form::Cut as u8;
        }
        if written || full {
            self.close(&open);
            true
        } else {
            self.bytes.truncate(open.0);
            false
        }
    }

    /// Starts a field: tag and a place for its length.
    fn open(&mut self, tag: Tag) -> Open {
        let at = self.bytes.len();
        self.bytes.push(tag as u8);
        self.bytes.extend_from_slice(&[0; 4]);
        Open(at)
    }

    /// Fills in the length; a field beyond 4 GiB is taken back.
    fn close(&mut self, open: &Open) {
        let start = open.0 + 5;
        match u32::try_from(self.bytes.len() - start) {
            Ok(length) => {
                if let Some(place) = self.bytes.get_mut(open.0 + 1..start) {
                    place.copy_from_slice(&length.to_le_bytes());
                }
            }
            Err(_) => self.bytes.truncate(open.0),
        }
    }

    fn push_text(&mut self, text: &str) {
        let length = u32::try_from(text.len()).unwrap_or(0);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        if length > 0 {
            self.bytes.extend_from_slice(text.as_bytes());
        }
    }
}

/// Takes so many bytes and then fails, so that a huge value costs no more than its limit.
struct Limited<'a> {
    bytes: &'a mut Vec<u8>,
    left: usize,
    full: bool,
}

impl io::Write for Limited<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.left);
        self.left -= taken;
        self.bytes
            .extend_from_slice(bytes.get(..taken).unwrap_or_default());
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
