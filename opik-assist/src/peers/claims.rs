//! Claims about a trace beside its peers.

use opik_core::TraceTree;
use opik_core::tree::NodeId;

use super::Comparison;
use super::attributes::{Attribute, Split};
use super::edges::Edge;
use super::slow::{Likeness, Slow, Standing, TooFew};
use super::structure::{CountDifference, Difference};
use crate::figures::{count, duration, millis, number, percent, share, whole};
use crate::finding::{Confidence, Finding, FindingKind, Unit};
use crate::label::{Labels, kind_word};
use crate::quote::clean;

/// Slow spans that get a claim, and names in a claim about structure.
const SLOW: usize = 4;
const NAMES: usize = 5;
/// Spans that a finding carries.
const SPANS: usize = 64;

pub(super) fn findings(tree: &TraceTree, comparison: &Comparison) -> Vec<Finding> {
    let labels = Labels::new(tree);
    let mut found = Vec::new();
    found.extend(comparison.duration.as_ref().map(of_trace));
    for slow in comparison.slow.iter().take(SLOW) {
        found.push(of_span(tree, &labels, slow));
    }
    for edge in comparison.edges.iter().take(SLOW) {
        found.push(of_edge(tree, &labels, edge));
    }
    for difference in [
        Difference::Missing,
        Difference::New,
        Difference::More,
        Difference::Fewer,
    ] {
        found.extend(of_counts(tree, &labels, &comparison.counts, difference));
    }
    found.extend(
        comparison
            .attributes
            .found
            .iter()
            .map(|attribute| of_attribute(attribute, comparison)),
    );
    found.extend(too_few(tree, &labels, &comparison.too_few));
    found
}

const METHOD: &str = "robust z of the logarithm of the duration among peers (same project and name; spans of the same kind, name, model and names above, fewer of these where there are not 20), MAD at least 5 %, above 3.5 and an excess of 5 % of the trace";

fn of_trace(standing: &Standing) -> Finding {
    let took = format!(
        "The trace took {}, {:.1} times the median of {} ({})",
        duration(standing.micros),
        standing.ratio(),
        count(standing.peers, "trace") + " of its name",
        duration(standing.median),
    );
    let (verdict, confidence) = if standing.is_slow() {
        ("; it is slow among them", Confidence::Medium)
    } else if standing.peers < super::structure::ENOUGH {
        (
            "; these are not enough to call it slow or not",
            Confidence::Low,
        )
    } else {
        ("; that is within the usual variation", Confidence::Medium)
    };
    let claim = format!("{took}: {}{verdict}.", rank(standing));
    with_standing(Finding::new(FindingKind::SlowAgainstPeers, claim), standing)
        .confidence(confidence)
        .method(METHOD)
}

/// `47 of 50 took no longer`.
fn rank(standing: &Standing) -> String {
    format!(
        "{} of {} took no longer",
        standing.no_longer, standing.peers
    )
}

fn with_standing(finding: Finding, standing: &Standing) -> Finding {
    finding
        .number("duration", millis(standing.micros), Unit::Milliseconds)
        .number("median", millis(standing.median), Unit::Milliseconds)
        .number("times_median", standing.ratio(), Unit::Ratio)
        .number("score", standing.score, Unit::Ratio)
        .number("peers", number(standing.peers), Unit::Count)
        .number("no_longer", number(standing.no_longer), Unit::Count)
        .number("interval_low", standing.interval.0 * 100.0, Unit::Percent)
        .number("interval_high", standing.interval.1 * 100.0, Unit::Percent)
}

