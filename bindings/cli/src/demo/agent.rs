//! The agent: plans, gathers files in parallel, converts amounts, writes a report, checks it.

use std::time::Duration;

use futures_util::StreamExt as _;
use opik_core::{ChatEvent, ChatModel, ChatRequest, Message, ModelError, Role, SpanType, TraceId};
use opik_observe::{Recorder, SpanGuard, SpanHandle, TraceGuard};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::tools::{ToolError, Workspace};

/// What the agent is asked.
const QUESTION: &str = "Which product lost us the most money to returns? Write a report.";

/// First wait after the lock was taken by someone else; doubled each time.
const FIRST_BACKOFF: Duration = Duration::from_millis(40);
const ATTEMPTS: u32 = 4;

/// What the agent needs.
#[derive(Debug)]
pub(super) struct Agent<'a> {
    pub(super) recorder: &'a Recorder,
    pub(super) model: &'a dyn ChatModel,
    pub(super) workspace: Workspace,
    /// Told the name of each step as it begins.
    pub(super) on_step: &'a dyn StepListener,
}

/// What came of a run.
#[derive(Debug)]
pub(super) struct Run {
    /// The trace that was recorded; `None` when the recorder is off.
    pub(super) trace: Option<TraceId>,
    /// Whether the report was published.
    pub(super) result: Result<(), ToolError>,
}

/// Follows the agent's steps while it runs.
pub(super) trait StepListener: std::fmt::Debug {
    fn step(&self, name: &str);
}

