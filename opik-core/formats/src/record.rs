//! What every record gets on its way out: a version, a project, a known type, checked content.

use opik_core::{Json, Span, SpanType, Timestamp, Trace};
use serde_json::Value;

use crate::problem::json_reason;

/// Nesting that needs no closer look; the limit of a closer look is a little deeper.
const SURELY_FLAT: usize = 100;

pub(crate) fn settle_trace(trace: &mut Trace, project: Option<&str>) -> Result<(), String> {
    check_content(&[
        ("input", &trace.input),
        ("output", &trace.output),
        ("metadata", &trace.metadata),
    ])?;
    let (start, end) = (trace.start_time, trace.end_time);
    trace.last_updated_at.get_or_insert(version(start, end));
    if let Some(project) = project {
        trace.project_name = Some(project.to_owned());
        trace.project_id = None;
    }
    Ok(())
}

pub(crate) fn settle_span(span: &mut Span, project: Option<&str>) -> Result<(), String> {
    check_content(&[
        ("input", &span.input),
        ("output", &span.output),
        ("metadata", &span.metadata),
    ])?;
    if let Some(SpanType::Other(word)) = span.r#type.take_if(|it| matches!(it, SpanType::Other(_)))
    {
        let word = Value::from(&*word);
        span.metadata = Some(with_member(span.metadata.take(), "source_type", &word));
        span.r#type = Some(SpanType::General);
    }
    let (start, end) = (span.start_time, span.end_time);
    span.last_updated_at.get_or_insert(version(start, end));
    if let Some(project) = project {
        span.project_name = Some(project.to_owned());
        span.project_id = None;
    }
    Ok(())
}

/// The version of a row that states none: the same each time it is read.
fn version(start: Timestamp, end: Option<Timestamp>) -> Timestamp {
    end.unwrap_or(start)
}

fn check_content(contents: &[(&str, &Option<Json>)]) -> Result<(), String> {
    for (name, content) in contents {
        if let Some(json) = content
            && !surely_readable(json.as_str())
        {
            serde_json::from_str::<Value>(json.as_str())
                .map_err(|error| format!("{name}: {}", json_reason(&error)))?;
        }
    }
    Ok(())
}

/// Whether a well-formed text has none of what readers refuse: deep nesting, halves of surrogate
/// pairs, numbers out of range. A `false` means "look closer".
fn surely_readable(text: &str) -> bool {
    let (mut depth, mut digits) = (0_usize, 0_usize);
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let exponent = digits > 0 && matches!(byte, b'e' | b'E');
        digits = if byte.is_ascii_digit() { digits + 1 } else { 0 };
        match byte {
            b'"' => match after_string(rest) {
                Some(after) => rest = after,
                None => return false,
            },
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        // Only an exponent or hundreds of digits leave the range of a double.
        if exponent || digits > 300 || depth > SURELY_FLAT {
            return false;
        }
    }
    true
}

/// What follows the string that `text` begins in; `None` when it has an escape by number.
fn after_string(mut text: &[u8]) -> Option<&[u8]> {
    loop {
        let at = memchr::memchr2(b'"', b'\\', text)?;
        let (found, after) = text.get(at..)?.split_first()?;
        if *found == b'"' {
            return Some(after);
        }
        let (escaped, after) = after.split_first()?;
        if *escaped == b'u' {
            return None;
        }
        text = after;
    }
}

/// The object with one more member; another kind of value moves into a member `value`.
pub(crate) fn with_member(object: Option<Json>, name: &str, value: &Value) -> Json {
    let member = format!("{}:{value}", Value::from(name));
    let text = match object.as_ref().map(|json| json.as_str().trim()) {
        None | Some("null") => format!("{{{member}}}"),
        Some(text) => match text.strip_prefix('{').and_then(|it| it.strip_suffix('}')) {
            Some(inner) if inner.trim().is_empty() => format!("{{{member}}}"),
            Some(inner) => format!("{{{inner},{member}}}"),
            None => format!("{{\"value\":{text},{member}}}"),
        },
    };
    // Built of JSON texts, so it is one; keep the original if that should ever be wrong.
    serde_json::from_str(&text)
        .ok()
        .or(object)
        .unwrap_or_else(Json::null)
}

#[cfg(test)]
mod tests {
    use super::*;
    use opik_core::{ProjectId, SpanId, TraceId};

    #[test]
    fn a_project_that_is_given_replaces_name_and_identifier() {
        let start = Timestamp::from_micros(1);
        let id = TraceId::from_parts(start, 4);
        let mut trace = Trace::new(id, start);
        trace.project_name = Some("old".to_owned());
        trace.project_id = Some(ProjectId::from_parts(start, 8));
        let mut span = Span::new(SpanId::from_parts(start, 4), id, start);
        span.project_id = trace.project_id;
        settle_trace(&mut trace, None).unwrap();
        assert_eq!(trace.project_name.as_deref(), Some("old"));
        settle_trace(&mut trace, Some("new")).unwrap();
        settle_span(&mut span, Some("new")).unwrap();
        assert_eq!(
            (trace.project_name.as_deref(), trace.project_id),
            (Some("new"), None)
        );
        assert_eq!(
            (span.project_name.as_deref(), span.project_id),
            (Some("new"), None)
        );
    }

    #[test]
    fn a_member_is_added_to_any_value() {
        let add = |text: Option<&str>| {
            let object = text.map(|text| Json::parse(text).unwrap());
            let json = with_member(object, "k", &Value::from("v\""));
            json.as_str().to_owned()
        };
        assert_eq!(add(None), r#"{"k":"v\""}"#);
        assert_eq!(add(Some("{ }")), r#"{"k":"v\""}"#);
        assert_eq!(
            add(Some(r#"{"b": 1.0, "a": 2}"#)),
            r#"{"b": 1.0, "a": 2,"k":"v\""}"#
        );
        assert_eq!(add(Some("[1]")), r#"{"value":[1],"k":"v\""}"#);
    }

    #[test]
    fn what_readers_refuse_is_looked_at_closely() {
        let deep = format!("{}{}", "[".repeat(101), "]".repeat(101));
        let digits = "9".repeat(400);
        for text in [
            deep.as_str(),
            r#"["\ud800"]"#,
            "[1e999]",
            "1E9",
            digits.as_str(),
        ] {
            assert!(!surely_readable(text), "{text}");
        }
        for text in [
            r#"{"a": "Eè+\n\\", "b": [1.5, -2, null]}"#,
            "[true]",
            "\"e\"",
        ] {
            assert!(surely_readable(text), "{text}");
        }
    }
}
