//! `opik-rs man`: the manual, made from the same text as `--help`.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
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
  opik-rs man --dir ~/.local/share/man/man1  write a page per command

Pages are roff, with --json too.")]
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
            .and_then(|()| write_pages(&cli, dir))
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
    Ok(ctx.out.plain(&page(command)?)?)
}

fn write_pages(cli: &Command, dir: &Path) -> io::Result<()> {
    for command in std::iter::once(cli).chain(cli.get_subcommands()) {
        let name = command.get_display_name().unwrap_or(command.get_name());
        std::fs::write(dir.join(format!("{name}.1")), page(command.clone())?)?;
    }
    Ok(())
}

fn page(command: Command) -> io::Result<String> {
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    Ok(keep_lines(&String::from_utf8_lossy(&page)))
}

/// Gives the section with the examples its name, and keeps the lines of what is indented in it,
/// which roff would join.
fn keep_lines(page: &str) -> String {
    let mut text = String::with_capacity(page.len() + 200);
    let (mut inside, mut verbatim) = (false, false);
    for line in page.lines() {
        if line.starts_with(".SH") {
            inside = line == ".SH EXTRA";
        }
        let indented = inside && line.starts_with("  ");
        if indented != verbatim {
            text.push_str(if indented { ".nf\n" } else { ".fi\n" });
            verbatim = indented;
        }
        text.push_str(match line {
            ".SH EXTRA" => ".SH EXAMPLES",
            "" if inside => ".PP",
            line => line,
        });
        text.push('\n');
    }
    text
}
