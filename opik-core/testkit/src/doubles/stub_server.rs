//! Opik's server as a stub: `stub/server.py` on a private port.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A running stub of Opik's server. It keeps what it is sent, answers searches, fails where it is
/// told to, and ends with this value.
///
/// It needs Python 3 and nothing else.
#[derive(Debug)]
pub struct StubServer {
    process: Child,
    port: u16,
    captures: tempfile::TempDir,
}

impl StubServer {
    /// Starts a stub for a test; `None`, with a word about the test that is skipped, without Python.
    ///
    /// # Errors
    /// When Python is there and the stub does not start all the same.
    pub fn start(test: &str) -> io::Result<Option<Self>> {
        let python = Command::new("python3").arg("--version").output();
        if !python.is_ok_and(|output| output.status.success()) {
            // Past the test harness, which hides what passing tests print.
            writeln!(io::stderr(), "SKIPPED {test}: python3 is missing")?;
            return Ok(None);
        }
        // Between choosing a port and taking it, someone else may; then another one is chosen.
        for _ in 0..5 {
            if let Some(stub) = Self::start_on(free_port()?)? {
                return Ok(Some(stub));
            }
        }
        Err(io::Error::other("the stub does not start"))
    }

    /// Starts a stub on a port; `None` when it cannot have it.
    ///
    /// # Errors
    /// When the process cannot be started or watched.
    pub fn start_on(port: u16) -> io::Result<Option<Self>> {
        let captures = tempfile::tempdir()?;
        let mut process = Command::new("python3")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("stub/server.py"))
            .args(["--port", &port.to_string(), "--captures"])
            .arg(captures.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        if let Some(output) = process.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        if line.starts_with("stub on") {
            return Ok(Some(Self {
                process,
                port,
                captures,
            }));
        }
        process.kill()?;
        process.wait()?;
        Ok(None)
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address as a client wants it.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/api", self.port)
    }

    /// Forgets everything that was written.
    ///
    /// # Errors
    /// When the stub does not answer.
    pub fn reset(&self) -> io::Result<()> {
        self.control("POST", "/__reset", "").map(drop)
    }

    /// Makes a path fail; see the stub's own description.
    ///
    /// # Errors
    /// When the stub does not answer.
    pub fn fault(&self, fault: &Value) -> io::Result<()> {
        self.control("POST", "/__fault", &fault.to_string())
            .map(drop)
    }

    /// Heals all faults.
    ///
    /// # Errors
    /// When the stub does not answer.
    pub fn clear_faults(&self) -> io::Result<()> {
        self.control("POST", "/__faults/clear", "").map(drop)
    }

    /// Everything that it holds.
    ///
    /// # Errors
    /// When the stub does not answer with JSON.
    pub fn state(&self) -> io::Result<Value> {
        let answer = self.control("GET", "/__state", "")?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(body).map_err(io::Error::from)
    }

    /// The requests so far.
    ///
    /// # Errors
    /// When a line of the record is no JSON.
    pub fn requests(&self) -> io::Result<Vec<Value>> {
        let text = std::fs::read_to_string(self.captured()).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).map_err(io::Error::from))
            .collect()
    }

    fn captured(&self) -> PathBuf {
        self.captures.path().join("default.jsonl")
    }

    fn control(&self, method: &str, path: &str, body: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: stub\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        if answer.starts_with("HTTP/1.1 200") {
            return Ok(answer);
        }
        let line = answer.lines().next().unwrap_or("nothing");
        Err(io::Error::other(format!("{path}: {line}")))
    }
}

/// A port that nobody listens on at this moment.
///
/// # Errors
/// When the machine has none.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Drop for StubServer {
    fn drop(&mut self) {
        // It may have ended by itself, which is all that is wanted.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
