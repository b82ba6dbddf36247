//! Tables made and changed, by one process at a time.
//!
//! What is there is looked at first without a lock, so that a database that is as it should be costs
//! one query and may be read-only. The lock is `BEGIN IMMEDIATE` in SQLite, an advisory lock of the
//! transaction in PostgreSQL and a named lock in MySQL, where changes of tables are no part of a
//! transaction: there every step can be made again after a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use opik_core::session::SessionErrorKind;
use tokio::time::Instant;

use super::connect::{Ready, SqlStore};
use super::dialect::Dialect;
use super::failure::{Failure, Then};
use super::link::{Bind, Kind, Sql};
use super::schema::{INDEX, KEYED, Schema, TABLES, VERSION};
use super::statements::{Statements, orphans};
use super::turn::Turn;
use super::upgrade;
use crate::Layout;
use crate::adk::Limits;

/// `opiksess` in ASCII: the advisory lock of PostgreSQL.
const LOCK: i64 = 0x6f70_696b_7365_7373;

/// What a database has.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Columns by table.
    pub(crate) tables: BTreeMap<String, BTreeSet<String>>,
    /// MySQL: the collation of the keys by table.
    collations: BTreeMap<String, String>,
    /// The last migration that was made.
    version: Option<i64>,
    /// What ADK's own table says about the layout.
    named: Option<String>,
    /// Whether times of sessions are finer than a second.
    precise: bool,
    /// MySQL: the collation that keys should have.
    collation: Option<String>,
}

impl Found {
    fn has(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    /// Whether events are documents; `None` without events.
    fn documents(&self) -> Option<bool> {
        let events = self.tables.get("events")?;
        Some(events.contains("event_data") && !events.contains("actions"))
    }

    fn wrong_collations(&self) -> Vec<&'static str> {
        let Some(wanted) = &self.collation else {
            return Vec::new();
        };
        let wrong = |table: &&str| {
            self.collations
                .get(*table)
                .is_some_and(|have| have != wanted)
        };
        KEYED.into_iter().filter(wrong).collect()
    }

    /// Whether nothing is left to do.
    fn is_done(&self, layout: Layout) -> bool {
        let upgrade = match self.documents() {
            // The name of the layout is the last that a migration writes.
            Some(true) => self.named.is_none(),
            _ => layout == Layout::V1,
        };
        self.version == Some(VERSION)
            && self.has("sessions")
            && self.has("events")
            && self.has("opik_sessions")
            && self.has("opik_events")
            && self.wrong_collations().is_empty()
            && !upgrade
    }
}

/// Looks at the tables and makes what is missing.
pub(crate) async fn prepare(store: &SqlStore) -> Result<Ready, Failure> {
    let deadline = Instant::now() + store.options.migration_timeout;
    loop {
        match attempt(store, deadline).await {
            // Another program made a table at the same moment.
            Err(failure) if failure.then == Then::Again && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            done => return done,
        }
    }
}

async fn attempt(store: &SqlStore, deadline: Instant) -> Result<Ready, Failure> {
    let mut turn = store.turn("open", deadline).await?;
    let looked = look(&mut turn, store.dialect).await;
    let found = turn.end(looked).await?;
    check(&found, store.options.layout)?;
    let found = if found.is_done(store.options.layout) {
        found
    } else {
        let mut turn = store.turn("migrate", deadline).await?;
        let done = locked(&mut turn, store, deadline).await;
        turn.end(done).await?
    };
    let documents = found.documents().unwrap_or(false);
    let largest = largest(store, deadline).await?;
    Ok(Ready {
        statements: Statements::new(store.dialect, documents),
        limits: Limits {
            documents,
            keeps_json: !store.dialect.is_postgres(),
            keeps_nul: !store.dialect.is_postgres(),
        },
        precise: found.precise,
        largest,
        pads: found.collation.as_deref() == Some("utf8mb4_bin"),
    })
}

/// MySQL closes the connection of a client whose statement is too large, which would look like a
/// failure that passes.
async fn largest(store: &SqlStore, deadline: Instant) -> Result<usize, Failure> {
    if !store.dialect.is_mysql() {
        return Ok(usize::MAX);
    }
    let mut turn = store.turn("open", deadline).await?;
    let query = Sql::from("SELECT CAST(@@max_allowed_packet AS SIGNED)");
    let row = turn.row(&query, &[], &[Kind::Int]).await;
    let bytes = turn.end(row).await?.and_then(|mut row| row.int());
    Ok(bytes
        .and_then(|bytes| usize::try_from(bytes).ok())
        .unwrap_or(usize::MAX))
}

