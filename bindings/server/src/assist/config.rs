//! How the assistant is set up: the Python program's variables with their defaults, and ours.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::http::HeaderName;
use opik_core::Secret;
use opik_core::chat::ReasoningEffort;

use super::monitor::MonitorConfig;
use crate::config::ConfigError;

/// Origins that the Python program allows.
const ORIGINS: [&str; 4] = [
    "http://localhost",
    "http://localhost:8080",
    "https://www.comet.com",
    "http://localhost:5174",
];

/// Which pages of other origins may talk to the assistant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origins {
    /// All of them.
    Any,
    /// These, compared to the letter.
    These(Vec<String>),
}

/// Configuration of the assistant.
///
/// | variable | default | meaning |
/// |---|---|---|
/// | `AGENT_OPIK_URL` | none | address of Opik's API, for example `http://opik-backend:8080`; without it the traces of the embedded store are answered about |
/// | `AGENT_MODEL` | `openai/gpt-4.1` | model that answers; `none` computes all answers |
/// | `AGENT_REASONING_EFFORT` | the provider's | `low`, `medium` or `high` |
/// | `HOST` | `0.0.0.0` beside Opik | address to listen on |
/// | `PORT` | `8081` beside Opik | port |
/// | `URL_PREFIX` | none | path before all routes, for example `/opik-ai` |
/// | `ALLOWED_ORIGINS` | four of Opik's | JSON list, comma list or `*` |
/// | `SESSION_SERVICE_URI` | in memory | where conversations are kept, for example `mysql://user:password@host/db` |
/// | `OPIK_BACKEND_TIMEOUT` | `30` | seconds for one call to Opik |
/// | `RETRY_STATUSES` | `[502, 503, 504]` | answers of Opik after which a read is repeated |
/// | `RETRY_MAX_ATTEMPTS` | `3` | attempts in all |
/// | `RETRY_BACKOFF_FACTOR` | `0.5` | seconds before the second attempt, doubled for each further one |
/// | `OPIK_INTERNAL_URL` | none | Opik server that the assistant's own turns are recorded to, as traces of a thread that has the name of the conversation, and thumbs as scores of that thread |
/// | `OPIK_INTERNAL_API_KEY` | none | key for it |
/// | `OPIK_INTERNAL_WORKSPACE` | `default` | workspace there |
/// | `OPIK_INTERNAL_PROJECT` | `opik-assist` | project there |
/// | `ASSIST_RECORD_CONTENT` | `false` | whether questions and answers are recorded there too |
/// | `ASSIST_KEEP_DAYS` | for ever | days after which a conversation that nobody went on with is deleted |
/// | `ASSIST_USER_HEADER` | none | header in which a sign-in in front of the assistant names the user; only where nobody can pass by it |
/// | `ASSIST_GRACE_SECONDS` | `30` | how long a turn goes on when nobody listens |
/// | `ASSIST_HEARTBEAT_SECONDS` | `15` | silence after which a comment is sent |
/// | `ASSIST_CONTEXT_TOKENS` | `8000` | tokens of evidence that the model is given |
/// | `ASSIST_TURNS_PER_MINUTE` | `60` | questions of one user in a minute; beyond, 429 |
/// | `ASSIST_MAX_TURNS` | `1024` | turns that may run at once |
/// | `SENTRY_DSN` | none | where failures and turns are reported, without anybody's words |
/// | `SENTRY_ENVIRONMENT` | `development` | the environment there |
/// | `SENTRY_TRACES_SAMPLE_RATE` | `1` | share of the turns that are reported when nothing failed |
/// | `SENTRY_PROFILES_SAMPLE_RATE` | `1` | checked, and without meaning here |
/// | `SENTRY_SEND_DEFAULT_PII` | `false` | whether reports name the user |
/// | `SEGMENT_WRITE_KEY` | none | key for the three events of the Python program |
/// | `SEGMENT_ENVIRONMENT` | `development` | the environment there |
/// | `SEGMENT_HOST` | Segment | where they are sent instead |
/// | `NEW_RELIC_LICENSE_KEY` | none | key for the turns as traces of New Relic |
/// | `NEW_RELIC_OTLP_ENDPOINT` | by the key | where they are sent instead |
/// | `OTEL_EXPORTER_OTLP_ENDPOINT` | none | receiver of OTLP over HTTP for the turns as traces; `/v1/traces` is added |
/// | `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` | none | the same, as it is |
/// | `OTEL_EXPORTER_OTLP_HEADERS` | none | `name=value` pairs for it, with commas between them |
/// | `OTEL_SERVICE_NAME` | `opik-assist` | the name of the service there |
#[derive(Debug, Clone)]
pub struct AssistConfig {
    pub(crate) opik_url: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) effort: Option<ReasoningEffort>,
    pub(crate) host: IpAddr,
    pub(crate) port: u16,
    pub(crate) prefix: String,
    pub(crate) origins: Origins,
    pub(crate) sessions: Option<Secret>,
    pub(crate) backend_timeout: Duration,
    pub(crate) retry_statuses: Vec<u16>,
    pub(crate) retry_attempts: u32,
    pub(crate) retry_backoff: Duration,
    pub(crate) internal: Internal,
    pub(crate) monitor: MonitorConfig,
    pub(crate) keep_days: Option<u32>,
    pub(crate) user_header: Option<HeaderName>,
    pub(crate) grace: Duration,
    pub(crate) heartbeat: Duration,
    pub(crate) context_tokens: usize,
    pub(crate) turns_per_minute: u32,
    pub(crate) max_turns: usize,
}

