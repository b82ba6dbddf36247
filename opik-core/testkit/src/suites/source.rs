//! What a [`TraceSource`](opik_core::TraceSource) promises.

use std::future::Future;

use opik_core::query::{ProjectSelector, SpanQuery, TraceQuery};
use opik_core::source::{SourceErrorKind, load_tree};
use opik_core::{Cursor, PageRequest, Project, Span, SpanId, Trace, TraceId};

use super::reading::{check_same, written_span, written_trace};
use super::{Place, source_filters as filters, source_totals as totals};
use crate::records::{PROJECT, at, full_span, full_trace, span, span_id, trace, trace_id};
use crate::report::{Outcome, Runner, Skip, SuiteReport, check, check_eq};

/// Runs every case of the contract of [`TraceSource`](opik_core::TraceSource).
///
/// `make` returns an empty [`Place`] for each case; the way in has to be one that passes
/// [`exporter_suite`](crate::exporter_suite). Cases, in order:
///
/// - `an_unknown_trace_is_none`, `an_empty_place_has_no_items`
/// - `spans_without_a_trace_row_are_found`
/// - `spans_are_read_with_all_their_content`
/// - `pages_of_spans_hold_every_span_once`, `pages_of_a_search_hold_every_match_once`:
///   with every size from 1 to more than there is, with a remainder and without
/// - `pages_are_in_one_order`: the same for every size of page
/// - `newest_first_by_identifier`: whatever the times in the records say
/// - `a_foreign_cursor_is_refused`
/// - `projects_are_found_by_name_in_any_case`, `an_unknown_project_has_no_items`
/// - `from_and_to_look_at_the_identifier`
/// - `spans_of_one_trace_can_be_searched`
/// - `without_content_leaves_it_out`
/// - `words_are_found_in_names_and_content`
/// - `totals_are_those_of_the_spans`, `totals_follow_a_late_span`,
///   `totals_follow_a_replaced_span`, `totals_follow_a_span_to_another_trace`,
///   `totals_ignore_a_row_that_lost`, `totals_are_the_same_in_a_search`,
///   `a_running_trace_has_no_duration`
/// - `filters_of_traces`, `filters_of_spans`: every type of field with its operators
/// - `all_filters_have_to_hold`, `pages_of_a_filter_hold_every_match_once`
/// - `sorted_by_a_field`, `records_without_a_value_come_last`, `ties_are_ordered_by_identifier`,
///   `pages_of_a_sorted_search_hold_every_match_once`
/// - `a_tree_is_loaded_whole`
pub async fn source_suite<F>(make: impl Fn() -> F, skips: &[Skip]) -> SuiteReport
where
    F: Future<Output = Place>,
{
    let mut run = Runner::new("source", skips);
    macro_rules! cases {
        ($($name:ident: $case:path),+ $(,)?) => {
            $(run.case(stringify!($name), || Box::pin(async { $case(make().await).await })).await;)+
        };
    }
    cases! {
        an_unknown_trace_is_none: unknown,
        an_empty_place_has_no_items: empty,
        spans_without_a_trace_row_are_found: spans_alone,
        spans_are_read_with_all_their_content: whole_spans,
        pages_of_spans_hold_every_span_once: span_pages,
        pages_of_a_search_hold_every_match_once: search_pages,
        pages_are_in_one_order: one_order,
        newest_first_by_identifier: newest_first,
        a_foreign_cursor_is_refused: foreign_cursor,
        projects_are_found_by_name_in_any_case: projects,
        an_unknown_project_has_no_items: unknown_project,
        from_and_to_look_at_the_identifier: from_to,
        spans_of_one_trace_can_be_searched: spans_of_one,
        without_content_leaves_it_out: without_content,
        words_are_found_in_names_and_content: words,
        totals_are_those_of_the_spans: totals::of_spans,
        totals_follow_a_late_span: totals::late_span,
        totals_follow_a_replaced_span: totals::replaced_span,
        totals_follow_a_span_to_another_trace: totals::moved_span,
        totals_ignore_a_row_that_lost: totals::lost_row,
        totals_are_the_same_in_a_search: totals::in_search,
        a_running_trace_has_no_duration: totals::running,
        filters_of_traces: filters::of_traces,
        filters_of_spans: filters::of_spans,
        all_filters_have_to_hold: filters::all_hold,
        pages_of_a_filter_hold_every_match_once: filters::pages,
        sorted_by_a_field: filters::sorted,
        records_without_a_value_come_last: filters::valueless_last,
        ties_are_ordered_by_identifier: filters::ties,
        pages_of_a_sorted_search_hold_every_match_once: filters::sorted_pages,
        a_tree_is_loaded_whole: tree,
    }
    run.finish()
}

