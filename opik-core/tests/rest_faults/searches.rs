//! Searches end, whatever the server answers.

use opik_core::query::{
    Direction, Entity, Filter, Operator, ProjectSelector, Sort, SpanQuery, TraceQuery,
};
use opik_core::source::SourceErrorKind;
use opik_core::{PageRequest, ProjectId, Timestamp, TraceId, TraceSource};
use serde_json::json;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::{body, client, requests, status};

/// A server with endless records: as many as are asked for, each below the last.
async fn endless(heeds_cursor: bool) -> MockServer {
    let server = MockServer::start().await;
    for endpoint in ["traces", "spans"] {
        Mock::given(method("POST"))
            .and(path(format!("/api/v1/private/{endpoint}/search")))
            .respond_with(move |request: &Request| records(&body(request), heeds_cursor))
            .mount(&server)
            .await;
    }
    server
}

fn records(search: &serde_json::Value, heeds_cursor: bool) -> ResponseTemplate {
    let last = search["last_retrieved_id"]
        .as_str()
        .filter(|_| heeds_cursor);
    let top = last.map_or(4_000_000_000_000, |id| {
        let id: TraceId = id.parse().unwrap();
        id.timestamp().unwrap().as_micros() / 1_000
    });
    let lines = (1..=search["limit"].as_i64().unwrap()).map(|below| {
        let at = Timestamp::from_micros((top - below) * 1_000);
        let id = TraceId::from_parts(at, 4);
        let row = json!({"id": id, "trace_id": id, "start_time": at});
        format!("{row}\r\n")
    });
    let lines: String = lines.collect();
    status(200).set_body_raw(lines.into_bytes(), "application/octet-stream")
}

fn named() -> ProjectSelector {
    ProjectSelector::Name("p".to_owned())
}

#[tokio::test]
async fn too_many_matches_to_sort_are_refused() {
    let server = endless(true).await;
    let mut query = TraceQuery::default();
    query.project = named();
    query.sort = Sort::by(Entity::Trace, "duration", Direction::Descending);
    let error = client(&server).search_traces(&query).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::InvalidQuery);
    assert!(error.to_string().contains("10000"), "{error}");
    assert_eq!(requests(&server).await.len(), 6);
}

#[tokio::test]
async fn a_condition_that_nothing_fits_ends() {
    let server = endless(true).await;
    let mut query = SpanQuery::default();
    query.project = named();
    let parent = TraceId::generate().to_string();
    let filter = Filter::new(
        Entity::Span,
        "parent_span_id",
        Operator::Equal,
        None,
        &parent,
    );
    query.filters = vec![filter.unwrap()];
    query.page = PageRequest::first(10);
    let error = client(&server).search_spans(&query).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::InvalidQuery);
    assert_eq!(requests(&server).await.len(), 50);
}

#[tokio::test]
async fn a_server_that_ignores_the_cursor_is_noticed() {
    let server = endless(false).await;
    let mut query = TraceQuery::default();
    query.project = named();
    query.page = PageRequest::first(10);
    let first = client(&server).search_traces(&query).await.unwrap();
    query.page = PageRequest::after(first.next.unwrap(), 10);
    let error = client(&server).search_traces(&query).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Corrupt);
}

#[tokio::test]
async fn a_workspace_of_too_many_projects_needs_a_name() {
    let server = MockServer::start().await;
    let content: Vec<_> = (0..100_i64)
        .map(|n| json!({"name": format!("p{n}"), "id": ProjectId::generate()}))
        .collect();
    let listing = json!({"page": 1, "size": 100, "total": 101, "content": content});
    Mock::given(method("GET"))
        .and(path("/api/v1/private/projects"))
        .respond_with(status(200).set_body_json(listing))
        .mount(&server)
        .await;
    let error = client(&server).search_traces(&TraceQuery::default()).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::InvalidQuery);
    assert!(error.to_string().contains("name one"), "{error}");
    assert_eq!(requests(&server).await.len(), 1);
}
