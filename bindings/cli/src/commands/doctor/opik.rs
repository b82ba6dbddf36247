//! What `opik-rs doctor` says about an Opik server: the settings that are in force, where each
//! comes from, and whether the server lets us in.

use std::path::Path;

use opik_core::Timestamp;
use opik_core::rest::{BaseUrl, ClientError, OpikClient, RestError, RetryPolicy};
use opik_core::settings::{OpikSettings, Origin, Setting};
use opik_server::ServerConfig;
use serde::Serialize;

use super::{Check, Status, chain};
use crate::commands::stack;
use crate::config;
use crate::exit::Failure;
use crate::opik_server::{refusal, talk};
use crate::render::numbers::duration;
use crate::render::style::DIM;
use crate::render::text::clean;

/// How far the clocks may be apart, in microseconds.
const APART: i64 = 60 * 1_000_000;
/// Widest column of values.
const WIDEST: usize = 44;
/// What is shown even when nobody set it.
const MAIN: [Setting; 5] = [
    Setting::Enabled,
    Setting::BaseUrl,
    Setting::ApiKey,
    Setting::Workspace,
    Setting::ProjectName,
];

/// A setting in the report.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    name: &'static str,
    value: Option<String>,
    origin: String,
    #[serde(skip)]
    is_quiet: bool,
}

/// Every setting and where its value comes from.
pub(super) fn rows(settings: &OpikSettings) -> Vec<Row> {
    let row = |setting: Setting| {
        let origin = settings.origin(setting);
        Row {
            name: setting.name(),
            value: settings.shown(setting),
            origin: origin.to_string(),
            is_quiet: *origin == Origin::Default && !MAIN.contains(&setting),
        }
    };
    Setting::ALL.into_iter().map(row).collect()
}

/// The rows that somebody set, and the main ones.
pub(super) fn table(rows: &[Row]) -> String {
    let rows = rows.iter().filter(|row| !row.is_quiet);
    let rows: Vec<(&str, String, String)> = rows
        .map(|row| {
            let value = clean(row.value.as_deref().unwrap_or("none"));
            (row.name, value, clean(&row.origin))
        })
        .collect();
    let width = rows.iter().map(|(_, value, _)| value.chars().count());
    let width = width.max().unwrap_or(0).min(WIDEST);
    let mut text = String::new();
    for (name, value, origin) in rows {
        text.push_str(&format!(
            "      {DIM}{name:<21}{DIM:#} {value:<width$}  {DIM}{origin}{DIM:#}\n"
        ));
    }
    text
}

/// What is wrong with the sources, and variables without an effect.
pub(super) fn configuration(settings: &OpikSettings, store: &Path) -> Vec<Check> {
    let file = match settings.config_path() {
        Some(path) if settings.config_found() => format!("{} was read", path.display()),
        Some(path) => format!("{} was not read", path.display()),
        None => "there is no home directory, so no file".to_owned(),
    };
    let mut checks = vec![Check::new("configuration", Status::Ok, file)];
    if let Some(stated) = config::stated_store()
        && stated != store
    {
        let text = format!(
            "OPIK_DB = {}, but --db says {}, which is used",
            stated.display(),
            store.display()
        );
        checks.push(Check::new("configuration", Status::Ok, text));
    }
    for problem in settings.problems() {
        checks.push(Check::new(
            "configuration",
            Status::Warn,
            problem.to_string(),
        ));
    }
    let others = |name: &String| {
        let name = name.as_str();
        !Setting::is_known_variable(name)
            && !ServerConfig::VARIABLES.contains(&name)
            && !stack::VARIABLES.contains(&name)
            && name != "OPIK_SERVER_LOG"
    };
    for name in config::opik_variables().into_iter().filter(others) {
        checks.push(match Setting::ignored_variable(&name) {
            Some(reason) => {
                let text = format!("{name} has no effect here: {reason}");
                Check::new("configuration", Status::Ok, text)
            }
            None => {
                let text = format!("{name} is no setting; nothing reads it");
                Check::new("configuration", Status::Warn, text)
                    .hint("compare it with the names in the documentation")
            }
        });
    }
    checks.extend(exposed_key(settings));
    checks
}

/// Where the key goes, when that may not be what was meant.
fn exposed_key(settings: &OpikSettings) -> Option<Check> {
    settings.api_key()?;
    let base = BaseUrl::parse(settings.base_url()?).ok()?;
    let (key, url) = (
        settings.origin(Setting::ApiKey),
        settings.origin(Setting::BaseUrl),
    );
    let text = if base.is_plain() && !base.is_near() {
        "the key travels without encryption: the address begins with http://".to_owned()
    } else if !settings.check_tls() {
        "the key goes to whoever answers: the certificate is not checked".to_owned()
    } else if matches!(key, Origin::File { .. }) && matches!(url, Origin::Variable(_)) {
        format!("the key of {key} goes to the server that {url} names")
    } else {
        return None;
    };
    Some(Check::new("configuration", Status::Warn, text))
}

