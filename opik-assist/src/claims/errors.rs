//! Claims about errors.

use opik_core::tree::NodeId;

use super::{Claims, Rank, swallowed};
use crate::errors::{ErrorRole, ErrorSource, Origin, Outcome, SpanError};
use crate::failure::FailureClass;
use crate::figures::{count, duration, millis, number};
use crate::finding::{Confidence, Finding, FindingKind, Unit};
use crate::missing_output::MissingKind;
use crate::quote::{clean, quoted};

/// Kinds of errors that get a claim.
const KINDS: usize = 12;
/// Characters of a quoted message.
const QUOTE: usize = 140;

pub(super) fn claim(claims: &mut Claims<'_>) {
    let errors = &claims.evidence.errors;
    // One claim for all errors of one kind with one kind of outcome, told by the first.
    let mut told: Vec<(&SpanError, Vec<&Origin>)> = Vec::new();
    for origin in &errors.origins {
        let Some(error) = errors.of(origin.node) else {
            continue;
        };
        let same = told.iter().position(|(first, origins)| {
            (&first.exception_type, &first.template) == (&error.exception_type, &error.template)
                && origins
                    .first()
                    .is_some_and(|first| rank(first.outcome) == rank(origin.outcome))
        });
        if let Some((_, origins)) = same.and_then(|place| told.get_mut(place)) {
            origins.push(origin);
        } else if told.len() < KINDS {
            told.push((error, vec![origin]));
        }
    }
    for (error, origins) in &told {
        if let Some((first, more)) = origins.split_first() {
            origin(claims, error, first, more);
        }
    }
    for (error, origins) in &told {
        if let Some(first) = origins.first() {
            culprit(claims, error, first);
        }
    }
    only_in_trace(claims);
    typed(claims);
    truncated(claims);
    missing(claims);
}

fn rank(outcome: Outcome) -> Rank {
    match outcome {
        Outcome::FailedTrace => Rank::Failure,
        Outcome::Swallowed(_) => Rank::Damage,
        Outcome::Recovered { .. } => Rank::Repaired,
    }
}

/// `TimeoutError: "no answer"`.
fn said(error: &SpanError) -> String {
    let kind = clean(&error.exception_type, 60);
    let message = error.message.trim();
    match (kind.as_str(), message) {
        ("", "") => "an error without a message".to_owned(),
        (kind, "") => kind.to_owned(),
        ("", message) => quoted(message, QUOTE),
        (kind, message) => format!("{kind}: {}", quoted(message, QUOTE)),
    }
}

