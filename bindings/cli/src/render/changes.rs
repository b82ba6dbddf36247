//! What changed in an input or output, as lines to read.

use opik_assist::diff::{ContentDiff, ContentState, Excerpt, JsonChange, TextDiff};

use super::glyphs::Glyphs;
use super::numbers::bytes;
use super::style::{BAD, DIM, GOOD, STRONG};
use super::text::{clean, fit};

/// Places that are shown; `--json` has more.
const SHOWN: usize = 12;
/// Columns of a quoted value.
const QUOTE: usize = 160;

/// The changes of one content; nothing when there are none.
pub(crate) fn content(label: &str, diff: &ContentDiff, glyphs: &Glyphs) -> String {
    let sizes = match diff.state {
        ContentState::Added => format!("added, {}", bytes(diff.after_bytes as u64)),
        ContentState::Removed => format!("removed, {}", bytes(diff.before_bytes as u64)),
        ContentState::Changed => format!(
            "{} before, {} after",
            bytes(diff.before_bytes as u64),
            bytes(diff.after_bytes as u64)
        ),
        _ => return String::new(),
    };
    let mut text = format!("\n{STRONG}{label}{STRONG:#}  {DIM}{sizes}{DIM:#}\n");
    let mut missing = 0;
    if let Some(json) = &diff.json {
        for change in json.changes.iter().take(SHOWN) {
            text.push_str(&json_change(change, glyphs));
        }
        missing += json.changes.len().saturating_sub(SHOWN) + json.omitted;
    }
    if let Some(words) = &diff.text {
        text.push_str(&hunks(words, "  ", glyphs));
        missing += words.hunks.len().saturating_sub(SHOWN) + words.omitted;
    }
    if missing > 0 {
        text.push_str(&format!(
            "  {DIM}{} {missing} more; --json has them{DIM:#}\n",
            glyphs.ellipsis
        ));
    }
    text
}

fn json_change(change: &JsonChange, glyphs: &Glyphs) -> String {
    let path = if change.path.is_empty() {
        "(all of it)"
    } else {
        &change.path
    };
    let mut text = format!("  {}\n", clean(path));
    if let Some(words) = &change.text {
        text.push_str(&hunks(words, "    ", glyphs));
        return text;
    }
    text.push_str(&excerpt('-', change.before.as_ref(), glyphs));
    text.push_str(&excerpt('+', change.after.as_ref(), glyphs));
    text
}

fn excerpt(sign: char, excerpt: Option<&Excerpt>, glyphs: &Glyphs) -> String {
    excerpt.map_or_else(String::new, |excerpt| {
        let style = if sign == '-' { BAD } else { GOOD };
        let quote = fit(&clean(&excerpt.text), QUOTE, glyphs);
        format!("    {style}{sign} {quote}{style:#}\n")
    })
}

fn hunks(diff: &TextDiff, indent: &str, glyphs: &Glyphs) -> String {
    let mut text = String::new();
    for hunk in diff.hunks.iter().take(SHOWN) {
        let quote = |part: &str| fit(&clean(part), QUOTE, glyphs);
        let mut line = format!("{indent}{DIM}{}{DIM:#}", clean(&hunk.lead));
        if !hunk.before.is_empty() {
            line.push_str(&format!("{BAD}[-{}-]{BAD:#}", quote(&hunk.before)));
        }
        if !hunk.after.is_empty() {
            line.push_str(&format!("{GOOD}{{+{}+}}{GOOD:#}", quote(&hunk.after)));
        }
        text.push_str(&format!("{line}{DIM}{}{DIM:#}\n", clean(&hunk.trail)));
    }
    text
}
