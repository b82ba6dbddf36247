//! Claims about repeated work.

use opik_core::tree::NodeId;

use super::{Claims, Rank};
use crate::figures::{count, dollars, duration, millis, number, percent, real, time_share, whole};
use crate::finding::{Confidence, Finding, FindingKind, Unit};
use crate::ping_pong::PingPong;
use crate::quote::clean;
use crate::repetition::{Backoff, Repetition, RepetitionKind};

/// Claims of each kind.
const EACH: usize = 3;

pub(super) fn claim(claims: &mut Claims<'_>) {
    let all = &claims.evidence.repetitions;
    for kind in [
        RepetitionKind::Loop,
        RepetitionKind::Retry,
        RepetitionKind::NearLoop,
        RepetitionKind::SimilarReplies,
        RepetitionKind::Recursion,
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
    let evidence = claims.evidence;
    for found in evidence.ping_pongs.iter().take(EACH) {
        ping_pong(claims, found);
    }
}

/// Turns of two agents that are told when nobody knows whether they made progress.
const MANY_TURNS: usize = 10;

fn ping_pong(claims: &mut Claims<'_>, found: &PingPong) {
    let [one, other] = &found.agents;
    let (said, rank) = match found.progress {
        // Two that work together take turns.
        Some(true) => return,
        Some(false) => {
            let repeats = found.repeats;
            (
                format!("{repeats} of them repeat what the same agent said before"),
                Rank::Waste,
            )
        }
        None if found.turns.len() < MANY_TURNS => return,
        None => ("what they said was not recorded".to_owned(), Rank::Context),
    };
    let mut claim = format!(
        "{} and {} took turns {} in a row, and {said}. From the third turn on it took {} ({} of the trace)",
        clean(one, 48),
        clean(other, 48),
        count(found.turns.len(), "time"),
        duration(found.micros),
        percent(time_share(found.micros, claims.duration())),
    );
    if found.spent.tokens > 0 {
        claim += &format!(", {} tokens", whole(found.spent.tokens));
    }
    if found.spent.dollars > 0.0 {
        claim += &format!(", {}", dollars(found.spent.dollars));
    }
    claim.push('.');
    let finding = Finding::new(FindingKind::PingPong, claim)
        .number("turns", number(found.turns.len()), Unit::Count)
        .number("repeats", number(found.repeats), Unit::Count)
        .number("duration", millis(found.micros), Unit::Milliseconds)
        .number("tokens", real(found.spent.tokens), Unit::Tokens)
        .number("cost", found.spent.dollars, Unit::Dollars)
        .spans(claims.ids(&found.turns))
        .confidence(if found.progress.is_none() {
            Confidence::Low
        } else {
            Confidence::Medium
        })
        .method("at least six turns in which only two agents (metadata agent, agent_name or gen_ai.agent.name) alternate; a turn repeats when it shares 85 % of its pairs of words with one of the same agent's last five (MinHash)");
    claims.add(rank, finding);
}

/// A retry that is known from attributes.
fn said(claims: &Claims<'_>, repetition: &Repetition, first: NodeId, cost: &str) -> String {
    let (span, times) = (claims.labels.span(first), repetition.times);
    let end = if repetition.progress {
        "the last succeeded"
    } else {
        "the last failed"
    };
    match repetition.nodes.len() {
        1 if repetition.progress => format!(
            "{span} says that it took {} to succeed; how long the others took is not recorded.",
            count(times, "attempt")
        ),
        1 => format!(
            "{span} failed, and says that it was attempt {times}; the others are not recorded."
        ),
        _ => format!(
            "{span} was tried {}, as the attempts say, and {end}; {}. {cost} before the outcome.",
            count(times, "time"),
            waits(repetition),
        ),
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
        RepetitionKind::Retry if repetition.said => {
            let claim = said(claims, repetition, first, &cost);
            let method = "attributes of the spans that count attempts (attempt, retry_count, http.request.resend_count and the like)";
            (FindingKind::Retry, claim, Confidence::Medium, method)
        }
        RepetitionKind::Retry => {
            let end = if repetition.progress {
                "the last succeeded"
            } else {
                "all failed"
            };
            let (between, method) = if repetition.apart {
                (
                    "with other calls between the attempts".to_owned(),
                    "siblings with equal kind, name and input, one after the other with others between them, of which all but the last failed",
                )
            } else {
                (
                    waits(repetition),
                    "consecutive siblings with equal kind, name and content, one after the other, of which all but the last failed",
                )
            };
            let claim = format!(
                "{} was tried {} with the same input, and {end}; {between}. {cost} before the outcome.",
                labels.span(first),
                count(times, "time"),
            );
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
        RepetitionKind::SimilarReplies => {
            let claim = format!(
                "{} and {} after it said nearly the same, whatever they were asked. {cost} after the first.",
                labels.span(first),
                count(times - 1, "call"),
            );
            let method = "model calls of one name of which each reply shares at least 85 % of its pairs of words with one of the ten before it (MinHash), at least four in a row";
            (
                FindingKind::SimilarReplies,
                claim,
                Confidence::Medium,
                method,
            )
        }
        RepetitionKind::Recursion => {
            let claim = format!(
                "{} calls itself with the same input, {} deep. {cost} below the first.",
                labels.span(first),
                count(times, "level"),
            );
            let method = "at least three spans with equal kind, name and input below each other";
            (FindingKind::Recursion, claim, Confidence::High, method)
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
    let mut finding = Finding::new(kind, claim)
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
        .number("wasted_cost", repetition.wasted.dollars, Unit::Dollars);
    if let (Some(&first), Some(&last)) = (repetition.gaps.first(), repetition.gaps.last()) {
        finding = finding
            .number("first_wait", millis(first), Unit::Milliseconds)
            .number("last_wait", millis(last), Unit::Milliseconds)
            .number(
                "waited",
                millis(repetition.gaps.iter().sum()),
                Unit::Milliseconds,
            );
    }
    if let Backoff::Growing(factor) = repetition.backoff() {
        finding = finding.number("wait_factor", factor, Unit::Ratio);
    }
    let finding = finding
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
fn waits(repetition: &Repetition) -> String {
    let gaps = &repetition.gaps;
    let (Some(&least), Some(&most)) = (gaps.iter().min(), gaps.iter().max()) else {
        return "without a wait".to_owned();
    };
    match repetition.backoff() {
        Backoff::None => "without a wait between the attempts".to_owned(),
        Backoff::Single => format!("with a wait of {}", duration(most)),
        Backoff::Constant => format!("with waits of about {}", duration(most)),
        Backoff::Growing(_) => format!("waits grew from {} to {}", duration(least), duration(most)),
        Backoff::Irregular => format!("with waits from {} to {}", duration(least), duration(most)),
    }
}