fn of_span(tree: &TraceTree, labels: &Labels<'_>, slow: &Slow) -> Finding {
    let standing = &slow.standing;
    let likeness = match standing.likeness {
        Likeness::Path => "at the same place in other traces",
        Likeness::Model => "of its name and model in other traces",
        Likeness::Name | Likeness::Trace => "of its name in other traces",
    };
    let mut claim = format!(
        "{} took {}, {:.1} times the median of {} {likeness} ({})",
        labels.span(slow.node),
        duration(standing.micros),
        standing.ratio(),
        count(standing.peers, "span"),
        duration(standing.median),
    );
    let mut finding = with_standing(Finding::new(FindingKind::SlowAgainstPeers, ""), standing);
    if let Some(share) = &slow.share {
        let why = if share.is_more_tokens() {
            "it wrote more"
        } else if share.is_slower_model() {
            "each token took longer"
        } else {
            "it wrote more and each token took longer"
        };
        claim += &format!(
            ": {why} ({:.1} times the output tokens, {:.1} times the time for each)",
            share.tokens, share.time_per_token
        );
        finding = finding
            .number("times_tokens", share.tokens, Unit::Ratio)
            .number("times_time_per_token", share.time_per_token, Unit::Ratio);
    }
    if slow.on_path == 0 {
        claim += "; none of its own time is on the critical path";
    }
    claim.push('.');
    finding.claim = claim;
    finding
        .number("on_path", millis(slow.on_path), Unit::Milliseconds)
        .span(tree.span(slow.node).id)
        .confidence(Confidence::Medium)
        .method(METHOD)
}

fn of_edge(tree: &TraceTree, labels: &Labels<'_>, edge: &Edge) -> Finding {
    let standing = &edge.standing;
    let claim = format!(
        "{} passed between {} and its server {}, {:.1} times the median of {} at the same place in other traces ({}): network or queueing, and no work of the server.",
        duration(standing.micros),
        labels.span(edge.client),
        labels.span(edge.server),
        standing.ratio(),
        count(standing.peers, "call"),
        duration(standing.median),
    );
    with_standing(Finding::new(FindingKind::SlowAgainstPeers, claim), standing)
        .spans([edge.client, edge.server].map(|node| tree.span(node).id))
        .confidence(Confidence::Medium)
        .method("duration of the client's span without that of its only child, the server's; robust z of its logarithm among at least 20 peers above 3.5, and an excess of 5 % of the trace")
}

fn of_counts(
    tree: &TraceTree,
    labels: &Labels<'_>,
    counts: &[CountDifference],
    difference: Difference,
) -> Option<Finding> {
    let same: Vec<&CountDifference> = counts
        .iter()
        .filter(|count| count.difference == difference)
        .collect();
    let first = same.first()?;
    let name = |count: &CountDifference| {
        let kind = kind_word(&count.kind.as_str().into()).to_owned();
        format!("{} {}", clean(&kind, 12), clean(&count.name, 48))
            .trim_end()
            .to_owned()
    };
    let range = |count: &CountDifference| match count.range {
        (least, most) if least == most => format!("every one of {} has {least}", count.peers),
        (least, most) => format!("{} traces of its name have {least} to {most}", count.peers),
    };
    let part = |count: &CountDifference| match difference {
        Difference::Missing => {
            format!(
                "{} ({} of {} traces have it)",
                name(count),
                count.peers_with,
                count.peers
            )
        }
        Difference::New => format!("{} ({})", name(count), occurs(count.count)),
        Difference::More | Difference::Fewer => {
            format!("{} of {}, while {}", count.count, name(count), range(count))
        }
    };
    let mut parts: Vec<String> = same.iter().take(NAMES).map(|count| part(count)).collect();
    if same.len() > NAMES {
        parts.push(format!("{} more", same.len() - NAMES));
    }
    let parts = parts.join("; ");
    let claim = match difference {
        Difference::Missing => {
            format!("Missing, although nearly every trace of its name has it: {parts}.")
        }
        Difference::New => {
            let of = first.peers;
            format!("Not seen in any of {of} traces of its name: {parts}.")
        }
        Difference::More => format!("More than usual: {parts}."),
        Difference::Fewer => format!("Fewer than usual: {parts}."),
    };
    let claim = match first
        .nodes
        .first()
        .filter(|_| difference != Difference::Missing)
    {
        Some(&node) => format!("{claim} The first is {}.", labels.span(node)),
        None => claim,
    };
    let nodes = same.iter().flat_map(|count| count.nodes.iter().copied());
    let ids = nodes.take(SPANS).map(|node: NodeId| tree.span(node).id);
    let method = match difference {
        Difference::Missing => {
            "at least 95 % of at least 20 peers have a span of this kind and name"
        }
        Difference::New => "no peer of at least 20 has a span of this kind and name",
        _ => {
            "outside of the range of at least 20 peers, and below 1 % by a Poisson distribution with their mean, over all names"
        }
    };
    let finding = Finding::new(FindingKind::StructureAgainstPeers, claim)
        .number("names", number(same.len()), Unit::Count)
        .number("count", number(first.count), Unit::Count)
        .number("mean", first.mean, Unit::Ratio)
        .number("peers", number(first.peers), Unit::Count)
        .spans(ids)
        .confidence(Confidence::High)
        .method(method);
    Some(finding)
}

