//! Recorded text on a terminal: no control characters, known width.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::glyphs::Glyphs;

/// One line of text without anything that a terminal would obey: line ends and tabs become
/// spaces, other control and direction characters a replacement mark.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(clean_char).collect()
}

/// As [`clean`], but keeps line ends and makes tabs four spaces.
pub(crate) fn clean_lines(text: &str) -> String {
    let mut lines = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\n' => lines.push('\n'),
            '\r' => {}
            '\t' => lines.push_str("    "),
            other => lines.push(clean_char(other)),
        }
    }
    lines
}

fn clean_char(char: char) -> char {
    match char {
        '\n' | '\r' | '\t' => ' ',
        // Marks that turn the direction of text or end a line could make it read as something else.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            '\u{fffd}'
        }
        char if char.is_control() => '\u{fffd}',
        char => char,
    }
}

/// How many columns a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The text in at most this many columns; cut texts end with an ellipsis.
pub(crate) fn fit(text: &str, columns: usize, glyphs: &Glyphs) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(width(glyphs.ellipsis));
    let mut cut = String::new();
    let mut used = 0;
    for char in text.chars() {
        used += char.width().unwrap_or(0);
        if used > room {
            break;
        }
        cut.push(char);
    }
    if columns >= width(glyphs.ellipsis) {
        cut.push_str(glyphs.ellipsis);
    }
    cut
}

/// The text with spaces behind it up to this many columns.
pub(crate) fn pad(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(width(text));
    format!("{text}{}", " ".repeat(missing))
}

/// The text with spaces before it up to this many columns.
pub(crate) fn pad_left(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(width(text));
    format!("{}{text}", " ".repeat(missing))
}

/// The lines broken between words to at most this many columns. What follows a break is indented
/// as the text of its line is, behind the mark of a list or the number of a finding.
pub(crate) fn wrap(text: &str, columns: usize) -> String {
    let mut wrapped = String::with_capacity(text.len() + text.len() / 40);
    for line in text.lines() {
        let content = line.trim_start();
        let mut indent = line.len() - content.len();
        let first = content.split(' ').next().unwrap_or_default();
        if first == "-" || (first.len() < 5 && first.starts_with('F') && content != first) {
            indent += first.len() + 1;
        }
        let mut used = 0;
        for (index, word) in line.split(' ').enumerate() {
            let wide = width(word);
            if index > 0 && used > indent && used + 1 + wide > columns {
                wrapped.push('\n');
                wrapped.push_str(&" ".repeat(indent));
                used = indent;
            } else if index > 0 {
                wrapped.push(' ');
                used += 1;
            }
            wrapped.push_str(word);
            used += wide;
        }
        wrapped.push('\n');
    }
    wrapped
}

/// The part of an identifier that lists show: its end, since the beginning is only the time.
pub(crate) fn short_id(id: impl std::fmt::Display) -> String {
    let id = id.to_string();
    let from = id.len().saturating_sub(8);
    id.get(from..).unwrap_or(&id).to_owned()
}

/// The text with every whole identifier in it cut to the part that lists show.
pub(crate) fn shorten_ids(text: &str) -> String {
    let mut shortened = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        let id = rest.get(..36).filter(|id| is_id(id));
        if let Some(id) = id {
            shortened.push_str(&short_id(id));
            rest = rest.get(36..).unwrap_or_default();
        } else {
            shortened.push(char);
            rest = rest.get(char.len_utf8()..).unwrap_or_default();
        }
    }
    shortened
}

fn is_id(text: &str) -> bool {
    text.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_text_cannot_move_the_cursor() {
        assert_eq!(clean("a\u{1b}[2Jb\nc\td"), "a\u{fffd}[2Jb c d");
        assert_eq!(clean("\u{202e}txt"), "\u{fffd}txt");
        assert_eq!(clean_lines("a\r\n\tb\u{7}"), "a\n    b\u{fffd}");
    }

    #[test]
    fn wide_characters_count_twice_when_text_is_cut() {
        assert_eq!(fit("hello", 5, &Glyphs::UNICODE), "hello");
        assert_eq!(fit("hello!", 5, &Glyphs::UNICODE), "hell…");
        assert_eq!(fit("日本語テキスト", 6, &Glyphs::UNICODE), "日本…");
        assert_eq!(fit("hello!", 5, &Glyphs::ASCII), "he...");
        assert_eq!(fit("hello!", 1, &Glyphs::ASCII), "");
        assert_eq!(pad("日本", 6), "日本  ");
        assert_eq!(pad_left("1", 3), "  1");
    }

    #[test]
    fn long_lines_break_between_words_and_stay_in_their_list() {
        let text = wrap("- one two three four\n  five six\nabcdefghijklm", 10);
        assert_eq!(
            text,
            "- one two\n  three\n  four\n  five six\nabcdefghijklm\n"
        );
        assert_eq!(
            wrap("F12 one two three", 10),
            "F12 one\n    two\n    three\n"
        );
        assert_eq!(wrap("short", 10), "short\n");
    }

    #[test]
    fn lists_show_the_random_end_of_an_identifier() {
        assert_eq!(short_id("01941f29-7c00-7493-9838-62c3f1790444"), "f1790444");
        assert_eq!(short_id("abc"), "abc");
        let text = "é span 01941f29-7c00-7493-9838-62c3f1790444, and 0194-x";
        assert_eq!(shorten_ids(text), "é span f1790444, and 0194-x");
    }
}
