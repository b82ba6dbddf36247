//! The few styles in use. Colour only repeats what the text says.

use anstyle::{AnsiColor, Style};

/// Headings and names.
pub(crate) const STRONG: Style = Style::new().bold();
/// What matters less.
pub(crate) const DIM: Style = Style::new().dimmed();
/// Errors.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// Warnings.
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default();
/// What is well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// The critical path.
pub(crate) const CRITICAL: Style = AnsiColor::Yellow.on_default().bold();
/// Identifiers, to be copied.
pub(crate) const ID: Style = AnsiColor::Cyan.on_default();
/// Bars of spans beside the critical path.
pub(crate) const BESIDE: Style = AnsiColor::Blue.on_default();
