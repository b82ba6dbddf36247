//! Events of a turn as events of the stream.
//!
//! ```text
//! stream   := event* [error]
//! event    := "data: " json "\n\n"
//! response := {"message_type": "response", "content": {"parts": [{"text": S}]}, "partial": B, "invocationId": I, "id": E}
//! call     := {"message_type": "tool_call", "tool_call": {"id": C, "name": N, "display_name": D}, "timestamp": T, "id": C, "author": A}
//! complete := {"message_type": "tool_complete", "tool_response": {"id": C, "name": N}, "timestamp": T, "id": C, "author": A}
//! error    := {"error": S}
//! ```
//!
//! A client that asks for `text/event-stream` by name gets an `id:` line with each event, by which
//! it can go on after a break; the page does not ask and gets the bytes of the Python program.

use opik_assist::assistant::{TurnEvent, TurnEventKind};
use opik_core::SpanId;

use super::python;

/// Words of one event. Longer pieces are sent as several, so that a piece seldom crosses the end of
/// a network read, where the page's reader would lose it.
const PIECE: usize = 600;
/// Bytes around the words of an event.
const AROUND: usize = 195;
/// Longest name of a span or tool that is shown.
const SHOWN: usize = 160;

/// Writes the events of one turn.
#[derive(Debug, Clone)]
pub(crate) struct Framer {
    /// The turn.
    pub(crate) turn: String,
    /// Who speaks.
    pub(crate) agent: String,
    /// Whether events carry their place.
    pub(crate) with_ids: bool,
}

impl Framer {
    /// Appends what a listener sees of an event, which may be nothing.
    pub(crate) fn push(&self, out: &mut String, event: &TurnEvent) {
        let before = out.len();
        match &event.kind {
            TurnEventKind::Text { text } => {
                for piece in pieces(text) {
                    self.response(out, piece, true, &SpanId::generate().to_string());
                }
            }
            TurnEventKind::Message(message) if !message.text.is_empty() => {
                self.response(out, &message.text, false, &message.event_id);
            }
            TurnEventKind::ToolStarted {
                id,
                name,
                arguments,
            } => {
                begin(out, "tool_call", "tool_call", id, name);
                out.push_str(", \"display_name\": ");
                python::push_str(out, &display_name(name, arguments.as_str()));
                self.end_tool(out, id, event);
            }
            TurnEventKind::ToolFinished { id, name, .. } => {
                begin(out, "tool_complete", "tool_response", id, name);
                self.end_tool(out, id, event);
            }
            TurnEventKind::Failed(failed) => {
                out.push_str("data: {\"error\": ");
                python::push_str(out, &failed.message);
                out.push_str("}\n\n");
            }
            _ => {}
        }
        if self.with_ids && out.len() > before {
            // Before the blank line that ends the last event.
            out.truncate(out.len() - 1);
            out.push_str(&format!("id: {}:{}\n\n", self.turn, event.position));
        }
    }

    fn response(&self, out: &mut String, text: &str, partial: bool, id: &str) {
        out.reserve(text.len() + AROUND);
        out.push_str(
            "data: {\"message_type\": \"response\", \"content\": {\"parts\": [{\"text\": ",
        );
        python::push_str(out, text);
        out.push_str("}]}, \"partial\": ");
        out.push_str(if partial { "true" } else { "false" });
        out.push_str(", \"invocationId\": ");
        python::push_str(out, &self.turn);
        out.push_str(", \"id\": ");
        python::push_str(out, id);
        out.push_str("}\n\n");
    }

    fn end_tool(&self, out: &mut String, id: &str, event: &TurnEvent) {
        out.push_str("}, \"timestamp\": ");
        out.push_str(&python::seconds(event.at.as_micros()));
        out.push_str(", \"id\": ");
        python::push_str(out, id);
        out.push_str(", \"author\": ");
        python::push_str(out, &self.agent);
        out.push_str("}\n\n");
    }
}

fn begin(out: &mut String, kind: &str, field: &str, id: &str, name: &str) {
    out.push_str("data: {\"message_type\": ");
    python::push_str(out, kind);
    out.push_str(", ");
    python::push_str(out, field);
    out.push_str(": {\"id\": ");
    python::push_str(out, id);
    out.push_str(", \"name\": ");
    python::push_str(out, name);
}

/// What the page shows of a call while it runs.
fn display_name(tool: &str, arguments: &str) -> String {
    match tool {
        "get_span_details" => {
            let arguments: serde_json::Value = serde_json::from_str(arguments).unwrap_or_default();
            let span = arguments.get("span_id").and_then(serde_json::Value::as_str);
            let span = span.map_or_else(|| "unknown".to_owned(), shortened);
            format!("Fetching span details for {{span:{span}}}")
        }
        "get_trace_data" => "Retrieving trace information and metadata".to_owned(),
        other => format!("Executing {}", shortened(other)),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

/// The text in pieces that end between characters.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = PIECE.min(rest.len());
        while !rest.is_char_boundary(end) {
            end += 1;
        }
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_whole_text() {
        for text in ["", "short", &"\u{1f600}".repeat(700), &"x".repeat(601)] {
            assert_eq!(pieces(text).collect::<String>(), text);
            assert!(pieces(text).all(|piece| piece.len() <= PIECE + 3));
        }
    }

    #[test]
    fn tools_are_shown_as_the_page_knows_them() {
        let shown = display_name(
            "get_span_details",
            r#"{"span_id": "s", "include_input": true}"#,
        );
        assert_eq!(shown, "Fetching span details for {span:s}");
        assert_eq!(
            display_name("get_span_details", "\"not json"),
            "Fetching span details for {span:unknown}"
        );
        assert_eq!(display_name("find_loops", "{}"), "Executing find_loops");
    }
}
