//! Metrics of traces by name and JSON parameters, for settings in files and on command lines.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Order, ToolArguments, ToolSequence, ToolUsed, TraceMeasure, TraceMetric};
use crate::MetricError;
use crate::gate::TraceAnalysis;
use crate::metric::Parameters;

type Made = Result<Box<dyn TraceMetric>, MetricError>;
type Measure = fn(&Arc<dyn TraceAnalysis>) -> TraceMeasure;
type Tool = fn(&mut Parameters<'_>) -> Made;

const TOOLS: &[(&str, Tool)] = &[
    ("ToolArguments", tool_arguments),
    ("ToolSequence", tool_sequence),
    ("ToolUsed", tool_used),
];

const MEASURES: &[(&str, Measure)] = &[
    ("TraceCost", |_| TraceMeasure::dollars()),
    ("TraceCriticalPath", |analysis| {
        TraceMeasure::critical_path(Arc::clone(analysis))
    }),
    ("TraceErrors", |_| TraceMeasure::errors()),
    ("TraceLoops", |analysis| {
        TraceMeasure::loops(Arc::clone(analysis))
    }),
    ("TraceSeconds", |_| TraceMeasure::seconds()),
    ("TraceSpans", |_| TraceMeasure::spans()),
    ("TraceSteps", |_| TraceMeasure::steps()),
    ("TraceTokens", |_| TraceMeasure::tokens()),
];

/// The names that [`by_name`] knows, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    let tools = TOOLS.iter().map(|(name, _)| *name);
    tools.chain(MEASURES.iter().map(|(name, _)| *name))
}

/// A metric of traces by name.
///
/// All take `name`, another name for their scores.
///
/// | name | parameters |
/// |---|---|
/// | `ToolUsed` | `tool`, perhaps `at_least` (1) and `at_most` calls |
/// | `ToolSequence` | `tools`, perhaps `order`: `in_order` (default), `exact`, `any` |
/// | `ToolArguments` | `tool`, `arguments`, perhaps `exact` |
/// | `TraceCost`, `TraceCriticalPath`, `TraceErrors`, `TraceLoops`, `TraceSeconds`, `TraceSpans`, `TraceSteps`, `TraceTokens` | perhaps `at_least`, `at_most`: then 1 within, 0 beyond |
///
/// ```
/// use std::sync::Arc;
/// use opik_core::TraceTree;
/// use opik_evals::gate::{TraceAnalysis, TraceFacts};
/// use opik_evals::trace_metrics::by_name;
/// use serde_json::json;
///
/// let analysis: Arc<dyn TraceAnalysis> = Arc::new(|tree: &TraceTree| TraceFacts::of(tree.id()));
/// let parameters = json!({ "at_most": 0 });
/// let metric = by_name("TraceErrors", parameters.as_object().ok_or("no object")?, &analysis)?;
/// assert_eq!(metric.name(), "trace_error_spans");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Parameter`](crate::MetricErrorKind::Parameter) for an unknown metric, and for a parameter that
/// is missing, unknown or of the wrong type.
pub fn by_name(
    metric: &str,
    parameters: &Map<String, Value>,
    analysis: &Arc<dyn TraceAnalysis>,
) -> Made {
    let mut p = Parameters::new(parameters);
    let tool = TOOLS.iter().find(|(name, _)| *name == metric);
    let measure = MEASURES.iter().find(|(name, _)| *name == metric);
    let made: Box<dyn TraceMetric> = match (tool, measure) {
        (Some((_, make)), _) => make(&mut p)?,
        (None, Some((_, make))) => {
            let mut measure = make(analysis);
            if let Some(number) = p.number("at_least")? {
                measure = measure.at_least(number);
            }
            if let Some(number) = p.number("at_most")? {
                measure = measure.at_most(number);
            }
            if let Some(name) = p.name()? {
                measure = measure.named(name);
            }
            Box::new(measure)
        }
        (None, None) => {
            let known: Vec<_> = names().collect();
            return Err(MetricError::parameter(format!(
                "there is no such metric of traces; there are {}",
                known.join(", ")
            )));
        }
    };
    p.all_read(metric)?;
    Ok(made)
}

fn tool_used(p: &mut Parameters<'_>) -> Made {
    let tool = Parameters::needed("ToolUsed", "tool", p.text("tool")?)?;
    let least = p.count("at_least")?;
    let most = p.count("at_most")?;
    // `at_most: 0` alone forbids the tool.
    let least = least.unwrap_or(usize::from(most != Some(0)));
    let mut made = ToolUsed::new(tool).times(least, most.unwrap_or(usize::MAX));
    if let Some(name) = p.name()? {
        made = made.named(name);
    }
    Ok(Box::new(made))
}

fn tool_sequence(p: &mut Parameters<'_>) -> Made {
    let tools = Parameters::needed("ToolSequence", "tools", p.texts("tools")?)?;
    let order = match p.text("order")? {
        None | Some("in_order") => Order::InOrder,
        Some("exact") => Order::Exact,
        Some("any") => Order::Any,
        Some(_) => {
            return Err(MetricError::parameter(
                "the parameter `order` has to be in_order, exact or any",
            ));
        }
    };
    let mut made = ToolSequence::new(tools).order(order);
    if let Some(name) = p.name()? {
        made = made.named(name);
    }
    Ok(Box::new(made))
}

fn tool_arguments(p: &mut Parameters<'_>) -> Made {
    let tool = Parameters::needed("ToolArguments", "tool", p.text("tool")?)?;
    let arguments = Parameters::needed("ToolArguments", "arguments", p.value("arguments")?)?;
    let mut made = ToolArguments::new(tool, arguments.clone());
    if let Some(exact) = p.flag("exact")? {
        made = made.exact(exact);
    }
    if let Some(name) = p.name()? {
        made = made.named(name);
    }
    Ok(Box::new(made))
}
