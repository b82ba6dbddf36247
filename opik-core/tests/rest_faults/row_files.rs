//! Files that travel with rows, and files inside of content.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opik_core::exporter::ExportErrorKind;
use opik_core::rest::RetryPolicy;
use opik_core::wire::{FieldLimits, List, WireAttachment, WireBatch, WireExporter};
use opik_core::{Batch, Exporter, Json, Span, SpanId, Timestamp};
use serde_json::json;
use wiremock::matchers::{method, path_regex};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::rows::rows;
use super::{BATCH, InTurn, body, builder, client, requests, status, trace};

const START: &str = "/api/v1/private/attachment/upload-start";
const UPLOAD: &str = "/api/v1/private/attachment/upload";

/// A server that takes rows as the first answer says, starts of uploads as the second and files as
/// the third.
async fn server(
    rows: Vec<ResponseTemplate>,
    start: Vec<ResponseTemplate>,
    file: Vec<ResponseTemplate>,
) -> MockServer {
    let server = MockServer::start().await;
    let place = format!("{}{UPLOAD}?file_name=f.png", server.uri());
    let started = json!({"upload_id": "BEMinIO", "pre_sign_urls": [place]});
    let start = if start.is_empty() {
        vec![status(200).set_body_json(started)]
    } else {
        start
    };
    let batches = "/api/v1/private/(traces|spans)/batch";
    for (verb, place, answers) in [
        ("POST", batches, rows),
        ("POST", START, start),
        ("PUT", UPLOAD, file),
    ] {
        Mock::given(method(verb))
            .and(path_regex(format!("^{place}$")))
            .respond_with(InTurn(answers, 0.into()))
            .mount(&server)
            .await;
    }
    server
}

fn good() -> Vec<ResponseTemplate> {
    vec![status(204)]
}

/// A row with two files: one of its trace, one of a span of it.
fn batch() -> WireBatch {
    let trace = trace();
    let mut batch = WireBatch::default();
    batch
        .push_trace(&trace, Some("p"), Timestamp::now())
        .unwrap();
    let file = WireAttachment::new(trace.id, "a.png", "image/png", vec![1, 2, 3]);
    let mut of_span = WireAttachment::new(trace.id, "b.pdf", "application/pdf", vec![4; 10]);
    of_span.span = Some(SpanId::generate());
    of_span.project_name = Some("p".to_owned());
    batch.attachments = vec![file, of_span];
    batch
}

#[tokio::test]
async fn files_go_up_after_the_rows_and_each_counts_as_one() {
    let server = server(good(), vec![], good()).await;
    let client = builder(&server.uri()).project_name("of the client").build();
    let batch = batch();
    let report = client.unwrap().export_rows(&batch).await.unwrap();
    assert_eq!((report.accepted, report.rejected.len()), (3, 0));
    let sent = requests(&server).await;
    let paths: Vec<&str> = sent.iter().map(|request| request.url.path()).collect();
    assert_eq!(paths, [BATCH, START, UPLOAD, START, UPLOAD]);
    let [first, second] = [body(&sent[1]), body(&sent[3])];
    assert_eq!(first["entity_type"], "trace");
    assert_eq!(first["project_name"], "of the client");
    assert_eq!(first["mime_type"], "image/png");
    assert_eq!(first["num_of_file_parts"], 1);
    let span = batch.attachments[1].span.unwrap();
    assert_eq!(second["entity_type"], "span");
    assert_eq!(second["entity_id"], span.to_string());
    assert_eq!(second["project_name"], "p");
    assert_eq!(sent[2].body, [1, 2, 3]);
    assert_eq!(sent[4].body, [4; 10]);
}

