//! What a provider does, for models to make sense of.

use opik_core::ChatEvent;
use opik_core::chat::{FinishReason, ModelErrorKind};

use crate::doubles::{Gate, Step};
use crate::records::content;

/// Something that the provider behind a model does, in the order in which it does it.
///
/// Whoever tests a model translates pieces into what its provider sends: frames of an event
/// stream, parts of a scripted reply.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Piece {
    /// Sends words, in a frame of their own.
    Text(String),
    /// Sends the model's own notes, in a frame of their own. A provider that has none leaves it
    /// out.
    Reasoning(String),
    /// Begins a tool call, where the protocol knows several at once: the number of the call,
    /// its identifier (`None` where the provider gives none, which not every protocol allows; the
    /// model makes one) and the tool's name.
    CallBegins(usize, Option<String>, String),
    /// Sends a part of the arguments of the tool call with this number.
    CallArguments(usize, String),
    /// Sends token counts: prompt and completion.
    Usage(i64, i64),
    /// Says why the reply ended.
    Finish(FinishReason),
    /// Refuses the request, or fails in the middle of the reply, in a way that means this kind.
    Fails(ModelErrorKind),
    /// Breaks the connection off.
    Breaks,
    /// Sends nothing more and keeps the connection open until the model lets go.
    Hangs,
}

/// A reply that the provider is to give to one question.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Scenario {
    /// Name of the case.
    pub name: &'static str,
    /// What the provider does.
    pub pieces: Vec<Piece>,
}

impl Scenario {
    /// What a model that keeps its contract makes of it: whole tool calls before the end, made
    /// identifiers where there are none, an error where the connection breaks off.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut calls: Vec<(String, String, String)> = Vec::new();
        for piece in &self.pieces {
            let step = match piece {
                Piece::Text(text) => Step::text(text),
                Piece::Reasoning(text) => Step::Event(ChatEvent::Reasoning(text.clone())),
                Piece::CallBegins(number, id, name) => {
                    let id = id.clone().unwrap_or_else(|| format!("made-{number}"));
                    calls.push((id, name.clone(), String::new()));
                    continue;
                }
                Piece::CallArguments(number, part) => {
                    if let Some((_, _, arguments)) = calls.get_mut(*number) {
                        arguments.push_str(part);
                    }
                    continue;
                }
                Piece::Usage(prompt, completion) => Step::usage(*prompt, *completion),
                Piece::Finish(reason) => {
                    steps.extend(calls.drain(..).map(|(id, name, arguments)| {
                        Step::tool_call(id, name, content(&arguments))
                    }));
                    Step::finish(reason.clone())
                }
                Piece::Fails(kind) => Step::Error(*kind),
                Piece::Breaks => Step::Error(ModelErrorKind::Truncated),
                Piece::Hangs => Step::Wait(Gate::new()),
            };
            steps.push(step);
        }
        steps
    }
}
