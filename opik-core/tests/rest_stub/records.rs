//! What the exporter and the reader do beyond the conformance suites.

use opik_core::model::ScoreTarget;
use opik_core::query::{Direction, Entity, Filter, Operator, ProjectSelector, Sort, TraceQuery};
use opik_core::source::{SourceErrorKind, load_tree};
use opik_core::{
    Batch, Exporter, FeedbackScore, Json, PageRequest, ScoreRecord, Span, SpanId, Timestamp, Trace,
    TraceId, TraceSource,
};
use serde_json::{Value, json};

use crate::stub::Stub;

fn trace(project: &str, name: &str) -> Trace {
    let now = Timestamp::now();
    let mut trace = Trace::new(TraceId::generate_at(now), now);
    trace.project_name = Some(project.to_owned());
    trace.name = Some(name.to_owned());
    trace
}

fn header<'a>(request: &'a Value, name: &str) -> Option<&'a str> {
    let headers = request["headers"].as_array().unwrap();
    let found = headers
        .iter()
        .find(|pair| pair[0].as_str().unwrap().eq_ignore_ascii_case(name));
    found.and_then(|pair| pair[1].as_str())
}

#[tokio::test]
async fn rows_travel_as_the_official_client_sends_them() {
    let Some(stub) = Stub::start("rows_travel_as_the_official_client_sends_them") else {
        return;
    };
    let mut sent = trace("f", "x");
    sent.input = Some(Json::parse(r#"{"a": 1}"#).unwrap());
    sent.output = Some(Json::parse("5").unwrap());
    sent.end_time = Some(sent.start_time);
    let report = stub.client().export(&Batch::new(vec![sent], vec![])).await;
    assert_eq!(report.unwrap().accepted, 1);

    let requests = stub.requests();
    let [request] = requests.as_slice() else {
        panic!("{} requests", requests.len());
    };
    assert_eq!(request["path"], "/api/v1/private/traces/batch");
    assert_eq!(header(request, "content-encoding"), Some("gzip"));
    assert_eq!(header(request, "content-type"), Some("application/json"));
    assert_eq!(header(request, "comet-workspace"), Some("default"));
    assert_eq!(header(request, "authorization"), None);
    let row = &request["body"]["traces"][0];
    assert_eq!(row["input"], json!({"a": 1}));
    assert_eq!(row["output"], json!({"output": 5}));

    // The official client's row of the same trace has the same fields.
    let theirs: Vec<Value> = opik_testkit::fixtures::jsonl("opik-wire/f01_500_retry.jsonl");
    let theirs = theirs[0]["body"]["traces"][0].as_object().unwrap();
    for (field, value) in theirs {
        let ours = &row[field];
        assert_eq!(ours.is_null(), value.is_null(), "{field}");
        if field.ends_with("_time") || field.ends_with("_at") {
            assert_eq!(
                ours.as_str().unwrap().len(),
                value.as_str().unwrap().len(),
                "{field}"
            );
        }
    }
}

#[tokio::test]
async fn one_bad_row_costs_only_itself_when_the_server_finds_it() {
    let Some(stub) = Stub::start("one_bad_row_costs_only_itself_when_the_server_finds_it") else {
        return;
    };
    // The client does not check words of a newer protocol; this one breaks the stub's row.
    let mut traces: Vec<Trace> = (0..9).map(|n| trace("p", &format!("t{n}"))).collect();
    traces[4].extra.insert("start_time".to_owned(), Value::Null);
    let bad = format!("trace {}", traces[4].id);
    let batch = Batch::new(traces, vec![]);
    let client = stub.client();
    for _ in 0..2 {
        let report = client.export(&batch).await.unwrap();
        assert_eq!(report.accepted, 8);
        assert_eq!(report.rejected.len(), 1);
        assert_eq!(report.rejected[0].record, bad);
        assert_eq!(
            report.rejected[0].reason,
            "the server refuses it with status 422"
        );
    }
    let found = client.search_traces(&TraceQuery::default()).await.unwrap();
    assert_eq!(found.items.len(), 8);
}

#[tokio::test]
async fn spans_are_found_in_every_project_of_their_trace() {
    let Some(stub) = Stub::start("spans_are_found_in_every_project_of_their_trace") else {
        return;
    };
    let client = stub.client();
    let home = trace("b home", "t");
    let span = |project: &str| {
        let mut span = Span::new(SpanId::generate(), home.id, home.start_time);
        span.project_name = Some(project.to_owned());
        span
    };
    let spans: Vec<Span> = ["b home", "c away", "a away", "b home", "c away"]
        .into_iter()
        .map(span)
        .collect();
    let mut expected: Vec<SpanId> = spans.iter().map(|span| span.id).collect();
    expected.sort_unstable();
    let id = home.id;
    client.export(&Batch::new(vec![home], spans)).await.unwrap();
    for size in 1..=6 {
        let mut page = PageRequest::first(size);
        let mut found: Vec<SpanId> = Vec::new();
        loop {
            let answer = client.spans(id, &page).await.unwrap();
            assert!(answer.items.len() <= size);
            found.extend(answer.items.iter().map(|span| span.id));
            let Some(next) = answer.next else { break };
            page = PageRequest::after(next, size);
        }
        found.sort_unstable();
        assert_eq!(found, expected, "pages of {size}");
    }
    let tree = load_tree(&client, id).await.unwrap().unwrap();
    assert_eq!(tree.trace().id, id);
}

#[tokio::test]
async fn a_trace_in_one_project_is_read_in_two_requests() {
    let Some(stub) = Stub::start("a_trace_in_one_project_is_read_in_two_requests") else {
        return;
    };
    let client = stub.client();
    let home = trace("p", "t");
    let mut span = Span::new(SpanId::generate(), home.id, home.start_time);
    span.project_name.clone_from(&home.project_name);
    let (id, other) = (home.id, trace("another", "u"));
    let batch = Batch::new(vec![home, other], vec![span]);
    client.export(&batch).await.unwrap();
    let before = stub.requests().len();
    let tree = load_tree(&client, id).await.unwrap().unwrap();
    assert_eq!(tree.len(), 1);
    assert_eq!(stub.requests().len() - before, 2);
}

#[tokio::test]
async fn a_trace_that_is_read_can_be_written_again() {
    let Some(stub) = Stub::start("a_trace_that_is_read_can_be_written_again") else {
        return;
    };
    let client = stub.client();
    let mut first = trace("only known by name", "before");
    first.metadata = Some(Json::parse(r#"{"z": 1, "a": 2}"#).unwrap());
    let mut call = Span::new(SpanId::generate(), first.id, first.start_time);
    call.project_name.clone_from(&first.project_name);
    call.provider = Some("openai".to_owned());
    client
        .export(&Batch::new(vec![first.clone()], vec![call]))
        .await
        .unwrap();

    // What is read names the project by identifier only, and has what the server adds.
    let mut read = client.trace(first.id).await.unwrap().unwrap();
    assert_eq!(read.project_name, None);
    assert_eq!(read.metadata.as_ref().unwrap().as_str(), r#"{"z":1,"a":2}"#);
    read.name = Some("after".to_owned());
    read.last_updated_at = Some(Timestamp::now());
    client
        .export(&Batch::new(vec![read], vec![]))
        .await
        .unwrap();
    let mut query = TraceQuery::default();
    query.project = ProjectSelector::Name("only known by name".to_owned());
    let found = client.search_traces(&query).await.unwrap().items;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].name.as_deref(), Some("after"));
    assert_eq!(
        client
            .projects(None, Default::default())
            .await
            .unwrap()
            .total,
        1
    );
}

#[tokio::test]
async fn filters_reach_the_server_in_its_spelling() {
    let Some(stub) = Stub::start("filters_reach_the_server_in_its_spelling") else {
        return;
    };
    let client = stub.client();
    let mut tagged = trace("p", "t");
    tagged.tags = vec!["c++ 100%".to_owned()];
    client
        .export(&Batch::new(vec![tagged, trace("p", "u")], vec![]))
        .await
        .unwrap();
    let mut query = TraceQuery::default();
    let filter =
        |field, operator, value| Filter::new(Entity::Trace, field, operator, None, value).unwrap();
    query.filters = vec![
        filter("tags", Operator::Equal, "c++ 100%"),
        filter("start_time", Operator::Greater, "2024-01-01 02:00:00+02:00"),
    ];
    assert_eq!(client.search_traces(&query).await.unwrap().items.len(), 1);
    let requests = stub.requests();
    let sent = &requests.last().unwrap()["body"]["filters"];
    assert_eq!(sent[0]["value"], "c%2B%2B 100%25");
    assert_eq!(sent[1]["value"], "2024-01-01T00:00:00.000000Z");
}

#[tokio::test]
async fn what_opik_cannot_answer_is_refused_before_it_is_asked() {
    let Some(stub) = Stub::start("what_opik_cannot_answer_is_refused_before_it_is_asked") else {
        return;
    };
    let client = stub.client();
    let mut words = TraceQuery::default();
    words.text = Some("find me".to_owned());
    let mut cursor = TraceQuery::default();
    cursor.sort = Sort::by(Entity::Trace, "duration", Direction::Descending);
    cursor.page = PageRequest::after(opik_core::Cursor::new(TraceId::generate().to_string()), 10);
    for query in [words, cursor] {
        let error = client.search_traces(&query).await.unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::InvalidQuery);
    }
    assert!(stub.requests().is_empty());
}

#[tokio::test]
async fn scores_of_every_target_arrive_and_go() {
    let Some(stub) = Stub::start("scores_of_every_target_arrive_and_go") else {
        return;
    };
    let client = stub.client();
    let mut scored = trace("p", "t");
    scored.thread_id = Some("conversation".to_owned());
    let span = Span::new(SpanId::generate(), scored.id, scored.start_time);
    let targets = [
        ScoreTarget::Trace(scored.id),
        ScoreTarget::Span(span.id),
        ScoreTarget::Thread("conversation".to_owned()),
    ];
    let (trace_id, span_id) = (scored.id, span.id);
    let mut batch = Batch::new(vec![scored], vec![span]);
    for target in &targets {
        let mut record = ScoreRecord::new(target.clone(), FeedbackScore::new("good", 0.5));
        record.project_name = Some("p".to_owned());
        batch.scores.push(record);
    }
    let report = client.export(&batch).await.unwrap();
    assert_eq!((report.accepted, report.rejected.len()), (5, 0));

    let project = ProjectSelector::Name("P".to_owned());
    for expected in [1, 0] {
        let trace = client.find_trace(trace_id).await.unwrap().unwrap();
        let span = client.find_span(span_id).await.unwrap().unwrap();
        let thread = client.find_thread(&project, "conversation").await;
        let thread = thread.unwrap().unwrap();
        assert_eq!(trace.feedback_scores.len(), expected);
        assert_eq!(span.feedback_scores.len(), expected);
        assert_eq!(thread.feedback_scores.len(), expected);
        for target in &targets {
            client
                .delete_score(target, &project, "good", None)
                .await
                .unwrap();
        }
    }
}
