//! The formats of providers, from the server's side.

use std::sync::Arc;

use opik_core::chat::{FinishReason, ModelErrorKind};
use opik_core::{ChatModel, Secret};
use opik_models::{
    AnthropicModel, Caller, GeminiModel, HttpClient, OpenAiModel, OpikProxy, Retries,
};
use opik_testkit::{Piece, Scenario};
use serde_json::{Value, json};

use crate::fake::{Act, answer, stream_head};

/// Every client, streamed and whole.
pub(crate) const CLIENTS: [Client; 8] = [
    Client(Wire::OpenAi, false),
    Client(Wire::OpenAi, true),
    Client(Wire::Proxy, false),
    Client(Wire::Proxy, true),
    Client(Wire::Anthropic, false),
    Client(Wire::Anthropic, true),
    Client(Wire::Gemini, false),
    Client(Wire::Gemini, true),
];

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Wire {
    OpenAi,
    Proxy,
    Anthropic,
    Gemini,
}

/// A client and whether it asks for whole replies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client(pub(crate) Wire, pub(crate) bool);

pub(crate) const KEY: &str = "hunter22-the-key";

/// A client that does not repeat.
pub(crate) fn http() -> HttpClient {
    HttpClient::builder()
        .retries(Retries::none())
        .proxies(false)
        .build()
        .unwrap()
}

impl Client {
    pub(crate) fn model(self, http: &HttpClient, url: &str) -> Arc<dyn ChatModel> {
        let (key, whole) = (Secret::new(KEY), self.1);
        match self.0 {
            Wire::OpenAi => {
                let model = OpenAiModel::new(http, &format!("{url}/v1"), &"gpt-x".parse().unwrap());
                Arc::new(model.unwrap().with_key(&key).unwrap().whole(whole))
            }
            Wire::Proxy => {
                let caller = Caller::default().session_token(key).workspace("team");
                let proxy = OpikProxy::new(http, url).unwrap();
                Arc::new(proxy.model("openai/gpt-x", &caller).unwrap().whole(whole))
            }
            Wire::Anthropic => {
                let model = AnthropicModel::new(http, url, "claude-x").unwrap();
                Arc::new(model.with_key(&key).unwrap().whole(whole))
            }
            Wire::Gemini => {
                let model = GeminiModel::new(http, url, "gemini-x").unwrap();
                Arc::new(model.with_key(&key).unwrap().whole(whole))
            }
        }
    }

    /// What the provider sends for a scenario.
    pub(crate) fn play(self, scenario: &Scenario) -> Vec<Act> {
        if let [Piece::Fails(kind)] = scenario.pieces.as_slice() {
            return refusal(self.0, *kind);
        }
        if self.1 {
            return self.play_whole(scenario);
        }
        let mut server = Stream {
            wire: self.0,
            acts: vec![stream_head()],
            calls: Vec::new(),
            index: 0,
            finished: false,
        };
        for piece in &scenario.pieces {
            server.piece(piece);
        }
        server.end();
        server.acts
    }

    fn play_whole(self, scenario: &Scenario) -> Vec<Act> {
        let mut said = Whole::default();
        let mut end = Some(Act::End);
        for piece in &scenario.pieces {
            match piece {
                Piece::Text(text) => said.text.push_str(text),
                Piece::Reasoning(text) => said.reasoning.push_str(text),
                Piece::CallBegins(_, id, name) => {
                    said.calls.push((id.clone(), name.clone(), String::new()));
                }
                Piece::CallArguments(number, part) => said.calls[*number].2.push_str(part),
                Piece::Usage(prompt, completion) => said.usage = Some((*prompt, *completion)),
                Piece::Finish(reason) => said.finish = Some(reason.clone()),
                Piece::Breaks => end = Some(Act::Cut),
                Piece::Hangs => end = Some(Act::Hang),
                Piece::Fails(_) => return refusal(self.0, ModelErrorKind::Unavailable),
                other => panic!("unknown piece {other:?}"),
            }
        }
        let body = said.json(self.0).to_string();
        let cut = matches!(end, Some(Act::Cut | Act::Hang));
        let half = if cut {
            &body.as_bytes()[..body.len() / 2]
        } else {
            body.as_bytes()
        };
        let head = Act::Head(200, vec![("content-type", "application/json".to_owned())]);
        vec![head, Act::Send(half.to_vec()), end.take().unwrap()]
    }
}

/// An answer with an error status that means a kind.
pub(crate) fn refusal(wire: Wire, kind: ModelErrorKind) -> Vec<Act> {
    let (status, code, status_name, words) = match kind {
        ModelErrorKind::Unavailable => (503, "server_error", "UNAVAILABLE", "try later"),
        ModelErrorKind::RateLimited => (429, "rate_limit_error", "RESOURCE_EXHAUSTED", "too fast"),
        ModelErrorKind::Unauthorized => (
            401,
            "authentication_error",
            "UNAUTHENTICATED",
            "who are you",
        ),
        ModelErrorKind::ContextTooLong => (
            400,
            "invalid_request_error",
            "INVALID_ARGUMENT",
            "prompt is too long: maximum context length",
        ),
        other => panic!("no refusal for {other:?}"),
    };
    let body = match wire {
        Wire::OpenAi => json!({"error": {"message": words, "type": code}}),
        Wire::Proxy => json!({"code": status, "message": words}),
        Wire::Anthropic => json!({"type": "error", "error": {"type": code, "message": words}}),
        Wire::Gemini => json!({"error": {"code": status, "status": status_name, "message": words}}),
    };
    answer(status, "application/json", &body.to_string())
}

