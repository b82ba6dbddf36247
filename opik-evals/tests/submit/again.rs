//! Submissions that break off, and submissions that are made again.

use std::path::PathBuf;

use opik_core::rest::RestErrorKind;
use opik_evals::experiment::{Experiment, FnTask, Run, Stop, TaskError};
use opik_evals::submit::{Submission, SubmitError};
use opik_testkit::StubServer;
use serde_json::{Value, json};

use crate::scene::{DATASET, builder, client, experiment, sent};

/// What the server holds, without the moments at which it got it.
fn held(stub: &StubServer) -> Value {
    fn timeless(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for name in [
                    "created_at",
                    "last_updated_at",
                    "version_hash",
                    "_group",
                    "_seq",
                ] {
                    fields.remove(name);
                }
                fields.values_mut().for_each(timeless);
            }
            Value::Array(items) => items.iter_mut().for_each(timeless),
            _ => {}
        }
    }
    let mut state = stub.state().unwrap();
    timeless(&mut state);
    state
}

async fn in_a_file(experiment: Experiment) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.jsonl");
    experiment.file(&file).run().await.unwrap();
    (folder, file)
}

#[tokio::test]
async fn the_same_run_again_changes_nothing() {
    let Some(stub) = StubServer::start("the_same_run_again_changes_nothing").unwrap() else {
        return;
    };
    let (_folder, file) = in_a_file(experiment()).await;
    let submission = Submission::new(client(&stub));
    let first = submission.file(&file).await.unwrap();
    let (state, requests) = (held(&stub), stub.requests().unwrap().len());
    let second = submission.file(&file).await.unwrap();
    assert_eq!((second.trials, second.earlier, second.new_items), (0, 3, 0));
    assert_eq!(second.experiment_id, first.experiment_id);
    assert_eq!(held(&stub), state);
    let new = stub.requests().unwrap().split_off(requests);
    assert!(sent(&new, "/traces/batch", "traces").is_empty());
    // Without the notes of the file everything is sent, and comes to the same.
    submission.run(&Run::read(&file).unwrap()).await.unwrap();
    assert_eq!(held(&stub), state);
    // A second run uses the items that are there.
    let (_other, other) = in_a_file(experiment()).await;
    let third = submission.file(&other).await.unwrap();
    assert_eq!(
        (third.new_items, third.dataset_id == first.dataset_id),
        (0, true)
    );
    assert_ne!(third.experiment_id, first.experiment_id);
}

#[tokio::test]
async fn a_submission_that_breaks_anywhere_is_done_by_doing_it_again() {
    let test = "a_submission_that_breaks_anywhere_is_done_by_doing_it_again";
    let Some(stub) = StubServer::start(test).unwrap() else {
        return;
    };
    let (_folder, file) = in_a_file(experiment().repeats(3)).await;
    let whole = {
        Submission::new(client(&stub))
            .run(&Run::read(&file).unwrap())
            .await
            .unwrap();
        let state = held(&stub);
        stub.reset().unwrap();
        state
    };
    let impatient = || {
        builder(&stub)
            .retry(opik_core::rest::RetryPolicy::none())
            .build()
            .unwrap()
    };
    let submission = Submission::new(impatient()).batch(2);
    let mut broken = 0;
    for path in [
        "/datasets/retrieve$",
        "/datasets$",
        "/datasets/items$",
        "/versions$",
        "/experiments$",
        "/traces/batch$",
        "/spans/batch$",
        "/traces/feedback-scores$",
        "/experiments/items$",
        "/experiments/finish$",
    ] {
        stub.fault(&json!({ "path": path, "status": 503, "times": 1 }))
            .unwrap();
        match submission.file(&file).await {
            Err(error) => {
                assert!(error.is_retryable(), "{error}");
                broken += 1;
            }
            Ok(_) => stub.clear_faults().unwrap(),
        }
    }
    assert!(broken >= 8, "{broken}");
    submission.file(&file).await.unwrap();
    let state = held(&stub);
    for part in ["traces", "spans"] {
        assert_eq!(state[part], whole[part], "{part}");
    }
    let client = client(&stub);
    let items = client.experiment_items("exp1", None, 100).await.unwrap();
    assert_eq!(items.len(), 9);
    let dataset = client.find_dataset(DATASET).await.unwrap().unwrap();
    assert_eq!(dataset.dataset_items_count, Some(3));
}

#[tokio::test]
async fn a_server_that_is_down_is_said_clearly_and_costs_nothing() {
    let port = opik_testkit::doubles::free_port().unwrap();
    let client = opik_core::rest::OpikClient::builder(format!("http://127.0.0.1:{port}/api"))
        .retry(opik_core::rest::RetryPolicy::none())
        .proxies(false)
        .build()
        .unwrap();
    let (_folder, file) = in_a_file(experiment()).await;
    let before = std::fs::read(&file).unwrap();
    let error = Submission::new(client).file(&file).await.unwrap_err();
    assert!(error.is_retryable());
    assert_eq!(error.to_string(), "cannot look for the dataset");
    let SubmitError::Server { source, .. } = error else {
        panic!("another error");
    };
    assert_eq!(source.kind(), RestErrorKind::Connect);
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[tokio::test]
async fn a_run_that_goes_on_is_sent_again_as_it_is_then() {
    let Some(stub) = StubServer::start("a_run_that_goes_on_is_sent_again_as_it_is_then").unwrap()
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.jsonl");
    let stop = Stop::new();
    let handle = stop.clone();
    let stopped = experiment()
        .concurrency(1)
        .stop(stop)
        .on_progress(move |_| handle.stop());
    assert_eq!(stopped.file(&file).run().await.unwrap().not_run(), 2);
    let submission = Submission::new(client(&stub));
    submission.file(&file).await.unwrap();
    assert!(
        !stub
            .requests()
            .unwrap()
            .iter()
            .any(|request| request["path"].as_str().unwrap().ends_with("/finish"))
    );
    experiment().file(&file).run().await.unwrap();
    let report = submission.file(&file).await.unwrap();
    assert_eq!((report.trials, report.earlier), (3, 0));
    let items = client(&stub)
        .experiment_items("exp1", None, 100)
        .await
        .unwrap();
    assert_eq!(items.len(), 3);
    assert!(
        stub.requests()
            .unwrap()
            .iter()
            .any(|request| request["path"].as_str().unwrap().ends_with("/finish"))
    );
}

#[tokio::test]
async fn a_failed_trial_arrives_with_its_error_and_without_output_or_scores() {
    let test = "a_failed_trial_arrives_with_its_error_and_without_output_or_scores";
    let Some(stub) = StubServer::start(test).unwrap() else {
        return;
    };
    let task = FnTask::new(|_| async { Err(TaskError::new("out of luck")) });
    let run = experiment().task(task).run().await.unwrap();
    Submission::new(client(&stub)).run(&run).await.unwrap();
    let requests = stub.requests().unwrap();
    let traces = sent(&requests, "/traces/batch", "traces");
    assert_eq!(traces.len(), 3);
    for trace in &traces {
        assert_eq!(trace["error_info"]["message"], "out of luck");
        assert!(trace.get("output").is_none());
    }
    assert!(sent(&requests, "/traces/feedback-scores", "scores").is_empty());
    assert_eq!(
        sent(&requests, "/experiments/items", "experiment_items").len(),
        3
    );
}
