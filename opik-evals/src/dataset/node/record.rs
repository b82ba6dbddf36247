//! Writing a record, field by field.

use std::fmt::{Display, Write as _};

use super::View;
use super::print::write_quoted;

/// A line of JSON that is being written; the names of its fields have nothing to escape.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    out: &'a mut String,
    is_torn: bool,
    begun: bool,
}

impl<'a> Record<'a> {
    /// Begins behind what is written already.
    pub(crate) fn new(out: &'a mut String) -> Self {
        out.push('{');
        Self {
            out,
            is_torn: false,
            begun: false,
        }
    }

    fn name(&mut self, name: &'static str) {
        self.out.push_str(if self.begun { ", \"" } else { "\"" });
        self.begun = true;
        self.out.push_str(name);
        self.out.push_str("\": ");
    }

    /// A value; null where there is none.
    pub(crate) fn value<'v>(
        mut self,
        name: &'static str,
        value: impl Into<Option<View<'v>>>,
    ) -> Self {
        self.name(name);
        let value = value.into().unwrap_or(View::Null);
        self.is_torn |= value.is_torn();
        value.write_json(self.out);
        self
    }

    /// A text.
    pub(crate) fn text(mut self, name: &'static str, text: &str) -> Self {
        self.name(name);
        write_quoted(self.out, text);
        self
    }

    /// A whole number.
    pub(crate) fn number(mut self, name: &'static str, number: impl Display) -> Self {
        self.name(name);
        // Writing to a String cannot fail.
        write!(self.out, "{number}").unwrap_or_default();
        self
    }

    /// A list of texts.
    pub(crate) fn texts<T: AsRef<str>>(
        mut self,
        name: &'static str,
        texts: impl IntoIterator<Item = T>,
    ) -> Self {
        self.name(name);
        self.out.push('[');
        for (index, text) in texts.into_iter().enumerate() {
            self.out.push_str(if index > 0 { ", " } else { "" });
            write_quoted(self.out, text.as_ref());
        }
        self.out.push(']');
        self
    }

    /// A list of objects.
    pub(crate) fn objects<T>(
        mut self,
        name: &'static str,
        items: impl IntoIterator<Item = T>,
        fill: impl for<'r> Fn(Record<'r>, T) -> Record<'r>,
    ) -> Self {
        self.name(name);
        self.out.push('[');
        for (index, item) in items.into_iter().enumerate() {
            self.out.push_str(if index > 0 { ", " } else { "" });
            let object = fill(Record::new(self.out), item);
            self.is_torn |= object.is_torn;
            object.out.push('}');
        }
        self.out.push(']');
        self
    }

    /// Ends the line; whether a value in it is torn, which UTF-8 cannot hold.
    pub(crate) fn end(self) -> bool {
        self.out.push_str("}\n");
        self.is_torn
    }
}
