//! How traces and spans are named on the command line.
//!
//! A trace is a whole identifier, the beginning or the end of one (at least [`LEAST`] characters,
//! and only one trace may have it), `last`, or `last~3` for the third before the last. A span is
//! `trace:span`, where the span may be shortened too, or its whole identifier.

use opik_core::query::{Entity, Filter, Operator, SpanQuery, TraceQuery};
use opik_core::source::{PageRequest, load_tree};
use opik_core::tree::NodeId;
use opik_core::{SpanId, TraceId, TraceSource, TraceTree};
use pollster::block_on;

use crate::exit::{Code, Failure};
use crate::render::text::{clean, short_id};

/// Fewest characters of a shortened identifier.
const LEAST: usize = 4;
/// Farthest that `last~N` looks back.
const FARTHEST: usize = 1_000;

/// What a reference stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// A trace.
    Trace(TraceId),
    /// A span of a trace.
    Span(TraceId, SpanId),
}

/// Finds what is meant: a trace, `trace:span`, or a span by its identifier. What may be short for
/// either is the trace.
pub(crate) fn target(source: &dyn TraceSource, text: &str) -> Result<Target, Failure> {
    if let Some((trace, span)) = text.split_once(':') {
        let tree = tree(source, self::trace(source, trace)?)?;
        let node = span_in(&tree, span)?;
        return Ok(Target::Span(tree.id(), tree.span(node).id));
    }
    match trace(source, text) {
        Ok(id) => {
            // A whole identifier is not looked up by `trace`, and may be that of a span.
            if let Ok(span) = text.parse::<SpanId>()
                && block_on(source.trace(id))?.is_none()
                && let Some(trace) = trace_of(source, span)?
            {
                return Ok(Target::Span(trace, span));
            }
            Ok(Target::Trace(id))
        }
        Err(failure) if failure.code() == Code::NotFound => match span_of_any(source, text)? {
            Some((trace, span)) => Ok(Target::Span(trace, span)),
            None => Err(failure),
        },
        Err(failure) => Err(failure),
    }
}

/// The span of any trace that has this part of an identifier.
fn span_of_any(source: &dyn TraceSource, text: &str) -> Result<Option<(TraceId, SpanId)>, Failure> {
    let text = text.trim().to_ascii_lowercase();
    let Ok(part) = Part::read(&text, "span") else {
        return Ok(None);
    };
    let mut found = Vec::new();
    for conditions in part.conditions() {
        let mut query = SpanQuery::default();
        query.filters = filters(Entity::Span, conditions)?;
        query.page = PageRequest::first(6);
        query.without_content = true;
        let page = block_on(source.search_spans(&query))?;
        found.extend(page.items.into_iter().map(|span| (span.trace_id, span.id)));
    }
    found.sort_unstable();
    found.dedup();
    match found.as_slice() {
        [] => Ok(None),
        &[one] => Ok(Some(one)),
        many => {
            let ids = many.iter().take(5);
            let ids: Vec<String> = ids
                .map(|(trace, span)| format!("{}:{span}", short_id(trace)))
                .collect();
            Err(ambiguous(&text, "span", &ids))
        }
    }
}

fn filters(entity: Entity, conditions: Vec<(Operator, &str)>) -> Result<Vec<Filter>, Failure> {
    conditions
        .into_iter()
        .map(|(operator, text)| {
            Filter::new(entity, "id", operator, None, text)
                .map_err(|error| Failure::new(Code::Usage, "not an identifier").cause(error))
        })
        .collect()
}

/// Finds a trace. A whole identifier is taken as it is.
pub(crate) fn trace(source: &dyn TraceSource, text: &str) -> Result<TraceId, Failure> {
    let text = text.trim().to_ascii_lowercase();
    if let Some(back) = steps_back(&text)? {
        return nth_newest(source, back);
    }
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let part = Part::read(&text, "trace")?;
    let mut found = Vec::new();
    for conditions in part.conditions() {
        let mut query = TraceQuery::default();
        query.filters = filters(Entity::Trace, conditions)?;
        query.page = PageRequest::first(6);
        query.without_content = true;
        let page = block_on(source.search_traces(&query))?;
        found.extend(page.items.into_iter().map(|trace| trace.id));
    }
    found.sort_unstable();
    found.dedup();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(no_trace(&text)),
        many => {
            let ids: Vec<String> = many.iter().take(5).map(ToString::to_string).collect();
            Err(ambiguous(&text, "trace", &ids))
        }
    }
}

/// Reads a trace with its spans.
pub(crate) fn tree(source: &dyn TraceSource, id: TraceId) -> Result<TraceTree, Failure> {
    block_on(load_tree(source, id))?.ok_or_else(|| no_trace(&id.to_string()))
}

/// Finds a span of a trace, by (a part of) its identifier or by a name that only it has.
pub(crate) fn span_in(tree: &TraceTree, text: &str) -> Result<NodeId, Failure> {
    let named = tree
        .nodes()
        .filter(|&node| tree.span(node).name.as_deref() == Some(text));
    let named: Vec<NodeId> = named.take(6).collect();
    match named.as_slice() {
        [] => {}
        &[node] => return Ok(node),
        many => {
            let ids = many.iter().take(5);
            let ids: Vec<String> = ids.map(|&node| tree.span(node).id.to_string()).collect();
            return Err(ambiguous(text, "span", &ids));
        }
    }
    let text = text.trim().to_ascii_lowercase();
    if let Ok(id) = text.parse::<SpanId>() {
        return tree.find(id).ok_or_else(|| no_span(tree, &text));
    }
    if !Part::may_be(&text) {
        return Err(no_span(tree, &text));
    }
    let part = Part::read(&text, "span")?;
    let found: Vec<NodeId> = tree
        .nodes()
        .filter(|&node| part.fits(&tree.span(node).id.to_string()))
        .take(6)
        .collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(no_span(tree, &text)),
        many => {
            let ids: Vec<String> = many
                .iter()
                .take(5)
                .map(|&node| tree.span(node).id.to_string())
                .collect();
            Err(ambiguous(&text, "span", &ids))
        }
    }
}

