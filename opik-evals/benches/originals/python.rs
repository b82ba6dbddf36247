//! A Python program of this folder, asked line by line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

pub(crate) struct Python {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Python {
    /// Starts it under the Python that `OPIK_SDK_PYTHON` names, where it names one.
    #[expect(
        clippy::disallowed_methods,
        clippy::print_stdout,
        reason = "the caller says where Python is, and is told when not"
    )]
    pub(crate) fn start(program: &str) -> Option<Self> {
        let Ok(python) = std::env::var("OPIK_SDK_PYTHON") else {
            println!("OPIK_SDK_PYTHON names no Python: only ours is timed");
            return None;
        };
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/originals");
        let mut child = Command::new(python)
            .arg(folder.join(program))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Some(Self {
            child,
            input,
            output,
        })
    }

    /// Its answer, or what it says went wrong.
    pub(crate) fn ask(&mut self, question: &Value) -> Result<Value, String> {
        writeln!(self.input, "{question}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).map_err(|_| "it ended".to_owned())?;
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer),
        }
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // It ends when its input does; nothing is left behind when it does not.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
