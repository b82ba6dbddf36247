//! Recorded content, shortened to a number of tokens.
//!
//! JSON keeps its outline: keys in order of the alphabet and without quotation marks, lists with their first
//! items and the last one, and every text shortened by itself. A text keeps its head, its tail,
//! and of what lies between the first and the last line that speaks of an error. What is left out
//! is counted: `…+1,204 chars…`. Nothing is cut within a character or an escape sequence.

mod error_lines;

use opik_core::Json;
use serde_json::Value;

use error_lines::{error_lines, may_speak_of_errors};

use super::fence::{clean, push_clean};
use super::tokens::{estimate, head};
use crate::figures::whole;

/// Objects and lists longer than this are not parsed; their JSON text is shortened as it is.
const LONGEST: usize = 256 * 1024;
/// Bytes that say what was left out.
const SAID: usize = 32;
/// Longest key, in characters.
const KEY: usize = 40;
/// From generous to stingy: characters of a text, items of a list or object, levels.
const LIMITS: [Limits; 9] = [
    Limits::new(usize::MAX, usize::MAX, usize::MAX),
    Limits::new(4_000, 40, 12),
    Limits::new(1_500, 20, 10),
    Limits::new(600, 12, 8),
    Limits::new(300, 8, 6),
    Limits::new(150, 6, 6),
    Limits::new(80, 4, 5),
    Limits::new(40, 3, 4),
    Limits::new(20, 2, 3),
];

/// What is left of a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Excerpt {
    /// On one line, harmless, within the tokens that were asked for.
    pub(crate) text: String,
    /// Its tokens.
    pub(crate) tokens: usize,
    /// Whether nothing was left out.
    pub(crate) whole: bool,
}

/// A content on one line, at most so many tokens by the [estimate](super::tokens).
///
/// ```
/// use opik_assist::context::{excerpt, tokens::estimate};
/// use opik_core::Json;
///
/// let output = Json::parse(r#"{"status": "failed", "log": ["a", "b", "c", "d", "e", "f", "g"]}"#)?;
/// assert_eq!(excerpt(&output, 100), r#"{log: ["a", "b", "c", "d", "e", "f", "g"], status: "failed"}"#);
/// assert!(estimate(&excerpt(&output, 30)) <= 30);
/// # Ok::<(), opik_core::json::JsonError>(())
/// ```
#[must_use]
pub fn excerpt(content: &Json, tokens: usize) -> String {
    of_json(content, tokens).text
}

pub(crate) fn of_json(content: &Json, tokens: usize) -> Excerpt {
    Content::read(content).excerpt(content, tokens)
}

/// A content as it was read, to be shortened more than once.
#[derive(Debug)]
pub(crate) struct Content {
    form: Form,
    /// Whether it may speak of an error, so that its middle is worth a search.
    errors: bool,
}

#[derive(Debug)]
enum Form {
    /// A text.
    Text(String),
    /// Anything else.
    Value(Value),
    /// Too long to be read, or no JSON: shortened as it is.
    Raw,
}

impl Content {
    pub(crate) fn read(content: &Json) -> Self {
        let raw = content.as_str();
        // A text is cheap to read; anything else becomes a tree in memory.
        let read = raw.len() <= LONGEST || raw.starts_with('"');
        let form = match read.then(|| content.to_value().ok()).flatten() {
            Some(Value::String(text)) => Form::Text(text),
            Some(value) => Form::Value(value),
            None => Form::Raw,
        };
        let errors = match &form {
            Form::Value(_) => may_speak_of_errors(raw),
            Form::Text(_) | Form::Raw => true,
        };
        Self { form, errors }
    }

    /// Shortens the content that was read.
    pub(crate) fn excerpt(&self, content: &Json, tokens: usize) -> Excerpt {
        match &self.form {
            Form::Text(text) => of_text(text, tokens),
            Form::Value(value) => of_value(value, self.errors, content.as_str().len(), tokens),
            Form::Raw => of_text(content.as_str(), tokens),
        }
    }
}

/// A plain text, shortened.
pub(crate) fn of_text(text: &str, tokens: usize) -> Excerpt {
    let fits = |text: &str| {
        let taken = (text.len() <= most_bytes(tokens)).then(|| estimate(text));
        taken.filter(|&taken| taken <= tokens)
    };
    // Longer texts cannot fit unless they are mostly white space.
    if text.len() <= tokens.saturating_mul(6) {
        let all = clean(text);
        if let Some(tokens) = fits(&all) {
            return Excerpt {
                text: all,
                tokens,
                whole: true,
            };
        }
    }
    // An estimate of characters a token, then shorter until it fits.
    let mut characters = tokens.saturating_mul(4);
    while characters >= 16 {
        let part = shortened(text, characters);
        if let Some(tokens) = fits(&part) {
            return Excerpt {
                text: part,
                tokens,
                whole: false,
            };
        }
        characters = characters / 5 * 4;
    }
    cut(&shortened(text, 16), tokens)
}

