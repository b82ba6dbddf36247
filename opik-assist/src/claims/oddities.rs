//! Claims about what is unusual: outliers and defects of the data.

use opik_core::Json;
use opik_core::tree::QualityKind;

use super::{Claims, Rank, SPANS};
use crate::figures::{count, duration, millis, number};
use crate::finding::{Confidence, Finding, FindingKind, Unit};

/// Outliers that get a claim.
const OUTLIERS: usize = 5;

pub(super) fn claim(claims: &mut Claims<'_>) {
    outliers(claims);
    quality(claims);
    synthetic(claims);
}

fn outliers(claims: &mut Claims<'_>) {
    for outlier in claims.evidence.outliers.iter().take(OUTLIERS) {
        let node = outlier.node;
        let micros = outlier.micros;
        let itself = if outlier.nested { " itself" } else { "" };
        let ratio = millis(micros) / millis(outlier.median.max(1));
        let mut claim = format!(
            "{} took {}{itself}, {ratio:.1} times the median of its {} ({})",
            claims.labels.span(node),
            duration(micros),
            count(outlier.group, "span"),
            duration(outlier.median),
        );
        if let Some(tokens) = outlier.tokens_ratio {
            claim += &if tokens >= ratio / 2.0 {
                format!(", with {tokens:.1} times the output tokens, which explains it")
            } else {
                format!(", with {tokens:.1} times the output tokens")
            };
        }
        if claims.evidence.critical_path.own.at(node) == 0
            && claims.tree.descendants(node).len() == 0
        {
            claim += "; it is not on the critical path";
        }
        claim.push('.');
        let finding = Finding::new(FindingKind::Outlier, claim)
            .number("duration", millis(micros), Unit::Milliseconds)
            .number("median", millis(outlier.median), Unit::Milliseconds)
            .number("score", outlier.score, Unit::Ratio)
            .number("group", number(outlier.group), Unit::Count)
            .spans(claims.ids(&[node]))
            .confidence(Confidence::Medium)
            .method("robust z of the logarithm of the duration among spans of the same kind, name and model (self time of those that contain others of them), above 3.5, and an excess of at least 5 % of the trace");
        claims.add(Rank::Oddity, finding);
    }
}

fn quality(claims: &mut Claims<'_>) {
    // Sorted by kind, so equal ones are neighbours.
    for group in claims.tree.quality().chunk_by(|a, b| a.kind == b.kind) {
        let Some(first) = group.first() else {
            continue;
        };
        let largest = group
            .iter()
            .filter_map(|issue| issue.micros)
            .map(i64::abs)
            .max();
        let by = largest.map_or(String::new(), |micros| {
            format!(", by up to {}", duration(micros))
        });
        let example = claims.tree.find(first.span);
        let example = example.map_or(String::new(), |node| {
            format!(", for example {}", claims.labels.span(node))
        });
        let claim = format!(
            "{} {}{by}{example}.",
            count(group.len(), "span"),
            meaning(first.kind)
        );
        let mut finding = Finding::new(FindingKind::DataQuality, claim)
            .number("spans", number(group.len()), Unit::Count)
            .spans(group.iter().take(SPANS).map(|issue| issue.span))
            .confidence(Confidence::Exact)
            .method(format!(
                "repair while the trace was indexed: {}",
                first.kind
            ));
        if let Some(largest) = largest {
            finding = finding.number("largest", millis(largest), Unit::Milliseconds);
        }
        claims.add(Rank::Context, finding);
    }
}

fn meaning(kind: QualityKind) -> &'static str {
    match kind {
        QualityKind::Orphan => {
            "name a parent that is not in the trace; the tightest enclosing span was taken"
        }
        QualityKind::SeveralRoots => "are at the top beside the first root",
        QualityKind::Cycle => "are their own ancestor; the link was cut",
        QualityKind::DuplicateId => "were recorded more than once; the newest row was taken",
        QualityKind::ForeignTrace => "belong to another trace and were left out",
        QualityKind::Unfinished => {
            "have no end: still running, or crashed; the end was taken from the rest of the trace"
        }
        QualityKind::NegativeDuration => "end before they start; their duration was taken as zero",
        QualityKind::UnknownStart => "have no start; it was taken from the rest of the trace",
        QualityKind::ClockSkew => "ran on another clock and were moved into their caller",
        QualityKind::OutsideParent => "begin before their parent or end after it",
        _ => "have a defect",
    }
}

/// Some data sets have no times and say so in the metadata.
fn synthetic(claims: &mut Claims<'_>) {
    #[derive(serde::Deserialize)]
    struct Fields {
        #[serde(default)]
        synthetic_time: bool,
    }
    let metadata = claims.tree.trace().metadata.as_ref();
    let metadata = metadata.filter(|metadata| metadata.as_str().contains("synthetic_time"));
    let fields: Option<Fields> = metadata.and_then(|metadata: &Json| metadata.decode().ok());
    if fields.is_some_and(|fields| fields.synthetic_time) {
        let claim = "The metadata says that the times are synthetic: durations mean nothing, the order does.";
        let finding = Finding::new(FindingKind::DataQuality, claim)
            .confidence(Confidence::Exact)
            .method("metadata field synthetic_time of the trace");
        claims.add(Rank::Context, finding);
    }
}
