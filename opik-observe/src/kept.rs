//! Text that is put together for the output of a span, up to a limit.

use std::fmt;

use crate::context::SpanHandle;

/// Pieces of a text, no more of them than the recorder takes.
#[derive(Default)]
pub struct KeptText {
    text: String,
    /// Most bytes that the recorder takes; 0 when nothing is recorded.
    room: usize,
}

impl KeptText {
    pub(crate) fn for_span(handle: &SpanHandle) -> Self {
        Self {
            text: String::new(),
            room: handle.core.as_ref().map_or(0, |core| core.field_bytes()),
        }
    }

    /// Whether anything is kept at all.
    pub(crate) fn is_on(&self) -> bool {
        self.room > 0
    }

    pub(crate) fn push(&mut self, text: &str) {
        // One byte more than the recorder takes is enough for it to see that there was more.
        let left = (self.room + 1).saturating_sub(self.text.len());
        let end = text.ceil_char_boundary(left.min(text.len()));
        self.text.push_str(text.get(..end).unwrap_or_default());
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for KeptText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeptText({} bytes)", self.text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_has_a_limit_and_whole_characters() {
        let mut kept = KeptText {
            text: String::new(),
            room: 20,
        };
        for _ in 0..1_000 {
            kept.push("grüße ");
        }
        assert!((21..25).contains(&kept.as_str().len()), "{}", kept.as_str());
        assert!("grüße ".repeat(4).starts_with(kept.as_str()));
    }
}
