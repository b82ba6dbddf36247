//! Which step of a failed agent run most likely made the decisive mistake.
//!
//! The steps are the spans with `metadata.step` (and `metadata.agent`), or all model and tool
//! calls in order of time where no span has one. Steps that only report, what a tool returned,
//! what a person said, who speaks next, are not suspects. Every other step collects points from a
//! short list of clues over its text and its neighbours, and the points become shares that add up
//! to 1 over the suspects of the trace.
//!
//! The points were chosen on one half of the labelled runs that come with `opik-testkit`, which
//! the example `localisation` tells apart by a hash and scores the other half with. The clues are
//! shallow on purpose: they read no meaning, call no model, and give equal answers for equal
//! traces. They say where to look first, not what is true.

mod clues;
mod step;

use opik_core::TraceTree;
use opik_core::tree::NodeId;
use serde::Serialize;

use self::clues::Clues;
use self::step::Step;
use crate::finding::{Confidence, Finding, FindingKind, Unit};

/// A step that may have made the decisive mistake.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Suspect {
    /// The span of the step.
    pub node: NodeId,
    /// The number of the step: as recorded, or its place in order of time.
    pub step: i64,
    /// The number of the first step of the trace.
    pub first_step: i64,
    /// Who took the step: `metadata.agent`, or the name of the span.
    pub agent: String,
    /// Its share of the suspicion, 0 to 1; those of all suspects add up to 1.
    pub score: f64,
    /// What speaks against it, the strongest first.
    pub reasons: Vec<Reason>,
}

/// A clue that speaks against a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Reason {
    /// What was seen, in plain words.
    pub text: &'static str,
    /// How many points it gives; one point makes a step 2.7 times as suspicious.
    pub points: f64,
}

/// Ranks the steps of a run by how likely they made the decisive mistake, the most likely first;
/// of equally likely ones the earlier is first. Empty when the trace has no step that decides
/// anything.
///
/// ```
/// use opik_assist::localise::localise;
/// use opik_core::{Json, Span, SpanId, SpanType, Timestamp, TraceId, TraceTree};
///
/// let id = TraceId::generate();
/// let step = |second: i64, kind, text: &str| {
///     let mut span = Span::new(SpanId::generate(), id, Timestamp::from_micros(second * 1_000_000));
///     span.r#type = Some(kind);
///     span.output = Some(Json::string(text));
///     span
/// };
/// let tree = TraceTree::from_spans(id, vec![
///     step(1, SpanType::Llm, "I will look up how many people live in the two cities."),
///     step(2, SpanType::Llm, "The figures are 737,015 and 4,965, so the result is:\n```python\nprint(737,015 - 4,965)\n```"),
///     step(3, SpanType::Tool, "exitcode: 1 (execution failed)"),
/// ]);
/// let suspects = localise(&tree);
/// assert_eq!(suspects[0].step, 1);
/// assert_eq!(suspects.len(), 2);
/// ```
#[must_use]
pub fn localise(tree: &TraceTree) -> Vec<Suspect> {
    let steps = step::steps(tree);
    let clues = Clues::of(tree, &steps);
    let first = steps.first().map_or(0, |step| step.number);
    let mut suspects: Vec<Suspect> = steps
        .iter()
        .zip(clues.points)
        .filter_map(|(step, points)| Some(suspect(step, first, &points?)))
        .collect();
    let most = suspects
        .iter()
        .map(|suspect| suspect.score)
        .fold(f64::NEG_INFINITY, f64::max);
    for suspect in &mut suspects {
        suspect.score = (suspect.score - most).exp();
    }
    let sum: f64 = suspects.iter().map(|suspect| suspect.score).sum();
    for suspect in &mut suspects {
        suspect.score /= sum;
    }
    // Stable: steps are in order of time.
    suspects.sort_by(|a, b| b.score.total_cmp(&a.score));
    suspects
}

/// A suspect whose score is still in points.
fn suspect(step: &Step<'_>, first: i64, points: &[Reason]) -> Suspect {
    let mut reasons: Vec<Reason> = points
        .iter()
        .copied()
        .filter(|reason| reason.points > 0.0)
        .collect();
    reasons.sort_by(|a, b| b.points.total_cmp(&a.points));
    Suspect {
        node: step.node,
        step: step.number,
        first_step: first,
        agent: step.agent.clone(),
        score: points.iter().map(|reason| reason.points).sum(),
        reasons,
    }
}

/// The least share of the suspicion that makes a step worth reading first.
const LEAST: f64 = 0.1;

/// The first suspects as findings of low confidence. Those with less than a tenth of the
/// suspicion, and those that no clue speaks against, are left out: the latter are suspects only
/// because others have something in their favour.
#[must_use]
pub fn findings(tree: &TraceTree, suspects: &[Suspect], most: usize) -> Vec<Finding> {
    suspects
        .iter()
        .filter(|suspect| suspect.score >= LEAST && !suspect.reasons.is_empty())
        .take(most)
        .map(|suspect| {
            let reasons: Vec<&str> = suspect.reasons.iter().map(|reason| reason.text).collect();
            let reasons = reasons.join("; ");
            let agent: String = suspect
                .agent
                .chars()
                .filter(|c| !c.is_control())
                .take(60)
                .collect();
            let span = tree.span(suspect.node).id;
            let claim = format!(
                "Step {} (counted from {}) by {agent} ({span}) is a suspect with {:.0} % of the suspicion: {reasons}.",
                suspect.step,
                suspect.first_step,
                suspect.score * 100.0,
            );
            Finding::new(FindingKind::Culprit, claim)
                .number("suspicion", suspect.score * 100.0, Unit::Percent)
                .span(span)
                .confidence(Confidence::Low)
                .method("points for clues in the text of the steps, chosen on labelled runs; see the example `localisation` for how often it is right")
        })
        .collect()
}

#[cfg(test)]
mod tests;
