//! `opik-rs prune`: forgets old traces.

use std::time::Duration;

use opik_store::Retention;
use serde_json::json;

use super::failed;
use crate::context::Context;
use crate::exit::{Code, Failure, Outcome};
use crate::render::numbers::{bytes, things};

/// Arguments of `opik-rs prune`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs prune --older-than 30d
  opik-rs prune --max-size 10GB
  opik-rs prune --older-than 12w --max-size 500MB --json

Traces go with their spans, scores and files, the oldest first; datasets, experiments and prompts
stay. The space is given back. Servers and programs go on meanwhile. A server does this by itself,
every hour, with OPIK_SERVER_RETENTION_DAYS and OPIK_SERVER_MAX_STORE_MB.

JSON: {\"traces\", \"spans\", \"bytes_before\", \"bytes_after\"}")]
pub(crate) struct Args {
    /// Forget traces that started longer ago: 90m, 36h, 30d, 12w
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    older_than: Option<Duration>,

    /// Forget the oldest traces until the file is no larger: 500MB, 10GB
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_size: Option<u64>,
}

fn parse_age(text: &str) -> Result<Duration, String> {
    let units = [("m", 60), ("h", 3_600), ("d", 86_400), ("w", 604_800)];
    number(text, &units)
        .map(Duration::from_secs)
        .ok_or_else(|| "an age is a whole number and m, h, d or w, like 30d".to_owned())
}

fn parse_size(text: &str) -> Result<u64, String> {
    let units = [
        ("kb", 1_000),
        ("mb", 1_000_000),
        ("gb", 1_000_000_000),
        ("tb", 1_000_000_000_000),
    ];
    number(text, &units)
        .ok_or_else(|| "a size is a whole number and KB, MB, GB or TB, like 10GB".to_owned())
}

fn number(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    units.iter().find_map(|(unit, size)| {
        let number: u64 = text.strip_suffix(unit)?.trim().parse().ok()?;
        number.checked_mul(*size)
    })
}

/// Forgets.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    let mut keep = Retention::new();
    if let Some(age) = args.older_than {
        keep = keep.max_age(age);
    }
    if let Some(most) = args.max_size {
        keep = keep.max_bytes(most);
    }
    if args.older_than.is_none() && args.max_size.is_none() {
        return Err(Failure::new(Code::Usage, "nothing says what to forget")
            .hint("--older-than 30d, or --max-size 10GB"));
    }
    let store = ctx.existing_store()?;
    let report = store
        .prune(keep)
        .map_err(|error| failed(error, "not everything was forgotten"))?;
    if ctx.out.is_json() {
        ctx.out.json(&json!({
            "traces": report.traces, "spans": report.spans,
            "bytes_before": report.bytes_before, "bytes_after": report.bytes_after,
        }))?;
    } else {
        ctx.out.text(&format!(
            "{} with {} forgotten; {} before, {} now\n",
            things(report.traces, "trace"),
            things(report.spans, "span"),
            bytes(report.bytes_before),
            bytes(report.bytes_after),
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_sizes_need_their_unit() {
        assert_eq!(parse_age("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!(parse_age(" 2 W"), Ok(Duration::from_secs(14 * 86_400)));
        assert_eq!(parse_size("10GB"), Ok(10_000_000_000));
        for wrong in ["", "30", "d", "-1d", "1.5h", "99999999999999999999w"] {
            assert!(parse_age(wrong).is_err(), "{wrong}");
        }
        assert!(parse_size("10").is_err() && parse_size("10 G").is_err());
    }
}
