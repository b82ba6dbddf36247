use opik_core::query::ProjectSelector;
use opik_core::{Batch, ErrorInfo, Exporter, Json, Span, SpanType, Trace, TraceId, Usage};
use opik_testkit::{MemoryStore, records};

use super::*;
use crate::{FindingKind, analyse};

/// Durations and tokens of the parts of a made-up answer.
#[derive(Clone)]
struct Run {
    plan: i64,
    tokens: i64,
    search: Vec<i64>,
    failed: bool,
    metadata: &'static str,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            plan: 200,
            tokens: 50,
            search: vec![100, 100],
            failed: false,
            metadata: "{}",
        }
    }
}

/// The trace and the spans: a root, a model call, searches, a check.
fn rows(number: u32, run: &Run) -> (Trace, Vec<Span>) {
    let mut trace = records::trace(number);
    trace.name = Some("answer".to_owned());
    trace.metadata = Json::parse(run.metadata).ok();
    let start = trace.start_time;
    let mut root = records::span(number, 0);
    root.start_time = start;
    root.name = Some("run".to_owned());
    let mut at = start;
    let mut spans = Vec::new();
    let mut push = |mut span: Span, name: &str, millis: i64| {
        span.name = Some(name.to_owned());
        span.parent_span_id = Some(root.id);
        span.start_time = at;
        at = at.plus_micros(millis * 1_000);
        span.end_time = Some(at);
        spans.push(span);
    };
    let mut call = records::llm_span(number, 1, (100, run.tokens), 0.01);
    call.usage = Usage::of_tokens(100, run.tokens);
    push(call, "plan", run.plan);
    for (place, &millis) in run.search.iter().enumerate() {
        let mut tool = records::span(number, 10 + u32::try_from(place).unwrap());
        tool.r#type = Some(SpanType::Tool);
        push(tool, "search", millis);
    }
    push(records::span(number, 5), "check", 10);
    root.end_time = Some(at);
    trace.end_time = Some(at);
    if run.failed {
        trace.error_info = Some(ErrorInfo::new("ValueError", "no price"));
        root.error_info = trace.error_info.clone();
    }
    spans.push(root);
    (trace, spans)
}

fn tree(number: u32, run: &Run) -> TraceTree {
    let (trace, spans) = rows(number, run);
    TraceTree::build(trace, spans)
}

/// Usual runs, a little different from each other.
fn usual(number: u32) -> Run {
    let spread = i64::from(number % 5) * 4;
    Run {
        plan: 200 + spread,
        search: vec![100 + spread, 100 + spread],
        ..Run::default()
    }
}

fn peers(numbers: std::ops::Range<u32>) -> Peers {
    Peers::new(numbers.map(|number| tree(number, &usual(number))).collect())
}

fn claims(comparison: &Comparison) -> String {
    let claims = comparison
        .findings
        .iter()
        .map(|finding| finding.claim.as_str());
    claims.collect::<Vec<&str>>().join("\n")
}

#[test]
fn a_slow_model_is_told_from_a_long_reply() {
    let peers = peers(1..41);
    for (tokens, plan, longer, slower) in [(50, 2_000, false, true), (500, 2_000, true, false)] {
        let own = tree(
            500,
            &Run {
                plan,
                tokens,
                ..Run::default()
            },
        );
        let comparison = compare(&own, &analyse(&own), &peers);
        let [slow] = comparison.slow.as_slice() else {
            panic!("{:?}", comparison.slow);
        };
        assert_eq!(own.span(slow.node).name.as_deref(), Some("plan"));
        assert_eq!((slow.standing.peers, slow.standing.median), (40, 208_000));
        assert_eq!(slow.standing.likeness, Likeness::Path);
        let share = slow.share.unwrap();
        assert_eq!(
            (share.is_more_tokens(), share.is_slower_model()),
            (longer, slower)
        );
        assert!(comparison.duration.unwrap().is_slow());
    }
}

