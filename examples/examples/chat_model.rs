//! A chat model behind HTTP: words, a tool call and its answer, against a server in this process.
//!
//! Run it with `cargo run -p opik-examples --example chat_model`. To ask a real model, leave out
//! the server and take `ModelSettings::from_process_env()`.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use futures_util::StreamExt as _;
use opik_core::chat::ToolSpec;
use opik_core::session::ToolResult;
use opik_core::{ChatEvent, ChatModel, ChatRequest, Json, Message, Part, Role};
use opik_models::{ModelSettings, Models};

/// The model first wants to see the trace, then it answers.
const ASKS: &str = r#"data: {"choices":[{"index":0,"delta":{"content":"Let me look. "}}]}

data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","function":{"name":"slowest_span","arguments":"{\"trace\": "}}]}}]}

data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"last\"}"}}]}}]}

data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}

data: [DONE]

"#;

const ANSWERS: &str = r#"data: {"choices":[{"index":0,"delta":{"content":"The span read_csv "}}]}

data: {"choices":[{"index":0,"delta":{"content":"took 9 of 10 seconds."}}]}

data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

data: {"choices":[],"usage":{"prompt_tokens":42,"completion_tokens":11}}

data: [DONE]

"#;

/// A server with an OpenAI-compatible model that knows two replies.
fn serve(listener: &TcpListener) -> std::io::Result<()> {
    for stream in listener.incoming() {
        let mut stream = stream?;
        let question = read_request(&mut stream)?;
        let reply = if question.contains("\"role\":\"tool\"") {
            ANSWERS
        } else {
            ASKS
        };
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        stream.write_all(head.as_bytes())?;
        stream.write_all(reply.as_bytes())?;
    }
    Ok(())
}

fn read_request(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    while reader.read_line(&mut line)? > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// Asks, prints the reply as it arrives, and returns it as a message.
async fn ask(model: &dyn ChatModel, request: &ChatRequest) -> Result<Message, Box<dyn Error>> {
    let mut reply = model.stream(request).await?;
    let (mut words, mut parts) = (String::new(), Vec::new());
    while let Some(event) = reply.next().await {
        match event? {
            ChatEvent::Text(piece) => {
                print!("{piece}");
                words.push_str(&piece);
            }
            ChatEvent::ToolCall(call) => {
                println!(
                    "\n[asks for {} with {}]",
                    call.name,
                    call.arguments.as_str()
                );
                parts.push(Part::ToolCall(call));
            }
            ChatEvent::Usage(usage) => {
                let total = usage.total_tokens().unwrap_or_default();
                println!("\n[{total} tokens]");
            }
            _ => {}
        }
    }
    parts.insert(0, Part::Text(words));
    Ok(Message::new(Role::Assistant, parts))
}

async fn run(base_url: String) -> Result<(), Box<dyn Error>> {
    let settings = ModelSettings::default().openai_base_url(base_url);
    let models = Models::new(settings)?;
    let model = models.model("openai/demo")?;

    let mut request = ChatRequest::new(vec![Message::text(Role::User, "Why is it slow?")]);
    request.tools.push(ToolSpec {
        name: "slowest_span".to_owned(),
        description: "The slowest span of a trace.".to_owned(),
        parameters: Json::parse(
            r#"{"type": "object", "properties": {"trace": {"type": "string"}}}"#,
        )?,
    });
    let asked = ask(&*model, &request).await?;
    let results = asked.parts.iter().filter_map(|part| match part {
        Part::ToolCall(call) => Some(Part::ToolResult(ToolResult {
            id: call.id.clone(),
            name: call.name.clone(),
            content: Json::string("read_csv: 9 s"),
            is_error: false,
        })),
        _ => None,
    });
    let results = Message::new(Role::Tool, results.collect());
    request.messages.extend([asked, results]);
    ask(&*model, &request).await?;

    // What is missing is named before anything is sent.
    if let Err(error) = models.model("anthropic/claude-sonnet-4-5") {
        println!("{error}");
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let base_url = format!("http://{}/v1", listener.local_addr()?);
    std::thread::Builder::new()
        .name("model".to_owned())
        .spawn(move || serve(&listener))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run(base_url))
}
