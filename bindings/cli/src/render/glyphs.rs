//! What lines, bars and marks are drawn with: Unicode, or ASCII where that is all there is.

/// One set of drawing characters, each one column wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Glyphs {
    /// A stretch of a bar on the critical path.
    pub(crate) critical: char,
    /// A stretch of a bar beside the critical path.
    pub(crate) beside: char,
    /// A bar shorter than a column.
    pub(crate) instant: char,
    /// A span with an error.
    pub(crate) error: char,
    /// A span on the critical path.
    pub(crate) on_path: char,
    /// Text that was cut, or spans left out.
    pub(crate) ellipsis: &'static str,
    /// Between facts on one line.
    pub(crate) dot: &'static str,
    /// A branch with more below.
    pub(crate) branch: &'static str,
    /// The last branch.
    pub(crate) last_branch: &'static str,
    /// A branch that passes by.
    pub(crate) pass: &'static str,
}

impl Glyphs {
    pub(crate) fn choose(ascii: bool) -> Self {
        if ascii { Self::ASCII } else { Self::UNICODE }
    }

    pub(crate) const UNICODE: Self = Self {
        critical: '█',
        beside: '░',
        instant: '▏',
        error: '✗',
        on_path: '●',
        ellipsis: "…",
        dot: " · ",
        branch: "├─ ",
        last_branch: "└─ ",
        pass: "│  ",
    };

    pub(crate) const ASCII: Self = Self {
        critical: '#',
        beside: '-',
        instant: '|',
        error: 'x',
        on_path: '*',
        ellipsis: "...",
        dot: " | ",
        branch: "|- ",
        last_branch: "`- ",
        pass: "|  ",
    };
}
