//! Texts made harmless for the format they go into.

use std::borrow::Cow;

/// For HTML, as content and in quoted attributes.
pub(super) fn html(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' | '\t' => safe.push(c),
            // Marks that turn text around would let it pose as something else.
            c if c.is_control() || is_bidi(c) => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// For XML 1.0, which cannot say most control characters at all.
pub(super) fn xml(text: &str) -> String {
    let allowed = |c: char| {
        matches!(c, '\t' | '\n' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
            && !('\u{7f}'..='\u{9f}').contains(&c)
    };
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&apos;"),
            '\n' => safe.push_str("&#10;"),
            '\t' => safe.push_str("&#9;"),
            c if allowed(c) => safe.push(c),
            _ => safe.push('\u{fffd}'),
        }
    }
    safe
}

/// For one cell of a table in Markdown: on one line, without markup, HTML and mentions.
pub(super) fn markdown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' => {
                safe.push('\\');
                safe.push(c);
            }
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '@' => safe.push_str("&#64;"),
            c if c.is_whitespace() => safe.push(' '),
            c if c.is_control() || is_bidi(c) => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// For a line of a terminal: what could move the cursor or change the colour is made visible.
pub(super) fn terminal(text: &str) -> Cow<'_, str> {
    if !text.contains(|c: char| c.is_control() || is_bidi(c)) {
        return Cow::Borrowed(text);
    }
    let safe = text.chars().map(|c| match c {
        '\n' | '\r' | '\t' => ' ',
        c if c.is_control() || is_bidi(c) => '\u{fffd}',
        c => c,
    });
    Cow::Owned(safe.collect())
}

fn is_bidi(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

/// The beginning of a text, with a mark where it was cut.
pub(super) fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        None => Cow::Borrowed(text),
        Some(_) => {
            let mut short: String = text.chars().take(most.saturating_sub(1)).collect();
            short.push('\u{2026}');
            Cow::Owned(short)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hostile_texts_lose_their_teeth() {
        assert_eq!(
            html("<img src=x onerror='a'>\u{202e}"),
            "&lt;img src=x onerror=&#39;a&#39;&gt;\u{fffd}"
        );
        assert_eq!(
            xml("]]>\u{0}\u{1b}\u{ffff}"),
            "]]&gt;\u{fffd}\u{fffd}\u{fffd}"
        );
        assert_eq!(markdown("a|b\n@you [x](y)"), "a\\|b &#64;you \\[x\\](y)");
        assert_eq!(terminal("\u{1b}[31mred\r\n"), "\u{fffd}[31mred  ");
        assert_eq!(shortened("abcdef", 4), "abc\u{2026}");
        assert_eq!(shortened("abcd", 4), "abcd");
    }

    proptest! {
        #[test]
        fn nothing_gets_out(text in "\\PC*|.*") {
            let page = html(&text);
            prop_assert!(!page.contains(['<', '>', '"', '\'']), "html");
            let line = terminal(&text);
            prop_assert!(!line.chars().any(char::is_control));
            let cell = markdown(&text);
            prop_assert!(!cell.contains(['\n', '<', '@']), "markdown");
            let element = xml(&text);
            prop_assert!(!element.contains(['<', '\0', '\x1b']), "xml");
        }
    }
}
