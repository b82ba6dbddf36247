//! Gates a pipeline as a test of it would: by its answers, and by what its recorded traces show.
//!
//! Run it with `cargo run -p opik-examples --example gate`.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use opik_assist::analyse;
use opik_core::{Exporter, SpanType, TraceTree};
use opik_evals::dataset::Item;
use opik_evals::experiment::{Experiment, FnTask, Run, TaskError, TaskOutput};
use opik_evals::gate::{GateInput, GateReport, Gates, TraceFacts, trace_facts};
use opik_evals::heuristics::Contains;
use opik_evals::report::gate_text;
use opik_observe::{Policy, Recorder};
use opik_store::Store;
use serde_json::json;

const GATES: &str = r#"
[metrics.contains_metric]
min_pass_rate = 1.0

[cases]
max_failed = 0

[traces]
max_new_error_origins = 0
max_new_loops = 0
"#;

/// The pipeline: looks an order up and answers. The new version asks a second service, and hides that
/// it does not answer.
fn answer(recorder: &Recorder, question: &str, new: bool) -> Result<TaskOutput, TaskError> {
    let mut trace = recorder.trace("answer");
    trace.input(question);
    {
        let mut lookup = trace.span("order status", SpanType::Tool);
        lookup.output("left the warehouse");
    }
    if new {
        let mut forecast = trace.span("forecast", SpanType::Tool);
        forecast.fail("Timeout", "no answer within 2 s");
    }
    let text = "it left the warehouse today";
    trace.output(text);
    let id = trace
        .trace_id()
        .ok_or_else(|| TaskError::new("the recorder is off"))?;
    trace.end();
    Ok(TaskOutput::new(text).trace(id))
}

/// Runs the pipeline over the dataset, and analyses what it recorded.
async fn evaluate(new: bool) -> Result<(Run, Vec<TraceFacts>), Box<dyn Error>> {
    let store = Arc::new(Store::open_in_memory()?);
    let exporter = Arc::clone(&store) as Arc<dyn Exporter>;
    let (recorder, guard) = Recorder::builder()
        .branch("local", exporter, Policy::full_content())
        .start()?;
    let items = (0..8).map(|n| {
        Item::from_value(
            json!({ "question": format!("where is order {n}?"), "reference": "warehouse" }),
        )
    });
    let task = FnTask::new(move |call| {
        let answered = call
            .text("question")
            .and_then(|question| answer(&recorder, question, new));
        async move { answered }
    });
    let run = Experiment::new("support bot", items.collect::<Result<Vec<_>, _>>()?)
        .task(task)
        .metric(Contains::new())
        .run()
        .await?;
    if !guard.shutdown(Duration::from_secs(5)).complete {
        return Err("not everything was recorded".into());
    }
    let facts = trace_facts(store.as_ref(), run.traces(), &facts).await?;
    Ok((run, facts))
}

/// What the gate asks about a trace, from the analysis of `opik-assist`.
fn facts(tree: &TraceTree) -> TraceFacts {
    let evidence = analyse(tree);
    let mut facts = TraceFacts::of(tree.id());
    for origin in &evidence.errors.origins {
        let name = tree.span(origin.node).name.as_deref().unwrap_or("-");
        facts.error_origins.push(name.to_owned());
    }
    facts
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let gates = Gates::from_toml(GATES)?;
    let (_, known) = evaluate(false).await?;
    let check = |run: &Run, facts: &[TraceFacts]| -> GateReport {
        gates.check(
            GateInput::new()
                .run(run)
                .traces(facts)
                .baseline_traces(&known),
        )
    };
    let (run, facts) = evaluate(false).await?;
    let as_before = check(&run, &facts);
    println!("the version of today:\n{}", gate_text(&as_before));
    let (run, facts) = evaluate(true).await?;
    let worse = check(&run, &facts);
    println!("the new version:\n{}", gate_text(&worse));
    // Its answers are as good as before; only its traces tell.
    let failed: Vec<&str> = worse.failures().map(|check| check.name.as_str()).collect();
    if !as_before.passed || failed != ["traces: max_new_error_origins"] {
        return Err("the new error should close the gate, and nothing else".into());
    }
    Ok(())
}
