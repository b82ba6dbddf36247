//! Defects of the Python program that have to do with where things are kept.
//!
//! Those that are shown in other crates:
//!
//! | defect | test |
//! |---|---|
//! | 18: pickles that run code | opik-sessions: `defect_18_a_pickle_that_would_call_a_function_is_not_read` |
//! | 24: memory and start | opik-cli: `defect_24_an_idle_assistant_is_small`; the start is measured |
//! | 25: races of tables | opik-sessions: `defect_25_eight_processes_start_at_once_on_an_empty_database` |
//! | 27: one provider only | opik-models: `defect_27_models_of_every_provider_go_through_the_proxy_by_bare_names` |
//! | 28: no usage | opik-models: `defect_28_token_counts_are_asked_for_and_a_refusal_costs_no_answer`, and here in `monitoring.rs` |

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use opik_core::SessionStore;
use opik_core::session::{Event, Position, Session, SessionError, SessionKey, State};
use opik_sessions::{MemorySessions, Retention, SessionOptions, Sessions};
use serde_json::json;
use tokio::sync::Notify;

use crate::exchange::{Answer, exchange, request};
use crate::model::Scripted;
use crate::opik::Opik;
use crate::world::World;

const PATH: &str = "/trace-analyzer/session/0198ec6e-2222-7000-8000-000000000600";

async fn send(world: &World, method: &str, path: &str, token: &str, body: &str) -> Answer {
    let cookie = format!("sessionToken={token}");
    let asked = request(method, path, &[("Cookie", &cookie)], body);
    exchange(world.address(), &asked).await
}

fn question(words: &str) -> String {
    json!({"message": words, "streaming": true}).to_string()
}

#[tokio::test]
async fn defect_15_what_an_old_session_said_can_be_removed() {
    let sessions = Arc::new(MemorySessions::new());
    let world = World::with(&[], Some(Arc::new(Scripted)), sessions.clone()).await;
    send(&world, "POST", PATH, "before", &question("hello")).await;
    // Opik does not tell that it is the same person.
    assert_eq!(send(&world, "GET", PATH, "after", "").await.code(), 404);
    send(&world, "POST", PATH, "after", &question("hello")).await;
    let pruned = sessions.prune(&Retention::new().older_than(Duration::ZERO));
    assert_eq!(pruned.sessions, 2);
    assert_eq!(send(&world, "GET", PATH, "before", "").await.code(), 404);
}

#[tokio::test]
async fn defect_15_who_signs_in_anew_finds_what_was_said() {
    let world = World::new(&[("ASSIST_USER_HEADER", "X-Forwarded-User")]).await;
    let ask = |method: &'static str, token: &'static str, user: &'static str| {
        let cookie = format!("sessionToken={token}");
        let mut headers = vec![("Cookie", cookie.as_str())];
        if !user.is_empty() {
            headers.push(("x-forwarded-user", user));
        }
        let body = if method == "POST" {
            question("hello")
        } else {
            String::new()
        };
        let request = request(method, PATH, &headers, &body);
        let address = world.address();
        async move { exchange(address, &request).await }
    };
    // Before there was a sign-in that names users, and as the Python program has it.
    assert_eq!(ask("POST", "first", "").await.code(), 200);
    let before = ask("GET", "first", "").await.body();
    assert_eq!(ask("GET", "second", "ann").await.code(), 404);
    // The old name is still found, and from then on the user is known by the new one.
    assert_eq!(ask("GET", "first", "ann").await.body(), before);
    assert_eq!(ask("GET", "second", "ann").await.body(), before);
    assert_eq!(ask("GET", "first", "").await.code(), 404);
    assert_eq!(ask("POST", "third", "ann").await.code(), 200);
    assert_eq!(ask("GET", "third", "bob").await.code(), 404);
    assert!(ask("GET", "fourth", "ann").await.body().len() > before.len());
    assert_eq!(ask("DELETE", "fifth", "ann").await.code(), 200);
    for token in ["first", "second", "third"] {
        assert_eq!(ask("GET", token, "ann").await.code(), 404);
    }
}

