//! Connections that break, which a mock of HTTP cannot show.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use opik_core::exporter::ExportErrorKind;
use opik_core::rest::{OpikClient, RestErrorKind};
use opik_core::{Exporter, TraceSource};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{builder, traces};

/// What becomes of a connection.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// Answered in plain text before anything was read, as a port without TLS does.
    Plain,
    /// Closed after the request was read.
    Close,
    /// An answer that ends in the middle of its body.
    Half,
    /// An answer in chunks whose last chunk never comes.
    HalfChunked,
    /// Nothing, for as long as the other side waits.
    Hang,
    /// A byte of the answer now and then.
    Drip,
    /// 204.
    Good,
}

/// A server that acts on its connections in turn; the last act stays.
struct Fake {
    address: String,
    connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Fake {
    async fn start(acts: &'static [Act]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let turn = counter.fetch_add(1, Ordering::Relaxed);
                open.spawn(act(stream, acts[turn.min(acts.len() - 1)]));
            }
        });
        Self {
            address,
            connections,
            _tasks: tasks,
        }
    }

    fn client(&self, timeout: Duration) -> OpikClient {
        builder(&self.address).timeout(timeout).build().unwrap()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

async fn act(mut stream: TcpStream, act: Act) {
    if !matches!(act, Act::Plain) {
        read_request(&mut stream).await;
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n";
    let answer = match act {
        Act::Close => return,
        Act::Plain => "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".to_owned(),
        Act::Half => format!("{head}Content-Length: 500\r\n\r\n{{\"id\":"),
        Act::HalfChunked => format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\n{{\"id\"\r\n"),
        Act::Good => "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".to_owned(),
        Act::Hang => {
            std::future::pending::<()>().await;
            return;
        }
        Act::Drip => {
            let start = format!("{head}Content-Length: 100000\r\n\r\n");
            stream.write_all(start.as_bytes()).await.ok();
            while stream.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            return;
        }
    };
    stream.write_all(answer.as_bytes()).await.ok();
}

async fn read_request(stream: &mut TcpStream) {
    let mut read = Vec::new();
    let mut part = [0; 4_096];
    loop {
        let count = stream.read(&mut part).await.unwrap_or(0);
        read.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&read);
        let Some((head, _)) = text.split_once("\r\n\r\n") else {
            if count == 0 {
                return;
            }
            continue;
        };
        let length = head.lines().find_map(|line| {
            let line = line.to_ascii_lowercase();
            line.strip_prefix("content-length:")?
                .trim()
                .parse::<usize>()
                .ok()
        });
        let whole = text.find("\r\n\r\n").unwrap() + 4 + length.unwrap_or(0);
        if read.len() >= whole || count == 0 {
            return;
        }
    }
}

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_connection_that_broke_once_costs_nothing() {
    for acts in [&[Act::Close, Act::Good], &[Act::Half, Act::Good]] {
        let fake = Fake::start(acts).await;
        let report = fake.client(LONG).export(&traces(3)).await.unwrap();
        assert_eq!(report.accepted, 3);
        assert_eq!(fake.connections(), 2);
    }
}

#[tokio::test]
async fn connections_that_keep_breaking_end_with_an_error_to_retry() {
    for acts in [&[Act::Close], &[Act::Half], &[Act::HalfChunked]] {
        let fake = Fake::start(acts).await;
        let error = fake.client(LONG).export(&traces(3)).await.unwrap_err();
        assert_eq!(error.kind(), ExportErrorKind::Unavailable, "{acts:?}");
        assert!(error.is_retryable());
        assert_eq!(fake.connections(), 3);
    }
}

#[tokio::test]
async fn half_an_answer_is_never_taken_for_a_whole_one() {
    for acts in [&[Act::Half], &[Act::HalfChunked]] {
        let fake = Fake::start(acts).await;
        let mut query = opik_core::query::TraceQuery::default();
        query.project = opik_core::query::ProjectSelector::Name("p".to_owned());
        let error = fake.client(LONG).search_traces(&query).await.unwrap_err();
        assert_eq!(
            error.kind(),
            opik_core::source::SourceErrorKind::Unavailable
        );
    }
}

#[tokio::test]
async fn a_server_that_hangs_or_drips_is_left_in_time() {
    for acts in [&[Act::Hang], &[Act::Drip]] {
        let fake = Fake::start(acts).await;
        let began = Instant::now();
        let client = fake.client(Duration::from_millis(150));
        let error = client.export(&traces(1)).await.unwrap_err();
        assert_eq!(error.kind(), ExportErrorKind::Timeout, "{acts:?}");
        assert!(error.is_retryable());
        // Three attempts of 150 ms each, and a wide margin for a busy machine.
        assert!(began.elapsed() >= Duration::from_millis(450));
        assert!(began.elapsed() < LONG);
        assert_eq!(fake.connections(), 3);
    }
}

#[tokio::test]
async fn nobody_there_no_such_name_and_no_tls_are_no_connection() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = closed.local_addr().unwrap();
    drop(closed);
    let fake = Fake::start(&[Act::Plain]).await;
    for server in [
        format!("http://{nobody}"),
        "http://no-such-host.invalid".to_owned(),
        fake.address.replace("http:", "https:"),
    ] {
        let client = builder(&server).timeout(LONG).build().unwrap();
        let error = client.ping().await.unwrap_err();
        assert_eq!(error.kind(), RestErrorKind::Connect, "{server}");
        assert_eq!(error.attempts(), 3);
        assert!(error.is_retryable());
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_stops() {
    let fake = Fake::start(&[Act::Hang]).await;
    let client = fake.client(LONG);
    let batch = traces(1);
    let limit = Duration::from_millis(100);
    let call = tokio::time::timeout(limit, client.export(&batch)).await;
    assert!(call.is_err());
    assert!(fake.connections() <= 1);
}
