//! How much each span matters for an answer.
//!
//! Points for what the evidence says about a span (origin of an error, culprit, share of the
//! critical path, cost, outlier, place in a finding), for the words of the question, and for
//! standing for others. A span that nothing speaks for has between 0.2 and 2 points.

use opik_core::tree::NodeId;
use opik_core::{SpanType, TraceTree};

use super::SpanLabel;
use super::shape::{Shapes, Standing};
use super::terms;
use crate::analysis::Evidence;
use crate::answer::mention::mentions;
use crate::errors::Outcome;
use crate::figures::{number, real, share, time_share};
use crate::localise::localise;
use crate::{Finding, PerNode};

const NAMED: f64 = 150.0;
const ORIGIN: f64 = 100.0;
const CULPRIT: f64 = 80.0;
const SWALLOWED: f64 = 60.0;
const RECOVERED: f64 = 20.0;
const PASSED_ON: f64 = 15.0;
const TRUNCATED: f64 = 50.0;
const SUSPECT: f64 = 120.0;
const PATH: f64 = 60.0;
const COST: f64 = 40.0;
const OUTLIER: f64 = 20.0;
const WORDS: f64 = 60.0;
const FINDING: f64 = 30.0;
const FAILED: f64 = 8.0;
const EXEMPLAR: f64 = 3.0;
/// Findings whose spans get points, and spans of each.
const FINDINGS: usize = 24;
const SPANS_OF_FINDING: usize = 8;
/// Runs with more spans or bytes of output than this are not searched for suspects.
const SUSPECT_SPANS: usize = 1_000;
const SUSPECT_BYTES: usize = 4 << 20;

/// The points of every span.
pub(super) fn scores(
    tree: &TraceTree,
    evidence: &Evidence,
    question: &str,
    shapes: &Shapes,
) -> PerNode<f64> {
    let mut scores = PerNode::from_fn(tree, |node| base(tree, node, shapes));
    let mut add = |node: NodeId, points: f64| scores.update(node, |score| *score += points);
    for error in &evidence.errors.spans {
        add(error.node, FAILED);
    }
    for origin in &evidence.errors.origins {
        let points = match origin.outcome {
            Outcome::FailedTrace => ORIGIN,
            Outcome::Swallowed(_) => SWALLOWED,
            Outcome::Recovered { .. } => RECOVERED,
        };
        add(origin.node, points);
        for &above in origin.path.iter().take(SPANS_OF_FINDING) {
            add(above, PASSED_ON);
        }
        if let Some(culprit) = &origin.culprit {
            add(culprit.node, CULPRIT * points / ORIGIN);
        }
    }
    for &node in &evidence.truncated {
        add(node, TRUNCATED);
    }
    for missing in &evidence.missing_outputs {
        add(missing.node, TRUNCATED);
    }
    for outlier in &evidence.outliers {
        add(outlier.node, OUTLIER);
    }
    for (place, finding) in evidence.findings.iter().take(FINDINGS).enumerate() {
        of_finding(
            tree,
            finding,
            FINDING / (1.0 + number(place) / 4.0),
            &mut add,
        );
    }
    let wall = tree.wall().micros();
    let spend = &evidence.spend;
    for node in tree.nodes() {
        let own = evidence.critical_path.own.get(node).copied().unwrap_or(0);
        let spent = spend.own.get(node).copied().unwrap_or_default();
        let spent = if spend.has_cost {
            share(spent.dollars, spend.total.dollars)
        } else {
            share(real(spent.tokens), real(spend.total.tokens))
        };
        add(node, (PATH * time_share(own, wall) + COST * spent) / 100.0);
    }
    suspects(tree, &mut add);
    of_question(tree, evidence, question, &mut add);
    scores
}

fn base(tree: &TraceTree, node: NodeId, shapes: &Shapes) -> f64 {
    let depth = 1.0 / (1.0 + 0.2 * number(tree.depth(node)));
    let kind = match tree.span(node).kind() {
        SpanType::Llm | SpanType::Tool => 1.5,
        _ => 1.0,
    };
    match shapes.standing.at(node) {
        Standing::Single => depth * kind,
        Standing::Exemplar => EXEMPLAR * depth * kind,
        Standing::OneOfMany => 0.2 * depth * kind,
    }
}

fn of_finding(tree: &TraceTree, finding: &Finding, points: f64, add: &mut impl FnMut(NodeId, f64)) {
    for (place, &span) in finding.spans.iter().take(SPANS_OF_FINDING).enumerate() {
        if let Some(node) = tree.find(span) {
            add(node, points / (1.0 + number(place)));
        }
    }
}

/// Steps of an agent that most likely made the mistake.
fn suspects(tree: &TraceTree, add: &mut impl FnMut(NodeId, f64)) {
    if tree.len() > SUSPECT_SPANS {
        return;
    }
    let outputs = tree
        .nodes()
        .filter_map(|node| tree.span(node).output.as_ref());
    if outputs.map(|output| output.as_str().len()).sum::<usize>() > SUSPECT_BYTES {
        return;
    }
    for suspect in localise(tree).iter().take(SPANS_OF_FINDING) {
        add(suspect.node, SUSPECT * suspect.score);
    }
}

/// What the question names: ids, labels, findings, names, words.
fn of_question(
    tree: &TraceTree,
    evidence: &Evidence,
    question: &str,
    add: &mut impl FnMut(NodeId, f64),
) {
    let (named, by_name) = mentions(question, tree);
    for node in named {
        add(node, if by_name { NAMED / 2.0 } else { NAMED });
    }
    for word in question.split(|character: char| !character.is_ascii_alphanumeric()) {
        // As packs write them: `S3` and `f1` are other things.
        let label = word
            .strip_prefix('s')
            .and_then(|_| SpanLabel::find(word, tree));
        if let Some(node) = label {
            add(node, NAMED);
        }
        let finding = word
            .strip_prefix('F')
            .and_then(|number| number.parse().ok());
        let finding = finding.and_then(|number| evidence.finding(crate::FindingId(number)));
        if let Some(finding) = finding {
            of_finding(tree, finding, NAMED, add);
        }
    }
    if let Some(matches) = terms::matches(tree, question) {
        for node in tree.nodes() {
            let points = WORDS * matches.at(node);
            if points > 0.0 {
                add(node, points);
            }
        }
    }
}