/// The most bytes that so many tokens cover where white space is folded: four letters and the space
/// before them take one.
fn most_bytes(tokens: usize) -> usize {
    tokens.saturating_mul(5)
}

fn of_value(value: &Value, errors: bool, length: usize, tokens: usize) -> Excerpt {
    let mut shown_whole: Option<Limits> = None;
    for (place, limits) in LIMITS.iter().enumerate() {
        // What is far too long need not be written to be measured.
        if place == 0 && length > tokens.saturating_mul(10) {
            continue;
        }
        let is_last = place + 1 == LIMITS.len();
        if !is_last && shown_whole.is_some_and(|shown| limits.allow(&shown)) {
            // Nothing was cut before, and nothing would be now.
            continue;
        }
        let most = most_bytes(tokens);
        let mut writer = Writer {
            limits,
            errors,
            most: if is_last { usize::MAX } else { most },
            out: String::with_capacity(length.min(most)),
            whole: true,
            shown: Limits::new(0, 0, 0),
        };
        writer.value(value, 0);
        let taken = (!writer.is_full()).then(|| estimate(&writer.out));
        if let Some(tokens) = taken.filter(|&taken| taken <= tokens) {
            return Excerpt {
                text: writer.out,
                tokens,
                whole: writer.whole,
            };
        }
        if is_last {
            return cut(&writer.out, tokens);
        }
        shown_whole = writer.whole.then_some(writer.shown);
    }
    Excerpt {
        text: String::new(),
        tokens: 0,
        whole: false,
    }
}

/// The beginning that fits, with an ellipsis.
fn cut(text: &str, tokens: usize) -> Excerpt {
    let taken = estimate(text);
    if taken <= tokens {
        return Excerpt {
            text: text.to_owned(),
            tokens: taken,
            whole: false,
        };
    }
    let part = head(text, tokens.saturating_sub(2));
    let part = part
        .get(..escape_floor(part, part.len()))
        .unwrap_or_default();
    let text = if tokens < 2 {
        String::new()
    } else {
        format!("{part}…")
    };
    Excerpt {
        tokens: estimate(&text),
        text,
        whole: false,
    }
}

/// Head, lines with errors and tail of a text, about so many characters, on one line.
fn shortened(text: &str, characters: usize) -> String {
    let mut out = String::with_capacity(text.len().min(characters) + SAID);
    push_shortened(text, characters, true, &mut out);
    out
}

/// Like [`shortened`], at the end of another text; `errors` tells whether its middle may speak of one.
fn push_shortened(text: &str, characters: usize, errors: bool, out: &mut String) {
    if text.len() <= characters {
        push_clean(text, out);
        return;
    }
    let begin = escape_floor(text, characters / 2);
    let end = escape_floor(text, text.len() - characters / 4);
    let parts = (text.get(..begin), text.get(begin..end), text.get(end..));
    let (Some(first), Some(middle), Some(last)) = parts else {
        return;
    };
    push_clean(first, out);
    let errors = if errors && characters >= 120 {
        error_lines(middle, characters / 4)
    } else {
        Vec::new()
    };
    let kept: usize = errors.iter().map(|line| line.len()).sum();
    let left_out = i64::try_from(middle.len() - kept.min(middle.len())).unwrap_or(i64::MAX);
    for part in ["…+", &whole(left_out), " chars…"] {
        out.push_str(part);
    }
    for line in errors {
        push_clean(line, out);
        out.push('…');
    }
    push_clean(last, out);
}

