//! What official clients sent, sent again: statuses and bodies are those that were recorded.
//!
//! Identifiers that the server makes and moments are not compared; an identifier that differs is
//! remembered and put into later requests. Empty lists count as absent. A cost that was not
//! recorded may be there, since this server has prices.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use opik_server::ServerConfig;
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::running::TestServer;

#[derive(Deserialize)]
struct Exchange {
    method: String,
    path: String,
    query: HashMap<String, String>,
    headers: Vec<(String, String)>,
    body: Value,
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    status: u16,
    body: Value,
}

fn capture(name: &str) -> Vec<Exchange> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/opik-wire")
        .join(format!("{name}.jsonl.gz"));
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Identifiers that were recorded, and ours.
#[derive(Default)]
struct Known(HashMap<String, String>);

fn is_id(text: &str) -> bool {
    text.len() == 36 && text.bytes().filter(|byte| *byte == b'-').count() == 4
}

fn is_same_moment(left: &str, right: &str) -> bool {
    let parse = |text: &str| text.parse::<opik_core::Timestamp>().ok();
    parse(left).is_some_and(|left| Some(left) == parse(right))
}

impl Known {
    fn ours(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (recorded, ours) in &self.0 {
            text = text.replace(recorded, ours);
        }
        text
    }

    /// What differs between a recorded body and ours; empty when nothing does.
    fn compare(&mut self, at: &str, recorded: &Value, ours: &Value, out: &mut Vec<String>) {
        const MOMENTS: [&str; 2] = ["created_at", "last_updated_at"];
        match (recorded, ours) {
            (Value::Object(left), Value::Object(right)) => {
                for (name, value) in left {
                    let empty = value.as_array().is_some_and(Vec::is_empty) || value.is_null();
                    if MOMENTS.contains(&name.as_str()) || name == "sortableBy" || empty {
                        continue;
                    }
                    let other = right.get(name).unwrap_or(&Value::Null);
                    self.compare(&format!("{at}.{name}"), value, other, out);
                }
                for name in right.keys().filter(|name| !left.contains_key(*name)) {
                    let value = &right[name];
                    let empty = value.as_array().is_some_and(Vec::is_empty);
                    let allowed = [
                        "sortableBy",
                        "total_estimated_cost",
                        "total_estimated_cost_version",
                    ];
                    if !empty && !allowed.contains(&name.as_str()) {
                        out.push(format!("{at}.{name} is {value}, and was absent"));
                    }
                }
            }
            (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
                for (number, (left, right)) in left.iter().zip(right).enumerate() {
                    self.compare(&format!("{at}[{number}]"), left, right, out);
                }
            }
            (Value::Number(left), Value::Number(right)) => {
                let (left, right) = (left.as_f64().unwrap(), right.as_f64().unwrap());
                if (left - right).abs() > 1e-6 {
                    out.push(format!("{at} is {right}, was {left}"));
                }
            }
            (Value::String(left), Value::String(right)) if is_id(left) && is_id(right) => {
                let expected = self.0.entry(left.clone()).or_insert_with(|| right.clone());
                if expected != right {
                    out.push(format!("{at} is {right}, was {left}, expected {expected}"));
                }
            }
            (Value::String(left), Value::String(right))
                if self.ours(left) == *right || is_same_moment(left, right) => {}
            _ if recorded == ours => {}
            _ => out.push(format!("{at} is {ours}, was {recorded}")),
        }
    }
}

