//! Items from records that are read in place, written without a value of their own.

use std::fmt::Write as _;

use serde_json::Number;
use sha2::{Digest, Sha256};

use super::write_digest;
use crate::dataset::node::{Fields, View, write_quoted};

/// Deepest nesting that is written here: that of `serde_json`, which reads items.
const DEPTH: usize = 120;

/// Adds the line of an item as [`Item`](super::Item) serialises, with sorted keys. `None` when the
/// record is anything but common, where `out` is as it was: [`Item::from_value`](super::Item::from_value) says what it is.
pub(crate) fn write_item(out: &mut String, record: View<'_>) -> Option<()> {
    let whole = out.len();
    let written = line(out, record);
    if written.is_none() {
        out.truncate(whole);
    }
    written
}

fn line(out: &mut String, record: View<'_>) -> Option<()> {
    let (mut given, mut tags, mut outer, mut inner) = (None, None, None, None);
    let fields = record.fields().filter(Fields::are_as_read)?;
    for (name, value) in fields {
        match name {
            "id" => given = Some(value),
            "tags" => tags = Some(value),
            "expected_output" => outer = Some(value),
            "data" => inner = Some(value),
            _ => {}
        }
    }
    let of_outer = |name: &str| !matches!(name, "id" | "tags" | "expected_output");
    let of_inner = |name: &str| outer.is_some() || name != "expected_output";
    out.push_str("{\"data\":");
    let from = out.len();
    let expected = match inner {
        Some(View::Object(data)) => {
            // What is not written has to be readable, too.
            for (_, ignored) in fields.filter(|(name, _)| of_outer(name) && *name != "data") {
                check(ignored, DEPTH)?;
            }
            write_fields(out, data, DEPTH, of_inner)?;
            outer.or_else(|| inner?.get("expected_output"))
        }
        _ => {
            write_fields(out, fields, DEPTH, of_outer)?;
            outer
        }
    };
    let to = out.len();
    let answer = match expected {
        Some(value) => {
            out.push_str(",\"expected_output\":");
            let from = out.len();
            write_sorted(out, value, DEPTH)?;
            from..out.len()
        }
        None => to..to,
    };
    out.push_str(",\"id\":");
    match given {
        None | Some(View::Null) => {
            let mut hash = Sha256::new();
            hash.update(out.get(from..to)?);
            hash.update("\n");
            hash.update(out.get(answer)?);
            out.push('"');
            write_digest(out, &hash.finalize());
            out.push('"');
        }
        Some(View::Text(id)) if !id.trim().is_empty() => write_quoted(out, id),
        Some(number @ (View::Int(_) | View::Float(_))) => {
            out.push('"');
            write_sorted(out, number, 0)?;
            out.push('"');
        }
        Some(_) => return None,
    }
    if let Some(tags) = tags.filter(|tags| !tags.is_null()) {
        let mut tags = tags.list()?.peekable();
        let any = tags.peek().is_some();
        out.push_str(if any { ",\"tags\":[" } else { "" });
        for (index, tag) in tags.enumerate() {
            let View::Text(tag) = tag else { return None };
            out.push_str(if index > 0 { "," } else { "" });
            write_quoted(out, tag);
        }
        out.push_str(if any { "]" } else { "" });
    }
    out.push_str("}\n");
    Some(())
}

/// Digits of a whole number that is surely finite as a number with a point.
const DIGITS: usize = 300;

/// `None` where `serde_json` might not read a value.
fn check(value: View<'_>, depth: usize) -> Option<()> {
    match value {
        View::Torn(_) => None,
        View::Int(digits) => (digits.len() <= DIGITS).then_some(()),
        View::List(mut items) => {
            let depth = depth.checked_sub(1)?;
            items.try_for_each(|item| check(item, depth))
        }
        View::Object(mut fields) => {
            let depth = depth.checked_sub(1)?;
            fields.try_for_each(|(_, value)| check(value, depth))
        }
        View::Null | View::Bool(_) | View::Float(_) | View::Text(_) => Some(()),
    }
}

/// As [`write_canonical`](super::write_canonical). `None` where it is too deep.
fn write_sorted(out: &mut String, value: View<'_>, depth: usize) -> Option<()> {
    match value {
        View::Null => out.push_str("null"),
        View::Bool(truth) => out.push_str(if truth { "true" } else { "false" }),
        View::Int(digits) => write_int(out, digits)?,
        View::Float(number) => write!(out, "{}", Number::from_f64(number)?).ok()?,
        View::Text(text) => write_quoted(out, text),
        View::Torn(_) => return None,
        View::List(items) => {
            let depth = depth.checked_sub(1)?;
            out.push('[');
            for (index, item) in items.enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                write_sorted(out, item, depth)?;
            }
            out.push(']');
        }
        View::Object(fields) => write_fields(out, fields, depth, |_| true)?,
    }
    Some(())
}

/// Whole numbers of 64 bits stand as they are; others are numbers with a point to `serde_json`.
fn write_int(out: &mut String, digits: &str) -> Option<()> {
    let fits = || digits.parse::<i64>().is_ok() || digits.parse::<u64>().is_ok();
    if digits.len() < 19 || fits() {
        out.push_str(digits);
        return Some(());
    }
    write!(out, "{}", Number::from_f64(digits.parse().ok()?)?).ok()
}

/// The fields that count, sorted by their names.
fn write_fields<'a>(
    out: &mut String,
    fields: Fields<'a>,
    depth: usize,
    counts: impl Fn(&str) -> bool,
) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    let counted = || fields.filter(|(name, _)| counts(name));
    let names = || counted().map(|(name, _)| name);
    out.push('{');
    if names().is_sorted() {
        write_each(out, counted(), depth)?;
    } else {
        let mut sorted: Vec<(&'a str, View<'a>)> = counted().collect();
        sorted.sort_unstable_by_key(|(name, _)| *name);
        write_each(out, sorted.into_iter(), depth)?;
    }
    out.push('}');
    Some(())
}

fn write_each<'a>(
    out: &mut String,
    fields: impl Iterator<Item = (&'a str, View<'a>)>,
    depth: usize,
) -> Option<()> {
    for (index, (name, value)) in fields.enumerate() {
        out.push_str(if index > 0 { "," } else { "" });
        write_quoted(out, name);
        out.push(':');
        write_sorted(out, value, depth)?;
    }
    Some(())
}
