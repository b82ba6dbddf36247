//! Conversations on the command line.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::command::{Run, Scratch, line};

fn with_trace() -> Scratch {
    let scratch = Scratch::new();
    let file = scratch.file("a.jsonl", line(1, "alpha") + &line(2, "beta"));
    scratch.ok(&["import", &file]);
    scratch
}

fn chat(scratch: &Scratch, args: &[&str], input: &str) -> Run {
    let args: Vec<&str> = ["chat"].iter().chain(args).copied().collect();
    let run = scratch.run_with_input(&args, input.as_bytes());
    assert_eq!(run.code, 0, "{}", run.stderr);
    run
}

#[test]
fn a_conversation_answers_opens_spans_and_goes_on_in_the_next_run() {
    let scratch = with_trace();
    let first = chat(
        &scratch,
        &["last"],
        "what caused the error?\n/span s2\n/evidence\n/help\n",
    );
    assert!(
        first.stdout.contains("answers are computed"),
        "{}",
        first.stdout
    );
    assert!(first.stdout.contains("> what caused the error?"));
    assert!(first.stdout.contains("no model was asked"));
    assert!(first.stdout.contains("Spans (/span opens one)"));
    assert!(first.stdout.contains("  s2    "));
    // The span itself.
    assert!(first.stdout.contains("no luck") && first.stdout.contains("lookup"));
    assert!(first.stdout.contains("F1 ") && first.stdout.contains("/history"));

    let second = chat(
        &scratch,
        &["last"],
        "/history\nwhy is it slow?\n/quit\nnever asked\n",
    );
    assert!(
        second.stdout.contains("1 question before"),
        "{}",
        second.stdout
    );
    assert_eq!(second.stdout.matches("> what caused the error?").count(), 1);
    assert!(!second.stdout.contains("never asked"));
    // Another trace is another conversation.
    assert!(!chat(&scratch, &["last~1"], "").stdout.contains("before"));

    let third = chat(&scratch, &["last"], "/new\n/history\n");
    assert!(third.stdout.contains("2 questions before"));
    assert!(third.stdout.contains("the conversation is forgotten"));
    assert!(!chat(&scratch, &["last"], "").stdout.contains("before"));
    assert!(scratch.path("traces.sessions.db").exists());
}

#[test]
fn events_are_lines_of_json() {
    let scratch = with_trace();
    let run = chat(
        &scratch,
        &["last", "--json"],
        "what caused the error?\n/history\n",
    );
    let lines: Vec<Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let kinds: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["type"].as_str())
        .collect();
    assert_eq!(kinds, ["started", "text", "message", "done"]);
    assert_eq!(lines[2]["computed"], true);
    assert_eq!(lines[4]["role"], "user");
    assert_eq!(lines[5]["text"], lines[2]["text"]);
}

#[test]
fn what_cannot_be_done_is_said_and_the_conversation_goes_on() {
    let scratch = with_trace();
    let run = chat(
        &scratch,
        &["last"],
        "/fly\n/span nowhere\nis anything unusual?\n",
    );
    assert!(
        run.stderr.contains("there is no command /fly"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("nowhere"));
    assert!(run.stdout.contains("no model was asked"));
    let none = scratch.run(&["chat", "ffffffff"]);
    assert_eq!(none.code, 3, "{}", none.stderr);
    let bad = scratch.run(&["chat", "last", "--sessions", "ftp://secret@x"]);
    assert_eq!(bad.code, 5, "{}", bad.stderr);
    assert!(!bad.stderr.contains("secret"));
}

/// A server that speaks as OpenAI's does: it asks for a tool first, then answers.
struct Provider {
    address: String,
    bodies: Arc<Mutex<Vec<Value>>>,
    /// Whether answers after tools are kept back.
    hangs: Arc<AtomicBool>,
}

impl Provider {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/v1", listener.local_addr().unwrap());
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let hangs = Arc::new(AtomicBool::new(false));
        let (seen, hanging) = (Arc::clone(&bodies), Arc::clone(&hangs));
        let serve = move || {
            let mut kept = Vec::new();
            // It ends with the test's process.
            for connection in listener.incoming().flatten() {
                let body = request(&connection);
                let last = body["messages"]
                    .as_array()
                    .and_then(|all| all.last())
                    .cloned();
                let answered = last.is_some_and(|message| message["role"] == "tool");
                seen.lock().unwrap().push(body);
                if answered && hanging.load(Ordering::SeqCst) {
                    kept.push(connection);
                } else {
                    respond(connection, answered);
                }
            }
        };
        std::thread::Builder::new()
            .name("provider".to_owned())
            .spawn(serve)
            .unwrap();
        Self {
            address,
            bodies,
            hangs,
        }
    }
}

