//! The assistant's server as its users have it: the built program, in a process of its own, beside a
//! made-up Opik and model in this one.
//!
//! ```sh
//! cargo build --release -p opik-cli
//! cargo bench -p opik-server --bench assist -- target/release/opik-rs            # everything but the long run
//! cargo bench -p opik-server --bench assist -- target/release/opik-rs chats      # one of: chats paced streams large
//! cargo bench -p opik-server --bench assist -- target/release/opik-rs chats 500  # so many chats of each kind
//! cargo bench -p opik-server --bench assist -- target/release/opik-rs mixed 600  # seconds
//! SESSION_SERVICE_URI=mysql://... cargo bench ...                                # with a database
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::indexing_slicing,
    reason = "a bench"
)]

mod client;
mod measure;
mod opik;
mod program;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use client::{Asked, ask, get};
use measure::Times;
use program::Program;

/// Chats of one measurement.
const CHATS: usize = 3_000;
const AT_ONCE: usize = 16;
/// What a client waits between two chats, where the server is not to be busy all the time.
const PAUSE: Duration = Duration::from_millis(80);

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let Some(binary) = words.first() else {
        println!(
            "name the program: cargo bench -p opik-server --bench assist -- target/release/opik-rs"
        );
        return;
    };
    let what = words.get(1).map_or("all", String::as_str);
    let number: Option<usize> = words.get(2).and_then(|text| text.parse().ok());
    let seconds = number.map_or(60, |seconds| seconds as u64);
    let count = number.unwrap_or(CHATS);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let opik = opik::start().await;
        for part in ["chats", "paced", "streams", "large", "mixed"] {
            if what != part && (what != "all" || part == "mixed") {
                continue;
            }
            let program = Program::start(binary, &opik).await;
            match part {
                "chats" => chats(&program, &opik, count).await,
                "paced" => paced(&program, &opik, count).await,
                "streams" => streams(&program).await,
                "large" => large(&program).await,
                _ => mixed(&program, Duration::from_secs(seconds)).await,
            }
        }
    });
}

/// So many chats, so many of them at once; each a new conversation, begun a pause after the last one of
/// its client.
async fn many(
    address: &str,
    words: &str,
    chats: usize,
    pause: Duration,
) -> (Times, Times, Duration) {
    let begin = Instant::now();
    let next = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let workers = (0..AT_ONCE).map(|_| {
        let (next, address) = (Arc::clone(&next), address.to_owned());
        let words = words.to_owned();
        tokio::spawn(async move {
            let (mut first, mut whole) = (Vec::new(), Vec::new());
            while next.fetch_add(1, Ordering::Relaxed) < chats {
                tokio::time::sleep(pause).await;
                let asked = ask(&address, &opik::trace("new"), &words).await;
                assert!(asked.is_answered(), "{}", asked.text);
                first.push(asked.first);
                whole.push(asked.whole);
            }
            (first, whole)
        })
    });
    let (mut first, mut whole) = (Vec::new(), Vec::new());
    for done in futures_util::future::join_all(workers).await {
        let (mut some, mut others) = done.unwrap();
        first.append(&mut some);
        whole.append(&mut others);
    }
    (Times::of(first), Times::of(whole), begin.elapsed())
}

async fn chats(program: &Program, opik: &str, count: usize) {
    println!(
        "start to healthz: {:?}, idle: {:.1} MiB",
        program.started,
        program.memory()
    );
    many(&program.address, "Why?", 200.min(count), Duration::ZERO).await;
    for (label, words) in [("plain", "Why?"), ("with a tool call", "[[tool]]")] {
        let before = program.processor();
        let (first, whole, took) = many(&program.address, words, count, Duration::ZERO).await;
        let processor = program.processor() - before;
        println!(
            "{label}: {count} chats, {AT_ONCE} at once: {:.0} a second, first byte {first}, whole {whole}, \
             processor {:.2} ms a chat, {:.1} MiB",
            count as f64 / took.as_secs_f64(),
            processor.as_secs_f64() * 1e3 / count as f64,
            program.memory()
        );
    }
    let own = opik::own(opik, count, AT_ONCE, Duration::ZERO).await;
    println!("the made-up Opik by itself, the same calls: first byte {own}");
}

/// Chats that do not use up the processors: what an answer waits for when it need not wait for others.
async fn paced(program: &Program, opik: &str, count: usize) {
    many(&program.address, "Why?", 200.min(count), Duration::ZERO).await;
    let count = count.min(2_000);
    let (first, whole, took) = many(&program.address, "Why?", count, PAUSE).await;
    println!(
        "{count} chats, {AT_ONCE} clients that wait {PAUSE:?} after each: {:.0} a second, first byte {first}, \
         whole {whole}",
        count as f64 / took.as_secs_f64()
    );
    let own = opik::own(opik, count, AT_ONCE, PAUSE).await;
    println!("the made-up Opik by itself, the same calls at the same pace: first byte {own}");
}

