//! `opik-rs serve`: starting, stopping, and being killed under load.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opik_core::{SpanId, TraceId};
use serde_json::Value;

use crate::command::Scratch;

/// A server in a process of its own.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn start(scratch: &Scratch) -> Self {
        let mut child = scratch
            .command(&["serve", "--port", "0", "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let url = said["url"].as_str().unwrap();
        let address = url.trim_start_matches("http://").trim_end_matches("/api/");
        Self {
            address: address.to_owned(),
            child,
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Sends a request and gives the status and the body of the answer; `None` when the server is gone.
fn send(address: &str, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8(answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    Some((status, body.to_owned()))
}

fn batch(trace: TraceId, spans: &[SpanId]) -> String {
    let rows: Vec<String> = spans
        .iter()
        .map(|id| {
            format!(
                r#"{{"id":"{id}","trace_id":"{trace}","name":"s","start_time":"2026-11-20T10:00:00Z","input":{{"a":"{}"}}}}"#,
                "x".repeat(500)
            )
        })
        .collect();
    format!(r#"{{"spans":[{}]}}"#, rows.join(","))
}

#[test]
fn a_server_says_where_it_is_and_stops_when_it_is_told() {
    let scratch = Scratch::new();
    let mut served = Served::start(&scratch);
    let (status, body) = send(&served.address, "GET", "/api/is-alive/ping", "").unwrap();
    assert_eq!(status, 200, "{body}");
    let row = format!(
        r#"{{"traces":[{{"id":"{}","name":"served","start_time":"2026-11-20T10:00:00Z"}}]}}"#,
        TraceId::generate()
    );
    let (status, _) = send(
        &served.address,
        "POST",
        "/api/v1/private/traces/batch",
        &row,
    )
    .unwrap();
    assert_eq!(status, 204);
    // The other commands read the same store while it runs.
    assert!(scratch.ok(&["traces"]).contains("served"));
    if cfg!(unix) {
        let pid = served.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(told.success());
        assert!(served.child.wait().unwrap().success());
    }
}

#[test]
fn a_port_that_is_taken_and_an_open_door_are_refused_with_a_hint() {
    let scratch = Scratch::new();
    let served = Served::start(&scratch);
    let port = served.address.rsplit(':').next().unwrap();
    let run = scratch.run(&["serve", "--port", port]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("--port"), "{}", run.stderr);
    let run = scratch.run(&["serve", "--port", "0", "--host", "0.0.0.0"]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("OPIK_SERVER_API_KEY"), "{}", run.stderr);
}

/// A batch that the server took: the trace and its spans.
type Acknowledged = (TraceId, Vec<SpanId>);

/// Four clients write and note what was acknowledged; the server is killed in the middle of it.
#[test]
fn nothing_acknowledged_is_lost_when_the_server_is_killed_under_load() {
    let scratch = Scratch::new();
    let mut served = Served::start(&scratch);
    let ledger: Arc<Mutex<Vec<Acknowledged>>> = Arc::default();
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|number| {
            let (ledger, stop) = (Arc::clone(&ledger), Arc::clone(&stop));
            let address = served.address.clone();
            std::thread::Builder::new()
                .name(format!("client-{number}"))
                .spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let trace = TraceId::generate();
                        let spans: Vec<SpanId> = (0..50).map(|_| SpanId::generate()).collect();
                        let path = "/api/v1/private/spans/batch";
                        match send(&address, "POST", path, &batch(trace, &spans)) {
                            Some((204, _)) => ledger.lock().unwrap().push((trace, spans)),
                            Some((status, body)) => assert_eq!(status, 204, "{body}"),
                            None => break,
                        }
                    }
                })
                .unwrap()
        })
        .collect();
    let end = Instant::now() + Duration::from_secs(30);
    while ledger.lock().unwrap().len() < 40 {
        assert!(Instant::now() < end, "the server is too slow to be killed");
        std::thread::yield_now();
    }
    // `kill` on Unix is SIGKILL.
    served.child.kill().unwrap();
    served.child.wait().unwrap();
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }

    let again = Served::start(&scratch);
    let ledger = ledger.lock().unwrap();
    assert!(ledger.len() >= 40);
    for (trace, spans) in ledger.iter() {
        let body =
            format!(r#"{{"project_name":"Default Project","trace_id":"{trace}","limit":100}}"#);
        let (status, lines) = send(
            &again.address,
            "POST",
            "/api/v1/private/spans/search",
            &body,
        )
        .unwrap();
        assert_eq!(status, 200);
        for id in spans {
            assert!(lines.contains(&id.to_string()), "{id} of {trace} is lost");
        }
    }
}

#[test]
fn the_health_of_a_server_alone_says_that_conversations_are_kept() {
    let scratch = Scratch::new();
    let served = Served::start(&scratch);
    let (status, body) = send(&served.address, "GET", "/healthz", "").unwrap();
    assert_eq!(
        (status, body.as_str()),
        (
            200,
            "{\"status\":\"healthy\",\"session_service\":\"database\"}"
        )
    );
}
