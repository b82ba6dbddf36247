//! Recorded replies: `tests/fixtures/README.md` says how they are written.

use std::error::Error;
use std::path::Path;

use opik_core::ChatEvent;
use opik_core::chat::ModelErrorKind;

/// A reply and what has to come of it.
pub(crate) struct Fixture {
    pub(crate) name: String,
    pub(crate) format: String,
    pub(crate) whole: bool,
    pub(crate) body: Vec<u8>,
    pub(crate) events: Vec<String>,
}

/// All of them, by name.
pub(crate) fn all() -> Vec<Fixture> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut all = Vec::new();
    for format in ["openai", "anthropic", "gemini"] {
        for entry in std::fs::read_dir(root.join(format)).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let stem = path.file_stem().unwrap().to_str().unwrap();
            all.push(parse(&format!("{format}/{stem}"), format, &text));
        }
    }
    assert!(all.len() > 25, "fixtures are missing");
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn parse(name: &str, format: &str, text: &str) -> Fixture {
    let (head, rest) = text.split_once("=== body\n").expect(name);
    let (body, events) = rest.split_once("=== events\n").expect(name);
    let setting = |key: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(name, _)| *name == key)
            .map(|(_, value)| value)
            .next()
    };
    let body = match setting("newline") {
        Some("crlf") => body.replace('\n', "\r\n"),
        Some("cr") => body.replace('\n', "\r"),
        _ => body.to_owned(),
    };
    Fixture {
        name: name.to_owned(),
        format: format.to_owned(),
        whole: setting("whole") == Some("yes"),
        body: body.into_bytes(),
        events: events.lines().map(str::to_owned).collect(),
    }
}

/// An event as fixtures write it.
pub(crate) fn line(event: &ChatEvent) -> String {
    match event {
        ChatEvent::Text(text) => format!("text {}", serde_json::json!(text)),
        ChatEvent::Reasoning(text) => format!("reasoning {}", serde_json::json!(text)),
        ChatEvent::ToolCall(call) => {
            let made = call.id.starts_with("call_0") && call.id.len() > 16;
            let id = if made { "made" } else { &call.id };
            format!("call {id} {} {}", call.name, call.arguments.as_str())
        }
        ChatEvent::Usage(usage) => {
            let counts: Vec<String> = usage
                .0
                .iter()
                .map(|(name, count)| format!("{name}={count}"))
                .collect();
            format!("usage {}", counts.join(" "))
        }
        ChatEvent::Finish(reason) => format!("finish {reason:?}"),
        other => format!("{other:?}"),
    }
}

/// An error as fixtures write it.
pub(crate) fn error_line(
    kind: ModelErrorKind,
    text: &str,
    words: Option<&(dyn Error + 'static)>,
) -> String {
    let text = text.split_once(": ").map_or(text, |(_, text)| text);
    let words = words.map(|words| format!(" | {words}")).unwrap_or_default();
    format!("error {kind:?}: {text}{words}")
}
