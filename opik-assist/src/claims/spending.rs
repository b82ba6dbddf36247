//! Claims about cost and tokens.

use foldhash::HashMap;
use opik_core::tree::NodeId;

use super::{Claims, Rank};
use crate::figures::{count, dollars, number, percent, real, share, whole};
use crate::finding::{Confidence, Finding, FindingKind, Unit};
use crate::quote::clean;
use crate::spend::Amount;

/// Spans that are named.
const TOP: usize = 4;
/// Least share in percent that is worth a claim.
const WORTH: f64 = 5.0;

pub(super) fn claim(claims: &mut Claims<'_>) {
    let spend = &claims.evidence.spend;
    if spend.has_cost {
        hot_spots(claims, true);
    }
    if spend.has_tokens {
        hot_spots(claims, false);
    }
    growth(claims);
    cacheable(claims);
    unused_tools(claims);
    after_error(claims);
}

fn hot_spots(claims: &mut Claims<'_>, money: bool) {
    let spend = &claims.evidence.spend;
    let value = |amount: Amount| {
        if money {
            amount.dollars
        } else {
            real(amount.tokens)
        }
    };
    let text = |amount: Amount| {
        if money {
            dollars(amount.dollars)
        } else {
            format!("{} tokens", whole(amount.tokens))
        }
    };
    let total = value(spend.total);
    let recorded = value(spend.recorded);
    // Sums of prices are not exact.
    let note = if recorded > total * 1.000_001 {
        format!(
            " (Opik's totals, which add up every span, say {})",
            if money {
                dollars(recorded)
            } else {
                whole(spend.recorded.tokens)
            }
        )
    } else {
        String::new()
    };
    let mut top: Vec<NodeId> = claims
        .tree
        .nodes()
        .filter(|&node| value(spend.own.at(node)) > 0.0)
        .collect();
    let spenders = top.len();
    top.sort_by(|&a, &b| {
        value(spend.own.at(b))
            .total_cmp(&value(spend.own.at(a)))
            .then(a.cmp(&b))
    });
    let mut models: HashMap<&str, (f64, usize)> = HashMap::default();
    for &node in &top {
        let span = claims.tree.span(node);
        let group = models
            .entry(span.model.as_deref().unwrap_or("no model"))
            .or_default();
        group.0 += value(spend.own.at(node));
        group.1 += 1;
    }
    let mut models: Vec<(&str, (f64, usize))> = models.into_iter().collect();
    models.sort_by(|a, b| b.1.0.total_cmp(&a.1.0).then(a.0.cmp(b.0)));
    top.truncate(TOP);
    let parts: Vec<String> = top
        .iter()
        .map(|&node| {
            let own = spend.own.at(node);
            let part = percent(share(value(own), total));
            format!("{} {} ({part})", claims.labels.span(node), text(own))
        })
        .collect();
    let mut claim = if money {
        format!(
            "The trace cost {}{note} in {}",
            text(spend.total),
            count(spenders, "span")
        )
    } else {
        format!(
            "The trace used {}{note}, {} of them in prompts, in {}",
            text(spend.total),
            percent(share(
                real(spend.total.prompt_tokens),
                real(spend.total.tokens)
            )),
            count(spenders, "span")
        )
    };
    if let [(model, (sum, _)), _, ..] = models.as_slice() {
        claim += &format!(
            ", {} of it by {}",
            percent(share(*sum, total)),
            clean(model, 48)
        );
    }
    claim += &format!("; most in: {}.", parts.join("; "));
    let (kind, unit, name) = if money {
        (FindingKind::CostHotSpot, Unit::Dollars, "cost")
    } else {
        (FindingKind::TokenHotSpot, Unit::Tokens, "tokens")
    };
    let mut finding = Finding::new(kind, claim)
        .number(name, total, unit)
        .number(format!("{name}_of_all_spans"), recorded, unit)
        .number("spans", number(spenders), Unit::Count)
        .confidence(Confidence::Exact)
        .method("what was recorded for each span itself; a wrapper that repeats the sum of its model calls counts once");
    for (place, &node) in top.iter().enumerate() {
        let name = format!("{name}_{}", place + 1);
        finding = finding
            .number(name, value(spend.own.at(node)), unit)
            .span(claims.tree.span(node).id);
    }
    claims.add(Rank::Money, finding);
}

fn growth(claims: &mut Claims<'_>) {
    let Some(growth) = claims.evidence.context_growth.first() else {
        return;
    };
    let (Some(&first), Some(&last)) = (growth.nodes.first(), growth.nodes.last()) else {
        return;
    };
    let claim = format!(
        "Prompts grow from {} tokens in {} to {} in {} over {}; {} prompt tokens ({}) were sent again. A shorter or cached history saves most of them.",
        whole(growth.first),
        claims.labels.span(first),
        whole(growth.last),
        claims.labels.span(last),
        count(growth.nodes.len(), "call"),
        whole(growth.resent),
        percent(share(real(growth.resent), real(growth.total))),
    );
    let mut ends = vec![first, last];
    ends.extend(
        growth
            .nodes
            .iter()
            .copied()
            .filter(|&node| node != first && node != last),
    );
    let finding = Finding::new(FindingKind::ContextGrowth, claim)
        .number("first", real(growth.first), Unit::Tokens)
        .number("last", real(growth.last), Unit::Tokens)
        .number("sent_again", real(growth.resent), Unit::Tokens)
        .number("per_call", growth.per_call, Unit::Tokens)
        .number("calls", number(growth.nodes.len()), Unit::Count)
        .spans(claims.ids(&ends))
        .confidence(Confidence::Medium)
        .method("model calls of one name and model by time: the last prompt is at least twice the first and three quarters of the steps do not shrink; sent again is the sum of prompts without the longest");
    claims.add(Rank::Money, finding);
}

