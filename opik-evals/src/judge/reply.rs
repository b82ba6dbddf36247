//! Reading a reply: JSON wherever it stands, and a number that has to be one.

use crate::dataset::Node;

/// What a reply has to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    /// The key of the score.
    pub(super) score: &'static str,
    /// The key of the reason, which has to be there.
    pub(super) reason: &'static str,
    pub(super) scale: Scale,
}

/// What kind of score a reply has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// From 0 to 1.
    Unit,
    /// From 0 to 10, a tenth of which is the score.
    Tenths,
    /// True or false, with a list of reasons.
    Flag,
    /// A list of objects with the key `met`, true or false; the share of the true ones.
    Share,
}

/// What a reply holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parsed {
    pub(super) score: f64,
    pub(super) reason: Option<String>,
}

/// Reads a reply; an error says what is wrong and quotes nothing.
pub(super) fn parse(reply: &str, format: &Format) -> Result<Parsed, &'static str> {
    let node = json(reply).ok_or("there is no JSON object in it")?;
    if node.fields().is_none() {
        return Err("it is JSON, but no object");
    }
    let score = node.get(format.score).ok_or("it has no score")?;
    let reason = node.get(format.reason).ok_or("it has no reason")?;
    let score = match format.scale {
        Scale::Unit => number(score)?,
        Scale::Tenths => number(score)? / 10.0,
        Scale::Flag => {
            let Node::Bool(truth) = score else {
                return Err("its score is neither true nor false");
            };
            let list = reason.list().ok_or("its reason is no list")?;
            if list.iter().any(|reason| reason.text().is_none()) {
                return Err("its reason is no list of texts");
            }
            f64::from(u8::from(*truth))
        }
        Scale::Share => share(score)?,
    };
    if !(0.0..=1.0).contains(&score) {
        return Err("its score is out of range");
    }
    Ok(Parsed {
        score,
        reason: text(reason),
    })
}

/// The JSON of a reply: the whole reply, what stands between the first and the last brace, or the
/// first object.
fn json(reply: &str) -> Option<Node> {
    if let Ok(node) = Node::parse_python(reply.trim()) {
        return Some(node);
    }
    let start = reply.find('{')?;
    let end = reply.rfind('}')?;
    let between = reply.get(start..=end)?;
    if let Ok(node) = Node::parse_python(between) {
        return Some(node);
    }
    Node::parse_python(first_object(between)?).ok()
}

/// A text up to the brace that closes its first.
fn first_object(text: &str) -> Option<&str> {
    let (mut depth, mut quoted, mut escaped) = (0_u64, false, false);
    for (at, byte) in text.bytes().enumerate() {
        if escaped {
            escaped = false;
        } else if quoted {
            escaped = byte == b'\\';
            quoted = byte != b'"';
        } else {
            match byte {
                b'"' => quoted = true,
                b'{' => depth += 1,
                b'}' => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        return text.get(..=at);
                    }
                }
                _ => {}
            }
        }
    }
    None
}

/// What Python's `float()` makes of it, where that is a number.
fn number(node: &Node) -> Result<f64, &'static str> {
    match node {
        Node::Bool(truth) => Ok(f64::from(u8::from(*truth))),
        Node::Float(number) => Ok(*number),
        Node::Int(digits) => digits.parse().map_err(|_| "its score is no number"),
        Node::Text(text) => text.trim().parse().map_err(|_| "its score is no number"),
        _ => Err("its score is no number"),
    }
}

fn share(node: &Node) -> Result<f64, &'static str> {
    let list = node.list().ok_or("it has no list")?;
    let met: Vec<bool> = list
        .iter()
        .map(|entry| match entry.get("met") {
            Some(Node::Bool(met)) => Ok(*met),
            _ => Err("an entry of its list does not say true or false"),
        })
        .collect::<Result<_, _>>()?;
    if met.is_empty() {
        return Err("its list is empty");
    }
    let count = |list: usize| u32::try_from(list).map(f64::from).unwrap_or(f64::MAX);
    Ok(count(met.iter().filter(|met| **met).count()) / count(met.len()))
}

