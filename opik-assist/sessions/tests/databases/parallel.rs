//! Many at once: first turns of one session, and processes that start together.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use futures_util::future::join_all;
use opik_core::session::{Position, SessionErrorKind, State};
use opik_core::{Event, Message, Role, SessionError, SessionKey, SessionStore, Timestamp};
use opik_sessions::{SessionOptions, open};

use crate::adk::{self, Made};
use crate::place::{Kind, Place};

fn event(id: &str) -> Event {
    Event::new(id, "turn", "user", Timestamp::now()).with_message(Message::text(Role::User, id))
}

/// The loop of a caller: make the session unless it is there, then append at its end until nobody
/// else was faster. Events have their identifiers before the first try, so that a try whose answer
/// got lost is found out instead of stored twice.
async fn first_turn(
    store: &dyn SessionStore,
    key: &SessionKey,
    events: &[Event],
) -> Result<Position, SessionError> {
    loop {
        let session = match store.session(key).await? {
            Some(session) => session,
            None => match store.create(key, &State::new()).await {
                Ok(session) => session,
                Err(error) if error.kind() == SessionErrorKind::Conflict => continue,
                Err(error) => return Err(error),
            },
        };
        match store.append(key, session.position, events).await {
            Err(error) if error.kind() == SessionErrorKind::Conflict => continue,
            done => return done,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_two_parallel_first_turns_of_one_session_all_succeed() {
    for kind in Kind::ALL {
        let test = "thirty_two_parallel_first_turns_of_one_session_all_succeed";
        let Some(place) = kind.fresh(test) else {
            continue;
        };
        let options = || SessionOptions::new().timeout(std::time::Duration::from_secs(60));
        let handles = [
            place.open_with(options()).await,
            place.open_with(options()).await,
        ];
        let key = SessionKey::new("app", "user", "session");
        let turns = (0..32).map(|number| {
            let (store, key) = (handles[number % 2].clone(), key.clone());
            async move {
                let events = [
                    event(&format!("{number} asks")),
                    event(&format!("{number} hears")),
                ];
                first_turn(&store, &key, &events).await
            }
        });
        let done: Vec<Position> = join_all(turns)
            .await
            .into_iter()
            .collect::<Result<_, _>>()
            .unwrap();
        let mut reached: Vec<u64> = done.iter().map(|position| position.0).collect();
        reached.sort_unstable();
        let expected: Vec<u64> = (1..=32).map(|number| number * 2).collect();
        assert_eq!(reached, expected, "{kind:?}");
        let events = handles[0].events(&key, Position(0), 1_000).await.unwrap();
        assert_eq!(events.len(), 64, "{kind:?}");
        for pair in events.chunks(2) {
            let number = pair[0].id.strip_suffix(" asks").unwrap();
            assert_eq!(
                pair[1].id,
                format!("{number} hears"),
                "{kind:?}: a turn was torn"
            );
        }
        assert_eq!(place.run("SELECT COUNT(*) FROM events").trim(), "64");
    }
}

/// What each of the processes does; its folder says with which database.
#[tokio::test]
#[ignore = "a child process of the other tests"]
async fn child_that_opens_and_appends() {
    let uri = std::fs::read_to_string("uri").unwrap();
    let store = open(&uri, SessionOptions::new().max_connections(2))
        .await
        .unwrap();
    let id = format!("by {}", std::process::id());
    let key = SessionKey::new("app", "user", "shared");
    first_turn(&store, &key, &[event(&id)]).await.unwrap();
    println!("done");
}

fn start(folder: &Path) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "--nocapture",
            "parallel::child_that_opens_and_appends",
        ])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

async fn eight_processes(place: &Place) {
    let kind = place.kind();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("uri"), place.uri()).unwrap();
    let children: Vec<_> = (0..8).map(|_| start(folder.path())).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && text.contains("done"),
            "{kind:?}: {text}{errors}"
        );
    }
    let store: Arc<dyn SessionStore> = Arc::new(place.open().await);
    let key = SessionKey::new("app", "user", "shared");
    let events = store.events(&key, Position(0), 100).await.unwrap();
    assert_eq!(events.len(), 8, "{kind:?}");
    assert_eq!(
        place.run("SELECT COUNT(*) FROM opik_session_schema").trim(),
        "1"
    );
}

#[tokio::test]
async fn defect_25_eight_processes_start_at_once_on_an_empty_database() {
    for kind in Kind::ALL {
        let test = "defect_25_eight_processes_start_at_once_on_an_empty_database";
        let Some(place) = kind.fresh(test) else {
            continue;
        };
        eight_processes(&place).await;
    }
}

#[tokio::test]
async fn eight_processes_start_at_once_on_an_old_database() {
    for kind in Kind::ALL {
        for made in [Made::Old, Made::Late, Made::New] {
            let test = "eight_processes_start_at_once_on_an_old_database";
            let Some(place) = kind.fresh(test) else {
                continue;
            };
            adk::make(&place, made);
            eight_processes(&place).await;
        }
    }
}
