//! The store beside raw SQLite rows, in one run, batch by batch in turn.
//!
//! `cargo bench -p opik-store` writes 1,000,000 spans of about 1 KB (`OPIK_BENCH_SPANS` for
//! another number) in batches of 1,000 with their traces, then asks the usual questions. The peer
//! is what SQLite itself can do: a table with a rowid and one TEXT column, 4 KiB pages, WAL,
//! `synchronous=NORMAL`, one transaction per batch, texts made beforehand.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::disallowed_methods,
    reason = "a benchmark: it prints, counts in floats and stops at the first problem"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use opik_core::query::{Entity, Filter, Operator, ProjectSelector, SpanQuery, TraceQuery};
use opik_core::{
    Batch, ErrorInfo, Exporter, Json, PageRequest, Span, SpanId, SpanType, Timestamp, Trace,
    TraceId, TraceSource, Usage,
};
use opik_store::{Store, StoreOptions};
use support::block_on;

const BATCH: usize = 1_000;
const PROJECTS: u64 = 10;

/// SplitMix64: the same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// Small numbers are more frequent, as words are.
    fn zipf(&mut self, n: u64) -> u64 {
        let unit = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        ((n as f64).powf(unit) - 1.0) as u64
    }

    fn text(&mut self, bytes: usize) -> String {
        let mut text = String::with_capacity(bytes + 16);
        while text.len() < bytes {
            let word = self.zipf(20_000);
            write!(
                text,
                "{}{word:x} ",
                ["re", "tion", "al", "con", "is"][(word % 5) as usize]
            )
            .unwrap();
        }
        text
    }
}

/// Traces one after the other, a tenth of them with 50 spans.
struct Source {
    random: Random,
    clock: i64,
    pending: Vec<Span>,
    row: Option<Trace>,
    long: Vec<TraceId>,
}

impl Source {
    fn new() -> Self {
        let (random, pending, long) = (Random(7), Vec::new(), Vec::new());
        Self {
            random,
            clock: 1_790_000_000_000_000,
            pending,
            row: None,
            long,
        }
    }

    fn start_trace(&mut self) {
        let random = &mut self.random;
        self.clock += 3_000;
        let id = TraceId::from_parts(Timestamp::from_micros(self.clock), random.next());
        let project = format!("project {}", random.below(PROJECTS));
        let count = if random.below(10) == 0 {
            50
        } else {
            1 + random.below(12)
        };
        if count == 50 {
            self.long.push(id);
        }
        let mut trace = Trace::new(id, Timestamp::from_micros(self.clock));
        trace.project_name = Some(project.clone());
        trace.name = Some(format!("agent {}", random.zipf(20)));
        trace.input = Some(Json::from_value(
            &serde_json::json!({"question": random.text(300)}),
        ));
        trace.end_time = Some(Timestamp::from_micros(self.clock + 900_000));
        trace.last_updated_at = trace.end_time;
        self.row = Some(trace);
        let mut parent = None;
        for number in 0..count {
            let at = self.clock + 40 * number as i64;
            let span_id = SpanId::from_parts(Timestamp::from_micros(at), random.next());
            let mut span = Span::new(span_id, id, Timestamp::from_micros(at));
            span.project_name = Some(project.clone());
            span.parent_span_id = parent;
            parent = parent.or(Some(span_id));
            span.name = Some(format!("step {}", random.zipf(60)));
            span.end_time = Some(Timestamp::from_micros(at + 20_000));
            span.last_updated_at = span.end_time;
            span.r#type = Some(
                [SpanType::General, SpanType::Tool, SpanType::Llm][random.below(3) as usize]
                    .clone(),
            );
            if span.kind() == &SpanType::Llm {
                span.model = Some(format!("model-{}", random.zipf(12)));
                span.provider = Some("openai".to_owned());
                let (prompt, reply) = (random.below(4_000) as i64, random.below(900) as i64);
                span.usage = Usage::of_tokens(prompt, reply);
                span.total_estimated_cost = Some(random.below(100_000) as f64 / 1e7);
            }
            if random.below(1_000) == 0 {
                span.tags = vec!["rare".to_owned()];
            }
            if random.below(100) == 0 {
                span.error_info = Some(ErrorInfo::new("TimeoutError", random.text(60)));
            }
            let messages = serde_json::json!({"messages": [
                {"role": "user", "content": random.text(430)}]});
            span.input = Some(Json::from_value(&messages));
            let reply = serde_json::json!({"role": "assistant", "content": random.text(330)});
            span.output = Some(Json::from_value(&reply));
            self.pending.push(span);
        }
    }

    fn batch(&mut self, size: usize) -> Batch {
        let mut batch = Batch::default();
        while batch.spans.len() < size {
            if self.pending.is_empty() {
                self.start_trace();
            }
            let room = size - batch.spans.len();
            let some = self.pending.len().min(room);
            batch.spans.extend(self.pending.drain(..some));
            if self.pending.is_empty() {
                batch.traces.extend(self.row.take());
            }
        }
        batch
    }
}

