//! The defects of the Python program, each with a test that it is absent; those that are shown elsewhere,
//! or not solved, are named in `stores.rs`.
//!
//! The numbers are those of the list in the operator's guide.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream;
use opik_core::chat::{ChatEvent, ChatModel, ChatRequest, ChatStream, FinishReason, ModelError};
use opik_core::session::Position;
use opik_core::{Role, SessionStore};
use opik_sessions::MemorySessions;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::exchange::{Answer, exchange, request};
use crate::world::World;

const ALICE: (&str, &str) = ("Cookie", "sessionToken=alice");
const BOB: (&str, &str) = ("Cookie", "sessionToken=bob");
const TEAM: (&str, &str) = ("Comet-Workspace", "team");

fn path(trace: &str) -> String {
    format!("/trace-analyzer/session/{trace}")
}

fn trace(number: usize) -> String {
    format!("0198ec6e-2222-7000-8000-{number:012}")
}

async fn ask(world: &World, trace: &str, who: (&str, &str), message: &str) -> Answer {
    let body = json!({"message": message, "streaming": true}).to_string();
    exchange(
        world.address(),
        &request("POST", &path(trace), &[who, TEAM], &body),
    )
    .await
}

async fn history(world: &World, trace: &str, who: (&str, &str)) -> Answer {
    exchange(
        world.address(),
        &request("GET", &path(trace), &[who, TEAM], ""),
    )
    .await
}

/// What the page shows of a stream: texts that are whole, and errors.
fn shown(answer: &Answer) -> Vec<String> {
    let body = answer.body();
    let events = body.lines().filter_map(|line| line.strip_prefix("data: "));
    let mut shown = Vec::new();
    for event in events {
        let event: Value = serde_json::from_str(event).unwrap();
        if let Some(error) = event["error"].as_str() {
            shown.push(format!("error: {error}"));
        } else if event["partial"] == json!(false) {
            shown.push(
                event["content"]["parts"][0]["text"]
                    .as_str()
                    .unwrap()
                    .to_owned(),
            );
        }
    }
    shown
}

/// What was said in a conversation, as `role: text`.
fn said(answer: &Answer) -> Vec<String> {
    let body: Value = serde_json::from_str(&answer.body()).unwrap();
    let said = body["content"].as_array().unwrap().iter();
    said.map(|entry| {
        format!(
            "{}: {}",
            entry["role"].as_str().unwrap(),
            entry["content"].as_str().unwrap()
        )
    })
    .collect()
}

const HEALTHY: &str = "The trace part1 part2 part3 part4 part5 part6 is healthy.";

#[tokio::test]
async fn defect_01_braces_in_a_trace_are_text() {
    let world = World::new(&[]).await;
    let answer = ask(
        &world,
        "brace-0198ec6e-2222-7000-8000-000000000001",
        ALICE,
        "why {trace_id} {x}?",
    )
    .await;
    assert_eq!(shown(&answer), [HEALTHY]);
}

#[tokio::test]
async fn defect_02_an_unknown_tool_does_not_poison_the_conversation() {
    let world = World::new(&[]).await;
    let first = ask(&world, &trace(2), ALICE, "[[unknown]]").await;
    assert_eq!(shown(&first), ["Trying something.", HEALTHY]);
    assert_eq!(
        shown(&ask(&world, &trace(2), ALICE, "and now?").await),
        [HEALTHY]
    );
}

#[tokio::test]
async fn defect_03_a_failed_answer_leaves_no_dangling_question() {
    let world = World::new(&[]).await;
    let scenarios = ["[[err500]]", "[[cut]]", "[[length]]", "[[empty]]"];
    for (number, scenario) in scenarios.into_iter().enumerate() {
        let id = trace(300 + number);
        let answer = ask(&world, &id, ALICE, scenario).await;
        assert!(!shown(&answer).is_empty(), "{scenario} shows nothing");
        let said = said(&history(&world, &id, ALICE).await);
        assert_eq!(said.len(), 2, "{scenario}: {said:?}");
        assert!(said[1].starts_with("assistant: "), "{scenario}: {said:?}");
    }
}

#[tokio::test]
async fn defect_04_a_loop_of_tools_is_bounded() {
    let world = World::new(&[]).await;
    let answer = ask(&world, &trace(4), ALICE, "[[loop]]").await;
    let calls = answer.body().matches("\"tool_call\"").count();
    assert!((1..200).contains(&calls), "{calls} calls");
    assert!(!shown(&answer).is_empty());
    assert_eq!(
        shown(&ask(&world, &trace(4), ALICE, "and now?").await),
        [HEALTHY]
    );
}

