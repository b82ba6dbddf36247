//! A client that adds as little as it can.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

/// A connection that stays.
pub(crate) struct Http {
    socket: BufReader<TcpStream>,
    /// Of the latest answer.
    pub(crate) body: Vec<u8>,
}

impl Http {
    pub(crate) fn new(address: &str) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        Self {
            socket: BufReader::with_capacity(64 << 10, socket),
            body: Vec::new(),
        }
    }

    /// Sends a request; gives the status. The body of the answer is in `self.body`.
    pub(crate) fn send(&mut self, method: &str, path: &str, encoding: &str, body: &[u8]) -> u16 {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{encoding}content-length: {}\r\n\r\n",
            body.len()
        );
        let socket = self.socket.get_mut();
        socket.write_all(head.as_bytes()).unwrap();
        socket.write_all(body).unwrap();
        let mut line = String::new();
        self.socket.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let (mut length, mut chunked) = (0, false);
        loop {
            line.clear();
            self.socket.read_line(&mut line).unwrap();
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            chunked |= lower.starts_with("transfer-encoding:") && lower.contains("chunked");
            if line == "\r\n" {
                break;
            }
        }
        self.body.clear();
        if !chunked {
            self.body.resize(length, 0);
            self.socket.read_exact(&mut self.body).unwrap();
            return status;
        }
        loop {
            line.clear();
            self.socket.read_line(&mut line).unwrap();
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            let at = self.body.len();
            self.body.resize(at + size + 2, 0);
            self.socket.read_exact(&mut self.body[at..]).unwrap();
            self.body.truncate(at + size);
            if size == 0 {
                return status;
            }
        }
    }

    pub(crate) fn post(&mut self, path: &str, body: &[u8]) {
        let status = self.send("POST", &format!("/v1/private{path}"), "", body);
        assert!(
            status < 300,
            "{path}: {status} {}",
            String::from_utf8_lossy(&self.body)
        );
    }

    pub(crate) fn get(&mut self, path: &str) -> usize {
        let status = self.send("GET", &format!("/v1/private{path}"), "", b"");
        assert_eq!(
            status,
            200,
            "{path}: {}",
            String::from_utf8_lossy(&self.body)
        );
        self.body.len()
    }
}
