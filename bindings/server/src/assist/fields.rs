//! Fields of a JSON body, with the errors that FastAPI and pydantic give for them.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::detail::{Detail, problem};
use super::scan;

/// The fields of an object, each as it was written.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    fields: BTreeMap<String, Box<RawValue>>,
    whole: String,
    problems: Vec<String>,
}

impl Fields {
    /// Reads a body.
    ///
    /// # Errors
    /// 422 when it is no JSON object.
    pub(crate) fn of(headers: &HeaderMap, body: &Bytes) -> Result<Self, Detail> {
        let refused = |problem| Err(Detail::problems(&[problem]));
        let place = json!(["body"]);
        let is_missing = || problem("missing", &place, "Field required", "null");
        if body.is_empty() {
            return refused(is_missing());
        }
        let Ok(text) = std::str::from_utf8(body) else {
            return Err(Detail::told(
                axum::http::StatusCode::BAD_REQUEST,
                "Bad request",
                "There was an error parsing the body",
            ));
        };
        let no_object = |input: &str| {
            problem(
                "model_attributes_type",
                &place,
                "Input should be a valid dictionary or object to extract fields from",
                input,
            )
        };
        if !is_json(headers) {
            return refused(no_object(&Value::from(text).to_string()));
        }
        let whole: &RawValue = match serde_json::from_str(text) {
            Ok(whole) => whole,
            Err(_) => {
                let (at, mistake) = scan::mistake(text);
                return refused(format!(
                    "{{\"type\":\"json_invalid\",\"loc\":[\"body\",{at}],\"msg\":\"JSON decode error\",\
                     \"input\":{{}},\"ctx\":{{\"error\":{}}}}}",
                    Value::from(mistake)
                ));
            }
        };
        let whole = compact(whole.get());
        if whole == "null" {
            return refused(is_missing());
        }
        match serde_json::from_str(&whole) {
            Ok(fields) => Ok(Self {
                fields,
                whole,
                problems: Vec::new(),
            }),
            Err(_) => refused(no_object(&whole)),
        }
    }

    fn complain(&mut self, kind: &str, field: &str, message: &str, input: &str) {
        let place = json!(["body", field]);
        self.problems.push(problem(kind, &place, message, input));
    }

    fn required(&mut self, field: &str) -> Option<(Value, String)> {
        let Some(raw) = self.fields.get(field) else {
            let whole = self.whole.clone();
            self.complain("missing", field, "Field required", &whole);
            return None;
        };
        let raw = raw.get().to_owned();
        // What a value cannot hold (a lone surrogate, deep nesting) is no text and no number.
        let value = serde_json::from_str(&raw).unwrap_or_else(|_| json!({}));
        Some((value, raw))
    }

    /// A text that has to be there.
    pub(crate) fn text(&mut self, field: &str) -> String {
        match self.required(field) {
            Some((Value::String(text), _)) => text,
            Some((_, raw)) => {
                self.complain("string_type", field, "Input should be a valid string", &raw);
                String::new()
            }
            None => String::new(),
        }
    }

    /// A truth that may be missing; false then.
    pub(crate) fn truth(&mut self, field: &str) -> bool {
        let Some(raw) = self.fields.get(field) else {
            return false;
        };
        let raw = raw.get().to_owned();
        let kind = match serde_json::from_str::<Value>(&raw) {
            Ok(Value::Bool(truth)) => return truth,
            Ok(Value::Number(number)) if number.as_f64() == Some(0.0) => return false,
            Ok(Value::Number(number)) if number.as_f64() == Some(1.0) => return true,
            Ok(Value::Number(number)) if number.is_i64() => "bool_parsing",
            Ok(Value::String(word)) => match word.to_ascii_lowercase().as_str() {
                "true" | "t" | "yes" | "y" | "on" | "1" => return true,
                "false" | "f" | "no" | "n" | "off" | "0" => return false,
                _ => "bool_parsing",
            },
            _ => "bool_type",
        };
        let message = match kind {
            "bool_parsing" => "Input should be a valid boolean, unable to interpret input",
            _ => "Input should be a valid boolean",
        };
        self.complain(kind, field, message, &raw);
        false
    }

    /// A whole number that has to be there.
    pub(crate) fn whole_number(&mut self, field: &str) -> i64 {
        let Some((value, raw)) = self.required(field) else {
            return 0;
        };
        let (kind, message) = match &value {
            Value::Bool(truth) => return i64::from(*truth),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(number), _) => return number,
                (None, Some(number)) if number.fract() == 0.0 => {
                    #[expect(
                        clippy::cast_possible_truncation,
                        reason = "saturates, which is out of range as well"
                    )]
                    return number as i64;
                }
                _ => (
                    "int_from_float",
                    "Input should be a valid integer, got a number with a fractional part",
                ),
            },
            Value::String(text) => match text.trim().parse() {
                Ok(number) => return number,
                Err(_) => (
                    "int_parsing",
                    "Input should be a valid integer, unable to parse string as an integer",
                ),
            },
            _ => ("int_type", "Input should be a valid integer"),
        };
        self.complain(kind, field, message, &raw);
        0
    }

    /// # Errors
    /// 422 with all problems that were found.
    pub(crate) fn checked(self) -> Result<(), Detail> {
        if self.problems.is_empty() {
            return Ok(());
        }
        Err(Detail::problems(&self.problems))
    }
}

/// A body without a type is taken for JSON, as in the Python program.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else {
        return true;
    };
    let kind = kind.to_str().unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    kind.strip_prefix("application/")
        .is_some_and(|subtype| subtype == "json" || subtype.ends_with("+json"))
}

/// JSON without the blanks between its parts.
fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut in_string, mut is_escaped) = (false, false);
    for c in json.chars() {
        if in_string {
            in_string = is_escaped || c != '"';
            is_escaped = c == '\\' && !is_escaped;
        } else if matches!(c, ' ' | '\t' | '\n' | '\r') {
            continue;
        } else {
            in_string = c == '"';
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: &str) -> Fields {
        Fields::of(&HeaderMap::new(), &Bytes::copy_from_slice(body.as_bytes())).unwrap()
    }

    #[test]
    fn what_python_takes_for_a_truth_is_one() {
        for (text, truth) in [
            ("true", true),
            ("\"off\"", false),
            ("1", true),
            ("0.0", false),
            ("\"Y\"", true),
        ] {
            let mut fields = fields(&format!("{{\"streaming\": {text}}}"));
            assert_eq!(fields.truth("streaming"), truth, "{text}");
            assert!(fields.checked().is_ok());
        }
        for text in ["\"maybe\"", "2", "null", "[]", "0.5"] {
            let mut fields = fields(&format!("{{\"streaming\": {text}}}"));
            fields.truth("streaming");
            assert!(fields.checked().is_err(), "{text}");
        }
    }

    #[test]
    fn all_problems_are_named_at_once() {
        let mut fields = fields("{\"message\": 5, \"streaming\": \"maybe\"}");
        fields.text("message");
        fields.truth("streaming");
        assert_eq!(fields.problems.len(), 2);
    }

    #[test]
    fn only_blanks_between_parts_go() {
        assert_eq!(
            compact("{ \"a b\" : [ 1 , \"\\\" x\" ] }"),
            "{\"a b\":[1,\"\\\" x\"]}"
        );
    }
}