fn origin(claims: &mut Claims<'_>, error: &SpanError, first: &Origin, more: &[&Origin]) {
    let labels = &claims.labels;
    let tree = claims.tree;
    let how = match error.source {
        ErrorSource::Recorded => "failed with",
        ErrorSource::Output => "returned an error as its output,",
    };
    let mut claim = format!("{} {how} {}", labels.span(first.node), said(error));
    let mut nodes = vec![first.node];
    let (kind, method) = match first.outcome {
        Outcome::FailedTrace => {
            // Of several attempts, the one that was passed on tells how far it went.
            let paths = more.iter().map(|origin| &origin.path).chain([&first.path]);
            let longest = paths.max_by_key(|path| path.len()).unwrap_or(&first.path);
            claim += &path(claims, first.node, longest);
            claim += &changed(claims, longest);
            nodes.extend(longest);
            let method = "the lowest span of a chain of errors with the same message (numbers, paths and quotes masked) or chained cause, which reaches the top of the trace";
            (FindingKind::ErrorOrigin, method)
        }
        Outcome::Swallowed(by) => {
            if !first.path.is_empty() {
                claim += &format!("; it went up through {}", labels.list(&first.path, 3));
            }
            nodes.extend(&first.path);
            match by {
                Some(by) => {
                    let failed = claims.evidence.errors.of(by).is_some();
                    let did = if failed {
                        "reports another error"
                    } else {
                        "reports no error"
                    };
                    claim += &format!("; {} {did} and went on", labels.span(by));
                    nodes.push(by);
                }
                None => claim += "; the trace reports no error",
            }
            claim += &swallowed::aftermath(claims, error, by);
            let method = "the first span above the error has no error, or passes on another one, and no later sibling of the same kind and name succeeded";
            (FindingKind::SwallowedError, method)
        }
        Outcome::Recovered { by, same_input } => {
            let with = if same_input {
                "the same input"
            } else {
                "other input"
            };
            let later = tree
                .interval(by)
                .end
                .micros_since(tree.interval(first.node).end);
            claim += &format!(
                "; {} with {with} succeeded {} later",
                labels.span(by),
                duration(later)
            );
            nodes.push(by);
            let method = "a later sibling of the same kind and name did not fail";
            (FindingKind::RecoveredError, method)
        }
    };
    if !more.is_empty() {
        claim += &format!(
            ". The same error occurred {} in all",
            count(more.len() + 1, "time")
        );
        nodes.extend(more.iter().map(|origin| origin.node));
    }
    claim.push('.');
    let at = tree
        .interval(first.node)
        .end
        .micros_since(tree.wall().start);
    let same_input = !matches!(
        first.outcome,
        Outcome::Recovered {
            same_input: false,
            ..
        }
    );
    let confidence = match error.source {
        ErrorSource::Recorded if same_input => Confidence::High,
        _ => Confidence::Medium,
    };
    let finding = Finding::new(kind, claim)
        .number("at", millis(at), Unit::Milliseconds)
        .number("occurrences", number(more.len() + 1), Unit::Count)
        .number("spans_above", number(first.path.len()), Unit::Count)
        .spans(claims.ids(&nodes))
        .confidence(confidence)
        .method(format!("{method}; the error is known from: {}", error.rule));
    claims.add(rank(first.outcome), finding);
}

/// How far an error went that failed the trace.
fn path(claims: &Claims<'_>, origin: NodeId, path: &[NodeId]) -> String {
    let errors = &claims.evidence.errors;
    let failed_parent = claims
        .tree
        .parent(origin)
        .and_then(|parent| errors.of(parent));
    match (path, failed_parent) {
        ([], None) if claims.tree.parent(origin).is_none() => {
            ", at the top of the trace".to_owned()
        }
        ([], None) => "; the trace reports the same error".to_owned(),
        ([], Some(parent)) => {
            format!(
                "; {} failed too, with {}",
                claims.labels.span(parent.node),
                said(parent)
            )
        }
        (&[only], _) => {
            let with = errors.of(only).map_or(String::new(), |top| {
                format!(", which failed with {}", said(top))
            });
            format!("; it went up to {}{with}", claims.labels.span(only))
        }
        (path, _) => format!(
            "; it went up through {} to the top",
            claims.labels.list(path, 3)
        ),
    }
}

/// Where an error that went up through several spans got another message.
fn changed(claims: &Claims<'_>, path: &[NodeId]) -> String {
    let errors = path
        .iter()
        .filter_map(|&node| claims.evidence.errors.of(node));
    let mut changed = errors.filter(|error| matches!(error.role, ErrorRole::Transformed(_)));
    match changed.next() {
        // Of a single span the message is told already.
        Some(error) if path.len() > 1 => {
            format!(
                ", and {} made it {}",
                claims.labels.span(error.node),
                said(error)
            )
        }
        _ => String::new(),
    }
}

fn culprit(claims: &mut Claims<'_>, error: &SpanError, origin: &Origin) {
    let Some(culprit) = origin.culprit else {
        return;
    };
    // What was made good needs no one to blame.
    let rank = rank(origin.outcome);
    if rank == Rank::Repaired {
        return;
    }
    let labels = &claims.labels;
    let verb = if culprit.rule.is_data_flow() {
        "asked for"
    } else {
        "most likely asked for"
    };
    let claim = format!(
        "{} {verb} the call that failed, {}: {}.",
        labels.span(culprit.node),
        labels.span(error.node),
        culprit.rule.reason(),
    );
    let confidence = if culprit.rule.is_data_flow() {
        Confidence::High
    } else {
        Confidence::Low
    };
    let finding = Finding::new(FindingKind::Culprit, claim)
        .spans(claims.ids(&[culprit.node, error.node]))
        .confidence(confidence)
        .method("among the model calls before the failed span: call id, equal arguments or contained text in the output; else the nearest one");
    claims.add(rank, finding);
}

