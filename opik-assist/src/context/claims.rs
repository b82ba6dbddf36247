//! The findings at the top of a pack.
//!
//! One line each, the most important first: number, kind, confidence, spans by their labels, the
//! claim. Short ids within a claim are replaced by labels, which say the same in fewer tokens.

use opik_core::TraceTree;
use opik_core::tree::NodeId;

use super::SpanLabel;
use super::fence::push_clean;
use super::tokens::{estimate, head};
use crate::finding::{Finding, FindingId};
use crate::label::Labels;

/// Spans that a finding names beside its claim.
const SPANS: usize = 6;
/// Tokens of a claim.
const CLAIM: usize = 160;

/// Findings as lines.
#[derive(Debug, Default)]
pub(super) struct Claims {
    pub(super) lines: String,
    pub(super) tokens: usize,
    pub(super) told: Vec<FindingId>,
}

/// As many findings as fit, at most so many tokens.
pub(super) fn claims(tree: &TraceTree, findings: &[Finding], tokens: usize) -> Claims {
    let labels = Labels::new(tree);
    let mut claims = Claims::default();
    let mut left = tokens;
    for finding in findings {
        let (line, cost) = line(tree, &labels, finding);
        if cost > left {
            // A shorter one of less importance may still fit.
            continue;
        }
        left -= cost;
        claims.lines.push_str(&line);
        claims.tokens += cost;
        claims.told.push(finding.id);
    }
    claims
}

/// A finding as a line, and its tokens.
fn line(tree: &TraceTree, labels: &Labels<'_>, finding: &Finding) -> (String, usize) {
    let kind = serde_json::to_value(finding.kind).ok();
    let kind = kind
        .as_ref()
        .and_then(|kind| kind.as_str())
        .unwrap_or("finding");
    let mut line = String::with_capacity(finding.claim.len() + kind.len() + 80);
    line.push_str(&finding.id.to_string());
    for part in [" ", kind, " (", finding.confidence.as_str(), ")"] {
        line.push_str(part);
    }
    let nodes: Vec<NodeId> = finding
        .spans
        .iter()
        .filter_map(|&span| tree.find(span))
        .collect();
    for &node in nodes.iter().take(SPANS) {
        line.push(' ');
        SpanLabel::of(node).push(&mut line);
    }
    if nodes.len() > SPANS {
        line.push_str(&format!(" +{}", nodes.len() - SPANS));
    }
    line.push_str(": ");
    let begin = line.len();
    push_clean(&with_labels(labels, &finding.claim), &mut line);
    line.push('\n');
    let cost = estimate(&line);
    // A claim takes no more than its line, of which most are short.
    if cost > CLAIM {
        let claim = line.split_off(begin);
        let claim = claim.trim_end_matches('\n');
        if estimate(claim) > CLAIM {
            line.push_str(head(claim, CLAIM - 2));
            line.push_str("…\n");
            let cost = estimate(&line);
            return (line, cost);
        }
        line.push_str(claim);
        line.push('\n');
    }
    (line, cost)
}

/// The claim with labels where short or whole ids in brackets were.
fn with_labels(labels: &Labels<'_>, claim: &str) -> String {
    let mut out = String::with_capacity(claim.len());
    let mut rest = claim;
    while let Some((before, after)) = rest.split_once('(') {
        out.push_str(before);
        out.push('(');
        rest = after;
        let Some((inside, behind)) = after.split_once(')') else {
            continue;
        };
        if let Some(node) = labels.find(inside) {
            SpanLabel::of(node).push(&mut out);
            out.push(')');
            rest = behind;
        }
    }
    out.push_str(rest);
    out
}
