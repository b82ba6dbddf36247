//! A server of language models that says what a test tells it, in the formats of OpenAI (and of
//! Opik's proxy), Anthropic and Google.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// What no output may show.
pub(crate) const KEY: &str = "k3y-s3cr3t";

/// What the model does with a question.
#[derive(Debug, Clone)]
pub(crate) enum Say {
    /// Says these words, the first of them in an event of their own.
    Words(String),
    /// Says something and asks for tools with arguments.
    Tools(&'static str, Vec<(&'static str, Value)>),
    /// Begins with these words and never goes on.
    Hang(&'static str),
}

impl Say {
    /// Says something and asks for a tool without arguments.
    pub(crate) fn tool(words: &'static str, name: &'static str) -> Self {
        Self::Tools(words, vec![(name, json!({}))])
    }
}

/// How a question is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    OpenAi,
    Anthropic,
    Gemini,
}

/// A question as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) body: Value,
}

/// Who says what in a question: `system`, `user`, `assistant` or `tool`.
pub(crate) type Line = (&'static str, String);

impl Asked {
    pub(crate) fn format(&self) -> Format {
        if self.path.contains("/messages") {
            Format::Anthropic
        } else if self.path.contains("GenerateContent") || self.path.contains("generateContent") {
            Format::Gemini
        } else {
            Format::OpenAi
        }
    }

    /// The messages, whatever the format. Calls of tools count as words of the assistant.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let body = &self.body;
        match self.format() {
            Format::OpenAi => list(&body["messages"]).map(openai_line).collect(),
            Format::Anthropic => {
                let mut lines = vec![("system", words(&body["system"]))];
                lines.extend(list(&body["messages"]).map(anthropic_line));
                lines
            }
            Format::Gemini => {
                let mut lines = vec![("system", words(&body["systemInstruction"]["parts"]))];
                lines.extend(list(&body["contents"]).map(gemini_line));
                lines
            }
        }
    }

    /// Who spoke, in order.
    pub(crate) fn roles(&self) -> Vec<&'static str> {
        self.lines().into_iter().map(|(role, _)| role).collect()
    }

    /// What the model is told about its work, with the evidence.
    pub(crate) fn instructions(&self) -> String {
        let (role, text) = self.lines().remove(0);
        assert_eq!(role, "system");
        text
    }

    /// Whether tools have answered since the user spoke.
    pub(crate) fn has_answers(&self) -> bool {
        self.roles().last() == Some(&"tool")
    }

    /// The names of the tools that the model may ask for.
    pub(crate) fn tools(&self) -> Vec<String> {
        let tools = match self.format() {
            Format::Gemini => &self.body["tools"][0]["functionDeclarations"],
            _ => &self.body["tools"],
        };
        let name = |tool: &Value| {
            let name = tool["function"]["name"].as_str().or(tool["name"].as_str());
            name.unwrap().to_owned()
        };
        list(tools).map(name).collect()
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The text of a string or of parts.
fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part["text"].as_str());
            texts.collect()
        }
        _ => String::new(),
    }
}

fn openai_line(message: &Value) -> Line {
    let role = message["role"].as_str().unwrap();
    let known = ["system", "user", "assistant", "tool"];
    let role = known.into_iter().find(|known| *known == role);
    (role.unwrap(), words(&message["content"]))
}

fn anthropic_line(message: &Value) -> Line {
    let role = message["role"].as_str().unwrap();
    let results: Vec<&Value> = list(&message["content"])
        .filter(|part| part["type"] == "tool_result")
        .collect();
    if role == "user" && !results.is_empty() {
        return (
            "tool",
            results.iter().map(|it| words(&it["content"])).collect(),
        );
    }
    let role = if role == "user" { "user" } else { "assistant" };
    (role, words(&message["content"]))
}

fn gemini_line(content: &Value) -> Line {
    let parts = &content["parts"];
    let mut results = list(parts).filter(|part| part["functionResponse"].is_object());
    if let Some(first) = results.next() {
        return ("tool", first["functionResponse"]["response"].to_string());
    }
    let role = if content["role"] == "user" {
        "user"
    } else {
        "assistant"
    };
    (role, words(parts))
}

type Script = dyn Fn(&Asked) -> Say + Send + Sync;

/// The server. It ends with the test's process.
pub(crate) struct Provider {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Provider {
    pub(crate) fn start(script: impl Fn(&Asked) -> Say + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let script: Box<Script> = Box::new(script);
        let serve = move || {
            let mut kept = Vec::new();
            for connection in listener.incoming().flatten() {
                let question = read(&connection);
                let said = script(&question);
                let format = question.format();
                seen.lock().unwrap().push(question);
                kept.extend(answer(connection, format, &said));
            }
        };
        let thread = std::thread::Builder::new().name("provider".to_owned());
        thread.spawn(serve).unwrap();
        Self { url, asked }
    }

