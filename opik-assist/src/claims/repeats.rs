//! Claims about repeated work.

use super::{Claims, Rank};
use crate::figures::{count, dollars, duration, millis, number, percent, real, time_share, whole};
use crate::finding::{Confidence, Finding, FindingKind, Unit};
use crate::repetition::{Repetition, RepetitionKind};

/// Claims of each kind.
const EACH: usize = 3;

pub(super) fn claim(claims: &mut Claims<'_>) {
    let all = &claims.evidence.repetitions;
    for kind in [
        RepetitionKind::Loop,
        RepetitionKind::Retry,
        RepetitionKind::NearLoop,
        RepetitionKind::ManySmallCalls,
        RepetitionKind::Duplicate,
    ] {
        let of_kind = || all.iter().filter(move |repetition| repetition.kind == kind);
        let more = of_kind().count().saturating_sub(EACH);
        for (place, repetition) in of_kind().take(EACH).enumerate() {
            let last = place + 1 == EACH;
            describe(claims, repetition, if last { more } else { 0 });
        }
    }
}

fn describe(claims: &mut Claims<'_>, repetition: &Repetition, more: usize) {
    let Some(&first) = repetition.nodes.first() else {
        return;
    };
    let labels = &claims.labels;
    let times = repetition.times;
    let turn = repetition
        .nodes
        .get(..repetition.period)
        .unwrap_or_default();
    let cost = waste(claims, repetition);
    let (kind, claim, confidence, method) = match repetition.kind {
        RepetitionKind::Retry => {
            let end = if repetition.progress {
                "the last succeeded"
            } else {
                "all failed"
            };
            let claim = format!(
                "{} was tried {} with the same input, and {end}; {}. {cost} before the outcome.",
                labels.span(first),
                count(times, "time"),
                waits(&repetition.gaps),
            );
            let method = "consecutive siblings with equal kind, name and content, one after the other, of which all but the last failed";
            (FindingKind::Retry, claim, Confidence::High, method)
        }
        RepetitionKind::Loop => {
            let progress = if repetition.progress {
                "outputs changed"
            } else {
                "outputs were the same, so nothing came of it"
            };
            let what = if turn.len() == 1 {
                "The call".to_owned()
            } else {
                format!("The sequence of {} calls", turn.len())
            };
            let claim = format!(
                "{what} {} ran {} in a row with the same content; {progress}. {cost} after the first.",
                labels.list(turn, 3),
                count(times, "time"),
            );
            let method = "smallest period up to 64 at which exact signatures (kind, name, JSON content) repeat, at least three times";
            (FindingKind::Loop, claim, Confidence::High, method)
        }
        RepetitionKind::NearLoop => {
            let claim = format!(
                "{} ran {} in a row with content that differs in numbers only. {cost} after the first.",
                labels.list(turn, 3),
                count(times, "time"),
            );
            let method = "smallest period up to 64 at which loose signatures (numbers masked) repeat, at least four times";
            (FindingKind::NearLoop, claim, Confidence::Medium, method)
        }
        RepetitionKind::ManySmallCalls => {
            let claim = format!(
                "{} like {} follow each other without a gap and differ in numbers only; one call for all could save up to {}.",
                count(times, "call"),
                labels.span(first),
                duration(repetition.wasted_micros),
            );
            let method = "at least five siblings with equal loose signatures, each starting when the one before has ended; savings are their sum without the longest";
            (
                FindingKind::ManySmallCalls,
                claim,
                Confidence::Medium,
                method,
            )
        }
        RepetitionKind::Duplicate => {
            let claim = format!(
                "{} was called {} with the same input and gave the same output. {cost} that a cache would save.",
                labels.span(first),
                count(times, "time"),
            );
            let method = "model and tool calls with equal kind, name, input and output anywhere in the trace";
            (FindingKind::DuplicateCall, claim, Confidence::High, method)
        }
    };
    let claim = if more > 0 {
        format!("{claim} There are {more} more of this kind.")
    } else {
        claim
    };
    let share = time_share(repetition.wasted_micros, claims.duration());
    let finding = Finding::new(kind, claim)
        .number("times", number(times), Unit::Count)
        .number("period", number(repetition.period), Unit::Count)
        .number(
            "wasted",
            millis(repetition.wasted_micros),
            Unit::Milliseconds,
        )
        .number(
            "wasted_tokens",
            real(repetition.wasted.tokens),
            Unit::Tokens,
        )
        .number("wasted_cost", repetition.wasted.dollars, Unit::Dollars)
        .spans(claims.ids(&repetition.nodes))
        .confidence(confidence)
        .method(method);
    let small = share < 1.0 && repetition.kind != RepetitionKind::Loop;
    claims.add(if small { Rank::Context } else { Rank::Waste }, finding);
}

/// `It took 1.2 s (10 %), 3,000 tokens and $0.01`.
fn waste(claims: &Claims<'_>, repetition: &Repetition) -> String {
    let micros = repetition.wasted_micros;
    let share = percent(time_share(micros, claims.duration()));
    let mut text = format!("It took {} ({share} of the trace)", duration(micros));
    if repetition.wasted.tokens > 0 {
        text += &format!(", {} tokens", whole(repetition.wasted.tokens));
    }
    if repetition.wasted.dollars > 0.0 {
        text += &format!(", {}", dollars(repetition.wasted.dollars));
    }
    text
}

/// How the waits between attempts go.
fn waits(gaps: &[i64]) -> String {
    let (Some(&least), Some(&most)) = (gaps.iter().min(), gaps.iter().max()) else {
        return "without a wait".to_owned();
    };
    let doubles = gaps.len() >= 2
        && gaps
            .array_windows()
            .all(|&[a, b]| a > 0 && b * 10 >= a * 14);
    if most < 1_000 {
        "without a wait between the attempts".to_owned()
    } else if doubles {
        format!("waits grew from {} to {}", duration(least), duration(most))
    } else if most <= least.saturating_mul(5) / 4 {
        format!("with waits of about {}", duration(most))
    } else {
        format!("with waits from {} to {}", duration(least), duration(most))
    }
}
