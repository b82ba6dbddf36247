//! Keys and content stay where they belong.

use opik_core::rest::{
    ClientError, Dataset, DatasetItem, DatasetVersion, Experiment, ExperimentItem, NewDataset,
    NewExperiment, NewPromptVersion, OpikClient, Prompt, PromptVersion,
};
use opik_core::{Exporter, Json, TraceId};
use serde_json::json;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer};

use super::{builder, status, traces};

const KEY: &str = "opik-key-0123456789";
const PROMPT: &str = "the patient said something private";

/// The text of an error, of its causes, and of its `Debug`.
fn all_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = format!("{error:?}");
    let mut cause = Some(error);
    while let Some(error) = cause {
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn no_error_and_no_debug_shows_the_key_or_content() {
    let echo = json!({"errors": [format!("Unrecognized token {PROMPT}")]});
    for code in [200, 302, 400, 401, 404, 409, 413, 422, 429, 500, 501] {
        let server = MockServer::start().await;
        let answer = status(code).set_body_json(&echo);
        Mock::given(any()).respond_with(answer).mount(&server).await;
        let client = builder(&server.uri()).api_key(KEY).build().unwrap();
        let mut batch = traces(2);
        for trace in &mut batch.traces {
            trace.input = Some(Json::string(PROMPT));
            trace.name = Some(PROMPT.to_owned());
        }
        let exported = match client.export(&batch).await {
            Ok(report) => format!("{report:?}"),
            Err(error) => all_of(&error),
        };
        let read = client.find_trace(TraceId::generate()).await;
        let read = read.map_or_else(|error| all_of(&error), |_| String::new());
        let client = format!("{client:?}");
        for text in [exported, read, client] {
            assert!(
                !text.contains(KEY) && !text.contains("private said"),
                "{text}"
            );
            assert!(!text.contains("patient"), "{code}: {text}");
        }
    }
}

#[tokio::test]
async fn what_cannot_connect_does_not_show_what_was_asked() {
    let client = builder("http://127.0.0.1:9").api_key(KEY).build().unwrap();
    let error = client.prompts(Some(PROMPT), Default::default()).await;
    let text = all_of(&error.unwrap_err());
    assert!(!text.contains("patient") && !text.contains(KEY), "{text}");
}

#[test]
fn settings_do_not_show_the_key_and_unusable_ones_are_named() {
    let settings = OpikClient::builder("http://localhost").api_key(KEY);
    assert!(!format!("{settings:?}").contains(KEY));
    let error = settings.api_key("a\nb").build().unwrap_err();
    assert!(matches!(error, ClientError::Header("API key")), "{error}");
    let workspace = OpikClient::builder("http://localhost").workspace("a\u{7f}b");
    let error = workspace.build().unwrap_err();
    assert!(matches!(error, ClientError::Header("workspace")), "{error}");
    let error = OpikClient::builder("localhost:5173").build().unwrap_err();
    assert!(matches!(error, ClientError::BaseUrl(_)), "{error}");
}

#[test]
fn records_show_what_identifies_them_and_no_content() {
    fn shown<T: serde::de::DeserializeOwned + std::fmt::Debug>() -> String {
        let mut record = json!({
            "id": "id-1", "name": "name-1", "experiment_id": "e", "dataset_item_id": "d",
            "trace_id": TraceId::generate(), "source": "sdk", "template": PROMPT,
            "data": {"a": PROMPT}, "field_of_tomorrow": PROMPT,
        });
        for field in [
            "description",
            "change_description",
            "input",
            "output",
            "metadata",
        ] {
            record[field] = json!(PROMPT);
        }
        record["tags"] = json!([PROMPT]);
        let record: T = serde_json::from_value(record).unwrap();
        format!("{record:?}")
    }
    for text in [
        shown::<Dataset>(),
        shown::<DatasetVersion>(),
        shown::<DatasetItem>(),
        shown::<Prompt>(),
        shown::<PromptVersion>(),
        shown::<Experiment>(),
        shown::<ExperimentItem>(),
        format!(
            "{:?}",
            NewDataset::new("n").description(PROMPT).tags([PROMPT])
        ),
        format!("{:?}", NewExperiment::on("n").tags([PROMPT])),
        format!(
            "{:?}",
            NewPromptVersion::text(PROMPT).change_description(PROMPT)
        ),
    ] {
        assert!(!text.contains("patient"), "{text}");
        assert!(text.contains("id: ") || text.contains("bytes: "), "{text}");
    }
}
