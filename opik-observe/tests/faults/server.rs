//! A small server that takes rows, or fails in the way that it is told to.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use serde_json::Value;

/// Far more than anything here takes; reaching it is a failure.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Rows are kept, the answer is 204.
    Healthy,
    /// The connection is closed as soon as the request is there, without an answer.
    Reset,
    /// No answer.
    Hang,
    /// A byte of the answer now and then, without an end.
    Drip,
    /// An answer that ends in the middle of its body.
    HalfBody,
    /// A status, further header lines and a body.
    Answer(u16, &'static str, &'static str),
    /// Like the one before for requests that hold this text; the others are healthy.
    AnswerTo(&'static str, u16),
}

#[derive(Debug)]
struct State {
    mode: Mode,
    rows: Vec<Value>,
    requests: usize,
    open: Vec<TcpStream>,
    stopped: bool,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// The server; it ends with this value.
#[derive(Debug)]
pub(crate) struct FaultyServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl FaultyServer {
    pub(crate) fn start(mode: Mode) -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").unwrap(), mode)
    }

    fn listen(listener: TcpListener, mode: Mode) -> Self {
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                mode,
                rows: Vec::new(),
                requests: 0,
                open: Vec::new(),
                stopped: false,
            }),
            changed: Condvar::new(),
        });
        let inside = Arc::clone(&shared);
        let accept = move || {
            for stream in listener.incoming().flatten() {
                let mut state = inside.lock();
                if state.stopped {
                    return;
                }
                state.open.push(stream.try_clone().unwrap());
                drop(state);
                let inside = Arc::clone(&inside);
                let serve = move || inside.serve(&stream);
                named("faulty connection", serve);
            }
        };
        named("faulty server", accept);
        Self { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/api", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// From now on; requests that wait are let go.
    pub(crate) fn become_(&self, mode: Mode) {
        self.shared.lock().mode = mode;
        self.shared.changed.notify_all();
    }

    /// Requests so far, whatever became of them.
    pub(crate) fn requests(&self) -> usize {
        self.shared.lock().requests
    }

    /// Waits until there were this many requests.
    pub(crate) fn wait_for_requests(&self, count: usize) {
        self.shared
            .wait("requests", |state| state.requests >= count);
    }

    /// Waits until rows of this many different records are kept.
    pub(crate) fn wait_for_records(&self, count: usize) {
        self.shared
            .wait("records", |state| ids(&state.rows).len() >= count);
    }

    /// Identifiers of the traces and spans that are kept.
    pub(crate) fn ids(&self) -> BTreeSet<String> {
        ids(&self.shared.lock().rows)
    }

    /// Every row in order of arrival.
    pub(crate) fn rows(&self) -> Vec<Value> {
        self.shared.lock().rows.clone()
    }

    /// Closes the port and every connection, and returns what is needed to come back.
    pub(crate) fn go_away(self) -> Away {
        Away(self.address)
    }
}

/// A server that is not there.
#[derive(Debug)]
pub(crate) struct Away(SocketAddr);

impl Away {
    pub(crate) fn url(&self) -> String {
        format!("http://{}/api", self.0)
    }

    pub(crate) fn come_back(self) -> FaultyServer {
        let deadline = Instant::now() + LIMIT;
        loop {
            // The one before gives the port back when its thread has seen that it is over.
            match TcpListener::bind(self.0) {
                Ok(listener) => return FaultyServer::listen(listener, Mode::Healthy),
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            thread::yield_now();
        }
    }
}

impl Drop for FaultyServer {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.stopped = true;
        state.mode = Mode::Reset;
        for stream in state.open.drain(..) {
            stream.shutdown(Shutdown::Both).ok();
        }
        drop(state);
        self.shared.changed.notify_all();
        // Lets the listener see that it is over.
        TcpStream::connect(self.address).ok();
    }
}

fn named(name: &str, work: impl FnOnce() + Send + 'static) {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .unwrap();
}

fn ids(rows: &[Value]) -> BTreeSet<String> {
    rows.iter()
        .map(|row| row["id"].as_str().unwrap_or_default().to_owned())
        .collect()
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, what: &str, done: impl Fn(&State) -> bool) {
        let deadline = Instant::now() + LIMIT;
        let mut state = self.lock();
        while !done(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "no {what} in time: {} kept",
                state.rows.len()
            );
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Answers the requests of one connection until it ends.
    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some(body) = request(&mut reader) {
            let mut state = self.lock();
            state.requests += 1;
            let mode = state.mode.clone();
            let refused = match &mode {
                Mode::AnswerTo(text, _) => body.contains(text),
                _ => false,
            };
            let keeps = mode == Mode::Healthy || (matches!(mode, Mode::AnswerTo(..)) && !refused);
            if keeps {
                state.rows.extend(rows(&body));
            }
            drop(state);
            self.changed.notify_all();
            let answer = match mode {
                _ if keeps => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
                Mode::AnswerTo(_, status) => {
                    format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n")
                }
                Mode::Answer(status, head, body) => format!(
                    "HTTP/1.1 {status} X\r\n{head}Content-Length: {}\r\n\r\n{body}",
                    body.len()
                ),
                Mode::HalfBody => {
                    "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"half\":".to_owned()
                }
                Mode::Hang | Mode::Drip => {
                    self.stall(stream, &mode);
                    String::new()
                }
                Mode::Healthy | Mode::Reset => String::new(),
            };
            let whole = !answer.is_empty() && !answer.contains("half");
            let mut stream = stream;
            if stream.write_all(answer.as_bytes()).is_err() || !whole {
                stream.shutdown(Shutdown::Both).ok();
                return;
            }
        }
    }

    /// Holds a request up until the mode changes.
    fn stall(&self, mut stream: &TcpStream, mode: &Mode) {
        let mut state = self.lock();
        if *mode == Mode::Drip {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                .ok();
        }
        while state.mode == *mode {
            if *mode == Mode::Drip {
                stream.write_all(b" ").ok();
            }
            let pause = Duration::from_millis(20);
            state = self
                .changed
                .wait_timeout(state, pause)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// The body of the next request as text; `None` at the end of the connection.
fn request(reader: &mut BufReader<&TcpStream>) -> Option<String> {
    let (mut length, mut packed) = (0, false);
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let header = line.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        packed |= header == "content-encoding: gzip";
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut text = String::new();
    if packed {
        GzDecoder::new(body.as_slice())
            .read_to_string(&mut text)
            .ok()?;
    } else {
        text = String::from_utf8(body).ok()?;
    }
    Some(text)
}

/// The rows of a request of any list.
fn rows(body: &str) -> Vec<Value> {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let lists = body
        .as_object()
        .into_iter()
        .flat_map(|lists| lists.values());
    lists
        .filter_map(Value::as_array)
        .flatten()
        .cloned()
        .collect()
}
