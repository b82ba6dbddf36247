//! Variables of monitoring. The environment is read by [`AssistConfig`](super::super::AssistConfig), which
//! gives its lookup to here.

use opik_core::Secret;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::config::ConfigError;

/// Where Segment takes events.
const SEGMENT: &str = "https://api.segment.io";
/// Where New Relic takes OTLP, outside of Europe and in Europe.
const NEW_RELIC: [&str; 2] = [
    "https://otlp.nr-data.net/v1/traces",
    "https://otlp.eu01.nr-data.net/v1/traces",
];

/// What is monitored, and by whom. Everything is off by default.
#[derive(Debug, Clone, Default)]
pub(crate) struct MonitorConfig {
    pub(super) sentry: Option<SentryConfig>,
    pub(super) segment: Option<SegmentConfig>,
    pub(super) otlp: Vec<OtlpConfig>,
    pub(super) service: String,
    /// Whether questions and answers are recorded to the server of `OPIK_INTERNAL_URL`.
    pub(super) records_content: bool,
}

#[derive(Debug, Clone)]
pub(super) struct SentryConfig {
    /// The address of the project with its key.
    pub(super) dsn: Secret,
    pub(super) environment: String,
    /// Share of the turns that become transactions.
    pub(super) traces: f64,
    /// Whether users are named.
    pub(super) personal: bool,
}

#[derive(Debug, Clone)]
pub(super) struct SegmentConfig {
    pub(super) key: Secret,
    pub(super) host: Url,
    pub(super) environment: String,
}

/// A receiver of OTLP over HTTP.
#[derive(Debug, Clone)]
pub(super) struct OtlpConfig {
    pub(super) name: &'static str,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
}

fn refused(variable: &'static str, problem: &'static str) -> ConfigError {
    ConfigError { variable, problem }
}

impl MonitorConfig {
    /// Whether anybody is to be told, the server of `OPIK_INTERNAL_URL` aside.
    pub(crate) fn is_on(&self) -> bool {
        self.sentry.is_some() || self.segment.is_some() || !self.otlp.is_empty()
    }

    /// Reads the variables.
    ///
    /// # Errors
    /// [`ConfigError`] with the first one that cannot be used.
    pub(crate) fn read(get: &impl Fn(&'static str) -> Option<String>) -> Result<Self, ConfigError> {
        let environment = |name| get(name).unwrap_or_else(|| "development".to_owned());
        let traces = share(get, "SENTRY_TRACES_SAMPLE_RATE")?;
        // Rust programs are not profiled by Sentry; the value is still checked.
        share(get, "SENTRY_PROFILES_SAMPLE_RATE")?;
        let personal = flag(get, "SENTRY_SEND_DEFAULT_PII")?;
        let sentry = match get("SENTRY_DSN") {
            None => None,
            Some(dsn) => {
                dsn.parse::<sentry_types::Dsn>().map_err(|_| {
                    refused("SENTRY_DSN", "it is not like https://key@host/project")
                })?;
                Some(SentryConfig {
                    dsn: Secret::new(dsn),
                    environment: environment("SENTRY_ENVIRONMENT"),
                    traces,
                    personal,
                })
            }
        };
        let host = match get("SEGMENT_HOST") {
            Some(host) => url("SEGMENT_HOST", &host)?,
            None => url("SEGMENT_HOST", SEGMENT)?,
        };
        let segment = get("SEGMENT_WRITE_KEY").map(|key| SegmentConfig {
            key: Secret::new(key),
            host,
            environment: environment("SEGMENT_ENVIRONMENT"),
        });
        let mut otlp = Vec::new();
        otlp.extend(collector(get)?);
        otlp.extend(new_relic(get)?);
        Ok(Self {
            sentry,
            segment,
            otlp,
            service: get("OTEL_SERVICE_NAME").unwrap_or_else(|| "opik-assist".to_owned()),
            records_content: flag(get, "ASSIST_RECORD_CONTENT")?,
        })
    }
}

/// The endpoint that the standard variables of OpenTelemetry name.
fn collector(
    get: &impl Fn(&'static str) -> Option<String>,
) -> Result<Option<OtlpConfig>, ConfigError> {
    let endpoint = match (
        get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        get("OTEL_EXPORTER_OTLP_ENDPOINT"),
    ) {
        (Some(traces), _) => url("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &traces)?,
        (None, Some(base)) => {
            let base = format!("{}/v1/traces", base.trim_end_matches('/'));
            url("OTEL_EXPORTER_OTLP_ENDPOINT", &base)?
        }
        (None, None) => return Ok(None),
    };
    if get("OTEL_EXPORTER_OTLP_PROTOCOL").is_some_and(|protocol| !protocol.starts_with("http/")) {
        return Err(refused(
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "only OTLP over HTTP is spoken, usually at port 4318",
        ));
    }
    let mut headers = HeaderMap::new();
    for pair in get("OTEL_EXPORTER_OTLP_HEADERS")
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
    {
        let (name, value) = header(pair).ok_or(refused(
            "OTEL_EXPORTER_OTLP_HEADERS",
            "it is not a list like name=value,name=value",
        ))?;
        headers.insert(name, value);
    }
    Ok(Some(OtlpConfig {
        name: "otlp",
        url: endpoint,
        headers,
    }))
}

fn new_relic(
    get: &impl Fn(&'static str) -> Option<String>,
) -> Result<Option<OtlpConfig>, ConfigError> {
    let Some(key) = get("NEW_RELIC_LICENSE_KEY") else {
        return Ok(None);
    };
    // Keys of accounts in Europe say so.
    let [elsewhere, europe] = NEW_RELIC;
    let own = if key.starts_with("eu") {
        europe
    } else {
        elsewhere
    };
    let endpoint = match get("NEW_RELIC_OTLP_ENDPOINT") {
        Some(endpoint) => url("NEW_RELIC_OTLP_ENDPOINT", &endpoint)?,
        None => url("NEW_RELIC_OTLP_ENDPOINT", own)?,
    };
    let mut value = HeaderValue::from_str(&key).map_err(|_| {
        refused(
            "NEW_RELIC_LICENSE_KEY",
            "it has characters that no header can carry",
        )
    })?;
    value.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("api-key"), value);
    Ok(Some(OtlpConfig {
        name: "newrelic",
        url: endpoint,
        headers,
    }))
}

fn header(pair: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = pair.split_once('=')?;
    let name: HeaderName = name.trim().parse().ok()?;
    let mut value = HeaderValue::from_str(&decoded(value.trim())?).ok()?;
    value.set_sensitive(true);
    Some((name, value))
}

/// A value in which `%20` stands for a space, as the variables of OpenTelemetry have it.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (*first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = after;
            }
            (byte, _) => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

fn url(variable: &'static str, text: &str) -> Result<Url, ConfigError> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or(refused(
            variable,
            "it is not an address like http://host:4318",
        ))
}

