//! What a batch brings, by trace: of rows and versions of one trace the latest counts.

use std::collections::BTreeMap;

use opik_core::{ProjectId, Span, Timestamp, Trace, TraceId};

/// What a batch brings for one trace.
#[derive(Debug)]
pub(super) struct Group<'b> {
    pub(super) id: TraceId,
    /// Sorted by identifier and version.
    pub(super) spans: Vec<&'b Span>,
    pub(super) row: Option<&'b Trace>,
}

impl Group<'_> {
    fn project(&self) -> (Option<&str>, Option<ProjectId>) {
        let of_row = self
            .row
            .map(|row| (row.project_name.as_deref(), row.project_id));
        let span = self.spans.first();
        let of_span = span.map(|span| (span.project_name.as_deref(), span.project_id));
        of_span.or(of_row).unwrap_or_default()
    }
}

/// When a row was last changed; rows that do not say so count as changed now.
pub(super) fn version(at: Option<Timestamp>, now: i64) -> i64 {
    at.map_or(now, Timestamp::as_micros)
}

/// Sorts a batch into groups. Those of one project come one after the other, so that their content
/// shares blocks: a search that has to look into content is mostly about one project.
pub(super) fn groups<'b>(
    mut spans: Vec<&'b Span>,
    rows: impl IntoIterator<Item = &'b Trace>,
    now: i64,
) -> Vec<Group<'b>> {
    // The sort is stable, so the last of equals is the later one.
    spans.sort_by_key(|span| (span.trace_id, span.id, version(span.last_updated_at, now)));
    let mut latest: BTreeMap<TraceId, &Trace> = BTreeMap::new();
    for row in rows {
        let place = latest.entry(row.id).or_insert(row);
        if version(row.last_updated_at, now) >= version(place.last_updated_at, now) {
            *place = row;
        }
    }
    let mut groups = Vec::with_capacity(latest.len());
    for spans in spans.chunk_by(|a, b| a.trace_id == b.trace_id) {
        if let Some(first) = spans.first() {
            groups.push(Group {
                id: first.trace_id,
                spans: spans.to_vec(),
                row: latest.remove(&first.trace_id),
            });
        }
    }
    groups.extend(latest.into_values().map(|row| Group {
        id: row.id,
        spans: Vec::new(),
        row: Some(row),
    }));
    groups.sort_by(|a, b| (a.project(), a.id).cmp(&(b.project(), b.id)));
    groups
}

#[cfg(test)]
mod tests {
    use opik_core::SpanId;

    use super::*;

    fn id(number: i64) -> TraceId {
        TraceId::from_parts(Timestamp::from_micros(number), 0)
    }

    #[test]
    fn a_trace_is_one_group_and_projects_stay_together() {
        let at = Timestamp::from_micros;
        let span = |trace: i64, project: &str| {
            let mut span = Span::new(SpanId::from_parts(at(trace), 1), id(trace), at(0));
            span.project_name = Some(project.to_owned());
            span
        };
        let row = |trace: i64, project: &str, name: &str, version: i64| {
            let mut row = Trace::new(id(trace), at(0));
            row.project_name = Some(project.to_owned());
            row.name = Some(name.to_owned());
            row.last_updated_at = Some(at(version));
            row
        };
        let spans = [span(4, "b"), span(1, "b"), span(2, "a"), span(3, "a")];
        let rows = [
            row(1, "b", "new", 9),
            row(1, "b", "old", 8),
            row(5, "a", "alone", 1),
        ];
        let groups = groups(spans.iter().collect(), &rows, 100);
        let order: Vec<_> = groups
            .iter()
            .map(|group| {
                let name = group.row.and_then(|row| row.name.as_deref());
                (group.id, group.spans.len(), name)
            })
            .collect();
        assert_eq!(
            order,
            [
                (id(2), 1, None),
                (id(3), 1, None),
                (id(5), 0, Some("alone")),
                (id(1), 1, Some("new")),
                (id(4), 1, None),
            ]
        );
    }
}