/// Where thumbs are sent.
#[derive(Debug, Clone)]
pub(crate) struct Internal {
    pub(crate) url: Option<String>,
    pub(crate) api_key: Option<Secret>,
    pub(crate) workspace: String,
    pub(crate) project: String,
}

impl Default for AssistConfig {
    /// The table above.
    fn default() -> Self {
        Self {
            opik_url: None,
            model: Some("openai/gpt-4.1".to_owned()),
            effort: None,
            host: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port: 8081,
            prefix: String::new(),
            origins: Origins::These(ORIGINS.map(str::to_owned).to_vec()),
            sessions: None,
            backend_timeout: Duration::from_secs(30),
            retry_statuses: vec![502, 503, 504],
            retry_attempts: 3,
            retry_backoff: Duration::from_millis(500),
            internal: Internal {
                url: None,
                api_key: None,
                workspace: "default".to_owned(),
                project: "opik-assist".to_owned(),
            },
            monitor: MonitorConfig::default(),
            keep_days: None,
            user_header: None,
            grace: Duration::from_secs(30),
            heartbeat: Duration::from_secs(15),
            context_tokens: 8_000,
            turns_per_minute: 60,
            max_turns: 1_024,
        }
    }
}

fn refused(variable: &'static str, problem: &'static str) -> ConfigError {
    ConfigError { variable, problem }
}

