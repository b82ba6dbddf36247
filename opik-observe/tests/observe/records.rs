//! What is recorded of a call.

use std::fmt;
use std::num::ParseIntError;
use std::panic::{AssertUnwindSafe, catch_unwind};

use opik_core::SpanType;
use opik_observe::{Recorder, observe};
use serde_json::json;

use super::{Place, error, json, name, run};

#[observe]
fn plain(number: u32) -> u32 {
    number + 1
}

#[observe(name = "look up", kind = tool, input(order, by), output)]
fn look_up(order: u64, by: &str, secret: &str) -> String {
    format!("{order} {by} {}", secret.len())
}

#[observe]
fn parse(text: &str) -> Result<i32, ParseIntError> {
    let number: i32 = text.parse()?;
    Ok(number)
}

#[observe(kind = llm, input(question), output)]
async fn answer(question: String) -> Result<usize, ParseIntError> {
    std::future::ready(()).await;
    question.parse()
}

#[test]
fn a_call_is_a_span_with_the_name_of_the_function_and_no_argument() {
    let place = Place::new();
    assert_eq!(plain(6), 7);
    let span = place.span();
    assert_eq!(
        (name(&span), &span.r#type),
        ("plain", &Some(SpanType::General))
    );
    assert!(span.input.is_none() && span.output.is_none() && span.end_time.is_some());
}

#[test]
fn options_give_name_kind_named_arguments_and_output() {
    let place = Place::new();
    assert_eq!(look_up(7, "number", "hunter22"), "7 number 8");
    let span = place.span();
    assert_eq!(
        (name(&span), &span.r#type),
        ("look up", &Some(SpanType::Tool))
    );
    assert_eq!(
        json(span.input.as_ref()),
        json!({ "order": 7, "by": "number" })
    );
    assert_eq!(
        json(span.output.as_ref()),
        json!({ "output": "7 number 8" })
    );
}

#[test]
fn an_error_that_is_returned_is_the_span_s_also_through_a_question_mark() {
    let place = Place::new();
    let refused = parse("x").unwrap_err();
    assert_eq!(parse("7"), Ok(7));
    let spans = place.spans();
    assert_eq!(
        error(&spans[0]),
        Some(("ParseIntError", &*refused.to_string()))
    );
    assert_eq!(error(&spans[1]), None);
}

#[test]
fn an_async_call_records_the_same() {
    let place = Place::new();
    assert_eq!(run(answer("12".to_owned())), Ok(12));
    assert!(run(answer("x".to_owned())).is_err());
    let spans = place.spans();
    assert_eq!(
        (name(&spans[0]), &spans[0].r#type),
        ("answer", &Some(SpanType::Llm))
    );
    assert_eq!(json(spans[0].input.as_ref()), json!({ "question": "12" }));
    assert_eq!(json(spans[0].output.as_ref()), json!({ "output": 12 }));
    assert_eq!(error(&spans[0]), None);
    assert_eq!(error(&spans[1]).unwrap().0, "ParseIntError");
    assert!(spans[1].output.is_none());
    for span in &spans {
        assert_eq!(json(span.metadata.as_ref()).get("cancelled"), None);
    }
}

#[derive(Debug)]
struct Outer(ParseIntError);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("outer")
    }
}

impl std::error::Error for Outer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

fn inner_error() -> ParseIntError {
    "x".parse::<i32>().unwrap_err()
}

/// Prints its causes when asked with `#`, and is no error by type.
struct Report;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if f.alternate() { "top: cause" } else { "top" })
    }
}

#[test]
fn errors_of_every_sort_say_what_their_type_knows() {
    #[observe]
    fn with_cause() -> Result<(), Outer> {
        Err(Outer(inner_error()))
    }
    #[observe]
    fn boxed() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Err(Box::new(Outer(inner_error())))
    }
    #[observe]
    async fn boxed_async() -> Result<(), Box<dyn std::error::Error>> {
        Err(inner_error().into())
    }
    #[observe]
    fn printed() -> Result<(), Report> {
        Err(Report)
    }
    #[observe]
    fn text() -> Result<(), String> {
        Err("no".to_owned())
    }
    #[observe]
    fn generic<E>(error: E) -> Result<(), E> {
        Err(error)
    }
    let place = Place::new();
    let cause = inner_error().to_string();
    let chain = format!("outer: {cause}");
    assert!(with_cause().is_err() && boxed().is_err() && run(boxed_async()).is_err());
    assert!(printed().is_err() && text().is_err() && generic(Outer(inner_error())).is_err());
    let spans = place.spans();
    let errors: Vec<_> = spans.iter().map(|span| error(span).unwrap()).collect();
    assert_eq!(
        errors,
        [
            ("Outer", &*chain),
            ("Error", &chain),
            ("Error", &cause),
            ("Report", "top: cause"),
            ("String", "no"),
            // Of a type parameter nothing is known but its name.
            ("Outer", ""),
        ]
    );
}

