//! Questions to a person.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::exit::{Code, Failure};

/// Asks a person. Tests answer themselves.
pub(super) trait Dialog {
    /// A line of text; an empty answer is the proposal.
    fn ask(&mut self, question: &str, proposal: &str) -> Result<String, Failure>;

    /// A text that is not shown while it is typed.
    fn ask_secret(&mut self, question: &str) -> Result<String, Failure>;

    /// Yes or no; an empty answer is no.
    fn confirm(&mut self, question: &str) -> Result<bool, Failure>;
}

/// The terminal.
#[derive(Debug)]
pub(super) struct Terminal;

impl Terminal {
    /// The terminal, when there is a person at both ends of it. Questions go to standard error, so
    /// that the result can go elsewhere.
    pub(super) fn attached() -> Option<Self> {
        (io::stdin().is_terminal() && io::stderr().is_terminal()).then_some(Self)
    }
}

impl Dialog for Terminal {
    fn ask(&mut self, question: &str, proposal: &str) -> Result<String, Failure> {
        let answer = line(&format!("{question} [{proposal}]: "))?;
        Ok(if answer.is_empty() {
            proposal.to_owned()
        } else {
            answer
        })
    }

    fn ask_secret(&mut self, question: &str) -> Result<String, Failure> {
        let answer = rpassword::prompt_password(format!("{question}: ")).map_err(unanswered)?;
        Ok(answer.trim().to_owned())
    }

    fn confirm(&mut self, question: &str) -> Result<bool, Failure> {
        let answer = line(&format!("{question} [y/N]: "))?;
        Ok(matches!(answer.to_lowercase().as_str(), "y" | "yes"))
    }
}

fn line(prompt: &str) -> Result<String, Failure> {
    let mut screen = io::stderr().lock();
    let shown = screen
        .write_all(prompt.as_bytes())
        .and_then(|()| screen.flush());
    shown.map_err(unanswered)?;
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    match read.map_err(unanswered)? {
        0 => Err(unanswered(io::ErrorKind::UnexpectedEof.into())),
        _ => Ok(answer.trim().to_owned()),
    }
}

fn unanswered(error: io::Error) -> Failure {
    Failure::new(
        Code::Usage,
        "the question was not answered; nothing was written",
    )
    .cause(error)
    .hint("opik-rs configure --help shows the options that answer it")
}
