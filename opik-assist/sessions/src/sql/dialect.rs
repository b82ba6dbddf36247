//! How the three databases differ.

use std::sync::Arc;

use opik_core::Timestamp;

use super::link::Sql;

/// Whose SQL is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    #[cfg(feature = "sqlite")]
    Sqlite,
    #[cfg(feature = "mysql")]
    MySql,
    #[cfg(feature = "postgres")]
    Postgres,
}

/// The three ways of something, each for its database.
struct Ways<T> {
    sqlite: T,
    mysql: T,
    postgres: T,
}

impl Dialect {
    fn pick<T>(self, ways: Ways<T>) -> T {
        let Ways {
            sqlite,
            mysql,
            postgres,
        } = ways;
        let all = (sqlite, mysql, postgres);
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => all.0,
            #[cfg(feature = "mysql")]
            Self::MySql => all.1,
            #[cfg(feature = "postgres")]
            Self::Postgres => all.2,
        }
    }

    pub(crate) fn is_sqlite(self) -> bool {
        self.pick(Ways {
            sqlite: true,
            mysql: false,
            postgres: false,
        })
    }

    pub(crate) fn is_mysql(self) -> bool {
        self.pick(Ways {
            sqlite: false,
            mysql: true,
            postgres: false,
        })
    }

    pub(crate) fn is_postgres(self) -> bool {
        self.pick(Ways {
            sqlite: false,
            mysql: false,
            postgres: true,
        })
    }

    /// The name for people.
    pub(crate) fn name(self) -> &'static str {
        self.pick(Ways {
            sqlite: "SQLite",
            mysql: "MySQL",
            postgres: "PostgreSQL",
        })
    }

    /// A statement from a text in which `?` is a placeholder, `?j` one for JSON and `?t` one for a
    /// time.
    pub(crate) fn sql(self, text: &str) -> Sql {
        let mut sql = String::with_capacity(text.len() + 16);
        let mut pieces = text.split('?');
        sql.push_str(pieces.next().unwrap_or_default());
        for (number, piece) in (1..).zip(pieces) {
            let (kind, rest) = match piece.as_bytes() {
                [b'j', ..] => (Some("JSONB"), piece.get(1..)),
                [b't', ..] => (Some("TIMESTAMP"), piece.get(1..)),
                _ => (None, Some(piece)),
            };
            match kind {
                _ if !self.is_postgres() => sql.push('?'),
                Some(kind) => sql.push_str(&format!("CAST(${number} AS {kind})")),
                None => sql.push_str(&format!("${number}")),
            }
            sql.push_str(rest.unwrap_or_default());
        }
        Arc::from(sql)
    }

    /// A time as text.
    pub(crate) fn time(self, column: &str) -> String {
        self.pick(Ways {
            sqlite: format!("CAST({column} AS TEXT)"),
            mysql: format!("CAST({column} AS CHAR)"),
            postgres: format!("to_char({column}, 'YYYY-MM-DD HH24:MI:SS.US')"),
        })
    }

    /// JSON, a number or a flag as text.
    pub(crate) fn text(self, column: &str) -> String {
        self.pick(Ways {
            sqlite: format!("CAST({column} AS TEXT)"),
            mysql: format!("CAST({column} AS CHAR)"),
            postgres: format!("CAST({column} AS TEXT)"),
        })
    }

    /// JSON as it is stored, as text.
    pub(crate) fn json(self, column: &str) -> String {
        self.pick(Ways {
            sqlite: column.to_owned(),
            mysql: column.to_owned(),
            postgres: format!("CAST({column} AS TEXT)"),
        })
    }

    /// Begins a transaction that will write. A deferred one of SQLite that turns into a writer fails
    /// at once when another one writes, whatever the busy timeout.
    pub(crate) fn begin(self) -> Sql {
        Arc::from(self.pick(Ways {
            sqlite: "BEGIN IMMEDIATE",
            mysql: "START TRANSACTION",
            postgres: "BEGIN",
        }))
    }

    /// What makes a query hold the rows that it reads. SQLite holds the whole file anyway.
    pub(crate) fn for_update(self) -> &'static str {
        self.pick(Ways {
            sqlite: "",
            mysql: " FOR UPDATE",
            postgres: " FOR UPDATE",
        })
    }

    /// Puts `INSERT INTO table (..) VALUES (..)` so that a row that is there is no failure.
    pub(crate) fn insert_if_missing(self, rest: &str) -> Sql {
        self.sql(&self.pick(Ways {
            sqlite: format!("INSERT OR IGNORE INTO {rest}"),
            mysql: format!("INSERT IGNORE INTO {rest}"),
            postgres: format!("INSERT INTO {rest} ON CONFLICT DO NOTHING"),
        }))
    }

    pub(crate) fn json_type(self) -> &'static str {
        self.pick(Ways {
            sqlite: "TEXT",
            mysql: "LONGTEXT",
            postgres: "JSONB",
        })
    }

    /// Text of any length that is left as it is.
    pub(crate) fn long_text_type(self) -> &'static str {
        self.pick(Ways {
            sqlite: "TEXT",
            mysql: "LONGTEXT",
            postgres: "TEXT",
        })
    }

    pub(crate) fn bytes_type(self) -> &'static str {
        self.pick(Ways {
            sqlite: "BLOB",
            mysql: "BLOB",
            postgres: "BYTEA",
        })
    }

    pub(crate) fn time_type(self, precise: bool) -> &'static str {
        self.pick(Ways {
            sqlite: "DATETIME",
            mysql: if precise { "DATETIME(6)" } else { "DATETIME" },
            postgres: "TIMESTAMP WITHOUT TIME ZONE",
        })
    }

    /// The column `key`, which is a word of its own in MySQL.
    pub(crate) fn key_column(self) -> &'static str {
        self.pick(Ways {
            sqlite: "\"key\"",
            mysql: "`key`",
            postgres: "\"key\"",
        })
    }
}

/// A time as the tables have it: UTC without saying so.
pub(crate) fn time_text(at: Timestamp) -> String {
    at.to_string().replace('T', " ").replace('Z', "")
}

/// The same to the second, for columns that round what is finer.
pub(crate) fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.as_micros().div_euclid(1_000_000) * 1_000_000)
}

/// Reads a time of the tables.
pub(crate) fn parse_time(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(all(feature = "sqlite", feature = "postgres"))]
    fn placeholders_are_numbered_where_they_have_numbers() {
        let text = "INSERT INTO t (a, b, c) VALUES (?, ?j, ?t)";
        assert_eq!(
            &*Dialect::Postgres.sql(text),
            "INSERT INTO t (a, b, c) VALUES ($1, CAST($2 AS JSONB), CAST($3 AS TIMESTAMP))"
        );
        assert_eq!(
            &*Dialect::Sqlite.sql(text),
            "INSERT INTO t (a, b, c) VALUES (?, ?, ?)"
        );
    }

    #[test]
    fn times_are_written_and_read() {
        for micros in [0, 1, 1_795_171_105_230_789, 253_402_128_000_000_000] {
            let at = Timestamp::from_micros(micros);
            assert_eq!(parse_time(&time_text(at)), Some(at));
        }
        let at = parse_time("2026-11-20 10:31:37").unwrap();
        assert_eq!(time_text(at), "2026-11-20 10:31:37.000000");
        assert_eq!(whole_seconds(at.plus_micros(999_999)), at);
    }
}
