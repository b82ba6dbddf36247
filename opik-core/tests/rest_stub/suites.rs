//! The REST client keeps what `Exporter` and `TraceSource` promise, against the stub server.

use std::sync::Arc;

use crate::stub::Stub;
use opik_core::rest::{AttachmentTarget, OpikClient, PageNumber};
use opik_core::wire::WireAttachment;
use opik_testkit::{Place, Skip, exporter_suite, source_suite, wire_suite};

fn place(stub: &Arc<Stub>) -> Place {
    stub.reset();
    Place::of(stub.client()).keeping(Arc::clone(stub))
}

#[tokio::test]
async fn the_client_is_an_exporter() {
    let Some(stub) = Stub::start("the_client_is_an_exporter") else {
        return;
    };
    let stub = Arc::new(stub);
    let skips: [Skip; 4] = [
        (
            "content_is_kept_to_the_letter",
            "Opik parses JSON and writes it anew: values and order of keys stay, spelling does not",
        ),
        (
            "unknown_fields_are_kept",
            "Opik ignores fields that it does not know",
        ),
        (
            "an_older_score_changes_nothing",
            "scores have no moment on Opik's wire: the last to arrive stays",
        ),
        (
            "scores_of_several_authors_are_averaged",
            "the stub knows one author",
        ),
    ];
    exporter_suite(|| async { place(&stub) }, &skips)
        .await
        .assert_ok();
}

#[tokio::test]
async fn the_client_is_a_trace_source() {
    let Some(stub) = Stub::start("the_client_is_a_trace_source") else {
        return;
    };
    let stub = Arc::new(stub);
    let skips: [Skip; 1] = [(
        "words_are_found_in_names_and_content",
        "Opik promises no search for words: the client answers InvalidQuery",
    )];
    source_suite(|| async { place(&stub) }, &skips)
        .await
        .assert_ok();
}

#[tokio::test]
async fn the_client_takes_encoded_rows() {
    let Some(stub) = Stub::start("the_client_takes_encoded_rows") else {
        return;
    };
    let stub = Arc::new(stub);
    let make = || async {
        let client = stub.client();
        place(&stub).reading_files(move |file| {
            let client = client.clone();
            async move { read_file(&client, &file).await }
        })
    };
    wire_suite(make, &[]).await.assert_ok();
}

/// What the server has of a file.
async fn read_file(client: &OpikClient, file: &WireAttachment) -> Option<Vec<u8>> {
    let project = client.find_project(file.project_name.as_deref()?).await;
    let target = match file.span {
        Some(span) => AttachmentTarget::Span(span),
        None => AttachmentTarget::Trace(file.trace),
    };
    let project = project.ok()??.id?;
    let listed = client
        .attachments(project, target, PageNumber::default())
        .await
        .ok()?;
    let named = listed.content.into_iter();
    let mut named = named.filter(|other| other.file_name == file.file_name);
    let found = named.next()?;
    assert!(named.next().is_none(), "a name is there once");
    client.fetch_attachment(&found).await.ok()
}
