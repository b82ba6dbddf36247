//! The server beside raw SQLite rows, in one run, batch by batch in turn.
//!
//! `cargo bench -p opik-server --bench http` starts the server as a process of its own, sends it
//! 1,000,000 spans of about 1 KB (`OPIK_BENCH_SPANS` for another number) as JSON in batches of 1,000
//! over one connection, waits for each answer, which comes after the commit, and asks the usual
//! questions over HTTP. The peer is what SQLite itself can do: a table with a rowid and one TEXT column,
//! 4 KiB pages, WAL, `synchronous=NORMAL`, one transaction a batch, texts made beforehand.
//!
//! Every question is asked in several forms, each for the first time and again: a store that did not
//! change remembers how many records match. `OPIK_BENCH_DIR` names a folder that the store stays in;
//! when it has one, nothing is written and only the questions are asked.
//!
//! `cargo bench -p opik-server --bench http -- target/release/opik-rs` measures the built program, which has
//! an allocator of its own, in place of the server in this one.
//!
//! `OPIK_BENCH_FILL_GIB=10` then fills the store with files up to that size and starts it again.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    reason = "a benchmark: it prints, counts in floats and stops at the first problem"
)]

mod connection;
mod served;
mod source;

use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use opik_core::TraceId;
use opik_store::{Store, StoreOptions};

use connection::Http;
use served::Served;
use source::{BATCH, PROJECTS, Source};

fn body(kind: &str, rows: &[String]) -> Vec<u8> {
    format!(r#"{{"{kind}":[{}]}}"#, rows.join(",")).into_bytes()
}

fn raw(path: &Path) -> rusqlite::Connection {
    let conn = rusqlite::Connection::open(path).unwrap();
    conn.pragma_update(None, "page_size", 4096).unwrap();
    conn.pragma_update(None, "journal_mode", "WAL").unwrap();
    conn.pragma_update(None, "synchronous", "NORMAL").unwrap();
    conn.execute_batch("CREATE TABLE span(body TEXT NOT NULL)")
        .unwrap();
    conn
}

/// Median and 99th of a hundred, in milliseconds.
fn spread(times: &mut [Duration]) -> (f64, f64) {
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    (at(0.5), at(0.99))
}

fn timed_once(forms: usize, mut act: impl FnMut(usize)) -> (f64, f64) {
    let mut times: Vec<Duration> = (0..forms)
        .map(|form| {
            let begin = Instant::now();
            act(form);
            begin.elapsed()
        })
        .collect();
    spread(&mut times)
}

fn timed(rounds: usize, mut act: impl FnMut(usize)) -> (f64, f64) {
    act(0);
    let mut times: Vec<Duration> = (0..rounds)
        .map(|round| {
            let begin = Instant::now();
            act(round);
            begin.elapsed()
        })
        .collect();
    spread(&mut times)
}

type Ask<'a> = Box<dyn Fn(usize) -> String + 'a>;

fn ask(http: &mut Http, long: &[(TraceId, u64)], served: &Served) {
    let filters = |field: &str, operator: &str, key: &str, value: &str| {
        let json = format!(
            r#"[{{"field":"{field}","operator":"{operator}","key":"{key}","value":"{value}"}}]"#
        );
        let escaped: String = json.bytes().map(|byte| format!("%{byte:02x}")).collect();
        format!("&filters={escaped}")
    };
    let project = |number: usize| format!("project_name=project%20{}", number as u64 % PROJECTS);
    let spans =
        |number: usize, more: &str| format!("/spans?{}&page=1&size=50{more}", project(number));
    // Name, how many forms, rounds, and the path of a form.
    let questions: Vec<(&str, usize, usize, Ask<'_>)> = vec![
        (
            "last 100 traces of a project, with totals",
            10,
            200,
            Box::new(|n| format!("/traces?{}&page=1&size=100", project(n))),
        ),
        (
            "page of 50 spans by model",
            10,
            100,
            Box::new(|n| spans(n, &filters("model", "=", "", "model-3"))),
        ),
        (
            "page of 50 spans by tag",
            10,
            100,
            Box::new(|n| spans(n, &filters("tags", "contains", "", "rare"))),
        ),
        (
            "page of 50 spans by error",
            10,
            100,
            Box::new(|n| spans(n, &filters("error_info", "is_not_empty", "", ""))),
        ),
        (
            "page of 50 spans by metadata key",
            20,
            20,
            Box::new(|n| {
                let region = format!("eu-{}", n / 10);
                spans(n, &filters("metadata", "=", "region", &region))
            }),
        ),
        (
            "page of 50 traces by a rare metadata key",
            20,
            20,
            Box::new(|n| {
                format!(
                    "/traces?{}&page=1&size=50{}",
                    project(n),
                    filters("metadata", "=", "job", &format!("47{n}"))
                )
            }),
        ),
        (
            "page of 50 spans by a word",
            50,
            100,
            Box::new(|n| spans(n, &format!("&search=re{:x}", 500 + n * 5))),
        ),
        (
            "page of 50 traces by a word",
            50,
            100,
            Box::new(|n| {
                format!(
                    "/traces?{}&page=1&size=50&search=re{:x}",
                    project(n),
                    500 + n * 5
                )
            }),
        ),
        (
            "trace by identifier",
            200,
            200,
            Box::new(|n| format!("/traces/{}", long[n * 7 % long.len()].0)),
        ),
    ];
    for (name, forms, rounds, path) in &questions {
        let mut bytes = 0;
        let before = served.cpu().0;
        let (first, slowest) = timed_once(*forms, |n| bytes = http.get(&path(n)));
        let first_cpu = (served.cpu().0 - before) * 1e3 / *forms as f64;
        let before = served.cpu().0;
        let (p50, p99) = timed(*rounds, |n| bytes = http.get(&path(n % forms)));
        let cpu = (served.cpu().0 - before) * 1e3 / (*rounds + 1) as f64;
        println!(
            "{name:<44} first p50 {first:>8.2} ms  most {slowest:>8.2} ms  cpu {first_cpu:>7.2} ms  again p50 {p50:>8.2} ms  p99 {p99:>8.2} ms  cpu {cpu:>7.2} ms  {bytes} bytes"
        );
    }
}

/// Traces of 50 spans, whole, while batches are written.
fn traces_while_writing(served: &Served, source: &mut Source, long: &[(TraceId, u64)]) {
    let stop = AtomicBool::new(false);
    let bodies: Vec<Vec<u8>> = (0..60).map(|_| body("spans", &source.batch().0)).collect();
    let (times, written) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut http = Http::new(&served.address);
            let mut written = 0;
            for body in bodies.iter().cycle() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                http.post("/spans/batch", body);
                written += 1;
            }
            written
        });
        let mut http = Http::new(&served.address);
        let times = timed(2_000, |n| {
            let (trace, project) = long[n * 13 % long.len()];
            let ask = format!(
                r#"{{"project_name":"project {project}","trace_id":"{trace}","limit":100}}"#
            );
            http.post("/spans/search", ask.as_bytes());
            assert!(http.body.len() > 40_000, "{} bytes", http.body.len());
        });
        stop.store(true, Ordering::Relaxed);
        (times, writer.join().unwrap())
    });
    let (p50, p99) = times;
    println!(
        "{:<44} p50 {p50:>8.2} ms  p99 {p99:>8.2} ms  beside {written} batches",
        "trace of 50 spans while writing"
    );
}

