//! How a server is set up. The only place that knows the names of environment variables.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use opik_core::Secret;
use opik_store::Retention;

use crate::http::RateLimits;

/// Where the official clients look for a local Opik.
const DEFAULT_PORT: u16 = 5173;
/// Bodies over this many bytes, after decompression, are refused with 413.
const DEFAULT_MAX_BODY: usize = 256 << 20;
/// Bytes of request bodies that may be in memory at once.
const DEFAULT_BODY_MEMORY: usize = 128 << 20;
/// How long a request with a body may take until its answer begins.
const DEFAULT_PATIENCE: Duration = Duration::from_secs(60);
/// Attachments over this many bytes are refused with 413.
const DEFAULT_MAX_ATTACHMENT: usize = 256 << 20;

/// A variable that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable} cannot be used: {problem}")]
#[non_exhaustive]
pub struct ConfigError {
    /// The variable's name.
    pub variable: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

fn refused(variable: &'static str, problem: &'static str) -> ConfigError {
    ConfigError { variable, problem }
}

/// Configuration of a server: where it listens, who may talk to it, and how much it takes.
///
/// | variable | default | meaning |
/// |---|---|---|
/// | `HOST` | `127.0.0.1` | address to listen on |
/// | `PORT` | `5173` | port; 0 takes any that is free |
/// | `URL_PREFIX` | none | path under which everything is served as well, for example `/observe` |
/// | `OPIK_DB` | in the data directory | file of the store |
/// | `OPIK_SERVER_API_KEY` | none | key that clients have to send |
/// | `OPIK_SERVER_ALLOW_NO_KEY` | `false` | listen on other than loopback addresses without a key |
/// | `OPIK_SERVER_ANY_WORKSPACE` | `false` | accept workspaces other than `default` |
/// | `OPIK_SERVER_MAX_BODY_MB` | `256` | largest body after decompression, in MiB |
/// | `OPIK_SERVER_BODY_MEMORY_MB` | `128` | bodies in memory at once, in MiB; beyond, 429 |
/// | `OPIK_SERVER_PATIENCE_SECONDS` | `60` | how long a request with a body may take; beyond, 429 |
/// | `OPIK_SERVER_MAX_ATTACHMENT_MB` | `256` | largest attachment, in MiB |
/// | `OPIK_SERVER_RATE_LIMIT` | `false` | limit how much clients may ask for in a minute |
/// | `OPIK_SERVER_RATE_LIMITS` | see [`RateLimits`] | other limits, for example `user=100000,get-spans=300` |
/// | `OPIK_SERVER_RETENTION_DAYS` | for ever | forget traces that started longer ago, every hour |
/// | `OPIK_SERVER_MAX_STORE_MB` | no limit | forget the oldest traces until the store is no larger, every hour |
/// | `OPIK_SERVER_VYASA` | `false` | serve Vyasa's `/api/traces`, `/api/evals` and `/api/prompts/{name}` |
///
/// ```
/// use opik_server::ServerConfig;
///
/// let config = ServerConfig::from_lookup(|name| (name == "PORT").then(|| "8081".to_owned()))?;
/// assert_eq!(config.address().to_string(), "127.0.0.1:8081");
/// # Ok::<(), opik_server::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ServerConfig {
    host: IpAddr,
    port: u16,
    prefix: String,
    store: Option<PathBuf>,
    api_key: Option<Secret>,
    allow_no_key: bool,
    any_workspace: bool,
    max_body: usize,
    body_memory: usize,
    max_attachment: usize,
    rate_limits: Option<RateLimits>,
    retention_days: Option<u64>,
    max_store: Option<u64>,
    vyasa: bool,
    patience: Duration,
}

impl Default for ServerConfig {
    /// Loopback, port 5173, no key, no prefix.
    fn default() -> Self {
        Self {
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: DEFAULT_PORT,
            prefix: String::new(),
            store: None,
            api_key: None,
            allow_no_key: false,
            any_workspace: false,
            max_body: DEFAULT_MAX_BODY,
            body_memory: DEFAULT_BODY_MEMORY,
            max_attachment: DEFAULT_MAX_ATTACHMENT,
            rate_limits: None,
            retention_days: None,
            max_store: None,
            vyasa: false,
            patience: DEFAULT_PATIENCE,
        }
    }
}

