//! The tables: ADK's in both layouts, and ours beside them.

use super::dialect::Dialect;
use super::link::Sql;

/// Which migrations this version knows.
pub(crate) const VERSION: i64 = 1;

/// The index that newer ADKs make; older ones read whole tables without it.
pub(crate) const INDEX: &str = "idx_events_app_user_session_ts_id";

/// Every table that is looked at.
pub(crate) const TABLES: [&str; 8] = [
    "sessions",
    "events",
    "app_states",
    "user_states",
    "adk_internal_metadata",
    "opik_sessions",
    "opik_events",
    "opik_session_schema",
];

/// ADK's tables whose keys have to be told apart to the letter.
pub(crate) const KEYED: [&str; 4] = ["sessions", "events", "app_states", "user_states"];

/// How tables are made in one database.
pub(crate) struct Schema<'a> {
    pub(crate) dialect: Dialect,
    /// Whether events are documents.
    pub(crate) documents: bool,
    /// MySQL: the collation that tells every two texts apart.
    pub(crate) collation: Option<&'a str>,
}

impl Schema<'_> {
    fn table(&self, name: &str, columns: &str) -> Sql {
        let tail = match self.collation {
            Some(collation) => format!(" ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE {collation}"),
            None => String::new(),
        };
        self.dialect.sql(&format!(
            "CREATE TABLE IF NOT EXISTS {name} ({columns}){tail}"
        ))
    }

    /// ADK's tables except `events`.
    pub(crate) fn adk(&self) -> Vec<Sql> {
        let json = self.dialect.json_type();
        let time = self.dialect.time_type(self.documents);
        let mut tables = vec![
            self.table(
                "app_states",
                &format!(
                    "app_name VARCHAR(128) NOT NULL, state {json} NOT NULL, update_time {time} NOT NULL, \
                     PRIMARY KEY (app_name)"
                ),
            ),
            self.table(
                "sessions",
                &format!(
                    "app_name VARCHAR(128) NOT NULL, user_id VARCHAR(128) NOT NULL, id VARCHAR(128) NOT NULL, \
                     state {json} NOT NULL, create_time {time} NOT NULL, update_time {time} NOT NULL, \
                     PRIMARY KEY (app_name, user_id, id)"
                ),
            ),
            self.table(
                "user_states",
                &format!(
                    "app_name VARCHAR(128) NOT NULL, user_id VARCHAR(128) NOT NULL, state {json} NOT NULL, \
                     update_time {time} NOT NULL, PRIMARY KEY (app_name, user_id)"
                ),
            ),
        ];
        if self.documents {
            let key = self.dialect.key_column();
            tables.push(self.table(
                "adk_internal_metadata",
                &format!(
                    "{key} VARCHAR(128) NOT NULL, value VARCHAR(256) NOT NULL, PRIMARY KEY ({key})"
                ),
            ));
        }
        tables
    }

    /// ADK's table of events, under any name.
    pub(crate) fn events(&self, name: &str) -> Sql {
        let json = self.dialect.json_type();
        let time = self.dialect.time_type(true);
        let bytes = self.dialect.bytes_type();
        let own = if self.documents {
            format!("timestamp {time} NOT NULL, event_data {json}")
        } else {
            format!(
                "author VARCHAR(256) NOT NULL, branch VARCHAR(256), timestamp {time} NOT NULL, content {json}, \
                 actions {bytes} NOT NULL, long_running_tool_ids_json TEXT, grounding_metadata {json}, \
                 partial BOOLEAN, turn_complete BOOLEAN, error_code VARCHAR(256), \
                 error_message VARCHAR(1024), interrupted BOOLEAN"
            )
        };
        self.table(
            name,
            &format!(
                "id VARCHAR(128) NOT NULL, app_name VARCHAR(128) NOT NULL, user_id VARCHAR(128) NOT NULL, \
                 session_id VARCHAR(128) NOT NULL, invocation_id VARCHAR(256) NOT NULL, {own}, \
                 PRIMARY KEY (id, app_name, user_id, session_id), \
                 FOREIGN KEY (app_name, user_id, session_id) \
                 REFERENCES sessions (app_name, user_id, id) ON DELETE CASCADE"
            ),
        )
    }

    /// The index on ADK's events.
    pub(crate) fn index(&self) -> Sql {
        // MySQL has no IF NOT EXISTS here; the caller looks first.
        let unless = if self.dialect.is_mysql() {
            ""
        } else {
            "IF NOT EXISTS "
        };
        self.dialect.sql(&format!(
            "CREATE INDEX {unless}{INDEX} ON events (app_name, user_id, session_id, timestamp DESC, id DESC)"
        ))
    }

    /// Our tables.
    pub(crate) fn ours(&self) -> Vec<Sql> {
        let long = self.dialect.long_text_type();
        let key = "app_name VARCHAR(128) NOT NULL, user_id VARCHAR(128) NOT NULL, \
                   session_id VARCHAR(128) NOT NULL";
        let parent = "FOREIGN KEY (app_name, user_id, session_id) \
                      REFERENCES sessions (app_name, user_id, id) ON DELETE CASCADE";
        vec![
            self.table(
                "opik_sessions",
                &format!(
                    "{key}, created_us BIGINT NOT NULL, updated_us BIGINT NOT NULL, events BIGINT NOT NULL, \
                     state {long}, PRIMARY KEY (app_name, user_id, session_id), {parent}"
                ),
            ),
            // The second key is a safeguard: should two ever append at once, one of them fails.
            self.table(
                "opik_events",
                &format!(
                    "{key}, event_id VARCHAR(128) NOT NULL, seq BIGINT NOT NULL, exact {long}, \
                     PRIMARY KEY (app_name, user_id, session_id, event_id), \
                     UNIQUE (app_name, user_id, session_id, seq), {parent}"
                ),
            ),
            self.table(
                "opik_session_schema",
                "version BIGINT NOT NULL, PRIMARY KEY (version)",
            ),
        ]
    }
}
