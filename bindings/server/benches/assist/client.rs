//! Clients as the page is one: a connection for each request.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An answer, and when it came.
pub(crate) struct Asked {
    /// To the first byte of the body.
    pub(crate) first: Duration,
    pub(crate) whole: Duration,
    pub(crate) text: String,
}

impl Asked {
    /// Whether a chat ended with an answer.
    pub(crate) fn is_answered(&self) -> bool {
        self.text.starts_with("HTTP/1.1 200 ")
            && self.text.contains("\"partial\": false")
            && !self.text.contains("\"error\"")
    }

    /// The number of the status.
    pub(crate) fn status(&self) -> String {
        status(&self.text)
    }

    /// The same for a chat, where a status of 200 is no answer yet.
    pub(crate) fn chat_status(&self) -> String {
        let status = self.status();
        if status == "200" && !self.is_answered() {
            return "200 without an answer".to_owned();
        }
        status
    }
}

/// The number of the status of an answer.
pub(crate) fn status(text: &str) -> String {
    text.split_whitespace().nth(1).unwrap_or("none").to_owned()
}

fn head(method: &str, path: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\nCookie: sessionToken=load\r\n\
         Comet-Workspace: default\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) async fn send(address: &str, method: &str, path: &str, body: &str) -> Asked {
    let begin = Instant::now();
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket
        .write_all(head(method, path, body).as_bytes())
        .await
        .unwrap();
    let (mut bytes, mut first) = (Vec::with_capacity(16 << 10), None);
    while socket.read_buf(&mut bytes).await.unwrap() > 0 {
        let has_body = || {
            bytes
                .windows(4)
                .position(|four| four == b"\r\n\r\n")
                .is_some_and(|at| at + 4 < bytes.len())
        };
        if first.is_none() && has_body() {
            first = Some(begin.elapsed());
        }
    }
    let whole = begin.elapsed();
    Asked {
        first: first.unwrap_or(whole),
        whole,
        text: String::from_utf8_lossy(&bytes).into_owned(),
    }
}

fn question(words: &str) -> String {
    format!("{{\"message\": \"{words}\", \"streaming\": true}}")
}

pub(crate) async fn ask(address: &str, trace: &str, words: &str) -> Asked {
    let path = format!("/trace-analyzer/session/{trace}");
    send(address, "POST", &path, &question(words)).await
}

pub(crate) async fn get(address: &str, path: &str) -> Asked {
    send(address, "GET", path, "").await
}

pub(crate) async fn delete(address: &str, trace: &str) -> Asked {
    let path = format!("/trace-analyzer/session/{trace}");
    send(address, "DELETE", &path, "").await
}

/// A chat of which something has arrived, and which goes on; what was answered instead when none began,
/// as in a conversation whose last answer is still being written.
pub(crate) async fn open(address: &str, trace: &str, words: &str) -> Result<TcpStream, String> {
    let path = format!("/trace-analyzer/session/{trace}");
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket
        .write_all(head("POST", &path, &question(words)).as_bytes())
        .await
        .unwrap();
    let mut bytes = Vec::new();
    while !bytes.windows(5).any(|five| five == b"data:") {
        if socket.read_buf(&mut bytes).await.unwrap() == 0 {
            return Err(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    Ok(socket)
}
