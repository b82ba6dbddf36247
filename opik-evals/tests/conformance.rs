//! Every metric keeps the promises of the trait, on the built-in cases and on any text.
#![expect(clippy::unwrap_used, reason = "tests")]

use opik_evals::heuristics::{by_name, names};
use opik_evals::metric::{Aggregated, FnMetric, conformance};
use opik_evals::{Case, Metric, MetricError, MetricErrorKind, Score};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Each metric of the catalog with its defaults.
fn metrics() -> Vec<Box<dyn Metric>> {
    names()
        .map(|name| {
            let mut parameters = Map::new();
            if name == "RegexMatch" {
                parameters.insert("regex".into(), r"(\w)\1|(?<!a)b$".into());
            }
            by_name(name, &parameters).unwrap()
        })
        .collect()
}

#[test]
fn every_metric_conforms() {
    for metric in metrics() {
        conformance::check(&*metric).unwrap();
        conformance::check(&metric.named("other")).unwrap();
    }
    conformance::check(&Aggregated::mean("all", metrics()).unwrap()).unwrap();
    conformance::check(&FnMetric::new("nan", |_: &Case| Ok(f64::NAN))).unwrap();
}

/// Text as tests love it: words, blanks, any Unicode, and the marker that no error may quote.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab]{0,3}( [abc]{1,3}){0,12}",
        r"\PC{0,40}",
        any::<String>(),
        "\\s{0,6}".prop_map(|blank| format!("{}{blank}", conformance::MARKER)),
        r#"[\[\]{}":,0-9.eE+\\u-]{0,20}"#,
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => text().prop_map(Value::from),
        2 => prop::collection::vec(text(), 0..4).prop_map(Value::from),
        1 => any::<f64>().prop_map(|number| json!(number)),
        1 => Just(Value::Null),
    ]
}

fn message() -> impl Strategy<Value = Value> {
    ("user|assistant|system", value())
        .prop_map(|(role, content)| json!({ "role": role, "content": content }))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_metric_conforms_on_any_text(output in value(), reference in value()) {
        let case = Case::new(output).with_reference(reference);
        for metric in metrics() {
            conformance::check_case(&*metric, &case).unwrap();
        }
    }

    #[test]
    fn every_metric_conforms_on_any_conversation(
        messages in prop::collection::vec(message(), 0..6)
    ) {
        let case = Case::default().with("conversation", messages);
        for metric in metrics() {
            conformance::check_case(&*metric, &case).unwrap();
        }
    }
}

/// A metric that breaks one promise.
struct Broken(&'static str);

impl Metric for Broken {
    fn name(&self) -> &str {
        if self.0 == "blank" { " " } else { "broken" }
    }

    fn score(&self, case: &Case) -> Result<Score, MetricError> {
        let calls = CALLS.with(|calls| calls.replace(calls.get() + 1));
        match self.0 {
            "finite" => Ok(Score::new("broken", f64::INFINITY)),
            "name" => Ok(Score::new("another", 1.0)),
            "same score" => Ok(Score::new("broken", f64::from(calls % 2))),
            "same answer" if calls.is_multiple_of(2) => Ok(Score::new("broken", 0.0)),
            "quotes" => Err(MetricError::new(
                MetricErrorKind::Input,
                format!("cannot score {:?}", case.get("output")),
            )),
            "quotes below" => Err(MetricError::new(MetricErrorKind::Input, "cannot score")
                .with_source(format!("{:?}", case.get("output")))),
            _ => Err(MetricError::new(MetricErrorKind::Input, "no")),
        }
    }
}

thread_local! {
    static CALLS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

#[test]
fn the_suite_finds_each_broken_promise() {
    for (promise, said) in [
        ("blank", "its name is not blank"),
        ("finite", "a score is a finite number"),
        ("name", "a score bears the name of its metric"),
        ("same score", "the same case always gets the same score"),
        ("same answer", "the same case always gets the same answer"),
        ("quotes", "an error quotes nothing of the case"),
        ("quotes below", "an error quotes nothing of the case"),
    ] {
        let found = conformance::check(&Broken(promise)).unwrap_err();
        assert!(found.to_string().contains(said), "{promise}: {found}");
    }
    conformance::check(&Broken("none")).unwrap();
}