/// The last place at or before `at` that lies neither within a character nor within a JSON escape
/// (`\n`, `\u00e9`, a surrogate pair).
pub(crate) fn escape_floor(text: &str, at: usize) -> usize {
    if at >= text.len() {
        return text.len();
    }
    let at = text.floor_char_boundary(at);
    let bytes = text.as_bytes();
    let before = |end: usize| bytes.get(..end).unwrap_or_default();
    // An escape is at most six bytes; a pair of surrogates is two of them.
    let begins_escape = |place: usize| {
        let run = before(place)
            .iter()
            .rev()
            .take_while(|&&byte| byte == b'\\')
            .count();
        bytes.get(place) == Some(&b'\\') && run % 2 == 0
    };
    let length = |place: usize| {
        if bytes.get(place + 1) == Some(&b'u') {
            6
        } else {
            2
        }
    };
    let inside = |at: usize| {
        (at.saturating_sub(5)..at).find(|&place| begins_escape(place) && place + length(place) > at)
    };
    let at = inside(at).unwrap_or(at);
    let high = at.checked_sub(6).filter(|&place| {
        let digits = bytes.get(place..place + 4);
        let is_high = digits.is_some_and(|digits| {
            digits.eq_ignore_ascii_case(b"\\ud8")
                || digits.eq_ignore_ascii_case(b"\\ud9")
                || digits.eq_ignore_ascii_case(b"\\uda")
                || digits.eq_ignore_ascii_case(b"\\udb")
        });
        is_high && begins_escape(place) && bytes.get(at..at + 2) == Some(b"\\u")
    });
    high.unwrap_or(at)
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    characters: usize,
    items: usize,
    levels: usize,
}

impl Limits {
    const fn new(characters: usize, items: usize, levels: usize) -> Self {
        Self {
            characters,
            items,
            levels,
        }
    }

    /// Whether they leave alone what is so large.
    fn allow(&self, shown: &Self) -> bool {
        shown.characters <= self.characters
            && shown.items <= self.items
            && shown.levels <= self.levels
    }
}

/// Writes a value within limits. Recursion is bounded by the depth that a parsed value can have.
struct Writer<'l> {
    limits: &'l Limits,
    /// Whether any text may speak of an error.
    errors: bool,
    /// It stops after so many bytes, which are more than fit.
    most: usize,
    out: String,
    whole: bool,
    /// The largest of what was not cut.
    shown: Limits,
}

