//! A scripted model: `[[word]]` in the last question says what it does.

use async_trait::async_trait;
use futures_util::stream;
use opik_core::chat::{ChatEvent, ChatModel, ChatRequest, ChatStream, FinishReason};
use opik_core::chat::{ModelError, ModelErrorKind};
use opik_core::session::ToolCall;
use opik_core::{Json, Role};

pub(crate) const SPAN: &str = "0198ec6e-1111-7000-8000-000000000001";
const PROJECT: &str = "0198ec6e-0000-7000-8000-00000000aaaa";

#[derive(Debug)]
pub(crate) struct Scripted;

fn answer() -> Vec<String> {
    let middle = (1..7).map(|number| format!("part{number} "));
    let begin = std::iter::once("The trace ".to_owned());
    begin
        .chain(middle)
        .chain(["is healthy.".to_owned()])
        .collect()
}

fn call(id: &str, name: &str, arguments: &str) -> ChatEvent {
    // Arguments that are no JSON arrive as a text, as from `opik-models`.
    let arguments = Json::parse(arguments)
        .unwrap_or_else(|_| Json::from_serialize(&arguments.to_owned()).unwrap());
    ChatEvent::ToolCall(ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments,
    })
}

fn tools(text: &str, calls: Vec<ChatEvent>) -> Vec<Result<ChatEvent, ModelError>> {
    let mut events = vec![ChatEvent::Text(text.to_owned())];
    events.extend(calls);
    events.push(ChatEvent::Finish(FinishReason::ToolCalls));
    events.into_iter().map(Ok).collect()
}

fn said(texts: Vec<String>, reason: FinishReason) -> Vec<Result<ChatEvent, ModelError>> {
    let texts = texts.into_iter().map(ChatEvent::Text);
    texts.chain([ChatEvent::Finish(reason)]).map(Ok).collect()
}

fn plan(scenario: &str, answered: usize) -> Result<Vec<Result<ChatEvent, ModelError>>, ModelError> {
    let details = |id: &str, arguments: &str| call(id, "get_span_details", arguments);
    let root = format!("{{\"span_id\": \"{SPAN}\", \"include_input\": true}}");
    let failed = |kind, context: &str| Err(ModelError::new(kind, context));
    Ok(match (scenario, answered) {
        ("tool", 0) => {
            let mut events = tools("Checking the ", vec![details("call_A1", &root)]);
            events.insert(1, Ok(ChatEvent::Text("root span.".to_owned())));
            events
        }
        ("trace", 0) => tools(
            "Reading the trace.",
            vec![call("call_T1", "get_trace_data", "{}")],
        ),
        ("multi", 0) => tools("First.", vec![details("call_M1", &root)]),
        ("multi", 1) => tools("Second.", vec![call("call_M2", "get_trace_data", "{}")]),
        ("unknown", 0) => tools(
            "Trying something.",
            vec![call("call_U1", "drop_all_tables", "{\"x\": 1}")],
        ),
        ("tool404", 0) => tools(
            "Fetching.",
            vec![details("call_E1", "{\"span_id\": \"missing-span\"}")],
        ),
        ("badargs", 0) => tools(
            "Bad.",
            vec![details("call_B1", "{\"span_id\": \"x\", inclu")],
        ),
        ("missarg", 0) => tools(
            "Miss.",
            vec![details("call_B2", "{\"include_input\": true}")],
        ),
        ("traversal", 0) => {
            let arguments = format!("{{\"span_id\": \"../projects/{PROJECT}?a=b\"}}");
            tools("Hm.", vec![details("call_X1", &arguments)])
        }
        ("parallel", 0) => {
            let second = SPAN.replace("000000000001", "000000000002");
            let second = format!("{{\"span_id\": \"{second}\", \"include_output\": true}}");
            tools(
                "Looking at two spans.",
                vec![details("call_P1", &root), details("call_P2", &second)],
            )
        }
        ("loop", _) => tools("Again.", vec![call("call_L", "get_trace_data", "{}")]),
        ("usage", _) => {
            let mut events = said(answer(), FinishReason::Stop);
            events.push(Ok(ChatEvent::Usage(opik_core::Usage::of_tokens(70, 20))));
            events
        }
        ("length", _) => said(
            vec!["Truncated ".to_owned(), "answ".to_owned()],
            FinishReason::Length,
        ),
        ("empty", _) => said(Vec::new(), FinishReason::Stop),
        ("long", _) => said(
            (0..400).map(|n| format!("word{n} ")).collect(),
            FinishReason::Stop,
        ),
        ("data", _) => said(
            ["The metadata: ", "is {\"a\": \"b\"}\n", "data: x"]
                .map(str::to_owned)
                .to_vec(),
            FinishReason::Stop,
        ),
        ("unicode", _) => said(
            [
                "h\u{e9}llo \u{2603} ",
                "\u{65e5}\u{672c}\u{8a9e} ",
                "\u{1F600}\n\"q\"\\",
            ]
            .map(str::to_owned)
            .to_vec(),
            FinishReason::Stop,
        ),
        ("cut", _) => {
            let mut events: Vec<_> = answer()
                .into_iter()
                .take(3)
                .map(|text| Ok(ChatEvent::Text(text)))
                .collect();
            events.push(failed_event());
            events
        }
        ("err401", _) => return failed(ModelErrorKind::Unauthorized, "status 401"),
        ("err429", _) => return failed(ModelErrorKind::RateLimited, "status 429"),
        ("err500", _) => return failed(ModelErrorKind::Unavailable, "status 500"),
        _ => said(answer(), FinishReason::Stop),
    })
}

fn failed_event() -> Result<ChatEvent, ModelError> {
    Err(ModelError::new(
        ModelErrorKind::Truncated,
        "the reply broke off",
    ))
}

#[async_trait]
impl ChatModel for Scripted {
    fn name(&self) -> &str {
        "openai/gpt-4.1"
    }

    async fn stream(&self, request: &ChatRequest) -> Result<ChatStream, ModelError> {
        let messages = &request.messages;
        let last = messages
            .iter()
            .rposition(|message| message.role == Role::User);
        let last = last.unwrap_or(0);
        let answered = messages[last..]
            .iter()
            .filter(|message| message.role == Role::Tool)
            .count();
        let words = messages[last].words();
        let scenario = words
            .split_once("[[")
            .and_then(|(_, rest)| rest.split_once("]]"));
        let scenario = scenario.map_or("plain", |(scenario, _)| scenario);
        if scenario == "hang" {
            let begin = stream::iter([Ok(ChatEvent::Text("The trace ".to_owned()))]);
            return Ok(Box::pin(futures_util::StreamExt::chain(
                begin,
                stream::pending(),
            )));
        }
        Ok(Box::pin(stream::iter(plan(scenario, answered)?)))
    }
}