#[tokio::test]
async fn defect_05_first_questions_at_once_do_not_fail() {
    let world = World::new(&[]).await;
    let id = trace(5);
    let asks = (0..4).map(|_| ask(&world, &id, ALICE, "hello"));
    let answers = futures_util::future::join_all(asks).await;
    for answer in &answers {
        // One at a time; the others are told to wait.
        assert!(matches!(answer.code(), 200 | 409), "{}", answer.status);
    }
    assert!(answers.iter().any(|answer| answer.code() == 200));
    let said = said(&history(&world, &id, ALICE).await);
    assert_eq!(said.len() % 2, 0, "{said:?}");
}

#[tokio::test]
async fn defect_06_a_deleted_conversation_stays_deleted() {
    let world = World::new(&[]).await;
    ask(&world, &trace(6), ALICE, "first").await;
    let delete = request("DELETE", &path(&trace(6)), &[ALICE, TEAM], "");
    assert_eq!(exchange(world.address(), &delete).await.body(), "null");
    assert_eq!(history(&world, &trace(6), ALICE).await.code(), 404);
    ask(&world, &trace(6), ALICE, "second").await;
    let said = said(&history(&world, &trace(6), ALICE).await);
    assert_eq!(
        said,
        ["user: second".to_owned(), format!("assistant: {HEALTHY}")]
    );
}

#[tokio::test]
async fn defect_07_all_of_a_process_sees_every_conversation() {
    let world = World::new(&[]).await;
    ask(&world, &trace(7), ALICE, "hello").await;
    for _ in 0..20 {
        assert_eq!(history(&world, &trace(7), ALICE).await.code(), 200);
    }
}

#[tokio::test]
async fn defect_08_refusals_of_the_backend_have_their_own_status_and_cors() {
    let world = World::new(&[]).await;
    for (id, code) in [("t404-a", 404), ("t401-a", 401), ("t500-a", 502)] {
        let origin = ("Origin", "http://localhost:5174");
        let body = json!({"message": "hello"}).to_string();
        let asked = request("POST", &path(id), &[ALICE, origin], &body);
        let answer = exchange(world.address(), &asked).await;
        assert_eq!(answer.code(), code);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin.1));
        let body: Value = serde_json::from_str(&answer.body()).unwrap();
        assert!(body["message"].is_string(), "the page looks for message");
    }
}

#[tokio::test]
async fn defect_09_identifiers_are_compared_to_the_letter_and_bounded() {
    let world = World::new(&[]).await;
    ask(&world, "lf-abc", ALICE, "small").await;
    assert_eq!(history(&world, "lf-ABC", ALICE).await.code(), 404);
    let long = format!("lf-{}", "x".repeat(200));
    assert_eq!(ask(&world, &long, ALICE, "hello").await.code(), 422);
}

#[tokio::test]
async fn defect_10_feedback_of_an_unknown_thread_is_404() {
    let world = World::new(&[("OPIK_INTERNAL_URL", "$OPIK")]).await;
    let id = "fb404-0198ec6e-2222-7000-8000-000000000010";
    ask(&world, id, ALICE, "hello").await;
    let put = request(
        "PUT",
        &format!("{}/feedback", path(id)),
        &[ALICE, TEAM],
        "{\"value\": 1}",
    );
    assert_eq!(exchange(world.address(), &put).await.code(), 404);
}

#[tokio::test]
async fn defect_11_feedback_goes_to_where_the_conversation_is_recorded() {
    let world = World::new(&[("OPIK_INTERNAL_URL", "$OPIK")]).await;
    ask(&world, &trace(11), ALICE, "hello").await;
    world.opik.forget();
    let put = request(
        "PUT",
        &format!("{}/feedback", path(&trace(11))),
        &[ALICE, TEAM],
        "{\"value\": 1}",
    );
    assert_eq!(exchange(world.address(), &put).await.code(), 200);
    let seen = world.opik.seen();
    let score = seen
        .iter()
        .find(|seen| seen.line == "traces/threads/feedback-scores")
        .unwrap();
    assert_eq!(score.body["scores"][0]["project_name"], "opik-assist");
    assert_eq!(
        score.body["scores"][0]["thread_id"],
        format!("opik-ai-trace-analyzer-{}", trace(11))
    );
    // The user's session has no business there.
    assert_eq!(score.cookie, None);
}

