//! From a batch to what the writer stores, on the caller's thread: drop what the batch itself
//! replaces, group by trace and project, encode, add up, compress.

mod groups;

use std::collections::BTreeMap;

use opik_core::exporter::Rejection;
use opik_core::model::ScoreTarget;
use opik_core::{Batch, ProjectId, ScoreRecord, Span, SpanId, Timestamp, Trace, TraceId};

use crate::block::{Compression, Early, MAX_RAW, PackedBlock, Packer, Place};
use crate::codec::span::{self, SpanRow};
use crate::codec::totals::Totals;
use crate::codec::trace::TraceRow;
use crate::codec::{body, prefix};
use crate::error::StoreError;
use crate::facet::{self, Facet};
use groups::{groups, version};

/// Most rows of a part, so that reading one span does not decode a whole large trace.
pub(crate) const PART_ROWS: usize = 64;
/// Size of bodies from which a part is closed, so that reading one span does not decompress them.
pub(crate) const PART_BYTES: usize = 24 * 1024;

/// A project as records name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ProjectRef {
    pub(crate) name: Option<String>,
    pub(crate) id: Option<ProjectId>,
}

/// Some spans of one trace and one project, encoded.
#[derive(Debug)]
pub(crate) struct PackedPart {
    pub(crate) project: usize,
    pub(crate) hi: i64,
    /// Identifier and version of each row, in the order of the identifiers.
    pub(crate) ids: Vec<(SpanId, i64)>,
    pub(crate) head: Vec<u8>,
    pub(crate) bodies: Place,
    pub(crate) totals: Totals,
    /// With the number of rows that have each.
    pub(crate) facets: Vec<(Facet, i64)>,
    pub(crate) start: i64,
}

/// The row of a trace, encoded.
#[derive(Debug)]
pub(crate) struct PackedRow {
    pub(crate) project: usize,
    pub(crate) updated: i64,
    pub(crate) start: i64,
    pub(crate) head: Vec<u8>,
    pub(crate) body: Place,
}

/// What a batch brings for one trace.
#[derive(Debug)]
pub(crate) struct PackedTrace {
    pub(crate) id: TraceId,
    pub(crate) parts: Vec<PackedPart>,
    pub(crate) row: Option<PackedRow>,
}

/// A batch, ready to be written.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) arrived: i64,
    pub(crate) projects: Vec<ProjectRef>,
    pub(crate) blocks: Vec<PackedBlock>,
    pub(crate) traces: Vec<PackedTrace>,
    pub(crate) scores: Vec<ScoreRecord>,
    pub(crate) accepted: usize,
    pub(crate) rejected: Vec<Rejection>,
}

impl Packed {
    /// About how much memory it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let blocks: usize = self.blocks.iter().map(|block| block.raw.len()).sum();
        let parts = self.traces.iter().flat_map(|trace| &trace.parts);
        blocks + parts.map(|part| part.head.len()).sum::<usize>()
    }
}

/// Numbers the projects of a batch.
#[derive(Default)]
struct Projects {
    known: Vec<ProjectRef>,
}

impl Projects {
    fn number(&mut self, name: Option<&str>, id: Option<ProjectId>) -> usize {
        let same = |known: &ProjectRef| known.name.as_deref() == name && known.id == id;
        // Batches name the same project again and again: look at the latest first.
        self.known.iter().rposition(same).unwrap_or_else(|| {
            self.known.push(ProjectRef {
                name: name.map(str::to_owned),
                id,
            });
            self.known.len() - 1
        })
    }
}

/// Encodes a batch that arrived at `now`. The writer can begin before its blocks are compressed; each
/// is handed to `early` as soon as it is full.
pub(crate) fn pack(
    batch: &Batch,
    now: Timestamp,
    early: &dyn Fn(Early),
) -> Result<(Packed, Compression), StoreError> {
    let now = now.as_micros();
    let mut rejected = Vec::new();
    let mut projects = Projects::default();
    let mut packer = Packer::with(early);

    let mut spans: Vec<&Span> = Vec::with_capacity(batch.spans.len());
    for span in &batch.spans {
        match reject(span_size(span)) {
            None => spans.push(span),
            Some(reason) => {
                rejected.push(Rejection {
                    record: format!("span {}", span.id),
                    reason,
                });
            }
        }
    }
    let mut rows: Vec<&Trace> = Vec::with_capacity(batch.traces.len());
    for trace in &batch.traces {
        match reject(trace_size(trace)) {
            None => rows.push(trace),
            Some(reason) => {
                rejected.push(Rejection {
                    record: format!("trace {}", trace.id),
                    reason,
                });
            }
        }
    }

    let groups = groups(spans, rows, now);
    // Rows come before spans: those of one project share few blocks, which is what a list of traces
    // with their content reads.
    let mut packed_rows = Vec::with_capacity(groups.len());
    for group in &groups {
        let row = group
            .row
            .map(|row| pack_row(row, now, &mut projects, &mut packer));
        packed_rows.push(row.transpose()?);
    }
    let mut traces = Vec::with_capacity(groups.len());
    for (group, row) in groups.into_iter().zip(packed_rows) {
        traces.push(PackedTrace {
            id: group.id,
            row,
            parts: pack_spans(&group.spans, now, &mut projects, &mut packer)?,
        });
    }
    // Indexes take what is in their order faster.
    traces.sort_unstable_by_key(|trace| trace.id);

    let mut scores = Vec::new();
    for record in &batch.scores {
        if record.score.value.is_finite() {
            scores.push(record.clone());
        } else {
            rejected.push(Rejection {
                record: score_name(&record.target),
                reason: "the value is not a number".to_owned(),
            });
        }
    }
    let (blocks, compression) = packer.finish();
    let packed = Packed {
        arrived: now,
        projects: projects.known,
        blocks,
        traces,
        scores,
        accepted: batch.len() - rejected.len(),
        rejected,
    };
    Ok((packed, compression))
}