async fn unknown(place: Place) -> Outcome {
    place.put_rows(vec![trace(1)], vec![span(1, 1)]).await?;
    let found = place.source.trace(trace_id(2)).await?;
    check!(found.is_none(), "a trace that nobody wrote is found");
    let spans = place.read_spans(trace_id(2)).await?;
    check_eq!(spans.len(), 0, "spans of a trace that nobody wrote");
    Ok(())
}

async fn empty(place: Place) -> Outcome {
    let traces = place.search_traces(TraceQuery::default(), 10).await?;
    check_eq!(traces.len(), 0, "traces of an empty place");
    let spans = place.search_spans(SpanQuery::default(), 10).await?;
    check_eq!(spans.len(), 0, "spans of an empty place");
    Ok(())
}

async fn spans_alone(place: Place) -> Outcome {
    place.put_rows(vec![], vec![span(1, 1), span(1, 2)]).await?;
    let found = place.read_spans(trace_id(1)).await?;
    check_eq!(found.len(), 2, "spans of a trace without a row");
    let found = place.search_spans(SpanQuery::default(), 10).await?;
    check_eq!(found.len(), 2, "spans that a search finds");
    Ok(())
}

async fn whole_spans(place: Place) -> Outcome {
    let (trace, span) = (full_trace(1), full_span(1, 1));
    place
        .put_rows(vec![trace.clone()], vec![span.clone()])
        .await?;
    for found in [
        place.read_spans(trace.id).await?,
        place.search_spans(SpanQuery::default(), 10).await?,
    ] {
        let [found] = found.as_slice() else {
            check_eq!(found.len(), 1, "spans");
            continue;
        };
        check_same(&written_span(found), &written_span(&span), "span")?;
    }
    let found = place.search_traces(TraceQuery::default(), 10).await?;
    let [found] = found.as_slice() else {
        check_eq!(found.len(), 1, "traces");
        return Ok(());
    };
    check_same(&written_trace(found), &written_trace(&trace), "trace")
}

/// Sizes of pages that end before, at and after the last of twelve items.
const SIZES: [usize; 8] = [1, 2, 3, 5, 6, 11, 12, 13];

async fn span_pages(place: Place) -> Outcome {
    let mut spans: Vec<Span> = (1..=12).map(|number| span(1, number)).collect();
    // Equal starts: an order by time alone would lose or repeat some at the border of a page.
    for span in &mut spans {
        span.start_time = at(1_000);
    }
    let others = vec![span(2, 1), span(2, 2)];
    place
        .put_rows(vec![trace(1), trace(2)], [spans.clone(), others].concat())
        .await?;
    let expected: Vec<SpanId> = spans.iter().map(|span| span.id).collect();
    for size in SIZES {
        let mut found: Vec<SpanId> = place
            .page_spans(trace_id(1), size)
            .await?
            .iter()
            .map(|span| span.id)
            .collect();
        found.sort_unstable();
        check_eq!(found, expected, "spans on pages of {size}");
    }
    Ok(())
}

async fn search_pages(place: Place) -> Outcome {
    let traces: Vec<Trace> = (1..=12).map(trace).collect();
    let spans: Vec<Span> = (1..=12).map(|number| span(number, 1)).collect();
    place.put_rows(traces, spans).await?;
    for size in SIZES {
        let found = place
            .search_traces(TraceQuery::default(), size)
            .await?
            .len();
        check_eq!(found, 12, "traces on pages of {size}");
        let found = place.search_spans(SpanQuery::default(), size).await?.len();
        check_eq!(found, 12, "spans on pages of {size}");
    }
    Ok(())
}

