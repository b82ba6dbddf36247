//! What a provider says about a failure, made fit to be shown.

use std::fmt;

use opik_core::Secret;

/// Longest message in characters.
const LONGEST: usize = 300;

/// Most of a provider's text that is looked at.
const LOOKED_AT: usize = 16 * 1024;

/// Stands for what must not be seen.
const HIDDEN: &str = "***";

/// Beginnings of words that are keys or name an account.
const TELLING: [&str; 10] = [
    "sk-", "sk_", "pk-", "rk-", "gsk_", "xai-", "AIza", "org-", "proj_", "user-",
];

/// The words of a provider about a failure: one line of at most 300 characters, without control
/// and invisible characters, with characters of markup replaced by similar ones, and without keys,
/// account names and whatever else the request held as a secret.
///
/// It is the source of an [`opik_core::ModelError`] when the provider said something. It may still
/// quote what it was asked, so it belongs to the person who asked and not into a log.
///
/// ```
/// use std::error::Error;
/// use opik_core::ModelError;
/// use opik_models::ProviderMessage;
///
/// fn for_the_user(error: &ModelError) -> Option<&ProviderMessage> {
///     error.source()?.downcast_ref()
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ProviderMessage(Box<str>);

impl ProviderMessage {
    /// Makes a text fit to be shown; `None` when nothing is left.
    pub(crate) fn new(words: &str, secrets: &[Secret]) -> Option<Self> {
        let looked_at = words
            .char_indices()
            .nth(LOOKED_AT)
            .map_or(words, |(end, _)| words.get(..end).unwrap_or_default());
        // A key may be written with characters in it that cleaning takes out, or have such.
        let mut text = hide(looked_at.to_owned(), secrets, str::to_owned);
        text = hide(clean(&text), secrets, clean);
        let words = text.split(' ').filter(|word| !word.is_empty());
        let words: Vec<&str> = words
            .map(|word| if tells(word) { HIDDEN } else { word })
            .collect();
        let text = words.join(" ");
        (!text.is_empty()).then(|| Self(shorten(&text).into()))
    }

    /// The message.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProviderMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ProviderMessage {
    /// The size, since a provider may quote what it was asked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProviderMessage({} bytes)", self.0.len())
    }
}

impl std::error::Error for ProviderMessage {}

fn hide(mut text: String, secrets: &[Secret], form: impl Fn(&str) -> String) -> String {
    for secret in secrets {
        let secret = form(secret.expose());
        if !secret.trim().is_empty() && text.contains(secret.trim()) {
            text = text.replace(secret.trim(), HIDDEN);
        }
    }
    text
}

/// Takes out what has no width or moves the cursor, and replaces what has a meaning in markup.
fn clean(text: &str) -> String {
    let seen = text.chars().filter_map(|c| match c {
        '<' => Some('‹'),
        '>' => Some('›'),
        '`' | '"' => Some('\''),
        '[' | '{' => Some('('),
        ']' | '}' => Some(')'),
        '&' => Some('+'),
        '\\' => Some('/'),
        '\n' | '\r' | '\t' => Some(' '),
        c if c.is_control() || is_invisible(c) => None,
        c => Some(c),
    });
    seen.collect()
}

/// Marks of direction, joiners, variation selectors, tags, private use.
fn is_invisible(c: char) -> bool {
    matches!(u32::from(c),
        0xAD | 0x61C | 0x180E | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0xFE00..=0xFE0F
        | 0xFEFF | 0xFFF9..=0xFFFB | 0xE000..=0xF8FF | 0xE0000..=0xE0FFF | 0xF0000..=0x10_FFFF)
}

/// Whether a word is a key, also one that the provider masked, or names an account.
fn tells(word: &str) -> bool {
    let bare = word.trim_start_matches(|c: char| !c.is_alphanumeric());
    let masked = word.contains("****") || word.contains("...") && bare.len() > 12;
    masked
        || TELLING
            .iter()
            .any(|telling| bare.starts_with(telling) && bare.len() > telling.len() + 2)
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some(_) => {
            let mut short: String = text.chars().take(LONGEST - 1).collect();
            short.push('…');
            short
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(words: &str, secret: &str) -> String {
        let message = ProviderMessage::new(words, &[Secret::new(secret)]);
        message
            .map(|message| message.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn words_are_made_fit_to_be_shown() {
        assert_eq!(
            shown(
                "Model \u{1b}[31m<b>`x`</b>\r\n![i](http://h)\u{202e}\u{0}",
                ""
            ),
            "Model (31m‹b›'x'‹/b› !(i)(http://h)"
        );
        assert_eq!(shown(&"word ".repeat(500), "").chars().count(), LONGEST);
        assert_eq!(shown("\u{200b}\n", ""), "");
    }

    #[test]
    fn keys_and_accounts_are_hidden() {
        let words = "Incorrect API key provided: sk-abcdefghijkl. Rate limit in organization org-XYZ on 'hunter<22'";
        assert_eq!(
            shown(words, "hunter<22"),
            "Incorrect API key provided: *** Rate limit in organization *** on '***'"
        );
        assert_eq!(shown("key hun\u{200b}ter\u{0}22!", "hunter22"), "key ***!");
        assert_eq!(shown("key abcd****wxyz!", "?"), "key ***");
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_short_plain_and_without_the_key(
            before in ".{0,400}", after in ".{0,40}", key in "[a-zA-Z0-9<>\\[\\]&_-]{6,40}",
        ) {
            let text = shown(&format!("{before}{key}{after}"), &key);
            prop_assert!(!text.contains(&key));
            prop_assert!(text.chars().count() <= LONGEST);
            let telling = |c: char| c.is_control() || "<>`\"[]{}&\\".contains(c);
            prop_assert!(!text.chars().any(telling));
        }
    }
}