/// A reason as one text: lists a line each, nothing for null and for empty lists.
fn text(node: &Node) -> Option<String> {
    match node {
        Node::Null => None,
        Node::List(items) => {
            let lines: Vec<_> = items.iter().map(Node::to_python).collect();
            (!lines.is_empty()).then(|| lines.join("\n"))
        }
        Node::Object(_) => Some(node.to_json()),
        other => Some(other.to_python()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::prompts;
    use serde_json::Value;

    /// Parsers of the file that are not here, and why.
    const SKIPPED: &[(&str, &str)] = &[(
        "syc_eval",
        "the judge of sycophancy puts four questions a case; it is not here",
    )];

    fn format(parser: &str) -> Option<Format> {
        Some(match parser {
            "hallucination" => prompts::HALLUCINATION.format,
            "answer_relevance" => prompts::ANSWER_RELEVANCE.format,
            "context_precision" => prompts::CONTEXT_PRECISION.format,
            "context_recall" => prompts::CONTEXT_RECALL.format,
            "moderation" => prompts::MODERATION.format,
            "usefulness" => prompts::USEFULNESS.format,
            "g_eval" => prompts::G_EVAL,
            "trajectory_accuracy" => prompts::TRAJECTORY.format,
            "structure_output_compliance" => prompts::STRUCTURED_OUTPUT.format,
            _ => return None,
        })
    }

    #[test]
    fn replies_are_read_as_the_python_sdk_reads_them() {
        let rows = include_str!("../../tests/fixtures/judge_parsers.jsonl");
        let (mut checked, mut skipped) = (0, 0);
        for row in rows.lines() {
            let row: Value = serde_json::from_str(row).unwrap();
            let parser = row["parser"].as_str().unwrap();
            let Some(format) = format(parser) else {
                assert!(SKIPPED.iter().any(|(own, _)| *own == parser), "{parser}");
                skipped += 1;
                continue;
            };
            let found = parse(row["reply"].as_str().unwrap(), &format);
            checked += 1;
            if row.get("error").is_some() {
                assert!(found.is_err(), "{row}: {found:?}");
                continue;
            }
            let found = found.unwrap_or_else(|error| panic!("{row}: {error}"));
            assert!(
                (found.score - row["score"].as_f64().unwrap()).abs() < 1e-12,
                "{row}"
            );
            // The reason is a text here, whatever it was.
            let expected = match &row["reason"] {
                Value::String(text) => match text.as_str() {
                    "None" | "No reason provided" | "[]" => None,
                    "['a', 'b']" => Some("a\nb".to_owned()),
                    "{'a': 1}" => Some("{\"a\": 1}".to_owned()),
                    other => Some(other.to_owned()),
                },
                Value::Array(list) if !list.is_empty() => Some("a\nb".to_owned()),
                _ => None,
            };
            assert_eq!(found.reason, expected, "{row}");
        }
        assert_eq!((checked, skipped), (198, 22));
    }

    #[test]
    fn a_flag_and_a_share_are_read_strictly() {
        let flag = prompts::STRUCTURED_OUTPUT.format;
        let good = "Here: ```json\n{\"score\": false, \"reason\": [\"a\", \"b\"]}\n```";
        let parsed = parse(good, &flag).unwrap();
        assert_eq!(
            (parsed.score, parsed.reason.as_deref()),
            (0.0, Some("a\nb"))
        );
        assert!(parse(r#"{"score": 1, "reason": []}"#, &flag).is_err());
        assert!(parse(r#"{"score": true, "reason": [1]}"#, &flag).is_err());

        let share = prompts::SESSION_COMPLETENESS.format;
        let reply = r#"{"goals": [{"goal": "a", "met": true}, {"goal": "b", "met": false}], "reason": "r"}"#;
        assert_eq!(parse(reply, &share).unwrap().score, 0.5);
        assert!(parse(r#"{"goals": [], "reason": "r"}"#, &share).is_err());
        assert!(parse(r#"{"goals": [{"met": "yes"}], "reason": "r"}"#, &share).is_err());
    }

    #[test]
    fn braces_in_texts_do_not_end_an_object() {
        let format = prompts::HALLUCINATION.format;
        let reply = r#"{"score": 0.5, "reason": "a } b \" } c"} and {more}"#;
        let parsed = parse(reply, &format).unwrap();
        assert_eq!(parsed.reason.as_deref(), Some("a } b \" } c"));
        assert!(parse("} {", &format).is_err());
    }
}
