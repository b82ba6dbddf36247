//! Every statement of a store, made once.

use super::dialect::Dialect;
use super::link::{Kind, Sql};

const OF_SESSION: &str = "app_name = ? AND user_id = ? AND session_id = ?";

/// The statements for one database and layout.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) session: Sql,
    pub(crate) list: Sql,
    pub(crate) shared: Sql,
    pub(crate) exists: Sql,
    pub(crate) lock: Sql,
    pub(crate) insert_session: Sql,
    pub(crate) update_session: Sql,
    pub(crate) delete_session: Sql,
    pub(crate) insert_app: Sql,
    pub(crate) insert_user: Sql,
    pub(crate) insert_beside: Sql,
    pub(crate) update_beside: Sql,
    /// Both updates in one, where the database can.
    pub(crate) update_both: Option<Sql>,
    pub(crate) events: Sql,
    pub(crate) insert_event: Sql,
    pub(crate) unordered: Sql,
    pub(crate) insert_order: Sql,
    /// What belongs to a session, except its row.
    pub(crate) delete_parts: [Sql; 3],
    pub(crate) users: Sql,
    pub(crate) older: Sql,
    /// Events without a session first, then what is beside them.
    pub(crate) delete_orphans: [Sql; 3],
}

/// How a row of [`Statements::session`] and [`Statements::list`] is read.
pub(crate) const SESSION: [Kind; 11] = [
    Kind::Text,
    Kind::Text,
    Kind::Text,
    Kind::Text,
    Kind::Int,
    Kind::Int,
    Kind::Int,
    Kind::Text,
    Kind::Int,
    Kind::Text,
    Kind::Int,
];

