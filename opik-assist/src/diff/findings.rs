//! Differences of traces as findings: claims with numbers, units and span ids.

use opik_core::SpanId;

use super::align::MatchKind;
use super::content::{ContentDiff, ContentState};
use super::divergence::Divergence;
use super::json::{JsonChange, JsonOp};
use super::span::{Delta, SpanRef};
use super::text::TextDiff;
use super::trace::{SpanPair, Subtree, TraceDiff};
use crate::figures::{count, dollars, duration, millis, number, real, whole};
use crate::finding::{Confidence, Finding, FindingId, FindingKind, Unit};
use crate::quote::{clean, quoted};

/// Most findings of one kind, for example about added subtrees.
const TOP: usize = 5;
/// Longest quote of recorded content, in characters.
const QUOTE: usize = 80;

impl TraceDiff {
    /// The differences as claims: the time and where it comes from, where the traces first part,
    /// then what was added, removed, moved, broken or repaired.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        if self.is_empty() {
            let claim = format!(
                "The traces {} and {} are equal: {} spans, {}.",
                self.before,
                self.after,
                self.spans.before,
                duration(self.duration_us.before)
            );
            return numbered(vec![difference(claim).confidence(Confidence::Exact)]);
        }
        let mut found = vec![self.time_finding()];
        found.extend(self.first_divergence.as_ref().map(divergence_finding));
        found.extend(self.slower_and_faster());
        found.extend(subtree_findings(
            "added",
            "Only the second trace has",
            &self.added,
        ));
        found.extend(subtree_findings(
            "removed",
            "Only the first trace has",
            &self.removed,
        ));
        found.extend(self.moved());
        found.extend(self.broken_and_repaired());
        found.extend(self.tokens_and_cost());
        for (name, content) in [("input", &self.input), ("output", &self.output)] {
            if let Some(claim) = content_claim(name, content) {
                let claim = format!("Of the traces themselves: {claim}");
                found.push(difference(claim).confidence(Confidence::Exact));
            }
        }
        numbered(found)
    }

    fn time_finding(&self) -> Finding {
        let time = self.time;
        let mut claim = if self.duration_us.is_zero() {
            format!("Both traces take {}.", duration(self.duration_us.before))
        } else {
            format!(
                "The second trace takes {} and the first {}: {} ({}).",
                duration(self.duration_us.after),
                duration(self.duration_us.before),
                signed(time.total_us),
                percent(self.duration_us),
            )
        };
        let spans = |list: &[Subtree]| list.iter().map(|subtree| subtree.spans).sum::<usize>();
        let parts = [
            ("spans that both have".to_owned(), time.matched_us),
            (
                format!("{} added", count(spans(&self.added), "span")),
                time.added_us,
            ),
            (
                format!("{} removed", count(spans(&self.removed), "span")),
                -time.removed_us,
            ),
            ("time without any span".to_owned(), time.uninstrumented_us),
        ];
        let parts = parts.iter().filter(|(_, micros)| *micros != 0);
        let parts: Vec<String> = parts
            .map(|(what, micros)| format!("{what} {}", signed(*micros)))
            .collect();
        if !parts.is_empty() {
            claim += &format!(" By part: {}.", parts.join(", "));
        }
        let part = |finding: Finding, name, micros| {
            finding.number(name, millis(micros), Unit::Milliseconds)
        };
        let mut finding = difference(claim).confidence(Confidence::Exact);
        finding = part(finding, "total", time.total_us);
        finding = part(finding, "matched", time.matched_us);
        finding = part(finding, "added", time.added_us);
        finding = part(finding, "removed", -time.removed_us);
        finding = part(finding, "uninstrumented", time.uninstrumented_us);
        finding.method("critical path of both traces with what lies outside of it, up to the wall time; each span's share compared with that of its partner; the parts add up exactly")
    }

    /// The pairs whose share of the critical path changed most.
    fn slower_and_faster(&self) -> Vec<Finding> {
        let mut pairs: Vec<&SpanPair> = self
            .pairs
            .iter()
            .filter(|pair| !pair.on_path_us.is_zero())
            .collect();
        pairs.sort_by_key(|pair| std::cmp::Reverse(pair.on_path_us.change().abs()));
        let claim = |pair: &SpanPair| {
            let word = if pair.on_path_us.change() > 0 {
                "slower"
            } else {
                "faster"
            };
            let claim = format!(
                "{} makes the second trace {} {word}: its share of the critical path is {}; it runs for {} ({} and {}).",
                name(&pair.name),
                duration(pair.on_path_us.change().abs()),
                change(pair.on_path_us),
                change(pair.duration_us),
                pair.before,
                pair.after,
            );
            difference(claim)
                .number(
                    "on_path_change",
                    millis(pair.on_path_us.change()),
                    Unit::Milliseconds,
                )
                .number(
                    "duration_change",
                    millis(pair.duration_us.change()),
                    Unit::Milliseconds,
                )
                .spans([pair.before, pair.after])
                .confidence(Confidence::High)
                .method("share of the critical path of aligned spans")
        };
        pairs.into_iter().take(TOP).map(claim).collect()
    }

    fn moved(&self) -> Vec<Finding> {
        let moved: Vec<&SpanPair> = self
            .pairs
            .iter()
            .filter(|pair| !matches!(pair.matched, MatchKind::Aligned))
            .collect();
        let claim = |pair: &&SpanPair| {
            let what = match pair.matched {
                MatchKind::Renamed => "has another name",
                MatchKind::Reordered => "comes at another position among its siblings",
                MatchKind::Moved | MatchKind::Aligned => "is called by another span",
            };
            let claim = format!(
                "{} {what} in the second trace ({} and {}).",
                name(&pair.name),
                pair.before,
                pair.after
            );
            difference(claim)
                .spans([pair.before, pair.after])
                .confidence(Confidence::High)
                .method("alignment by name, type, input and equal subtrees")
        };
        moved.iter().take(TOP).map(claim).collect()
    }

    fn broken_and_repaired(&self) -> Vec<Finding> {
        let changed = self.pairs.iter().filter(|pair| !pair.failed.is_zero());
        let claim = |pair: &SpanPair| {
            let what = if pair.failed.after == 1 {
                "fails in the second trace and did not in the first"
            } else {
                "failed in the first trace and does not in the second"
            };
            let claim = format!(
                "{} {what} ({} and {}).",
                name(&pair.name),
                pair.before,
                pair.after
            );
            difference(claim)
                .spans([pair.before, pair.after])
                .confidence(Confidence::Exact)
                .method("recorded errors of aligned spans")
        };
        changed.take(TOP).map(claim).collect()
    }

    fn tokens_and_cost(&self) -> Option<Finding> {
        if self.tokens.is_zero() && self.cost_usd.is_zero() {
            return None;
        }
        let tokens = (!self.tokens.is_zero()).then(|| match self.recorded.tokens {
            [true, false] => format!(
                "Tokens were recorded in the first trace only: {}.",
                whole(self.tokens.before)
            ),
            [false, true] => format!(
                "Tokens were recorded in the second trace only: {}.",
                whole(self.tokens.after)
            ),
            _ => format!(
                "The second trace uses {} tokens and the first {} ({}).",
                whole(self.tokens.after),
                whole(self.tokens.before),
                percent(self.tokens)
            ),
        });
        let cost = (!self.cost_usd.is_zero()).then(|| match self.recorded.cost {
            [true, false] => format!(
                "Cost was recorded in the first trace only: {}.",
                dollars(self.cost_usd.before)
            ),
            [false, true] => format!(
                "Cost was recorded in the second trace only: {}.",
                dollars(self.cost_usd.after)
            ),
            _ => format!(
                "The second trace costs {} and the first {}.",
                dollars(self.cost_usd.after),
                dollars(self.cost_usd.before)
            ),
        });
        let parts: Vec<String> = tokens.into_iter().chain(cost).collect();
        let claim = parts.join(" ");
        let finding = difference(claim)
            .number("tokens_change", real(self.tokens.change()), Unit::Tokens)
            .number("cost_change", self.cost_usd.change(), Unit::Dollars)
            .confidence(Confidence::Exact)
            .method("sums over the spans");
        Some(finding)
    }
}

