//! `opik-rs evals run`: an experiment.

mod args;
mod progress;
mod setup;

use std::collections::BTreeMap;

use opik_evals::experiment::{Run, Stopped};
use opik_evals::gate::{GateReport, Gates};
use opik_evals::report::Report;

pub(crate) use self::args::Args;
use super::findings::{self, Traced};
use super::submit::{self, Arrived};
use crate::context::Context;
use crate::exit::{Code, Failure, Outcome};
use crate::render::numbers::things;
use crate::render::style::{DIM, GOOD, WARN};
use crate::render::text::clean;

/// Runs an experiment, and shows, checks and sends what comes of it.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    // Everything that can be wrong with files is, before anything is paid for.
    let gates = args.gate.as_deref().map(findings::gates).transpose()?;
    let before = args.outputs.baseline()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("opik-rs-evals")
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Code::Failed, "cannot start threads").cause(error))?;
    let judges = setup::judges(args)?;
    let (experiment, file) = setup::experiment(args, judges.as_ref(), ctx, &runtime)?;
    let earlier = Run::read(&file).ok().map(|run| run.trials().len());
    let run = progress::execute(experiment, &runtime, ctx)?;
    if earlier == Some(run.trials().len()) && run.not_run() == 0 {
        ctx.out.notice(&format!(
            "{DIM}nothing was left to run; --fresh runs everything again{DIM:#}\n"
        ));
    }
    ctx.out.notice(&unscored(&run));
    let comparison = args.outputs.compare(before.as_ref(), &run);
    let gate = match &gates {
        Some(gates) => Some(check(gates, &run, before.as_ref(), ctx, &runtime)?),
        None => None,
    };
    let mut report = Report::new(&run);
    if let Some(comparison) = &comparison {
        report = report.comparison(comparison);
    }
    if let Some(gate) = &gate {
        report = report.gate(gate);
    }
    report = args.outputs.dress(report, ctx)?;
    args.outputs.write(&report)?;
    let sent = if args.no_submit {
        Ok(Arrived::Kept("--no-submit was given".to_owned()))
    } else {
        runtime.block_on(submit::if_configured(&args.target, &file))
    };
    if ctx.out.is_json() {
        let mut document = report.json();
        if let Some(fields) = document.as_object_mut() {
            fields.insert("file".to_owned(), file.display().to_string().into());
            if let Some(judges) = &judges {
                fields.insert("judges".to_owned(), judges.document());
            }
            fields.insert("submission".to_owned(), submit::document(&sent));
        }
        ctx.out.json(&document)?;
    } else {
        let file = clean(&file.display().to_string());
        let text = format!("{}\n{DIM}run: {file}{DIM:#}\n", report.text());
        ctx.out.text(&text)?;
        if let Some(judges) = &judges {
            ctx.out.text(&judges.text())?;
        }
        if let Ok(arrived) = &sent {
            ctx.out.text(&arrived.text())?;
        }
    }
    if run.stopped() == Some(Stopped::Cancelled) {
        let text = format!("the run was stopped with {} trials left", run.not_run());
        return Err(Failure::new(Code::Failed, text).hint("the same command goes on"));
    }
    // A gate that does not open says more than a server that is down.
    if let Some(gate) = gate.filter(|gate| !gate.passed) {
        if let Err(failure) = &sent {
            crate::report::print(failure, ctx);
        }
        return Err(findings::closed(&gate));
    }
    submit::outcome(sent, args.target.best_effort, ctx)
}

fn check(
    gates: &Gates,
    run: &Run,
    before: Option<&Run>,
    ctx: &Context,
    runtime: &tokio::runtime::Runtime,
) -> Result<GateReport, Failure> {
    let traced = Traced::of_runs(gates, Some(run), before, ctx, runtime)?;
    Ok(gates.check(traced.input(Some(run), before)))
}

/// Which metrics could not score trials, and the reason that most of them have.
fn unscored(run: &Run) -> String {
    let mut reasons: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    for failed in run.trials().iter().flat_map(|trial| &trial.failed_scores) {
        let reasons = reasons.entry(&failed.name).or_default();
        *reasons.entry(&failed.message).or_default() += 1;
    }
    let mut text = String::new();
    for (metric, reasons) in reasons {
        let count: u64 = reasons.values().sum();
        let most = reasons.iter().max_by_key(|(_, count)| **count);
        let most = most.map_or("", |(reason, _)| *reason);
        text.push_str(&format!(
            "{WARN}no score:{WARN:#} {} for {}, {}\n",
            clean(metric),
            things(count, "trial"),
            clean(most),
        ));
    }
    text
}

impl Arrived {
    /// What became of the submission, for people.
    fn text(&self) -> String {
        match self {
            Self::Kept(why) => format!("{WARN}not sent to Opik:{WARN:#} {}\n", clean(why)),
            Self::Sent(report) => format!(
                "{GOOD}sent to Opik:{GOOD:#} experiment {} on dataset {}, {} trials\n",
                clean(&report.experiment),
                clean(&report.dataset),
                report.trials + report.earlier,
            ),
        }
    }
}
