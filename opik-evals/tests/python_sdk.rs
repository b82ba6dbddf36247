//! The metrics give what those of the official Python SDK give.
//!
//! `fixtures/metrics.jsonl` holds inputs with the scores and errors of opik 2.2.122 (nltk 3.10.4,
//! rapidfuzz 3.14.6, rouge-score 0.1.2, scipy 1.17.1).
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use opik_evals::heuristics::{by_name, names};
use opik_evals::judge;
use opik_evals::{Case, MetricError, MetricErrorKind, Score};
use serde_json::{Map, Value};

const TOLERANCE: f64 = 1e-9;

/// What `opik.evaluation.metrics` of the SDK exports.
const SDK: &str = "\
    AgentTaskCompletionJudge AgentToolCorrectnessJudge AggregatedMetric AnswerRelevance \
    BERTScore BaseMetric ChrF ComplianceRiskJudge Contains ContextPrecision ContextRecall \
    ConversationComplianceRiskMetric ConversationDegenerationMetric \
    ConversationDialogueHelpfulnessMetric ConversationPromptUncertaintyMetric \
    ConversationQARelevanceMetric ConversationSummarizationCoherenceMetric \
    ConversationSummarizationConsistencyMetric ConversationThreadMetric \
    ConversationalCoherenceMetric CorpusBLEU DemographicBiasJudge DialogueHelpfulnessJudge \
    Equals GEval GEvalConversationMetric GEvalPreset GLEU GenderBiasJudge Hallucination \
    IsJson JSDistance JSDivergence KLDivergence KnowledgeRetentionMetric LLMJuriesJudge \
    LanguageAdherenceMetric LevenshteinRatio METEOR MetricComputationError Moderation \
    PoliticalBiasJudge PromptInjection PromptUncertaintyJudge QARelevanceJudge ROUGE \
    RagasMetricWrapper Readability RegexMatch RegionalBiasJudge ReligiousBiasJudge \
    SentenceBLEU Sentiment SessionCompletenessQuality SpearmanRanking \
    StructuredOutputCompliance SummarizationCoherenceJudge SummarizationConsistencyJudge \
    SycEval Tone TrajectoryAccuracy Usefulness UserFrustrationMetric VADERSentiment \
    conversation_types";

/// What of that is not here under its name, and why.
const NOT_HERE: &[(&str, &str)] = &[
    ("AgentTaskCompletionJudge", GEVAL),
    ("AgentToolCorrectnessJudge", GEVAL),
    (
        "AggregatedMetric",
        "is `metric::Aggregated`, which takes a closure",
    ),
    (
        "BERTScore",
        "needs a model of some hundred MB on this machine",
    ),
    ("BaseMetric", "is the trait `Metric`"),
    ("ComplianceRiskJudge", GEVAL),
    ("ConversationComplianceRiskMetric", GEVAL),
    ("ConversationDialogueHelpfulnessMetric", GEVAL),
    ("ConversationPromptUncertaintyMetric", GEVAL),
    ("ConversationQARelevanceMetric", GEVAL),
    ("ConversationSummarizationCoherenceMetric", GEVAL),
    ("ConversationSummarizationConsistencyMetric", GEVAL),
    ("ConversationThreadMetric", "is a base class"),
    (
        "ConversationalCoherenceMetric",
        "asks a question for each window of a conversation",
    ),
    ("DemographicBiasJudge", GEVAL),
    ("DialogueHelpfulnessJudge", GEVAL),
    ("GEvalConversationMetric", GEVAL),
    ("GEvalPreset", GEVAL),
    ("GenderBiasJudge", GEVAL),
    (
        "LLMJuriesJudge",
        "is the mean of judges, which a run shows beside each other",
    ),
    (
        "LanguageAdherenceMetric",
        "needs a model of fastText on this machine",
    ),
    ("MetricComputationError", "is `MetricErrorKind::Input`"),
    ("PoliticalBiasJudge", GEVAL),
    ("PromptUncertaintyJudge", GEVAL),
    ("QARelevanceJudge", GEVAL),
    ("RagasMetricWrapper", "wraps another Python library"),
    ("RegionalBiasJudge", GEVAL),
    ("ReligiousBiasJudge", GEVAL),
    (
        "Sentiment",
        "is VADERSentiment with a slightly different word list",
    ),
    ("SummarizationCoherenceJudge", GEVAL),
    ("SummarizationConsistencyJudge", GEVAL),
    (
        "SycEval",
        "asks four questions a case, the last about its own answers",
    ),
    (
        "UserFrustrationMetric",
        "asks a question for each window of a conversation",
    ),
    ("conversation_types", "is a module"),
];