type Call = (Option<String>, String, String);

fn openai_call(number: usize, (id, name, arguments): &Call) -> Value {
    let mut call = json!({"index": number, "type": "function", "function": {"name": name, "arguments": arguments}});
    if let Some(id) = id {
        call["id"] = json!(id);
    }
    call
}

fn gemini_call((id, name, arguments): &Call) -> Value {
    let args: Value = serde_json::from_str(arguments).unwrap_or_else(|_| json!({}));
    let mut call = json!({"name": name, "args": args});
    if let Some(id) = id {
        call["id"] = json!(id);
    }
    json!({"functionCall": call})
}

fn reason(wire: Wire, reason: &FinishReason) -> &'static str {
    let names = match reason {
        FinishReason::Stop => ["stop", "end_turn", "STOP"],
        FinishReason::ToolCalls => ["tool_calls", "tool_use", "STOP"],
        FinishReason::Length => ["length", "max_tokens", "MAX_TOKENS"],
        FinishReason::ContentFilter => ["content_filter", "refusal", "SAFETY"],
        other => panic!("no reason {other:?}"),
    };
    match wire {
        Wire::OpenAi | Wire::Proxy => names[0],
        Wire::Anthropic => names[1],
        Wire::Gemini => names[2],
    }
}

/// A server that streams.
struct Stream {
    wire: Wire,
    acts: Vec<Act>,
    calls: Vec<Call>,
    index: usize,
    finished: bool,
}

impl Stream {
    fn send(&mut self, value: &Value) {
        let mut frame = String::new();
        if self.wire == Wire::Anthropic {
            frame = format!("event: {}\n", value["type"].as_str().unwrap());
        }
        self.acts
            .push(Act::Send(format!("{frame}data: {value}\n\n").into_bytes()));
    }

    fn delta(&mut self, delta: &Value) {
        self.send(&json!({"choices": [{"index": 0, "delta": delta}]}));
    }

    fn part(&mut self, part: &Value) {
        self.send(&json!({"candidates": [{"content": {"role": "model", "parts": [part]}}]}));
    }

    fn block(&mut self, start: &Value, delta: &Value) {
        let index = self.index;
        self.index += 1;
        self.send(&json!({"type": "content_block_start", "index": index, "content_block": start}));
        self.send(&json!({"type": "content_block_delta", "index": index, "delta": delta}));
        self.send(&json!({"type": "content_block_stop", "index": index}));
    }

