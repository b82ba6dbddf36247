//! Databases that are down, slow, frozen, read-only or closed to us.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use opik_core::session::{Position, SessionErrorKind, State};
use opik_core::{Event, Message, Role, SessionError, SessionKey, SessionStore, Timestamp};
use opik_sessions::{SessionOptions, Sessions, open};
use opik_testkit::databases::{DatabaseServer, Engine};
use sqlx::Connection as _;

use crate::place::{Kind, Place};

const ENGINES: [Engine; 2] = [Engine::MariaDb, Engine::Postgres];

fn key() -> SessionKey {
    SessionKey::new("app", "user", "session")
}

fn event(id: &str) -> Event {
    Event::new(id, "turn", "user", Timestamp::now()).with_message(Message::text(Role::User, id))
}

fn brief() -> SessionOptions {
    SessionOptions::new()
        .timeout(Duration::from_secs(2))
        .connect_timeout(Duration::from_millis(500))
        .open_retries(2)
        .open_retry_delay(Duration::from_millis(20))
}

/// Everything that an error says, with its causes.
fn said(error: &SessionError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(&format!(" {inner}"));
        cause = inner.source();
    }
    assert!(!text.contains("secret"), "{text}");
    text
}

#[tokio::test]
async fn a_database_that_is_down_is_said_in_time_and_used_once_it_is_up() {
    let test = "a_database_that_is_down_is_said_in_time_and_used_once_it_is_up";
    for engine in ENGINES {
        let Some(server) = DatabaseServer::start(engine, test, &[]).unwrap() else {
            continue;
        };
        let uri = server.database().unwrap().uri();
        server.kill().unwrap();

        let begin = Instant::now();
        let error = open(&uri, brief()).await.unwrap_err();
        assert_eq!(
            error.kind(),
            SessionErrorKind::Unavailable,
            "{}",
            said(&error)
        );
        assert!(error.is_retryable());
        // Three attempts of half a second and the waits between them, on a slow machine.
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "{:?}",
            begin.elapsed()
        );

        let store = Sessions::lazy(&uri, brief().timeout(Duration::from_secs(20))).unwrap();
        for _ in 0..2 {
            let error = store.session(&key()).await.unwrap_err();
            assert_eq!(
                error.kind(),
                SessionErrorKind::Unavailable,
                "{}",
                said(&error)
            );
        }
        server.restart().unwrap();
        store.create(&key(), &State::new()).await.unwrap();
        assert_eq!(
            store
                .append(&key(), Position(0), &[event("1")])
                .await
                .unwrap(),
            Position(1)
        );
        store.close().await;
        let error = store.session(&key()).await.unwrap_err();
        assert!(said(&error).contains("closed"), "{error}");
    }
}