#[tokio::test]
async fn a_refused_file_is_rejected_and_costs_nothing_else() {
    let taken = |server: &MockServer| {
        let place = format!("{}{UPLOAD}", server.uri());
        status(200).set_body_json(json!({"upload_id": "BEMinIO", "pre_sign_urls": [place]}))
    };
    for code in [400, 403, 404, 413, 422] {
        let refused = server(good(), vec![], vec![status(code), status(204)]).await;
        let report = client(&refused).export_rows(&batch()).await.unwrap();
        assert_eq!((report.accepted, report.rejected.len()), (2, 1), "{code}");
        let reason = &report.rejected[0].reason;
        assert!(reason.ends_with(&code.to_string()), "{reason}");

        let other = MockServer::start().await;
        let start = vec![status(code), taken(&other)];
        Mock::given(method("PUT"))
            .respond_with(status(204))
            .mount(&other)
            .await;
        let refused = server(good(), start, good()).await;
        let batch = batch();
        let report = client(&refused).export_rows(&batch).await.unwrap();
        assert_eq!((report.accepted, report.rejected.len()), (2, 1), "{code}");
        let of = format!("attachment of trace {}", batch.attachments[0].trace);
        assert_eq!(report.rejected[0].record, of);
        assert_eq!(requests(&other).await.len(), 1);
    }
}

#[tokio::test]
async fn a_failure_that_may_pass_is_repeated_and_then_an_error() {
    let flaky = server(good(), vec![], vec![status(503), status(204)]).await;
    let report = client(&flaky).export_rows(&batch()).await.unwrap();
    assert_eq!(report.accepted, 3);

    for code in [500, 503, 429] {
        let down = server(good(), vec![status(code)], good()).await;
        let error = client(&down).export_rows(&batch()).await.unwrap_err();
        assert!(error.is_retryable(), "{code}");
        // The rows once, the start of the first upload three times, and no more.
        assert_eq!(requests(&down).await.len(), 4);
    }
    let lost = server(good(), vec![], vec![status(504), status(409)]).await;
    let mut batch = batch();
    batch.attachments.truncate(1);
    let report = client(&lost).export_rows(&batch).await.unwrap();
    assert_eq!(report.accepted, 2, "it had arrived before");
}

#[tokio::test]
async fn a_repetition_goes_on_where_the_first_attempt_ended() {
    let flaky = server(
        good(),
        vec![],
        vec![status(204), status(401), status(503), status(204)],
    );
    let flaky = flaky.await;
    let client = builder(&flaky.uri()).retry(RetryPolicy::none()).build();
    let (client, mut batch) = (client.unwrap(), batch());
    let third = WireAttachment::new(batch.attachments[0].trace, "c.png", "image/png", vec![5]);
    batch.attachments.push(third);
    let uploads = async || {
        let sent = requests(&flaky).await;
        let files = sent.iter().filter(|request| request.url.path() == UPLOAD);
        files.map(|request| request.body[0]).collect::<Vec<u8>>()
    };
    let error = client.export_rows(&batch).await.unwrap_err();
    assert!(error.is_retryable());
    assert_eq!(uploads().await, [1, 4, 5]);
    let report = client.export_rows(&batch).await.unwrap();
    assert_eq!((report.accepted, report.rejected.len()), (4, 0));
    assert_eq!(uploads().await, [1, 4, 5, 4, 5], "the first file once");
    client.export_rows(&batch).await.unwrap();
    assert_eq!(
        uploads().await,
        [1, 4, 5, 4, 5, 1, 4, 5],
        "all of a batch that was through"
    );
}

#[tokio::test]
async fn what_is_refused_gets_no_file() {
    let server = server(vec![status(422)], vec![], good()).await;
    let mut batch = batch();
    batch.attachments.truncate(1);
    let report = client(&server).export_rows(&batch).await.unwrap();
    assert_eq!((report.accepted, report.rejected.len()), (0, 2));
    assert_eq!(requests(&server).await.len(), 1);
}

#[tokio::test]
async fn without_the_rows_no_file_goes_up() {
    let server = server(vec![status(503)], vec![], good()).await;
    let error = client(&server).export_rows(&batch()).await.unwrap_err();
    assert_eq!(error.kind(), ExportErrorKind::Unavailable);
    let sent = requests(&server).await;
    assert!(sent.iter().all(|request| request.url.path() == BATCH));
}

