//! Each resource once around: made, read, listed, deleted.

use opik_core::query::ProjectSelector;
use opik_core::rest::{
    AttachmentTarget, CommentTarget, DatasetItem, DatasetRef, ExperimentItem, ExperimentScore,
    ExperimentUpdate, NewAttachment, NewDataset, NewExperiment, NewPromptVersion, PageNumber,
    PromptSelector, RestErrorKind, ThreadQuery,
};
use opik_core::{Json, Project, Span, SpanId, Timestamp, Trace, TraceId};

use crate::stub::Stub;

fn trace(thread: Option<&str>) -> Trace {
    let mut trace = Trace::new(TraceId::generate(), Timestamp::now());
    trace.thread_id = thread.map(str::to_owned);
    trace
}

fn json(text: &str) -> Json {
    Json::parse(text).unwrap()
}

#[tokio::test]
async fn the_server_says_who_it_is() {
    let Some(stub) = Stub::start("the_server_says_who_it_is") else {
        return;
    };
    let client = stub.client();
    client.ping().await.unwrap();
    client.check_access().await.unwrap();
    assert_eq!(client.server_version().await.unwrap(), "2.2.122");
    let ahead = client.server_time().await.unwrap().unwrap();
    let ahead = ahead.micros_since(Timestamp::now());
    assert!(ahead.abs() < 60_000_000, "it runs on this machine: {ahead}");
    let id = TraceId::generate();
    let link = client.trace_url(id);
    assert!(link.starts_with(client.base_url().as_str()) && link.contains(&id.to_string()));
}

#[tokio::test]
async fn traces_and_spans_one_by_one() {
    let Some(stub) = Stub::start("traces_and_spans_one_by_one") else {
        return;
    };
    let client = stub.client();
    let trace = trace(None);
    let span = Span::new(SpanId::generate(), trace.id, trace.start_time);
    assert_eq!(client.find_trace(trace.id).await.unwrap(), None);
    assert_eq!(client.find_span(span.id).await.unwrap(), None);
    client.create_trace(&trace).await.unwrap();
    client.create_span(&span).await.unwrap();
    // The same again: a conflict for a trace, nothing for a span.
    let again = client.create_trace(&trace).await.unwrap_err();
    assert_eq!(again.kind(), RestErrorKind::Conflict);
    client.create_span(&span).await.unwrap();

    let target = CommentTarget::Trace(trace.id);
    let comment = client.add_comment(&target, "look here").await.unwrap();
    let target = CommentTarget::Span(span.id);
    client.add_comment(&target, "and here").await.unwrap();
    let found = client.find_trace(trace.id).await.unwrap().unwrap();
    assert_eq!(found.span_count, Some(1));
    assert_eq!(found.comments[0].text, "look here");
    assert_eq!(found.comments[0].id.as_deref(), Some(comment.as_str()));
    let found = client.find_span(span.id).await.unwrap().unwrap();
    assert_eq!(found.project_name.as_deref(), Some(Project::DEFAULT_NAME));
    assert_eq!(found.comments[0].text, "and here");

    client.delete_traces(&[trace.id]).await.unwrap();
    assert_eq!(client.find_trace(trace.id).await.unwrap(), None);
    assert_eq!(client.find_span(span.id).await.unwrap(), None);
}

#[tokio::test]
async fn a_create_whose_answer_was_lost_is_a_success() {
    let Some(stub) = Stub::start("a_create_whose_answer_was_lost_is_a_success") else {
        return;
    };
    let client = stub.client();
    let trace = trace(None);
    client.create_trace(&trace).await.unwrap();
    // The connection breaks once, and the repetition finds what is there.
    stub.fault(&serde_json::json!({"path": "/traces$", "method": "POST", "drop": true}));
    client.create_trace(&trace).await.unwrap();
    assert_eq!(stub.requests().len(), 3);
}

#[tokio::test]
async fn a_comment_is_never_written_twice() {
    let Some(stub) = Stub::start("a_comment_is_never_written_twice") else {
        return;
    };
    let client = stub.client();
    let target = CommentTarget::Trace(TraceId::generate());
    stub.fault(&serde_json::json!({"path": "/comments$", "drop": true}));
    let error = client.add_comment(&target, "once").await.unwrap_err();
    assert_eq!(error.kind(), RestErrorKind::Interrupted);
    assert_eq!(stub.requests().len(), 1);
    // 429 says that nothing was done, so that one is repeated.
    stub.fault(&serde_json::json!({"path": "/comments$", "status": 429}));
    client.add_comment(&target, "once").await.unwrap();
    assert_eq!(stub.requests().len(), 3);
}

