//! Outputs that are there already.

use async_trait::async_trait;

use super::{Call, Task, TaskError, TaskOutput};

/// A task that takes its answer from a field of the item: for predictions that were made before.
///
/// ```
/// use opik_evals::experiment::FieldTask;
///
/// let predictions = FieldTask::new("prediction");
/// # drop(predictions);
/// ```
#[derive(Debug, Clone)]
pub struct FieldTask {
    field: String,
}

impl FieldTask {
    /// The answer is this field. An item that lacks it is a failed trial.
    #[must_use]
    pub fn new(field: impl Into<String>) -> Self {
        Self {
            field: field.into(),
        }
    }
}

#[async_trait]
impl Task for FieldTask {
    async fn run(&self, call: &Call) -> Result<TaskOutput, TaskError> {
        let missing = || TaskError::new(format!("the item has no field `{}`", self.field));
        let value = call.get(&self.field).ok_or_else(missing)?;
        Ok(TaskOutput::new(value.clone()))
    }
}
