use super::*;
use crate::model::ScoreTarget;
use crate::{FeedbackScore, ScoreRecord, Span, SpanId, Timestamp, Trace, TraceId};

#[test]
fn any_run_of_rows_is_the_inside_of_a_list() {
    let mut rows = Rows::of(List::ThreadScores);
    let id = RowId::ThreadScore;
    let failed = rows.push_with(id, |_| Err("no form"));
    assert_eq!((failed, rows.bytes()), (Err("no form"), 0));
    for text in ["{\"a\":1}", "{}", "{\"b\":[2]}"] {
        rows.push(id, text.as_bytes());
    }
    let failed = rows.push_with(id, |out| {
        out.extend_from_slice(b"{\"half");
        Err("no form")
    });
    assert_eq!((failed, rows.len()), (Err("no form"), 3));
    for (range, expected) in [
        (0..3, "{\"a\":1},{},{\"b\":[2]}"),
        (1..2, "{}"),
        (1..3, "{},{\"b\":[2]}"),
        (2..9, "{\"b\":[2]}"),
        (1..1, ""),
        (5..9, ""),
    ] {
        assert_eq!(rows.text_of(&range), expected.as_bytes(), "{range:?}");
    }
    let each: Vec<_> = rows.iter().map(|(_, row)| row.len()).collect();
    assert_eq!(each, [7, 2, 9]);
    assert_eq!([rows.size(0), rows.size(2), rows.size(3)], [7, 9, 0]);
    rows.clear();
    assert!(rows.is_empty() && rows.bytes() == 0);
}

#[test]
fn a_request_is_not_copied_and_does_not_change_while_it_is_sent() {
    let mut rows = Rows::of(List::Spans);
    let id = RowId::ThreadScore;
    rows.push(id, b"{\"a\":1}");
    rows.push(id, b"{}");
    let sent = rows.request();
    assert_eq!(sent.as_slice(), b"{\"spans\":[{\"a\":1},{}]}");
    assert_eq!(rows.bytes(), sent.len());
    assert_eq!(rows.request().as_ptr(), sent.as_ptr());
    let mut part = Vec::new();
    rows.write_request(&(1..2), &mut part);
    assert_eq!(part, b"{\"spans\":[{}]}");
    rows.push(id, b"[]");
    assert_eq!(rows.text_of(&(0..3)), b"{\"a\":1},{},[]");
    assert_eq!(sent.as_slice(), b"{\"spans\":[{\"a\":1},{}]}");
    let place = rows.request().as_ptr();
    rows.clear();
    assert_eq!(rows.request().as_slice(), b"");
    rows.push(id, b"{}");
    assert_eq!(rows.request().as_ptr(), place, "memory is kept");
    let sent = rows.request();
    rows.clear();
    rows.push(id, b"[1]");
    assert_eq!(sent.as_slice(), b"{\"spans\":[{}]}");
}

#[test]
fn half_a_row_of_a_writer_that_panics_is_never_sent() {
    let id = RowId::ThreadScore;
    let half = |rows: &mut Rows| {
        let write = |out: &mut Vec<u8>| -> Result<(), ()> {
            out.extend_from_slice(b"{\"half");
            panic!("in the middle");
        };
        let push = std::panic::AssertUnwindSafe(|| rows.push_with(id, write));
        assert!(std::panic::catch_unwind(push).is_err());
    };
    let mut rows = Rows::of(List::Spans);
    half(&mut rows);
    assert_eq!(rows.request().as_slice(), b"");
    rows.push(id, b"{\"a\":1}");
    half(&mut rows);
    assert_eq!(rows.request().as_slice(), b"{\"spans\":[{\"a\":1}]}");
    rows.push(id, b"{}");
    assert_eq!(rows.request().as_slice(), b"{\"spans\":[{\"a\":1},{}]}");
}

#[test]
fn records_go_to_their_lists_and_bad_ones_leave_nothing() {
    let at = Timestamp::from_micros(1_795_170_315_351_281);
    let (trace, span) = (TraceId::generate_at(at), SpanId::generate_at(at));
    let mut batch = WireBatch::default();
    batch.push_trace(&Trace::new(trace, at), None, at).unwrap();
    let mut bad = Span::new(span, trace, at);
    bad.total_estimated_cost = Some(-1.0);
    let rejection = batch.push_span(&bad, None, at).unwrap_err();
    assert_eq!(rejection.record, format!("span {span}"));
    assert!(batch.rows(List::Spans).is_empty());
    for target in [
        ScoreTarget::Trace(trace),
        ScoreTarget::Span(span),
        ScoreTarget::Thread("t".to_owned()),
    ] {
        let score = ScoreRecord::new(target, FeedbackScore::new("good", 1.0));
        batch.push_score(&score, Some("p")).unwrap();
    }
    let lengths = List::ALL.map(|list| batch.rows(list).len());
    assert_eq!((lengths, batch.len()), ([1, 0, 1, 1, 1], 4));
    let file = WireAttachment::new(trace, "a.png", "image/png", vec![1, 2]);
    batch.attachments.push(file);
    assert_eq!(batch.len(), 5);
}