impl ServerConfig {
    /// Names of the variables that begin with `OPIK_`, for programs that tell misspelt ones.
    pub const VARIABLES: &[&str] = &[
        "OPIK_DB",
        "OPIK_SERVER_API_KEY",
        "OPIK_SERVER_ALLOW_NO_KEY",
        "OPIK_SERVER_ANY_WORKSPACE",
        "OPIK_SERVER_MAX_BODY_MB",
        "OPIK_SERVER_BODY_MEMORY_MB",
        "OPIK_SERVER_PATIENCE_SECONDS",
        "OPIK_SERVER_MAX_ATTACHMENT_MB",
        "OPIK_SERVER_RATE_LIMIT",
        "OPIK_SERVER_RATE_LIMITS",
        "OPIK_SERVER_RETENTION_DAYS",
        "OPIK_SERVER_MAX_STORE_MB",
        "OPIK_SERVER_VYASA",
    ];

    /// What the process's environment says; see the table above.
    ///
    /// # Errors
    /// [`ConfigError`] with the first variable that cannot be used.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(variable)
    }

    /// As [`from_env`](Self::from_env), from any source of variables.
    ///
    /// # Errors
    /// [`ConfigError`] with the first variable that cannot be used.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let get = |name: &str| {
            lookup(name)
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        let mut config = Self::default();
        if let Some(host) = get("HOST") {
            config.host = match host.as_str() {
                "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
                other => other
                    .trim_matches(['[', ']'])
                    .parse()
                    .map_err(|_| refused("HOST", "it is not an IP address"))?,
            };
        }
        if let Some(port) = get("PORT") {
            config.port = port
                .parse()
                .map_err(|_| refused("PORT", "it is not a number from 0 to 65535"))?;
        }
        if let Some(prefix) = get("URL_PREFIX") {
            config = config.url_prefix(&prefix);
            if !is_path(&config.prefix) {
                return Err(refused("URL_PREFIX", "it is not a plain path"));
            }
        }
        config.store = get("OPIK_DB").map(PathBuf::from);
        config.api_key = get("OPIK_SERVER_API_KEY").map(Secret::new);
        let flag = |name: &'static str, to: &mut bool| -> Result<(), ConfigError> {
            match get(name).map(|word| word.to_ascii_lowercase()).as_deref() {
                None => {}
                Some("1" | "true" | "yes" | "on") => *to = true,
                Some("0" | "false" | "no" | "off") => *to = false,
                Some(_) => return Err(refused(name, "it is neither true nor false")),
            }
            Ok(())
        };
        flag("OPIK_SERVER_ALLOW_NO_KEY", &mut config.allow_no_key)?;
        flag("OPIK_SERVER_ANY_WORKSPACE", &mut config.any_workspace)?;
        flag("OPIK_SERVER_VYASA", &mut config.vyasa)?;
        let mut is_limited = false;
        flag("OPIK_SERVER_RATE_LIMIT", &mut is_limited)?;
        config.rate_limits = is_limited.then(RateLimits::default);
        if let Some(text) = get("OPIK_SERVER_RATE_LIMITS") {
            let limits = RateLimits::default().read(&text);
            config.rate_limits = Some(limits.ok_or_else(|| {
                refused(
                    "OPIK_SERVER_RATE_LIMITS",
                    "it is not a list like user=100,get-spans=5",
                )
            })?);
        }
        let count = |name: &'static str| -> Result<Option<u64>, ConfigError> {
            let number = get(name).map(|text| text.parse::<u64>());
            match number.transpose() {
                Ok(Some(0)) | Err(_) => Err(refused(name, "it is not a whole number above 0")),
                Ok(number) => Ok(number),
            }
        };
        if let Some(seconds) = count("OPIK_SERVER_PATIENCE_SECONDS")? {
            config.patience = Duration::from_secs(seconds);
        }
        config.retention_days = count("OPIK_SERVER_RETENTION_DAYS")?;
        config.max_store =
            count("OPIK_SERVER_MAX_STORE_MB")?.map(|size| size.saturating_mul(1 << 20));
        let size = |name: &'static str, to: &mut usize| -> Result<(), ConfigError> {
            if let Some(text) = get(name) {
                let number: usize = text
                    .parse()
                    .map_err(|_| refused(name, "it is not a whole number"))?;
                if !(1..=65_536).contains(&number) {
                    return Err(refused(name, "it is not between 1 and 65536"));
                }
                *to = number << 20;
            }
            Ok(())
        };
        size("OPIK_SERVER_MAX_BODY_MB", &mut config.max_body)?;
        size("OPIK_SERVER_BODY_MEMORY_MB", &mut config.body_memory)?;
        size("OPIK_SERVER_MAX_ATTACHMENT_MB", &mut config.max_attachment)?;
        Ok(config)
    }

    /// Listens on this address.
    #[must_use]
    pub fn host(mut self, host: IpAddr) -> Self {
        self.host = host;
        self
    }

    /// Listens on this port; 0 takes any that is free.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Serves everything under this path as well.
    #[must_use]
    pub fn url_prefix(mut self, prefix: &str) -> Self {
        let path = prefix.trim().trim_matches('/');
        self.prefix = if path.is_empty() {
            String::new()
        } else {
            format!("/{path}")
        };
        self
    }

    /// Asks every client for this key.
    #[must_use]
    pub fn api_key(mut self, key: Secret) -> Self {
        self.api_key = Some(key);
        self
    }

    /// Lets the server listen on other than loopback addresses without a key.
    #[must_use]
    pub fn allow_no_key(mut self, allow: bool) -> Self {
        self.allow_no_key = allow;
        self
    }

    /// Accepts workspaces other than `default`; they share one store.
    #[must_use]
    pub fn any_workspace(mut self, any: bool) -> Self {
        self.any_workspace = any;
        self
    }

    /// Refuses bodies over this many bytes after decompression.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Keeps bodies of at most this many bytes in memory at once.
    #[must_use]
    pub fn body_memory(mut self, bytes: usize) -> Self {
        self.body_memory = bytes;
        self
    }

    /// Refuses attachments over this many bytes.
    #[must_use]
    pub fn max_attachment(mut self, bytes: usize) -> Self {
        self.max_attachment = bytes;
        self
    }

    /// Limits how much clients may ask for.
    #[must_use]
    pub fn rate_limits(mut self, limits: RateLimits) -> Self {
        self.rate_limits = Some(limits);
        self
    }

    /// Forgets traces that started longer ago than so many days, every hour.
    #[must_use]
    pub fn retention_days(mut self, days: u64) -> Self {
        self.retention_days = Some(days);
        self
    }

    /// Forgets the oldest traces until the store's file has no more bytes than this, every hour.
    #[must_use]
    pub fn max_store(mut self, bytes: u64) -> Self {
        self.max_store = Some(bytes);
        self
    }

    /// Serves the endpoints that Vyasa calls: `/api/traces`, `/api/evals`, `/api/prompts/{name}`.
    #[must_use]
    pub fn vyasa(mut self, on: bool) -> Self {
        self.vyasa = on;
        self
    }

    /// Tells clients to come back whose request with a body is not answered after this time, for
    /// example because the disk is stuck.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Where the server is to listen.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }

    /// The file of the store, where the environment names one.
    #[must_use]
    pub fn store(&self) -> Option<&std::path::Path> {
        self.store.as_deref()
    }

    /// Whether clients have to send a key.
    #[must_use]
    pub fn has_api_key(&self) -> bool {
        self.api_key.is_some()
    }

    /// Whether others than this machine could talk to the server without a key.
    pub(crate) fn is_open_to_others(&self) -> bool {
        !self.host.is_loopback() && self.api_key.is_none() && !self.allow_no_key
    }

    pub(crate) fn key(&self) -> Option<&Secret> {
        self.api_key.as_ref()
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn takes_any_workspace(&self) -> bool {
        self.any_workspace
    }

    pub(crate) fn largest_body(&self) -> usize {
        self.max_body
    }

    pub(crate) fn memory_for_bodies(&self) -> usize {
        self.body_memory
    }

    pub(crate) fn rate_limited(&self) -> Option<&RateLimits> {
        self.rate_limits.as_ref()
    }

    pub(crate) fn longest_wait(&self) -> Duration {
        self.patience
    }

    pub(crate) fn serves_vyasa(&self) -> bool {
        self.vyasa
    }

    /// What the store keeps, seen from now; `None` when it keeps everything.
    pub(crate) fn retention(&self) -> Option<Retention> {
        if self.retention_days.is_none() && self.max_store.is_none() {
            return None;
        }
        let mut keep = Retention::new();
        if let Some(days) = self.retention_days {
            keep = keep.max_age(Duration::from_secs(days.saturating_mul(86_400)));
        }
        if let Some(bytes) = self.max_store {
            keep = keep.max_bytes(bytes);
        }
        Some(keep)
    }

    pub(crate) fn largest_attachment(&self) -> usize {
        self.max_attachment
    }
}