/// `last` is 0, `last~2` is 2, anything else nothing.
fn steps_back(text: &str) -> Result<Option<usize>, Failure> {
    let Some(rest) = text.strip_prefix("last") else {
        return Ok(None);
    };
    let steps = match rest.strip_prefix('~') {
        None if rest.is_empty() => Some(0),
        Some(number) => number.parse().ok().filter(|&steps| steps <= FARTHEST),
        None => None,
    };
    steps.map(Some).ok_or_else(|| {
        Failure::new(Code::Usage, format!("`{}` is not a trace", clean(text)))
            .hint(format!("last, or last~1 to last~{FARTHEST}"))
    })
}

fn nth_newest(source: &dyn TraceSource, back: usize) -> Result<TraceId, Failure> {
    let mut query = TraceQuery::default();
    query.page = PageRequest::first(back + 1);
    query.without_content = true;
    let page = block_on(source.search_traces(&query))?;
    let count = page.items.len();
    page.items.get(back).map(|trace| trace.id).ok_or_else(|| {
        let text = match count {
            0 => "the store has no trace".to_owned(),
            1 => "the store has only one trace".to_owned(),
            count => format!("the store has only {count} traces"),
        };
        Failure::new(Code::NotFound, text).hint("opik-rs demo, or opik-rs import <FILE>")
    })
}

fn trace_of(source: &dyn TraceSource, span: SpanId) -> Result<Option<TraceId>, Failure> {
    let filter = Filter::new(Entity::Span, "id", Operator::Equal, None, &span.to_string())
        .map_err(|error| Failure::new(Code::Usage, "not an identifier").cause(error))?;
    let mut query = SpanQuery::default();
    query.filters = vec![filter];
    query.page = PageRequest::first(1);
    query.without_content = true;
    let page = block_on(source.search_spans(&query))?;
    Ok(page.items.first().map(|span| span.trace_id))
}

/// What was given of an identifier.
#[derive(Debug)]
enum Part<'a> {
    /// Its beginning or its end.
    Either(&'a str),
    /// Both, as answers cite it: `01941f29…56`.
    Both(&'a str, &'a str),
}

impl<'a> Part<'a> {
    fn split(text: &'a str) -> Self {
        let ends = ["…", "...", ".."]
            .iter()
            .find_map(|gap| text.split_once(gap));
        ends.map_or(Self::Either(text), |(beginning, end)| {
            Self::Both(beginning, end)
        })
    }

    /// Whether it has only characters that identifiers have.
    fn may_be(text: &'a str) -> bool {
        match Self::split(text) {
            Self::Either(text) => is_hex(text),
            Self::Both(beginning, end) => is_hex(beginning) && is_hex(end),
        }
    }

    fn read(text: &'a str, what: &str) -> Result<Self, Failure> {
        let part = Self::split(text);
        let length = match part {
            Self::Either(text) => text.len(),
            Self::Both(beginning, end) => beginning.len() + end.len(),
        };
        let fits = Self::may_be(text);
        if fits && length >= LEAST {
            return Ok(part);
        }
        let problem = if fits {
            format!("`{text}` is too short for a {what}; give {LEAST} characters or more")
        } else {
            format!("`{}` is not the identifier of a {what}", clean(text))
        };
        let hint = if what == "trace" {
            "opik-rs traces lists the identifiers; `last` is the newest trace"
        } else {
            "opik-rs show <TRACE> --tree lists the identifiers of its spans"
        };
        Err(Failure::new(Code::Usage, problem).hint(hint))
    }

    /// Searches that find it together, each with conditions that must all hold.
    fn conditions(&self) -> Vec<Vec<(Operator, &'a str)>> {
        match *self {
            Self::Either(text) => vec![
                vec![(Operator::StartsWith, text)],
                vec![(Operator::EndsWith, text)],
            ],
            Self::Both(beginning, end) => {
                let both = [(Operator::StartsWith, beginning), (Operator::EndsWith, end)];
                vec![
                    both.into_iter()
                        .filter(|(_, text)| !text.is_empty())
                        .collect(),
                ]
            }
        }
    }

    fn fits(&self, id: &str) -> bool {
        match *self {
            Self::Either(text) => id.starts_with(text) || id.ends_with(text),
            Self::Both(beginning, end) => id.starts_with(beginning) && id.ends_with(end),
        }
    }
}

fn is_hex(text: &str) -> bool {
    text.chars()
        .all(|char| char.is_ascii_hexdigit() || char == '-')
}

fn no_trace(text: &str) -> Failure {
    Failure::new(Code::NotFound, format!("there is no trace {}", clean(text)))
        .hint("opik-rs traces lists what there is")
}

fn no_span(tree: &TraceTree, text: &str) -> Failure {
    let trace = short_id(tree.id());
    let problem = format!("trace {trace} has no span {}", clean(text));
    Failure::new(Code::NotFound, problem).hint(format!("opik-rs show {trace} --tree"))
}

fn ambiguous(text: &str, what: &str, ids: &[String]) -> Failure {
    let problem = format!("more than one {what} matches {}", clean(text));
    Failure::new(Code::Usage, problem).hint(format!("one of {}", ids.join(", ")))
}

#[cfg(test)]
mod tests;