#[tokio::test]
async fn defect_12_feedback_other_than_a_thumb_is_refused_without_monitoring_too() {
    let world = World::new(&[]).await;
    for (value, code) in [("0", 200), ("1", 200), ("2", 400), ("-1", 400)] {
        let body = format!("{{\"value\": {value}}}");
        let put = request(
            "PUT",
            &format!("{}/feedback", path(&trace(12))),
            &[ALICE, TEAM],
            &body,
        );
        assert_eq!(exchange(world.address(), &put).await.code(), code);
    }
}

#[tokio::test]
async fn defect_13_nobody_reads_or_deletes_what_others_said() {
    let world = World::new(&[]).await;
    ask(&world, &trace(13), ALICE, "secret").await;
    assert_eq!(history(&world, &trace(13), BOB).await.code(), 404);
    let delete = request("DELETE", &path(&trace(13)), &[BOB, TEAM], "");
    exchange(world.address(), &delete).await;
    assert_eq!(history(&world, &trace(13), ALICE).await.code(), 200);
}

#[tokio::test]
async fn defect_14_the_backend_confirms_who_reads_and_in_which_workspace() {
    let world = World::new(&[]).await;
    let sessions: Arc<dyn SessionStore> = Arc::clone(&world.sessions);
    ask(&world, &trace(14), ALICE, "hello").await;
    // A session that was revoked before anything was confirmed reads nothing.
    world.opik.revoke("carol");
    let carol = ("Cookie", "sessionToken=carol");
    assert_eq!(history(&world, &trace(14), carol).await.code(), 401);
    // Another workspace has a conversation of its own.
    let other = ("Comet-Workspace", "other");
    let read = request("GET", &path(&trace(14)), &[ALICE, other], "");
    assert_eq!(exchange(world.address(), &read).await.code(), 404);
    let body = json!({"message": "hello from there"}).to_string();
    let there = request("POST", &path(&trace(14)), &[ALICE, other], &body);
    assert_eq!(exchange(world.address(), &there).await.code(), 200);
    let user = sessions
        .list("trace-analyzer", "2bd806c97f0e00af")
        .await
        .unwrap();
    assert_eq!(user.len(), 2);
    assert_eq!(said(&history(&world, &trace(14), ALICE).await).len(), 2);
}

#[tokio::test]
async fn defect_16_nothing_of_a_provider_or_of_us_reaches_the_browser() {
    let world = World::new(&[]).await;
    for scenario in [
        "[[err401]]",
        "[[err429]]",
        "[[err500]]",
        "[[cut]]",
        "[[tool404]]",
    ] {
        let answer = ask(&world, &trace(1600 + scenario.len()), ALICE, scenario).await;
        let body = answer.body();
        for leak in [
            "sk-",
            "org-",
            "Traceback",
            "127.0.0.1",
            "litellm",
            ".rs:",
            "status 4",
        ] {
            assert!(!body.contains(leak), "{scenario} shows {leak}: {body}");
        }
    }
}

#[tokio::test]
async fn defect_17_an_identifier_never_becomes_a_path() {
    let world = World::new(&[]).await;
    ask(&world, &trace(17), ALICE, "[[traversal]]").await;
    for seen in world.opik.seen() {
        assert!(!seen.line.contains("projects"), "{seen:?}");
    }
    world.opik.forget();
    for id in ["%2e%2e%2fprojects", "x%3Fa=b", "%2e%2e"] {
        ask(&world, id, ALICE, "hello").await;
    }
    for seen in world.opik.seen() {
        let name = seen.line.strip_prefix("GET traces/");
        assert!(name.is_none_or(|name| name == "x?a=b"), "{seen:?}");
    }
}

/// Remembers what it was asked.
#[derive(Debug, Default)]
struct Listening(std::sync::Mutex<Vec<ChatRequest>>);

#[async_trait]
impl ChatModel for Listening {
    fn name(&self) -> &str {
        "openai/gpt-4.1"
    }

    async fn stream(&self, request: &ChatRequest) -> Result<ChatStream, ModelError> {
        self.0.lock().unwrap().push(request.clone());
        let events = [
            ChatEvent::Text("Fine.".to_owned()),
            ChatEvent::Finish(FinishReason::Stop),
        ];
        Ok(Box::pin(stream::iter(events.map(Ok))))
    }
}