/// A variable of the process's environment.
pub(crate) fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "this is config.rs")]
    std::env::var(name).ok()
}

fn is_path(prefix: &str) -> bool {
    prefix
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<ServerConfig, ConfigError> {
        ServerConfig::from_lookup(|name| {
            let pair = pairs.iter().find(|(known, _)| *known == name)?;
            Some(pair.1.to_owned())
        })
    }

    #[test]
    fn the_defaults_are_where_clients_look_and_nobody_else() {
        let config = of(&[]).unwrap();
        assert_eq!(config.address().to_string(), "127.0.0.1:5173");
        assert!(!config.is_open_to_others() && !config.has_api_key());
    }

    #[test]
    fn every_variable_is_read() {
        let config = of(&[
            ("HOST", "0.0.0.0"),
            ("PORT", " 8081 "),
            ("URL_PREFIX", "observe/"),
            ("OPIK_SERVER_API_KEY", "k"),
            ("OPIK_SERVER_ANY_WORKSPACE", "true"),
            ("OPIK_SERVER_MAX_BODY_MB", "2"),
            ("OPIK_SERVER_RATE_LIMITS", "user=7"),
            ("OPIK_SERVER_RETENTION_DAYS", "30"),
            ("OPIK_SERVER_VYASA", "on"),
        ])
        .unwrap();
        assert_eq!(config.address().to_string(), "0.0.0.0:8081");
        assert_eq!(config.prefix(), "/observe");
        assert_eq!(config.largest_body(), 2 << 20);
        assert!(config.takes_any_workspace() && config.serves_vyasa());
        let limits = RateLimits::default().limit("user", 7).unwrap();
        assert_eq!(config.rate_limited(), Some(&limits));
        assert!(config.retention().is_some() && of(&[]).unwrap().retention().is_none());
        assert!(!config.is_open_to_others());
        assert!(!format!("{config:?}").contains("\"k\""));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (name, value) in [
            ("HOST", "example"),
            ("PORT", "99999"),
            ("URL_PREFIX", "/a b"),
            ("OPIK_SERVER_ANY_WORKSPACE", "maybe"),
            ("OPIK_SERVER_MAX_BODY_MB", "0"),
            ("OPIK_SERVER_RATE_LIMITS", "nobody=5"),
            ("OPIK_SERVER_RETENTION_DAYS", "-1"),
            ("OPIK_SERVER_MAX_STORE_MB", "0"),
        ] {
            assert_eq!(of(&[(name, value)]).unwrap_err().variable, name);
        }
    }

    #[test]
    fn listening_for_others_needs_a_key_or_a_word() {
        assert!(of(&[("HOST", "0.0.0.0")]).unwrap().is_open_to_others());
        let told = [("HOST", "0.0.0.0"), ("OPIK_SERVER_ALLOW_NO_KEY", "1")];
        assert!(!of(&told).unwrap().is_open_to_others());
    }
}