/// A caller that does not give up: what it wants to append is looked for before it is appended again,
/// because the answer to a commit may be what got lost.
async fn persist(store: &Sessions, events: &[Event]) -> u32 {
    let mut failures = 0;
    loop {
        let tried = async {
            let session = store.session(&key()).await?.unwrap();
            let from = session.position.0.saturating_sub(events.len() as u64);
            let last = store.events(&key(), Position(from), events.len()).await?;
            if last
                .iter()
                .map(|event| &event.id)
                .eq(events.iter().map(|event| &event.id))
            {
                return Ok(());
            }
            store
                .append(&key(), session.position, events)
                .await
                .map(drop)
        };
        match tried.await {
            Ok(()) => return failures,
            Err(error) => {
                assert!(error.is_retryable(), "{}", said(&error));
                failures += 1;
                assert!(failures < 1_000, "{}", said(&error));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_in_mid_turn_loses_nothing_and_tears_nothing() {
    let test = "a_restart_in_mid_turn_loses_nothing_and_tears_nothing";
    for engine in ENGINES {
        let Some(server) = DatabaseServer::start(engine, test, &[]).unwrap() else {
            continue;
        };
        let uri = server.database().unwrap().uri();
        let store = open(&uri, brief()).await.unwrap();
        store.create(&key(), &State::new()).await.unwrap();
        let (tell, mut told) = tokio::sync::watch::channel(0u32);
        let writer = store.clone();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move {
            let mut failures = 0;
            for number in 0..60 {
                let events = [event(&format!("{number} a")), event(&format!("{number} b"))];
                failures += persist(&writer, &events).await;
                tell.send_replace(number);
            }
            failures
        });
        // Twice, each time while the writer is at it.
        let mut server = server;
        for at in [10, 30] {
            told.wait_for(|number| *number >= at).await.unwrap();
            server = tokio::task::spawn_blocking(move || {
                server.kill().unwrap();
                server.restart().unwrap();
                server
            })
            .await
            .unwrap();
        }
        let failures = tasks.join_next().await.unwrap().unwrap();
        assert!(failures > 0, "{engine:?}: the restart was not noticed");
        let events = store.events(&key(), Position(0), 1_000).await.unwrap();
        let ids: Vec<String> = events.into_iter().map(|event| event.id).collect();
        let expected: Vec<String> = (0..60)
            .flat_map(|number| [format!("{number} a"), format!("{number} b")])
            .collect();
        assert_eq!(ids, expected, "{engine:?}");
    }
}

/// Somebody else who holds the session for as long as this value lives.
enum Holder {
    Sqlite(rusqlite::Connection),
    MySql(sqlx::MySqlConnection),
    Postgres(sqlx::PgConnection),
}

impl Holder {
    async fn of(place: &Place) -> Self {
        let lock = "SELECT id FROM sessions FOR UPDATE";
        match place.kind() {
            Kind::Sqlite => {
                let connection = rusqlite::Connection::open(place.file().unwrap()).unwrap();
                connection.execute_batch("BEGIN IMMEDIATE").unwrap();
                Self::Sqlite(connection)
            }
            Kind::MariaDb => {
                let mut connection = sqlx::MySqlConnection::connect(&place.uri()).await.unwrap();
                sqlx::raw_sql("START TRANSACTION")
                    .execute(&mut connection)
                    .await
                    .unwrap();
                sqlx::raw_sql(lock).execute(&mut connection).await.unwrap();
                Self::MySql(connection)
            }
            Kind::Postgres => {
                let mut connection = sqlx::PgConnection::connect(&place.uri()).await.unwrap();
                sqlx::raw_sql("BEGIN")
                    .execute(&mut connection)
                    .await
                    .unwrap();
                sqlx::raw_sql(lock).execute(&mut connection).await.unwrap();
                Self::Postgres(connection)
            }
        }
    }

    async fn release(self) {
        match self {
            Self::Sqlite(connection) => connection.execute_batch("ROLLBACK").unwrap(),
            Self::MySql(connection) => connection.close().await.unwrap(),
            Self::Postgres(connection) => connection.close().await.unwrap(),
        }
    }
}

#[tokio::test]
async fn a_slow_database_is_given_up_in_time_and_nothing_is_half_stored() {
    let test = "a_slow_database_is_given_up_in_time_and_nothing_is_half_stored";
    for kind in Kind::ALL {
        let Some(place) = kind.fresh(test) else {
            continue;
        };
        // The limit of the database and the one on this side: whichever comes first.
        for timeout in [Duration::from_millis(300), Duration::from_millis(1_700)] {
            let setup = place.open().await;
            setup.delete(&key()).await.unwrap();
            setup.create(&key(), &State::new()).await.unwrap();
            let options = brief().timeout(timeout).max_connections(1);
            let store = place.open_with(options.connect_timeout(timeout)).await;
            let holder = Holder::of(&place).await;
            let begin = Instant::now();
            let batch = [event("1"), event("2")];
            let error = store.append(&key(), Position(0), &batch).await.unwrap_err();
            assert_eq!(
                error.kind(),
                SessionErrorKind::Timeout,
                "{kind:?}: {}",
                said(&error)
            );
            assert!(error.is_retryable());
            assert!(begin.elapsed() < Duration::from_secs(20), "{kind:?}");
            holder.release().await;
            let session = store.session(&key()).await.unwrap().unwrap();
            assert_eq!(session.position, Position(0), "{kind:?}");
            let reached = store.append(&key(), Position(0), &batch).await.unwrap();
            assert_eq!(reached, Position(2), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_caller_that_loses_interest_leaves_nothing_behind() {
    for kind in Kind::ALL {
        let Some(place) = kind.fresh("a_caller_that_loses_interest_leaves_nothing_behind") else {
            continue;
        };
        let store = place
            .open_with(SessionOptions::new().max_connections(1))
            .await;
        store.create(&key(), &State::new()).await.unwrap();
        let holder = Holder::of(&place).await;
        for _ in 0..3 {
            let batch = [event("1"), event("2")];
            let key = key();
            let append = store.append(&key, Position(0), &batch);
            let gone = tokio::time::timeout(Duration::from_millis(50), append).await;
            assert!(gone.is_err(), "{kind:?}: it did not wait");
        }
        holder.release().await;
        let other = place.open().await;
        assert_eq!(
            other.session(&key()).await.unwrap().unwrap().position,
            Position(0),
            "{kind:?}"
        );
        let reached = store
            .append(&key(), Position(0), &[event("1")])
            .await
            .unwrap();
        assert_eq!(reached, Position(1), "{kind:?}");
    }
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_given_up_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    for scheme in ["mysql", "postgres"] {
        let uri = format!("{scheme}://u:secret@127.0.0.1:{port}/d");
        let begin = Instant::now();
        let error = open(&uri, brief()).await.unwrap_err();
        assert!(error.is_retryable(), "{}", said(&error));
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "{:?}",
            begin.elapsed()
        );
    }
}

#[tokio::test]
async fn a_wrong_password_or_database_is_said_at_once_and_not_tried_again() {
    let test = "a_wrong_password_or_database_is_said_at_once_and_not_tried_again";
    for engine in ENGINES {
        let Some(server) = DatabaseServer::shared(engine, test).unwrap() else {
            continue;
        };
        let database = server.database().unwrap();
        let uri = database.uri();
        let mut wrong = vec![uri.replace(database.name(), "opik_nowhere")];
        if engine == Engine::MariaDb {
            wrong.push(uri.replace("opik-secret", "wrong-secret"));
        } else {
            wrong.push(uri.replace("postgres:opik", "nobody:opik"));
        }
        for uri in wrong {
            let options = SessionOptions::new().open_retry_delay(Duration::from_secs(600));
            let error = open(&uri, options.open_timeout(Duration::from_secs(6_000)))
                .await
                .unwrap_err();
            assert_eq!(
                error.kind(),
                SessionErrorKind::Invalid,
                "{engine:?}: {}",
                said(&error)
            );
            said(&error);
        }
    }
    let uri = "sqlite:////no/such/folder/sessions.db";
    let error = open(uri, brief()).await.unwrap_err();
    assert_eq!(error.kind(), SessionErrorKind::Storage, "{}", said(&error));
}

/// What is left when nothing can be written.
async fn check_read_only(uri: &str) {
    let store = open(uri, brief()).await.unwrap();
    let session = store.session(&key()).await.unwrap().unwrap();
    assert_eq!(session.position, Position(1));
    assert_eq!(store.events(&key(), Position(0), 9).await.unwrap().len(), 1);
    let other = SessionKey::new("app", "user", "other");
    let answers = [
        store
            .append(&key(), Position(1), &[event("2")])
            .await
            .map(drop),
        store.create(&other, &State::new()).await.map(drop),
        store.delete(&key()).await.map(drop),
    ];
    for answer in answers {
        let error = answer.unwrap_err();
        assert_eq!(error.kind(), SessionErrorKind::Storage, "{}", said(&error));
    }
    assert_eq!(store.session(&key()).await.unwrap().unwrap(), session);
}

async fn fill(uri: &str) {
    let store = open(uri, brief()).await.unwrap();
    store.create(&key(), &State::new()).await.unwrap();
    store
        .append(&key(), Position(0), &[event("1")])
        .await
        .unwrap();
    store.close().await;
}

#[tokio::test]
async fn a_read_only_database_is_read_and_says_so_when_written() {
    let test = "a_read_only_database_is_read_and_says_so_when_written";
    let place = Kind::Sqlite.fresh(test).unwrap();
    fill(&place.uri()).await;
    check_read_only(&format!("{}?mode=ro", place.uri())).await;

    if let Some(place) = Kind::Postgres.fresh(test) {
        fill(&place.uri()).await;
        let name = place.uri().rsplit_once('/').unwrap().1.to_owned();
        place.run(&format!(
            "ALTER DATABASE {name} SET default_transaction_read_only = on;"
        ));
        check_read_only(&place.uri()).await;
    }
    // There it is a matter of the whole server.
    if let Some(server) = DatabaseServer::start(Engine::MariaDb, test, &[]).unwrap() {
        let uri = server.database().unwrap().uri();
        fill(&uri).await;
        let empty = server.database().unwrap().uri();
        server.run(None, "SET GLOBAL read_only = 1;").unwrap();
        check_read_only(&uri).await;
        let error = open(&empty, brief()).await.unwrap_err();
        assert_eq!(error.kind(), SessionErrorKind::Storage, "{}", said(&error));
    }
}