async fn one_order(place: Place) -> Outcome {
    let spans: Vec<Span> = (1..=12).map(|number| span(1, number)).collect();
    place.put_rows((1..=12).map(trace).collect(), spans).await?;
    let (mut of_trace, mut traces, mut spans) = (Vec::new(), Vec::new(), Vec::new());
    for size in SIZES.into_iter().chain(SIZES) {
        let found = place.page_spans(trace_id(1), size).await?;
        of_trace.push(found.iter().map(|span| span.id).collect::<Vec<SpanId>>());
        let found = place.search_traces(TraceQuery::default(), size).await?;
        traces.push(found.iter().map(|trace| trace.id).collect::<Vec<TraceId>>());
        let found = place.search_spans(SpanQuery::default(), size).await?;
        spans.push(found.iter().map(|span| span.id).collect::<Vec<SpanId>>());
    }
    for (what, same) in [
        ("spans of a trace", all_equal(&of_trace)),
        ("traces of a search", all_equal(&traces)),
        ("spans of a search", all_equal(&spans)),
    ] {
        check!(
            same,
            "{what} are in another order when the page has another size"
        );
    }
    Ok(())
}

fn all_equal<T: PartialEq>(items: &[T]) -> bool {
    items
        .windows(2)
        .all(|pair| matches!(pair, [a, b] if a == b))
}

async fn newest_first(place: Place) -> Outcome {
    // Times in the records run against the order of the identifiers.
    let numbers = [3, 1, 5, 2, 4];
    let mut traces: Vec<Trace> = numbers.into_iter().map(trace).collect();
    for (millis, trace) in (0..).zip(&mut traces) {
        trace.start_time = at(100_000 - millis);
        trace.last_updated_at = Some(at(200_000 - millis));
    }
    let spans = numbers.into_iter().map(|number| span(number, 1)).collect();
    place.put_rows(traces, spans).await?;
    let found = place.search_traces(TraceQuery::default(), 2).await?;
    let found: Vec<TraceId> = found.iter().map(|trace| trace.id).collect();
    let expected: Vec<TraceId> = (1..=5).rev().map(trace_id).collect();
    check_eq!(found, expected, "traces");
    let found = place.search_spans(SpanQuery::default(), 2).await?;
    let found: Vec<SpanId> = found.iter().map(|span| span.id).collect();
    let expected: Vec<SpanId> = (1..=5).rev().map(|number| span_id(number, 1)).collect();
    check_eq!(found, expected, "spans");
    Ok(())
}

async fn foreign_cursor(place: Place) -> Outcome {
    place.put_rows(vec![trace(1)], vec![span(1, 1)]).await?;
    let request = PageRequest::after(Cursor::new("\u{1F980} not a cursor"), 10);
    let mut traces = TraceQuery::default();
    traces.page = request.clone();
    let mut spans = SpanQuery::default();
    spans.page = request.clone();
    let answers = [
        (
            "spans",
            place.source.spans(trace_id(1), &request).await.err(),
        ),
        (
            "search_traces",
            place.source.search_traces(&traces).await.err(),
        ),
        (
            "search_spans",
            place.source.search_spans(&spans).await.err(),
        ),
    ];
    for (call, error) in answers {
        let kind = error.map(|error| error.kind());
        check_eq!(
            kind,
            Some(SourceErrorKind::InvalidQuery),
            "{call} with a foreign cursor"
        );
    }
    Ok(())
}

fn in_project(name: &str) -> (TraceQuery, SpanQuery) {
    let (mut traces, mut spans) = (TraceQuery::default(), SpanQuery::default());
    traces.project = ProjectSelector::Name(name.to_owned());
    spans.project = ProjectSelector::Name(name.to_owned());
    (traces, spans)
}

