//! Recorded text in answers: short, on one line, and harmless to a terminal.
//!
//! What a trace says is written by models, tools and users, so it is never printed as it is.
//! Control characters (escape sequences), characters that turn the direction of writing and
//! invisible ones are dropped, and white space is folded.

/// The text on one line, at most `max` characters, with an ellipsis where it was cut.
pub(crate) fn clean(text: &str, max: usize) -> String {
    // Names, nearly always: short, and plain.
    let is_plain = |byte: u8| byte.is_ascii_graphic();
    if text.len() <= max && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len().min(max.saturating_mul(2)));
    let mut length = 0;
    let mut space = false;
    for character in text.chars() {
        if character.is_whitespace() {
            space = length > 0;
            continue;
        }
        if !is_harmless(character) {
            continue;
        }
        if length + usize::from(space) >= max {
            out.push('…');
            return out;
        }
        if space {
            out.push(' ');
            length += 1;
            space = false;
        }
        out.push(character);
        length += 1;
    }
    out
}

/// The text between quotation marks, at most `max` characters.
pub(crate) fn quoted(text: &str, max: usize) -> String {
    format!("\"{}\"", clean(text, max).replace('"', "'"))
}

/// Whether a character neither controls a terminal nor turns or hides writing, and is one: the last
/// two of each plane and a few more stand for none.
pub(crate) fn is_harmless(character: char) -> bool {
    let code = u32::from(character);
    // Nearly all of what is asked for.
    if code < 0x7f {
        return code >= 0x20;
    }
    !character.is_control()
        && code & 0xfffe != 0xfffe
        && !(0xfdd0..=0xfdef).contains(&code)
        && !matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_direction_marks_are_gone() {
        assert_eq!(
            clean(
                "\u{1b}[31mred\u{7}\u{202e}\u{fffe}\u{1ffff} \r\n\t x\u{0}",
                80
            ),
            "[31mred x"
        );
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(clean("ääääää", 3), "äää…");
        assert_eq!(clean("abc", 3), "abc");
        assert_eq!(clean("abc  ", 3), "abc");
        assert_eq!(quoted("say \"hi\" now", 8), "\"say 'hi'…\"");
    }
}