#[tokio::test]
async fn projects() {
    let Some(stub) = Stub::start("projects") else {
        return;
    };
    let client = stub.client();
    assert_eq!(client.find_project("Shop").await.unwrap(), None);
    client
        .create_project("Shop", Some("all of it"))
        .await
        .unwrap();
    let taken = client.create_project("SHOP", None).await.unwrap_err();
    assert_eq!(taken.kind(), RestErrorKind::Conflict);
    let found = client.find_project("shop").await.unwrap().unwrap();
    assert_eq!(found.description.as_deref(), Some("all of it"));
    let id = found.id.unwrap();
    let listed = client.projects(Some("ho"), PageNumber::default()).await;
    let listed = listed.unwrap();
    assert_eq!((listed.total, listed.content[0].id), (1, Some(id)));
    let past = client.projects(None, PageNumber::default().next()).await;
    assert!(past.unwrap().content.is_empty());
    client.delete_project(id).await.unwrap();
    client.delete_project(id).await.unwrap();
    assert_eq!(client.project(id).await.unwrap(), None);
}

#[tokio::test]
async fn threads() {
    let Some(stub) = Stub::start("threads") else {
        return;
    };
    let client = stub.client();
    for thread in ["one", "two", "three"] {
        client.create_trace(&trace(Some(thread))).await.unwrap();
    }
    let mut query = ThreadQuery::default();
    query.limit = Some(2);
    let first = client.search_threads(&query).await.unwrap();
    query.after.clone_from(&first[1].thread_model_id);
    let rest = client.search_threads(&query).await.unwrap();
    let names: Vec<_> = first
        .iter()
        .chain(&rest)
        .map(|it| it.id.as_deref())
        .collect();
    assert_eq!(names, [Some("three"), Some("two"), Some("one")]);

    let project = ProjectSelector::Any;
    let status = async || {
        let found = client.find_thread(&project, "one").await.unwrap().unwrap();
        found.status.unwrap().as_str().to_owned()
    };
    client
        .close_threads(&project, &["one".to_owned()])
        .await
        .unwrap();
    assert_eq!(status().await, "inactive");
    client.open_thread(&project, "one").await.unwrap();
    assert_eq!(status().await, "active");
    assert_eq!(client.find_thread(&project, "four").await.unwrap(), None);
    let missing = client.close_threads(&project, &["four".to_owned()]).await;
    assert_eq!(missing.unwrap_err().kind(), RestErrorKind::NotFound);
}

#[tokio::test]
async fn attachments() {
    let Some(stub) = Stub::start("attachments") else {
        return;
    };
    let client = stub.client();
    let trace = trace(None);
    client.create_trace(&trace).await.unwrap();
    let project = client.find_project(Project::DEFAULT_NAME).await.unwrap();
    let project = project.unwrap().id.unwrap();
    let target = AttachmentTarget::Trace(trace.id);
    let bytes = b"\x00\xff not a text".to_vec();
    let file = NewAttachment::new(target, "späce ü.bin", bytes.clone()).mime_type("image/png");
    client.attach(&file).await.unwrap();
    client.attach(&file).await.unwrap();
    let listed = client
        .attachments(project, target, PageNumber::default())
        .await;
    let listed = listed.unwrap();
    assert_eq!(listed.total, 1);
    let found = &listed.content[0];
    assert_eq!(found.file_name, "späce ü.bin");
    assert_eq!(found.mime_type, "image/png");
    assert_eq!(found.file_size, bytes.len() as u64);
    assert_eq!(client.fetch_attachment(found).await.unwrap(), bytes);
    let names = [found.file_name.clone()];
    client
        .delete_attachments(project, target, &names)
        .await
        .unwrap();
    assert!(!format!("{file:?}").contains("not a text"));
}

