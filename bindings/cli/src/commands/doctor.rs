//! `opik-rs doctor`: is everything in order, and what to do where it is not.

mod opik;
mod spool;

use std::path::{Path, PathBuf};

use opik_core::query::TraceQuery;
use opik_core::settings::OpikSettings;
use opik_core::source::PageRequest;
use opik_core::{Timestamp, TraceSource};
use opik_server::ServerConfig;
use opik_store::{Store, StoreOptions};
use pollster::block_on;
use serde::Serialize;

use self::opik::Row;
use crate::config;
use crate::context::Context;
use crate::exit::{Code, Failure, Outcome, opening_hint};
use crate::render::numbers::{bytes, duration, moment, things};
use crate::render::style::{BAD, DIM, GOOD, WARN};
use crate::render::text::clean;

/// Free space below which writing may fail soon, in bytes.
const LITTLE: u64 = 1 << 30;
/// Free space below which writing will fail, in bytes.
const TOO_LITTLE: u64 = 64 << 20;
/// Free space inside the file that is worth giving back, in bytes.
const MUCH_FREE: u64 = 64 << 20;
/// How far ahead of the clock a trace may be, in microseconds.
const AHEAD: i64 = 5 * 60 * 1_000_000;

/// Arguments of `opik-rs doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs doctor                 check everything
  opik-rs doctor --json | jq '.checks[] | select(.status != \"ok\")'
  opik-rs doctor --db other.db   check another store
  opik-rs doctor --deep          read all content too, and find damage inside it
  opik-rs doctor --connect       try the Opik server, recording or not

Reads, and changes nothing (it makes and removes small files where it must know whether \
writing works). The Opik server is asked when records are sent there (OPIK_ENABLED), \
or with --connect. The exit code is 0 when no check failed (warnings are no failure), \
5 when the store is at fault (damaged, newer, not writable), else 1. Values of keys are never shown.

JSON: {\"status\": \"ok\", \"warn\" or \"fail\", \"checks\": [{\"name\", \"status\", \"text\", \"hint\"}], \
\"settings\": [{\"name\", \"value\", \"origin\"}]}")]
pub(crate) struct Args {
    /// Ask the Opik server, also when nothing is sent there
    #[arg(long)]
    connect: bool,

    /// Also read every input, output and metadata in the store: takes about as long as an export
    #[arg(long)]
    deep: bool,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Ok,
    Warn,
    Fail,
}