/// Whether the server answers, lets us in and has the time.
pub(super) fn server(settings: &OpikSettings, always: bool) -> Result<Vec<Check>, Failure> {
    let off = settings.off();
    let Some(builder) = settings
        .client_builder()
        .filter(|_| always || off.is_none())
    else {
        let reason = off.map_or_else(String::new, |off| off.to_string());
        let check = Check::new("opik", Status::Ok, format!("nothing is sent: {reason}"));
        let hint = match settings.base_url() {
            Some(_) => "OPIK_ENABLED=true turns it on; opik-rs doctor --connect tries the server",
            None => "opik-rs configure names a server, OPIK_ENABLED=true turns it on",
        };
        return Ok(vec![check.hint(hint)]);
    };
    // What nobody uses cannot be broken.
    let bad = if off.is_none() {
        Status::Fail
    } else {
        Status::Warn
    };
    let client = match builder.retry(RetryPolicy::none()).build() {
        Ok(client) => client,
        Err(error) => {
            let hint = match &error {
                ClientError::Http(_) => {
                    "install the system's certificates, or correct SSL_CERT_FILE"
                }
                _ => "opik-rs configure writes what can be used",
            };
            return Ok(vec![Check::new("opik", bad, chain(&error)).hint(hint)]);
        }
    };
    talk(ask(&client, bad))
}

async fn ask(client: &OpikClient, bad: Status) -> Vec<Check> {
    let base = client.base_url();
    let time = match client.server_time().await {
        Ok(time) => time,
        Err(error) => {
            return vec![no_answer(&error, base, bad)];
        }
    };
    let version = match client.server_version().await {
        Ok(version) => format!("version {version}"),
        Err(_) => "of unknown version".to_owned(),
    };
    let mut checks = vec![Check::new(
        "opik",
        Status::Ok,
        format!("{base} answers, {version}"),
    )];
    checks.push(match client.check_access().await {
        Ok(()) => {
            let text = format!("the workspace {} is open to us", client.workspace());
            Check::new("access", Status::Ok, text)
        }
        Err(error) => no_access(&error, client.workspace(), bad),
    });
    checks.extend(time.map(|time| clock(time, Timestamp::now())));
    checks
}

/// Nobody is there, or somebody who does not answer as Opik does.
fn no_answer(error: &RestError, base: &BaseUrl, bad: Status) -> Check {
    let hint = match error.status() {
        Some(401 | 403) => "it wants a key before it says anything: opik-rs configure writes one",
        Some(429 | 500..) => "try again later; the address is not what is wrong",
        _ => "start the server, or correct its address with opik-rs configure",
    };
    let text = match error.status() {
        Some(status) if status != 404 => {
            format!(
                "something answers at {base}, with status {status}: {}",
                chain(error)
            )
        }
        _ => format!("no Opik answers at {base}: {}", chain(error)),
    };
    Check::new("opik", bad, text).hint(hint)
}

fn no_access(error: &RestError, workspace: &str, bad: Status) -> Check {
    match refusal(error, workspace) {
        Some((text, hint)) => Check::new("access", bad, text).hint(hint),
        None => Check::new("access", bad, chain(error)),
    }
}

/// Opik sorts by the moments that we send.
fn clock(server: Timestamp, ours: Timestamp) -> Check {
    let ahead = ours.micros_since(server);
    if ahead.abs() <= APART {
        return Check::new("server clock", Status::Ok, "agrees with ours");
    }
    let side = if ahead > 0 { "behind" } else { "ahead of" };
    let text = format!("{} {side} ours", duration(ahead.abs()));
    Check::new("server clock", Status::Warn, text).hint("set the clock that is wrong")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &'static [(&str, &str)]) -> OpikSettings {
        OpikSettings::builder().load_from(&|name: &str| {
            let (_, value) = pairs.iter().find(|(other, _)| *other == name)?;
            Some((*value).into())
        })
    }

    #[test]
    fn clocks_may_differ_by_a_minute() {
        let now = Timestamp::from_micros(1_800_000_000_000_000);
        let at = |seconds: i64| Timestamp::from_micros(now.as_micros() + seconds * 1_000_000);
        assert_eq!(clock(at(59), now).status, Status::Ok);
        let late = clock(at(-3_600), now);
        assert_eq!(late.status, Status::Warn);
        assert!(late.text.contains("behind"), "{}", late.text);
        assert!(clock(at(3_600), now).text.contains("ahead"));
    }

    #[test]
    fn a_key_that_travels_openly_is_mentioned() {
        let open = settings(&[("OPIK_URL_OVERRIDE", "http://h/api"), ("OPIK_API_KEY", "k")]);
        assert!(exposed_key(&open).is_some());
        for quiet in [
            settings(&[
                ("OPIK_URL_OVERRIDE", "http://localhost/api"),
                ("OPIK_API_KEY", "k"),
            ]),
            settings(&[
                ("OPIK_URL_OVERRIDE", "https://h/api"),
                ("OPIK_API_KEY", "k"),
            ]),
            settings(&[("OPIK_URL_OVERRIDE", "http://h/api")]),
        ] {
            assert!(exposed_key(&quiet).is_none());
        }
    }

    #[test]
    fn defaults_are_quiet_and_main_settings_are_not() {
        let rows = rows(&settings(&[
            ("OPIK_TIMEOUT_SECONDS", "3"),
            ("OPIK_API_KEY", "s3cret"),
        ]));
        assert_eq!(rows.len(), Setting::ALL.len());
        let table = table(&rows);
        assert_eq!(table.lines().count(), MAIN.len() + 1, "{table}");
        assert!(
            table.contains("3 s") && !table.contains("s3cret"),
            "{table}"
        );
    }
}
