//! Reading peers, within limits.

use opik_core::query::{Entity, Filter, Operator, ProjectSelector, SpanQuery, TraceQuery};
use opik_core::source::MAX_PAGE;
use opik_core::{PageRequest, SourceError, Trace, TraceSource, TraceTree};

use super::{Peers, attempts};

/// How much is read to find peers.
///
/// ```
/// use opik_assist::peers::PeerLimits;
///
/// let limits = PeerLimits::default().traces(100).spans(20_000);
/// ```
#[derive(Debug, Clone)]
pub struct PeerLimits {
    traces: usize,
    spans: usize,
    project: Option<ProjectSelector>,
}

impl Default for PeerLimits {
    /// 50 traces and 50,000 spans, in the project of the trace.
    fn default() -> Self {
        Self {
            traces: 50,
            spans: 50_000,
            project: None,
        }
    }
}

impl PeerLimits {
    /// Most traces, 1 to 500.
    #[must_use]
    pub fn traces(mut self, most: usize) -> Self {
        self.traces = most.clamp(1, 500);
        self
    }

    /// Most spans of all traces together; those of a trace that would exceed it are left out.
    #[must_use]
    pub fn spans(mut self, most: usize) -> Self {
        self.spans = most.max(1);
        self
    }

    /// Where to look, instead of the project that the trace names.
    #[must_use]
    pub fn project(mut self, project: ProjectSelector) -> Self {
        self.project = Some(project);
        self
    }
}

/// Reads the newest traces of the same project and name, with their spans, without inputs and
/// outputs. A trace that names no project has no peers, unless the limits say where to look.
///
/// One search, and one read a trace, one after the other; how long each may take is up to the
/// source.
///
/// # Errors
/// [`SourceError`] of the first read that fails.
pub async fn fetch(
    source: &dyn TraceSource,
    tree: &TraceTree,
    limits: &PeerLimits,
) -> Result<Peers, SourceError> {
    let mut peers = Peers::default();
    let Some(project) = limits.project.clone().or_else(|| project_of(tree.trace())) else {
        return Ok(peers);
    };
    let mut left = limits.spans;
    let found = siblings(source, tree, &project, limits.traces).await?;
    let attempts = attempts::of_trace(tree.trace(), found.iter());
    peers.attempts = attempts.len();
    for mut trace in found {
        if attempts.contains(&trace.id) {
            continue;
        }
        // Only the metadata of a trace is looked at.
        (trace.input, trace.output) = (None, None);
        let id = trace.id;
        let mut spans = Vec::new();
        let mut page = PageRequest::first(MAX_PAGE);
        let whole = loop {
            let mut query = SpanQuery::default();
            query.project = project.clone();
            query.trace = Some(id);
            query.without_content = true;
            query.page = page;
            let found = source.search_spans(&query).await?;
            spans.extend(found.items);
            if spans.len() > left {
                break false;
            }
            match found.next {
                Some(next) => page = PageRequest::after(next, MAX_PAGE),
                None => break true,
            }
        };
        if whole {
            left -= spans.len();
            peers.trees.push(TraceTree::build(trace, spans));
        } else {
            peers.left_out += 1;
        }
    }
    Ok(peers)
}

fn project_of(trace: &Trace) -> Option<ProjectSelector> {
    let by_id = trace.project_id.map(ProjectSelector::Id);
    by_id.or_else(|| trace.project_name.clone().map(ProjectSelector::Name))
}

/// The newest traces of the same name, without the trace itself.
async fn siblings(
    source: &dyn TraceSource,
    tree: &TraceTree,
    project: &ProjectSelector,
    most: usize,
) -> Result<Vec<Trace>, SourceError> {
    let name = tree
        .trace()
        .name
        .as_deref()
        .filter(|name| !name.trim().is_empty());
    let same_name =
        name.and_then(|name| Filter::new(Entity::Trace, "name", Operator::Equal, None, name).ok());
    let mut found = Vec::new();
    // The trace itself may be among them.
    let mut page = PageRequest::first(most + 1);
    while found.len() < most {
        let mut query = TraceQuery::default();
        query.project = project.clone();
        query.filters = same_name.iter().cloned().collect();
        query.page = page;
        let answer = source.search_traces(&query).await?;
        found.extend(
            answer
                .items
                .into_iter()
                .filter(|trace| trace.id != tree.id()),
        );
        match answer.next {
            Some(next) if found.len() < most => page = PageRequest::after(next, most + 1),
            _ => break,
        }
    }
    found.truncate(most);
    Ok(found)
}
