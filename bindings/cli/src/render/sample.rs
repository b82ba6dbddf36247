//! Small traces for the tests of drawings.

use opik_core::{ErrorInfo, Span, SpanId, SpanType, Timestamp, Trace, TraceId, TraceTree, Usage};

/// A trace in the making; times are milliseconds after a fixed moment.
#[derive(Debug)]
pub(crate) struct Sample {
    trace: Trace,
    spans: Vec<Span>,
}

fn at(ms: u64) -> Timestamp {
    let base = 1_735_689_600_000_000;
    Timestamp::from_micros(base + i64::try_from(ms).unwrap() * 1_000)
}

impl Sample {
    pub(crate) fn new() -> Self {
        let mut trace = Trace::new(TraceId::from_parts(at(0), 1), at(0));
        trace.name = Some("sample".to_owned());
        Self {
            trace,
            spans: Vec::new(),
        }
    }

    pub(crate) fn span(
        &mut self,
        name: &str,
        parent: Option<SpanId>,
        start: u64,
        end: u64,
    ) -> SpanId {
        // Spread over all bits, as real identifiers are: lists show the end.
        let random = (self.spans.len() as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let id = SpanId::from_parts(at(start), random);
        let mut span = Span::new(id, self.trace.id, at(start));
        span.name = Some(name.to_owned());
        span.parent_span_id = parent;
        span.end_time = Some(at(end));
        self.spans.push(span);
        id
    }

    fn get(&mut self, id: SpanId) -> &mut Span {
        self.spans.iter_mut().find(|span| span.id == id).unwrap()
    }

    pub(crate) fn fail(&mut self, id: SpanId, kind: &str) {
        self.get(id).error_info = Some(ErrorInfo::of_type(kind));
    }

    pub(crate) fn llm(&mut self, id: SpanId, model: &str, prompt: i64, completion: i64) {
        let span = self.get(id);
        span.r#type = Some(SpanType::Llm);
        span.model = Some(model.to_owned());
        span.usage = Usage::of_tokens(prompt, completion);
    }

    pub(crate) fn tree(self) -> TraceTree {
        TraceTree::build(self.trace, self.spans)
    }
}