fn occurs(times: usize) -> String {
    count(times, "time")
}

fn of_attribute(attribute: &Attribute, comparison: &Comparison) -> Finding {
    let all = &comparison.attributes;
    let (bad, good) = attribute.with;
    let (these, others) = match all.split {
        Split::Failed => ("failed traces", "others"),
        Split::Slow => ("of the slowest traces", "others"),
    };
    let mut claim = format!(
        "{} = {} is over-represented among {}: {bad} of {} {these} have it ({}) and {good} of {} {others} ({})",
        clean(&attribute.name, 80),
        clean(&attribute.value, 64),
        match all.split {
            Split::Failed => "failures",
            Split::Slow => "the slowest",
        },
        all.bad,
        percent(share(number(bad), number(all.bad))),
        all.good,
        percent(share(number(good), number(all.good))),
    );
    if let Some(also) = attribute.also.first() {
        claim += &format!(
            "; so are {} with it, as {}",
            whole(i64::try_from(attribute.also.len()).unwrap_or(0)),
            clean(also, 120)
        );
    }
    claim += if attribute.here {
        "; this trace has it."
    } else {
        "; this trace does not have it."
    };
    Finding::new(FindingKind::OverRepresented, claim)
        .number("bad_with", number(bad), Unit::Count)
        .number("bad", number(all.bad), Unit::Count)
        .number("good_with", number(good), Unit::Count)
        .number("good", number(all.good), Unit::Count)
        .number("lift", attribute.lift, Unit::Ratio)
        .number("p", attribute.p, Unit::Ratio)
        .number("chi_square", attribute.chi_square, Unit::Ratio)
        .confidence(Confidence::Low)
        .method("share among the bad as a multiple of the share among all, at least 1.3; Fisher's exact test, one-sided, with a false discovery rate of 5 % (Benjamini and Hochberg); it may be a consequence and no cause")
}

fn too_few(tree: &TraceTree, labels: &Labels<'_>, few: &[TooFew]) -> Option<Finding> {
    if few.is_empty() {
        return None;
    }
    let part = |few: &TooFew| {
        let took = duration(tree.interval(few.node).micros());
        let span = labels.span(few.node);
        match &few.standing {
            None => format!("{span} with {took} (none like it)"),
            Some(standing) => format!(
                "{span} with {took} (n={}: {}; that may be {} to {} of all such spans)",
                standing.peers,
                rank(standing),
                percent(standing.interval.0 * 100.0),
                percent(standing.interval.1 * 100.0),
            ),
        }
    };
    let parts: Vec<String> = few.iter().map(part).collect();
    let claim = format!(
        "Not enough spans in other traces to tell whether these are slow: {}.",
        parts.join("; ")
    );
    let finding = Finding::new(FindingKind::SlowAgainstPeers, claim)
        .number("needed", number(super::structure::ENOUGH), Unit::Count)
        .spans(few.iter().map(|few| tree.span(few.node).id))
        .confidence(Confidence::Low)
        .method("rank among fewer than 20 peers with the 95 % interval of the share (Wilson)");
    Some(finding)
}
