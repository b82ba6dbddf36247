//! Starts the stub of Opik's server (`testkit/stub/server.py`) on a private port.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use opik_core::rest::{OpikClient, RetryPolicy};

/// A running stub; it ends with this value.
#[derive(Debug)]
pub(crate) struct Stub {
    process: Child,
    port: u16,
    captures: tempfile::TempDir,
}

impl Stub {
    /// Starts a stub; `None`, with a word about the test that is skipped, without Python.
    pub(crate) fn start(test: &str) -> Option<Self> {
        let python = Command::new("python3").arg("--version").output();
        if !python.is_ok_and(|output| output.status.success()) {
            say(&format!("SKIPPED {test}: python3 is missing"));
            return None;
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("testkit/stub/server.py");
        let captures = tempfile::tempdir().unwrap();
        // Between choosing a port and taking it, someone else may; then another one is chosen.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port();
            let mut process = Command::new("python3")
                .arg(&script)
                .args(["--port", &port.to_string(), "--captures"])
                .arg(captures.path())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut line = String::new();
            let mut output = BufReader::new(process.stdout.take().unwrap());
            output.read_line(&mut line).unwrap();
            if line.starts_with("stub on") {
                return Some(Self {
                    process,
                    port,
                    captures,
                });
            }
            process.kill().unwrap();
            process.wait().unwrap();
        }
        panic!("the stub does not start");
    }

    /// A client that repeats quickly.
    pub(crate) fn client(&self) -> OpikClient {
        let waits = Duration::from_millis(5);
        OpikClient::builder(format!("http://127.0.0.1:{}/api", self.port))
            .retry(RetryPolicy::default().waits(waits, waits))
            .proxies(false)
            .build()
            .unwrap()
    }

    /// Forgets everything that was written.
    pub(crate) fn reset(&self) {
        self.control("/__reset", "");
    }

    /// Makes a path fail; see the stub's own description.
    pub(crate) fn fault(&self, fault: &serde_json::Value) {
        self.control("/__fault", &fault.to_string());
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<serde_json::Value> {
        let file = self.captures.path().join("default.jsonl");
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn control(&self, path: &str, body: &str) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: stub\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        let ended = self.process.kill().and_then(|()| self.process.wait());
        if let Err(error) = ended {
            say(&format!("the stub did not end: {error}"));
        }
    }
}

/// Past the test harness, which hides what passing tests print.
fn say(text: &str) {
    let line = format!("{text}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
