//! Databases as ADK makes them: its tables, and rows that it wrote.

use serde_json::Value;

use crate::place::{Kind, Place};

/// Which tables ADK made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    /// By version 1.10.0.
    Old,
    /// By version 2.13.0 in the older layout.
    Late,
    /// By version 2.13.0 in the newer layout.
    New,
}

pub(crate) const APP: &str = "trace-analyzer";
pub(crate) const USER: &str = "65dcf16ea3dfa490";
pub(crate) const SESSION: &str = "opik-ai-trace-analyzer-0198ec6e-2222-7000-8000-000000000500";

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/",
            $name
        ))
    };
}

/// The tables in the words of the database.
pub(crate) fn ddl(kind: Kind, made: Made) -> &'static str {
    match (kind, made) {
        (Kind::Sqlite, Made::Old) => fixture!("ddl-sqlite-adk-1.10.0.sql"),
        (Kind::Sqlite, Made::Late) => fixture!("ddl-sqlite-adk-2.13.0-v0.sql"),
        (Kind::Sqlite, Made::New) => fixture!("ddl-sqlite-adk-2.13.0-v1.sql"),
        (Kind::MariaDb, Made::Old) => fixture!("ddl-mysql-adk-1.10.0.sql"),
        (Kind::MariaDb, Made::Late) => fixture!("ddl-mysql-adk-2.13.0-v0.sql"),
        (Kind::MariaDb, Made::New) => fixture!("ddl-mysql-adk-2.13.0-v1.sql"),
        (Kind::Postgres, Made::Old) => fixture!("ddl-postgresql-adk-1.10.0.sql"),
        (Kind::Postgres, Made::Late) => fixture!("ddl-postgresql-adk-2.13.0-v0.sql"),
        (Kind::Postgres, Made::New) => fixture!("ddl-postgresql-adk-2.13.0-v1.sql"),
    }
}

/// Rows that ADK wrote, by table.
pub(crate) fn rows(made: Made) -> Value {
    let text = match made {
        Made::New => fixture!("rows-adk-2.13.0-v1.json"),
        _ => fixture!("rows-adk-1.10.0.json"),
    };
    serde_json::from_str(text).unwrap()
}

/// A text or `NULL` as it stands in a statement.
pub(crate) fn literal(kind: Kind, text: Option<&str>) -> String {
    let Some(text) = text else {
        return "NULL".to_owned();
    };
    let text = text.replace('\'', "''");
    match kind {
        Kind::MariaDb => format!("'{}'", text.replace('\\', "\\\\")),
        _ => format!("'{text}'"),
    }
}

/// `INSERT` of one row. A name that ends in `_hex` stands for bytes.
pub(crate) fn insert(kind: Kind, table: &str, row: &Value) -> String {
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for (name, value) in row.as_object().unwrap() {
        let text = value.as_str();
        match (name.strip_suffix("_hex"), kind) {
            (Some(name), Kind::Postgres) => {
                names.push(name.to_owned());
                values.push(format!("decode({}, 'hex')", literal(kind, text)));
            }
            (Some(name), _) => {
                names.push(name.to_owned());
                values.push(format!("X{}", literal(kind, text)));
            }
            (None, Kind::MariaDb) if name == "key" => {
                names.push("`key`".to_owned());
                values.push(literal(kind, text));
            }
            _ => {
                names.push(name.clone());
                values.push(literal(kind, text));
            }
        }
    }
    let (names, values) = (names.join(", "), values.join(", "));
    format!("INSERT INTO {table} ({names}) VALUES ({values});\n")
}

/// Makes the tables and fills them.
pub(crate) fn make(place: &Place, made: Made) {
    let kind = place.kind();
    let mut script = format!("{}\n", ddl(kind, made));
    let rows = rows(made);
    for table in [
        "app_states",
        "user_states",
        "sessions",
        "events",
        "adk_internal_metadata",
    ] {
        for row in rows[table].as_array().into_iter().flatten() {
            script.push_str(&insert(kind, table, row));
        }
    }
    place.run(&script);
}
