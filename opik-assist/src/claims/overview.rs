//! The trace in numbers.

use std::collections::BTreeMap;

use super::{Claims, Rank};
use crate::errors::Outcome;
use crate::figures::{count, dollars, duration, millis, number, real, whole};
use crate::finding::{Confidence, Finding, FindingKind, Unit};
use crate::quote::{clean, quoted};

pub(super) fn claim(claims: &mut Claims<'_>) {
    let tree = claims.tree;
    let spend = &claims.evidence.spend;
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for node in tree.nodes() {
        *kinds.entry(tree.span(node).kind().as_str()).or_default() += 1;
    }
    let kinds: Vec<String> = kinds
        .iter()
        .map(|(kind, number)| format!("{number} {}", clean(kind, 12)))
        .collect();
    let name = tree.trace().name.as_deref().unwrap_or_default();
    let name = if name.is_empty() {
        String::new()
    } else {
        format!(" {}", quoted(name, 60))
    };
    let mut claim = format!("The trace{name} has {}", count(tree.len(), "span"));
    if !kinds.is_empty() {
        claim += &format!(" ({})", kinds.join(", "));
    }
    claim += &format!(" and took {}", duration(claims.duration()));
    if spend.has_tokens {
        claim += &format!(", {} tokens", whole(spend.total.tokens));
        if spend.recorded.tokens > spend.total.tokens {
            claim += &format!(
                " (Opik's totals, which add up every span, say {})",
                whole(spend.recorded.tokens)
            );
        }
    }
    if spend.has_cost {
        claim += &format!(", {}", dollars(spend.total.dollars));
        if spend.recorded.dollars > spend.total.dollars * 1.000_001 {
            claim += &format!(
                " (Opik's totals, which add up every span, say {})",
                dollars(spend.recorded.dollars)
            );
        }
    }
    let origins = &claims.evidence.errors.origins;
    let with = |wanted: fn(&Outcome) -> bool| origins.iter().filter(|o| wanted(&o.outcome)).count();
    let fatal = with(|outcome| matches!(outcome, Outcome::FailedTrace));
    let swallowed = with(|outcome| matches!(outcome, Outcome::Swallowed(_)));
    let recovered = with(|outcome| matches!(outcome, Outcome::Recovered { .. }));
    claim += &if origins.is_empty() && tree.trace().error_info.is_none() {
        "; no error was found.".to_owned()
    } else {
        let failed = fatal > 0 || tree.trace().error_info.is_some();
        let end = if failed {
            "it failed"
        } else {
            "it ended without reporting one"
        };
        let parts = [
            (fatal, "fatal"),
            (swallowed, "swallowed"),
            (recovered, "recovered"),
        ];
        let parts = parts.iter().filter(|(number, _)| *number > 0);
        let parts: Vec<String> = parts.map(|(n, word)| format!("{n} {word}")).collect();
        if parts.is_empty() {
            format!("; {end}, and no span says why.")
        } else {
            format!(
                "; {} began in it ({}), and {end}.",
                count(origins.len(), "error"),
                parts.join(", ")
            )
        }
    };
    let roots: Vec<_> = tree.roots().take(1).collect();
    let finding = Finding::new(FindingKind::Overview, claim)
        .number("spans", number(tree.len()), Unit::Count)
        .number("duration", millis(claims.duration()), Unit::Milliseconds)
        .number("tokens", real(spend.total.tokens), Unit::Tokens)
        .number("cost", spend.total.dollars, Unit::Dollars)
        .number("errors", number(origins.len()), Unit::Count)
        .spans(claims.ids(&roots))
        .confidence(Confidence::Exact)
        .method("counts and sums over all spans");
    claims.add(Rank::Context, finding);
}