    /// Every question so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The last question.
    pub(crate) fn last(&self) -> Asked {
        self.asked().pop().unwrap()
    }

    /// Lets a command know this server, and the model that it is to ask.
    pub(crate) fn tell(&self, command: &mut Command, model: &str) {
        command.env("OPIK_ASSIST_MODEL", model);
        command.envs(self.variables());
    }

    /// Variables that lead every provider's client to this server.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let (url, key) = (&self.url, || KEY.to_owned());
        vec![
            ("OPENAI_BASE_URL", format!("{url}/v1")),
            ("OPENAI_API_KEY", key()),
            ("ANTHROPIC_BASE_URL", url.clone()),
            ("ANTHROPIC_API_KEY", key()),
            ("GEMINI_BASE_URL", url.clone()),
            ("GEMINI_API_KEY", key()),
            ("AGENT_OPIK_URL", url.clone()),
        ]
    }
}

fn read(connection: &TcpStream) -> Asked {
    let mut reader = BufReader::new(connection);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).unwrap();
    Asked {
        path: first.split(' ').nth(1).unwrap().to_owned(),
        body: serde_json::from_slice(&bytes).unwrap(),
        bytes,
    }
}

/// Answers; the connection comes back where the answer is not over.
fn answer(mut connection: TcpStream, format: Format, said: &Say) -> Option<TcpStream> {
    let mut body = Frames(format, String::new());
    match said {
        Say::Words(text) => {
            let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
            body.words(&format!("{first} "));
            body.words(rest);
            body.end(false);
        }
        Say::Tools(text, calls) => {
            body.words(text);
            for (number, call) in calls.iter().enumerate() {
                body.call(number, call);
            }
            body.end(true);
        }
        Say::Hang(text) => body.words(text),
    }
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    // A client may have gone.
    drop(connection.write_all((head.to_owned() + &body.1).as_bytes()));
    matches!(said, Say::Hang(_)).then_some(connection)
}

/// A streamed reply.
struct Frames(Format, String);

impl Frames {
    fn send(&mut self, value: &Value) {
        if self.0 == Format::Anthropic {
            self.1 += &format!("event: {}\n", value["type"].as_str().unwrap());
        }
        self.1 += &format!("data: {value}\n\n");
    }

    fn words(&mut self, text: &str) {
        self.send(&match self.0 {
            Format::OpenAi => json!({"choices": [{"index": 0, "delta": {"content": text}}]}),
            Format::Anthropic => json!({"type": "content_block_delta", "index": 0,
                "delta": {"type": "text_delta", "text": text}}),
            Format::Gemini => {
                json!({"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}}]})
            }
        });
    }

    fn call(&mut self, number: usize, (name, arguments): &(&str, Value)) {
        let id = format!("call_{number}");
        match self.0 {
            Format::OpenAi => {
                let function = json!({"name": name, "arguments": arguments.to_string()});
                let call =
                    json!({"index": number, "id": id, "type": "function", "function": function});
                self.send(&json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}));
            }
            Format::Anthropic => {
                let index = number + 1;
                let block = json!({"type": "tool_use", "id": id, "name": name, "input": {}});
                self.send(
                    &json!({"type": "content_block_start", "index": index, "content_block": block}),
                );
                let delta =
                    json!({"type": "input_json_delta", "partial_json": arguments.to_string()});
                self.send(&json!({"type": "content_block_delta", "index": index, "delta": delta}));
                self.send(&json!({"type": "content_block_stop", "index": index}));
            }
            Format::Gemini => {
                let part = json!({"functionCall": {"name": name, "args": arguments}});
                self.send(&json!({"candidates": [{"content": {"parts": [part]}}]}));
            }
        }
    }

    fn end(&mut self, calls: bool) {
        match self.0 {
            Format::OpenAi => {
                let why = if calls { "tool_calls" } else { "stop" };
                self.send(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": why}]}));
                let usage = json!({"prompt_tokens": 900, "completion_tokens": 40});
                self.send(&json!({"choices": [], "usage": usage}));
                self.1 += "data: [DONE]\n\n";
            }
            Format::Anthropic => {
                let why = if calls { "tool_use" } else { "end_turn" };
                let usage = json!({"input_tokens": 900, "output_tokens": 40});
                self.send(&json!({"type": "message_delta", "delta": {"stop_reason": why}, "usage": usage}));
                self.send(&json!({"type": "message_stop"}));
            }
            Format::Gemini => {
                let usage = json!({"promptTokenCount": 900, "candidatesTokenCount": 40});
                self.send(
                    &json!({"candidates": [{"content": {"parts": []}, "finishReason": "STOP"}],
                    "usageMetadata": usage}),
                );
            }
        }
    }
}