fn raw(path: &Path) -> rusqlite::Connection {
    let conn = rusqlite::Connection::open(path).unwrap();
    conn.execute_batch(
        "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
         CREATE TABLE row(id INTEGER PRIMARY KEY, json TEXT NOT NULL);",
    )
    .unwrap();
    conn
}

fn write_raw(conn: &mut rusqlite::Connection, texts: &[String]) {
    let tx = conn
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .unwrap();
    {
        let mut insert = tx
            .prepare_cached("INSERT INTO row(json) VALUES (?1)")
            .unwrap();
        for text in texts {
            insert.execute([text]).unwrap();
        }
    }
    tx.commit().unwrap();
}

/// Median and 99th percentile in microseconds.
fn spread(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1e6;
    (at(50), at(99))
}

fn timed(mut act: impl FnMut()) -> Duration {
    let begin = Instant::now();
    act();
    begin.elapsed()
}

/// Time that threads of this process spent on a CPU, by name, where Linux tells it.
fn cpu() -> std::collections::BTreeMap<String, u64> {
    let mut times = std::collections::BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
    {
        let read = |file: &str| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
        let nanos = read("schedstat");
        let nanos = nanos.split(' ').next().and_then(|n| n.parse().ok());
        *times.entry(read("comm").trim().to_owned()).or_default() += nanos.unwrap_or(0u64);
    }
    times
}

/// What this thread spent on a CPU, in nanoseconds.
fn own_cpu() -> u64 {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    times
        .split(' ')
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(0)
}

fn ask(name: &str, goal_us: f64, rounds: usize, mut act: impl FnMut(usize)) {
    for round in 0..rounds.min(20) {
        act(round);
    }
    let (p50, p99) = spread((0..rounds).map(|round| timed(|| act(round))).collect());
    print!("{name:<44} p50 {p50:>9.0} us   p99 {p99:>9.0} us");
    if goal_us.is_finite() {
        let verdict = if p50 <= goal_us { "ok" } else { "MISSED" };
        print!("   goal {goal_us:>6.0}  {verdict}");
    }
    println!();
}

/// A counter of what this process has read from files, where Linux tells it: `syscr` for the calls,
/// `read_bytes` for what had to come from the disk.
fn reads(counter: &str) -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let value = |line: &str| line.strip_prefix(counter)?.strip_prefix(": ")?.parse().ok();
    io.lines().find_map(value).unwrap_or(0)
}

/// Traces that nobody asked for yet, from the one with the number `first` on.
fn long_traces(store: &Store, long: &[TraceId], first: usize, name: &str, goal_us: f64) {
    let before = [reads("syscr"), reads("read_bytes")];
    ask(name, goal_us, 300, |round| {
        let id = long[(first + round) * 7919 % (long.len() - 1)];
        assert!(block_on(store.trace(id)).unwrap().is_some());
        let page = block_on(store.spans(id, &PageRequest::first(500))).unwrap();
        assert_eq!(page.items.len(), 50);
    });
    println!(
        "              {:.1} reads of the file a trace, {:.1} KiB of it from the disk",
        (reads("syscr") - before[0]) as f64 / 320.0,
        (reads("read_bytes") - before[1]) as f64 / 320.0 / 1024.0
    );
}

/// Brings a file into the system's cache. A system that is short of memory, or that is told to save
/// it, drops what nobody has read for some seconds.
fn read_once(path: &Path) {
    let mut file = std::fs::File::open(path).unwrap();
    std::io::copy(&mut file, &mut std::io::sink()).unwrap();
}

fn last_traces(store: &Store, name: &str) {
    ask(name, 200.0, 300, |round| {
        let mut query = TraceQuery::default();
        query.project = ProjectSelector::Name(format!("project {}", round as u64 % PROJECTS));
        query.page = PageRequest::first(100);
        query.without_content = true;
        let page = block_on(store.search_traces(&query)).unwrap();
        assert_eq!(page.items.len(), 100);
    });
}

/// Waits until the store's threads have spent nothing on a CPU for three seconds, which is longer than
/// the index ever waits between two steps; two minutes at most.
fn rest() {
    let spent = || -> u64 {
        let threads = cpu().into_iter();
        let ours = threads.filter(|(name, _)| name.starts_with("opik-store-"));
        ours.map(|(_, nanos)| nanos).sum()
    };
    let begin = Instant::now();
    let mut before = spent();
    while begin.elapsed() < Duration::from_secs(120) {
        std::thread::sleep(Duration::from_secs(3));
        let now = spent();
        if now - before < 5_000_000 {
            return;
        }
        before = now;
    }
    println!("at rest       not after two minutes");
}

