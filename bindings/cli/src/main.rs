//! The `opik-rs` command: record, import, look at and ask about traces on one machine.
//!
//! Thin by intent: a command parses its arguments, calls a library (`opik-store`, `opik-formats`,
//! `opik-assist`) and maps what comes back to text or JSON and an [exit code](exit::Code). What a
//! user of the libraries would miss belongs there.
//!
//! - [`args`] is the command line, [`config`] all that is read from the environment;
//! - [`context`] knows the store and the terminal, [`mod@reference`] how traces and spans are named;
//! - [`opik_server`] asks an Opik server, [`talk`] sets up conversations;
//! - [`output`] writes text and JSON, [`render`] draws; [`report`] says what went wrong;
//! - [`commands`] has one file per command.

mod args;
mod commands;
mod config;
mod context;
mod demo;
mod exit;
mod opik_server;
mod output;
mod reference;
mod render;
mod report;
mod talk;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Cli, ColorWhen, Command};
use context::Context;
use exit::{Code, Failure, Outcome};
use output::Output;

/// A server that answers in many small pieces spends a third of its time on memory; this allocator takes
/// an eighth off the whole. It is built without huge pages (`no_thp`), which make an idle server half as
/// large again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_understood(&error),
    };
    let ctx = Context::new(&cli.global);
    let Some(command) = &cli.command else {
        ctx.out
            .notice(&Cli::command().render_help().ansi().to_string());
        return Code::Usage.into();
    };
    match run(command, &ctx) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough.
        Err(failure) if failure.is_closed_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            report::print(&failure, &ctx);
            failure.code().into()
        }
    }
}

/// Help and version are no failure; a wrong command line is, and JSON where JSON was asked for.
fn not_understood(error: &clap::Error) -> ExitCode {
    let wants_json = std::env::args_os().any(|arg| arg == "--json");
    if error.use_stderr() && wants_json {
        let text = error.render().to_string();
        let message = text.lines().next().unwrap_or_default();
        let failure =
            Failure::new(Code::Usage, message.trim_start_matches("error: ")).hint("opik-rs --help");
        Output::new(ColorWhen::Never, true).notice(&report::json(&failure));
        return failure.code().into();
    }
    // Nobody is left to tell when the output is gone.
    drop(error.print());
    if error.use_stderr() {
        Code::Usage.into()
    } else {
        ExitCode::SUCCESS
    }
}

fn run(command: &Command, ctx: &Context) -> Outcome {
    match command {
        Command::Demo(args) => demo::run(args, ctx),
        Command::Import(args) => commands::import::run(args, ctx),
        Command::Export(args) => commands::export::run(args, ctx),
        Command::Traces(args) => commands::traces::run(args, ctx),
        Command::Show(args) => commands::show::run(args, ctx),
        Command::Ask(args) => commands::ask::run(args, ctx),
        Command::Chat(args) => commands::chat::run(args, ctx),
        Command::Diff(args) => commands::diff::run(args, ctx),
        Command::Stats(args) => commands::stats::run(args, ctx),
        Command::Tail(args) => commands::tail::run(args, ctx),
        Command::Serve(args) => commands::serve::run(args, ctx),
        Command::Stack(args) => commands::stack::run(args, ctx),
        Command::Evals(args) => commands::evals::run(args, ctx),
        Command::Configure(args) => commands::configure::run(args, ctx),
        Command::Backup(args) => commands::keep::backup::run(args, ctx),
        Command::Restore(args) => commands::keep::restore::run(args, ctx),
        Command::Prune(args) => commands::keep::prune::run(args, ctx),
        Command::Vacuum(args) => commands::keep::vacuum::run(args, ctx),
        Command::Doctor(args) => commands::doctor::run(args, ctx),
        Command::Completions(args) => commands::completions::run(args, ctx),
        Command::Man(args) => commands::man::run(args, ctx),
    }
}
