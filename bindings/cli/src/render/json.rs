//! JSON text laid out for reading, in the order and spelling in which it was recorded.

/// Lays JSON text out with two spaces per level. Works on any depth and on text that parsers
/// refuse (lone surrogates); what is not JSON comes back much as it is.
pub(crate) fn indent(json: &str) -> String {
    let mut text = String::with_capacity(json.len() + json.len() / 4);
    let mut depth = 0usize;
    let mut chars = json.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '"' => {
                text.push('"');
                let mut escaped = false;
                for char in chars.by_ref() {
                    text.push(char);
                    match char {
                        _ if escaped => escaped = false,
                        '\\' => escaped = true,
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '{' | '[' => {
                text.push(char);
                while chars.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                let close = if char == '{' { '}' } else { ']' };
                if chars.next_if_eq(&close).is_some() {
                    text.push(close);
                } else {
                    depth += 1;
                    new_line(&mut text, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut text, depth);
                text.push(char);
            }
            ',' => {
                text.push(',');
                new_line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            char if char.is_ascii_whitespace() => {}
            char => text.push(char),
        }
    }
    text
}

/// Levels that are indented; deeper ones stay at that column.
const LEVELS: usize = 40;

fn new_line(text: &mut String, depth: usize) {
    text.push('\n');
    for _ in 0..depth.min(LEVELS) {
        text.push_str("  ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_spelling_are_kept() {
        let json = r#"{"b":1.0e2,"a":[1, {"x":"a,{\"}"}],"e":{},"f":[ ]}"#;
        insta::assert_snapshot!(indent(json), @r#"
        {
          "b": 1.0e2,
          "a": [
            1,
            {
              "x": "a,{\"}"
            }
          ],
          "e": {},
          "f": []
        }
        "#);
        let back: serde_json::Value = serde_json::from_str(&indent(json)).unwrap();
        assert_eq!(
            back,
            serde_json::from_str::<serde_json::Value>(json).unwrap()
        );
    }

    #[test]
    fn depth_and_odd_text_are_no_problem() {
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        assert!(indent(&deep).len() < 1_000_000);
        assert_eq!(indent(r#""\ud800""#), r#""\ud800""#);
        assert_eq!(indent("]]"), "\n]\n]");
        assert_eq!(indent(r#""open"#), r#""open"#);
    }
}