fn query(field: &str, operator: Operator, value: &str, project: usize) -> SpanQuery {
    let mut query = SpanQuery::default();
    query.project = ProjectSelector::Name(format!("project {}", project as u64 % PROJECTS));
    query.filters = vec![Filter::new(Entity::Span, field, operator, None, value).unwrap()];
    query.page = PageRequest::first(50);
    query
}

/// Two callers that each wait for their batch, so that one encodes while the other's is written.
fn pipelined(store: &Store, peer: &mut rusqlite::Connection, source: &mut Source, batches: usize) {
    let batches: Vec<Batch> = (0..2 * batches).map(|_| source.batch(BATCH)).collect();
    let texts: Vec<Vec<String>> = batches.iter().map(texts).collect();
    let theirs = timed(|| texts.iter().for_each(|texts| write_raw(peer, texts)));
    let ours = timed(|| {
        std::thread::scope(|scope| {
            for half in batches.chunks(batches.len() / 2) {
                scope.spawn(move || {
                    for batch in half {
                        drop(block_on(store.export(batch)).unwrap());
                    }
                });
            }
        });
    });
    println!(
        "two callers   ours {:>9.0} spans/s   ratio of sums {:.2}",
        (batches.len() * BATCH) as f64 / ours.as_secs_f64(),
        theirs.as_secs_f64() / ours.as_secs_f64()
    );
}

/// One after the other instead of in turn, with batches that are made beforehand: no pauses in which
/// the store's threads could catch up, and the text index is waited for.
fn sustained(store: &Store, peer: &mut rusqlite::Connection, source: &mut Source, batches: usize) {
    let batches: Vec<Batch> = (0..batches).map(|_| source.batch(BATCH)).collect();
    let texts: Vec<Vec<String>> = batches.iter().map(texts).collect();
    let theirs = timed(|| texts.iter().for_each(|texts| write_raw(peer, texts)));
    let ours = timed(|| {
        for batch in &batches {
            drop(block_on(store.export(batch)).unwrap());
        }
    });
    let index = timed(|| assert!(store.wait_for_text_index(Duration::from_secs(900)).unwrap()));
    let rate = |time: Duration| (batches.len() * BATCH) as f64 / time.as_secs_f64();
    println!(
        "sustained     ours {:>9.0} spans/s   raw rows {:>9.0} spans/s   ratio {:.2}, with the text index {:.2}",
        rate(ours),
        rate(theirs),
        theirs.as_secs_f64() / ours.as_secs_f64(),
        theirs.as_secs_f64() / (ours + index).as_secs_f64()
    );
}

/// The rows of the peer.
fn texts(batch: &Batch) -> Vec<String> {
    let spans = batch.spans.iter().map(serde_json::to_string);
    let traces = batch.traces.iter().map(serde_json::to_string);
    spans.chain(traces).map(Result::unwrap).collect()
}