/// Numbers findings from `F1`.
pub(super) fn numbered(mut findings: Vec<Finding>) -> Vec<Finding> {
    for (finding, number) in findings.iter_mut().zip(1u32..) {
        finding.id = FindingId(number);
    }
    findings
}

fn difference(claim: String) -> Finding {
    Finding::new(FindingKind::Difference, claim)
}

fn divergence_finding(divergence: &Divergence) -> Finding {
    let (claim, spans, offset, confidence) = match divergence {
        Divergence::Output {
            before,
            after,
            input_recorded,
            offset_us,
        } => {
            let given = if *input_recorded {
                "was given the same and answered differently"
            } else {
                "answered differently (its input was not recorded)"
            };
            let confidence = if *input_recorded {
                Confidence::High
            } else {
                Confidence::Low
            };
            let claim = format!(
                "The traces first part at {}: it {given} in {after}, {} after the start. What comes later may follow from this.",
                label(before),
                duration(*offset_us)
            );
            (claim, vec![before.span, *after], *offset_us, confidence)
        }
        Divergence::Added { span, offset_us } => {
            let claim = format!(
                "The traces first part {} after the start, where only the second has {}.",
                duration(*offset_us),
                label(span)
            );
            (claim, vec![span.span], *offset_us, Confidence::Medium)
        }
        Divergence::Removed { span, offset_us } => {
            let claim = format!(
                "The traces first part {} after the start, where only the first has {}.",
                duration(*offset_us),
                label(span)
            );
            (claim, vec![span.span], *offset_us, Confidence::Medium)
        }
        Divergence::Input {
            before,
            after,
            offset_us,
        } => {
            let claim = format!(
                "The traces first part at {}, {} after the start: {after} was given another input, and nothing before it differs.",
                label(before),
                duration(*offset_us)
            );
            (
                claim,
                vec![before.span, *after],
                *offset_us,
                Confidence::Medium,
            )
        }
    };
    difference(claim)
        .number("offset", millis(offset), Unit::Milliseconds)
        .spans(spans)
        .confidence(confidence)
        .method("the earliest finished pair with equal inputs and different outputs, or an earlier span without a partner")
}

