//! `opik-rs evals submit`: a run, sent to Opik.

use std::path::{Path, PathBuf};

use opik_core::settings::OpikSettings;
use opik_evals::experiment::Run;
use opik_evals::submit::{Submission, SubmissionReport, SubmitError};
use serde_json::{Value, json};

use super::baseline;
use crate::context::Context;
use crate::exit::{Code, Failure, Outcome, Verdict};
use crate::render::style::{GOOD, WARN};
use crate::render::text::clean;

/// Arguments of `opik-rs evals submit`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs evals submit runs/tone.jsonl
  opik-rs evals submit runs/tone.jsonl --dataset tone --experiment nightly
  opik-rs evals submit runs/tone.jsonl --best-effort

Sends to the server that OPIK_URL_OVERRIDE and OPIK_API_KEY or `opik-rs configure` say, when \
OPIK_ENABLED is on; `opik-rs doctor` shows which that is. Without one nothing is sent and the \
code is 0. A submission that broke off is made again with the same command: nothing arrives twice.

JSON: {\"state\": \"sent\", \"experiment_id\", \"dataset_id\", \"trials\", \"earlier\", \"new_items\"} \
or {\"state\": \"kept\" or \"failed\", \"why\"}")]
pub(crate) struct Args {
    /// The run
    #[arg(value_name = "RUN")]
    run: PathBuf,

    #[command(flatten)]
    target: Target,
}

/// Where a run goes.
#[derive(Debug, clap::Args)]
pub(super) struct Target {
    /// Name of the dataset in Opik [default: that of the run]
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,

    /// Name of the experiment in Opik [default: that of the run]
    #[arg(long, value_name = "NAME")]
    experiment: Option<String>,

    /// End with code 0 although the run could not be sent
    #[arg(long)]
    pub(super) best_effort: bool,
}

/// What became of a submission that did not fail.
#[derive(Debug)]
pub(super) enum Arrived {
    /// Nothing was sent, and why.
    Kept(String),
    /// It arrived.
    Sent(SubmissionReport),
}

/// Sends a run.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    // A missing file is said before anything about servers.
    let run: Run = baseline::read(&args.run)?;
    let sent = crate::opik_server::talk(if_configured(&args.target, &args.run))?;
    if ctx.out.is_json() {
        ctx.out.json(&document(&sent))?;
    } else {
        match &sent {
            Ok(Arrived::Kept(why)) => ctx.out.text(&format!(
                "{WARN}not sent:{WARN:#} {}\n{} trials stay in {}\n",
                clean(why),
                run.trials().len(),
                clean(&args.run.display().to_string()),
            ))?,
            Ok(Arrived::Sent(report)) => ctx.out.text(&format!(
                "{GOOD}sent:{GOOD:#} {} trials now, {} before, {} new items in dataset {}\nexperiment {} {}\n",
                report.trials,
                report.earlier,
                report.new_items,
                clean(&report.dataset),
                clean(&report.experiment),
                report.experiment_id,
            ))?,
            Err(_) => {}
        }
    }
    outcome(sent, args.target.best_effort, ctx)
}

/// Sends the run of a file, if a server is configured.
pub(super) async fn if_configured(target: &Target, file: &Path) -> Result<Arrived, Failure> {
    let settings = OpikSettings::load();
    if let Some(reason) = settings.off() {
        let problems: Vec<String> = settings
            .problems()
            .iter()
            .map(ToString::to_string)
            .collect();
        let mut why = format!("Opik is not configured ({reason})");
        if !problems.is_empty() {
            why = format!("{why}: {}", problems.join("; "));
        }
        return Ok(Arrived::Kept(why));
    }
    let client = settings.client().map_err(|error| {
        Failure::new(
            Code::Evals(Verdict::Submission),
            "the configuration of Opik cannot be used",
        )
        .cause(error)
        .hint("opik-rs doctor")
    })?;
    let Some(client) = client else {
        return Ok(Arrived::Kept("no Opik server is known".to_owned()));
    };
    let address = client.base_url().as_str().to_owned();
    let mut submission = Submission::new(client);
    if let Some(name) = &target.dataset {
        submission = submission.dataset(name);
    }
    if let Some(name) = &target.experiment {
        submission = submission.experiment(name);
    }
    let sent = submission.file(file).await;
    sent.map(Arrived::Sent)
        .map_err(|error| not_sent(error, &address, file))
}

fn not_sent(error: SubmitError, address: &str, file: &Path) -> Failure {
    let hint = if error.is_retryable() {
        format!(
            "opik-rs evals submit {} sends what is missing",
            file.display()
        )
    } else {
        "opik-rs doctor checks the server and the key".to_owned()
    };
    let text = format!(
        "the run was not sent to {address}; it is in {}",
        file.display()
    );
    Failure::new(Code::Evals(Verdict::Submission), text)
        .cause(error)
        .hint(hint)
}

/// A submission in JSON.
pub(super) fn document(sent: &Result<Arrived, Failure>) -> Value {
    match sent {
        Ok(Arrived::Kept(why)) => json!({ "state": "kept", "why": why }),
        Ok(Arrived::Sent(report)) => {
            let mut document = serde_json::to_value(report).unwrap_or_default();
            if let Some(fields) = document.as_object_mut() {
                fields.insert("state".to_owned(), "sent".into());
            }
            document
        }
        Err(failure) => json!({ "state": "failed", "why": failure.to_string() }),
    }
}

/// A failure to send, unless that does not matter.
pub(super) fn outcome(sent: Result<Arrived, Failure>, best_effort: bool, ctx: &Context) -> Outcome {
    match sent {
        Err(failure) if best_effort => {
            crate::report::print(&failure, ctx);
            Ok(())
        }
        other => other.map(drop),
    }
}
