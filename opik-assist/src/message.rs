//! Error messages without what differs from one occurrence to the next.
//!
//! Two messages with the same template are taken for the same error. The template masks quoted
//! text as `<q>`, paths and addresses as `<path>`, and every word with a digit as `#`; the rest is
//! in lower case with single spaces. Only the first 400 characters count.

/// Characters of a message that are looked at.
const LENGTH: usize = 400;
/// Templates shorter than this say too little to be found inside another message.
const TELLING: usize = 8;

/// The template of a message.
pub(crate) fn template(message: &str) -> String {
    let head: String = message.chars().take(LENGTH).collect();
    let mut out = String::with_capacity(head.len());
    for word in without_quotes(&head).split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        if is_path(word) {
            out.push_str("<path>");
        } else {
            mask_numbers(word, &mut out);
        }
    }
    out
}

/// Whether the outer error repeats the inner one: equal templates, or one contains the other.
pub(crate) fn repeats(outer: &str, inner: &str) -> bool {
    outer == inner
        || (inner.len() >= TELLING && outer.contains(inner))
        || (outer.len() >= TELLING && inner.contains(outer))
}

/// Replaces quoted text; an apostrophe within a word is no quotation mark.
fn without_quotes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = ' ';
    while let Some(character) = rest.chars().next() {
        let (_, after) = rest
            .split_at_checked(character.len_utf8())
            .unwrap_or((rest, ""));
        let opens = matches!(character, '"' | '\'' | '`') && !before.is_alphanumeric();
        let closing = opens.then(|| after.find(character)).flatten();
        if let Some((quoted, behind)) = closing.and_then(|end| after.split_at_checked(end))
            && !quoted.contains('\n')
        {
            out.push_str("<q>");
            rest = behind.split_at_checked(1).map_or("", |(_, rest)| rest);
            before = character;
            continue;
        }
        out.push(character);
        rest = after;
        before = character;
    }
    out
}

fn is_path(word: &str) -> bool {
    word.contains("://")
        || word.starts_with('/') && word.len() > 2
        || word.matches(['/', '\\']).count() >= 2
}

/// Writes the word in lower case, with every run of letters and digits that has a digit as `#`.
fn mask_numbers(word: &str, out: &mut String) {
    let is_inner = |character: char| character.is_alphanumeric() || character == '_';
    for part in word.split_inclusive(|character: char| !is_inner(character)) {
        let end = part
            .find(|character: char| !is_inner(character))
            .unwrap_or(part.len());
        let (run, mark) = part.split_at_checked(end).unwrap_or((part, ""));
        if run.contains(|character: char| character.is_ascii_digit()) {
            out.push('#');
        } else {
            out.extend(run.chars().flat_map(char::to_lowercase));
        }
        out.push_str(mark);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_between_occurrences_is_masked() {
        assert_eq!(
            template("Can't open '/tmp/a b.txt' (try 3 of 5)\n at  https://x.y/z id=0af3"),
            "can't open <q> (try # of #) at <path> id=#"
        );
        assert_eq!(
            template("key \"a\" missing"),
            template("key \"b c\" missing")
        );
        assert_eq!(template("it's 'open"), "it's 'open");
    }

    #[test]
    fn a_wrapped_message_repeats_the_inner_one() {
        let inner = template("connection to 10.0.0.1:80 refused");
        assert!(repeats(
            &template("step 7 failed: connection to 10.0.0.9:80 refused"),
            &inner
        ));
        assert!(!repeats(&template("no answer"), &inner));
        assert!(!repeats("a b c d e f g h", "c d"));
    }
}
