//! From the older layout of events to the newer one, in place.

use std::collections::{BTreeMap, BTreeSet};

use opik_core::session::SessionErrorKind;

use super::dialect::{Dialect, parse_time, time_text};
use super::failure::Failure;
use super::link::{Bind, Kind, Row, Sql};
use super::migrate::add_index;
use super::schema::Schema;
use super::turn::Turn;
use crate::adk::{Found, document_of_columns, read};

/// Columns that go into the document and that not every version has.
const OTHERS: [&str; 14] = [
    "content",
    "branch",
    "long_running_tool_ids_json",
    "grounding_metadata",
    "custom_metadata",
    "usage_metadata",
    "citation_metadata",
    "partial",
    "turn_complete",
    "error_code",
    "error_message",
    "interrupted",
    "input_transcription",
    "output_transcription",
];

const FIRST: [Kind; 5] = [Kind::Text, Kind::Text, Kind::Text, Kind::Text, Kind::Bytes];

/// Writes every event anew, then puts the new table in the place of the old one. Events whose
/// session is gone are left behind.
pub(super) async fn to_documents(
    turn: &mut Turn,
    schema: &Schema<'_>,
    columns: &BTreeSet<String>,
) -> Result<(), Failure> {
    let dialect = schema.dialect;
    for table in schema.adk() {
        turn.plain(&table).await?;
    }
    // What a crash may have left; in the other databases a crash leaves nothing.
    turn.plain(&Sql::from("DROP TABLE IF EXISTS opik_new_events"))
        .await?;
    turn.plain(&schema.events("opik_new_events")).await?;
    copy(turn, dialect, columns).await?;
    if dialect.is_mysql() {
        turn.plain(&Sql::from("DROP TABLE IF EXISTS opik_old_events"))
            .await?;
        let both = "RENAME TABLE events TO opik_old_events, opik_new_events TO events";
        turn.plain(&Sql::from(both)).await?;
    } else {
        turn.plain(&Sql::from("DROP TABLE events")).await?;
        turn.plain(&Sql::from("ALTER TABLE opik_new_events RENAME TO events"))
            .await?;
    }
    finish(turn, schema).await
}

/// Everything after the change of tables; what a crash left undone is done here. Says in ADK's own
/// table which layout this is, as the last step.
pub(super) async fn finish(turn: &mut Turn, schema: &Schema<'_>) -> Result<(), Failure> {
    let dialect = schema.dialect;
    if dialect.is_mysql() {
        for table in ["app_states", "sessions", "user_states"] {
            let create = if table == "sessions" {
                ", MODIFY create_time DATETIME(6) NOT NULL"
            } else {
                ""
            };
            let text =
                format!("ALTER TABLE {table} MODIFY update_time DATETIME(6) NOT NULL{create}");
            turn.plain(&Sql::from(text)).await?;
        }
        turn.plain(&Sql::from("DROP TABLE IF EXISTS opik_old_events"))
            .await?;
    }
    add_index(turn, schema).await?;
    let key = dialect.key_column();
    let insert = dialect.insert_if_missing(&format!(
        "adk_internal_metadata ({key}, value) VALUES ('schema_version', '1')"
    ));
    turn.run(&insert, &[]).await.map(drop)
}

async fn copy(
    turn: &mut Turn,
    dialect: Dialect,
    columns: &BTreeSet<String>,
) -> Result<(), Failure> {
    let others: Vec<&str> = OTHERS
        .into_iter()
        .filter(|name| columns.contains(*name))
        .collect();
    let selected: Vec<String> = others.iter().map(|name| dialect.text(name)).collect();
    let select = dialect.sql(&format!(
        "SELECT id, invocation_id, author, {}, actions, {} FROM events \
         WHERE app_name = ? AND user_id = ? AND session_id = ?",
        dialect.time("timestamp"),
        selected.join(", ")
    ));
    let insert = dialect.sql(
        "INSERT INTO opik_new_events (app_name, user_id, session_id, id, invocation_id, timestamp, \
         event_data) VALUES (?, ?, ?, ?, ?, ?t, ?j)",
    );
    let mut kinds = FIRST.to_vec();
    kinds.resize(FIRST.len() + others.len(), Kind::Text);
    // One session at a time is in memory.
    let sessions = Sql::from("SELECT app_name, user_id, id FROM sessions");
    for mut session in turn.rows(&sessions, &[], &[Kind::Text; 3]).await? {
        let (app, user, id) = (session.text(), session.text(), session.text());
        let key = [Bind::Text(&app), Bind::Text(&user), Bind::Text(&id)];
        for row in turn.rows(&select, &key, &kinds).await? {
            let (event, document) = convert(row, &others)?;
            let at = time_text(event.timestamp);
            let [app, user, session] = key;
            let binds = [
                app,
                user,
                session,
                Bind::Text(&event.id),
                Bind::Text(&event.invocation_id),
                Bind::Text(&at),
                Bind::Text(&document),
            ];
            turn.run(&insert, &binds).await?;
        }
    }
    Ok(())
}

fn convert(mut row: Row, others: &[&str]) -> Result<(opik_core::Event, String), Failure> {
    let corrupt = |what: &str| {
        let text = format!("migrate: {what} of an event cannot be read");
        Failure::new(SessionErrorKind::Corrupt, text)
    };
    let mut found = Found {
        id: row.text(),
        invocation_id: row.text(),
        author: row.text(),
        ..Found::default()
    };
    found.timestamp = parse_time(&row.text()).ok_or_else(|| corrupt("the time"))?;
    found.actions = row.bytes();
    let mut values = BTreeMap::new();
    for name in others {
        if let Some(value) = row.maybe() {
            values.insert(*name, value);
        }
    }
    let event = read(&found)?;
    let column = |name: &str| values.get(name).map(String::as_str);
    let document = document_of_columns(&event, column).ok_or_else(|| corrupt("the content"))?;
    Ok((event, document))
}
