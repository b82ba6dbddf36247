//! Spans per second through the REST exporter into a local sink, beside the least that anyone has
//! to do: writing the same spans as JSON into a socket, plain and with zlib's level 6.
//!
//! `cargo bench -p opik-core --features rest --bench rest_export`. All run in turn against the same
//! sink, in batches of 1,000 spans of about 1 KB; the CPU time includes the sink.
#![expect(clippy::unwrap_used, reason = "a benchmark")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use opik_core::rest::OpikClient;
use opik_core::{Batch, Exporter, Json, Span, SpanId, SpanType, Timestamp, TraceId, Usage};

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(700);

/// A name and what sends the batch once.
type Way<'a> = (&'static str, Box<dyn FnMut() + 'a>);

fn main() {
    // `cargo test --benches` runs this too; then one short round is enough.
    let measured = std::env::args().any(|argument| argument == "--bench");
    let (rounds, round) = if measured {
        (ROUNDS, ROUND)
    } else {
        (1, Duration::ZERO)
    };
    let address = sink();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let batch = Batch::new(vec![], (0..1_000).map(span).collect());
    let client = |compression| {
        let builder = OpikClient::builder(format!("http://{address}/api")).proxies(false);
        builder.compression(compression).build().unwrap()
    };
    let (plain, packed) = (client(false), client(true));
    let export = |client: &OpikClient| {
        let report = runtime.block_on(client.export(&batch)).unwrap();
        assert_eq!(report.accepted, batch.len());
    };
    let mut bare = Bare::connect(&address);
    let mut zipped = Bare::connect(&address);
    let mut ways: [Way<'_>; 4] = [
        ("bare JSON writer", Box::new(|| bare.send(&batch, false))),
        ("REST exporter", Box::new(|| export(&plain))),
        (
            "bare writer, zlib 6",
            Box::new(|| zipped.send(&batch, true)),
        ),
        ("REST exporter, gzip", Box::new(|| export(&packed))),
    ];
    let mut rates: [Vec<(f64, f64)>; 4] = Default::default();
    for _ in 0..rounds {
        for ((_, way), rates) in ways.iter_mut().zip(&mut rates) {
            rates.push(rate(way, round));
        }
    }
    let mut output = std::io::stdout().lock();
    let mut least = None;
    for ((name, _), mut rates) in ways.iter().zip(rates) {
        rates.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (wall, cpu) = rates.get(rates.len() / 2).copied().unwrap();
        let least = *least.get_or_insert(wall);
        writeln!(
            output,
            "{name:22} {wall:9.0} spans/s ({:4.2}x of the bare writer), {cpu:5.2} us CPU per span",
            wall / least
        )
        .unwrap();
    }
}

/// Spans per second, and microseconds of this process's CPU time per span.
fn rate(way: &mut dyn FnMut(), at_least: Duration) -> (f64, f64) {
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let mut spans = 0.0;
    loop {
        way();
        spans += 1_000.0;
        if began.elapsed() >= at_least {
            break;
        }
    }
    let wall = spans / began.elapsed().as_secs_f64();
    (wall, (cpu_seconds() - cpu) * 1e6 / spans)
}

/// User and system time in hundredths of a second; zero where there is no `/proc`.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
}

fn span(number: u64) -> Span {
    let at = Timestamp::from_micros(1_767_225_600_000_000);
    let mut span = Span::new(SpanId::generate(), TraceId::generate(), at);
    span.project_name = Some("checkout".to_owned());
    span.name = Some("call".to_owned());
    span.r#type = Some(SpanType::Llm);
    span.end_time = Some(at.plus_micros(1_000));
    span.last_updated_at = Some(at.plus_micros(2_000));
    span.model = Some("gpt-4.1-mini".to_owned());
    span.provider = Some("openai".to_owned());
    span.usage = Usage::of_tokens(300, 40);
    // Words that repeat about as much as prose does.
    let words = [
        "order", "ship", "the", "invoice", "of", "customer", "later", "total", "and", "pay",
    ];
    let mut seed = number;
    let text: Vec<&str> = (0..75)
        .map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let index = usize::try_from(seed >> 60).unwrap_or(0) % words.len();
            words.get(index).copied().unwrap_or_default()
        })
        .collect();
    let prompt = format!(
        "{} {seed:x} {:x}",
        text.join(" "),
        seed.rotate_left(23) ^ number
    );
    span.input = Some(Json::from_value(&serde_json::json!({ "prompt": prompt })));
    span
}

/// Writes JSON into a socket and reads the status line.
struct Bare(BufReader<TcpStream>);

impl Bare {
    fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    fn send(&mut self, batch: &Batch, pack: bool) {
        let mut body = b"{\"spans\":".to_vec();
        serde_json::to_writer(&mut body, &batch.spans).unwrap();
        body.push(b'}');
        if pack {
            let mut packer = GzEncoder::new(Vec::new(), Compression::new(6));
            packer.write_all(&body).unwrap();
            body = packer.finish().unwrap();
        }
        let stream = self.0.get_mut();
        let head = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&body).unwrap();
        while !line(&mut self.0).is_empty() {}
    }
}

/// A server that takes everything.
fn sink() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let accept = move || {
        for stream in listener.incoming().flatten() {
            let serve = || serve(BufReader::with_capacity(1 << 16, stream));
            let named = std::thread::Builder::new().name("connection".to_owned());
            named.spawn(serve).unwrap();
        }
    };
    let named = std::thread::Builder::new().name("sink".to_owned());
    named.spawn(accept).unwrap();
    address
}

fn serve(mut stream: BufReader<TcpStream>) {
    loop {
        let mut length = 0;
        loop {
            let header = line(&mut stream).to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let taken = std::io::copy(&mut (&mut stream).take(length), &mut std::io::sink());
        if length == 0 || taken.is_err() {
            return;
        }
        let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
        if stream.get_mut().write_all(answer).is_err() {
            return;
        }
    }
}

fn line(stream: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).unwrap_or(0);
    line.trim_end().to_owned()
}
