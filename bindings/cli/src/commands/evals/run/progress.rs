//! Running the trials, with a bar for people and an end for those who lose patience.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use opik_evals::experiment::{Experiment, ExperimentError, Run, RunFileError, Stop};

use super::super::baseline;
use crate::context::Context;
use crate::exit::{Code, Failure, Verdict};
use crate::render::numbers::{dollars, duration};

/// Runs the trials.
pub(super) fn execute(
    experiment: Experiment,
    runtime: &tokio::runtime::Runtime,
    ctx: &Context,
) -> Result<Run, Failure> {
    let bar = if io::stderr().is_terminal() && !ctx.out.is_json() {
        ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
    } else {
        ProgressBar::hidden()
    };
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    let shown = bar.clone();
    let stop = Stop::new();
    let experiment = experiment.stop(stop.clone()).on_progress(move |progress| {
        shown.set_length(progress.total as u64);
        shown.set_position(progress.done as u64);
        let mut parts = Vec::new();
        if progress.failed > 0 {
            parts.push(format!("{} failed", progress.failed));
        }
        if progress.cost > 0.0 {
            parts.push(dollars(progress.cost));
        }
        if let Some(left) = progress.left {
            let left = i64::try_from(left.as_micros()).unwrap_or(i64::MAX);
            parts.push(format!("{} left", duration(left)));
        }
        shown.set_message(parts.join(", "));
    });
    let ran = runtime.block_on(async {
        let run = experiment.run();
        tokio::pin!(run);
        tokio::select! {
            ran = &mut run => ran,
            _ = tokio::signal::ctrl_c() => {
                stop.stop();
                run.await
            }
        }
    });
    bar.finish_and_clear();
    ran.map_err(failed)
}

fn failed(error: ExperimentError) -> Failure {
    match error {
        ExperimentError::File(RunFileError::Different { .. }) => {
            Failure::new(Code::Usage, error.to_string())
                .hint("--output NAME writes another file, --fresh throws this one away")
        }
        ExperimentError::File(error) => baseline::unreadable(error),
        ExperimentError::NoItems => Failure::new(Code::Evals(Verdict::Unusable), error.to_string()),
        other => Failure::new(Code::Usage, other.to_string()),
    }
}