fn main() {
    if let Ok(path) = std::env::var("OPIK_BENCH_SERVE") {
        return served::serve(&path);
    }
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<usize>().ok())
    };
    let spans = number("OPIK_BENCH_SPANS").unwrap_or(1_000_000);
    let dir = tempfile::tempdir().unwrap();
    let kept = std::env::var_os("OPIK_BENCH_DIR").map(std::path::PathBuf::from);
    let path = kept.as_deref().unwrap_or(dir.path()).join("traces.db");
    let is_there = path.exists();
    let (served, started) = Served::start(&path);
    println!(
        "start with an empty store {:.1} ms, idle {:.1} MiB",
        started.as_secs_f64() * 1e3,
        served.memory().0
    );

    let conn = raw(&dir.path().join("raw.db"));
    let mut http = Http::new(&served.address);
    let mut source = Source::new();
    if is_there {
        for _ in 0..spans / BATCH {
            source.batch();
        }
        let memory = served.memory();
        println!("memory {:.0} MiB, at most {:.0} MiB", memory.0, memory.1);
        ask(&mut http, &source.long, &served);
        let memory = served.memory();
        println!("memory {:.0} MiB, at most {:.0} MiB", memory.0, memory.1);
        return served.stop();
    }
    let (mut ours, mut theirs, mut bytes) = (Duration::ZERO, Duration::ZERO, 0);
    let before = served.cpu();
    let mut slowest = Vec::new();
    for _ in 0..spans / BATCH {
        let (rows, traces) = source.batch();
        let (rows_body, traces_body) = (body("spans", &rows), body("traces", &traces));
        bytes += rows_body.len();
        let begin = Instant::now();
        conn.execute_batch("BEGIN").unwrap();
        let mut insert = conn.prepare_cached("INSERT INTO span VALUES (?1)").unwrap();
        for row in &rows {
            insert.execute([row]).unwrap();
        }
        conn.execute_batch("COMMIT").unwrap();
        theirs += begin.elapsed();
        let begin = Instant::now();
        http.post("/spans/batch", &rows_body);
        let took = begin.elapsed();
        ours += took;
        slowest.push(took);
        // Traces are a tenth of what is sent, and take their part of the time.
        let begin = Instant::now();
        http.post("/traces/batch", &traces_body);
        ours += begin.elapsed();
    }
    let after = served.cpu();
    let per = |seconds: f64| seconds * 1e6 / spans as f64;
    let rate = |time: Duration| spans as f64 / time.as_secs_f64();
    println!("{spans} spans of {} bytes", bytes / spans);
    println!("raw SQLite rows           {:>9.0} a second", rate(theirs));
    println!(
        "HTTP JSON, with traces    {:>9.0} a second, {:.2} of raw",
        rate(ours),
        theirs.as_secs_f64() / ours.as_secs_f64()
    );
    let spans_alone: Duration = slowest.iter().sum();
    println!(
        "HTTP JSON, spans alone    {:>9.0} a second, {:.2} of raw",
        rate(spans_alone),
        theirs.as_secs_f64() / spans_alone.as_secs_f64()
    );
    let (p50, p99) = spread(&mut slowest);
    println!("batch p50 {p50:.1} ms, p99 {p99:.1} ms");
    println!(
        "CPU a span {:.2} us, of which the text index meanwhile {:.2} us",
        per(after.0 - before.0),
        per(after.1 - before.1)
    );
    println!(
        "memory {:.0} MiB, at most {:.0} MiB",
        served.memory().0,
        served.memory().1
    );
    // The index catches up.
    let mut last = -1.0;
    while served.cpu().0 > last + 0.02 {
        last = served.cpu().0;
        std::thread::sleep(Duration::from_secs(1));
    }
    println!(
        "text index in the end {:.2} us a span",
        per(served.cpu().1 - before.1)
    );

    let count = 200_000.min(spans);
    let packed: Vec<(Vec<u8>, usize)> = (0..count / BATCH)
        .map(|_| {
            let plain = body("spans", &source.batch().0);
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
            gzip.write_all(&plain).unwrap();
            (gzip.finish().unwrap(), plain.len())
        })
        .collect();
    let before = served.cpu();
    let begin = Instant::now();
    for (packed, _) in &packed {
        let status = http.send(
            "POST",
            "/v1/private/spans/batch",
            "content-encoding: gzip\r\n",
            packed,
        );
        assert_eq!(status, 204);
    }
    let took = begin.elapsed();
    let after = served.cpu();
    let wire: usize = packed.iter().map(|it| it.0.len()).sum();
    println!(
        "gzip {:.0} a second, {:.0} bytes a span on the wire, CPU {:.2} us a span without the index",
        count as f64 / took.as_secs_f64(),
        wire as f64 / count as f64,
        ((after.0 - before.0) - (after.1 - before.1)) * 1e6 / count as f64,
    );

    println!("memory {:.0} MiB", served.memory().0);
    let long = std::mem::take(&mut source.long);
    let long = &long[..long.len() / 2];
    traces_while_writing(&served, &mut source, long);
    println!("memory {:.0} MiB", served.memory().0);
    std::thread::sleep(Duration::from_secs(3));
    ask(&mut http, long, &served);
    println!(
        "memory {:.0} MiB, at most {:.0} MiB",
        served.memory().0,
        served.memory().1
    );
    served.stop();
    let store = Store::open(&path, StoreOptions::default()).unwrap();
    let stats = store.stats().unwrap();
    println!(
        "{} spans, {:.0} bytes a span, text index {:.0} bytes a span",
        stats.spans,
        stats.file_bytes as f64 / stats.spans as f64,
        stats.text_bytes as f64 / stats.spans as f64
    );
    drop(store);
    let starts = || {
        let mut times: Vec<Duration> = (0..5)
            .map(|_| {
                let (served, took) = Served::start(&path);
                served.stop();
                took
            })
            .collect();
        spread(&mut times).0
    };
    println!("start with this store {:.1} ms", starts());
    if let Some(gib) = number("OPIK_BENCH_FILL_GIB") {
        let fill = rusqlite::Connection::open(&path).unwrap();
        let size = || std::fs::metadata(&path).map_or(0, |data| data.len());
        while size() < (gib as u64) << 30 {
            fill.execute_batch(
                "CREATE TABLE IF NOT EXISTS filling(data BLOB);
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 64)
                 INSERT INTO filling SELECT randomblob(4 << 20) FROM n;
                 PRAGMA wal_checkpoint(TRUNCATE);",
            )
            .unwrap();
        }
        drop(fill);
        println!("start with a store of {gib} GiB {:.1} ms", starts());
    }
}