fn cacheable(claims: &mut Claims<'_>) {
    let Some(calls) = claims.evidence.cacheable.first() else {
        return;
    };
    let Some(&first) = calls.nodes.first() else {
        return;
    };
    let cached = match calls.cached {
        0 => "none were read from a cache".to_owned(),
        cached => format!("{} were read from a cache", whole(cached)),
    };
    let claim = format!(
        "{} of the {} prompt tokens of {} like {} ({}) stand in a beginning that is the same as in the call before; {cached}. A prompt cache would save the rest.",
        whole(calls.cacheable),
        whole(calls.prompt_tokens),
        count(calls.nodes.len(), "call"),
        claims.labels.span(first),
        percent(share(real(calls.cacheable), real(calls.prompt_tokens))),
    );
    let finding = Finding::new(FindingKind::CacheablePrompt, claim)
        .number("cacheable", real(calls.cacheable), Unit::Tokens)
        .number("cached", real(calls.cached), Unit::Tokens)
        .number("prompt_tokens", real(calls.prompt_tokens), Unit::Tokens)
        .number(
            "cacheable_share",
            share(real(calls.cacheable), real(calls.prompt_tokens)),
            Unit::Percent,
        )
        .number("calls", number(calls.nodes.len()), Unit::Count)
        .spans(claims.ids(&calls.nodes))
        .confidence(Confidence::Medium)
        .method("longest common beginning of the recorded input with that of the call before (same name and model), as a share of its bytes, times its prompt tokens; at least 1,024 tokens a call");
    claims.add(Rank::Money, finding);
}

fn unused_tools(claims: &mut Claims<'_>) {
    let Some(tools) = claims.evidence.unused_tools.first() else {
        return;
    };
    let Some(&first) = tools.nodes.first() else {
        return;
    };
    let calls = tools.nodes.len();
    let names: Vec<String> = tools
        .unused
        .iter()
        .take(TOP)
        .map(|name| clean(name, 40))
        .collect();
    let more = tools.unused.len().saturating_sub(TOP);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    let wasted = tools.tokens.saturating_mul(calls);
    let claim = format!(
        "{} of the {} that {} like {} describe were never used ({}{more}); describing them takes about {} tokens in all.",
        tools.unused.len(),
        count(tools.described, "tool"),
        count(calls, "call"),
        claims.labels.span(first),
        names.join(", "),
        whole(i64::try_from(wasted).unwrap_or(i64::MAX)),
    );
    let finding = Finding::new(FindingKind::UnusedTools, claim)
        .number("unused", number(tools.unused.len()), Unit::Count)
        .number("described", number(tools.described), Unit::Count)
        .number("tokens_a_call", number(tools.tokens), Unit::Tokens)
        .number("tokens", number(wasted), Unit::Tokens)
        .spans(claims.ids(&tools.nodes))
        .confidence(Confidence::Low)
        .method("tools in the input of the first call that no tool span is named after and no output of such calls names; tokens by an estimate from their JSON, in every such call");
    claims.add(Rank::Money, finding);
}

fn after_error(claims: &mut Claims<'_>) {
    let tree = claims.tree;
    let Some((error, end)) = claims.evidence.errors.first_unrecovered(tree) else {
        return;
    };
    let spend = &claims.evidence.spend;
    let mut after = Amount::default();
    for node in tree
        .nodes()
        .filter(|&node| tree.interval(node).start >= end)
    {
        after.add(spend.own.at(node));
    }
    let (part, amount) = if spend.has_cost {
        (
            share(after.dollars, spend.total.dollars),
            dollars(after.dollars),
        )
    } else {
        (
            share(real(after.tokens), real(spend.total.tokens)),
            format!("{} tokens", whole(after.tokens)),
        )
    };
    if part < WORTH {
        return;
    }
    let what = if spend.has_cost {
        "the cost"
    } else {
        "the tokens"
    };
    let claim = format!(
        "{amount}, {} of {what}, were spent after {} had failed, the first error that nothing made good.",
        percent(part),
        claims.labels.span(error)
    );
    let finding = Finding::new(FindingKind::CostAfterError, claim)
        .number("share", part, Unit::Percent)
        .number("cost", after.dollars, Unit::Dollars)
        .number("tokens", real(after.tokens), Unit::Tokens)
        .spans(claims.ids(&[error]))
        .confidence(Confidence::High)
        .method(
            "what spans spent that began after the end of the first error that was not recovered",
        );
    claims.add(Rank::Money, finding);
}
