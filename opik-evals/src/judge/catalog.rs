//! Judges by name and JSON parameters, for settings in files and on command lines.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{GEval, Judge, JudgeModel};
use crate::MetricError;
use crate::experiment::Scorer;
use crate::metric::Parameters;

const G_EVAL: &str = "GEval";

type Make = fn(JudgeModel) -> Judge;

/// Every judge with a fixed question, by the name of its class in the Python SDK.
const CATALOG: &[(&str, Make)] = &[
    ("AnswerRelevance", Judge::answer_relevance),
    ("ContextPrecision", Judge::context_precision),
    ("ContextRecall", Judge::context_recall),
    ("Hallucination", Judge::hallucination),
    ("Moderation", Judge::moderation),
    ("SessionCompletenessQuality", Judge::session_completeness),
    ("StructuredOutputCompliance", Judge::structured_output),
    ("TrajectoryAccuracy", Judge::trajectory_accuracy),
    ("Usefulness", Judge::usefulness),
];

/// The names that [`by_name`] knows, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    let mut names: Vec<_> = CATALOG.iter().map(|(name, _)| *name).collect();
    let place = names.partition_point(|name| *name < G_EVAL);
    names.insert(place, G_EVAL);
    names.into_iter()
}

/// A judge by the name of its class in the Python SDK.
///
/// All take `name`, another name for their scores. `GEval` needs `task_introduction` and
/// `evaluation_criteria`, and takes `steps`, which it derives otherwise.
///
/// ```
/// use std::sync::Arc;
/// use opik_evals::judge::{JudgeModel, by_name};
/// use opik_testkit::ScriptedModel;
/// use serde_json::json;
///
/// let model = JudgeModel::new(Arc::new(ScriptedModel::new("scripted/judge")));
/// let parameters = json!({ "name": "made_up" });
/// let judge = by_name("Hallucination", parameters.as_object().ok_or("no object")?, &model)?;
/// assert_eq!(judge.name(), "made_up");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Parameter`](crate::MetricErrorKind::Parameter) for an unknown judge, and for a parameter that
/// is missing, unknown or of the wrong type.
pub fn by_name(
    judge: &str,
    parameters: &Map<String, Value>,
    model: &JudgeModel,
) -> Result<Arc<dyn Scorer>, MetricError> {
    let mut p = Parameters::new(parameters);
    if judge == G_EVAL {
        let task = Parameters::needed(judge, "task_introduction", p.text("task_introduction")?)?;
        let criteria =
            Parameters::needed(judge, "evaluation_criteria", p.text("evaluation_criteria")?)?;
        let mut made = GEval::new(model.clone(), task, criteria);
        if let Some(steps) = p.text("steps")? {
            made = made.steps(steps);
        }
        if let Some(name) = p.name()? {
            made = made.named(name);
        }
        p.all_read(judge)?;
        return Ok(Arc::new(made));
    }
    let make = CATALOG
        .iter()
        .find_map(|(name, make)| (*name == judge).then_some(make))
        .ok_or_else(|| {
            let known: Vec<_> = names().collect();
            let known = known.join(", ");
            MetricError::parameter(format!("there is no such judge; there are {known}"))
        })?;
    let mut made = make(model.clone());
    if let Some(name) = p.name()? {
        made = made.named(name);
    }
    p.all_read(judge)?;
    Ok(Arc::new(made))
}