impl Agent<'_> {
    /// One run.
    pub(super) async fn answer(&self) -> Run {
        let mut trace = self.recorder.trace("answer question");
        trace
            .input(QUESTION)
            .tag("demo")
            .metadata("agent", "returns-analyst");
        let result = self.work(&trace).await;
        match &result {
            Ok(report) => trace.output(report),
            Err(error) => trace.fail(error.kind, &error.to_string()),
        };
        Run {
            trace: trace.trace_id(),
            result: result.map(drop),
        }
    }

    async fn work(&self, trace: &TraceGuard) -> Result<String, ToolError> {
        self.step("plan");
        let plan = self.ask(trace.span("plan", SpanType::Llm), QUESTION).await;
        self.step("gather sources, in parallel");
        self.gather(trace.span("gather sources", SpanType::General))
            .await;
        self.step("load exchange rates");
        let rates = self.exchange_rates(trace.span("load exchange rates", SpanType::General));
        self.step("reserve the report, with retries");
        self.reserve(trace.span("reserve report", SpanType::General))
            .await?;
        self.step("write the report");
        let prompt = format!("plan: {}\nrates: {rates}", plan.unwrap_or_default());
        let draft = self
            .ask(trace.span("draft report", SpanType::Llm), &prompt)
            .await;
        let draft = draft.unwrap_or_default();
        self.step("publish the report");
        self.publish(trace.span("publish report", SpanType::General), &draft)?;
        Ok(draft)
    }

    fn step(&self, name: &str) {
        self.on_step.step(name);
    }

    /// Asks the model and reads the reply as it arrives.
    async fn ask(&self, mut span: SpanGuard, prompt: &str) -> Result<String, ModelError> {
        span.model(self.model.name(), "scripted").input(&json!({
            "messages": [{ "role": "user", "content": prompt }]
        }));
        let request = ChatRequest::new(vec![Message::text(Role::User, prompt)]);
        let reply = self.read_reply(&mut span, &request).await;
        match &reply {
            Ok(text) => span.output(text),
            Err(error) => span.error(error),
        };
        reply
    }

    async fn read_reply(
        &self,
        span: &mut SpanGuard,
        request: &ChatRequest,
    ) -> Result<String, ModelError> {
        let mut reply = String::new();
        let mut events = self.model.stream(request).await?;
        while let Some(event) = events.next().await {
            match event? {
                ChatEvent::Text(words) => {
                    if reply.is_empty() {
                        span.first_token();
                    }
                    reply.push_str(&words);
                }
                ChatEvent::Usage(usage) => {
                    let tokens = usage.total_tokens().and_then(|n| u32::try_from(n).ok());
                    span.usage(&usage)
                        .cost(f64::from(tokens.unwrap_or(0)) * 2.0e-6);
                }
                _ => {}
            }
        }
        Ok(reply)
    }

    /// Runs five tools at once; one of them is much slower than the others.
    async fn gather(&self, span: SpanGuard) {
        type Tool = fn(&Workspace) -> Result<Value, ToolError>;
        let calls: [(&str, Value, Tool); 5] = [
            (
                "index_archive",
                json!({ "path": "archive.log" }),
                Workspace::index_archive,
            ),
            ("list_files", json!({}), Workspace::list_files),
            ("read_csv", json!({ "path": "orders-2026-10.csv" }), |w| {
                w.read_csv("orders-2026-10.csv")
            }),
            ("read_csv", json!({ "path": "orders-2026-11.csv" }), |w| {
                w.read_csv("orders-2026-11.csv")
            }),
            ("read_csv", json!({ "path": "returns.csv" }), |w| {
                w.read_csv("returns.csv")
            }),
        ];
        let mut running = JoinSet::new();
        for (name, arguments, tool) in calls {
            let (parent, workspace) = (span.handle(), self.workspace.clone());
            running.spawn_blocking(move || {
                // A failure is in the span; the report is written from what could be read.
                call_tool(&parent, name, &arguments, || tool(&workspace)).is_ok()
            });
        }
        while running.join_next().await.is_some() {}
    }

    /// Loads the exchange rates. Without the file it goes on as if every amount were in euros,
    /// and says nothing: the mistake that the demo is about.
    fn exchange_rates(&self, mut span: SpanGuard) -> Value {
        let arguments = json!({ "path": "rates.json" });
        let rates = call_tool(&span.handle(), "read_json", &arguments, || {
            self.workspace.read_json("rates.json")
        });
        let rates = rates.unwrap_or_else(|_| json!({}));
        span.output(&rates);
        rates
    }

    /// Takes the lock on the report, which someone else holds at first.
    async fn reserve(&self, mut span: SpanGuard) -> Result<(), ToolError> {
        let mut wait = FIRST_BACKOFF;
        for attempt in 1..=ATTEMPTS {
            let arguments = json!({ "path": "report.lock" });
            let taken = call_tool(&span.handle(), "take_lock", &arguments, || {
                self.workspace.take_lock()
            });
            match taken {
                Ok(_) => {
                    span.metadata("attempts", i64::from(attempt));
                    return Ok(());
                }
                Err(error) if attempt == ATTEMPTS => {
                    span.error(&error);
                    return Err(error);
                }
                Err(_) => tokio::time::sleep(wait).await,
            }
            if attempt == 2 {
                // The other writer finishes while the agent waits.
                self.workspace.release_foreign_lock().ok();
            }
            wait *= 2;
        }
        Ok(())
    }

    /// Writes the report and checks it.
    fn publish(&self, mut span: SpanGuard, draft: &str) -> Result<(), ToolError> {
        let handle = span.handle();
        let arguments = json!({ "path": "report.md", "text": draft });
        let checked = call_tool(&handle, "write_report", &arguments, || {
            self.workspace.write_report(draft)
        })
        .and_then(|_| {
            call_tool(
                &handle,
                "check_report",
                &json!({ "path": "report.md" }),
                || self.workspace.check_report(),
            )
        });
        match checked {
            Ok(output) => {
                span.output(&output);
                Ok(())
            }
            Err(error) => {
                span.fail(error.kind, &error.to_string());
                Err(error)
            }
        }
    }
}

/// Runs a tool in a span of its own.
fn call_tool(
    parent: &SpanHandle,
    name: &'static str,
    arguments: &Value,
    tool: impl FnOnce() -> Result<Value, ToolError>,
) -> Result<Value, ToolError> {
    let mut span = parent.span(name, SpanType::Tool);
    span.input(arguments);
    let result = tool();
    match &result {
        Ok(output) => span.output(output),
        Err(error) => span.fail(error.kind, &error.to_string()),
    };
    result
}