    fn piece(&mut self, piece: &Piece) {
        match (piece, self.wire) {
            (Piece::Text(text), Wire::OpenAi | Wire::Proxy) => {
                self.delta(&json!({"content": text}));
            }
            (Piece::Text(text), Wire::Anthropic) => {
                self.block(
                    &json!({"type": "text", "text": ""}),
                    &json!({"type": "text_delta", "text": text}),
                );
            }
            (Piece::Text(text), Wire::Gemini) => self.part(&json!({"text": text})),
            (Piece::Reasoning(text), Wire::OpenAi | Wire::Proxy) => {
                self.delta(&json!({"reasoning_content": text}));
            }
            (Piece::Reasoning(text), Wire::Anthropic) => self.block(
                &json!({"type": "thinking", "thinking": ""}),
                &json!({"type": "thinking_delta", "thinking": text}),
            ),
            (Piece::Reasoning(text), Wire::Gemini) => {
                self.part(&json!({"text": text, "thought": true}));
            }
            (Piece::CallBegins(number, id, name), wire) => {
                let call = (id.clone(), name.clone(), String::new());
                match wire {
                    Wire::OpenAi | Wire::Proxy => {
                        self.delta(&json!({"tool_calls": [openai_call(*number, &call)]}));
                    }
                    Wire::Anthropic => {
                        let mut block = json!({"type": "tool_use", "name": name, "input": {}});
                        if let Some(id) = id {
                            block["id"] = json!(id);
                        }
                        self.send(&json!({"type": "content_block_start", "index": 100 + number, "content_block": block}));
                    }
                    Wire::Gemini => {}
                }
                self.calls.push(call);
            }
            (Piece::CallArguments(number, part), Wire::OpenAi | Wire::Proxy) => {
                self.delta(
                    &json!({"tool_calls": [{"index": number, "function": {"arguments": part}}]}),
                );
            }
            (Piece::CallArguments(number, part), Wire::Anthropic) => {
                let delta = json!({"type": "input_json_delta", "partial_json": part});
                self.send(
                    &json!({"type": "content_block_delta", "index": 100 + number, "delta": delta}),
                );
            }
            // This provider sends calls whole.
            (Piece::CallArguments(number, part), Wire::Gemini) => {
                self.calls[*number].2.push_str(part);
            }
            (Piece::Usage(prompt, completion), Wire::OpenAi | Wire::Proxy) => {
                self.send(&json!({"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion}}));
            }
            (Piece::Usage(prompt, completion), Wire::Anthropic) => {
                let usage = json!({"input_tokens": prompt, "output_tokens": completion});
                self.send(&json!({"type": "message_delta", "delta": {}, "usage": usage}));
            }
            (Piece::Usage(prompt, completion), Wire::Gemini) => {
                self.send(&json!({"usageMetadata": {"promptTokenCount": prompt, "candidatesTokenCount": completion}}));
            }
            (Piece::Finish(why), wire) => {
                self.finished = true;
                let why = reason(wire, why);
                match wire {
                    Wire::OpenAi | Wire::Proxy => {
                        self.send(
                            &json!({"choices": [{"index": 0, "delta": {}, "finish_reason": why}]}),
                        );
                    }
                    Wire::Anthropic => {
                        self.send(&json!({"type": "message_delta", "delta": {"stop_reason": why}}));
                    }
                    Wire::Gemini => {
                        let parts: Vec<Value> = self.calls.iter().map(gemini_call).collect();
                        self.send(&json!({"candidates": [{"content": {"parts": parts}, "finishReason": why}]}));
                    }
                }
            }
            (Piece::Fails(_), Wire::OpenAi) => {
                self.send(&json!({"error": {"message": "x", "type": "server_error"}}));
            }
            (Piece::Fails(_), Wire::Proxy) => self.send(&json!({"code": 500, "message": "x"})),
            (Piece::Fails(_), Wire::Anthropic) => {
                self.send(&json!({"type": "error", "error": {"type": "overloaded_error", "message": "x"}}));
            }
            (Piece::Fails(_), Wire::Gemini) => {
                self.send(&json!({"error": {"code": 503, "message": "x"}}));
            }
            (Piece::Breaks, Wire::Gemini) if !self.calls.is_empty() => {
                let half = br#"data: {"candidates":[{"content":{"parts":[{"functionCall":{"na"#;
                self.acts.extend([Act::Send(half.to_vec()), Act::Cut]);
            }
            (Piece::Breaks, _) => self.acts.push(Act::Cut),
            (Piece::Hangs, _) => self.acts.push(Act::Hang),
            (other, _) => panic!("unknown piece {other:?}"),
        }
    }

    fn end(&mut self) {
        if self.finished {
            match self.wire {
                Wire::OpenAi | Wire::Proxy => {
                    self.acts.push(Act::Send(b"data: [DONE]\n\n".to_vec()));
                }
                Wire::Anthropic => self.send(&json!({"type": "message_stop"})),
                Wire::Gemini => {}
            }
        }
        self.acts.push(Act::End);
    }
}

/// What a server that does not stream says.
#[derive(Default)]
struct Whole {
    text: String,
    reasoning: String,
    calls: Vec<Call>,
    usage: Option<(i64, i64)>,
    finish: Option<FinishReason>,
}

impl Whole {
    fn json(&self, wire: Wire) -> Value {
        let why = self.finish.as_ref().map(|why| reason(wire, why));
        let (prompt, completion) = self.usage.unwrap_or_default();
        match wire {
            Wire::OpenAi | Wire::Proxy => {
                let calls = self.calls.iter().enumerate();
                let calls: Vec<Value> = calls
                    .map(|(number, call)| openai_call(number, call))
                    .collect();
                let message = json!({"content": self.text, "reasoning_content": self.reasoning, "tool_calls": calls});
                json!({
                    "choices": [{"index": 0, "message": message, "finish_reason": why}],
                    "usage": {"prompt_tokens": prompt, "completion_tokens": completion},
                })
            }
            Wire::Anthropic => {
                let mut content = vec![json!({"type": "thinking", "thinking": self.reasoning})];
                content.push(json!({"type": "text", "text": self.text}));
                for (id, name, arguments) in &self.calls {
                    let input: Value = serde_json::from_str(arguments).unwrap_or_default();
                    content
                        .push(json!({"type": "tool_use", "id": id, "name": name, "input": input}));
                }
                json!({
                    "type": "message", "content": content, "stop_reason": why,
                    "usage": {"input_tokens": prompt, "output_tokens": completion},
                })
            }
            Wire::Gemini => {
                let mut parts = vec![json!({"text": self.reasoning, "thought": true})];
                parts.push(json!({"text": self.text}));
                parts.extend(self.calls.iter().map(gemini_call));
                json!({
                    "candidates": [{"content": {"parts": parts}, "finishReason": why}],
                    "usageMetadata": {"promptTokenCount": prompt, "candidatesTokenCount": completion},
                })
            }
        }
    }
}
