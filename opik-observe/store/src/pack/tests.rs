use opik_core::Json;

use super::*;

/// Traces of two projects with spans much longer than their rows.
fn batch(traces: i64) -> Batch {
    let mut batch = Batch::default();
    for number in 0..traces {
        let at = Timestamp::from_micros(1_000 * number);
        let project = Some(format!("project {}", number % 2));
        let mut row = Trace::new(TraceId::from_parts(at, 1), at);
        row.project_name.clone_from(&project);
        row.input = Some(Json::string(&"a question ".repeat(20)));
        let mut span = Span::new(SpanId::from_parts(at, 1), row.id, at);
        span.project_name = project;
        span.output = Some(Json::string(&"an answer ".repeat(600)));
        batch.traces.push(row);
        batch.spans.push(span);
    }
    batch
}

#[test]
fn rows_of_traces_share_blocks_and_not_with_spans_between_them() {
    let (packed, compression) = pack(&batch(30), Timestamp::from_micros(0), &drop).unwrap();
    compression.run().unwrap();
    let mut of_rows: Vec<usize> = packed
        .traces
        .iter()
        .filter_map(|trace| trace.row.as_ref())
        .map(|row| row.body.block)
        .collect();
    assert_eq!(of_rows.len(), 30);
    of_rows.sort_unstable();
    of_rows.dedup();
    // Thirty times 220 bytes are less than one block of rows.
    assert_eq!(of_rows, [0]);
    assert!(packed.blocks.len() > 10);
}
