//! The trace assistant beside a made-up Opik, as a process that is killed.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use opik_testkit::databases::{DatabaseServer, Engine};
use serde_json::{Value, json};

use crate::command::Scratch;

const TRACE: &str = "0198ec6e-2222-7000-8000-000000000001";

/// An Opik with one trace, whose proxy does not finish answers to questions that say "wait".
struct Opik {
    address: String,
    /// The messages of all questions to the model.
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Opik {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let serve = move || {
            let mut kept = Vec::new();
            // It ends with the test's process.
            for connection in listener.incoming().flatten() {
                kept.extend(answer(connection, &seen));
            }
        };
        let thread = std::thread::Builder::new().name("opik".to_owned());
        thread.spawn(serve).unwrap();
        Self { address, asked }
    }
}

/// Answers a request; the connection comes back where the answer is not over.
fn answer(mut connection: TcpStream, asked: &Mutex<Vec<Value>>) -> Option<TcpStream> {
    let (line, body) = request(&connection);
    let path = line.split(' ').nth(1).unwrap();
    let (start, end) = ("2026-02-01T10:00:00Z", "2026-02-01T10:00:04Z");
    if path.ends_with("/chat/completions") {
        let messages = body["messages"].clone();
        let is_wait = messages.as_array().unwrap().last().unwrap()["content"]
            .as_str()
            .unwrap()
            .contains("wait");
        asked.lock().unwrap().push(messages);
        let chunk = |delta: Value, finish: Option<&str>| {
            let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
            format!("data: {}\n\n", json!({"id": "1", "choices": [choice]}))
        };
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        let mut text = head.to_owned() + &chunk(json!({"content": "The trace "}), None);
        if !is_wait {
            text += &chunk(json!({"content": "is healthy."}), None);
            text += &chunk(json!({}), Some("stop"));
            text += "data: [DONE]\n\n";
        }
        connection.write_all(text.as_bytes()).unwrap();
        return is_wait.then_some(connection);
    }
    let trace = json!({"id": TRACE, "project_id": "0198ec6e-0000-7000-8000-00000000aaaa",
        "name": "turn", "start_time": start, "end_time": end});
    let span = json!({"id": "0198ec6e-1111-7000-8000-000000000001", "trace_id": TRACE,
        "name": "step", "type": "general", "start_time": start, "end_time": end});
    let body = match path {
        "/v1/private/spans/search" => format!("{span}\r\n"),
        path if path.starts_with("/v1/private/traces/") => trace.to_string(),
        _ => "{}".to_owned(),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    connection.write_all((head + &body).as_bytes()).unwrap();
    None
}

fn request(connection: &TcpStream) -> (String, Value) {
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
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (first, serde_json::from_slice(&body).unwrap_or_default())
}

/// The running program; killed at the latest when it is dropped.
struct Assistant {
    child: Child,
    address: String,
}

impl Assistant {
    fn start(scratch: &Scratch, opik: &Opik, sessions: &str) -> Self {
        Self::with(scratch, opik, sessions, &[])
    }

    fn with(scratch: &Scratch, opik: &Opik, sessions: &str, more: &[(&str, &str)]) -> Self {
        let mut command = scratch.command(&["--json", "serve", "--port", "0"]);
        command
            .env("AGENT_OPIK_URL", &opik.address)
            .env("SESSION_SERVICE_URI", sessions)
            .envs(more.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(scratch.path("log")).unwrap());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        let address = told["url"].as_str().unwrap().replace("http://", "");
        Self { child, address }
    }

    fn send(&self, method: &str, path: &str, body: &str) -> TcpStream {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nCookie: sessionToken=alice\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        socket.write_all((head + body).as_bytes()).unwrap();
        socket
    }

    fn ask(&self, message: &str) -> TcpStream {
        let body = json!({"message": message, "streaming": true}).to_string();
        self.send("POST", &format!("/trace-analyzer/session/{TRACE}"), &body)
    }

    /// What was said, as roles and texts.
    fn history(&self) -> Vec<(String, String)> {
        let path = format!("/trace-analyzer/session/{TRACE}");
        let text = whole(self.send("GET", &path, ""));
        assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
        let body: Value = serde_json::from_str(text.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        let entries = body["content"].as_array().unwrap().iter();
        entries
            .map(|entry| {
                let text = |name: &str| entry[name].as_str().unwrap().to_owned();
                (text("role"), text("content"))
            })
            .collect()
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Assistant {
    fn drop(&mut self) {
        // It may have ended before.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn whole(mut socket: TcpStream) -> String {
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    text
}

fn is_killed_in_mid_turn_and_goes_on(sessions: &str) {
    let (scratch, opik) = (Scratch::new(), Opik::start());
    let assistant = Assistant::start(&scratch, &opik, sessions);
    assert!(whole(assistant.ask("hello")).contains("is healthy."));
    let mut streaming = assistant.ask("please wait");
    let (mut seen, mut buffer) = (String::new(), [0; 4_096]);
    while !seen.contains("The trace ") {
        let count = streaming.read(&mut buffer).unwrap();
        assert!(count > 0, "the stream ended: {seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    assistant.kill();

    let assistant = Assistant::start(&scratch, &opik, sessions);
    let before = assistant.history();
    let said = |role: &str, text: &str| (role.to_owned(), text.to_owned());
    assert_eq!(
        before[..2],
        [
            said("user", "hello"),
            said("assistant", "The trace is healthy.")
        ]
    );
    assert!(before.contains(&said("user", "please wait")), "{before:?}");
    assert!(whole(assistant.ask("go on")).contains("is healthy."));
    let after = assistant.history();
    assert_eq!(after[..before.len()], before[..]);
    let end = [
        said("user", "go on"),
        said("assistant", "The trace is healthy."),
    ];
    assert!(after.ends_with(&end), "{after:?}");
    // No provider refuses what it was asked: questions and answers take turns.
    let asked = opik.asked.lock().unwrap();
    let roles: Vec<&str> = asked
        .last()
        .unwrap()
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["role"].as_str().unwrap())
        .filter(|role| *role != "system")
        .collect();
    assert_eq!(roles.last(), Some(&"user"));
    assert!(
        roles
            .iter()
            .all(|role| ["user", "assistant"].contains(role)),
        "{roles:?}"
    );
}

#[test]
fn a_killed_assistant_goes_on_with_its_conversations_on_every_database() {
    let folder = Scratch::new();
    let file = folder.path("sessions.db");
    is_killed_in_mid_turn_and_goes_on(&format!("sqlite:///{}", file.display()));
    for engine in [Engine::MariaDb, Engine::Postgres] {
        let test = "a_killed_assistant_goes_on_with_its_conversations_on_every_database";
        if let Some(server) = DatabaseServer::shared(engine, test).unwrap() {
            is_killed_in_mid_turn_and_goes_on(&server.database().unwrap().uri());
        }
    }
}

#[test]
fn the_assistant_starts_without_its_database_server() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let (scratch, opik) = (Scratch::new(), Opik::start());
    let uri = format!("mysql://opik:opik@127.0.0.1:{port}/opik");
    let assistant = Assistant::start(&scratch, &opik, &uri);
    for (path, status) in [("/healthz", "HTTP/1.1 200 "), ("/ready", "HTTP/1.1 503 ")] {
        let answer = whole(assistant.send("GET", path, ""));
        assert!(answer.starts_with(status), "{path}: {answer}");
    }
}

#[test]
fn the_access_log_has_a_line_for_each_answer_and_no_secret() {
    let (scratch, opik) = (Scratch::new(), Opik::start());
    let assistant = Assistant::start(&scratch, &opik, "memory:");
    whole(assistant.ask("a secret question"));
    whole(assistant.send("GET", "/healthz?key=hidden", ""));
    assistant.kill();
    let log = std::fs::read_to_string(scratch.path("log")).unwrap();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["target"] == "opik_server::access")
        .collect();
    let told: Vec<_> = lines
        .iter()
        .map(|line| {
            (
                &line["fields"]["method"],
                &line["fields"]["path"],
                &line["fields"]["status"],
            )
        })
        .map(|(method, path, status)| format!("{method} {path} {status}"))
        .collect();
    assert_eq!(
        told,
        [
            format!("\"POST\" \"/trace-analyzer/session/{TRACE}\" 200"),
            "\"GET\" \"/healthz\" 200".to_owned()
        ]
    );
    for secret in ["secret", "alice", "hidden", "sessionToken"] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[test]
fn old_conversations_are_deleted_where_that_is_asked_for() {
    let (scratch, opik) = (Scratch::new(), Opik::start());
    let file = scratch.path("sessions.db");
    let uri = format!("sqlite:///{}", file.display());
    let assistant = Assistant::start(&scratch, &opik, &uri);
    whole(assistant.ask("Why?"));
    assistant.kill();
    // Two days pass.
    let made = rusqlite::Connection::open(&file).unwrap();
    let two_days = "UPDATE sessions SET update_time = datetime(update_time, '-2 days')";
    assert_eq!(made.execute(two_days, []).unwrap(), 1);
    let two_days = "UPDATE opik_sessions SET updated_us = updated_us - 172800000000";
    assert_eq!(made.execute(two_days, []).unwrap(), 1);
    drop(made);
    let kept = Assistant::start(&scratch, &opik, &uri);
    assert!(!kept.history().is_empty(), "they are kept by default");
    kept.kill();
    let assistant = Assistant::with(&scratch, &opik, &uri, &[("ASSIST_KEEP_DAYS", "1")]);
    let path = format!("/trace-analyzer/session/{TRACE}");
    let mut tries = 0;
    while !whole(assistant.send("GET", &path, "")).starts_with("HTTP/1.1 404 ") {
        tries += 1;
        assert!(tries < 500, "the conversation is still there");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn defect_24_an_idle_assistant_is_small() {
    let (scratch, opik) = (Scratch::new(), Opik::start());
    let assistant = Assistant::start(&scratch, &opik, "memory:");
    whole(assistant.ask("Why?"));
    let status = std::fs::read_to_string(format!("/proc/{}/status", assistant.child.id())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    // A fifth of one worker of the Python program's; this is the program without optimisation.
    assert!(kib < 84 << 10, "{kib} KiB");
}
