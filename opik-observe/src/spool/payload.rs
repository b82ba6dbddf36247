//! A batch of rows as the payload of a frame, and back.
//!
//! First what describes it, then the texts as they are, so that writing needs no copy of them.

use opik_core::wire::{List, RowId, WireAttachment, WireBatch};
use opik_core::{SpanId, TraceId};

/// What comes before the texts.
#[derive(Debug, Default)]
pub(super) struct Description(Vec<u8>);

impl Description {
    /// Describes a batch; `None` when a length does not fit its field.
    pub(super) fn of(batch: &WireBatch) -> Option<Self> {
        let mut out = Self(Vec::with_capacity(64 + batch.len() * 20));
        for list in List::ALL {
            let rows = batch.rows(list);
            out.number(rows.len())?;
            for index in 0..rows.len() {
                match rows.id(index)? {
                    RowId::Trace(id) | RowId::TraceScore(id) => out.0.extend(id.as_bytes()),
                    RowId::Span(id) | RowId::SpanScore(id) => out.0.extend(id.as_bytes()),
                    _ => {}
                }
                out.number(rows.size(index))?;
            }
        }
        out.number(batch.attachments.len())?;
        for file in &batch.attachments {
            out.0.extend(file.trace.as_bytes());
            out.optional(file.span.as_ref().map(|id| id.as_bytes().as_slice()))?;
            out.optional(file.project_name.as_ref().map(String::as_bytes))?;
            out.bytes(file.file_name.as_bytes())?;
            out.bytes(file.mime_type.as_bytes())?;
            out.number(file.bytes.len())?;
        }
        Some(out)
    }

    /// The payload in pieces: the description, the text of every list, every file.
    pub(super) fn with_texts<'a>(&'a self, batch: &'a WireBatch) -> Vec<&'a [u8]> {
        let texts = List::ALL.map(|list| {
            let rows = batch.rows(list);
            rows.text_of(&(0..rows.len()))
        });
        let files = batch.attachments.iter().map(|file| file.bytes.as_slice());
        std::iter::once(self.0.as_slice())
            .chain(texts)
            .chain(files)
            .collect()
    }

    fn number(&mut self, number: usize) -> Option<()> {
        let number = u32::try_from(number).ok()?;
        self.0.extend(number.to_le_bytes());
        Some(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        self.number(bytes.len())?;
        self.0.extend(bytes);
        Some(())
    }

    fn optional(&mut self, bytes: Option<&[u8]>) -> Option<()> {
        self.0.push(u8::from(bytes.is_some()));
        bytes.map_or(Some(()), |bytes| self.bytes(bytes))
    }
}

/// Reads a payload from the front.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<usize> {
        let bytes = self.take(4)?.first_chunk::<4>()?;
        usize::try_from(u32::from_le_bytes(*bytes)).ok()
    }

    fn id(&mut self) -> Option<[u8; 16]> {
        self.take(16)?.first_chunk::<16>().copied()
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(length)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    fn is_present(&mut self) -> Option<bool> {
        Some(*self.take(1)?.first()? == 1)
    }
}

/// The batch in a payload; `None` when it is not one.
pub(super) fn decode(payload: &[u8]) -> Option<WireBatch> {
    let mut input = Input(payload);
    let mut lists = Vec::with_capacity(List::ALL.len());
    for list in List::ALL {
        let count = input.number()?;
        // A row takes at least four bytes, so a false count cannot ask for much memory.
        let mut rows = Vec::with_capacity(count.min(input.0.len() / 4));
        for _ in 0..count {
            let id = match list {
                List::Traces => RowId::Trace(TraceId::from_bytes(input.id()?)),
                List::Spans => RowId::Span(SpanId::from_bytes(input.id()?)),
                List::TraceScores => RowId::TraceScore(TraceId::from_bytes(input.id()?)),
                List::SpanScores => RowId::SpanScore(SpanId::from_bytes(input.id()?)),
                _ => RowId::ThreadScore,
            };
            rows.push((id, input.number()?));
        }
        lists.push((list, rows));
    }
    let count = input.number()?;
    let mut files = Vec::with_capacity(count.min(input.0.len() / 16));
    for _ in 0..count {
        let trace = TraceId::from_bytes(input.id()?);
        let span = match input.is_present()? {
            true => Some(SpanId::from_bytes(*input.bytes()?.first_chunk::<16>()?)),
            false => None,
        };
        let project = match input.is_present()? {
            true => Some(input.text()?),
            false => None,
        };
        let mut file = WireAttachment::new(trace, input.text()?, input.text()?, Vec::new());
        file.span = span;
        file.project_name = project;
        files.push((file, input.number()?));
    }
    let mut batch = WireBatch::default();
    for (list, rows) in lists {
        for (index, (id, length)) in rows.into_iter().enumerate() {
            if index > 0 {
                input.take(1)?; // the comma
            }
            let text = input.take(length)?;
            batch.rows_mut(list).push(id, text);
        }
    }
    for (mut file, length) in files {
        file.bytes = input.take(length)?.to_vec();
        batch.attachments.push(file);
    }
    input.0.is_empty().then_some(batch)
}

