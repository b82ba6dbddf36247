//! Arbitrary programs that record.

use std::fmt::Write as _;

use opik_core::model::{FeedbackScore, ScoreRecord, ScoreTarget};
use opik_core::{SpanType, Usage};
use opik_observe::{Name, Recorder, SpanGuard, TraceGuard, Value};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

/// One call. The texts are secrets, all of them.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    Trace(String),
    Span(SpanType, String),
    SpanInContext(String),
    EndSpan,
    EndTrace,
    Input(Shape, String),
    Output(Shape, String),
    Metadata(String, Shape, String),
    AllowedKeyOtherCase(String),
    Tag(String),
    Model(String, String),
    ThreadId(String),
    Usage(String),
    Cost(f64),
    FirstToken,
    Error(String),
    Fail(String, String),
    PlainScore(f64),
    Score(ScoreOf, String, String, String),
    Flush,
}

/// How a text is wrapped up.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    Text,
    Messages,
    Deep,
    Key,
    Bytes,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum ScoreOf {
    Trace,
    Span,
    Thread,
}

impl Shape {
    fn of(self, text: &str) -> serde_json::Value {
        match self {
            Self::Text => text.into(),
            Self::Messages => {
                json!({"messages": [{"role": "user", "content": text}], "tools": [text]})
            }
            Self::Deep => json!([[{ "a": [text, 1, null] }], text]),
            Self::Key => json!({ text: { text: 1.5 } }),
            Self::Bytes => text.as_bytes().into(),
        }
    }
}

/// Texts of some entropy: eight characters of one are nowhere by accident. They are no labels.
fn secret() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => r#"[G-Zg-z2-9]{4,9} [G-Zg-z2-9 ,.!?'"\\<>&\n\t]{6,40}"#,
        2 => "[À-ÖŁ-ŐЖ-Ья-ё漢-漲😀-😏 ]{5,20}",
        1 => "[G-Zg-z2-9]{4,9} [G-Zg-z]{20,30}".prop_map(|text| text.repeat(500)),
        1 => "[G-Zg-z2-9]{12,30}".prop_map(|text| format!("\u{1}\u{7f}{text}\u{2028}")),
    ]
}

fn shape() -> impl Strategy<Value = Shape> {
    select(vec![
        Shape::Text,
        Shape::Messages,
        Shape::Deep,
        Shape::Key,
        Shape::Bytes,
    ])
}

fn call() -> impl Strategy<Value = Call> {
    let kinds = vec![
        SpanType::Llm,
        SpanType::Tool,
        SpanType::General,
        SpanType::Guardrail,
    ];
    let kind = prop_oneof![
        9 => select(kinds),
        1 => secret().prop_map(|word| SpanType::Other(word.into())),
    ];
    let target = select(vec![ScoreOf::Trace, ScoreOf::Span, ScoreOf::Thread]);
    prop_oneof![
        2 => secret().prop_map(Call::Trace),
        4 => (kind, secret()).prop_map(|(kind, name)| Call::Span(kind, name)),
        1 => secret().prop_map(Call::SpanInContext),
        3 => Just(Call::EndSpan),
        1 => Just(Call::EndTrace),
        4 => (shape(), secret()).prop_map(|(shape, text)| Call::Input(shape, text)),
        4 => (shape(), secret()).prop_map(|(shape, text)| Call::Output(shape, text)),
        4 => (secret(), shape(), secret()).prop_map(|(key, shape, text)| {
            Call::Metadata(key, shape, text)
        }),
        1 => secret().prop_map(Call::AllowedKeyOtherCase),
        2 => secret().prop_map(Call::Tag),
        2 => (secret(), secret()).prop_map(|(model, provider)| Call::Model(model, provider)),
        2 => secret().prop_map(Call::ThreadId),
        2 => secret().prop_map(Call::Usage),
        1 => select(vec![0.5, -0.5, f64::NAN]).prop_map(Call::Cost),
        1 => Just(Call::FirstToken),
        2 => secret().prop_map(Call::Error),
        2 => (secret(), secret()).prop_map(|(kind, message)| Call::Fail(kind, message)),
        1 => any::<f64>().prop_map(Call::PlainScore),
        2 => (target, secret(), secret(), secret())
            .prop_map(|(target, name, reason, category)| Call::Score(target, name, reason, category)),
        1 => Just(Call::Flush),
    ]
}

/// Programs in which most calls find a span that is open.
pub(crate) fn programs() -> impl Strategy<Value = Vec<Call>> {
    let first = (secret(), secret())
        .prop_map(|(trace, span)| vec![Call::Trace(trace), Call::Span(SpanType::Llm, span)]);
    let first = prop_oneof![9 => first, 1 => Just(Vec::new())];
    (first, proptest::collection::vec(call(), 1..40))
        .prop_map(|(first, calls)| [first, calls].concat())
}

impl Call {
    /// Every secret of the call, with what `Debug` and JSON make of it.
    pub(crate) fn secrets(&self) -> Vec<&str> {
        match self {
            Self::Trace(a)
            | Self::SpanInContext(a)
            | Self::Input(_, a)
            | Self::Output(_, a)
            | Self::AllowedKeyOtherCase(a)
            | Self::Tag(a)
            | Self::ThreadId(a)
            | Self::Usage(a)
            | Self::Error(a) => vec![a],
            Self::Span(SpanType::Other(kind), a) => vec![kind, a],
            Self::Span(_, a) => vec![a],
            Self::Metadata(a, _, b) | Self::Model(a, b) | Self::Fail(a, b) => vec![a, b],
            Self::Score(_, a, b, c) => vec![a, b, c],
            Self::EndSpan
            | Self::EndTrace
            | Self::Cost(_)
            | Self::FirstToken
            | Self::PlainScore(_)
            | Self::Flush => vec![],
        }
    }
}

