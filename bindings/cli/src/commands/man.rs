//! `opik-rs man`: the manual, made from the same text as `--help`.

use std::path::PathBuf;

use clap::CommandFactory;
use clap_mangen::Man;

use crate::args::Cli;
use crate::context::Context;
use crate::exit::{Code, Failure, Outcome};

/// Arguments of `opik-rs man`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs man | man -l -                     read it
  opik-rs man show | man -l -                the page of one command
  opik-rs man --dir ~/.local/share/man/man1  write a page per command")]
pub(crate) struct Args {
    /// The command whose page to print
    #[arg(value_name = "COMMAND")]
    command: Option<String>,

    /// Write all pages into this folder
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    dir: Option<PathBuf>,
}

/// Prints a page, or writes them all.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    let mut cli = Cli::command();
    cli.build();
    if let Some(dir) = &args.dir {
        std::fs::create_dir_all(dir)
            .and_then(|()| clap_mangen::generate_to(cli, dir))
            .map_err(|error| {
                let text = format!("cannot write the manual to {}", dir.display());
                Failure::new(Code::Failed, text).cause(error)
            })?;
        return Ok(());
    }
    let command = match &args.command {
        None => cli,
        Some(name) => cli.find_subcommand(name).cloned().ok_or_else(|| {
            Failure::new(Code::Usage, format!("there is no command `{name}`"))
                .hint("opik-rs --help lists the commands")
        })?,
    };
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    Ok(ctx.out.plain(&String::from_utf8_lossy(&page))?)
}