#[test]
fn the_order_is_by_what_the_trace_waits_for() {
    let own = tree(
        500,
        &Run {
            plan: 900,
            search: vec![3_000, 100],
            ..Run::default()
        },
    );
    let comparison = compare(&own, &analyse(&own), &peers(1..41));
    let names: Vec<_> = comparison
        .slow
        .iter()
        .map(|slow| own.span(slow.node).name.clone().unwrap())
        .collect();
    // The root is as slow as all of it together, and needs no mention of its own.
    assert_eq!(names, ["search", "plan"]);
    insta::assert_snapshot!(claims(&comparison), @"
    The trace took 4.01 s, 9.2 times the median of 40 traces of its name (434 ms): 40 of 40 took no longer; it is slow among them.
    tool search (019b76e2…0a) took 3.00 s, 27.8 times the median of 80 spans at the same place in other traces (108 ms).
    llm plan (019b76e2…01) took 900 ms, 4.3 times the median of 40 spans at the same place in other traces (208 ms): each token took longer (1.0 times the output tokens, 4.3 times the time for each).
    ");
}

#[test]
fn few_peers_make_no_verdict() {
    let own = tree(
        500,
        &Run {
            plan: 900,
            ..Run::default()
        },
    );
    let comparison = compare(&own, &analyse(&own), &peers(1..8));
    assert_eq!(comparison.slow, []);
    assert!(!comparison.duration.unwrap().is_slow());
    let few: Vec<_> = comparison
        .too_few
        .iter()
        .map(|few| few.standing.map(|s| (s.peers, s.no_longer)))
        .collect();
    assert_eq!(few, [Some((7, 7)), Some((14, 2)), Some((14, 2))]);
    insta::assert_snapshot!(claims(&comparison), @"
    The trace took 1.11 s, 2.6 times the median of 7 traces of its name (434 ms): 7 of 7 took no longer; these are not enough to call it slow or not.
    Not enough spans in other traces to tell whether these are slow: llm plan (019b76e2…01) with 900 ms (n=7: 7 of 7 took no longer; that may be 65 % to 100 % of all such spans); tool search (019b76e2…0a) with 100 ms (n=14: 2 of 14 took no longer; that may be 4 % to 40 % of all such spans); tool search (019b76e2…0b) with 100 ms (n=14: 2 of 14 took no longer; that may be 4 % to 40 % of all such spans).
    ");
    let alone = compare(&own, &analyse(&own), &Peers::default());
    assert_eq!(
        (alone.peers, alone.duration, alone.findings.len()),
        (0, None, 0)
    );
}

#[test]
fn the_group_is_widened_until_it_is_enough() {
    // The model changed: only the name is left.
    let mut trees: Vec<TraceTree> = (1..41).map(|number| tree(number, &usual(number))).collect();
    let (trace, mut spans) = rows(
        500,
        &Run {
            plan: 900,
            ..Run::default()
        },
    );
    spans[0].model = Some("another".to_owned());
    let own = TraceTree::build(trace, spans);
    let likeness = |trees: &[TraceTree]| {
        let comparison = compare(&own, &analyse(&own), &Peers::new(trees.to_vec()));
        comparison.slow.first().map(|slow| slow.standing.likeness)
    };
    assert_eq!(likeness(&trees), Some(Likeness::Name));
    trees.extend((600..640).map(|number| {
        let (trace, mut spans) = rows(number, &usual(number));
        spans[0].model = Some("another".to_owned());
        spans.last_mut().unwrap().name = Some("walk".to_owned());
        TraceTree::build(trace, spans)
    }));
    assert_eq!(likeness(&trees), Some(Likeness::Model));
}

#[test]
fn what_is_missing_new_or_too_often_is_found() {
    let (trace, mut spans) = rows(
        500,
        &Run {
            search: vec![100; 20],
            ..Run::default()
        },
    );
    let check = spans
        .iter()
        .position(|span| span.name.as_deref() == Some("check"))
        .unwrap();
    spans[check].name = Some("skip check".to_owned());
    let own = TraceTree::build(trace, spans);
    let comparison = compare(&own, &analyse(&own), &peers(1..41));
    let found: Vec<_> = comparison
        .counts
        .iter()
        .map(|c| (c.difference, c.name.as_str(), c.count))
        .collect();
    assert_eq!(
        found,
        [
            (Difference::Missing, "check", 0),
            (Difference::New, "skip check", 1),
            (Difference::More, "search", 20)
        ]
    );
    insta::assert_snapshot!(claims(&comparison), @"
    The trace took 2.21 s, 5.1 times the median of 40 traces of its name (434 ms): 40 of 40 took no longer; it is slow among them.
    step run (019b76e2…00) took 2.21 s, 5.1 times the median of 40 spans at the same place in other traces (434 ms); none of its own time is on the critical path.
    Missing, although nearly every trace of its name has it: step check (40 of 40 traces have it).
    Not seen in any of 40 traces of its name: step skip check (1 time). The first is step skip check (019b76e2…05).
    More than usual: 20 of tool search, while every one of 40 has 2. The first is tool search (019b76e2…0a).
    ");
    let usual = tree(501, &usual(501));
    assert_eq!(compare(&usual, &analyse(&usual), &peers(1..41)).counts, []);
    assert_eq!(
        compare(&own, &analyse(&own), &peers(1..20)).counts,
        [],
        "19 peers are not enough"
    );
}

/// Runs of which those with region b fail mostly; the version says nothing.
fn by_region(number: u32) -> Run {
    let (region_b, new) = (number.is_multiple_of(3), number.is_multiple_of(2));
    Run {
        failed: region_b && !number.is_multiple_of(4),
        metadata: match (region_b, new) {
            (true, true) => r#"{"region":"b","deploy":{"version":2}}"#,
            (true, false) => r#"{"region":"b","deploy":{"version":1}}"#,
            (false, true) => r#"{"region":"a","deploy":{"version":2}}"#,
            (false, false) => r#"{"region":"a","deploy":{"version":1}}"#,
        },
        ..usual(number)
    }
}

#[test]
fn what_failures_share_is_found_and_nothing_else() {
    let peers = Peers::new(
        (1..61)
            .map(|number| tree(number, &by_region(number)))
            .collect(),
    );
    let own = tree(303, &by_region(303));
    let comparison = compare(&own, &analyse(&own), &peers);
    let attributes = &comparison.attributes;
    assert_eq!(
        (attributes.split, attributes.bad, attributes.good),
        (Split::Failed, 16, 45)
    );
    let [region] = attributes.found.as_slice() else {
        panic!("{:?}", attributes.found);
    };
    assert_eq!(
        (
            region.name.as_str(),
            region.value.as_str(),
            region.with,
            region.here
        ),
        ("metadata.region", "b", (16, 5), true)
    );
    assert!(
        (region.lift - 61.0 / 21.0).abs() < 1e-9 && region.p < 1e-6 && region.chi_square > 30.0
    );
    let finding = comparison
        .findings
        .iter()
        .find(|finding| finding.kind == FindingKind::OverRepresented);
    insta::assert_snapshot!(finding.unwrap().claim, @"metadata.region = b is over-represented among failures: 16 of 16 failed traces have it (100 %) and 5 of 45 others (11 %); this trace has it.");
}

#[test]
fn without_a_failure_the_slowest_are_looked_at() {
    let run = |number: u32| {
        let cold = number.is_multiple_of(8);
        let plan = if cold { 5_000 } else { 200 };
        let metadata = if cold {
            r#"{"cache":"cold"}"#
        } else {
            r#"{"cache":"warm"}"#
        };
        Run {
            plan: plan + i64::from(number),
            metadata,
            ..Run::default()
        }
    };
    let peers = Peers::new((1..81).map(|number| tree(number, &run(number))).collect());
    let own = tree(400, &run(400));
    let attributes = compare(&own, &analyse(&own), &peers).attributes;
    assert_eq!((attributes.split, attributes.bad), (Split::Slow, 8));
    let found: Vec<_> = attributes
        .found
        .iter()
        .map(|a| (a.name.as_str(), a.value.as_str()))
        .collect();
    assert_eq!(found, [("metadata.cache", "cold")]);
    let few = compare(
        &own,
        &analyse(&own),
        &Peers::new((1..5).map(|n| tree(n, &run(n))).collect()),
    );
    assert!(!few.attributes.enough && few.attributes.found.is_empty());
}

#[test]
fn noise_has_nothing_in_common() {
    // Every attribute is independent of the failures.
    let run = |number: u32| Run {
        failed: (number * 7_919) % 10 < 3,
        metadata: [
            "{\"a\":1,\"b\":\"x\"}",
            "{\"a\":2,\"b\":\"x\"}",
            "{\"a\":1,\"b\":\"y\"}",
            "{\"a\":2,\"b\":\"y\"}",
        ][usize::try_from(number * 104_729 / 16 % 4).unwrap()],
        ..usual(number)
    };
    let peers = Peers::new((1..101).map(|number| tree(number, &run(number))).collect());
    let own = tree(
        110,
        &Run {
            failed: true,
            ..run(110)
        },
    );
    let attributes = compare(&own, &analyse(&own), &peers).attributes;
    assert!(attributes.enough);
    assert_eq!(attributes.found, []);
}

#[test]
fn peers_are_read_within_limits_and_without_the_trace_itself() {
    pollster::block_on(async {
        let store = MemoryStore::new();
        let (mut traces, mut spans) = (Vec::new(), Vec::new());
        for number in 1..41 {
            let (mut trace, mut rows) = rows(number, &usual(number));
            if number % 4 == 0 {
                trace.name = Some("other".to_owned());
            }
            trace.input = Some(Json::string("a long prompt"));
            for span in &mut rows {
                span.input = Some(Json::string("a long prompt"));
            }
            traces.push(trace);
            spans.extend(rows);
        }
        store.export(&Batch::new(traces, spans)).await.unwrap();
        let own = opik_core::source::load_tree(&store, records::trace_id(39))
            .await
            .unwrap()
            .unwrap();

        let all = fetch(&store, &own, &PeerLimits::default()).await.unwrap();
        assert_eq!((all.trees.len(), all.left_out), (29, 0));
        let read = |tree: &TraceTree| {
            let names = tree.trace().name.as_deref() == Some("answer") && tree.id() != own.id();
            names
                && tree.len() == 5
                && tree.trace().input.is_none()
                && tree.nodes().all(|node| tree.span(node).input.is_none())
        };
        assert!(all.trees.iter().all(read));
        let ten = fetch(&store, &own, &PeerLimits::default().traces(10))
            .await
            .unwrap();
        let newest: Vec<TraceId> = [38, 37, 35, 34, 33, 31, 30, 29, 27, 26]
            .map(records::trace_id)
            .into();
        assert_eq!(
            ten.trees.iter().map(TraceTree::id).collect::<Vec<_>>(),
            newest
        );
        let few = fetch(&store, &own, &PeerLimits::default().spans(23))
            .await
            .unwrap();
        assert_eq!((few.trees.len(), few.left_out), (4, 25));

        let elsewhere =
            PeerLimits::default().project(ProjectSelector::Name("elsewhere".to_owned()));
        let nothing = fetch(&store, &own, &elsewhere).await;
        assert!(nothing.is_err() || nothing.unwrap().trees.is_empty());
        let homeless = tree(1, &Run::default());
        let mut trace = homeless.trace().clone();
        trace.project_name = None;
        let homeless = TraceTree::build(trace, Vec::new());
        assert!(
            fetch(&store, &homeless, &PeerLimits::default())
                .await
                .unwrap()
                .trees
                .is_empty()
        );
    });
}

#[test]
fn attempts_of_one_call_are_neither_more_spans_nor_peers() {
    let attempts = |number: u32, failed: usize, own: i64| {
        let run = Run {
            search: [vec![2_000; failed], vec![own]].concat(),
            ..usual(number)
        };
        let (trace, mut spans) = rows(number, &run);
        let searches = spans
            .iter_mut()
            .filter(|span| span.name.as_deref() == Some("search"));
        for span in searches.take(failed) {
            span.error_info = Some(ErrorInfo::new("Timeout", "no answer"));
        }
        TraceTree::build(trace, spans)
    };
    // Every peer needed three attempts; the successful one takes 100 ms.
    let peers = Peers::new((1..41).map(|number| attempts(number, 3, 100)).collect());
    let own = attempts(500, 0, 1_500);
    let comparison = compare(&own, &analyse(&own), &peers);
    let slow: Vec<_> = comparison
        .slow
        .iter()
        .map(|slow| own.span(slow.node).name.clone())
        .collect();
    assert_eq!(slow, [Some("search".to_owned())]);
    assert_eq!(comparison.slow[0].standing.median, 100_000);
    assert_eq!(comparison.slow[0].standing.peers, 40);
    assert_eq!(comparison.counts, [], "one call each");
}

#[test]
fn a_trace_that_was_run_again_is_no_peer_of_itself() {
    let with_input = |number: u32, failed: bool, input: &str| {
        let (mut trace, spans) = rows(
            number,
            &Run {
                failed,
                ..usual(number)
            },
        );
        trace.input = Some(Json::string(input));
        TraceTree::build(trace, spans)
    };
    // Half a second each, a second apart: 7, 8 and 9 are attempts, 9 succeeded.
    let mut all: Vec<TraceTree> = (1..7)
        .map(|number| with_input(number, false, "same"))
        .collect();
    all.extend([7, 8].map(|number| with_input(number, true, "same")));
    all.extend([
        with_input(9, false, "same"),
        with_input(10, false, "same"),
        with_input(11, true, "other"),
    ]);
    let compared = |own: usize| {
        let comparison = compare(
            &all[own - 1],
            &analyse(&all[own - 1]),
            &Peers::new(all.clone()),
        );
        comparison.peers
    };
    assert_eq!([7, 8, 9].map(compared), [8, 8, 8]);
    // Success ends a series; equal inputs alone make none.
    assert_eq!([1, 6, 10].map(compared), [10, 10, 10]);
    assert_eq!(compared(11), 10);
}

#[test]
fn time_between_client_and_server_is_told_from_work_of_the_server() {
    let call = |number: u32, server: i64, gap: i64| {
        let mut trace = records::trace(number);
        trace.name = Some("answer".to_owned());
        let start = trace.start_time;
        let span = |place: u32, name: &str, kind: &str, from: i64, millis: i64| {
            let mut span = records::span(number, place);
            span.name = Some(name.to_owned());
            span.metadata = Json::parse(&format!(r#"{{"kind": "{kind}"}}"#)).ok();
            span.start_time = start.plus_micros(from * 1_000);
            span.end_time = Some(span.start_time.plus_micros(millis * 1_000));
            span
        };
        let client = span(1, "GET /price", "client", 0, server + gap);
        let mut at = span(2, "price", "server", gap / 2, server);
        at.parent_span_id = Some(client.id);
        trace.end_time = client.end_time;
        TraceTree::build(trace, vec![client, at])
    };
    let peers: Vec<TraceTree> = (1..41)
        .map(|number| {
            // Peers are read without metadata where a source leaves it out.
            let tree = call(number, 100, 10 + i64::from(number % 3));
            let mut spans: Vec<Span> = tree.nodes().map(|node| tree.span(node).clone()).collect();
            spans.iter_mut().for_each(|span| span.metadata = None);
            TraceTree::build(tree.trace().clone(), spans)
        })
        .collect();
    let peers = Peers::new(peers);
    let far = call(500, 100, 900);
    let comparison = compare(&far, &analyse(&far), &peers);
    let [edge] = comparison.edges.as_slice() else {
        panic!("{:?}", comparison.edges)
    };
    assert_eq!(
        (edge.standing.micros, edge.standing.median),
        (900_000, 11_000)
    );
    assert_eq!(far.span(edge.server).name.as_deref(), Some("price"));
    let claims = claims(&comparison);
    assert!(claims.contains("900 ms passed between"), "{claims}");
    assert!(
        claims.contains("network or queueing, and no work of the server"),
        "{claims}"
    );
    // A server that is slow itself is no slow edge.
    let busy = call(501, 990, 10);
    let comparison = compare(&busy, &analyse(&busy), &peers);
    assert!(comparison.edges.is_empty());
    assert_eq!(
        busy.span(comparison.slow[0].node).name.as_deref(),
        Some("price")
    );
}