#[tokio::test]
async fn files_alone_are_a_batch() {
    let server = server(vec![], vec![], good()).await;
    let mut batch = batch();
    batch.rows_mut(List::Traces).clear();
    let report = client(&server).export_rows(&batch).await.unwrap();
    assert_eq!(report.accepted, 2);
}

/// A batch with a picture of 200,000 bytes inside of the input of a span, twice.
fn with_picture() -> (Batch, Vec<u8>) {
    let picture = [b"\x89PNG\r\n\x1a\n".as_slice(), &[7; 200_000]].concat();
    let input = json!({"image": {"url": STANDARD.encode(&picture)}, "n": 1});
    let trace = trace();
    let mut span = Span::new(SpanId::generate(), trace.id, trace.start_time);
    span.input = Some(Json::from_value(&input));
    let mut done = span.clone();
    done.end_time = Some(trace.start_time.plus_micros(9));
    (Batch::new(vec![trace], vec![span, done]), picture)
}

#[tokio::test]
async fn a_picture_inside_of_content_becomes_a_file() {
    let server = server(good(), vec![], good()).await;
    let (batch, picture) = with_picture();
    let report = client(&server).export(&batch).await.unwrap();
    assert_eq!((report.accepted, report.rejected.len()), (3, 0));
    let sent = requests(&server).await;
    let paths: Vec<&str> = sent.iter().map(|request| request.url.path()).collect();
    let spans = "/api/v1/private/spans/batch";
    assert_eq!(
        paths,
        [BATCH, spans, START, UPLOAD],
        "one file for both rows"
    );
    let start = body(&sent[2]);
    assert_eq!(start["entity_id"], batch.spans[0].id.to_string());
    let name = start["file_name"].as_str().unwrap();
    for row in body(&sent[1])["spans"].as_array().unwrap() {
        assert_eq!(
            row["input"],
            json!({"image": {"url": format!("[{name}]")}, "n": 1})
        );
    }
    assert!(sent[3].body == picture);
}

#[tokio::test]
async fn a_record_whose_file_is_refused_counts_once() {
    let server = server(good(), vec![], vec![status(413)]).await;
    let (mut batch, _) = with_picture();
    batch.spans.truncate(1);
    let report = client(&server).export(&batch).await.unwrap();
    assert_eq!((report.accepted, report.rejected.len()), (1, 1));
    let span = format!("span {}", batch.spans[0].id);
    assert_eq!(report.rejected[0].record, span);
}

#[tokio::test]
async fn limits_can_be_set_and_lifted() {
    for (limits, expected) in [
        (FieldLimits::none(), None),
        (
            FieldLimits::default()
                .extract_files(false)
                .max_field_bytes(100_000),
            Some(true),
        ),
    ] {
        let server = server(good(), vec![], good()).await;
        let client = builder(&server.uri()).field_limits(limits).build().unwrap();
        let (batch, _) = with_picture();
        client.export(&batch).await.unwrap();
        let sent = requests(&server).await;
        assert_eq!(sent.len(), 2, "no upload");
        let input = &body(&sent[1])["spans"][0]["input"];
        assert_eq!(
            input
                .get("opik_truncated")
                .and_then(serde_json::Value::as_bool),
            expected
        );
    }
}

#[tokio::test]
async fn rows_that_are_encoded_already_are_sent_to_the_letter() {
    let server = server(good(), vec![], good()).await;
    let (batch, _) = with_picture();
    let mut encoded = rows([]);
    encoded
        .push_span(&batch.spans[0], None, Timestamp::now())
        .unwrap();
    let client = builder(&server.uri()).compression(false).build().unwrap();
    client.export_rows(&encoded).await.unwrap();
    let text = encoded.rows(List::Spans).text_of(&(0..1));
    assert!(requests(&server).await[0].body == [b"{\"spans\":[", text, b"]}"].concat());
}