/// Replays a capture. `left_over` is how many records of an earlier run the recorded server had.
async fn replay(server: &TestServer, name: &str, left_over: u64) -> Vec<String> {
    let mut known = Known::default();
    let mut wrong = Vec::new();
    for (number, exchange) in capture(name).into_iter().enumerate() {
        // Long bodies were not recorded whole.
        if exchange.body.get("_truncated").is_some() {
            continue;
        }
        let place = format!("{name} {number}: {} {}", exchange.method, exchange.path);
        let method = Method::from_bytes(exchange.method.as_bytes()).unwrap();
        let query: HashMap<_, _> = exchange
            .query
            .iter()
            .map(|(name, value)| (name, known.ours(value)))
            .collect();
        let mut url = reqwest::Url::parse(&server.url(&known.ours(&exchange.path))).unwrap();
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = server.client.request(method, url);
        for (name, value) in &exchange.headers {
            // The bodies were recorded as they were before compression.
            if !name.eq_ignore_ascii_case("content-encoding") {
                request = request.header(name, value);
            }
        }
        let body = match &exchange.body {
            Value::Null => Vec::new(),
            Value::Object(file) if file.contains_key("_bytes") => {
                let size = usize::try_from(file["_bytes"].as_u64().unwrap()).unwrap();
                vec![b'x'; size]
            }
            other => known.ours(&other.to_string()).into_bytes(),
        };
        let answer = request.body(body).send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        if status != exchange.response.status {
            wrong.push(format!(
                "{place}: {status}, was {}: {text}",
                exchange.response.status
            ));
            continue;
        }
        let recorded = &exchange.response.body;
        let mut differences = Vec::new();
        if let Some(lines) = recorded.get("_ndjson_lines") {
            let ours: Vec<&str> = text.split_terminator("\r\n").collect();
            let extra = lines.as_u64().unwrap().checked_sub(ours.len() as u64);
            if extra.is_none_or(|extra| extra > left_over) {
                differences.push(format!("{} lines, were {lines}", ours.len()));
            } else if let Some(first) = recorded["_first"]
                .as_str()
                .filter(|line| line.ends_with('\n') && !ours.is_empty())
            {
                let recorded = serde_json::from_str(first).unwrap();
                let ours = serde_json::from_str(ours[0]).unwrap();
                known.compare("line 1", &recorded, &ours, &mut differences);
            }
        } else if status < 400 && recorded.get("_raw_bytes").is_none() {
            let ours = serde_json::from_str(&text).unwrap_or(Value::Null);
            known.compare("body", recorded, &ours, &mut differences);
        }
        wrong.extend(differences.into_iter().map(|it| format!("{place}: {it}")));
    }
    wrong
}

/// Replays a capture; what differs has to be one of the differences that are on purpose.
async fn equal(name: &str, left_over: u64, on_purpose: &[&str]) {
    let server = TestServer::with(ServerConfig::default().any_workspace(true)).await;
    let mut wrong = replay(&server, name, left_over).await;
    wrong.retain(|it| !on_purpose.iter().any(|known| it.contains(known)));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The recorded server lost the rows of two traces, whose patches came first; this one does not.
#[tokio::test]
async fn s05_threads() {
    let more = [
        "line 1.duration",
        "line 1.first_message.q",
        "line 1.number_of_messages",
        "line 1.start_time",
    ];
    equal("s05_threads", 0, &more).await;
}

/// The recorded server had three traces of an earlier run.
#[tokio::test]
async fn s10_search() {
    equal("s10_search", 3, &[]).await;
}

/// The recorded server made its default project later.
#[tokio::test]
async fn s12_configure() {
    equal("s12_configure", 0, &["/v1/private/projects: body."]).await;
}

macro_rules! captures {
    ($($name:ident),+ $(,)?) => { $(
        #[tokio::test]
        async fn $name() {
            equal(stringify!($name), 0, &[]).await;
        }
    )+ };
}

captures!(
    f10_after_restart,
    f13_track_disable,
    f14_apikey,
    f17_nonuuid7,
    f18_odd_payloads,
    f19_odd_read,
    s01_track,
    s01b_track_long,
    s02_manual_batch,
    s03_manual_nobatch,
    s04_feedback,
    s06_attachments,
    s13_healthcheck,
    s15_urls,
    s16_span_only,
    ts01_trace_span,
    ts02_track,
);