fn main() {
    let spans: usize = std::env::var("OPIK_BENCH_SPANS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1_000_000);
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store.db"), StoreOptions::new()).unwrap();
    let mut peer = raw(&dir.path().join("raw.db"));
    let mut source = Source::new();
    let (mut ours, mut theirs, mut json_bytes) = (Vec::new(), Vec::new(), 0);
    let mut replay = Vec::new();
    let (threads, mut caller, mut peers_cpu) = (cpu(), 0, 0);
    for number in 0..spans.div_ceil(BATCH) {
        let batch = source.batch(BATCH);
        let texts = texts(&batch);
        let spans = texts.iter().take(batch.spans.len());
        json_bytes += spans.map(String::len).sum::<usize>();
        let mut both: [&mut dyn FnMut(); 2] = [
            &mut || {
                let begin = own_cpu();
                ours.push(timed(|| drop(block_on(store.export(&batch)).unwrap())));
                caller += own_cpu() - begin;
            },
            &mut || {
                let begin = own_cpu();
                theirs.push(timed(|| write_raw(&mut peer, &texts)));
                peers_cpu += own_cpu() - begin;
            },
        ];
        both.rotate_left(number % 2);
        for write in both {
            write();
        }
        if number % 20 == 0 {
            replay.push(batch);
        }
    }
    let written = ours.len() * BATCH;
    let rate = |times: &[Duration]| written as f64 / times.iter().sum::<Duration>().as_secs_f64();
    let (mine, peers) = (rate(&ours), rate(&theirs));
    println!("{written} spans of {} bytes of JSON", json_bytes / written);
    println!("ingest        ours {mine:>9.0} spans/s   raw rows {peers:>9.0} spans/s");
    println!(
        "              ratio of sums {:.2} (goal 0.80)",
        mine / peers
    );
    let (a, b) = (spread(ours), spread(theirs));
    println!("              ratio of medians {:.2}", b.0 / a.0);
    println!(
        "batch         ours p50 {:.0} us p99 {:.0} us   raw p50 {:.0} p99 {:.0}",
        a.0, a.1, b.0, b.1
    );

    let lag = timed(|| assert!(store.wait_for_text_index(Duration::from_secs(900)).unwrap()));
    println!(
        "text index    {:.1} s behind at the end of a full-speed load",
        lag.as_secs_f64()
    );
    let per_span = |nanos: u64| nanos as f64 / 1e3 / written as f64;
    print!("CPU a span    caller {:.1} us", per_span(caller));
    for (name, after) in cpu() {
        let before = threads.get(&name).copied().unwrap_or(0);
        if let Some(name) = name.strip_prefix("opik-store-") {
            print!("   {name} {:.1}", per_span(after - before));
        }
    }
    println!("   raw rows {:.1}", per_span(peers_cpu));
    let stats = store.stats().unwrap();
    let size = |bytes: u64| bytes as f64 / written as f64;
    let log = std::fs::metadata(dir.path().join("store.db-wal"))
        .unwrap()
        .len();
    println!("log           {} MiB", log >> 20);
    block_on(store.flush()).unwrap();
    let raw_size = std::fs::metadata(dir.path().join("raw.db")).unwrap().len();
    let file = std::fs::metadata(dir.path().join("store.db"))
        .unwrap()
        .len();
    println!(
        "disk          ours {:.0} bytes a span (goal 600)   text index {:.0}   raw {:.0}",
        size(file),
        size(stats.text_bytes),
        size(raw_size)
    );

    // Segments of the text index are still merged after a load at full speed, on a core that may
    // be the other half of the reader's.
    last_traces(&store, "last 100 traces, while the index merges");
    println!(
        "at rest       after {:.1} s of merging",
        timed(rest).as_secs_f64()
    );
    let before = reads("syscr");
    last_traces(&store, "last 100 traces of a project with totals");
    println!(
        "              {:.1} reads of the file a list",
        (reads("syscr") - before) as f64 / 320.0
    );
    let trace = "trace of 50 spans, all content";
    let later = format!("{trace}, after a rest");
    long_traces(&store, &source.long, 0, &later, f64::INFINITY);
    read_once(&dir.path().join("store.db"));
    long_traces(&store, &source.long, 1_000, trace, 500.0);
    for (name, field, operator, value) in [
        (
            "page of 50 spans by model",
            "model",
            Operator::Equal,
            "model-3",
        ),
        (
            "page of 50 spans by tag (0.1 %)",
            "tags",
            Operator::Equal,
            "rare",
        ),
        (
            "page of 50 spans by error (1 %)",
            "error_info",
            Operator::IsNotEmpty,
            "",
        ),
    ] {
        ask(name, 3_000.0, 200, |round| {
            let page = block_on(store.search_spans(&query(field, operator, value, round))).unwrap();
            assert!(!page.items.is_empty());
        });
    }
    for (name, text) in [
        ("newest 50 with a frequent word", "con3"),
        ("newest 50 with a rare word", "tion4c4"),
        ("newest 50 with two words", "re5 al11"),
    ] {
        ask(name, 5_000.0, 100, |_| {
            let mut query = SpanQuery::default();
            query.text = Some(text.to_owned());
            query.page = PageRequest::first(50);
            drop(block_on(store.search_spans(&query)).unwrap());
        });
    }

    let mut updated = 0;
    let time = timed(|| {
        for batch in &mut replay {
            for span in &mut batch.spans {
                span.last_updated_at = Some(span.start_time.plus_micros(9_000_000));
            }
            updated += batch.spans.len();
            block_on(store.export(batch)).unwrap();
        }
    });
    println!(
        "upserts       {:.0} spans/s replaced",
        updated as f64 / time.as_secs_f64()
    );
    sustained(
        &store,
        &mut peer,
        &mut source,
        (spans / BATCH / 5).clamp(4, 100),
    );
    pipelined(
        &store,
        &mut peer,
        &mut source,
        (spans / BATCH / 10).clamp(4, 50),
    );
    let small = source.batch(500);
    let times: Vec<Duration> = small
        .spans
        .into_iter()
        .map(|span| {
            let one = Batch::new(Vec::new(), vec![span]);
            timed(|| drop(block_on(store.export(&one)).unwrap()))
        })
        .collect();
    let (p50, p99) = spread(times);
    println!("one span      p50 {p50:.0} us p99 {p99:.0} us a commit");
}
