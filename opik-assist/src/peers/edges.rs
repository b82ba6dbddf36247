//! The time between a client and its server, beside that of peers.

use std::collections::HashMap;

use opik_core::tree::NodeId;
use opik_core::{Span, TraceTree};
use serde_json::Value;

use super::slow::{Likeness, Standing, WORTH, paths, standing};
use crate::PerNode;
use crate::figures::{real, time_share};
use crate::signature::Mix;

/// A call from one process to another that took unusually long beside what the server did.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Edge {
    /// The span of the caller.
    pub client: NodeId,
    /// The span of the called, its only child.
    pub server: NodeId,
    /// The duration of the client without that of the server, among those of peers.
    pub standing: Standing,
}

/// Calls whose time between client and server is slow, the longest first.
pub(super) fn edges(tree: &TraceTree, others: &[&TraceTree]) -> Vec<Edge> {
    let own_paths = paths(tree);
    let mut wanted: HashMap<u64, Vec<i64>> = HashMap::new();
    let mut own = Vec::new();
    for (client, server) in pairs(tree) {
        if crosses(tree.span(client), tree.span(server)) {
            let key = key(tree, &own_paths, client, server);
            wanted.entry(key).or_default();
            own.push((client, server, key));
        }
    }
    if own.is_empty() {
        return Vec::new();
    }
    for other in others {
        let paths = paths(other);
        for (client, server) in pairs(other) {
            if let Some(gaps) = wanted.get_mut(&key(other, &paths, client, server)) {
                gaps.push(gap(other, client, server));
            }
        }
    }
    let wall = tree.wall().micros();
    let mut found: Vec<Edge> = own
        .into_iter()
        .filter_map(|(client, server, key)| {
            let gap = gap(tree, client, server);
            let standing = standing(gap, Likeness::Path, wanted.get(&key)?)?;
            let excess = gap - standing.median;
            let matters = standing.is_slow() && time_share(excess, wall) >= WORTH;
            matters.then_some(Edge {
                client,
                server,
                standing,
            })
        })
        .collect();
    let excess = |edge: &Edge| real(edge.standing.micros - edge.standing.median);
    found.sort_by(|a, b| {
        excess(b)
            .total_cmp(&excess(a))
            .then(a.client.cmp(&b.client))
    });
    found
}

/// Spans with their only child.
fn pairs(tree: &TraceTree) -> impl Iterator<Item = (NodeId, NodeId)> {
    tree.nodes().filter_map(|node| {
        let mut children = tree.children(node);
        let only = children.next()?;
        children.next().is_none().then_some((node, only))
    })
}

fn gap(tree: &TraceTree, client: NodeId, server: NodeId) -> i64 {
    let between = tree.interval(client).micros() - tree.interval(server).micros();
    between.max(0)
}

/// Kind and name of both, and the names above.
fn key(tree: &TraceTree, paths: &PerNode<u64>, client: NodeId, server: NodeId) -> u64 {
    let mut mix = Mix::default();
    mix.add(paths.at(client));
    for node in [client, server] {
        let span = tree.span(node);
        mix.text(span.kind().as_str());
        mix.text(span.name.as_deref().unwrap_or_default());
    }
    mix.value()
}

/// Whether the metadata says that a call goes from one process to another: from a client to a server,
/// or from host to host.
fn crosses(client: &Span, server: &Span) -> bool {
    let (Some(client), Some(server)) = (fields(client), fields(server)) else {
        return false;
    };
    let is = |fields: &Value, what: &str| {
        text(fields, ["kind", "span.kind"]).is_some_and(|kind| kind.eq_ignore_ascii_case(what))
    };
    let host = |fields| text(fields, ["host", "host.name"]);
    let other_host = matches!((host(&client), host(&server)), (Some(a), Some(b)) if a != b);
    is(&client, "client") && is(&server, "server") || other_host
}

fn fields(span: &Span) -> Option<Value> {
    let metadata = span.metadata.as_ref()?;
    let text = metadata.as_str();
    let may = text.contains("kind\"") || text.contains("\"host");
    may.then(|| metadata.to_value().ok())?
}

fn text<'f>(fields: &'f Value, names: [&str; 2]) -> Option<&'f str> {
    let mut found = names
        .into_iter()
        .filter_map(|name| fields.get(name)?.as_str());
    found.find(|text| !text.is_empty())
}
