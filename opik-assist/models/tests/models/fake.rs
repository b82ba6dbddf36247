//! A server that does what it is told: any bytes in any pieces, cuts, silence.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What the server does with a request, one after the other.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Sends the head of an answer whose length is not said.
    Head(u16, Vec<(&'static str, String)>),
    /// Sends a piece of the body.
    Send(Vec<u8>),
    /// Ends the body as it should be.
    End,
    /// Closes the connection.
    Cut,
    /// Waits until the client closes the connection.
    Hang,
}

/// The head of a stream.
pub(crate) fn stream_head() -> Act {
    Act::Head(200, vec![("content-type", "text/event-stream".to_owned())])
}

/// A whole answer with a status.
pub(crate) fn answer(status: u16, kind: &str, body: &str) -> Vec<Act> {
    let head = Act::Head(status, vec![("content-type", kind.to_owned())]);
    vec![head, Act::Send(body.as_bytes().to_vec()), Act::End]
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    }
}

type Script = dyn Fn(&Request) -> Vec<Act> + Send + Sync;

struct Shared {
    script: Box<Script>,
    requests: Mutex<Vec<Request>>,
    connections: AtomicUsize,
    let_go: watch::Sender<usize>,
}

/// The server; it is gone when this is dropped.
pub(crate) struct Fake {
    pub(crate) url: String,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

impl Fake {
    pub(crate) async fn start(
        script: impl Fn(&Request) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            script: Box::new(script),
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
            let_go: watch::channel(0).0,
        });
        let mut tasks = JoinSet::new();
        let accepting = Arc::clone(&shared);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                accepting.connections.fetch_add(1, Ordering::SeqCst);
                let shared = Arc::clone(&accepting);
                connections.spawn(async move {
                    // A client that goes away is a part of many tests.
                    drop(serve(socket, &shared).await);
                });
            }
        });
        Self {
            url,
            shared,
            _tasks: tasks,
        }
    }

    /// A server that does the same for every request.
    pub(crate) async fn always(acts: Vec<Act>) -> Self {
        Self::start(move |_| acts.clone()).await
    }

    /// A server that does one thing for each request, and the last one from then on.
    pub(crate) async fn in_turn(turns: Vec<Vec<Act>>) -> Self {
        let number = AtomicUsize::new(0);
        Self::start(move |_| {
            let turn = number.fetch_add(1, Ordering::SeqCst);
            turns[turn.min(turns.len() - 1)].clone()
        })
        .await
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Waits until a client closed a connection on which the server hung.
    pub(crate) fn let_go(&self) -> impl Future<Output = bool> + Send + use<> {
        let mut let_go = self.shared.let_go.subscribe();
        async move { let_go.wait_for(|count| *count > 0).await.is_ok() }
    }
}

async fn serve(mut socket: TcpStream, shared: &Shared) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut read = Vec::new();
    loop {
        let Some(request) = request(&mut socket, &mut read).await? else {
            return Ok(());
        };
        shared.requests.lock().unwrap().push(request.clone());
        for act in (shared.script)(&request) {
            match act {
                Act::Head(status, headers) => {
                    let mut head = format!("HTTP/1.1 {status} X\r\ntransfer-encoding: chunked\r\n");
                    for (name, value) in headers {
                        head.push_str(&format!("{name}: {value}\r\n"));
                    }
                    head.push_str("\r\n");
                    socket.write_all(head.as_bytes()).await?;
                }
                Act::Send(bytes) => {
                    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
                    chunk.extend_from_slice(&bytes);
                    chunk.extend_from_slice(b"\r\n");
                    socket.write_all(&chunk).await?;
                    socket.flush().await?;
                    tokio::task::yield_now().await;
                }
                Act::End => socket.write_all(b"0\r\n\r\n").await?,
                Act::Cut => return Ok(()),
                Act::Hang => {
                    let mut rest = [0_u8; 64];
                    while matches!(socket.read(&mut rest).await, Ok(count) if count > 0) {}
                    shared.let_go.send_modify(|count| *count += 1);
                    return Ok(());
                }
            }
        }
    }
}

async fn request(socket: &mut TcpStream, read: &mut Vec<u8>) -> std::io::Result<Option<Request>> {
    let mut wanted = None;
    loop {
        if wanted.is_none()
            && let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n")
        {
            let head = String::from_utf8_lossy(&read[..end]).into_owned();
            let mut lines = head.lines();
            let line = lines.next().unwrap_or_default().to_owned();
            let headers: Vec<(String, String)> = lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect();
            let length = headers.iter().find(|(name, _)| name == "content-length");
            let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
            wanted = Some((line, headers, end + 4, length));
        }
        if let Some((line, headers, start, length)) = &wanted
            && read.len() >= start + length
        {
            let body = String::from_utf8_lossy(&read[*start..start + length]).into_owned();
            let request = Request {
                line: line.clone(),
                headers: headers.clone(),
                body,
            };
            read.drain(..start + length);
            return Ok(Some(request));
        }
        let mut piece = [0_u8; 4 * 1024];
        let count = socket.read(&mut piece).await?;
        if count == 0 {
            return Ok(None);
        }
        read.extend_from_slice(&piece[..count]);
    }
}
