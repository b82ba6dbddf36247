//! What bad traces have in common.

use std::collections::{BTreeMap, BTreeSet};

use opik_core::TraceTree;
use serde::Serialize;
use serde_json::Value;

use super::stats::{Factorials, chi_square};
use crate::figures::number;
use crate::quote::clean;

/// Bad and good traces that are enough.
const ENOUGH: usize = 5;
/// Bad traces that must have an attribute.
const LEAST: usize = 3;
/// False discoveries among attributes that are told.
const DISCOVERIES: f64 = 0.05;
/// Share among the bad, as a multiple of the share among all.
const LIFT: f64 = 1.3;
/// Attributes of one trace, and characters of a value.
const MOST: usize = 200;
const VALUE: usize = 64;
/// Attributes that are told.
const TOLD: usize = 8;
/// Without a failure, this share of the slowest are the bad ones.
const SLOWEST: usize = 10;

/// What makes a trace a bad one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Split {
    /// It failed.
    Failed,
    /// It is among the slowest.
    Slow,
}

/// An attribute that bad traces have more often.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Attribute {
    /// What it is: `tag`, `environment`, `model`, `provider`, `span` or `metadata.<key>`.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Others that exactly the same traces have, as `name = value`.
    pub also: Vec<String>,
    /// Bad and good traces that have it.
    pub with: (usize, usize),
    /// The share among the bad, as a multiple of the share among all.
    pub lift: f64,
    /// Fisher's exact test, one-sided, before correction.
    pub p: f64,
    /// Pearson's chi-square.
    pub chi_square: f64,
    /// Whether the trace itself has it.
    pub here: bool,
}

/// What bad traces have in common, and how many there are.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Attributes {
    /// What makes a trace a bad one.
    pub split: Split,
    /// Bad traces, the compared one included where it is one.
    pub bad: usize,
    /// Good traces.
    pub good: usize,
    /// Whether there are enough of both.
    pub enough: bool,
    /// The attributes, the least likely by chance first.
    pub found: Vec<Attribute>,
}

pub(super) fn attributes(tree: &TraceTree, others: &[&TraceTree]) -> Attributes {
    let mut all = vec![tree];
    all.extend(others);
    let failed = has_failed(tree);
    let (split, bad) = if failed {
        (
            Split::Failed,
            all.iter()
                .map(|tree| has_failed(tree))
                .collect::<Vec<bool>>(),
        )
    } else {
        (Split::Slow, slowest(&all))
    };
    let number_bad = bad.iter().filter(|&&bad| bad).count();
    let mut result = Attributes {
        split,
        bad: number_bad,
        good: all.len() - number_bad,
        enough: number_bad >= ENOUGH && all.len() - number_bad >= ENOUGH,
        found: Vec::new(),
    };
    if result.enough {
        result.found = over_represented(&all, &bad, number_bad);
    }
    result
}

fn has_failed(tree: &TraceTree) -> bool {
    tree.trace().error_info.is_some()
        || tree
            .roots()
            .any(|root| tree.span(root).error_info.is_some())
}

/// The slowest tenth; those as slow as the tenth are in too.
fn slowest(all: &[&TraceTree]) -> Vec<bool> {
    let mut walls: Vec<i64> = all.iter().map(|tree| tree.wall().micros()).collect();
    walls.sort_unstable_by_key(|&wall| std::cmp::Reverse(wall));
    let place = (all.len() / SLOWEST)
        .max(ENOUGH)
        .min(all.len())
        .saturating_sub(1);
    let least = walls.get(place).copied().unwrap_or(0);
    all.iter()
        .map(|tree| tree.wall().micros() >= least)
        .collect()
}

fn over_represented(all: &[&TraceTree], bad: &[bool], number_bad: usize) -> Vec<Attribute> {
    // Attributes with the traces that have them.
    let mut having: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
    for (place, tree) in all.iter().enumerate() {
        for attribute in of(tree) {
            having.entry(attribute).or_default().push(place);
        }
    }
    // Those of exactly the same traces are one hypothesis.
    let mut groups: BTreeMap<Vec<usize>, Vec<(String, String)>> = BTreeMap::new();
    for (attribute, places) in having {
        groups.entry(places).or_default().push(attribute);
    }
    let is_bad = |place: &&usize| bad.get(**place).copied().unwrap_or(false);
    let factorials = Factorials::up_to(all.len());
    let mut tested: Vec<Attribute> = groups
        .into_iter()
        .filter_map(|(places, attributes)| {
            let with = places.iter().filter(is_bad).count();
            let here = places.first() == Some(&0);
            if with < LEAST || places.len() == all.len() {
                return None;
            }
            let share = number(with) / number(number_bad);
            let mut names = attributes.into_iter();
            let (name, value) = names.next()?;
            Some(Attribute {
                name,
                value,
                also: names
                    .map(|(name, value)| format!("{name} = {value}"))
                    .collect(),
                with: (with, places.len() - with),
                lift: share / (number(places.len()) / number(all.len())),
                p: factorials.fisher(with, number_bad, places.len(), all.len()),
                chi_square: chi_square(with, number_bad, places.len(), all.len()),
                here,
            })
        })
        .collect();
    tested.sort_by(|a, b| {
        a.p.total_cmp(&b.p)
            .then_with(|| (&a.name, &a.value).cmp(&(&b.name, &b.value)))
    });
    // Benjamini and Hochberg: the last one below its line, and all before it.
    let hypotheses = number(tested.len());
    let below = |(place, attribute): (usize, &Attribute)| {
        attribute.p <= DISCOVERIES * number(place + 1) / hypotheses
    };
    let keep = tested
        .iter()
        .enumerate()
        .rposition(below)
        .map_or(0, |place| place + 1);
    tested.truncate(keep);
    tested.retain(|attribute| attribute.lift >= LIFT);
    tested.truncate(TOLD);
    tested
}

/// The attributes of a trace.
fn of(tree: &TraceTree) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    let mut add = |name: &str, value: &str| {
        let value = clean(value, VALUE);
        if !value.is_empty() && found.len() < MOST {
            found.insert((name.to_owned(), value));
        }
    };
    let trace = tree.trace();
    for tag in &trace.tags {
        add("tag", tag);
    }
    if let Some(environment) = &trace.environment {
        add("environment", environment);
    }
    if let Some(Value::Object(fields)) = trace
        .metadata
        .as_ref()
        .and_then(|json| json.to_value().ok())
    {
        for (key, value) in &fields {
            match value {
                Value::Object(inner) => {
                    for (name, value) in inner {
                        scalar(&format!("metadata.{key}.{name}"), value, &mut add);
                    }
                }
                value => scalar(&format!("metadata.{key}"), value, &mut add),
            }
        }
    }
    for node in tree.nodes() {
        let span = tree.span(node);
        if let Some(model) = &span.model {
            add("model", model);
        }
        if let Some(provider) = &span.provider {
            add("provider", provider);
        }
        if let Some(name) = &span.name {
            add("span", name);
        }
        for tag in &span.tags {
            add("tag of a span", tag);
        }
    }
    found
}

fn scalar(name: &str, value: &Value, add: &mut impl FnMut(&str, &str)) {
    match value {
        Value::String(text) if text.chars().count() <= VALUE => add(name, text),
        Value::Bool(_) => add(name, &value.to_string()),
        // Numbers that are measured differ everywhere; whole ones may be versions or settings.
        Value::Number(number) if number.is_i64() => add(name, &number.to_string()),
        _ => {}
    }
}
