//! `opik-rs serve`: starting, stopping, and being killed under load.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opik_core::{PageRequest, SpanId, TraceId, TraceSource as _};
use opik_store::{Store, StoreOptions};
use serde_json::Value;

use crate::command::Scratch;

/// A server in a process of its own.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn start(scratch: &Scratch) -> Self {
        Self::run(scratch, &["serve", "--port", "0", "--json"])
    }

    fn run(scratch: &Scratch, args: &[&str]) -> Self {
        let mut child = scratch
            .command(args)
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

/// Keeps four clients writing with a ledger while `during` runs; gives the ledger.
fn with_clients(
    served: &Served,
    during: impl FnOnce(&Mutex<Vec<Acknowledged>>),
) -> Vec<Acknowledged> {
    let ledger = Mutex::new(Vec::new());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let trace = TraceId::generate();
                    let spans: Vec<SpanId> = (0..20).map(|_| SpanId::generate()).collect();
                    let body = batch(trace, &spans);
                    match send(
                        &served.address,
                        "POST",
                        "/api/v1/private/spans/batch",
                        &body,
                    ) {
                        Some((204, _)) => ledger.lock().unwrap().push((trace, spans)),
                        Some((status, body)) => assert_eq!(status, 204, "{body}"),
                        None => break,
                    }
                }
            });
        }
        during(&ledger);
        stop.store(true, Ordering::Relaxed);
    });
    ledger.into_inner().unwrap()
}

fn wait_for(ledger: &Mutex<Vec<Acknowledged>>, more: usize) -> usize {
    let goal = ledger.lock().unwrap().len() + more;
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let count = ledger.lock().unwrap().len();
        if count >= goal {
            return count;
        }
        assert!(Instant::now() < end, "the server is too slow");
        std::thread::yield_now();
    }
}

/// How many of the acknowledged batches are not wholly in a store.
fn missing(scratch: &Scratch, db: &str, ledger: &[Acknowledged]) -> usize {
    let store = Store::open(scratch.path(db), StoreOptions::new()).unwrap();
    let lost = |(trace, spans): &&Acknowledged| {
        let page = pollster::block_on(store.spans(*trace, &PageRequest::first(100))).unwrap();
        let known: HashSet<SpanId> = page.items.iter().map(|span| span.id).collect();
        spans.iter().any(|id| !known.contains(id))
    };
    ledger.iter().filter(lost).count()
}

#[cfg(unix)]
#[test]
fn a_graceful_stop_under_load_loses_nothing_acknowledged() {
    let scratch = Scratch::new();
    let mut served = Served::start(&scratch);
    let pid = served.child.id().to_string();
    let ledger = with_clients(&served, |ledger| {
        wait_for(ledger, 40);
        let told = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(told.success());
    });
    let end = Instant::now() + Duration::from_secs(30);
    let status = loop {
        if let Some(status) = served.child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < end, "the server does not stop");
        std::thread::yield_now();
    };
    assert!(status.success(), "{status}");
    assert_eq!(missing(&scratch, "traces.db", &ledger), 0);
}

#[test]
fn a_copy_made_while_a_server_is_written_to_has_what_was_acknowledged_before() {
    let scratch = Scratch::new();
    let served = Served::start(&scratch);
    let mut before = 0;
    let ledger = with_clients(&served, |ledger| {
        before = wait_for(ledger, 40);
        scratch.ok(&["backup", "copy.db"]);
        wait_for(ledger, 10);
        // And a copy cannot be brought back under the server's feet.
        let run = scratch.run(&["restore", "copy.db", "--replace"]);
        assert_eq!(run.code, 5, "{}", run.stderr);
        assert!(run.stderr.contains("in use"), "{}", run.stderr);
    });
    assert_eq!(missing(&scratch, "copy.db", &ledger[..before]), 0);
    assert_eq!(missing(&scratch, "traces.db", &ledger), 0);
}

#[test]
fn the_switch_for_vyasa_is_a_flag_too() {
    let scratch = Scratch::new();
    let args = ["serve", "--port", "0", "--json", "--vyasa"];
    let served = Served::run(&scratch, &args);
    let body = r#"{"project": "vyasa", "run_type": "node_start", "metadata": {"job_id": "j", "node_name": "critic"}}"#;
    let (status, body) = send(&served.address, "POST", "/api/traces", body).unwrap();
    assert_eq!(status, 200, "{body}");
    assert!(scratch.ok(&["show", "last"]).contains("critic"));
}
