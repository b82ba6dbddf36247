//! How the scripts read lines, and what record they make of a block or a table.

use std::borrow::Cow;
use std::io::{self, BufRead};

use super::{Raised, VyasaTerms, scan_text};
use crate::dataset::node::{Field, lent};
use crate::dataset::{Node, Severity};

/// Reads the lines of a text file as Python does: `\n`, `\r\n` or a lone `\r` ends one.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    line: Vec<u8>,
    after_return: bool,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            line: Vec::new(),
            after_return: false,
        }
    }

    /// The next line without its end; `None` at the end of the file.
    pub(super) fn next_line(&mut self) -> io::Result<Option<&[u8]>> {
        self.line.clear();
        let mut any = false;
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Ok(any.then_some(&self.line));
            }
            if std::mem::take(&mut self.after_return) && buffer.first() == Some(&b'\n') {
                self.reader.consume(1);
                continue;
            }
            any = true;
            let end = memchr::memchr2(b'\n', b'\r', buffer);
            let part = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or(buffer);
            self.line.extend_from_slice(part);
            let ended = end.and_then(|at| buffer.get(at).copied());
            let taken = part.len() + usize::from(ended.is_some());
            self.reader.consume(taken);
            if let Some(byte) = ended {
                self.after_return = byte == b'\r';
                return Ok(Some(&self.line));
            }
        }
    }
}

/// The records of a line: the objects of the list `key`, or the object itself; anything else is
/// passed over.
pub(super) fn elements(line: Node, key: &str) -> Vec<Node> {
    let Node::Object(mut fields) = line else {
        return Vec::new();
    };
    let list = fields
        .iter_mut()
        .find(|(name, value)| name == key && matches!(value, Node::List(_)))
        .map(|(_, value)| std::mem::replace(value, Node::Null));
    match list {
        Some(Node::List(items)) => items
            .into_iter()
            .filter(|item| matches!(item, Node::Object(_)))
            .collect(),
        _ => vec![Node::Object(fields)],
    }
}

/// A field, or a default where it is absent; null stays null.
fn field<'a>(record: &'a Node, name: &str, default: &str) -> Cow<'a, Node> {
    let own = record.get(name).map(Cow::Borrowed);
    own.unwrap_or_else(|| Cow::Owned(default.into()))
}

/// The record of a block.
pub(super) fn tone<'a>(block: &'a Node, terms: &VyasaTerms) -> Result<[Field<'a>; 5], Raised> {
    let content = field(block, "content", "");
    let text = match &*content {
        Node::Text(text) | Node::Torn(text) => text.as_str(),
        other if !other.is_truthy() || terms.is_empty() => "",
        _ => return Err(Raised::new("TypeError", "`content` is no text")),
    };
    let hard = scan_text(terms, text)?
        .iter()
        .any(|flag| flag.severity == Severity::Hard);
    let label = if hard { "sensational" } else { "neutral" };
    Ok([
        ("text", content),
        ("label", Cow::Owned(label.into())),
        ("job_id", lent(block.get("job_id"))),
        ("block_id", lent(block.get("block_id"))),
        ("rigor_level", field(block, "rigor_level", "exploratory")),
    ])
}

/// The records of a table: one for each flag, or one without.
pub(super) fn precision(table: &Node, mut write: impl FnMut(&[Field<'_>])) -> Result<(), Raised> {
    let mut put = |column: Option<&Node>, issue: Option<&Node>, values: Vec<Node>| {
        write(&[
            ("table_id", lent(table.get("table_id"))),
            ("column", lent(column)),
            ("issue", lent(issue)),
            ("values", Cow::Owned(Node::List(values))),
            ("rigor_level", field(table, "rigor_level", "exploratory")),
        ]);
    };
    let flags = match table.get("precision_flags") {
        Some(flags) if flags.is_truthy() => flags,
        _ => {
            put(None, None, Vec::new());
            return Ok(());
        }
    };
    let no_object = || Raised::new("AttributeError", "a flag is no object");
    let flags = match flags {
        Node::List(flags) => flags,
        Node::Text(_) | Node::Torn(_) | Node::Object(_) => return Err(no_object()),
        _ => return Err(Raised::new("TypeError", "`precision_flags` is no list")),
    };
    let rows = table.get("rows").and_then(Node::list).unwrap_or_default();
    for flag in flags {
        if flag.fields().is_none() {
            return Err(no_object());
        }
        let column = flag.get("column");
        let name = column.and_then(Node::text);
        let values = rows
            .iter()
            .filter_map(|row| row.get(name?))
            .map(|value| Node::Text(value.to_python()))
            .collect();
        put(column, flag.get("issue"), values);
    }
    Ok(())
}