/// The trace's own error, where no span has it.
fn only_in_trace(claims: &mut Claims<'_>) {
    let failed = |origin: &Origin| origin.outcome == Outcome::FailedTrace;
    let Some(error) = &claims.tree.trace().error_info else {
        return;
    };
    if claims.evidence.errors.origins.iter().any(failed) {
        return;
    }
    let message = error.message.as_deref().unwrap_or(&error.traceback);
    let claim = format!(
        "The trace itself reports {}: {}, and no span does.",
        clean(&error.exception_type, 60),
        quoted(message, QUOTE)
    );
    let finding = Finding::new(FindingKind::ErrorOrigin, claim)
        .confidence(Confidence::Medium)
        .method("error_info of the trace; no span with the same message");
    claims.add(Rank::Failure, finding);
}

fn typed(claims: &mut Claims<'_>) {
    let mut classes: Vec<(FailureClass, Vec<NodeId>)> = Vec::new();
    for origin in &claims.evidence.errors.origins {
        let error = claims.evidence.errors.of(origin.node);
        let Some(class) = error.and_then(|error| error.class) else {
            continue;
        };
        match classes.iter_mut().find(|(known, _)| *known == class) {
            Some((_, nodes)) => nodes.push(origin.node),
            None => classes.push((class, vec![origin.node])),
        }
    }
    for (class, nodes) in classes {
        let claim = format!(
            "{} of {}: {}. Remedy: {}.",
            count(nodes.len(), "error"),
            claims.labels.list(&nodes, 2),
            class.meaning(),
            class.remedy()
        );
        let finding = Finding::new(FindingKind::TypedFailure, claim)
            .number("errors", number(nodes.len()), Unit::Count)
            .spans(claims.ids(&nodes))
            .confidence(Confidence::Medium)
            .method("words of the exception type and the message, or an HTTP status");
        claims.add(Rank::Oddity, finding);
    }
}

fn truncated(claims: &mut Claims<'_>) {
    let nodes = &claims.evidence.truncated;
    if nodes.is_empty() {
        return;
    }
    let class = FailureClass::TruncatedOutput;
    let claim = format!(
        "{} stopped early: {}; {}. Remedy: {}.",
        count(nodes.len(), "model call"),
        claims.labels.list(nodes, 3),
        class.meaning(),
        class.remedy()
    );
    let finding = Finding::new(FindingKind::TypedFailure, claim)
        .number("calls", number(nodes.len()), Unit::Count)
        .spans(claims.ids(nodes))
        .confidence(Confidence::High)
        .method("finish_reason or stop_reason of the reply is length or max_tokens");
    claims.add(Rank::Damage, finding);
}

fn missing(claims: &mut Claims<'_>) {
    let of = |wanted: MissingKind| {
        let missing = claims.evidence.missing_outputs.iter();
        let missing = missing.filter(|missing| missing.kind == wanted);
        missing.map(|missing| missing.node).collect::<Vec<NodeId>>()
    };
    let kinds = [
        (
            MissingKind::Absent,
            "ended without an error and without an output, which others of the same name have",
            "output is absent or empty, while at least half of the calls of this kind and name have one",
        ),
        (
            MissingKind::EmptyReply,
            "ended with an empty reply",
            "the recorded reply has no text and no tool call",
        ),
        (
            MissingKind::NoTokens,
            "wrote no token by their own count",
            "completion_tokens is 0",
        ),
    ];
    for (kind, what, method) in kinds {
        let nodes = of(kind);
        if nodes.is_empty() {
            continue;
        }
        let class = FailureClass::MissingOutput;
        let claim = format!(
            "{} {what}: {}. Remedy: {}.",
            count(nodes.len(), "call"),
            claims.labels.list(&nodes, 3),
            class.remedy()
        );
        let finding = Finding::new(FindingKind::TypedFailure, claim)
            .number("calls", number(nodes.len()), Unit::Count)
            .spans(claims.ids(&nodes))
            .confidence(Confidence::Medium)
            .method(method);
        claims.add(Rank::Damage, finding);
    }
}
