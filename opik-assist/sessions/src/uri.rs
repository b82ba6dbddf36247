//! Addresses of databases, as SQLAlchemy and as sqlx write them.

use std::path::PathBuf;

use opik_core::SessionError;
use opik_core::session::SessionErrorKind;
use url::Url;

/// What an address names.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Memory,
    Sqlite(SqliteFile),
    /// An address for sqlx, with the scheme `mysql`.
    MySql(Url),
    /// An address for sqlx, with the scheme `postgres`.
    Postgres(Url),
}

/// A SQLite file, and how it may be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SqliteFile {
    pub(crate) path: PathBuf,
    pub(crate) read_only: bool,
    pub(crate) create: bool,
}

/// That an address cannot be used. The text never quotes the address: it may hold a password.
pub(crate) fn refused(why: impl Into<String>) -> SessionError {
    SessionError::new(
        SessionErrorKind::Invalid,
        format!("session URI: {}", why.into()),
    )
}

/// Understands an address.
pub(crate) fn parse(uri: &str) -> Result<Target, SessionError> {
    let uri = uri.trim();
    let (scheme, rest) = uri
        .split_once(':')
        .ok_or_else(|| refused("no scheme such as sqlite:, mysql: or postgresql:"))?;
    let scheme = scheme.to_ascii_lowercase();
    // `mysql+pymysql` names a Python driver, which makes no difference here.
    let (engine, driver) = scheme.split_once('+').unwrap_or((&scheme, ""));
    if scheme.len() > 40 || !is_name(engine) || !(driver.is_empty() || is_name(driver)) {
        return Err(refused("no scheme such as sqlite:, mysql: or postgresql:"));
    }
    match engine {
        "memory" if matches!(rest, "" | "//") => Ok(Target::Memory),
        "memory" => Err(refused("memory: takes nothing after the colon")),
        "sqlite" | "sqlite3" => sqlite(rest),
        "mysql" | "mariadb" => server(rest, "mysql").map(Target::MySql),
        "postgres" | "postgresql" => server(rest, "postgres").map(Target::Postgres),
        other => Err(refused(format!(
            "unknown scheme `{other}`; known are memory, sqlite, mysql, mariadb, postgres and postgresql"
        ))),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn sqlite(rest: &str) -> Result<Target, SessionError> {
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    // SQLAlchemy: `sqlite:///relative` and `sqlite:////absolute`. sqlx: `sqlite:path`, `sqlite://path`.
    let path = place
        .strip_prefix("///")
        .or_else(|| place.strip_prefix("//"))
        .unwrap_or(place);
    let path = path.strip_prefix("file:").unwrap_or(path);
    if path.is_empty() || path == ":memory:" {
        return Ok(Target::Memory);
    }
    let mut file = SqliteFile {
        path: PathBuf::from(path),
        read_only: false,
        create: true,
    };
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match (name.as_ref(), value.as_ref()) {
            ("mode", "ro") => (file.read_only, file.create) = (true, false),
            ("mode", "rw") => file.create = false,
            ("mode", "rwc") => {}
            ("mode", "memory") => return Ok(Target::Memory),
            ("mode", _) => return Err(refused("mode is one of ro, rw, rwc and memory")),
            // Settings of Python's module that have no meaning here.
            ("uri" | "timeout" | "check_same_thread" | "isolation_level" | "cache", _) => {}
            (other, _) if is_name(other) => {
                return Err(refused(format!("unknown parameter `{other}` of sqlite")));
            }
            _ => return Err(refused("a parameter without a name")),
        }
    }
    Ok(Target::Sqlite(file))
}

fn server(rest: &str, scheme: &str) -> Result<Url, SessionError> {
    if !rest.starts_with("//") {
        return Err(refused(format!(
            "{scheme}: must go on with //user:password@host/database"
        )));
    }
    // The message of the parser is left out: it is the address that is wrong, and it has a password.
    let mut url = Url::parse(&format!("{scheme}:{rest}")).map_err(|_| {
        refused(
            "not an address; characters such as @ : / # ? % in user or password are written \
             percent-encoded",
        )
    })?;
    if url.path().trim_matches('/').is_empty() {
        return Err(refused("no database is named after the host"));
    }
    let pairs: Vec<(String, String)> = url
        .query_pairs()
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    url.set_query(None);
    for (name, value) in pairs {
        let (name, value) = parameter(scheme, &name, &value)?;
        if let Some(name) = name {
            url.query_pairs_mut().append_pair(name, &value);
        }
    }
    Ok(url)
}

/// A parameter by its name in sqlx; without one where it has no meaning here.
fn parameter(
    scheme: &str,
    name: &str,
    value: &str,
) -> Result<(Option<&'static str>, String), SessionError> {
    let same = value.to_owned();
    let known = match (scheme, name) {
        // The stores need the character set that holds every text.
        ("mysql", "charset" | "use_unicode" | "binary_prefix" | "autocommit") => (None, same),
        ("mysql", "unix_socket" | "socket") => (Some("socket"), same),
        ("mysql", "ssl_mode" | "sslmode" | "ssl-mode") => (Some("ssl-mode"), same),
        ("mysql", "ssl_ca" | "sslca" | "ssl-ca") => (Some("ssl-ca"), same),
        ("mysql", "ssl_cert" | "sslcert" | "ssl-cert") => (Some("ssl-cert"), same),
        ("mysql", "ssl_key" | "sslkey" | "ssl-key") => (Some("ssl-key"), same),
        ("mysql", "ssl") if value.eq_ignore_ascii_case("true") => {
            (Some("ssl-mode"), "REQUIRED".to_owned())
        }
        ("mysql", "ssl") => (Some("ssl-mode"), "DISABLED".to_owned()),
        ("postgres", "ssl") if value.eq_ignore_ascii_case("true") => {
            (Some("sslmode"), "require".to_owned())
        }
        ("postgres", "ssl" | "sslmode" | "ssl-mode") => (Some("sslmode"), same),
        ("postgres", "sslrootcert" | "ssl-root-cert" | "ssl-ca") => (Some("sslrootcert"), same),
        ("postgres", "sslcert" | "ssl-cert") => (Some("sslcert"), same),
        ("postgres", "sslkey" | "ssl-key") => (Some("sslkey"), same),
        ("postgres", "host") => (Some("host"), same),
        ("postgres", "port") => (Some("port"), same),
        ("postgres", "options") => (Some("options"), same),
        ("postgres", "application_name") => (Some("application_name"), same),
        ("postgres", "client_encoding" | "connect_timeout" | "prepared_statement_cache_size") => {
            (None, same)
        }
        (_, other) if other.len() <= 40 && other.bytes().all(|b| b.is_ascii_graphic()) => {
            return Err(refused(format!("unknown parameter `{other}` of {scheme}")));
        }
        _ => return Err(refused("a parameter without a name")),
    };
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(uri: &str) -> SqliteFile {
        match parse(uri).unwrap() {
            Target::Sqlite(file) => file,
            _ => panic!("{uri} is no file"),
        }
    }

    fn address(uri: &str) -> String {
        match parse(uri).unwrap() {
            Target::MySql(url) | Target::Postgres(url) => url.to_string(),
            _ => panic!("{uri} is no server"),
        }
    }

    #[test]
    fn sqlite_files_are_named_as_sqlalchemy_and_as_sqlx_name_them() {
        for (uri, path) in [
            ("sqlite:///relative.db", "relative.db"),
            (
                "sqlite:////var/lib/opik/sessions.db",
                "/var/lib/opik/sessions.db",
            ),
            ("sqlite+aiosqlite:///./a b.db", "./a b.db"),
            ("sqlite:plain.db", "plain.db"),
            ("sqlite:/absolute.db", "/absolute.db"),
            ("SQLite://plain.db", "plain.db"),
            ("sqlite:///100%25.db", "100%25.db"),
            ("sqlite:///file:x.db?uri=true", "x.db"),
        ] {
            assert_eq!(file(uri).path, PathBuf::from(path), "{uri}");
        }
        assert!(file("sqlite:///x.db").create);
        assert!(!file("sqlite:///x.db?mode=rw").create);
        assert!(file("sqlite:///x.db?mode=ro").read_only);
        for uri in [
            "sqlite:",
            "sqlite://",
            "sqlite:///:memory:",
            "sqlite::memory:",
            "memory:",
        ] {
            assert!(matches!(parse(uri), Ok(Target::Memory)), "{uri}");
        }
    }

    #[test]
    fn servers_are_named_with_and_without_a_python_driver() {
        let plain = "mysql://root:p%40ss@db:3307/opik";
        for scheme in [
            "mysql",
            "mysql+pymysql",
            "mysql+aiomysql",
            "mariadb",
            "mariadb+mariadbconnector",
        ] {
            let uri = format!("{scheme}://root:p%40ss@db:3307/opik?charset=utf8mb4");
            assert_eq!(address(&uri), plain, "{scheme}");
        }
        for scheme in [
            "postgres",
            "postgresql",
            "postgresql+asyncpg",
            "postgresql+psycopg2",
        ] {
            let uri = format!("{scheme}://u:p@db/opik?ssl=require");
            assert_eq!(
                address(&uri),
                "postgres://u:p@db/opik?sslmode=require",
                "{scheme}"
            );
        }
        assert_eq!(
            address("mysql://u:p@h/d?ssl_ca=%2Fca.pem&unix_socket=/s"),
            "mysql://u:p@h/d?ssl-ca=%2Fca.pem&socket=%2Fs"
        );
    }

    #[test]
    fn what_is_wrong_is_said_without_the_address() {
        for (uri, part) in [
            ("", "no scheme"),
            ("/var/lib/hunter2.db", "no scheme"),
            ("hunter2@host/db:x", "no scheme"),
            ("redis://u:hunter2@h/0", "unknown scheme `redis`"),
            ("agentengine://hunter2", "unknown scheme `agentengine`"),
            ("mysql://u:hunter2@h", "no database"),
            ("mysql:u:hunter2@h/d", "must go on with //"),
            ("postgres://u:hunter2#x@h:port/d", "not an address"),
            ("mysql://u:hunter2@h/d?pool=3", "unknown parameter `pool`"),
            ("sqlite:///hunter2.db?mode=x", "mode is one of"),
            (
                "sqlite:///hunter2.db?journal=wal",
                "unknown parameter `journal`",
            ),
        ] {
            let error = parse(uri).err().unwrap();
            let text = format!("{error} {error:?}");
            assert!(text.contains(part), "{uri}: {text}");
            assert!(!text.contains("hunter2"), "{text}");
            assert_eq!(error.kind(), SessionErrorKind::Invalid);
            assert!(!error.is_retryable());
        }
    }
}