fn score_name(target: &ScoreTarget) -> String {
    match target {
        ScoreTarget::Trace(id) => format!("score of trace {id}"),
        ScoreTarget::Span(id) => format!("score of span {id}"),
        _ => "score of a thread".to_owned(),
    }
}

fn json_len(json: Option<&opik_core::Json>) -> usize {
    json.map_or(0, |json| json.as_str().len())
}

fn span_size(span: &Span) -> usize {
    [&span.input, &span.output, &span.metadata]
        .map(|json| json_len(json.as_ref()))
        .iter()
        .sum()
}

fn trace_size(trace: &Trace) -> usize {
    [&trace.input, &trace.output, &trace.metadata]
        .map(|json| json_len(json.as_ref()))
        .iter()
        .sum()
}

fn reject(size: usize) -> Option<String> {
    const MOST: usize = MAX_RAW / 2;
    (size > MOST).then(|| format!("its content of {size} bytes is over the limit of {MOST}"))
}

fn pack_row(
    trace: &Trace,
    now: i64,
    projects: &mut Projects,
    packer: &mut Packer<'_>,
) -> Result<PackedRow, StoreError> {
    let row = TraceRow::of(trace);
    let (out, at) = packer.begin_row();
    body::put_trace(out, trace)?;
    Ok(PackedRow {
        project: projects.number(trace.project_name.as_deref(), trace.project_id),
        updated: version(trace.last_updated_at, now),
        start: row.start,
        head: row.encode(),
        body: packer.end_row(at),
    })
}

/// Encodes the spans of one trace, which are sorted by identifier and version.
fn pack_spans(
    spans: &[&Span],
    now: i64,
    projects: &mut Projects,
    packer: &mut Packer<'_>,
) -> Result<Vec<PackedPart>, StoreError> {
    let latest = spans.chunk_by(|a, b| a.id == b.id).filter_map(<[_]>::last);
    let mut by_project: BTreeMap<usize, Vec<&Span>> = BTreeMap::new();
    for span in latest {
        let project = projects.number(span.project_name.as_deref(), span.project_id);
        by_project.entry(project).or_default().push(span);
    }
    let mut parts = Vec::new();
    for (project, spans) in by_project {
        let mut rest = spans.into_iter().peekable();
        while rest.peek().is_some() {
            let (out, begin) = packer.begin();
            let mut rows: Vec<SpanRow<'_>> = Vec::new();
            while let Some(span) =
                rest.next_if(|_| rows.len() < PART_ROWS && out.len() - begin < PART_BYTES)
            {
                let at = out.len();
                body::put_span(out, span)?;
                let mut row = SpanRow::of(span, now);
                row.body_at = at - begin;
                row.body_len = out.len() - at;
                rows.push(row);
            }
            let bodies = packer.end(begin);
            parts.push(part(project, &rows, bodies));
        }
    }
    Ok(parts)
}

/// A part with these rows, which are sorted by identifier.
pub(crate) fn part(project: usize, rows: &[SpanRow<'_>], bodies: Place) -> PackedPart {
    let mut totals = Totals::default();
    for row in rows {
        totals.count(row, 1);
    }
    PackedPart {
        project,
        hi: rows
            .last()
            .map_or(i64::MIN, |row| prefix(row.id.as_bytes())),
        ids: rows.iter().map(|row| (row.id, row.updated)).collect(),
        head: span::encode(rows),
        bodies,
        totals,
        facets: facet::of_spans(rows.iter().map(|row| (row, true)))
            .into_iter()
            .collect(),
        start: rows.iter().map(|row| row.start).min().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests;
