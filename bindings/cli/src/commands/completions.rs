//! `opik-rs completions`: a script that completes commands in a shell.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::context::Context;
use crate::exit::Outcome;

/// Arguments of `opik-rs completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs completions bash > ~/.local/share/bash-completion/completions/opik-rs
  opik-rs completions zsh > ~/.zfunc/_opik-rs
  opik-rs completions fish > ~/.config/fish/completions/opik-rs.fish
  opik-rs completions powershell >> $PROFILE

For zsh, fpath+=~/.zfunc stands before compinit. The script is no JSON, with --json too.")]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints a script.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "opik-rs", &mut script);
    let script = String::from_utf8_lossy(&script);
    Ok(ctx.out.plain(&script)?)
}
