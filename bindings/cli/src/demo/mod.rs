//! The demo: a small agent run, recorded live, shown and explained.

use crate::context::Context;
use crate::exit::{Code, Failure, Outcome};

/// Arguments of `opik-rs demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs demo                    record one run, show it, ask three questions
  opik-rs demo && opik-rs demo && opik-rs diff last~1 last
  opik-rs demo --seed 7           the same run every time

The chat model of the demo is scripted; its tools work on real files in a scratch folder.")]
pub(crate) struct Args {
    /// Repeat a certain run: equal seeds make equal decisions
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,
}

/// Runs the demo.
pub(crate) fn run(args: &Args, _ctx: &Context) -> Outcome {
    let _ = args.seed;
    Err(Failure::new(
        Code::Failed,
        "the demo is not part of this build",
    ))
}