impl Writer<'_> {
    fn is_full(&self) -> bool {
        self.out.len() > self.most
    }

    fn value(&mut self, value: &Value, level: usize) {
        if self.is_full() {
            return;
        }
        match value {
            Value::Null => self.out.push_str("null"),
            Value::Bool(value) => self.out.push_str(if *value { "true" } else { "false" }),
            Value::Number(number) => self.out.push_str(&number.to_string()),
            Value::String(text) => {
                self.whole &= text.len() <= self.limits.characters;
                self.shown.characters = self.shown.characters.max(text.len());
                self.out.push('"');
                push_shortened(text, self.limits.characters, self.errors, &mut self.out);
                self.out.push('"');
            }
            Value::Array(items) => self.list(items, level),
            Value::Object(fields) => self.object(fields, level),
        }
    }

    /// Notes the size of a list or an object, in items, and on which level it is.
    fn shows(&mut self, items: usize, level: usize) {
        if items > 0 {
            self.shown.items = self.shown.items.max(items);
            self.shown.levels = self.shown.levels.max(level + 1);
        }
    }

    fn list(&mut self, items: &[Value], level: usize) {
        if level >= self.limits.levels && !items.is_empty() {
            self.whole = false;
            self.out.push_str(&format!("[…{} items]", items.len()));
            return;
        }
        self.shows(items.len(), level);
        self.out.push('[');
        let most = self.limits.items;
        let cut = items.len() > most;
        let first = if cut {
            most.saturating_sub(1)
        } else {
            items.len()
        };
        for (place, item) in items.iter().take(first).enumerate() {
            if self.is_full() {
                return;
            }
            if place > 0 {
                self.out.push_str(", ");
            }
            self.value(item, level + 1);
        }
        if let Some(last) = items.last().filter(|_| cut) {
            self.whole = false;
            self.out
                .push_str(&format!(", …+{} items…, ", items.len() - first - 1));
            self.value(last, level + 1);
        }
        self.out.push(']');
    }

    fn object(&mut self, fields: &serde_json::Map<String, Value>, level: usize) {
        if level >= self.limits.levels && !fields.is_empty() {
            self.whole = false;
            self.out.push_str(&format!("{{…{} keys}}", fields.len()));
            return;
        }
        self.shows(fields.len().div_ceil(2), level);
        self.out.push('{');
        // Keys are the outline: twice as many as items.
        let most = self.limits.items.saturating_mul(2);
        for (place, (key, value)) in fields.iter().take(most).enumerate() {
            if self.is_full() {
                return;
            }
            if place > 0 {
                self.out.push_str(", ");
            }
            push_shortened(key, KEY, false, &mut self.out);
            self.out.push_str(": ");
            self.value(value, level + 1);
        }
        if fields.len() > most {
            self.whole = false;
            self.out
                .push_str(&format!(", …+{} keys", fields.len() - most));
        }
        self.out.push('}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str, tokens: usize) -> String {
        excerpt(&Json::parse(text).unwrap(), tokens)
    }

    #[test]
    fn the_outline_of_json_stays() {
        let long = "word ".repeat(400);
        let messages = format!(
            r#"{{"model":"m","messages":[{{"role":"system","content":"{long}"}},{{"role":"user","content":"{long}"}},{{"role":"user","content":"the last question"}}]}}"#
        );
        insta::assert_snapshot!(of(&messages, 110), @r#"{messages: [{content: "word word word word…+1,970 chars…word word", role: "system"}, {content: "word word word word…+1,970 chars…word word", role: "user"}, {content: "the last question", role: "user"}], model: "m"}"#);
        insta::assert_snapshot!(of("[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]", 30), @"[1, 2, 3, 4, 5, 6, 7, …+12 items…, 20]");
    }

    #[test]
    fn a_text_keeps_head_tail_and_lines_with_errors() {
        let mut lines: Vec<String> = (0..400).map(|n| format!("line {n} of the log")).collect();
        lines[200] = "ValueError: bad price".to_owned();
        lines[210] = "the command failed with 2".to_owned();
        let text = Json::string(&lines.join("\n"));
        insta::assert_snapshot!(excerpt(&text, 90), @r"line 0 of the log\nline 1 of the log\nline 2 of the log\nline 3 of the log\nline 4 of the log…+7,716 chars…ValueError: bad price…the command failed with 2…e log\nline 398 of the log\nline 399 of the log");
    }

    #[test]
    fn escapes_and_characters_stay_whole() {
        let text = r"ab\n\\\u00e9\ud83d\ude00é";
        let places: Vec<usize> = (0..=text.len()).map(|at| escape_floor(text, at)).collect();
        let pieces = [0, 1, 2, 4, 6, 12, 24, 26];
        assert!(
            places.iter().all(|place| pieces.contains(place)),
            "{places:?}"
        );
        assert!(places.iter().zip(0..).all(|(&place, at)| place <= at));
    }

    #[test]
    fn five_megabytes_fit_too() {
        let text = Json::string(&"a \u{1}\n\"x\" ".repeat(600_000));
        let object = Json::parse(&format!(r#"{{"log":{}}}"#, text.as_str())).unwrap();
        for huge in [text, object] {
            let part = excerpt(&huge, 100);
            assert!(estimate(&part) <= 100 && estimate(&part) > 60, "{part}");
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            "(\\PC|[a-z \n\u{1b}]){0,80}".prop_map(Value::from),
            "([a-z ]{0,60}(Error|\n|\u{1})){0,9}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec(("\\PC{0,6}", inner), 0..6)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    /// Every limit in full, from generous to stingy.
    fn simply(value: &Value, length: usize, tokens: usize) -> Excerpt {
        let mut last = String::new();
        for (place, limits) in LIMITS.iter().enumerate() {
            if place == 0 && length > tokens * 10 {
                continue;
            }
            let mut writer = Writer {
                limits,
                errors: true,
                most: usize::MAX,
                out: String::new(),
                whole: true,
                shown: Limits::new(0, 0, 0),
            };
            writer.value(value, 0);
            if estimate(&writer.out) <= tokens {
                return Excerpt {
                    tokens: estimate(&writer.out),
                    text: writer.out,
                    whole: writer.whole,
                };
            }
            last = writer.out;
        }
        cut(&last, tokens)
    }

    proptest! {
        #[test]
        fn what_cannot_fit_is_not_written_to_the_end(value in any_value(), tokens in 0usize..300) {
            let json = Json::from_value(&value);
            let (errors, length) = (may_speak_of_errors(json.as_str()), json.as_str().len());
            prop_assert_eq!(of_value(&value, errors, length, tokens), simply(&value, length, tokens));
        }

        #[test]
        fn no_more_bytes_than_that_fit_into_tokens(text in "(\\PC|[a-zA-Z ]{0,30}|[0-9 ]{0,9}){0,30}") {
            let text = clean(&text);
            prop_assert!(text.len() <= most_bytes(estimate(&text)), "{text:?}");
        }

        #[test]
        fn never_more_than_asked_for(value in any_value(), tokens in 0usize..120) {
            let json = Json::from_value(&value);
            let part = of_json(&json, tokens);
            prop_assert!(estimate(&part.text) <= tokens, "{} > {tokens}: {}", estimate(&part.text), part.text);
            prop_assert!(!part.text.chars().any(char::is_control));
            if part.whole {
                prop_assert!(!part.text.contains("…+"));
            }
        }
    }
}
