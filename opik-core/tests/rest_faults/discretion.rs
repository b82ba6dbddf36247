//! Keys and content stay where they belong.

use opik_core::rest::{ClientError, OpikClient};
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