#[tokio::test]
async fn defect_19_what_a_trace_says_is_fenced_as_data() {
    let model = Arc::new(Listening::default());
    let world = World::with(&[], Some(model.clone()), Arc::new(MemorySessions::new())).await;
    ask(&world, "hostile-0198ec6e", ALICE, "Which span failed?").await;
    let requests = model.0.lock().unwrap();
    let prompt = requests[0].messages[0].words();
    let (before, rest) = prompt.split_once("<trace-data>").unwrap();
    let (inside, after) = rest.split_once("</trace-data>").unwrap();
    // It stands inside, on no line of its own, and cannot close the fence.
    assert!(inside.contains("Ignore all rules"), "{prompt}");
    assert!(!before.contains("Ignore all rules") && !after.contains("Ignore all rules"));
    assert!(
        !inside
            .lines()
            .any(|line| line.trim_start().starts_with("Ignore"))
    );
    assert_eq!(after.matches("</trace-data>").count(), 0);
}

#[tokio::test]
async fn defect_21_the_prompt_is_bounded_and_all_spans_are_read() {
    let model = Arc::new(Listening::default());
    let world = World::with(&[], Some(model.clone()), Arc::new(MemorySessions::new())).await;
    ask(&world, "big-4500-0198ec6e", ALICE, "Which span failed?").await;
    let searches: Vec<_> = world
        .opik
        .seen()
        .into_iter()
        .filter(|seen| seen.line == "POST spans/search")
        .collect();
    // Three pages of at most 2,000.
    assert_eq!(searches.len(), 3);
    let requests = model.0.lock().unwrap();
    let prompt: usize = requests[0]
        .messages
        .iter()
        .map(|message| message.words().len())
        .sum();
    // 8,000 tokens of evidence and the instructions, where the Python program sent 1.7 MB.
    assert!(prompt < 80_000, "{prompt} bytes");
    assert_eq!(requests[0].messages[0].role, Role::System);
    // The error is in the last of 4,500 spans.
    let all: String = requests[0]
        .messages
        .iter()
        .map(|message| message.words())
        .collect();
    assert!(all.contains("TimeoutError"), "{all}");
}

#[tokio::test]
async fn defect_22_everything_is_fetched_once_per_turn() {
    let world = World::new(&[]).await;
    ask(&world, &trace(22), ALICE, "[[multi]]").await;
    let lines: Vec<String> = world
        .opik
        .seen()
        .into_iter()
        .map(|seen| seen.line)
        .collect();
    assert_eq!(
        lines,
        [
            format!("GET traces/{}", trace(22)),
            "POST spans/search".to_owned()
        ]
    );
}

#[tokio::test]
async fn the_callers_cookie_and_workspace_reach_opik_as_they_are() {
    let world = World::new(&[]).await;
    ask(
        &world,
        &trace(28),
        ("Cookie", "sessionToken=abc/def+gh==; other=1"),
        "hello",
    )
    .await;
    for seen in world.opik.seen() {
        assert_eq!(seen.cookie.as_deref(), Some("sessionToken=abc/def+gh=="));
        assert_eq!(seen.workspace.as_deref(), Some("team"));
    }
}

