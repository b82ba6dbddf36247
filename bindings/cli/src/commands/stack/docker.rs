//! The docker command: what the stack asks of it, behind a trait.

use std::fmt;
use std::io::{self, Read as _, Seek as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a question may take.
const QUESTION: Duration = Duration::from_secs(60);
/// How long starting may take: images have to come from somewhere.
const WORK: Duration = Duration::from_secs(3_600);
/// How often a program that was started is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What a docker command said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) ok: bool,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Said {
    /// The line of what went wrong that says most.
    pub(super) fn problem(&self) -> String {
        let mut lines = self.stderr.lines().map(str::trim);
        let last = lines.rfind(|line| !line.is_empty());
        last.unwrap_or("it said nothing").to_owned()
    }
}

/// The docker command.
pub(super) trait Docker: fmt::Debug {
    /// Asks something, and gives what it said.
    fn ask(&self, args: &[&str]) -> io::Result<Said>;

    /// Does something, showing what it says.
    fn run(&self, args: &[&str]) -> io::Result<bool>;
}

/// The program `docker`, with variables for the compose files.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) variables: Vec<(&'static str, String)>,
    /// Whether standard output is for JSON: what docker says goes to standard error.
    pub(super) quiet: bool,
}

impl Program {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(args).stdin(Stdio::null());
        for (name, value) in &self.variables {
            command.env(name, value);
        }
        command
    }
}

impl Docker for Program {
    fn ask(&self, args: &[&str]) -> io::Result<Said> {
        let (mut out, mut err) = (tempfile::tempfile()?, tempfile::tempfile()?);
        let child = self
            .command(args)
            .stdout(out.try_clone()?)
            .stderr(err.try_clone()?)
            .spawn()?;
        let status = wait(child, QUESTION)?;
        let mut said = Said {
            ok: status.success(),
            ..Said::default()
        };
        for (file, text) in [(&mut out, &mut said.stdout), (&mut err, &mut said.stderr)] {
            file.rewind()?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            *text = String::from_utf8_lossy(&bytes).into_owned();
        }
        Ok(said)
    }

    fn run(&self, args: &[&str]) -> io::Result<bool> {
        let mut command = self.command(args);
        if self.quiet {
            command.stdout(io::stderr());
        }
        wait(command.spawn()?, WORK).map(|status| status.success())
    }
}

fn wait(mut child: Child, limit: Duration) -> io::Result<ExitStatus> {
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() >= end {
            // It may have ended in this moment.
            child.kill().ok();
            child.wait()?;
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "docker did not answer in time",
            ));
        }
        std::thread::sleep(LOOK);
    }
}

/// Why there is no engine that could run anything; `None` when there is one.
pub(super) fn missing(docker: &dyn Docker) -> Option<String> {
    let engine = docker.ask(&["version", "--format", "{{.Server.Version}}"]);
    match engine {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Some("the docker command is not installed".to_owned());
        }
        Err(error) => return Some(format!("the docker command cannot be run: {error}")),
        Ok(said) if !said.ok => {
            return Some(format!("no Docker engine answers: {}", said.problem()));
        }
        Ok(_) => {}
    }
    match docker.ask(&["compose", "version"]) {
        Ok(said) if said.ok => None,
        _ => Some("docker has no compose command".to_owned()),
    }
}
