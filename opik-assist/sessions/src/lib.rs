#![cfg_attr(docsrs, feature(doc_cfg))]
//! Session stores in memory, SQLite, MySQL, MariaDB and PostgreSQL.
//!
//! [`open`] picks the store by its URI; [`MemorySessions`], [`SqliteSessions`], [`MySqlSessions`]
//! and [`PostgresSessions`] are the stores themselves. Each is an
//! [`opik_core::SessionStore`] and keeps its contract to the letter.
//!
//! ```
//! use opik_core::session::Position;
//! use opik_core::{Event, Message, Role, SessionKey, SessionStore, Timestamp};
//! use opik_sessions::{SessionOptions, open};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let sessions = open("memory:", SessionOptions::new()).await?;
//! let key = SessionKey::new("trace-analyzer", "ada", "opik-ai-trace-analyzer-1");
//! let session = sessions.create(&key, &Default::default()).await?;
//! let question = Event::new("event-1", "turn-1", "user", Timestamp::now())
//!     .with_message(Message::text(Role::User, "Why is this trace slow?"));
//! assert_eq!(sessions.append(&key, session.position, &[question]).await?, Position(1));
//! # Ok::<(), opik_core::SessionError>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Tables
//!
//! The SQL stores use the tables of Google's ADK (`sessions`, `events`, `app_states`,
//! `user_states`), which the Python program of Opik's assistant uses: a database of either can be
//! opened by the other. What those tables cannot hold (the order of events whose times tie, the
//! exact spelling of JSON, changes of the state) is in two tables beside them, `opik_sessions` and
//! `opik_events`, and a third one, `opik_session_schema`, says which migrations were made.
//! [`Layout`] says which of the two layouts of ADK is used.
//!
//! # Positions
//!
//! An append locks the row of its session, counts its events and goes on only when there are as
//! many as expected. Events that the Python program appended count; they are ordered by time,
//! after those whose order is known, and get a fixed place at the next append.

mod config;
mod memory;
mod open;
mod options;
mod retention;
mod uri;

#[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres"))]
mod adk;
#[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres"))]
mod sql;

pub use config::{ConfigError, Configured, from_env, from_variables};
pub use memory::MemorySessions;
pub use open::{Sessions, open};
pub use options::{Layout, SessionOptions};
pub use retention::{Pruned, Retention};
#[cfg(feature = "mysql")]
#[cfg_attr(docsrs, doc(cfg(feature = "mysql")))]
pub use sql::stores::MySqlSessions;
#[cfg(feature = "postgres")]
#[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
pub use sql::stores::PostgresSessions;
#[cfg(feature = "sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub use sql::stores::SqliteSessions;
