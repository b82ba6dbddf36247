//! Requests as they arrive: Opik's proxy for each user, keys, addresses.

use futures_util::StreamExt as _;
use opik_core::chat::ReasoningEffort;
use opik_core::session::ToolCall;
use opik_core::{ChatEvent, ChatModel, Json, Message, Part, Role, Secret};
use opik_models::{AnthropicModel, Caller, OpikProxy};
use serde_json::Value;

use crate::fake::{Fake, answer};
use crate::fixture;
use crate::hostile::{ask, question};
use crate::in_time;
use crate::wire::{Client, KEY, Wire, http};

const YES: &str = r#"{"choices":[{"message":{"content":"Yes"},"finish_reason":"stop"}]}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_user_of_the_proxy_is_asked_for_with_cookie_and_workspace() {
    let fake = Fake::always(answer(200, "application/json", YES)).await;
    // A slash at the end makes no difference.
    let proxy = OpikProxy::new(&http(), &format!("{}/", fake.url)).unwrap();
    let callers = [
        Caller::default()
            .session_token(Secret::new("abc/def=="))
            .workspace("blue"),
        Caller::default()
            .session_token(Secret::new("other"))
            .workspace("red"),
        Caller::default(),
        Caller::default().api_key(Secret::new("opik-key")),
    ];
    for caller in &callers {
        let model = proxy.model("openai/gpt-4.1", caller).unwrap();
        assert_eq!(in_time(ask(&model)).await, ["text \"Yes\"", "finish Stop"]);
    }
    let seen: Vec<[Option<String>; 3]> = fake
        .requests()
        .iter()
        .map(|request| {
            assert_eq!(request.line, "POST /v1/private/chat/completions HTTP/1.1");
            ["authorization", "cookie", "comet-workspace"]
                .map(|name| request.header(name).map(str::to_owned))
        })
        .collect();
    let seen: Vec<[Option<&str>; 3]> = seen
        .iter()
        .map(|three| three.each_ref().map(Option::as_deref))
        .collect();
    assert_eq!(
        seen,
        [
            [
                Some("Bearer not-checked"),
                Some("sessionToken=abc/def=="),
                Some("blue")
            ],
            [
                Some("Bearer not-checked"),
                Some("sessionToken=other"),
                Some("red")
            ],
            [Some("Bearer not-checked"), None, None],
            [Some("opik-key"), None, None],
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn defect_27_models_of_every_provider_go_through_the_proxy_by_bare_names() {
    let fake = Fake::always(answer(200, "application/json", YES)).await;
    let proxy = OpikProxy::new(&http(), &fake.url).unwrap();
    let names = [
        ("openai/gpt-4.1", "gpt-4.1"),
        ("opik/openai/gpt-4.1", "gpt-4.1"),
        ("gpt-4.1", "gpt-4.1"),
        ("anthropic/claude-x", "claude-x"),
        ("gemini/gemini-x", "gemini-x"),
        ("openai/custom-llm/my/model", "custom-llm/my/model"),
        ("custom-llm/my/model", "custom-llm/my/model"),
        ("openai/anthropic/claude-x", "anthropic/claude-x"),
    ];
    for (name, _) in names {
        in_time(ask(&proxy.model(name, &Caller::default()).unwrap())).await;
    }
    for ((_, sent), request) in names.iter().zip(fake.requests()) {
        let expected = format!(
            r#"{{"messages":[{{"role":"user","content":"zq-question"}}],"model":"{sent}","stream":true}}"#
        );
        assert_eq!(request.body, expected);
    }
    assert!(proxy.model("openai/", &Caller::default()).is_err());
    for (token, workspace) in [("a;b", "w"), ("a\r\nx: y", "w"), ("a", "w\n")] {
        let caller = Caller::default()
            .session_token(Secret::new(token))
            .workspace(workspace);
        let error = proxy.model("gpt-4.1", &caller).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("characters that cannot be sent in a header"),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn defect_28_token_counts_are_asked_for_and_a_refusal_costs_no_answer() {
    let refusals = [
        answer(
            400,
            "application/json",
            r#"{"code":400,"message":"Unrecognized request argument"}"#,
        ),
        answer(
            200,
            "text/event-stream",
            "data: {\"error\":{\"message\":\"no stream_options\",\"type\":\"invalid_request_error\",\"code\":400}}\n\n",
        ),
    ];
    for refusal in refusals {
        let fake = Fake::start(move |request| {
            if request
                .body
                .contains("\"stream_options\":{\"include_usage\":true}")
            {
                refusal.clone()
            } else {
                answer(200, "application/json", YES)
            }
        })
        .await;
        let proxy = OpikProxy::new(&http(), &fake.url).unwrap().usage(true);
        // A model is made for each question, and what was refused once is not asked for again.
        for asked in [2, 3] {
            let model = proxy.model("openai/gpt-4.1", &Caller::default()).unwrap();
            assert_eq!(in_time(ask(&model)).await, ["text \"Yes\"", "finish Stop"]);
            assert_eq!(fake.requests().len(), asked);
        }
        let model = proxy.model("openai/other", &Caller::default()).unwrap();
        in_time(ask(&model)).await;
        assert_eq!(fake.requests().len(), 5);
    }
    let counted = r#"{"choices":[{"message":{"content":"Yes"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#;
    let fake = Fake::always(answer(200, "application/json", counted)).await;
    let proxy = OpikProxy::new(&http(), &fake.url).unwrap().usage(true);
    let model = proxy.model("openai/gpt-4.1", &Caller::default()).unwrap();
    let told = in_time(ask(&model)).await;
    assert!(
        told.iter().any(|event| event.starts_with("usage")),
        "{told:?}"
    );
    assert_eq!(fake.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_provider_gets_its_key_in_a_header_and_its_endpoint() {
    for (wire, whole, line, header, value) in [
        (
            Wire::OpenAi,
            false,
            "POST /v1/chat/completions HTTP/1.1",
            "authorization",
            format!("Bearer {KEY}"),
        ),
        (
            Wire::Anthropic,
            false,
            "POST /v1/messages HTTP/1.1",
            "x-api-key",
            KEY.to_owned(),
        ),
        (
            Wire::Anthropic,
            true,
            "POST /v1/messages HTTP/1.1",
            "anthropic-version",
            "2023-06-01".to_owned(),
        ),
        (
            Wire::Gemini,
            false,
            "POST /v1beta/models/gemini-x:streamGenerateContent?alt=sse HTTP/1.1",
            "x-goog-api-key",
            KEY.to_owned(),
        ),
        (
            Wire::Gemini,
            true,
            "POST /v1beta/models/gemini-x:generateContent HTTP/1.1",
            "x-goog-api-key",
            KEY.to_owned(),
        ),
    ] {
        let fake = Fake::always(answer(500, "text/plain", "")).await;
        in_time(ask(&*Client(wire, whole).model(&http(), &fake.url))).await;
        let request = fake.requests().remove(0);
        assert_eq!(
            (request.line.as_str(), request.header(header)),
            (line, Some(value.as_str()))
        );
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert!(serde_json::from_str::<Value>(&request.body).is_ok());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signed_thoughts_go_back_with_the_results_of_their_tools() {
    let fixtures = fixture::all();
    let whole = fixtures
        .iter()
        .find(|fixture| fixture.name == "anthropic/whole")
        .unwrap();
    let body = String::from_utf8(whole.body.clone()).unwrap();
    let fake = Fake::always(answer(200, "application/json", &body)).await;
    let model = AnthropicModel::new(&http(), &fake.url, "claude-sonnet-4-5")
        .unwrap()
        .whole(true);
    let mut request = question();
    request.reasoning_effort = Some(ReasoningEffort::Low);
    let mut stream = in_time(model.stream(&request)).await.unwrap();
    let mut call: Option<ToolCall> = None;
    while let Some(event) = in_time(stream.next()).await {
        if let ChatEvent::ToolCall(asked) = event.unwrap() {
            call = Some(asked);
        }
    }
    let call = call.unwrap();
    let (id, name) = (call.id.clone(), call.name.clone());
    request
        .messages
        .push(Message::new(Role::Assistant, vec![Part::ToolCall(call)]));
    let result = opik_core::session::ToolResult {
        id,
        name,
        content: Json::string("x"),
        is_error: false,
    };
    request
        .messages
        .push(Message::new(Role::Tool, vec![Part::ToolResult(result)]));
    // Another value of the same model knows them too: they belong to the client.
    let again = model.clone();
    drop(in_time(again.stream(&request)).await.unwrap());
    let sent: Value = serde_json::from_str(&fake.requests()[1].body).unwrap();
    assert_eq!(sent["messages"][1]["content"][0]["signature"], "c2ln");
    assert_eq!(sent["thinking"]["budget_tokens"], 1_024);
}