#[tokio::test]
async fn prompts() {
    let Some(stub) = Stub::start("prompts") else {
        return;
    };
    let client = stub.client();
    let latest = PromptSelector::Latest;
    assert_eq!(client.find_prompt("greet", &latest).await.unwrap(), None);
    let version = NewPromptVersion::text("Hello {{name}}").metadata(json(r#"{"v": 1}"#));
    let first = client
        .create_prompt_version("greet", &version)
        .await
        .unwrap();
    let version = NewPromptVersion::text("Bye {{name}}").change_description("politer");
    let second = client
        .create_prompt_version("greet", &version)
        .await
        .unwrap();
    assert_eq!(first.variables, Some(vec!["name".to_owned()]));
    let found = client.find_prompt("greet", &latest).await.unwrap().unwrap();
    assert_eq!(
        (found.id, found.template),
        (second.id.clone(), second.template)
    );
    let commit = first.commit.unwrap();
    let by_commit = PromptSelector::Commit(commit.clone());
    let found = client
        .find_prompt("greet", &by_commit)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.template, "Hello {{name}}");
    let by_number = PromptSelector::Number("v1".to_owned());
    let found = client
        .find_prompt("greet", &by_number)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.commit, Some(commit.clone()));

    let environments = ["production".to_owned()];
    let id = first.id.unwrap();
    client
        .set_prompt_environments(&id, &environments)
        .await
        .unwrap();
    let there = PromptSelector::Environment("production".to_owned());
    let found = client.find_prompt("greet", &there).await.unwrap().unwrap();
    assert_eq!(found.id, Some(id));

    let messages = json(r#"[{"role": "system", "content": "You are {{x}}"}]"#);
    let chat = NewPromptVersion::chat(&messages);
    let chat = client.create_prompt_version("chat", &chat).await.unwrap();
    assert_eq!(chat.template_structure.as_deref(), Some("chat"));

    let by_commit = client.prompt_by_commit(&commit).await.unwrap().unwrap();
    let requested = by_commit.requested_version.unwrap();
    assert_eq!(requested.template, "Hello {{name}}");
    let id = by_commit.id.unwrap();
    let versions = client
        .prompt_versions(&id, PageNumber::default())
        .await
        .unwrap();
    assert_eq!((versions.total, &versions.content[0].id), (2, &second.id));
    let listed = client
        .prompts(Some("gre"), PageNumber::new(1, 1))
        .await
        .unwrap();
    assert_eq!(
        (listed.total, listed.content[0].name.as_str()),
        (1, "greet")
    );
    assert_eq!(
        client.prompt(&id).await.unwrap().unwrap().version_count,
        Some(2)
    );
    client.delete_prompt(&id).await.unwrap();
    assert_eq!(client.prompt(&id).await.unwrap(), None);
}

#[tokio::test]
async fn datasets_and_experiments() {
    let Some(stub) = Stub::start("datasets_and_experiments") else {
        return;
    };
    let client = stub.client();
    assert_eq!(client.find_dataset("questions").await.unwrap(), None);
    let new = NewDataset::new("questions").description("hard ones");
    let dataset = client.create_dataset(&new).await.unwrap();
    let reference = DatasetRef::Name("questions".to_owned());
    // More than one request's worth, and still one version.
    let items: Vec<DatasetItem> = (0..1_500)
        .map(|n| DatasetItem::new(json(&format!(r#"{{"input": {n}}}"#))))
        .collect();
    let ids = client.put_dataset_items(&reference, &items).await.unwrap();
    let versions = client
        .dataset_versions(&dataset, PageNumber::default())
        .await
        .unwrap();
    assert_eq!(
        (versions.total, versions.content[0].items_total),
        (1, Some(1_500))
    );

    let first = client
        .dataset_items("questions", None, None, 1_000)
        .await
        .unwrap();
    let last = first.last().unwrap().id.as_deref();
    let rest = client
        .dataset_items("questions", None, last, 1_000)
        .await
        .unwrap();
    let mut read: Vec<String> = first
        .into_iter()
        .chain(rest)
        .filter_map(|it| it.id)
        .collect();
    let mut written = ids.clone();
    read.sort_unstable();
    written.sort_unstable();
    assert_eq!(read, written);

    let trace = trace(None);
    client.create_trace(&trace).await.unwrap();
    let new = NewExperiment::on("questions")
        .name("run 1")
        .tags(["nightly"]);
    let experiment = client.create_experiment(&new).await.unwrap();
    let run = ExperimentItem::new(&experiment, &ids[0], trace.id);
    client
        .put_experiment_items(std::slice::from_ref(&run))
        .await
        .unwrap();
    client.put_experiment_items(&[run]).await.unwrap();
    let mut update = ExperimentUpdate::default();
    update.status = Some("completed".to_owned());
    update.experiment_scores = Some(vec![ExperimentScore::new("f1", 0.75)]);
    client
        .update_experiment(&experiment, &update)
        .await
        .unwrap();
    client
        .finish_experiments(std::slice::from_ref(&experiment))
        .await
        .unwrap();
    let found = client.experiment(&experiment).await.unwrap().unwrap();
    assert_eq!(found.trace_count, Some(1));
    assert_eq!(found.status.as_deref(), Some("completed"));
    assert_eq!(found.experiment_scores.unwrap()[0].value, 0.75);
    let runs = client.experiment_items("run 1", None, 10).await.unwrap();
    assert_eq!((runs.len(), runs[0].trace_id), (1, trace.id));
    assert_eq!(client.find_experiments("run 1").await.unwrap().len(), 1);
    assert_eq!(client.find_experiments("run").await.unwrap().len(), 0);
    let listed = client
        .experiments(Some(&dataset), PageNumber::default())
        .await;
    assert_eq!(listed.unwrap().total, 1);

    client.delete_dataset_items(&ids[..3]).await.unwrap();
    let found = client.find_dataset("questions").await.unwrap().unwrap();
    assert_eq!(found.dataset_items_count, Some(1_497));
    client
        .delete_experiments(std::slice::from_ref(&experiment))
        .await
        .unwrap();
    assert_eq!(client.experiment(&experiment).await.unwrap(), None);
    client.delete_dataset(&dataset).await.unwrap();
    let listed = client.datasets(Some("quest"), PageNumber::default()).await;
    assert_eq!(listed.unwrap().total, 0);
}