#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    status: Status,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Check {
    fn new(name: &'static str, status: Status, text: impl Into<String>) -> Self {
        Self {
            name,
            status,
            text: text.into(),
            hint: None,
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The result in JSON.
#[derive(Debug, Serialize)]
struct Report {
    status: Status,
    checks: Vec<Check>,
    settings: Vec<Row>,
}

/// Checks.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    let path = ctx.store_path()?;
    let mut checks = vec![Check::new(
        "program",
        Status::Ok,
        format!(
            "opik-rs {} on {}",
            env!("CARGO_PKG_VERSION"),
            std::env::consts::OS
        ),
    )];
    let store = check_store(&path, args.deep, &mut checks);
    checks.push(check_folder(&path));
    checks.push(check_disk(&path));
    checks.push(check_clock(store.as_ref()));
    checks.push(check_serving());
    let opik = OpikSettings::load();
    checks.extend(opik::configuration(&opik, &path));
    checks.extend(opik::server(&opik, args.connect)?);
    checks.extend(spool::checks(&opik));
    let status = checks
        .iter()
        .map(|check| check.status)
        .max()
        .unwrap_or(Status::Ok);
    let report = Report {
        status,
        checks,
        settings: opik::rows(&opik),
    };
    if ctx.out.is_json() {
        ctx.out.json(&report)?;
    } else {
        ctx.out.text(&lines(&report))?;
    }
    verdict(&report)
}

fn verdict(report: &Report) -> Outcome {
    let failed = || {
        report
            .checks
            .iter()
            .filter(|check| check.status == Status::Fail)
    };
    let count = failed().count() as u64;
    if count == 0 {
        return Ok(());
    }
    // A folder or file that cannot be written is a store that cannot be written.
    let of_store =
        failed().all(|check| matches!(check.name, "store" | "integrity" | "permissions"));
    let code = if of_store { Code::Store } else { Code::Failed };
    Err(Failure::new(
        code,
        format!("{} failed", things(count, "check")),
    ))
}

fn lines(report: &Report) -> String {
    let mut text = String::new();
    for check in &report.checks {
        let (style, word) = match check.status {
            Status::Ok => (GOOD, "ok  "),
            Status::Warn => (WARN, "warn"),
            Status::Fail => (BAD, "FAIL"),
        };
        text.push_str(&format!(
            "{style}{word}{style:#}  {DIM}{:<13}{DIM:#} {}\n",
            check.name,
            clean(&check.text)
        ));
        if let Some(hint) = &check.hint {
            text.push_str(&format!(
                "      {DIM}try:{DIM:#}          {}\n",
                clean(hint)
            ));
        }
    }
    text.push_str(&opik::table(&report.settings));
    text
}

/// Opens the store, without making one, and checks what is in it.
fn check_store(path: &Path, deep: bool, checks: &mut Vec<Check>) -> Option<Store> {
    if !path.exists() {
        checks.push(
            Check::new(
                "store",
                Status::Ok,
                format!("none yet at {}", path.display()),
            )
            .hint("opik-rs demo, or opik-rs import <FILE>, makes one"),
        );
        return None;
    }
    let store = match Store::open(path, StoreOptions::default().create(false)) {
        Ok(store) => store,
        Err(error) => {
            let text = format!("{}: {}", path.display(), chain(&error));
            checks.push(Check::new("store", Status::Fail, text).hint(opening_hint(&error)));
            return None;
        }
    };
    let size = store.stats().map_or_else(
        |_| path.display().to_string(),
        |stats| {
            let (traces, spans) = (things(stats.traces, "trace"), things(stats.spans, "span"));
            format!(
                "{}: {traces}, {spans}, schema {}",
                path.display(),
                stats.schema_version
            )
        },
    );
    checks.push(Check::new("store", Status::Ok, size));
    checks.push(check_integrity(&store, deep));
    checks.push(check_upkeep(&store));
    Some(store)
}

fn check_integrity(store: &Store, deep: bool) -> Check {
    let damaged = |text: String| {
        Check::new("integrity", Status::Fail, text)
            .hint("opik-rs export --all -o rescue.jsonl saves what can be read and counts the rest")
    };
    let (found, none) = if deep {
        (store.check_content(), "no damage found, all content read")
    } else {
        (store.check(), "no damage found")
    };
    match found {
        Ok(problems) if problems.is_empty() => Check::new("integrity", Status::Ok, none),
        Ok(problems) => {
            let first = problems.first().map(String::as_str).unwrap_or_default();
            damaged(format!(
                "{}, the first: {first}",
                things(problems.len() as u64, "problem")
            ))
        }
        Err(error) => damaged(chain(&error)),
    }
}

/// When the store was last copied, and how much of it is free.
fn check_upkeep(store: &Store) -> Check {
    let (upkeep, size) = match (store.upkeep(), store.stats()) {
        (Ok(upkeep), Ok(stats)) => (upkeep, stats.file_bytes),
        (Err(error), _) | (_, Err(error)) => {
            return Check::new("upkeep", Status::Warn, chain(&error));
        }
    };
    let now = Timestamp::now();
    let copied = match &upkeep.backup {
        None => "never copied".to_owned(),
        Some((at, to)) => {
            let ago = duration(now.micros_since(*at).max(0));
            let gone = if to.exists() { "" } else { ", which is gone" };
            format!("copied {ago} ago to {}{gone}", to.display())
        }
    };
    let pruned = upkeep.prune.map_or_else(String::new, |at| {
        format!(", pruned {} ago", duration(now.micros_since(at).max(0)))
    });
    let free = upkeep.free_bytes;
    let text = format!("{copied}{pruned}; {} of the file are free", bytes(free));
    if free > MUCH_FREE && free > size / 4 {
        return Check::new("upkeep", Status::Warn, text).hint("opik-rs vacuum gives it back");
    }
    let check = Check::new("upkeep", Status::Ok, text);
    match &upkeep.backup {
        Some((_, to)) if to.exists() => check,
        _ => check.hint("opik-rs backup <FILE> makes a copy, also while a server runs"),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// Whether `opik-rs serve` could begin with this environment.
fn check_serving() -> Check {
    match ServerConfig::from_lookup(config::variable) {
        Err(error) => Check::new("serve", Status::Warn, chain(&error))
            .hint("opik-rs serve does not start with it"),
        Ok(server) => {
            let address = server.address();
            let key = if server.has_api_key() {
                "with"
            } else {
                "without"
            };
            let text = format!("opik-rs serve listens at {address}, {key} a key");
            if address.ip().is_loopback() || server.has_api_key() {
                return Check::new("serve", Status::Ok, text);
            }
            Check::new("serve", Status::Warn, text)
                .hint("OPIK_SERVER_API_KEY=<key> keeps others out")
        }
    }
}

/// The nearest folder above the store that exists.
fn folder_of(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = absolute.ancestors().skip(1).find(|folder| folder.is_dir());
    folder.map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// Whether files can be made beside the store, which SQLite needs.
fn check_folder(path: &Path) -> Check {
    let folder = folder_of(path);
    let read_only = std::fs::metadata(path).is_ok_and(|file| file.permissions().readonly());
    if read_only {
        return Check::new(
            "permissions",
            Status::Fail,
            format!("{} is read-only", path.display()),
        )
        .hint("make the file writable");
    }
    match tempfile::NamedTempFile::new_in(&folder) {
        Ok(_) => Check::new(
            "permissions",
            Status::Ok,
            format!("{} is writable", folder.display()),
        ),
        Err(error) => {
            let text = format!("cannot write in {}: {error}", folder.display());
            Check::new("permissions", Status::Fail, text)
                .hint("make the folder writable, or name another file with --db")
        }
    }
}

fn check_disk(path: &Path) -> Check {
    let folder = folder_of(path);
    match fs4::available_space(&folder) {
        Ok(free) => {
            let text = format!("{} free at {}", bytes(free), folder.display());
            let status = match free {
                0..TOO_LITTLE => Status::Fail,
                TOO_LITTLE..LITTLE => Status::Warn,
                _ => Status::Ok,
            };
            let check = Check::new("disk", status, text);
            if status == Status::Ok {
                check
            } else {
                check.hint("make room on the disk")
            }
        }
        Err(error) => Check::new(
            "disk",
            Status::Warn,
            format!("free space is unknown: {error}"),
        ),
    }
}

/// Identifiers are made of the clock: a wrong one mixes up what is newest.
fn check_clock(store: Option<&Store>) -> Check {
    let now = Timestamp::now();
    let year = moment(now)
        .get(..4)
        .and_then(|year| year.parse::<u32>().ok());
    if !year.is_some_and(|year| (2025..2100).contains(&year)) {
        return Check::new(
            "clock",
            Status::Fail,
            format!("it says {} UTC", moment(now)),
        )
        .hint("set the clock: new traces sort by it");
    }
    let mut query = TraceQuery::default();
    query.page = PageRequest::first(1);
    query.without_content = true;
    let newest = store
        .and_then(|store| block_on(store.search_traces(&query)).ok())
        .and_then(|page| page.items.first().map(|trace| trace.id))
        .and_then(|id| id.timestamp());
    match newest.map(|newest| newest.micros_since(now)) {
        Some(ahead) if ahead > AHEAD => Check::new(
            "clock",
            Status::Warn,
            format!(
                "the newest trace is {} ahead of {} UTC",
                duration(ahead),
                moment(now)
            ),
        )
        .hint("compare the clocks of this machine and of the one that recorded it"),
        _ => Check::new("clock", Status::Ok, format!("{} UTC", moment(now))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(checks: Vec<Check>) -> Report {
        Report {
            status: Status::Ok,
            checks,
            settings: Vec::new(),
        }
    }

    #[test]
    fn warnings_are_no_failure_and_the_store_has_its_own_code() {
        let warn = Check::new("disk", Status::Warn, "little");
        assert!(verdict(&report(vec![warn])).is_ok());
        let store = Check::new("store", Status::Fail, "damaged");
        assert_eq!(
            verdict(&report(vec![store])).unwrap_err().code(),
            Code::Store
        );
        let closed = Check::new("permissions", Status::Fail, "read-only");
        assert_eq!(
            verdict(&report(vec![closed])).unwrap_err().code(),
            Code::Store
        );
        let disk = Check::new("disk", Status::Fail, "full");
        let store = Check::new("store", Status::Fail, "damaged");
        assert_eq!(
            verdict(&report(vec![disk, store])).unwrap_err().code(),
            Code::Failed
        );
    }

    #[test]
    fn the_folder_of_a_store_in_a_folder_to_be_made_is_one_that_exists() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = folder_of(&scratch.path().join("a/b/traces.db"));
        assert_eq!(folder, std::path::absolute(scratch.path()).unwrap());
    }
}