fn request(connection: &TcpStream) -> Value {
    let mut reader = BufReader::new(connection);
    let mut length = 0;
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
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn respond(mut connection: TcpStream, answered: bool) {
    let chunk = |delta: Value, finish: Option<&str>| {
        let chunk = json!({"id": "1", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
        format!("data: {chunk}\n\n")
    };
    let mut body = String::new();
    if answered {
        body += &chunk(json!({"content": "The tool failed "}), None);
        body += &chunk(json!({"content": "[s2], 77 times."}), None);
        body += &chunk(json!({}), Some("stop"));
    } else {
        let call = json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": "error_chain", "arguments": "{}"}});
        body += &chunk(json!({"content": "Let me see."}), None);
        body += &chunk(json!({"tool_calls": [call]}), None);
        body += &chunk(json!({}), Some("tool_calls"));
    }
    body += "data: [DONE]\n\n";
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    connection.write_all((head + &body).as_bytes()).unwrap();
}

fn with_model(scratch: &Scratch, provider: &Provider, args: &[&str], input: &str) -> Run {
    let mut command = scratch.command(args);
    command
        .env("OPENAI_BASE_URL", &provider.address)
        .env("OPENAI_API_KEY", "k3y-s3cr3t")
        .env("OPIK_ASSIST_MODEL", "openai/gpt-test")
        .stdin(Stdio::from(
            std::fs::File::open(scratch.file("input", input)).unwrap(),
        ));
    let run = Run::of(command.output().unwrap());
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(!run.stdout.contains("s3cr3t") && !run.stderr.contains("s3cr3t"));
    run
}

#[test]
fn a_model_explains_with_tools_and_its_figures_are_checked() {
    let scratch = with_trace();
    let provider = Provider::start();
    let run = with_model(
        &scratch,
        &provider,
        &["chat", "last"],
        "what failed?\nand why?\n",
    );
    assert!(
        run.stdout.contains("answers by openai/gpt-test"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("Let me see."));
    assert!(run.stdout.contains("  error_chain"));
    assert!(run.stdout.contains("The tool failed [s2], 77 times."));
    assert!(run.stdout.contains("Not found in the evidence: 77."));
    assert!(run.stdout.contains("lookup"), "the span is listed");
    let bodies = provider.bodies.lock().unwrap().clone();
    assert_eq!(bodies.len(), 4);
    let roles: Vec<&str> = bodies[2]["messages"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|message| message["role"].as_str())
        .collect();
    assert_eq!(
        roles,
        ["system", "user", "assistant", "tool", "assistant", "user"]
    );
    assert_eq!(bodies[0]["tools"].as_array().unwrap().len(), 11);
}

#[test]
fn a_conversation_that_is_killed_in_mid_turn_goes_on() {
    let scratch = with_trace();
    let provider = Provider::start();
    provider.hangs.store(true, Ordering::SeqCst);
    let mut child = scratch
        .command(&["chat", "last"])
        .env("OPENAI_BASE_URL", &provider.address)
        .env("OPENAI_API_KEY", "k3y")
        .env("OPIK_ASSIST_MODEL", "openai/gpt-test")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"what failed?\n").unwrap();
    // Its second question to the model has the answer of the tool, which is stored by then.
    let begun = Instant::now();
    while provider.bodies.lock().unwrap().len() < 2 {
        assert!(
            begun.elapsed() < Duration::from_secs(120),
            "the model is asked"
        );
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    provider.hangs.store(false, Ordering::SeqCst);

    let run = with_model(&scratch, &provider, &["chat", "last"], "and now?\n");
    assert!(run.stdout.contains("1 question before"), "{}", run.stdout);
    assert!(run.stdout.contains("The tool failed [s2]"));
    let last = provider.bodies.lock().unwrap().pop().unwrap();
    let messages = last["messages"].as_array().unwrap().clone();
    let roles: Vec<&str> = messages
        .iter()
        .filter_map(|message| message["role"].as_str())
        .collect();
    let before = ["system", "user", "assistant", "tool", "assistant"];
    assert_eq!(roles[..5], before);
    assert_eq!(
        messages[4]["content"],
        "(This turn ended before an answer.)"
    );
}

#[test]
fn one_question_is_explained_in_text_and_in_json() {
    let scratch = with_trace();
    let provider = Provider::start();
    let text = with_model(&scratch, &provider, &["ask", "last", "what failed?"], "");
    assert!(
        text.stdout.contains("The tool failed [s2]"),
        "{}",
        text.stdout
    );
    assert!(text.stdout.contains("Spans"));
    let json = with_model(
        &scratch,
        &provider,
        &["ask", "last", "what failed?", "--json"],
        "",
    );
    let reply: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(reply["answer"]["check"]["unverified"][0]["text"], "77");
    assert_eq!(reply["outcome"]["end"], "answered");
    assert_eq!(reply["outcome"]["spent"]["tool_calls"], 1);
    // Nothing is kept of it.
    assert!(!scratch.path("traces.sessions.db").exists());
    let unknown = scratch.run(&["ask", "last", "--model", "openai/gpt-test"]);
    assert_eq!(unknown.code, 2, "{}", unknown.stderr);
    assert!(unknown.stderr.contains("OPENAI_API_KEY"));
}
