use opik_core::session::{ToolCall, ToolResult};

use super::*;

fn conversation() -> ChatRequest {
    let call = ToolCall {
        id: "t1".to_owned(),
        name: "look".to_owned(),
        arguments: Json::parse("{\"b\": 1.0, \"a\": 2}").unwrap(),
    };
    let result = ToolResult {
        id: "t1".to_owned(),
        name: "look".to_owned(),
        content: Json::string("nothing"),
        is_error: true,
    };
    let mut request = ChatRequest::new(vec![
        Message::text(Role::System, "Be brief."),
        Message::text(Role::User, "Why?"),
        Message::text(Role::User, " "),
        Message::text(Role::User, "Say."),
        Message::new(
            Role::Assistant,
            vec![Part::Text("Hm.".to_owned()), Part::ToolCall(call)],
        ),
        Message::new(Role::Tool, vec![Part::ToolResult(result)]),
    ]);
    request.max_tokens = Some(100);
    request.tools.push(ToolSpec {
        name: "look".to_owned(),
        description: "Looks.".to_owned(),
        parameters: Json::parse("{\"type\": \"object\"}").unwrap(),
    });
    request
}

#[test]
fn a_conversation_is_written_as_turns_of_two_sides() {
    let written = body(
        "claude-sonnet-4-5",
        &conversation(),
        false,
        &Notes::default(),
    )
    .unwrap();
    let expected = concat!(
        r#"{"model":"claude-sonnet-4-5","max_tokens":100,"system":"Be brief.","messages":["#,
        r#"{"role":"user","content":[{"type":"text","text":"Why?"},{"type":"text","text":"Say."}]},"#,
        r#"{"role":"assistant","content":[{"type":"text","text":"Hm."},"#,
        r#"{"type":"tool_use","id":"t1","name":"look","input":{"b": 1.0, "a": 2}}]},"#,
        r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"nothing","is_error":true}]}],"#,
        r#""tools":[{"name":"look","description":"Looks.","input_schema":{"type": "object"}}],"stream":true}"#,
    );
    assert_eq!(written, expected);
}

#[test]
fn within_a_round_of_tools_it_thinks_only_with_its_earlier_thoughts() {
    let mut request = conversation();
    request.reasoning_effort = Some(ReasoningEffort::Medium);
    request.temperature = Some(0.5);
    let notes = Notes::default();
    let written = |notes: &Notes, model: &str| -> serde_json::Value {
        serde_json::from_str(&body(model, &request, true, notes).unwrap()).unwrap()
    };
    let without = written(&notes, "claude-sonnet-4-5");
    assert_eq!(
        (without.get("thinking"), &without["temperature"]),
        (None, &0.5.into())
    );

    let thought = r#"[{"type":"thinking","thinking":"hm","signature":"s1g"}]"#;
    notes.keep("t1".to_owned(), thought.to_owned());
    let with = written(&notes, "claude-sonnet-4-5");
    assert_eq!(
        with["thinking"],
        serde_json::json!({"type": "enabled", "budget_tokens": 4_096})
    );
    assert_eq!(
        (&with["max_tokens"], with.get("temperature")),
        (&4_196.into(), None)
    );
    assert_eq!(with["messages"][1]["content"][0]["signature"], "s1g");

    let adaptive = written(&notes, "claude-opus-4-7");
    assert_eq!(
        adaptive["thinking"],
        serde_json::json!({"type": "adaptive"})
    );
    assert_eq!(
        adaptive["output_config"],
        serde_json::json!({"effort": "medium"})
    );
    assert_eq!(adaptive["max_tokens"], 100);
}

#[test]
fn which_models_think_adaptively_is_told_by_their_version() {
    for (model, adaptive) in [
        ("claude-3-5-sonnet-20241022", false),
        ("claude-sonnet-4-20250514", false),
        ("claude-opus-4-1-20250805", false),
        ("claude-haiku-4-5", false),
        ("claude-sonnet-4.6", true),
        ("claude-opus-4-7-20260416", true),
        ("claude-opus-5", true),
        ("claude-next", false),
    ] {
        assert_eq!(is_adaptive(model), adaptive, "{model}");
    }
}