fn share(
    get: &impl Fn(&'static str) -> Option<String>,
    name: &'static str,
) -> Result<f64, ConfigError> {
    let Some(text) = get(name) else {
        return Ok(1.0);
    };
    text.parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or(refused(name, "it is not a number from 0 to 1"))
}

fn flag(
    get: &impl Fn(&'static str) -> Option<String>,
    name: &'static str,
) -> Result<bool, ConfigError> {
    match get(name).map(|word| word.to_ascii_lowercase()).as_deref() {
        None | Some("0" | "false" | "no" | "off") => Ok(false),
        Some("1" | "true" | "yes" | "on") => Ok(true),
        Some(_) => Err(refused(name, "it is neither true nor false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<MonitorConfig, ConfigError> {
        MonitorConfig::read(&|name| {
            let pair = pairs.iter().find(|(known, _)| *known == name)?;
            Some(pair.1.to_owned())
        })
    }

    #[test]
    fn everything_is_off_by_default() {
        let config = of(&[]).unwrap();
        assert!(config.sentry.is_none() && config.segment.is_none() && config.otlp.is_empty());
        assert!(!config.records_content);
    }

    #[test]
    fn new_relic_is_where_the_key_says() {
        for (key, host) in [
            ("abcNRAL", "otlp.nr-data.net"),
            ("eu01xxNRAL", "otlp.eu01.nr-data.net"),
        ] {
            let config = of(&[("NEW_RELIC_LICENSE_KEY", key)]).unwrap();
            assert_eq!(config.otlp[0].url.host_str(), Some(host));
            assert_eq!(config.otlp[0].headers["api-key"], key);
            assert!(!format!("{config:?}").contains(key));
        }
    }

    #[test]
    fn the_variables_of_opentelemetry_are_understood() {
        let config = of(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/"),
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                "authorization=Basic%20abc, x-team = a",
            ),
        ])
        .unwrap();
        let otlp = &config.otlp[0];
        assert_eq!(otlp.url.as_str(), "http://collector:4318/v1/traces");
        assert_eq!(otlp.headers["authorization"], "Basic abc");
        assert_eq!(otlp.headers["x-team"], "a");
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (name, value) in [
            ("SENTRY_DSN", "no dsn"),
            ("SENTRY_TRACES_SAMPLE_RATE", "2"),
            ("SENTRY_PROFILES_SAMPLE_RATE", "x"),
            ("SENTRY_SEND_DEFAULT_PII", "perhaps"),
            ("SEGMENT_HOST", "segment"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector"),
            ("ASSIST_RECORD_CONTENT", "some"),
        ] {
            assert_eq!(of(&[(name, value)]).unwrap_err().variable, name);
        }
        let on = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "no pair"),
        ] {
            assert_eq!(of(&[on, (name, value)]).unwrap_err().variable, name);
        }
    }
}
