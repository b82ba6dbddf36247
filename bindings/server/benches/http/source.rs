//! Spans as an SDK writes them: the same in every run.

use std::fmt::Write as _;

use opik_core::{SpanId, Timestamp, TraceId};

pub(crate) const BATCH: usize = 1_000;
pub(crate) const PROJECTS: u64 = 10;

/// SplitMix64: the same numbers in every run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// Small numbers are more frequent, as words are.
    pub(crate) fn zipf(&mut self, n: u64) -> u64 {
        let unit = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        ((n as f64).powf(unit) - 1.0) as u64
    }

    pub(crate) fn text(&mut self, bytes: usize, to: &mut String) {
        let end = to.len() + bytes;
        while to.len() < end {
            let word = self.zipf(20_000);
            let syllable = ["re", "tion", "al", "con", "is"][(word % 5) as usize];
            write!(to, "{syllable}{word:x} ").unwrap();
        }
    }
}

/// Spans as an SDK writes them, trace by trace, a tenth of the traces with 50.
pub(crate) struct Source {
    random: Random,
    clock: i64,
    left: u64,
    trace: TraceId,
    parent: Option<SpanId>,
    project: u64,
    /// Rows of traces that go with the next spans.
    traces: Vec<String>,
    /// Traces of 50 spans, with their projects.
    pub(crate) long: Vec<(TraceId, u64)>,
}

impl Source {
    pub(crate) fn new() -> Self {
        let trace = TraceId::from_parts(Timestamp::from_micros(0), 0);
        Self {
            random: Random(7),
            clock: 1_790_000_000_000_000,
            left: 0,
            trace,
            parent: None,
            project: 0,
            traces: Vec::new(),
            long: Vec::new(),
        }
    }

    pub(crate) fn begin(&mut self) {
        self.clock += 3_000;
        let at = Timestamp::from_micros(self.clock);
        self.trace = TraceId::from_parts(at, self.random.next());
        self.project = self.random.below(PROJECTS);
        self.left = if self.random.below(10) == 0 {
            50
        } else {
            1 + self.random.below(12)
        };
        if self.left == 50 {
            self.long.push((self.trace, self.project));
        }
        self.parent = None;
        let mut row = format!(
            r#"{{"id":"{}","project_name":"project {}","name":"agent {}","start_time":"{at}","end_time":"{}","input":{{"question":""#,
            self.trace,
            self.project,
            self.random.zipf(20),
            at.plus_micros(900_000),
        );
        self.random.text(300, &mut row);
        write!(
            row,
            r#""}},"metadata":{{"job":{}}},"last_updated_at":"{}"}}"#,
            self.random.below(100_000),
            at.plus_micros(900_000)
        )
        .unwrap();
        self.traces.push(row);
    }

    pub(crate) fn span(&mut self) -> String {
        if self.left == 0 {
            self.begin();
        }
        self.left -= 1;
        self.clock += 40;
        let (at, random) = (Timestamp::from_micros(self.clock), &mut self.random);
        let id = SpanId::from_parts(at, random.next());
        let kind = ["general", "tool", "llm"][random.below(3) as usize];
        let mut row = String::with_capacity(1_400);
        write!(
            row,
            r#"{{"id":"{id}","project_name":"project {}","trace_id":"{}","name":"step {}","type":"{kind}","start_time":"{at}","end_time":"{}","#,
            self.project, self.trace, random.zipf(60), at.plus_micros(20_000),
        ).unwrap();
        match self.parent {
            Some(parent) => write!(row, r#""parent_span_id":"{parent}","#).unwrap(),
            None => self.parent = Some(id),
        }
        if kind == "llm" {
            let (prompt, reply) = (random.below(4_000), random.below(900));
            write!(
                row,
                r#""model":"model-{}","provider":"openai","usage":{{"prompt_tokens":{prompt},"completion_tokens":{reply},"total_tokens":{}}},"total_estimated_cost":0.00{},"#,
                random.zipf(12), prompt + reply, random.below(10_000),
            ).unwrap();
        }
        if random.below(1_000) == 0 {
            row.push_str(r#""tags":["rare"],"#);
        }
        if random.below(100) == 0 {
            row.push_str(r#""error_info":{"exception_type":"TimeoutError","message":"late","traceback":"at step"},"#);
        }
        row.push_str(r#""input":{"messages":[{"role":"user","content":""#);
        random.text(350, &mut row);
        row.push_str(r#""}]},"output":{"text":""#);
        random.text(250, &mut row);
        write!(
            row,
            r#""}},"metadata":{{"attempt":{},"region":"eu-{}"}},"last_updated_at":"{}"}}"#,
            random.below(3),
            random.below(4),
            at.plus_micros(20_000)
        )
        .unwrap();
        row
    }

    /// The rows of a batch of spans, and the traces that began in it.
    pub(crate) fn batch(&mut self) -> (Vec<String>, Vec<String>) {
        let spans = (0..BATCH).map(|_| self.span()).collect();
        (spans, std::mem::take(&mut self.traces))
    }
}
