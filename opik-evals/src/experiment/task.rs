//! What is evaluated.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use opik_core::TraceId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::dataset::Item;

/// The system under test: from an item to an output.
///
/// A task may be called from several threads at once. It need not limit its time, nor how many calls
/// run at once; the experiment does. A call that takes too long is dropped.
#[async_trait]
pub trait Task: Send + Sync {
    /// Runs one item.
    ///
    /// # Errors
    /// [`TaskError`]: the trial is recorded as failed, and the others go on.
    async fn run(&self, call: &Call) -> Result<TaskOutput, TaskError>;

    /// Ends what the task holds, such as processes, when no more calls will come. It has to return
    /// within seconds. Does nothing unless a task says otherwise.
    async fn finish(&self) {}
}

/// One call of a task.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Call {
    /// The item.
    pub item: Arc<Item>,
    /// Which repetition of the item it is, from 0.
    pub repeat: u32,
    /// A seed that belongs to this item and repetition, whatever else runs: for tasks that draw at
    /// random and are to be repeatable.
    pub seed: u64,
}

impl Call {
    /// A call as an experiment would make it, for tests of a task.
    #[must_use]
    pub fn new(item: Item, repeat: u32, seed: u64) -> Self {
        Self {
            item: Arc::new(item),
            repeat,
            seed,
        }
    }

    /// A field of the item.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.item.data().get(field)
    }

    /// A field of the item that has to be text.
    ///
    /// # Errors
    /// When it is absent or something else.
    pub fn text(&self, field: &str) -> Result<&str, TaskError> {
        let text = self.get(field).and_then(Value::as_str);
        text.ok_or_else(|| TaskError::new(format!("the item has no text `{field}`")))
    }
}

/// What a task answers: named JSON values, the answer itself most often as `output`, and what it
/// cost.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskOutput {
    /// The values. Metrics see them beside those of the item.
    pub fields: Map<String, Value>,
    /// What it cost, in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// How many tokens it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// The trace that the call recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<TraceId>,
    /// How long it took, in microseconds, where that is not the time of the call: for recorded
    /// traces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_us: Option<u64>,
}

impl TaskOutput {
    /// An answer, as the field `output`.
    #[must_use]
    pub fn new(output: impl Into<Value>) -> Self {
        Self::default().with("output", output)
    }

    /// With a field; a field of that name is replaced.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.fields.insert(name.into(), value.into());
        self
    }

    /// With what it cost, in US dollars.
    #[must_use]
    pub fn cost(mut self, dollars: f64) -> Self {
        self.cost = Some(dollars);
        self
    }

    /// With how many tokens it took.
    #[must_use]
    pub fn tokens(mut self, tokens: u64) -> Self {
        self.tokens = Some(tokens);
        self
    }

    /// With the trace that it recorded.
    #[must_use]
    pub fn trace(mut self, trace: TraceId) -> Self {
        self.trace_id = Some(trace);
        self
    }

    /// With how long it took, where that is not the time of the call.
    #[must_use]
    pub fn took(mut self, duration: Duration) -> Self {
        self.duration_us = u64::try_from(duration.as_micros()).ok();
        self
    }
}

impl<T: Into<Value>> From<T> for TaskOutput {
    fn from(output: T) -> Self {
        Self::new(output)
    }
}

impl fmt::Debug for TaskOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskOutput")
            .field("fields", &self.fields.len())
            .field("cost", &self.cost)
            .field("tokens", &self.tokens)
            .field("trace_id", &self.trace_id)
            .finish_non_exhaustive()
    }
}

/// Why a trial has no output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TaskErrorKind {
    /// The task says so.
    Failed,
    /// It took longer than allowed.
    Timeout,
    /// It panicked.
    Panicked,
    /// The program that runs it ended, or answered what is no answer.
    Program,
    /// What was recorded could not be read.
    Source,
}

/// A failed call of a task.
///
/// The message is kept in the results and shown in reports. `Debug` leaves it out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskError {
    /// What kind of failure it is.
    pub kind: TaskErrorKind,
    /// What happened.
    pub message: String,
}

impl TaskError {
    /// A failure of the task.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self::of(TaskErrorKind::Failed, message)
    }

    pub(crate) fn of(kind: TaskErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskError")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for TaskError {}

type Answer = Pin<Box<dyn Future<Output = Result<TaskOutput, TaskError>> + Send>>;

/// A task from an asynchronous closure.
///
/// ```
/// use opik_evals::experiment::FnTask;
///
/// let shout = FnTask::new(|call| async move { Ok(call.text("text")?.to_uppercase().into()) });
/// # drop(shout);
/// ```
pub struct FnTask {
    function: Box<dyn Fn(Call) -> Answer + Send + Sync>,
}

impl FnTask {
    /// A task of that closure. What blocks belongs on a thread of its own.
    #[must_use]
    pub fn new<F, A>(function: F) -> Self
    where
        F: Fn(Call) -> A + Send + Sync + 'static,
        A: Future<Output = Result<TaskOutput, TaskError>> + Send + 'static,
    {
        Self {
            function: Box::new(move |call| Box::pin(function(call))),
        }
    }
}

#[async_trait]
impl Task for FnTask {
    async fn run(&self, call: &Call) -> Result<TaskOutput, TaskError> {
        (self.function)(call.clone()).await
    }
}

impl fmt::Debug for FnTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FnTask").finish_non_exhaustive()
    }
}