async fn projects(place: Place) -> Outcome {
    let mut other = trace(2);
    other.project_name = Some("Another".to_owned());
    let mut other_span = span(2, 1);
    other_span.project_name = Some("Another".to_owned());
    let mut nameless = trace(3);
    nameless.project_name = None;
    let traces = vec![trace(1), other, nameless];
    place.put_rows(traces, vec![span(1, 1), other_span]).await?;
    let shouted = PROJECT.to_uppercase();
    for (name, expected) in [
        (PROJECT, vec![1]),
        (shouted.as_str(), vec![1]),
        ("another", vec![2]),
        (Project::DEFAULT_NAME, vec![3]),
    ] {
        let (traces, spans) = in_project(name);
        let found = place.search_traces(traces, 10).await?;
        let found: Vec<TraceId> = found.iter().map(|trace| trace.id).collect();
        let wanted: Vec<TraceId> = expected.iter().copied().map(trace_id).collect();
        check_eq!(found, wanted, "traces of project {name}");
        let found = place.search_spans(spans, 10).await?;
        let found: Vec<TraceId> = found.iter().map(|span| span.trace_id).collect();
        let wanted: Vec<TraceId> = expected
            .into_iter()
            .filter(|&number| number != 3)
            .map(trace_id)
            .collect();
        check_eq!(found, wanted, "traces of the spans of project {name}");
    }
    Ok(())
}

async fn unknown_project(place: Place) -> Outcome {
    place.put_rows(vec![trace(1)], vec![span(1, 1)]).await?;
    let (traces, spans) = in_project("no such project");
    // Both answers are right: nothing, or the error that says why.
    let answers = [
        place
            .source
            .search_traces(&traces)
            .await
            .map(|page| page.items.len()),
        place
            .source
            .search_spans(&spans)
            .await
            .map(|page| page.items.len()),
    ];
    for answer in answers {
        match answer {
            Ok(found) => check_eq!(found, 0, "items of an unknown project"),
            Err(error) => {
                check_eq!(
                    error.kind(),
                    SourceErrorKind::UnknownProject,
                    "kind of the error"
                );
            }
        }
    }
    Ok(())
}

async fn from_to(place: Place) -> Outcome {
    // Identifiers are a second apart; the start times say something else.
    let mut traces: Vec<Trace> = (1..=5).map(trace).collect();
    for trace in &mut traces {
        trace.start_time = at(-50_000);
    }
    let spans = (1..=5).map(|number| span(number, 0)).collect();
    place.put_rows(traces, spans).await?;
    for (from, to, expected) in [
        (Some(2_000), Some(4_000), vec![3, 2]),
        (Some(4_000), None, vec![5, 4]),
        (None, Some(2_000), vec![1]),
        (Some(4_001), None, vec![5]),
        (Some(6_000), None, vec![]),
    ] {
        let (mut traces, mut spans) = (TraceQuery::default(), SpanQuery::default());
        (traces.from, traces.to) = (from.map(at), to.map(at));
        (spans.from, spans.to) = (from.map(at), to.map(at));
        let expected: Vec<TraceId> = expected.into_iter().map(trace_id).collect();
        let found = place.search_traces(traces, 10).await?;
        let found: Vec<TraceId> = found.iter().map(|trace| trace.id).collect();
        check_eq!(found, expected, "traces from {from:?} to {to:?}");
        let found = place.search_spans(spans, 10).await?;
        let found: Vec<TraceId> = found.iter().map(|span| span.trace_id).collect();
        check_eq!(found, expected, "spans from {from:?} to {to:?}");
    }
    Ok(())
}

async fn spans_of_one(place: Place) -> Outcome {
    let spans = vec![span(1, 1), span(2, 1), span(1, 2), span(2, 2), span(3, 1)];
    place.put_rows((1..=3).map(trace).collect(), spans).await?;
    let mut query = SpanQuery::default();
    query.trace = Some(trace_id(2));
    let found = place.search_spans(query, 1).await?;
    let found: Vec<SpanId> = found.iter().map(|span| span.id).collect();
    check_eq!(found, [span_id(2, 2), span_id(2, 1)], "spans of trace 2");
    Ok(())
}

