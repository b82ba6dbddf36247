//! The least that anyone has to do: JSON into the body of a request on a socket that stays open.

use std::io::{BufRead, BufReader, IoSlice, Write};
use std::net::TcpStream;

use flate2::Compression;
use flate2::write::GzEncoder;
use opik_core::{SpanId, Timestamp, TraceId};
use serde::Serialize;

use crate::measure::Way;
use crate::workload::{INPUT_TOKENS, MODEL, OUTPUT_TOKENS, PER_TRACE, PROVIDER};

#[derive(Serialize)]
struct Row<'a> {
    id: SpanId,
    project_name: &'a str,
    trace_id: TraceId,
    name: &'a str,
    r#type: &'a str,
    start_time: Timestamp,
    end_time: Timestamp,
    input: Input<'a>,
    model: &'a str,
    provider: &'a str,
    usage: Usage,
    last_updated_at: Timestamp,
    source: &'a str,
}

#[derive(Serialize)]
struct Input<'a> {
    input: &'a str,
}

#[derive(Serialize)]
struct Usage {
    completion_tokens: i64,
    prompt_tokens: i64,
    total_tokens: i64,
}

/// Writes each span into the body as it is made.
#[derive(Debug)]
pub struct Bare {
    stream: BufReader<TcpStream>,
    batch: usize,
    /// Packs bodies with zlib's level 6, as the official client does.
    pack: bool,
    body: Vec<u8>,
}

impl Bare {
    pub fn connect(address: &str, batch: usize, pack: bool) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream: BufReader::new(stream),
            batch,
            pack,
            body: Vec::new(),
        }
    }

    fn send(&mut self) {
        let packed;
        let mut body = self.body.as_slice();
        if self.pack {
            let mut packer = GzEncoder::new(Vec::new(), Compression::new(6));
            packer.write_all(body).unwrap();
            packed = packer.finish().unwrap();
            body = &packed;
        }
        let head = format!(
            "POST /api/v1/private/spans/batch HTTP/1.1\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut parts = [IoSlice::new(head.as_bytes()), IoSlice::new(body)];
        let mut parts = parts.as_mut_slice();
        let stream = self.stream.get_mut();
        while !parts.is_empty() {
            let written = stream.write_vectored(parts).unwrap();
            IoSlice::advance_slices(&mut parts, written);
        }
        let mut line = String::new();
        loop {
            line.clear();
            self.stream.read_line(&mut line).unwrap();
            if line.trim_end().is_empty() {
                break;
            }
        }
        self.body.clear();
    }
}

impl Way for Bare {
    fn send_all(&mut self, prompts: &[String], spans: usize) {
        let mut trace = TraceId::generate();
        let mut waiting = 0;
        for number in 0..spans {
            if number % PER_TRACE == 0 {
                trace = TraceId::generate();
            }
            let separator: &[u8] = if waiting == 0 { b"{\"spans\":[" } else { b"," };
            self.body.extend_from_slice(separator);
            let start = Timestamp::now();
            let end = Timestamp::now();
            let row = Row {
                id: SpanId::generate_at(start),
                project_name: "bench",
                trace_id: trace,
                name: "chat",
                r#type: "llm",
                start_time: start,
                end_time: end,
                input: Input {
                    input: &prompts[number % prompts.len()],
                },
                model: MODEL,
                provider: PROVIDER,
                usage: Usage {
                    completion_tokens: OUTPUT_TOKENS,
                    prompt_tokens: INPUT_TOKENS,
                    total_tokens: INPUT_TOKENS + OUTPUT_TOKENS,
                },
                last_updated_at: end,
                source: "sdk",
            };
            serde_json::to_writer(&mut self.body, &row).unwrap();
            waiting += 1;
            if waiting == self.batch || number + 1 == spans {
                self.body.extend_from_slice(b"]}");
                self.send();
                waiting = 0;
            }
        }
    }
}
