//! Metrics by name: what is wrong with a setting is said, and nothing is ignored in silence.
#![expect(clippy::unwrap_used, reason = "tests")]

use opik_evals::heuristics::{by_name, names};
use opik_evals::{Case, Metric, MetricError, MetricErrorKind};
use serde_json::{Value, json};

fn made(name: &str, parameters: &Value) -> Result<Box<dyn Metric>, MetricError> {
    by_name(name, parameters.as_object().unwrap())
}

#[test]
fn wrong_settings_are_refused() {
    for (name, parameters, said) in [
        ("Bleu", json!({}), "there is no such metric"),
        (
            "Equals",
            json!({ "case": true }),
            "Equals has no parameter `case`",
        ),
        (
            "Equals",
            json!({ "case_sensitive": 1 }),
            "has to be true or false",
        ),
        ("Equals", json!({ "name": " " }), "the name is blank"),
        ("RegexMatch", json!({}), "needs the parameter `regex`"),
        (
            "GLEU",
            json!({ "min_len": 3, "max_len": 2 }),
            "the shortest first",
        ),
        ("GLEU", json!({ "min_len": -1 }), "a whole number"),
        (
            "SentenceBLEU",
            json!({ "n_grams": 1_001 }),
            "from 1 to 1000",
        ),
        (
            "SentenceBLEU",
            json!({ "n_grams": 2, "weights": [2.0, -1.0] }),
            "from 0 on",
        ),
        (
            "SentenceBLEU",
            json!({ "smoothing_method": "method6" }),
            "smoothing",
        ),
        ("ChrF", json!({ "beta": 1e200 }), "beta"),
        ("JSDivergence", json!({ "base": 1 }), "above 1"),
        ("KLDivergence", json!({ "direction": "up" }), "direction"),
        ("METEOR", json!({ "alpha": 1.5 }), "alpha"),
        (
            "Readability",
            json!({ "language": "de_DE" }),
            "can only be en_US",
        ),
        (
            "PromptInjection",
            json!({ "patterns": ["("] }),
            "regular expression",
        ),
        (
            "ConversationDegenerationMetric",
            json!({ "ngram_size": 1 }),
            "2 words",
        ),
    ] {
        let error = made(name, &parameters).err().unwrap();
        assert_eq!(
            error.kind(),
            MetricErrorKind::Parameter,
            "{name} {parameters}"
        );
        assert!(error.to_string().contains(said), "{name}: {error}");
    }
}

#[test]
fn every_metric_takes_another_name_and_null_for_a_default() {
    for name in names() {
        let metric = made(name, &json!({ "name": "mine", "regex": "x" }))
            .or_else(|_| made(name, &json!({ "name": "mine", "case_sensitive": null })))
            .or_else(|_| made(name, &json!({ "name": "mine" })));
        assert_eq!(metric.unwrap().name(), "mine");
    }
    let exact = made(
        "Equals",
        &json!({ "case_sensitive": null, "name": "loose" }),
    )
    .unwrap();
    let score = exact.score(&Case::new("A").with_reference("a")).unwrap();
    assert_eq!((score.name(), score.value()), ("loose", 1.0));
}

#[test]
fn word_lists_replace_the_built_in_ones() {
    for (name, parameters, case, expected) in [
        (
            "Tone",
            json!({ "negative_lexicon": ["Meh"] }),
            Case::new("meh"),
            0.0,
        ),
        (
            "Tone",
            json!({ "negative_lexicon": [] }),
            Case::new("awful"),
            1.0,
        ),
        (
            "Tone",
            json!({ "forbidden_phrases": ["no way"] }),
            Case::new("No way."),
            0.0,
        ),
        (
            "Tone",
            json!({ "positive_lexicon": ["yay"], "min_sentiment": 0.5 }),
            Case::new("yay"),
            1.0,
        ),
        (
            "PromptInjection",
            json!({ "keywords": ["X-ray"] }),
            Case::new("x-ray"),
            0.5,
        ),
        (
            "PromptInjection",
            json!({ "patterns": ["^a.c$"] }),
            Case::new("ABC"),
            1.0,
        ),
        (
            "ConversationDegenerationMetric",
            json!({ "fallback_phrases": ["Dunno"] }),
            Case::conversation([("assistant", "dunno about this")]),
            0.25,
        ),
    ] {
        let score = made(name, &parameters).unwrap().score(&case).unwrap();
        assert_eq!(score.value(), expected, "{name} {parameters}");
    }
}