#[tokio::test]
async fn defect_15_nobody_takes_over_what_people_without_a_session_said() {
    let world = World::new(&[("ASSIST_USER_HEADER", "X-Forwarded-User")]).await;
    let anonymous = request("POST", PATH, &[], &question("hello"));
    assert_eq!(exchange(world.address(), &anonymous).await.code(), 200);
    let ann = request("GET", PATH, &[("X-Forwarded-User", "ann")], "");
    assert_eq!(exchange(world.address(), &ann).await.code(), 404);
    let anonymous = request("GET", PATH, &[], "");
    assert_eq!(exchange(world.address(), &anonymous).await.code(), 200);
}

#[tokio::test]
async fn defect_20_nothing_that_was_said_is_sent_to_another_workspace() {
    let (internal, url) = Opik::start().await;
    let world = World::new(&[("OPIK_INTERNAL_URL", &url)]).await;
    let answer = send(
        &world,
        "POST",
        PATH,
        "alice",
        &question("a secret question"),
    )
    .await;
    assert!(answer.body().contains("is healthy."));
    assert!(internal.seen().is_empty(), "{:?}", internal.seen());
    let thumb = format!("{PATH}/feedback");
    let put = send(&world, "PUT", &thumb, "alice", "{\"value\": 1}").await;
    assert_eq!(put.code(), 200);
    // The thumb is, and what it says is about the thread alone.
    assert!(!internal.seen().is_empty());
    for seen in internal.seen() {
        let body = seen.body.to_string();
        assert!(
            !body.contains("secret") && !body.contains("healthy"),
            "{body}"
        );
        assert_eq!(seen.cookie, None);
    }
}

/// Never answers; tells when it was asked.
#[derive(Debug, Default)]
struct Stuck(Arc<Notify>);

impl Stuck {
    async fn wait<T>(&self) -> T {
        self.0.notify_one();
        std::future::pending().await
    }
}

#[async_trait]
impl SessionStore for Stuck {
    async fn create(&self, _: &SessionKey, _: &State) -> Result<Session, SessionError> {
        self.wait().await
    }

    async fn session(&self, _: &SessionKey) -> Result<Option<Session>, SessionError> {
        self.wait().await
    }

    async fn append(
        &self,
        _: &SessionKey,
        _: Position,
        _: &[Event],
    ) -> Result<Position, SessionError> {
        self.wait().await
    }

    async fn events(
        &self,
        _: &SessionKey,
        _: Position,
        _: usize,
    ) -> Result<Vec<Event>, SessionError> {
        self.wait().await
    }

    async fn list(&self, _: &str, _: &str) -> Result<Vec<Session>, SessionError> {
        self.wait().await
    }

    async fn delete(&self, _: &SessionKey) -> Result<bool, SessionError> {
        self.wait().await
    }
}

// One thread: whatever blocks it blocks everything.
#[tokio::test(flavor = "current_thread")]
async fn defect_23_a_store_that_does_not_answer_holds_up_nothing_else() {
    let asked = Arc::new(Notify::new());
    let sessions = Arc::new(Stuck(Arc::clone(&asked)));
    let world = World::with(&[], Some(Arc::new(Scripted)), sessions).await;
    let body = question("hello");
    let waiting = send(&world, "POST", PATH, "alice", &body);
    let others = async {
        asked.notified().await;
        for path in ["/healthz", "/metrics", "/openapi.json"] {
            assert_eq!(send(&world, "GET", path, "alice", "").await.code(), 200);
        }
        // Whoever asks whether it can work is told, after a while.
        assert_eq!(send(&world, "GET", "/ready", "alice", "").await.code(), 503);
    };
    tokio::select! {
        answer = waiting => panic!("answered without a store: {answer:?}"),
        () = others => {}
    }
}

#[tokio::test]
async fn defect_26_the_server_starts_without_its_database() {
    // A port that nobody listens on.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let uri = format!("mysql://opik:opik@127.0.0.1:{port}/opik");
    let begin = Instant::now();
    let sessions = Sessions::lazy(&uri, SessionOptions::new()).unwrap();
    let world = World::with(&[], Some(Arc::new(Scripted)), Arc::new(sessions)).await;
    assert_eq!(
        send(&world, "GET", "/healthz", "alice", "").await.code(),
        200
    );
    assert_eq!(send(&world, "GET", "/ready", "alice", "").await.code(), 503);
    let answer = send(&world, "POST", PATH, "alice", &question("hello")).await;
    assert_eq!(answer.code(), 503, "{}", answer.body());
    assert!(!answer.body().contains(&uri) && !answer.body().contains("127.0.0.1"));
    assert!(begin.elapsed() < Duration::from_secs(60));
}