const GEVAL: &str = "is GEval with criteria of its own, which are prompts of the SDK";

/// Rows whose error has another kind here, and why.
const OTHER_KIND: &[(&str, &str, &str)] = &[(
    "ROUGE",
    "rouge3",
    "an unknown kind of ROUGE is a wrong parameter, as everywhere else; the SDK blames the case",
)];

struct Row {
    metric: String,
    parameters: Value,
    case: Case,
    expected: Value,
}

fn rows() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/metrics.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let object = |value: &Value| -> Map<String, Value> { value.as_object().unwrap().clone() };
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .map(|row: Value| Row {
            metric: row["name"].as_str().unwrap().to_owned(),
            parameters: row["params"].clone(),
            case: Case::from(object(&row["input"])),
            expected: row,
        })
        .collect()
}

fn score(row: &Row) -> Result<Score, MetricError> {
    by_name(&row.metric, row.parameters.as_object().unwrap())?.score(&row.case)
}

fn kind(row: &Row) -> Option<MetricErrorKind> {
    let error = row.expected.get("error")?;
    let other = OTHER_KIND.iter().any(|(metric, parameters, reason)| {
        assert!(
            !reason.trim().is_empty(),
            "{metric} {parameters} has no reason"
        );
        *metric == row.metric && row.parameters["rouge_type"] == *parameters
    });
    Some(match error["type"].as_str().unwrap() {
        "MetricComputationError" if !other => MetricErrorKind::Input,
        "MetricComputationError" | "ValueError" | "error" => MetricErrorKind::Parameter,
        unknown => panic!("an error of type {unknown}"),
    })
}

#[test]
fn every_row_of_a_metric_agrees() {
    let mut checked: BTreeMap<String, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (i, row) in rows().iter().enumerate() {
        *checked.entry(row.metric.clone()).or_default() += 1;
        let agrees = match (score(row), kind(row)) {
            (Ok(score), None) => {
                let expected = row.expected["score"].as_f64().unwrap();
                (score.value() - expected).abs() <= TOLERANCE
                    && row.expected["metric_name"] == score.name()
            }
            (Err(error), Some(expected)) => error.kind() == expected,
            _ => false,
        };
        if !agrees {
            wrong.push(format!(
                "line {}: {} {}: {:?}, expected {} {}",
                i + 1,
                row.metric,
                row.parameters,
                score(row),
                row.expected["score"],
                row.expected["error"],
            ));
        }
    }
    for (metric, count) in &checked {
        println!("{metric}: {count} rows");
    }
    println!("{} rows in all", checked.values().sum::<usize>());
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
    for name in names() {
        assert!(checked.contains_key(name), "{name} has no row");
    }
}

#[test]
fn every_metric_of_the_sdk_is_here_or_is_left_out_by_name_with_a_reason() {
    let here: BTreeSet<&str> = names().chain(judge::names()).collect();
    let left_out: BTreeMap<&str, &str> = NOT_HERE.iter().copied().collect();
    assert_eq!(left_out.len(), NOT_HERE.len(), "each once");
    let sdk: BTreeSet<&str> = SDK.split_whitespace().collect();
    for name in &sdk {
        let reason = left_out.get(name);
        assert!(
            here.contains(name) != reason.is_some_and(|reason| reason.len() > 10),
            "{name} is here, or has a reason, and not both"
        );
    }
    for name in here.iter().chain(left_out.keys()) {
        assert!(sdk.contains(name), "{name} is none of the SDK");
    }
    // No row of the recorded file is passed over.
    assert!(rows().iter().all(|row| here.contains(row.metric.as_str())));
}
