//! What a turn says when all goes well.

use opik_assist::assistant::TurnEnd;
use opik_core::chat::FinishReason;
use opik_core::{Role, SessionStore as _};
use opik_testkit::ScriptedModel;
use opik_testkit::doubles::Step;

use crate::world::{
    World, all, arguments, ask, assert_complete, assert_valid, key, lines, messages, outcome, span,
    streamed,
};

#[tokio::test]
async fn words_are_told_as_they_come_and_the_whole_is_stored() {
    let world = World::new().await;
    let model = ScriptedModel::new("scripted/one").reply([
        Step::text("It took "),
        Step::text("400 ms."),
        Step::usage(900, 20),
        Step::finish(FinishReason::Stop),
    ]);
    let assistant = world.with(&model);
    let turn = assistant.ask(ask("Why is it slow?")).await.unwrap();
    let events = all(&turn).await;
    insta::assert_snapshot!(lines(&events), @r#"
started, 3 spans
text "It took "
text "400 ms."
usage 1: Some(920)
message "It took 400 ms.", final
done Answered None None
"#);
    assert_eq!(streamed(&events), messages(&events)[0].text);
    let history = assistant.history(&key()).await.unwrap().unwrap();
    assert_complete(&history);
    assert_eq!(history.len(), 2);
    assert_eq!(history[1].id, messages(&events)[0].event_id);
    assert_eq!(history[1].invocation_id, turn.id());
    assert!(outcome(&events).first_token_millis.is_some());
}

#[tokio::test]
async fn tools_run_and_the_next_question_knows_the_conversation() {
    let world = World::new().await;
    let details = serde_json::json!({ "span_id": span(2), "include_output": true });
    let model = ScriptedModel::new("scripted/tools")
        .reply([
            Step::text("Looking."),
            Step::tool_call("call_1", "get_span_details", arguments(&details)),
            Step::tool_call("call_2", "error_chain", arguments(&serde_json::json!({}))),
            Step::finish(FinishReason::ToolCalls),
        ])
        .says("The tool failed [F1].")
        .says("As I said.");
    let assistant = world.with(&model);
    let turn = assistant
        .ask(ask("What failed?").streaming(false))
        .await
        .unwrap();
    let events = all(&turn).await;
    insta::assert_snapshot!(lines(&events), @r#"
started, 3 spans
message "Looking." +
tool get_span_details call_1 +
tool error_chain call_2
finished call_1 +
finished call_2
message "The tool failed [F1].", final
done Answered None None
"#);
    let turn = assistant.ask(ask("Sure?")).await.unwrap();
    assert_eq!(outcome(&all(&turn).await).end, TurnEnd::Answered);
    let requests = model.requests();
    for request in &requests {
        assert_valid(&request.messages);
        assert_eq!(request.tools.len(), 11);
    }
    let roles: Vec<Role> = requests[2]
        .messages
        .iter()
        .map(|message| message.role)
        .collect();
    assert_eq!(
        roles,
        [
            Role::System,
            Role::User,
            Role::Assistant,
            Role::Tool,
            Role::Assistant,
            Role::User
        ]
    );
    let session = world.sessions.session(&key()).await.unwrap().unwrap();
    assert_eq!(session.position.0, 6);
}

#[tokio::test]
async fn without_a_model_the_answer_is_computed() {
    let world = World::new().await;
    let assistant = world.builder().build();
    let turn = assistant.ask(ask("What caused the error?")).await.unwrap();
    let events = all(&turn).await;
    let said = messages(&events);
    assert!(said[0].computed && said[0].text.contains("no model was asked"));
    assert!(said[0].spans.contains(&span(3)));
    assert_eq!(streamed(&events), said[0].text);
    assert!(outcome(&events).computed);
    assert_complete(&assistant.history(&key()).await.unwrap().unwrap());
}