/// Refuses what this version must not touch.
fn check(found: &Found, layout: Layout) -> Result<(), Failure> {
    let refuse = |text: &str| Err(Failure::new(SessionErrorKind::Invalid, text));
    if found.version.is_some_and(|version| version > VERSION) {
        return refuse("open: the session tables were changed by a newer version of this program");
    }
    if found.named.as_deref().is_some_and(|name| name != "1") {
        return refuse("open: the database has a layout of ADK that is newer than V1");
    }
    if layout == Layout::V0 && found.documents() == Some(true) {
        return refuse(
            "open: the database has layout V1, which cannot become V0; use Layout::Auto",
        );
    }
    let has = |table: &str, column: &str| {
        let columns = found.tables.get(table);
        columns.is_none_or(|columns| columns.contains(column))
    };
    let are_adk = has("sessions", "app_name")
        && has("events", "invocation_id")
        && (has("events", "actions") || has("events", "event_data"));
    if !are_adk {
        return refuse("open: the database has tables `sessions` or `events` of another program");
    }
    Ok(())
}

/// Reads which tables and columns there are.
async fn look(turn: &mut Turn, dialect: Dialect) -> Result<Found, Failure> {
    let names = TABLES.map(|table| format!("'{table}'")).join(", ");
    let query = if dialect.is_sqlite() {
        format!(
            "SELECT m.name, c.name, '', '6' FROM sqlite_master m JOIN pragma_table_info(m.name) c \
             WHERE m.type = 'table' AND m.name IN ({names})"
        )
    } else if dialect.is_mysql() {
        format!(
            "SELECT table_name, column_name, COALESCE(collation_name, ''), \
             CAST(COALESCE(datetime_precision, 0) AS CHAR) FROM information_schema.columns \
             WHERE table_schema = DATABASE() AND table_name IN ({names})"
        )
    } else {
        format!(
            "SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT), '', '6' \
             FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name IN ({names})"
        )
    };
    let mut found = Found {
        precise: !dialect.is_mysql(),
        ..Found::default()
    };
    for mut row in turn.rows(&Sql::from(query), &[], &[Kind::Text; 4]).await? {
        let (table, column) = (row.text(), row.text());
        let (collation, precision) = (row.text(), row.text());
        if column == "app_name" && dialect.is_mysql() {
            found.collations.insert(table.clone(), collation);
        }
        if table == "sessions" && column == "update_time" {
            found.precise = precision == "6";
        }
        found.tables.entry(table).or_default().insert(column);
    }
    if found.has("opik_session_schema") {
        let query = Sql::from("SELECT MAX(version) FROM opik_session_schema");
        let row = turn.row(&query, &[], &[Kind::Int]).await?;
        found.version = row.and_then(|mut row| row.int());
    }
    if found.has("adk_internal_metadata") {
        let key = dialect.key_column();
        let query =
            format!("SELECT value FROM adk_internal_metadata WHERE {key} = 'schema_version'");
        let row = turn.row(&Sql::from(query), &[], &[Kind::Text]).await?;
        found.named = row.and_then(|mut row| row.maybe());
    }
    if dialect.is_mysql() {
        found.collation = Some(collation(turn).await?);
    }
    Ok(found)
}

/// MySQL: the best collation that tells keys apart. `utf8mb4_bin` takes no notice of spaces at the
/// end; the others do.
async fn collation(turn: &mut Turn) -> Result<String, Failure> {
    let query = Sql::from(
        "SELECT collation_name FROM information_schema.collations \
         WHERE collation_name IN ('utf8mb4_nopad_bin', 'utf8mb4_0900_bin')",
    );
    let mut names = Vec::new();
    for mut row in turn.rows(&query, &[], &[Kind::Text]).await? {
        names.push(row.text());
    }
    // `nopad` before `0900`, should a server have both.
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names
        .into_iter()
        .next()
        .unwrap_or_else(|| "utf8mb4_bin".to_owned()))
}

/// Takes the lock, looks again and does what is left.
async fn locked(turn: &mut Turn, store: &SqlStore, deadline: Instant) -> Result<Found, Failure> {
    let dialect = store.dialect;
    if dialect.is_mysql() {
        let patience = deadline.saturating_duration_since(Instant::now()).as_secs();
        let patience = i64::try_from(patience).unwrap_or(i64::MAX).max(1);
        // Names are shared by all databases of a server. A negative wait would take no lock at all
        // on MariaDB.
        let query = Sql::from("SELECT GET_LOCK(CONCAT('opik_sessions_', MD5(DATABASE())), ?)");
        let row = turn
            .row(&query, &[Bind::Int(patience)], &[Kind::Int])
            .await?;
        if row.and_then(|mut row| row.int()) != Some(1) {
            let text = "migrate: another process holds the lock for too long";
            return Err(Failure::new(SessionErrorKind::Timeout, text));
        }
        let done = steps(turn, store).await;
        if done.is_ok() {
            let query = Sql::from("SELECT RELEASE_LOCK(CONCAT('opik_sessions_', MD5(DATABASE())))");
            turn.row(&query, &[], &[Kind::Int]).await?;
        }
        // After a failure the connection is closed, and the lock goes with it.
        return done.map_err(|mut failure| {
            if failure.then == Then::Undo {
                failure.then = Then::Discard;
            }
            failure
        });
    }
    if dialect.is_sqlite() {
        // Readers do not wait for writers in this mode, and it stays with the file. Not a must.
        let tables = look(turn, dialect).await?.tables;
        if tables.is_empty() {
            let _is_on = turn.plain(&Sql::from("PRAGMA journal_mode = WAL")).await;
        }
    }
    turn.begin(dialect).await?;
    if dialect.is_postgres() {
        turn.plain(&Sql::from("SET LOCAL statement_timeout = 0"))
            .await?;
        turn.plain(&Sql::from("SET LOCAL lock_timeout = 0")).await?;
        let query = Sql::from("SELECT CAST(pg_advisory_xact_lock($1) AS TEXT)");
        turn.rows(&query, &[Bind::Int(LOCK)], &[Kind::Text]).await?;
    }
    steps(turn, store).await
}