fn subtree_findings(quantity: &'static str, words: &str, subtrees: &[Subtree]) -> Vec<Finding> {
    let mut largest: Vec<&Subtree> = subtrees.iter().collect();
    largest.sort_by_key(|subtree| std::cmp::Reverse((subtree.on_path_us, subtree.duration_us)));
    let claim = |(index, subtree): (usize, &Subtree)| {
        let mut claim = format!(
            "{words} {}, {}: {}, of which {} on the critical path",
            label(&subtree.top),
            count(subtree.spans, "span"),
            duration(subtree.duration_us),
            duration(subtree.on_path_us)
        );
        if subtree.errors > 0 {
            claim.push_str(&format!(", {} of them failed", subtree.errors));
        }
        let hidden = subtrees.len().saturating_sub(TOP);
        if index + 1 == TOP && hidden > 0 {
            claim.push_str(&format!("; {hidden} smaller ones are not listed"));
        }
        claim.push('.');
        difference(claim)
            .number(quantity, millis(subtree.on_path_us), Unit::Milliseconds)
            .number("spans", number(subtree.spans), Unit::Count)
            .span(subtree.top.span)
            .confidence(Confidence::High)
            .method("spans without a partner after the alignment")
    };
    largest
        .into_iter()
        .take(TOP)
        .enumerate()
        .map(claim)
        .collect()
}

