//! A task that another program runs.

use std::ffi::OsString;
use std::fmt;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use opik_core::TraceId;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Call, Task, TaskError, TaskErrorKind, TaskOutput};

/// How long a program may take to end after its input was closed.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A task in any language: a program that reads one JSON line per item and answers each with one.
///
/// A line says `{"id", "repeat", "seed", "data"}`. The answer is an object whose fields metrics see:
/// most often `{"output": "…"}`. Four names are the task's own: `cost` (US dollars), `tokens`,
/// `trace_id` and `error`, a text that makes the trial a failed one.
///
/// ```python
/// import json, sys
/// for line in sys.stdin:
///     item = json.loads(line)["data"]
///     print(json.dumps({"output": item["question"].upper()}), flush=True)
/// ```
///
/// As many processes as are needed run at once, at most [`workers`](Self::workers); each gets one
/// item at a time and is kept for the next. One that takes longer than the experiment allows, ends,
/// or answers anything else is killed, and the next item gets a new one. At the end the input is
/// closed and the processes have five seconds to end by themselves. What they write to standard
/// error is thrown away, or passed on after [`show_stderr`](Self::show_stderr).
pub struct CommandTask {
    program: OsString,
    arguments: Vec<OsString>,
    max_reply: u64,
    show_stderr: bool,
    places: Semaphore,
    idle: Mutex<Vec<Worker>>,
}

/// A process that waits for an item. Dropped, it is killed.
struct Worker {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

#[derive(Serialize)]
struct Question<'a> {
    id: &'a str,
    repeat: u32,
    seed: u64,
    data: &'a Map<String, Value>,
}

impl CommandTask {
    /// A program and its arguments. No shell is involved.
    #[must_use]
    pub fn new<A: Into<OsString>>(
        program: impl Into<OsString>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        Self {
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            max_reply: 16 << 20,
            show_stderr: false,
            places: Semaphore::new(4),
            idle: Mutex::default(),
        }
    }

    /// Most processes at once; 4, and at least 1.
    #[must_use]
    pub fn workers(mut self, most: usize) -> Self {
        self.places = Semaphore::new(most.clamp(1, Semaphore::MAX_PERMITS));
        self
    }

    /// Most bytes of an answer; 16 MiB.
    #[must_use]
    pub fn max_reply_bytes(mut self, bytes: u64) -> Self {
        self.max_reply = bytes;
        self
    }

    /// Whether what the processes write to standard error goes to that of this process; it does
    /// not.
    #[must_use]
    pub fn show_stderr(mut self, on: bool) -> Self {
        self.show_stderr = on;
        self
    }

    fn worker(&self) -> Result<Worker, TaskError> {
        let waiting = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        if let Some(worker) = waiting {
            return Ok(worker);
        }
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(if self.show_stderr {
                Stdio::inherit()
            } else {
                Stdio::null()
            })
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .map_err(|error| program(format!("the program cannot be started: {error}")))?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(input), Some(output)) => Ok(Worker {
                child,
                input,
                output: BufReader::new(output),
            }),
            _ => Err(program("the program has no input or output")),
        }
    }

    fn keep(&self, worker: Worker) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(worker);
    }
}

fn program(message: impl Into<String>) -> TaskError {
    TaskError::of(TaskErrorKind::Program, message)
}

#[async_trait]
impl Task for CommandTask {
    async fn run(&self, call: &Call) -> Result<TaskOutput, TaskError> {
        let closed = |_| program("the task was ended");
        let _place = self.places.acquire().await.map_err(closed)?;
        let mut line = serde_json::to_vec(&Question {
            id: &call.item.id(),
            repeat: call.repeat,
            seed: call.seed,
            data: &call.item.fields(),
        })
        .map_err(|_| program("the item has no JSON form"))?;
        line.push(b'\n');
        // Until it is kept again the process dies with this call.
        let mut worker = self.worker()?;
        let reply = worker.ask(&line, self.max_reply).await?;
        let output = answer(&reply)?;
        self.keep(worker);
        output
    }

    async fn finish(&self) {
        let workers =
            std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        let ends = workers.into_iter().map(|worker| async move {
            let Worker {
                mut child, input, ..
            } = worker;
            drop(input);
            if timeout(LAST_WORDS, child.wait()).await.is_err() {
                // Killed when dropped, too; this waits for it.
                drop(child.kill().await);
            }
        });
        futures_util::future::join_all(ends).await;
    }
}

impl Worker {
    async fn ask(&mut self, line: &[u8], most: u64) -> Result<Vec<u8>, TaskError> {
        let wrote = self.input.write_all(line).await;
        // A program that ended says more by how it ended.
        if wrote.is_err() || self.input.flush().await.is_err() {
            return Err(self.ended().await);
        }
        let mut reply = Vec::new();
        let mut limited = (&mut self.output).take(most.saturating_add(1));
        let read = limited.read_until(b'\n', &mut reply).await;
        if read.is_err() {
            return Err(program("the answer of the program cannot be read"));
        }
        if reply.pop() == Some(b'\n') {
            return Ok(reply);
        }
        if u64::try_from(reply.len()).unwrap_or(u64::MAX) >= most {
            return Err(program(format!("the answer is longer than {most} bytes")));
        }
        Err(self.ended().await)
    }

    async fn ended(&mut self) -> TaskError {
        match timeout(LAST_WORDS, self.child.wait()).await {
            Ok(Ok(status)) => program(format!("the program ended without an answer ({status})")),
            _ => program("the program closed its output without an answer"),
        }
    }
}

/// What a line says; an error outside for one that is no answer.
fn answer(line: &[u8]) -> Result<Result<TaskOutput, TaskError>, TaskError> {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(line) else {
        return Err(program("the answer is not a JSON object"));
    };
    match fields.remove("error") {
        None | Some(Value::Null) => {}
        Some(Value::String(message)) => return Ok(Err(TaskError::new(message))),
        Some(other) => return Ok(Err(TaskError::new(other.to_string()))),
    }
    let mut output = TaskOutput::default();
    let wrong = |name| program(format!("`{name}` of the answer has the wrong type"));
    if let Some(cost) = fields.remove("cost").filter(|value| !value.is_null()) {
        output.cost = Some(cost.as_f64().ok_or_else(|| wrong("cost"))?);
    }
    if let Some(tokens) = fields.remove("tokens").filter(|value| !value.is_null()) {
        output.tokens = Some(tokens.as_u64().ok_or_else(|| wrong("tokens"))?);
    }
    if let Some(trace) = fields.remove("trace_id").filter(|value| !value.is_null()) {
        let id = trace.as_str().and_then(|text| text.parse::<TraceId>().ok());
        output.trace_id = Some(id.ok_or_else(|| wrong("trace_id"))?);
    }
    output.fields = fields;
    Ok(Ok(output))
}

impl fmt::Debug for CommandTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandTask")
            .field("program", &self.program)
            .field("arguments", &self.arguments.len())
            .finish_non_exhaustive()
    }
}
