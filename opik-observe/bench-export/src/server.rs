//! The server of the measurement: takes everything, and says how much it took.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static REQUESTS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

/// Serves until the process ends. With `hang` it reads and never answers.
pub fn serve(hang: bool) -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    for stream in listener.incoming() {
        let stream = stream?;
        stream.set_nodelay(true)?;
        std::thread::spawn(move || connection(stream, hang));
    }
    Ok(())
}

fn connection(stream: TcpStream, hang: bool) {
    let mut stream = BufReader::with_capacity(1 << 18, stream);
    let mut line = String::new();
    loop {
        let (mut length, mut kind) = (0, 0);
        loop {
            line.clear();
            if stream.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let header = line.trim_end();
            if header.is_empty() {
                break;
            }
            let header = header.to_ascii_lowercase();
            if header.starts_with("get /count") {
                kind = 1;
            } else if header.contains(" /v1/traces") {
                kind = 2;
            } else if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut left = length;
        while left > 0 {
            let taken = match stream.fill_buf() {
                Ok([]) | Err(_) => return,
                Ok(bytes) => bytes.len().min(left),
            };
            stream.consume(taken);
            left -= taken;
        }
        while hang {
            std::thread::park();
        }
        let answer = match kind {
            1 => {
                let count = format!("{} {}", REQUESTS.load(Relaxed), BYTES.load(Relaxed));
                let length = count.len();
                format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{count}")
            }
            2 => "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"
                .to_owned(),
            _ => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        };
        if kind != 1 {
            REQUESTS.fetch_add(1, Relaxed);
            BYTES.fetch_add(length as u64, Relaxed);
        }
        if stream.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// The server in a process of its own; it ends with this value.
#[derive(Debug)]
pub struct Server {
    process: Child,
    pub address: String,
}

impl Server {
    pub fn start(hang: bool) -> Self {
        let here = std::env::current_exe().unwrap();
        let mut process = Command::new(here.with_file_name("sink"))
            .args(hang.then_some("hang"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("build the whole package first: `cargo build --release`");
        let mut address = String::new();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        output.read_line(&mut address).unwrap();
        let address = address.trim().to_owned();
        Self { process, address }
    }
}

/// Requests and bytes of bodies that a server has received so far.
pub fn count(address: &str) -> (u64, u64) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(b"GET /count HTTP/1.1\r\nConnection: close\r\n\r\n")
        .unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let body = answer.rsplit("\r\n").next().unwrap();
    let (requests, bytes) = body.split_once(' ').unwrap();
    (requests.parse().unwrap(), bytes.parse().unwrap())
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
