//! Databases without room.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use opik_core::session::{Position, SessionErrorKind, State};
use opik_core::{Event, Message, Role, SessionKey, SessionStore as _, Timestamp};
use opik_sessions::{SessionOptions, Sessions, open};
use opik_testkit::databases::{DatabaseServer, Engine};

fn key() -> SessionKey {
    SessionKey::new("app", "user", "session")
}

fn big(number: u64, half: char) -> Event {
    let mut event = Event::new(format!("{number}{half}"), "turn", "user", Timestamp::EPOCH);
    event.message = Some(Message::text(Role::User, "x".repeat(200_000)));
    event
}

/// Appends pairs of events until there is no room, and checks what is there then.
async fn fill(store: &Sessions) -> Position {
    store.create(&key(), &State::new()).await.unwrap();
    let mut position = Position(0);
    let error = loop {
        let pair = [big(position.0, 'a'), big(position.0, 'b')];
        match store.append(&key(), position, &pair).await {
            Ok(reached) => position = reached,
            Err(error) => break error,
        }
        assert!(position.0 < 2_000, "there was no end of room");
    };
    assert_eq!(error.kind(), SessionErrorKind::Storage, "{error:?}");
    assert!(error.is_retryable());
    assert!(position.0 >= 2, "nothing went in at all");
    let session = store.session(&key()).await.unwrap().unwrap();
    assert_eq!(session.position, position);
    // Page by page, since it is a lot.
    let mut at = 0;
    while at < position.0 {
        let pair = store.events(&key(), Position(at), 2).await.unwrap();
        assert!(
            pair == [big(at, 'a'), big(at, 'b')],
            "the pair at {at} was torn"
        );
        at += 2;
    }
    position
}

#[tokio::test]
async fn a_full_mariadb_says_so_and_half_a_turn_is_not_there() {
    let test = "a_full_mariadb_says_so_and_half_a_turn_is_not_there";
    let arguments = [
        "--innodb-file-per-table=0",
        "--innodb-data-file-path=ibdata1:24M",
    ];
    let Some(server) = DatabaseServer::start(Engine::MariaDb, test, &arguments).unwrap() else {
        return;
    };
    let uri = server.database().unwrap().uri();
    fill(&open(&uri, SessionOptions::new()).await.unwrap()).await;
}

/// A file system of its own, which needs the right to mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(test: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=24m,mode=0777", "tmpfs"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        // Past the test harness, which hides what passing tests print.
        writeln!(
            std::io::stderr(),
            "SKIPPED {test}: no right to mount a small file system"
        )
        .ok();
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server may still have its files open.
        Command::new("umount")
            .arg("-l")
            .arg(self.0.path())
            .status()
            .ok();
    }
}

#[tokio::test]
async fn a_full_postgresql_says_so_and_half_a_turn_is_not_there() {
    let test = "a_full_postgresql_says_so_and_half_a_turn_is_not_there";
    let Some(server) = DatabaseServer::start(Engine::Postgres, test, &[]).unwrap() else {
        return;
    };
    let Some(disk) = SmallDisk::mount(test) else {
        return;
    };
    let folder = disk.0.path().join("space");
    std::fs::create_dir(&folder).unwrap();
    Command::new("chown")
        .arg("postgres")
        .arg(&folder)
        .status()
        .unwrap();
    let space = format!("CREATE TABLESPACE small LOCATION '{}'", folder.display());
    server.run(None, &space).unwrap();
    let database = server.database().unwrap();
    let name = database.name();
    server
        .run(None, &format!("ALTER DATABASE {name} SET TABLESPACE small"))
        .unwrap();
    // Without compression the room ends when it should.
    let storage = "ALTER TABLE events ALTER content SET STORAGE EXTERNAL";
    let store = open(&database.uri(), SessionOptions::new()).await.unwrap();
    database.run(storage).unwrap();
    let position = fill(&store).await;
    assert_eq!(
        database.run("SELECT COUNT(*) FROM events").unwrap().trim(),
        position.0.to_string()
    );
    store.close().await;
    drop(server);
    drop(disk);
}

/// What the process does that may not write large files.
#[tokio::test]
#[ignore = "a child process of the other tests"]
async fn child_without_room() {
    let options = SessionOptions::new().timeout(Duration::from_secs(20));
    let store = open("sqlite:///sessions.db", options).await.unwrap();
    let position = fill(&store).await;
    println!("stopped at {}", position.0);
}

#[tokio::test]
async fn a_full_sqlite_says_so_and_half_a_turn_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    // No file over 3 MiB, and an error instead of a signal.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 6144; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "--nocapture",
            "full::child_without_room",
        ])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    let (_, at) = text.split_once("stopped at ").unwrap();
    let at: u64 = at.lines().next().unwrap().trim().parse().unwrap();
    assert!(at >= 2);

    let uri = format!("sqlite:///{}", folder.path().join("sessions.db").display());
    let store = open(&uri, SessionOptions::new()).await.unwrap();
    assert_eq!(
        store.session(&key()).await.unwrap().unwrap().position,
        Position(at)
    );
    let events = store.events(&key(), Position(0), 2_000).await.unwrap();
    assert_eq!(events.len() as u64, at);
    store
        .append(&key(), Position(at), &[big(at, 'a')])
        .await
        .unwrap();
}