/// One sentence on how a content differs; `None` when it does not.
pub(super) fn content_claim(name: &str, content: &ContentDiff) -> Option<String> {
    let (before, after) = (content.before_bytes, content.after_bytes);
    match content.state {
        ContentState::Absent | ContentState::Equal => return None,
        ContentState::Added => {
            return Some(format!("Only the second has an {name} ({after} bytes)."));
        }
        ContentState::Removed => {
            return Some(format!("Only the first has an {name} ({before} bytes)."));
        }
        ContentState::Changed => {}
    }
    if let Some(text) = &content.text {
        let edit = text_claim(text);
        return Some(format!(
            "The {name} differs ({before} and {after} bytes): {edit}."
        ));
    }
    let json = content.json.as_ref()?;
    let changes: Vec<String> = json.changes.iter().take(3).map(change_claim).collect();
    let total = json.changes.len() + json.omitted;
    let more = total.saturating_sub(changes.len());
    let more = if more > 0 {
        format!("; and {more} more")
    } else {
        String::new()
    };
    Some(format!(
        "The {name} differs in {}: {}{more}.",
        count(total, "place"),
        changes.join("; ")
    ))
}

fn change_claim(change: &JsonChange) -> String {
    let path = if change.path.is_empty() {
        "the whole".to_owned()
    } else {
        quote(&change.path)
    };
    if let Some(text) = &change.text {
        return format!("{path}: {}", text_claim(text));
    }
    let value = |value: &Option<super::json::Excerpt>| {
        let text = value.as_ref().map_or("", |value| &value.text);
        clean(text, QUOTE)
    };
    match change.op {
        JsonOp::Added => format!("{path} added: {}", value(&change.after)),
        JsonOp::Removed => format!("{path} removed: {}", value(&change.before)),
        JsonOp::Replaced => {
            format!(
                "{path}: {} to {}",
                value(&change.before),
                value(&change.after)
            )
        }
        JsonOp::Reordered => format!("{path} has another order"),
    }
}

fn text_claim(text: &TextDiff) -> String {
    let Some(hunk) = text.hunks.first() else {
        return "no difference".to_owned();
    };
    let places = text.hunks.len() + text.omitted;
    format!(
        "{:.0} % is the same, {}, the first {} to {}",
        text.similarity * 100.0,
        count(places, "edit"),
        quote(&hunk.before),
        quote(&hunk.after)
    )
}

pub(super) fn quote(text: &str) -> String {
    quoted(text, QUOTE)
}

fn name(name: &str) -> String {
    if name.is_empty() {
        "A span without a name".to_owned()
    } else {
        quote(name)
    }
}

pub(super) fn label(span: &SpanRef) -> String {
    let id: SpanId = span.span;
    if span.name.is_empty() {
        match span.kind.as_str() {
            "general" => format!("the step {id}"),
            kind => format!("the {kind} span {id}"),
        }
    } else {
        format!("{} ({id})", quote(&span.name))
    }
}

pub(super) fn change(delta: Delta<i64>) -> String {
    if delta.is_zero() {
        return format!("{} in both", duration(delta.before));
    }
    format!("{} to {}", duration(delta.before), duration(delta.after))
}

pub(super) fn percent(delta: Delta<i64>) -> String {
    match delta.ratio() {
        Some(ratio) if ratio.abs() < 0.000_5 => "less than 0.1 %".to_owned(),
        Some(ratio) => format!("{:+.1} %", ratio * 100.0),
        None => "from 0".to_owned(),
    }
}

pub(super) fn signed(micros: i64) -> String {
    if micros == 0 {
        return duration(0);
    }
    let sign = if micros < 0 { "-" } else { "+" };
    let micros = i64::try_from(micros.unsigned_abs()).unwrap_or(i64::MAX);
    format!("{sign}{}", duration(micros))
}