async fn without_content(place: Place) -> Outcome {
    place
        .put_rows(vec![full_trace(1)], vec![full_span(1, 1)])
        .await?;
    let mut query = TraceQuery::default();
    query.without_content = true;
    for found in place.search_traces(query, 10).await? {
        let there = [&found.input, &found.output, &found.metadata].map(Option::is_some);
        check_eq!(
            there,
            [false; 3],
            "input, output and metadata of a trace in a list"
        );
        check_eq!(found.name, full_trace(1).name, "name of a trace in a list");
        check_eq!(found.span_count, Some(1), "spans of a trace in a list");
    }
    let mut query = SpanQuery::default();
    query.without_content = true;
    for found in place.search_spans(query, 10).await? {
        let there = [&found.input, &found.output, &found.metadata].map(Option::is_some);
        check_eq!(
            there,
            [false; 3],
            "input, output and metadata of a span in a list"
        );
        check_eq!(
            found.model,
            full_span(1, 1).model,
            "model of a span in a list"
        );
    }
    let whole = place.read_trace(trace_id(1)).await?;
    check!(
        whole.input.is_some(),
        "the list took the input away for good"
    );
    Ok(())
}

async fn words(place: Place) -> Outcome {
    let (mut named, mut filled) = (trace(1), trace(2));
    named.name = Some("checkout of a basket".to_owned());
    filled.input = Some(crate::records::content(
        r#"{"question": "where is my basket"}"#,
    ));
    let (mut named_span, mut filled_span) = (span(1, 1), span(2, 1));
    named_span.name = Some("basket lookup".to_owned());
    filled_span.output = Some(crate::records::content(r#"{"answer": "in the cellar"}"#));
    place
        .put_rows(
            vec![named, filled, trace(3)],
            vec![named_span, filled_span, span(3, 1)],
        )
        .await?;
    place.settle().await;
    for (text, traces, spans) in [
        ("basket", vec![2, 1], vec![1]),
        ("BASKET", vec![2, 1], vec![1]),
        ("checkout basket", vec![1], vec![]),
        ("cellar", vec![], vec![2]),
        ("nowhere", vec![], vec![]),
    ] {
        let mut query = TraceQuery::default();
        query.text = Some(text.to_owned());
        let found = place.search_traces(query, 10).await?;
        let found: Vec<TraceId> = found.iter().map(|trace| trace.id).collect();
        let expected: Vec<TraceId> = traces.into_iter().map(trace_id).collect();
        check_eq!(found, expected, "traces with {text}");
        let mut query = SpanQuery::default();
        query.text = Some(text.to_owned());
        let found = place.search_spans(query, 10).await?;
        let found: Vec<TraceId> = found.iter().map(|span| span.trace_id).collect();
        let expected: Vec<TraceId> = spans.into_iter().map(trace_id).collect();
        check_eq!(found, expected, "traces of the spans with {text}");
    }
    Ok(())
}

async fn tree(place: Place) -> Outcome {
    // More spans than the largest page has.
    let root = span(1, 0);
    let mut spans: Vec<Span> = (1..=4_500).map(|number| span(1, number)).collect();
    for span in &mut spans {
        span.parent_span_id = Some(root.id);
    }
    spans.push(root);
    place.put_rows(vec![trace(1)], spans).await?;
    let tree = load_tree(&*place.source, trace_id(1)).await?;
    let (spans, children) = tree.map_or((0, 0), |tree| {
        let children = tree
            .roots()
            .next()
            .map_or(0, |root| tree.children(root).count());
        (tree.len(), children)
    });
    check_eq!(
        (spans, children),
        (4_501, 4_500),
        "spans of the tree, and children of its root"
    );
    let nothing = load_tree(&*place.source, trace_id(2)).await?;
    check!(nothing.is_none(), "a trace that nobody wrote has a tree");
    Ok(())
}
