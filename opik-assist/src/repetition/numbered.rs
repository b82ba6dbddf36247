//! Attempts that say which one they are: attributes of clients that repeat calls themselves.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use opik_core::Span;
use opik_core::tree::NodeId;
use serde_json::Value;

use super::{Repetition, RepetitionKind, Scene};
use crate::PerNode;

/// Keys whose value is the number of the attempt, or of all attempts, from 1.
const ATTEMPTS: [&str; 6] = [
    "attempt",
    "attempts",
    "attempt_number",
    "attempt_count",
    "retry.attempt",
    "num_attempts",
];
/// Keys whose value is the number of repetitions before this one. Settings (`max_retries`,
/// `num_retries`) are none of them.
const REPEATS: [&str; 5] = [
    "retry_count",
    "retries",
    "resend_count",
    "http.request.resend_count",
    "http.resend_count",
];
/// Longest metadata that is looked into, in bytes.
const LONGEST: usize = 1 << 18;
/// More attempts than this are no number of attempts.
const MOST: u64 = 1_000;

static SEARCH: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    AhoCorasick::builder()
        .kind(Some(AhoCorasickKind::DFA))
        .build(["attempt", "retr", "resend"])
        .ok()
});

/// Which attempt each span says it is; 0 where it says nothing.
pub(super) struct Numbers(PerNode<u32>);

impl Numbers {
    pub(super) fn of(scene: &Scene<'_>) -> Option<Self> {
        let mut numbers = PerNode::filled(scene.tree, 0);
        let mut any = false;
        for node in scene.tree.nodes() {
            if let Some(number) = attempt(scene.tree.span(node)) {
                numbers.set(node, number);
                any = true;
            }
        }
        any.then_some(Self(numbers))
    }

    /// Siblings of one kind and name, one after the other, that count up.
    pub(super) fn find(
        &self,
        scene: &mut Scene<'_>,
        sequence: &[NodeId],
        found: &mut Vec<Repetition>,
    ) {
        let mut rest = sequence;
        while !rest.is_empty() {
            let follows = |pair: &[NodeId; 2]| self.follows(scene, *pair);
            let length = 1 + rest
                .array_windows()
                .take_while(|pair| follows(pair))
                .count();
            let (series, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            rest = after;
            if series.len() > 1 {
                found.extend(self.series(scene, series));
            }
        }
    }

    fn follows(&self, scene: &Scene<'_>, [a, b]: [NodeId; 2]) -> bool {
        let (first, second) = (scene.tree.span(a), scene.tree.span(b));
        let number = self.0.at(a);
        number > 0
            && self.0.at(b) == number + 1
            && first.kind() == second.kind()
            && first.name == second.name
            && scene.gap(a, b) >= 0
            && !scene.taken.at(a)
            && !scene.taken.at(b)
    }

    fn series(&self, scene: &mut Scene<'_>, nodes: &[NodeId]) -> Option<Repetition> {
        let (&last, before) = nodes.split_last()?;
        let succeeded = !scene.failed.at(last);
        let lost = if succeeded { before } else { nodes };
        let until = scene.tree.interval(last);
        let until = if succeeded { until.start } else { until.end };
        let begin = scene.tree.interval(*nodes.first()?).start;
        scene.take(nodes);
        Some(Repetition {
            wasted_micros: until.micros_since(begin),
            wasted: scene.spent(lost),
            gaps: nodes
                .array_windows()
                .map(|&[a, b]| scene.gap(a, b))
                .collect(),
            times: self.0.at(last).try_into().ok()?,
            ..said(nodes.to_vec(), succeeded)
        })
    }

    /// Spans that say that it was not their first attempt, where the others are not recorded.
    pub(super) fn find_alone(&self, scene: &mut Scene<'_>, found: &mut Vec<Repetition>) {
        for node in scene.tree.nodes() {
            let number = self.0.at(node);
            if number < 2 || scene.taken.at(node) {
                continue;
            }
            // The span around it may repeat what it says.
            let above = scene.tree.parent(node).map(|parent| self.0.at(parent));
            if above == Some(number) {
                continue;
            }
            let Ok(times) = number.try_into() else {
                continue;
            };
            scene.take(&[node]);
            found.push(Repetition {
                times,
                ..said(vec![node], !scene.failed.at(node))
            });
        }
    }
}

fn said(nodes: Vec<NodeId>, progress: bool) -> Repetition {
    Repetition {
        kind: RepetitionKind::Retry,
        period: 1,
        times: nodes.len(),
        nodes,
        wasted_micros: 0,
        wasted: crate::spend::Amount::default(),
        gaps: Vec::new(),
        progress,
        apart: false,
        said: true,
    }
}

/// The attempt that the metadata of a span names, in itself or one level below.
fn attempt(span: &Span) -> Option<u32> {
    let metadata = span.metadata.as_ref()?;
    let text = metadata.as_str();
    if text.len() > LONGEST || !SEARCH.as_ref().is_some_and(|search| search.is_match(text)) {
        return None;
    }
    let Value::Object(fields) = metadata.to_value().ok()? else {
        return None;
    };
    let inner = fields.values().filter_map(Value::as_object);
    let mut all = std::iter::once(&fields).chain(inner);
    all.find_map(|fields| {
        let number = |key: &str| {
            let value = fields.get(key)?;
            let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
            (number <= MOST).then_some(number)
        };
        let attempt = ATTEMPTS.iter().find_map(|key| number(key));
        let attempt = attempt.or_else(|| Some(REPEATS.iter().find_map(|key| number(key))? + 1));
        u32::try_from(attempt?).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use opik_core::{Json, SpanId, Timestamp, TraceId};

    #[test]
    fn attributes_of_several_clients_are_known_and_settings_are_none() {
        for (metadata, expected) in [
            (r#"{"attempt": 3}"#, Some(3)),
            (r#"{"retry_count": 2}"#, Some(3)),
            (
                r#"{"attributes": {"http.request.resend_count": "1"}}"#,
                Some(2),
            ),
            (r#"{"retry.attempt": 1}"#, Some(1)),
            (r#"{"max_retries": 5, "num_retries": 3}"#, None),
            (r#"{"attempt": "first"}"#, None),
            (r#"{"attempt": 1700000000}"#, None),
            (r#"["attempt", 3]"#, None),
            (r#"{"note": "attempt 3"}"#, None),
        ] {
            let mut span = Span::new(
                SpanId::from_bytes([1; 16]),
                TraceId::from_bytes([1; 16]),
                Timestamp::EPOCH,
            );
            span.metadata = Json::parse(metadata).ok();
            assert_eq!(attempt(&span), expected, "{metadata}");
        }
    }
}