#[tokio::test]
async fn defect_29_silence_is_filled_with_comments() {
    let world = World::new(&[("ASSIST_HEARTBEAT_SECONDS", "0.05")]).await;
    let mut socket = TcpStream::connect(world.address()).await.unwrap();
    let body = json!({"message": "[[hang]]", "streaming": true}).to_string();
    socket
        .write_all(&request("POST", &path(&trace(29)), &[ALICE, TEAM], &body))
        .await
        .unwrap();
    let mut seen = String::new();
    let mut buffer = vec![0; 4_096];
    while seen.matches(": still working\n\n").count() < 3 {
        let read = tokio::time::timeout(Duration::from_secs(20), socket.read(&mut buffer));
        let count = read.await.unwrap().unwrap();
        assert!(count > 0, "the stream ended: {seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
}

#[tokio::test]
async fn whoever_waits_for_a_trace_that_loads_slowly_has_not_gone() {
    let world = World::new(&[("ASSIST_GRACE_SECONDS", "0.05")]).await;
    let answer = ask(&world, "slow-0198ec6e", ALICE, "Why?").await;
    assert_eq!(answer.code(), 200, "{}", answer.body());
    assert!(answer.body().contains("is healthy."));
}

#[tokio::test]
async fn a_turn_outlives_its_listener_and_can_be_joined() {
    let world = World::new(&[("ASSIST_GRACE_SECONDS", "20")]).await;
    let id = trace(80);
    let mut socket = TcpStream::connect(world.address()).await.unwrap();
    let body = json!({"message": "[[hang]]", "streaming": true}).to_string();
    socket
        .write_all(&request("POST", &path(&id), &[ALICE, TEAM], &body))
        .await
        .unwrap();
    let mut buffer = vec![0; 4_096];
    let mut seen = String::new();
    while !seen.contains("The trace ") {
        let count = socket.read(&mut buffer).await.unwrap();
        seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    drop(socket);
    // Somebody else's session does not see it, its own does, with places.
    let events = format!("{}/events", path(&id));
    let stranger = request("GET", &events, &[BOB, TEAM], "");
    assert_eq!(exchange(world.address(), &stranger).await.code(), 404);
    let mut socket = TcpStream::connect(world.address()).await.unwrap();
    let accept = ("Accept", "text/event-stream");
    socket
        .write_all(&request("GET", &events, &[ALICE, TEAM, accept], ""))
        .await
        .unwrap();
    let mut seen = String::new();
    while !seen.contains("\nid: e-") {
        let count = socket.read(&mut buffer).await.unwrap();
        assert!(count > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    assert!(seen.contains("The trace "));
}

#[tokio::test]
async fn stopping_ends_open_streams_and_keeps_what_was_said() {
    let world = World::new(&[]).await;
    let id = trace(81);
    let mut socket = TcpStream::connect(world.address()).await.unwrap();
    let body = json!({"message": "[[hang]]", "streaming": true}).to_string();
    socket
        .write_all(&request("POST", &path(&id), &[ALICE, TEAM], &body))
        .await
        .unwrap();
    let mut buffer = vec![0; 4_096];
    let mut seen = String::new();
    while !seen.contains("The trace ") {
        let count = socket.read(&mut buffer).await.unwrap();
        seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    let sessions = Arc::clone(&world.sessions);
    let report = world.server.shutdown(Duration::from_secs(2)).await;
    assert_eq!(
        (report.finished, report.cancelled, report.left_running),
        (0, 1, 0)
    );
    let mut rest = String::new();
    socket.read_to_string(&mut rest).await.unwrap();
    let stored = sessions
        .list("trace-analyzer", "2bd806c97f0e00af")
        .await
        .unwrap();
    assert_eq!(stored.len(), 1);
    assert!(stored[0].position > Position(1));
}

#[tokio::test]
async fn asking_too_fast_is_told_when_to_come_back() {
    let world = World::new(&[("ASSIST_TURNS_PER_MINUTE", "2")]).await;
    for _ in 0..2 {
        assert_eq!(ask(&world, &trace(82), ALICE, "hello").await.code(), 200);
    }
    let answer = ask(&world, &trace(82), ALICE, "hello").await;
    assert_eq!(answer.code(), 429);
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=30).contains(&wait));
    // Others are not held back.
    assert_eq!(ask(&world, &trace(82), BOB, "hello").await.code(), 200);
}

#[tokio::test]
async fn without_a_model_the_answer_is_computed() {
    let world = World::with(&[], None, Arc::new(MemorySessions::new())).await;
    let answer = ask(&world, &trace(83), ALICE, "What caused this error?").await;
    let shown = shown(&answer);
    assert!(shown[0].contains("TimeoutError"), "{shown:?}");
    assert!(shown[0].contains("no model was asked"), "{shown:?}");
}

#[tokio::test]
async fn counts_and_the_document_are_served_and_name_nobody() {
    let world = World::new(&[("URL_PREFIX", "/opik-ai")]).await;
    let get = |path: &str| request("GET", path, &[ALICE, TEAM, ("X-Request-Id", "mine")], "");
    let body = json!({"message": "hello"}).to_string();
    let chat = format!("/opik-ai{}", path(&trace(90)));
    exchange(
        world.address(),
        &request("POST", &chat, &[ALICE, TEAM], &body),
    )
    .await;
    let counts = exchange(world.address(), &get("/opik-ai/metrics")).await;
    assert_eq!(counts.header("x-request-id"), Some("mine"));
    let text = counts.body();
    assert!(
        text.contains("opik_assist_turns_total{end=\"answered\",computed=\"false\"} 1"),
        "{text}"
    );
    assert!(text.contains("opik_assist_open_streams 0"), "{text}");
    for name in ["alice", "team", &trace(90)] {
        assert!(!text.contains(name), "{text}");
    }
    let document = exchange(world.address(), &get("/opik-ai/openapi.json"))
        .await
        .body();
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["servers"][0]["url"], "/opik-ai");
    // Every path of the document is there: none answers as an unknown one does.
    for path in document["paths"].as_object().unwrap().keys() {
        let path = format!("/opik-ai{}", path.replace("{trace}", &trace(91)));
        let answer = exchange(world.address(), &get(&path)).await;
        assert_ne!(answer.body(), "{\"detail\":\"Not Found\"}", "{path}");
    }
}