/// A thousand clients that listen to answers that go on.
async fn streams(program: &Program) {
    let before = program.memory();
    let mut open = Vec::new();
    for _ in 0..1_000 {
        let chat = client::open(&program.address, &opik::trace("new"), "[[hang]]").await;
        open.push(chat.unwrap());
    }
    let mut healthz = Vec::new();
    for _ in 0..200 {
        healthz.push(get(&program.address, "/healthz").await.whole);
    }
    println!(
        "1,000 open streams: healthz {}, {:.1} MiB ({before:.1} before), {} files",
        Times::of(healthz),
        program.memory(),
        program.files()
    );
    let (first, _, _) = many(&program.address, "Why?", 500, Duration::ZERO).await;
    println!("500 chats beside them: first byte {first}");
}

/// A chat about a very large trace, and whoever asks for something else meanwhile.
async fn large(program: &Program) {
    let alone = ping(program, None).await;
    let busy = Arc::new(AtomicBool::new(true));
    let (address, running) = (program.address.clone(), Arc::clone(&busy));
    let chat = tokio::spawn(async move {
        let asked: Asked = ask(&address, &opik::trace("big"), "Why?").await;
        running.store(false, Ordering::Relaxed);
        asked
    });
    let beside = ping(program, Some(&busy)).await;
    let asked = chat.await.unwrap();
    assert!(asked.is_answered(), "{}", asked.text);
    println!(
        "20,000 spans: first byte after {:?}, healthz alone {alone}, beside it {beside}, {:.1} MiB",
        asked.first,
        program.memory()
    );
}

async fn ping(program: &Program, busy: Option<&AtomicBool>) -> Times {
    let mut times = Vec::new();
    while times.len() < 500 || busy.is_some_and(|busy| busy.load(Ordering::Relaxed)) {
        times.push(get(&program.address, "/healthz").await.whole);
        tokio::time::sleep(Duration::from_millis(2)).await;
        if busy.is_some_and(|busy| !busy.load(Ordering::Relaxed)) {
            break;
        }
    }
    Times::of(times)
}

/// New and old conversations, histories, deletions and clients that go away.
///
/// A question is refused with 409 while the turn of a client that went away goes on, and a conversation in
/// which nothing was asked has no history (404). Every other status but 200 is an error; the counts tell all.
async fn mixed(program: &Program, time: Duration) {
    let end = Instant::now() + time;
    let workers = (0..AT_ONCE).map(|worker| {
        let address = program.address.clone();
        tokio::spawn(async move {
            let (mut done, mut number) = (BTreeMap::<String, usize>::new(), worker);
            let mut traces: Vec<String> = (0..40).map(|_| opik::trace("mixed")).collect();
            while Instant::now() < end {
                number = number
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let (choice, place) = ((number >> 33) % 10, (number >> 40) % traces.len());
                let trace = traces[place].clone();
                let status = match choice {
                    0..=3 => ask(&address, &trace, "Why?").await.chat_status(),
                    4 => ask(&address, &trace, "[[tool]]").await.chat_status(),
                    // Whoever goes away in mid-answer.
                    5 => match client::open(&address, &trace, "[[slow]]").await {
                        Ok(stream) => {
                            drop(stream);
                            "gone away".to_owned()
                        }
                        Err(told) => client::status(&told),
                    },
                    6 | 7 => {
                        let history = format!("/trace-analyzer/session/{trace}");
                        get(&address, &history).await.status()
                    }
                    8 => {
                        traces[place] = opik::trace("mixed");
                        client::delete(&address, &trace).await.status()
                    }
                    _ => get(&address, "/healthz").await.status(),
                };
                let kind = match choice {
                    0..=5 => "chat",
                    6 | 7 => "history",
                    8 => "deletion",
                    _ => "healthz",
                };
                *done.entry(format!("{kind} {status}")).or_default() += 1;
            }
            for trace in traces {
                client::delete(&address, &trace).await;
            }
            done
        })
    });
    let workers = futures_util::future::join_all(workers);
    tokio::pin!(workers);
    let begin = Instant::now();
    let done = loop {
        tokio::select! {
            done = &mut workers => break done,
            () = tokio::time::sleep(time / 10) => {
                println!("after {:?}: {:.1} MiB, {} files", begin.elapsed(), program.memory(), program.files());
            }
        }
    };
    let mut counts = BTreeMap::<String, usize>::new();
    for (kind, count) in done.into_iter().flat_map(|done| done.unwrap()) {
        *counts.entry(kind).or_default() += count;
    }
    println!(
        "{} requests in {:?}: {counts:?}, at the end {:.1} MiB",
        counts.values().sum::<usize>(),
        begin.elapsed(),
        program.memory()
    );
}