impl Statements {
    pub(crate) fn new(dialect: Dialect, documents: bool) -> Self {
        let d = dialect;
        let events_of = "FROM events e WHERE e.app_name = s.app_name AND e.user_id = s.user_id \
                         AND e.session_id = s.id";
        let next_seq = "(SELECT COALESCE(MAX(q.seq) + 1, 0) FROM opik_events q \
                        WHERE q.app_name = s.app_name AND q.user_id = s.user_id AND q.session_id = s.id)";
        let sessions = format!(
            "SELECT s.id, {}, {}, {}, o.created_us, o.updated_us, o.events, o.state, \
             (SELECT COUNT(*) {events_of}), {}, {next_seq} \
             FROM sessions s LEFT JOIN opik_sessions o ON o.app_name = s.app_name \
             AND o.user_id = s.user_id AND o.session_id = s.id \
             WHERE s.app_name = ? AND s.user_id = ?",
            d.json("s.state"),
            d.time("s.create_time"),
            d.time("s.update_time"),
            d.time(&format!("(SELECT MAX(e.timestamp) {events_of})")),
        );
        let order_of_events = "LEFT JOIN opik_events o ON o.app_name = e.app_name \
                               AND o.user_id = e.user_id AND o.session_id = e.session_id \
                               AND o.event_id = e.id \
                               WHERE e.app_name = ? AND e.user_id = ? AND e.session_id = ?";
        let columns = if documents {
            format!(
                "e.id, e.invocation_id, {}, {}, o.exact",
                d.time("e.timestamp"),
                d.json("e.event_data")
            )
        } else {
            format!(
                "e.id, e.invocation_id, {}, {}, o.exact, e.author, e.actions, e.error_code, e.error_message",
                d.time("e.timestamp"),
                d.json("e.content")
            )
        };
        let insert_event = if documents {
            "INSERT INTO events (app_name, user_id, session_id, id, invocation_id, timestamp, event_data) \
             VALUES (?, ?, ?, ?, ?, ?t, ?j)"
        } else {
            "INSERT INTO events (app_name, user_id, session_id, id, invocation_id, timestamp, content, \
             author, actions, error_code, error_message) VALUES (?, ?, ?, ?, ?, ?t, ?j, ?, ?, ?, ?)"
        };
        Self {
            session: d.sql(&format!("{sessions} AND s.id = ?")),
            list: d.sql(&sessions),
            shared: d.sql(&format!(
                "SELECT (SELECT {} FROM app_states a WHERE a.app_name = ?), \
                 (SELECT {} FROM user_states u WHERE u.app_name = ? AND u.user_id = ?)",
                d.json("a.state"),
                d.json("u.state")
            )),
            exists: d.sql("SELECT id FROM sessions WHERE app_name = ? AND user_id = ? AND id = ?"),
            lock: d.sql(&format!(
                "SELECT id FROM sessions WHERE app_name = ? AND user_id = ? AND id = ?{}",
                d.for_update()
            )),
            insert_session: d.sql(
                "INSERT INTO sessions (app_name, user_id, id, state, create_time, update_time) \
                 VALUES (?, ?, ?, ?j, ?t, ?t)",
            ),
            update_session: d.sql(
                "UPDATE sessions SET state = ?j, update_time = ?t \
                 WHERE app_name = ? AND user_id = ? AND id = ?",
            ),
            delete_session: d
                .sql("DELETE FROM sessions WHERE app_name = ? AND user_id = ? AND id = ?"),
            insert_app: d.insert_if_missing(
                "app_states (app_name, state, update_time) VALUES (?, ?j, ?t)",
            ),
            insert_user: d.insert_if_missing(
                "user_states (app_name, user_id, state, update_time) VALUES (?, ?, ?j, ?t)",
            ),
            insert_beside: d.sql(
                "INSERT INTO opik_sessions (app_name, user_id, session_id, created_us, updated_us, \
                 events, state) VALUES (?, ?, ?, ?, ?, ?, ?)",
            ),
            update_beside: d.sql(&format!(
                "UPDATE opik_sessions SET created_us = ?, updated_us = ?, events = ?, state = ? \
                 WHERE {OF_SESSION}"
            )),
            update_both: d.is_mysql().then(|| {
                d.sql(
                    "UPDATE sessions s JOIN opik_sessions o ON o.app_name = s.app_name \
                     AND o.user_id = s.user_id AND o.session_id = s.id \
                     SET s.state = ?j, s.update_time = ?t, \
                     o.created_us = ?, o.updated_us = ?, o.events = ?, o.state = ? \
                     WHERE s.app_name = ? AND s.user_id = ? AND s.id = ?",
                )
            }),
            events: d.sql(&format!(
                // The page is found first, so that what is sorted is small.
                "SELECT {columns} FROM (SELECT e.id AS id, o.seq AS seq, e.timestamp AS at \
                 FROM events e {order_of_events} \
                 ORDER BY CASE WHEN o.seq IS NULL THEN 1 ELSE 0 END, o.seq, e.timestamp, e.id \
                 LIMIT ? OFFSET ?) p JOIN events e ON e.id = p.id {order_of_events} \
                 ORDER BY CASE WHEN p.seq IS NULL THEN 1 ELSE 0 END, p.seq, p.at, p.id"
            )),
            insert_event: d.sql(insert_event),
            unordered: d.sql(&format!(
                "SELECT e.id FROM events e {order_of_events} AND o.event_id IS NULL \
                 ORDER BY e.timestamp, e.id"
            )),
            insert_order: d.sql(
                "INSERT INTO opik_events (app_name, user_id, session_id, event_id, seq, exact) \
                 VALUES (?, ?, ?, ?, ?, ?)",
            ),
            delete_parts: ["events", "opik_events", "opik_sessions"]
                .map(|table| d.sql(&format!("DELETE FROM {table} WHERE {OF_SESSION}"))),
            users: d.sql(
                "SELECT app_name, user_id FROM sessions GROUP BY app_name, user_id HAVING COUNT(*) > ?",
            ),
            older: d.sql(
                "SELECT app_name, user_id, id FROM sessions WHERE update_time < ?t \
                 ORDER BY update_time, app_name, user_id, id LIMIT ? OFFSET ?",
            ),
            delete_orphans: ["events", "opik_events", "opik_sessions"]
                .map(|table| orphans(d, table)),
        }
    }
}

/// Deletes rows whose session is gone.
pub(crate) fn orphans(dialect: Dialect, table: &str) -> Sql {
    dialect.sql(&format!(
        "DELETE FROM {table} WHERE NOT EXISTS (SELECT 1 FROM sessions s \
         WHERE s.app_name = {table}.app_name AND s.user_id = {table}.user_id \
         AND s.id = {table}.session_id)"
    ))
}