impl AssistConfig {
    /// What the process's environment says; see the table above.
    ///
    /// # Errors
    /// [`ConfigError`] with the first variable that cannot be used.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(crate::config::variable)
    }

    /// As [`from_env`](Self::from_env), from any source of variables.
    ///
    /// # Errors
    /// [`ConfigError`] with the first variable that cannot be used.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let get = |name: &'static str| {
            // The Python program's settings do not tell case apart.
            lookup(name)
                .or_else(|| lookup(&name.to_ascii_lowercase()))
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        let mut config = Self::default();
        if let Some(url) = get("AGENT_OPIK_URL") {
            config.opik_url = Some(address("AGENT_OPIK_URL", &url)?);
        }
        if let Some(model) = get("AGENT_MODEL") {
            config.model = Some(model).filter(|model| model != "none");
        }
        if let Some(effort) = get("AGENT_REASONING_EFFORT") {
            config.effort = Some(match effort.to_ascii_lowercase().as_str() {
                "low" | "minimal" => ReasoningEffort::Low,
                "medium" => ReasoningEffort::Medium,
                "high" => ReasoningEffort::High,
                _ => {
                    return Err(refused(
                        "AGENT_REASONING_EFFORT",
                        "it is not low, medium or high",
                    ));
                }
            });
        }
        if let Some(host) = get("HOST") {
            config.host = host
                .trim_matches(['[', ']'])
                .parse()
                .map_err(|_| refused("HOST", "it is not an IP address"))?;
        }
        if let Some(port) = get("PORT") {
            config.port = port
                .parse()
                .map_err(|_| refused("PORT", "it is not a number from 0 to 65535"))?;
        }
        if let Some(prefix) = get("URL_PREFIX") {
            config.prefix = path("URL_PREFIX", &prefix)?;
        }
        if let Some(origins) = get("ALLOWED_ORIGINS") {
            config.origins = parse_origins(&origins)?;
        }
        config.sessions = get("SESSION_SERVICE_URI").map(Secret::new);
        if let Some(statuses) = get("RETRY_STATUSES") {
            config.retry_statuses = parse_statuses(&statuses)?;
        }
        let seconds = |name: &'static str, to: &mut Duration| -> Result<(), ConfigError> {
            if let Some(text) = get(name) {
                let number: f64 = text
                    .parse()
                    .map_err(|_| refused(name, "it is not a number of seconds"))?;
                if !(0.0..=86_400.0).contains(&number) {
                    return Err(refused(name, "it is not between 0 and 86400 seconds"));
                }
                *to = Duration::from_secs_f64(number);
            }
            Ok(())
        };
        seconds("OPIK_BACKEND_TIMEOUT", &mut config.backend_timeout)?;
        seconds("RETRY_BACKOFF_FACTOR", &mut config.retry_backoff)?;
        seconds("ASSIST_GRACE_SECONDS", &mut config.grace)?;
        seconds("ASSIST_HEARTBEAT_SECONDS", &mut config.heartbeat)?;
        // A pause of nothing would send comments without end.
        config.heartbeat = config.heartbeat.max(Duration::from_millis(50));
        let number = |name: &'static str, least: u32| -> Result<Option<u32>, ConfigError> {
            let Some(text) = get(name) else {
                return Ok(None);
            };
            let number = text.parse().ok().filter(|number| *number >= least);
            number
                .map(Some)
                .ok_or(refused(name, "it is not a whole number in range"))
        };
        if let Some(attempts) = number("RETRY_MAX_ATTEMPTS", 1)? {
            config.retry_attempts = attempts.min(20);
        }
        if let Some(tokens) = number("ASSIST_CONTEXT_TOKENS", 500)? {
            config.context_tokens = usize::try_from(tokens).unwrap_or(usize::MAX);
        }
        if let Some(turns) = number("ASSIST_TURNS_PER_MINUTE", 1)? {
            config.turns_per_minute = turns;
        }
        if let Some(turns) = number("ASSIST_MAX_TURNS", 1)? {
            config.max_turns = usize::try_from(turns).unwrap_or(usize::MAX);
        }
        if let Some(name) = get("ASSIST_USER_HEADER") {
            config.user_header = Some(
                name.parse()
                    .map_err(|_| refused("ASSIST_USER_HEADER", "it is no name of a header"))?,
            );
        }
        config.keep_days = number("ASSIST_KEEP_DAYS", 1)?;
        config.monitor = MonitorConfig::read(&get)?;
        if let Some(url) = get("OPIK_INTERNAL_URL") {
            config.internal.url = Some(address("OPIK_INTERNAL_URL", &url)?);
        }
        config.internal.api_key = get("OPIK_INTERNAL_API_KEY").map(Secret::new);
        if let Some(workspace) = get("OPIK_INTERNAL_WORKSPACE") {
            config.internal.workspace = workspace;
        }
        if let Some(project) = get("OPIK_INTERNAL_PROJECT") {
            config.internal.project = project;
        }
        Ok(config)
    }

    /// The address of the Opik server whose traces are answered about.
    #[must_use]
    pub fn opik_url(&self) -> Option<&str> {
        self.opik_url.as_deref()
    }

    /// The model that answers, where one is configured.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Where conversations are kept; in memory where there is none.
    #[must_use]
    pub fn sessions(&self) -> Option<&Secret> {
        self.sessions.as_ref()
    }

    /// Days after which a conversation that nobody went on with is deleted; `None` keeps them.
    #[must_use]
    pub fn keep_days(&self) -> Option<u32> {
        self.keep_days
    }

    /// Tells where conversations are kept when no variable does.
    #[must_use]
    pub fn keep_sessions_in(mut self, uri: Secret) -> Self {
        self.sessions = Some(uri);
        self
    }

    /// The path before all routes: empty, or with a slash in front.
    #[must_use]
    pub fn url_prefix(&self) -> &str {
        &self.prefix
    }

    /// Where the server is to listen.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
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
}

/// An address without the slash at its end. A path stays: `http://host/api` is Opik behind its web
/// front end.
fn address(name: &'static str, url: &str) -> Result<String, ConfigError> {
    let trimmed = url.trim_end_matches('/');
    let has_host = ["http://", "https://"].iter().any(|scheme| {
        let rest = trimmed.strip_prefix(scheme).unwrap_or("");
        !rest.is_empty() && !rest.starts_with('/')
    });
    if !has_host || trimmed.contains(['?', '#', ' ']) {
        return Err(refused(
            name,
            "it is not an address like http://opik-backend:8080",
        ));
    }
    Ok(trimmed.to_owned())
}

fn path(name: &'static str, prefix: &str) -> Result<String, ConfigError> {
    let path = prefix.trim_matches('/');
    let is_plain = path
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte));
    if !is_plain {
        return Err(refused(name, "it is not a plain path"));
    }
    Ok(if path.is_empty() {
        String::new()
    } else {
        format!("/{path}")
    })
}