/// Whatever may be printed meanwhile.
#[derive(Default)]
pub(crate) struct Printed(pub(crate) String);

impl Printed {
    pub(crate) fn debug(&mut self, value: &dyn std::fmt::Debug) {
        write!(self.0, "{value:?}\n{value:#?}\n").unwrap();
    }

    pub(crate) fn display(&mut self, value: &dyn std::fmt::Display) {
        writeln!(self.0, "{value}").unwrap();
    }
}

/// What is open: spans are ended before their trace.
#[derive(Default)]
struct Open {
    spans: Vec<SpanGuard>,
    trace: Option<TraceGuard>,
}

/// Calls the same method of the innermost span or of the trace.
macro_rules! on_innermost {
    ($open:expr, $method:ident($($argument:expr),*)) => {
        if let Some(span) = $open.spans.last_mut() {
            span.$method($($argument),*);
        } else if let Some(trace) = &mut $open.trace {
            trace.$method($($argument),*);
        }
    };
}

/// Runs a program and prints everything that can be printed of what it has in hand.
pub(crate) fn run(recorder: &Recorder, calls: &[Call], printed: &mut Printed) {
    let mut open = Open::default();
    for call in calls {
        one(recorder, call, &mut open, printed);
        printed.debug(&open.spans);
        printed.debug(&open.trace);
    }
    while open.spans.pop().is_some() {}
}

fn one(recorder: &Recorder, call: &Call, open: &mut Open, printed: &mut Printed) {
    match call {
        Call::Trace(name) => {
            while open.spans.pop().is_some() {}
            printed.debug(&Name::from(name));
            open.trace = Some(recorder.trace(name));
        }
        Call::Span(kind, name) => {
            let span = match (open.spans.last(), &open.trace) {
                (Some(parent), _) => parent.child(name, kind.clone()),
                (None, Some(trace)) => trace.span(name, kind.clone()),
                (None, None) => return,
            };
            printed.debug(&span.handle());
            open.spans.push(span);
        }
        Call::SpanInContext(name) => {
            let entered = open.spans.last().map(SpanGuard::enter);
            let mut span = recorder.span_in_context(name.clone(), SpanType::Tool);
            span.input(name);
            printed.debug(&(&entered, &span, recorder.current()));
        }
        Call::EndSpan => drop(open.spans.pop()),
        Call::EndTrace => {
            while open.spans.pop().is_some() {}
            open.trace = None;
        }
        Call::Input(shape, text) => on_innermost!(open, input(&shape.of(text))),
        Call::Output(shape, text) => on_innermost!(open, output(&shape.of(text))),
        Call::Metadata(key, shape, text) => {
            let value = shape.of(text);
            printed.debug(&Value::from(&value));
            on_innermost!(open, metadata(key, Value::from(&value)));
            on_innermost!(open, metadata("undeclared", text));
        }
        Call::AllowedKeyOtherCase(text) => on_innermost!(open, metadata("Job_Id", text)),
        Call::Tag(tag) => on_innermost!(open, tag(tag)),
        Call::Model(model, provider) => {
            if let Some(span) = open.spans.last_mut() {
                span.model(model, provider);
            }
        }
        Call::ThreadId(thread) => {
            if let Some(trace) = &mut open.trace {
                trace.thread_id(thread);
            }
        }
        Call::Usage(name) => {
            if let Some(span) = open.spans.last_mut() {
                let mut usage = Usage::of_tokens(3, 4);
                usage.0.insert(name.clone(), 5);
                span.usage(&usage);
            }
        }
        Call::Cost(dollars) => {
            if let Some(span) = open.spans.last_mut() {
                span.cost(*dollars);
            }
        }
        Call::FirstToken => on_innermost!(open, first_token()),
        Call::Error(text) => {
            let error = std::io::Error::other(text.clone());
            on_innermost!(open, error(&error));
        }
        Call::Fail(kind, message) => on_innermost!(open, fail(kind, message)),
        Call::PlainScore(value) => {
            if let Some(trace) = &open.trace {
                trace.score("helpful", *value);
            }
        }
        Call::Score(target, name, reason, category) => {
            let target = match (target, &open.trace, open.spans.last()) {
                (ScoreOf::Span, _, Some(span)) => ScoreTarget::Span(span.id().unwrap()),
                (ScoreOf::Trace, Some(trace), _) => ScoreTarget::Trace(trace.trace_id().unwrap()),
                _ => ScoreTarget::Thread(category.clone()),
            };
            let mut score = FeedbackScore::new(name, 0.5);
            score.reason = Some(reason.clone());
            score.category_name = Some(category.clone());
            recorder.score(&ScoreRecord::new(target, score));
        }
        Call::Flush => {
            let flush = recorder.flush_async(super::LONG);
            printed.debug(&flush);
            printed.debug(&recorder.flush(super::LONG));
        }
    }
}
