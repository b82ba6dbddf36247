//! The command line: global options, the list of commands, and the help that teaches them.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::commands::{
    ask, chat, completions, configure, diff, doctor, evals, export, import, keep, man, serve, show,
    stack, stats, tail, traces,
};
use crate::demo;

const AFTER_HELP: &str = "\
Start here:
  opik-rs demo                          record a small agent run, ask about it
  opik-rs import traces.jsonl.gz        bring traces in (Opik, OTLP, Jaeger ...)
  opik-rs traces --error                list the traces that failed
  opik-rs show last                     the newest trace as a waterfall
  opik-rs ask last \"why is it slow?\"    computed evidence, no model, no key

How to name a trace:
  a whole id, the beginning or the end of one (4 characters or more), the
  short form that answers cite (01a1f953...55b), `last`, or `last~1` for the
  one before. Lists show the end of each id. `trace:span` is a span.

Exit codes:
  0  done                       3  no such trace, span or file
  1  failed                     4  input unusable, or a bad line under --strict
  2  wrong command line         5  the store cannot be opened, read or written

With --json, results are JSON on standard output and failures are JSON on standard error.";

/// Records, imports, shows and explains LLM traces on one machine. No service, no key.
#[derive(Debug, Parser)]
#[command(
    name = "opik-rs",
    version,
    after_help = AFTER_HELP,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Options of every command.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Global {
    /// The store's file [default: traces.db in the platform's data directory]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "OPIK_DB",
        hide_env_values = true,
        help_heading = "Global options"
    )]
    pub(crate) db: Option<PathBuf>,

    /// Print JSON instead of text
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) json: bool,

    /// When to use colour; NO_COLOR and CLICOLOR_FORCE are respected
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = false,
        help_heading = "Global options"
    )]
    pub(crate) color: ColorWhen,

    /// Draw with ASCII only
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) ascii: bool,

    /// Width of the output in columns [default: that of the terminal, else 100]
    #[arg(
        long,
        global = true,
        value_name = "COLUMNS",
        value_parser = clap::value_parser!(u16).range(40..=1000),
        help_heading = "Global options"
    )]
    pub(crate) width: Option<u16>,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Record a small agent run and answer three questions about it
    Demo(demo::Args),
    /// Bring traces in from files or standard input
    Import(import::Args),
    /// Write traces out as Opik JSONL
    Export(export::Args),
    /// List traces
    #[command(visible_alias = "ls")]
    Traces(traces::Args),
    /// Show one trace as a waterfall or a tree, or one span
    Show(show::Args),
    /// Ask a question about a trace
    Ask(ask::Args),
    /// Talk about a trace
    Chat(chat::Args),
    /// Compare two traces or two spans
    Diff(diff::Args),
    /// What the store holds: size, projects, models
    Stats(stats::Args),
    /// Follow traces as they are recorded
    Tail(tail::Args),
    /// Record what Opik's SDKs send: a local Opik server in one program
    #[command(visible_alias = "up")]
    Serve(serve::Args),
    /// Vyasa's services with Opik beside them, or the recorder alone
    Stack(stack::Args),
    /// Build datasets and evaluate with them, out of band
    Evals(evals::Args),
    /// Write down which Opik server programs record to
    Configure(configure::Args),
    /// Copy the store into one file, while it is used
    Backup(keep::backup::Args),
    /// Bring a copy of the store back
    Restore(keep::restore::Args),
    /// Forget old traces
    Prune(keep::prune::Args),
    /// Give the space of what was deleted back
    Vacuum(keep::vacuum::Args),
    /// Check the store, the disk, the configuration, the server and the clock
    Doctor(doctor::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// Print the manual page
    Man(man::Args),
}
