//! `opik-rs evals describe`: what a dataset holds.

use std::collections::BTreeMap;
use std::path::PathBuf;

use opik_evals::dataset::{Input, ItemReader, ReadOptions};
use serde_json::{Value, json};

use super::failure::failure;
use super::summary::{Left, nothing, warnings};
use super::vyasa::{self, Compat};
use crate::context::Context;
use crate::exit::Outcome;
use crate::render::numbers::things;
use crate::render::style::DIM;
use crate::render::text::clean;

/// Different expectations and fields that are counted apart; the rest are counted together.
const GROUPS: usize = 50;

/// Arguments of `opik-rs evals describe`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs evals describe tone.jsonl
  opik-rs evals describe precision.jsonl.gz --json
  opik-rs evals describe --compat vyasa tone.jsonl

Counts the items, what is expected of them, and their fields. Expectations that are texts, numbers or \
truth values are counted apart up to 50, everything else together.

--compat vyasa does what run_evals.py of Vyasa does: it says what is in a dataset and, when OPIK_ENABLED \
is true, 1 or yes and OPIK_BASE_URL is set, posts it to OPIK_BASE_URL/api/evals, with OPIK_API_KEY, \
OPIK_PROJECT_NAME and OPIK_TIMEOUT_SECONDS. Failing to send does not count, as there.

JSON: {\"items\", \"expected\": [{value, count}], \"fields\": [{name, count}], \"skipped\"}")]
pub(crate) struct Args {
    /// The dataset: files or folders; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Fail if any record cannot be used
    #[arg(long)]
    strict: bool,

    /// Do what the script of another system does
    #[arg(long, value_name = "SYSTEM")]
    compat: Option<Compat>,
}

/// Describes a dataset.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    if args.compat.is_some() {
        return vyasa::describe(&args.files, ctx);
    }
    let inputs = args.files.iter().map(Input::path);
    let mut items = ItemReader::new(inputs, ReadOptions::new().strict(args.strict));
    let mut count = 0_u64;
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    let mut fields: BTreeMap<String, u64> = BTreeMap::new();
    for item in items.by_ref() {
        let item = item.map_err(failure)?;
        count += 1;
        let label = match item.expected() {
            None => "(nothing)".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(other @ (Value::Bool(_) | Value::Number(_))) => other.to_string(),
            Some(_) => "(other)".to_owned(),
        };
        add(&mut expected, label);
        for name in item.data().keys() {
            add(&mut fields, name.clone());
        }
    }
    if count == 0 {
        return Err(nothing(items.skipped()));
    }
    if ctx.out.is_json() {
        let pairs = |groups: &BTreeMap<String, u64>, key: &str| {
            let pairs = groups
                .iter()
                .map(|(name, n)| json!({ key: name, "count": n }));
            Value::from(pairs.collect::<Vec<_>>())
        };
        return Ok(ctx.out.json(&json!({
            "items": count,
            "expected": pairs(&expected, "value"),
            "fields": pairs(&fields, "name"),
            "skipped": Left::of(items.skipped()),
        }))?);
    }
    let mut text = format!("{}\n", things(count, "item"));
    for (heading, groups) in [("expected", &expected), ("fields", &fields)] {
        text.push_str(&format!("{DIM}{heading}{DIM:#}\n"));
        for (name, n) in groups {
            text.push_str(&format!("  {:32}{n:>8}\n", clean(name)));
        }
    }
    ctx.out.text(&text)?;
    ctx.out.notice(&warnings(items.skipped()));
    Ok(())
}

fn add(groups: &mut BTreeMap<String, u64>, name: String) {
    let known = groups.len() < GROUPS || groups.contains_key(&name);
    let name = if known { name } else { "(other)".to_owned() };
    *groups.entry(name).or_default() += 1;
}
