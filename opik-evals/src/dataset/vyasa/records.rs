//! How the scripts read lines, and what record they make of a block or a table.

use std::io::{self, BufRead};

use super::{Raised, VyasaTerms, scan_text};
use crate::dataset::Severity;
use crate::dataset::node::{Items, Record, View};

/// Reads the lines of a text file as Python does: `\n`, `\r\n` or a lone `\r` ends one.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    read: u64,
    after_return: bool,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            read: 0,
            after_return: false,
        }
    }

    /// How many lines were read.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// Adds the next line without its end; `false` at the end of the file.
    pub(super) fn next_line(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        let mut any = false;
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                self.read += u64::from(any);
                return Ok(any);
            }
            if std::mem::take(&mut self.after_return) && buffer.first() == Some(&b'\n') {
                self.reader.consume(1);
                continue;
            }
            any = true;
            let end = memchr::memchr2(b'\n', b'\r', buffer);
            let part = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or(buffer);
            line.extend_from_slice(part);
            let ended = end.and_then(|at| buffer.get(at).copied());
            let taken = part.len() + usize::from(ended.is_some());
            self.reader.consume(taken);
            if let Some(byte) = ended {
                self.after_return = byte == b'\r';
                self.read += 1;
                return Ok(true);
            }
        }
    }
}

/// The records of a line: the objects of the list `key`, or the object itself; anything else is
/// passed over.
pub(super) fn elements<'a>(line: View<'a>, key: &str) -> impl Iterator<Item = View<'a>> {
    let list = line.get(key).and_then(View::list);
    let own = line.fields().filter(|_| list.is_none()).map(|_| line);
    let items = list.into_iter().flatten();
    own.into_iter()
        .chain(items.filter(|item| item.fields().is_some()))
}

/// What was made of blocks and tables.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// The records, each a line.
    pub(super) text: String,
    /// A record has a torn text.
    pub(super) torn: bool,
    /// How many records there are.
    pub(super) count: u64,
}

impl Made {
    fn record(&mut self, fill: impl FnOnce(Record<'_>) -> Record<'_>) {
        self.torn |= fill(Record::new(&mut self.text)).end();
        self.count += 1;
    }
}

/// A field, or a default where it is absent; null stays null.
fn field<'a>(record: View<'a>, name: &str, default: &'static str) -> View<'a> {
    record.get(name).unwrap_or(View::Text(default))
}

/// The record of a block.
pub(super) fn tone(block: View<'_>, terms: &VyasaTerms, made: &mut Made) -> Result<(), Raised> {
    let content = field(block, "content", "");
    let text = match content {
        View::Text(text) | View::Torn(text) => text,
        other if !other.is_truthy() || terms.is_empty() => "",
        _ => return Err(Raised::new("TypeError", "`content` is no text")),
    };
    let hard = scan_text(terms, text)?
        .iter()
        .any(|flag| flag.severity == Severity::Hard);
    let label = if hard { "sensational" } else { "neutral" };
    made.record(|record| {
        record
            .value("text", content)
            .text("label", label)
            .value("job_id", block.get("job_id"))
            .value("block_id", block.get("block_id"))
            .value("rigor_level", field(block, "rigor_level", "exploratory"))
    });
    Ok(())
}

/// The records of a table: one for each flag, or one without.
pub(super) fn precision(table: View<'_>, made: &mut Made) -> Result<(), Raised> {
    let mut put = |column: Option<View<'_>>, issue: Option<View<'_>>, rows: Items<'_>| {
        let name = column.and_then(View::text);
        let values = rows.filter_map(|row| row.get(name?)).map(View::to_python);
        made.record(|record| {
            record
                .value("table_id", table.get("table_id"))
                .value("column", column)
                .value("issue", issue)
                .texts("values", values)
                .value("rigor_level", field(table, "rigor_level", "exploratory"))
        });
    };
    let flags = match table.get("precision_flags") {
        Some(flags) if flags.is_truthy() => flags,
        _ => {
            put(None, None, Items::NONE);
            return Ok(());
        }
    };
    let no_object = || Raised::new("AttributeError", "a flag is no object");
    let flags = match flags {
        View::List(flags) => flags,
        View::Text(_) | View::Torn(_) | View::Object(_) => return Err(no_object()),
        _ => return Err(Raised::new("TypeError", "`precision_flags` is no list")),
    };
    let rows = table.get("rows").and_then(View::list);
    for flag in flags {
        if flag.fields().is_none() {
            return Err(no_object());
        }
        let rows = rows.unwrap_or(Items::NONE);
        put(flag.get("column"), flag.get("issue"), rows);
    }
    Ok(())
}
