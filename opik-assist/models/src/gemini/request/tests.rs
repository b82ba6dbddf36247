use opik_core::session::{ToolCall, ToolResult};

use super::*;

fn conversation() -> ChatRequest {
    let call = |id: &str| {
        Part::ToolCall(ToolCall {
            id: id.to_owned(),
            name: "look".to_owned(),
            arguments: Json::parse("{\"b\": 1.0, \"a\": 2}").unwrap(),
        })
    };
    let result = |id: &str, content, is_error| {
        let (id, name) = (id.to_owned(), "look".to_owned());
        Part::ToolResult(ToolResult {
            id,
            name,
            content,
            is_error,
        })
    };
    let mut request = ChatRequest::new(vec![
        Message::text(Role::System, "Be brief."),
        Message::text(Role::User, "Why?"),
        Message::new(Role::Assistant, vec![call("c1"), call("c2")]),
        Message::new(
            Role::Tool,
            vec![
                result("c1", Json::parse("{\"n\": 1.0}").unwrap(), false),
                result("c2", Json::string("gone"), true),
            ],
        ),
    ]);
    request.tools.push(ToolSpec {
        name: "look".to_owned(),
        description: "Looks.".to_owned(),
        parameters: Json::parse("{\"type\": \"object\"}").unwrap(),
    });
    request
}

#[test]
fn a_conversation_is_written_as_contents() {
    let written = body("gemini-2.5-flash", &conversation(), &Notes::default()).unwrap();
    let expected = concat!(
        r#"{"contents":[{"role":"user","parts":[{"text":"Why?"}]},"#,
        r#"{"role":"model","parts":[{"functionCall":{"name":"look","args":{"b": 1.0, "a": 2}}},"#,
        r#"{"functionCall":{"name":"look","args":{"b": 1.0, "a": 2}}}]},"#,
        r#"{"role":"user","parts":[{"functionResponse":{"name":"look","response":{"n": 1.0}}},"#,
        r#"{"functionResponse":{"name":"look","response":{"error":"gone"}}}]}],"#,
        r#""systemInstruction":{"parts":[{"text":"Be brief."}]},"#,
        r#""tools":[{"functionDeclarations":[{"name":"look","description":"Looks.","parametersJsonSchema":{"type": "object"}}]}]}"#,
    );
    assert_eq!(written, expected);
}

#[test]
fn calls_carry_their_signature_and_settings_are_spelled_for_the_generation() {
    let mut request = conversation();
    request.max_tokens = Some(9);
    request.temperature = Some(0.2);
    request.reasoning_effort = Some(ReasoningEffort::Low);
    let notes = Notes::default();
    let written = |notes: &Notes, model: &str| -> serde_json::Value {
        serde_json::from_str(&body(model, &request, notes).unwrap()).unwrap()
    };
    let calls = |body: &serde_json::Value| {
        let parts = &body["contents"][1]["parts"];
        [0, 1].map(|part| parts[part].get("thoughtSignature").cloned())
    };
    let three = written(&notes, "gemini-3-pro-preview");
    assert_eq!(calls(&three), [Some(NO_SIGNATURE.into()), None]);
    notes.keep("c1".to_owned(), "s1g".to_owned());
    assert_eq!(
        calls(&written(&notes, "gemini-3-pro-preview")),
        [Some("s1g".into()), None]
    );
    assert_eq!(
        three["generationConfig"]["thinkingConfig"],
        serde_json::json!({"includeThoughts": true, "thinkingLevel": "low"})
    );
    let two = written(&Notes::default(), "gemini-2.5-pro");
    assert_eq!(calls(&two), [None, None]);
    assert_eq!(
        two["generationConfig"]["thinkingConfig"],
        serde_json::json!({"includeThoughts": true, "thinkingBudget": 1_024})
    );
    assert_eq!(two["generationConfig"]["maxOutputTokens"], 9);
}
