//! `opik-rs evals metrics`: what `opik-rs evals run -m` takes.

use serde_json::json;

use crate::context::Context;
use crate::exit::Outcome;
use crate::render::style::DIM;

/// Arguments of `opik-rs evals metrics`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs evals metrics
  opik-rs evals run qa.jsonl --field answer -m 'ROUGE={\"rouge_type\":\"rougeL\"}'

Parameters are JSON behind the name. Each also takes \"name\", another name for its scores, which two \
settings of one metric in one run need. Fields that are called something else in the dataset are \
named with --map, such as --map reference=expected.

JSON: [{\"metric\", \"kind\": \"answer\", \"judge\" or \"trace\", \"reads\": [...], \"parameters\": [...]}]")]
pub(crate) struct Args {}

/// A metric: its name, the fields that it reads (those in brackets if they are there), and its
/// parameters.
type Entry = (&'static str, &'static str, &'static str);

/// Metrics of the answer.
const ANSWER: &[Entry] = &[
    (
        "ChrF",
        "output reference",
        "beta char_order ignore_whitespace lowercase",
    ),
    ("Contains", "output [reference]", "reference case_sensitive"),
    (
        "ConversationDegenerationMetric",
        "conversation",
        "ngram_size fallback_phrases",
    ),
    (
        "CorpusBLEU",
        "output reference",
        "n_grams weights smoothing_method",
    ),
    ("Equals", "output reference", "case_sensitive"),
    ("GLEU", "output reference", "min_len max_len"),
    ("IsJson", "output", ""),
    ("JSDistance", "output reference", "base"),
    ("JSDivergence", "output reference", "base"),
    ("KLDivergence", "output reference", "direction smoothing"),
    (
        "KnowledgeRetentionMetric",
        "conversation",
        "turns_to_consider",
    ),
    ("LevenshteinRatio", "output reference", "case_sensitive"),
    ("METEOR", "output reference", "alpha beta gamma"),
    ("PromptInjection", "output", "patterns keywords"),
    ("ROUGE", "output reference", "rouge_type use_stemmer"),
    (
        "Readability",
        "output",
        "min_grade max_grade enforce_bounds language",
    ),
    ("RegexMatch", "output", "regex"),
    (
        "SentenceBLEU",
        "output reference",
        "n_grams weights smoothing_method",
    ),
    ("SpearmanRanking", "output reference", ""),
    (
        "Tone",
        "output",
        "min_sentiment max_upper_ratio max_exclamations positive_lexicon negative_lexicon forbidden_phrases",
    ),
    ("VADERSentiment", "output", ""),
];

/// Metrics that ask a model.
const JUDGES: &[Entry] = &[
    ("AnswerRelevance", "input output [context]", ""),
    (
        "ContextPrecision",
        "input expected_output context [output]",
        "",
    ),
    (
        "ContextRecall",
        "input expected_output context [output]",
        "",
    ),
    (
        "GEval",
        "output [input] [context] [expected_output]",
        "task_introduction evaluation_criteria steps",
    ),
    ("Hallucination", "output [input] [context]", ""),
    ("Moderation", "output", ""),
    ("SessionCompletenessQuality", "conversation", ""),
    ("StructuredOutputCompliance", "output [schema]", ""),
    ("TrajectoryAccuracy", "goal trajectory final_result", ""),
    ("Usefulness", "input output", ""),
];

/// Metrics of the recorded trace.
const TRACES: &[Entry] = &[
    ("ToolArguments", "", "tool arguments exact"),
    ("ToolSequence", "", "tools order"),
    ("ToolUsed", "", "tool at_least at_most"),
    ("TraceCost", "", "at_least at_most"),
    ("TraceCriticalPath", "", "at_least at_most"),
    ("TraceErrors", "", "at_least at_most"),
    ("TraceLoops", "", "at_least at_most"),
    ("TraceSeconds", "", "at_least at_most"),
    ("TraceSpans", "", "at_least at_most"),
    ("TraceSteps", "", "at_least at_most"),
    ("TraceTokens", "", "at_least at_most"),
];

/// The groups, with what is to be known of each.
const GROUPS: &[(&str, &str, &[Entry])] = &[
    ("answer", "metrics of the answer", ANSWER),
    ("judge", "judges: they ask the model of --model", JUDGES),
    (
        "trace",
        "metrics of the recorded trace: with --traces, or where the program tells its trace_id",
        TRACES,
    ),
];

/// Lists them.
pub(crate) fn run(_: &Args, ctx: &Context) -> Outcome {
    if ctx.out.is_json() {
        let words = |text: &'static str| text.split_whitespace().collect::<Vec<_>>();
        let all = GROUPS.iter().flat_map(|(kind, _, entries)| {
            entries.iter().map(move |(metric, reads, parameters)| {
                let (reads, parameters) = (words(reads), words(parameters));
                json!({ "metric": metric, "kind": kind, "reads": reads, "parameters": parameters })
            })
        });
        return Ok(ctx.out.json(&all.collect::<Vec<_>>())?);
    }
    let mut text = String::new();
    for (_, heading, entries) in GROUPS {
        let gap = if text.is_empty() { "" } else { "\n" };
        text.push_str(&format!("{gap}{DIM}{heading}{DIM:#}\n"));
        for (metric, reads, parameters) in *entries {
            let mut line = format!("  {metric:31}");
            if !reads.is_empty() {
                line.push_str(&format!(" reads {reads}"));
            }
            if !parameters.is_empty() {
                let comma = if reads.is_empty() { "" } else { ";" };
                line.push_str(&format!("{comma} takes {}", parameters.replace(' ', ", ")));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    Ok(ctx.out.text(&text)?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use opik_core::TraceTree;
    use opik_evals::gate::{TraceAnalysis, TraceFacts};
    use opik_evals::judge::JudgeModel;
    use opik_evals::{MetricError, heuristics, judge, trace_metrics};
    use opik_testkit::ScriptedModel;
    use serde_json::{Map, Value};

    use super::*;

    fn names(entries: &[Entry]) -> Vec<&str> {
        entries.iter().map(|(name, _, _)| *name).collect()
    }

    #[test]
    fn the_list_is_what_the_library_has() {
        assert_eq!(names(ANSWER), heuristics::names().collect::<Vec<_>>());
        assert_eq!(names(JUDGES), judge::names().collect::<Vec<_>>());
        assert_eq!(names(TRACES), trace_metrics::names().collect::<Vec<_>>());
    }

    #[test]
    fn every_parameter_that_is_listed_is_one_and_nothing_else_is() {
        let model = JudgeModel::new(Arc::new(ScriptedModel::new("scripted/judge")));
        let analysis: Arc<dyn TraceAnalysis> =
            Arc::new(|tree: &TraceTree| TraceFacts::of(tree.id()));
        let make = |kind: &str, name: &str, parameters: &Map<String, Value>| match kind {
            "answer" => heuristics::by_name(name, parameters).map(drop),
            "judge" => judge::by_name(name, parameters, &model).map(drop),
            _ => trace_metrics::by_name(name, parameters, &analysis).map(drop),
        };
        for (kind, _, entries) in GROUPS {
            for (name, _, parameters) in *entries {
                let known = |own: &str| -> Result<(), MetricError> {
                    // What it needs is there, so that it is refused for nothing but the other.
                    let mut all: Map<String, Value> = ["regex", "tool", "task_introduction"]
                        .iter()
                        .chain(&["evaluation_criteria", "arguments"])
                        .filter(|needed| parameters.split(' ').any(|one| one == **needed))
                        .map(|needed| ((*needed).to_owned(), Value::from("x")))
                        .collect();
                    if *name == "ToolSequence" {
                        all.insert("tools".to_owned(), vec!["x"].into());
                    }
                    all.entry(own).or_insert(Value::Null);
                    make(kind, name, &all)
                };
                for own in parameters.split_whitespace().chain(["name"]) {
                    known(own).unwrap_or_else(|error| panic!("{name} {own}: {error}"));
                }
                let error = known("something_else").unwrap_err();
                assert!(
                    error.to_string().contains("something_else"),
                    "{name}: {error}"
                );
            }
        }
    }
}