fn parse_origins(text: &str) -> Result<Origins, ConfigError> {
    let list: Vec<String> = if text.starts_with('[') {
        serde_json::from_str(text)
            .map_err(|_| refused("ALLOWED_ORIGINS", "it is not a JSON list of texts"))?
    } else {
        text.split(',').map(str::to_owned).collect()
    };
    let list: Vec<String> = list
        .iter()
        .map(|origin| origin.trim().trim_end_matches('/').to_owned())
        .filter(|origin| !origin.is_empty())
        .collect();
    Ok(if list.iter().any(|origin| origin == "*") {
        Origins::Any
    } else {
        Origins::These(list)
    })
}

fn parse_statuses(text: &str) -> Result<Vec<u16>, ConfigError> {
    let inner = text.trim_start_matches('[').trim_end_matches(']');
    let numbers: Option<Vec<u16>> = inner
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(|word| {
            word.parse()
                .ok()
                .filter(|status| (100..600).contains(status))
        })
        .collect();
    numbers.ok_or(refused(
        "RETRY_STATUSES",
        "it is not a list of HTTP statuses",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<AssistConfig, ConfigError> {
        AssistConfig::from_lookup(|name| {
            let pair = pairs.iter().find(|(known, _)| *known == name)?;
            Some(pair.1.to_owned())
        })
    }

    #[test]
    fn the_defaults_are_the_python_programs() {
        let config = of(&[]).unwrap();
        assert_eq!(config.model(), Some("openai/gpt-4.1"));
        assert_eq!(config.address().port(), 8081);
        assert_eq!(config.retry_statuses, [502, 503, 504]);
        assert_eq!(
            (config.retry_attempts, config.retry_backoff.as_millis()),
            (3, 500)
        );
        assert_eq!(config.backend_timeout.as_secs(), 30);
        assert_eq!(config.internal.project, "opik-assist");
        assert!(matches!(&config.origins, Origins::These(origins) if origins.len() == 4));
    }

    #[test]
    fn slashes_paths_lists_and_stars_just_work() {
        for (given, meant) in [
            ("http://opik:8080", "http://opik:8080"),
            ("http://opik:8080/", "http://opik:8080"),
            ("http://opik/api/", "http://opik/api"),
            (
                "https://opik.example/opik/api",
                "https://opik.example/opik/api",
            ),
        ] {
            assert_eq!(
                of(&[("AGENT_OPIK_URL", given)]).unwrap().opik_url(),
                Some(meant)
            );
        }
        for prefix in ["/opik-ai", "opik-ai", "/opik-ai/"] {
            assert_eq!(of(&[("URL_PREFIX", prefix)]).unwrap().prefix, "/opik-ai");
        }
        let both = Origins::These(vec!["http://a".to_owned(), "http://b".to_owned()]);
        for origins in ["[\"http://a\", \"http://b/\"]", "http://a, http://b"] {
            assert_eq!(of(&[("ALLOWED_ORIGINS", origins)]).unwrap().origins, both);
        }
        for any in ["*", "[\"*\"]"] {
            assert_eq!(
                of(&[("ALLOWED_ORIGINS", any)]).unwrap().origins,
                Origins::Any
            );
        }
        let statuses = of(&[("RETRY_STATUSES", "[500, 503]")])
            .unwrap()
            .retry_statuses;
        assert_eq!(statuses, [500, 503]);
    }

    #[test]
    fn names_in_small_letters_are_read() {
        assert_eq!(
            of(&[("agent_model", "openai/gpt-5-mini")]).unwrap().model(),
            Some("openai/gpt-5-mini")
        );
    }

    #[test]
    fn a_value_that_cannot_be_used_is_named_in_one_line_and_not_shown() {
        for (name, value) in [
            ("AGENT_OPIK_URL", "opik-backend"),
            ("AGENT_REASONING_EFFORT", "extreme"),
            ("HOST", "example"),
            ("PORT", "80810"),
            ("URL_PREFIX", "/a b"),
            ("ALLOWED_ORIGINS", "[1"),
            ("RETRY_STATUSES", "often"),
            ("OPIK_BACKEND_TIMEOUT", "soon"),
            ("RETRY_MAX_ATTEMPTS", "0"),
            ("OPIK_INTERNAL_URL", "//x"),
        ] {
            let error = of(&[(name, value)]).unwrap_err();
            assert_eq!(error.variable, name);
            let text = error.to_string();
            assert!(text.contains(name) && !text.contains('\n'), "{text}");
        }
    }
}