/// Both halves of a batch of at least two records, the first one first.
pub(super) fn halves(batch: &WireBatch) -> [WireBatch; 2] {
    let first_half = batch.len() / 2;
    let mut halves = [WireBatch::default(), WireBatch::default()];
    let [first, second] = &mut halves;
    let mut seen = 0;
    let mut half = |first: &mut WireBatch, second: &mut WireBatch, add: &dyn Fn(&mut WireBatch)| {
        add(if seen < first_half { first } else { second });
        seen += 1;
    };
    for list in List::ALL {
        for (id, row) in batch.rows(list).iter() {
            half(first, second, &|to| to.rows_mut(list).push(id, row));
        }
    }
    for file in &batch.attachments {
        half(first, second, &|to| to.attachments.push(file.clone()));
    }
    halves
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attachment() -> impl Strategy<Value = WireAttachment> {
        let bytes = proptest::collection::vec(any::<u8>(), 0..40);
        (
            any::<[u8; 16]>(),
            any::<Option<[u8; 16]>>(),
            any::<Option<String>>(),
            bytes,
        )
            .prop_map(|(trace, span, project, bytes)| {
                let trace = TraceId::from_bytes(trace);
                let mut file = WireAttachment::new(trace, "näme", "text/plain", bytes);
                file.span = span.map(SpanId::from_bytes);
                file.project_name = project;
                file
            })
    }

    pub(in crate::spool) fn batch() -> impl Strategy<Value = WireBatch> {
        let row = (0..5_usize, any::<[u8; 16]>(), "\\{[a-z,\"]{0,30}\\}");
        let rows = proptest::collection::vec(row, 0..30);
        (rows, proptest::collection::vec(attachment(), 0..3)).prop_map(|(rows, files)| {
            let mut batch = WireBatch::default();
            for (list, id, text) in rows {
                let id = match list {
                    0 => RowId::Trace(TraceId::from_bytes(id)),
                    1 => RowId::Span(SpanId::from_bytes(id)),
                    2 => RowId::TraceScore(TraceId::from_bytes(id)),
                    3 => RowId::SpanScore(SpanId::from_bytes(id)),
                    _ => RowId::ThreadScore,
                };
                batch.rows_mut(id.list()).push(id, text.as_bytes());
            }
            batch.attachments = files;
            batch
        })
    }

    fn encode(batch: &WireBatch) -> Vec<u8> {
        Description::of(batch).unwrap().with_texts(batch).concat()
    }

    proptest! {
        #[test]
        fn every_batch_comes_back_as_it_was(batch in batch()) {
            prop_assert_eq!(decode(&encode(&batch)), Some(batch));
        }

        #[test]
        fn no_part_of_a_payload_is_a_batch(batch in batch(), cut: prop::sample::Index) {
            let whole = encode(&batch);
            prop_assert_eq!(decode(&whole[..cut.index(whole.len())]), None);
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            decode(&bytes);
        }

        #[test]
        fn halves_have_every_record_once(batch in batch()) {
            let [first, second] = halves(&batch);
            prop_assert_eq!(first.len(), batch.len() / 2);
            let mut joined = first;
            for list in List::ALL {
                for (id, row) in second.rows(list).iter() {
                    joined.rows_mut(list).push(id, row);
                }
            }
            joined.attachments.extend(second.attachments);
            prop_assert_eq!(joined, batch);
        }
    }
}