/// Everything from what is there to what should be there.
async fn steps(turn: &mut Turn, store: &SqlStore) -> Result<Found, Failure> {
    let dialect = store.dialect;
    let layout = store.options.layout;
    let found = look(turn, dialect).await?;
    check(&found, layout)?;
    if found.is_done(layout) {
        return Ok(found);
    }
    let documents = found.documents().unwrap_or(layout == Layout::V1);
    let schema = Schema {
        dialect,
        documents,
        collation: found.collation.as_deref(),
    };
    for table in schema.adk() {
        turn.plain(&table).await?;
    }
    turn.plain(&schema.events("events")).await?;
    let wrong = found.wrong_collations();
    if let (false, Some(collation)) = (wrong.is_empty(), &found.collation) {
        change_collation(turn, &wrong, collation).await?;
    }
    add_index(turn, &schema).await?;
    for table in schema.ours() {
        turn.plain(&table).await?;
    }
    if dialect.is_mysql() {
        refer(turn, dialect).await?;
    }
    let mark = dialect.insert_if_missing("opik_session_schema (version) VALUES (?)");
    turn.run(&mark, &[Bind::Int(VERSION)]).await?;
    if layout == Layout::V1 && !documents {
        let columns = look(turn, dialect).await?;
        let columns = columns.tables.get("events").cloned().unwrap_or_default();
        let schema = Schema {
            documents: true,
            ..schema
        };
        upgrade::to_documents(turn, &schema, &columns).await?;
    } else if documents && found.named.is_none() {
        upgrade::finish(turn, &schema).await?;
    }
    look(turn, dialect).await
}

/// MySQL: tables of the Python program mostly tell neither case nor spaces apart.
///
/// A key that others refer to does not change its collation, so the references go and come back.
async fn change_collation(
    turn: &mut Turn,
    tables: &[&str],
    collation: &str,
) -> Result<(), Failure> {
    for (table, name) in references(turn).await? {
        let text = format!("ALTER TABLE `{table}` DROP FOREIGN KEY `{name}`");
        turn.plain(&Sql::from(text)).await?;
    }
    for table in tables {
        let text =
            format!("ALTER TABLE {table} CONVERT TO CHARACTER SET utf8mb4 COLLATE {collation}");
        turn.plain(&Sql::from(text)).await?;
    }
    Ok(())
}

/// MySQL: the tables that refer to sessions, and under which name.
async fn references(turn: &mut Turn) -> Result<BTreeMap<String, String>, Failure> {
    let query = Sql::from(
        "SELECT table_name, constraint_name FROM information_schema.referential_constraints \
         WHERE constraint_schema = DATABASE() AND referenced_table_name = 'sessions'",
    );
    let rows = turn.rows(&query, &[], &[Kind::Text; 2]).await?;
    Ok(rows
        .into_iter()
        .map(|mut row| (row.text(), row.text()))
        .collect())
}

/// MySQL: makes references that are missing, because they were taken away and then came a crash.
async fn refer(turn: &mut Turn, dialect: Dialect) -> Result<(), Failure> {
    let there = references(turn).await?;
    for table in ["events", "opik_events", "opik_sessions"] {
        if there.contains_key(table) {
            continue;
        }
        turn.run(&orphans(dialect, table), &[]).await?;
        let text = format!(
            "ALTER TABLE {table} ADD FOREIGN KEY (app_name, user_id, session_id) \
             REFERENCES sessions (app_name, user_id, id) ON DELETE CASCADE"
        );
        turn.plain(&Sql::from(text)).await?;
    }
    Ok(())
}

/// Makes the index on events unless it is there.
pub(super) async fn add_index(turn: &mut Turn, schema: &Schema<'_>) -> Result<(), Failure> {
    if schema.dialect.is_mysql() {
        let query = Sql::from(
            "SELECT COUNT(*) FROM information_schema.statistics \
             WHERE table_schema = DATABASE() AND table_name = 'events' AND index_name = ?",
        );
        let row = turn.row(&query, &[Bind::Text(INDEX)], &[Kind::Int]).await?;
        if row.and_then(|mut row| row.int()).unwrap_or(0) > 0 {
            return Ok(());
        }
    }
    turn.plain(&schema.index()).await
}