#[test]
fn a_panic_is_the_span_s_error_and_goes_on() {
    #[observe]
    fn panics() {
        panic!("the program's own");
    }
    #[observe]
    fn panics_in_result() -> Result<(), Outer> {
        panic!("the program's own");
    }
    #[observe]
    async fn panics_in_async() {
        panic!("the program's own");
    }
    let place = Place::new();
    assert!(catch_unwind(panics).is_err());
    assert!(catch_unwind(|| panics_in_result().is_ok()).is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| run(panics_in_async()))).is_err());
    assert_eq!(place.recorder.current().unwrap().span_id(), place.top.id());
    let spans = place.spans();
    assert_eq!(spans.len(), 3);
    for span in &spans {
        assert_eq!(error(span).unwrap().0, "panic", "{span:?}");
        assert!(span.metadata.is_none(), "a panic is not a cancelled call");
    }
}

#[test]
fn a_dropped_future_is_cancelled_and_one_that_never_ran_is_nothing() {
    #[observe]
    async fn waits() {
        std::future::pending::<()>().await;
    }
    let place = Place::new();
    drop(waits());
    let mut waiting = Box::pin(waits());
    assert!(futures_util::FutureExt::now_or_never(waiting.as_mut()).is_none());
    drop(waiting);
    let span = place.span();
    assert_eq!(json(span.metadata.as_ref()), json!({ "cancelled": true }));
    assert_eq!(error(&span), None);
}

#[test]
fn observed_functions_form_a_tree_across_await() {
    #[observe]
    async fn root() -> u32 {
        let one = leaf(1).await;
        one + twig(2)
    }
    #[observe]
    async fn leaf(number: u32) -> u32 {
        std::future::ready(number).await
    }
    #[observe]
    fn twig(number: u32) -> u32 {
        plain(number)
    }
    let place = Place::new();
    assert_eq!(run(root()), 4);
    let spans = place.spans();
    let named = |wanted| spans.iter().find(|span| name(span) == wanted).unwrap();
    assert_eq!(named("leaf").parent_span_id, Some(named("root").id));
    assert_eq!(named("twig").parent_span_id, Some(named("root").id));
    assert_eq!(named("plain").parent_span_id, Some(named("twig").id));
}

struct Service {
    recorder: Recorder,
}

impl Service {
    #[observe(recorder = self.recorder)]
    fn serve(&self) -> bool {
        self.recorder.current().is_some()
    }

    #[observe(recorder = &self.recorder, name = "later")]
    async fn serve_later(&mut self) -> Result<bool, fmt::Error> {
        Ok(self.recorder.current().is_some())
    }
}

#[test]
fn a_recorder_of_its_own_is_used_whatever_span_the_thread_is_in() {
    let (place, other) = (Place::new(), Place::new());
    drop(other.entered);
    let mut service = Service {
        recorder: other.recorder.clone(),
    };
    assert!(service.serve() && run(service.serve_later()).unwrap());
    assert!(place.spans().is_empty());
    drop(other.top);
    assert!(other.guard.shutdown(super::LONG).complete);
    // Nobody was in a span of that recorder, so each call brought a trace.
    let names: Vec<_> = other
        .seen
        .traces()
        .into_iter()
        .map(|trace| trace.name.unwrap())
        .collect();
    assert!(names.contains(&"serve".to_owned()) && names.contains(&"later".to_owned()));
}

#[test]
fn without_any_recorder_a_call_is_just_a_call() {
    // No test of this program sets a default recorder.
    assert!(!opik_observe::default_recorder().is_enabled());
    assert_eq!(plain(1), 2);
    assert_eq!(look_up(7, "number", "x"), "7 number 1");
    assert_eq!((parse("7"), run(answer("7".to_owned()))), (Ok(7), Ok(7)));
    assert!(opik_observe::SpanHandle::current().is_none());
}
