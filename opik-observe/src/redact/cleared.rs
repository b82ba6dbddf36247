//! What may leave of one record.

use std::borrow::Cow;

use opik_core::{SpanId, Timestamp, TraceId};

use super::CANCELLED;
use super::clearing::Clearing;
use crate::policy::{Field, Kinds, Policy};
use crate::prompt_hash::Prompt;
use crate::raw::{Kind, Payload, RawView, Tag};

/// A value that may leave.
pub(super) enum Leaf<'a> {
    Text(Cow<'a, str>),
    /// JSON that every reader accepts.
    Json(Cow<'a, str>),
    Int(i64),
    Float(f64),
    Bool(bool),
}

/// Input or output that may leave.
pub(super) enum Content<'a> {
    /// JSON in a shape that Opik's readers accept.
    Whole(Cow<'a, str>),
    /// To be the only field of an object.
    Wrapped(Leaf<'a>),
    /// The beginning of something too long.
    Cut(Cow<'a, str>),
}

/// What a record is and when it was; this always passes.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) span: SpanId,
    pub(super) trace: TraceId,
    pub(super) parent: Option<SpanId>,
    pub(super) start: Timestamp,
    pub(super) end: Option<Timestamp>,
    /// Moment of this row: that of a record's end is newer than that of its start.
    pub(super) version: Timestamp,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            kind: Kind::Trace,
            span: SpanId::from_bytes([0; 16]),
            trace: TraceId::from_bytes([0; 16]),
            parent: None,
            start: Timestamp::EPOCH,
            end: None,
            version: Timestamp::EPOCH,
        }
    }
}

impl Head {
    fn of(view: &RawView<'_>) -> Self {
        let (start, end) = (view.start(), view.end());
        Self {
            kind: view.kind(),
            span: view.span_id(),
            trace: view.trace_id(),
            parent: view.parent(),
            start,
            end,
            version: end.map_or(start, |end| end.max(start.plus_micros(1))),
        }
    }
}

/// Text that may leave, in place or made.
type Text<'a> = Option<Cow<'a, str>>;

/// Keys among which a repeated one is looked for; above this, they are sorted.
const FEW_KEYS: usize = 32;

/// What a policy lets through of one record, borrowed from it where nothing was changed.
///
/// Made once per portion of records and filled again for each, so that its lists keep their memory.
#[derive(Default)]
pub(crate) struct Cleared<'a> {
    pub(super) head: Head,
    pub(super) name: Cow<'a, str>,
    /// Type of a span.
    pub(super) word: Cow<'a, str>,
    pub(super) input: Option<Content<'a>>,
    pub(super) output: Option<Content<'a>>,
    pub(super) metadata: Vec<(Cow<'a, str>, Leaf<'a>)>,
    pub(super) tags: Vec<Cow<'a, str>>,
    pub(super) model: Text<'a>,
    pub(super) provider: Text<'a>,
    pub(super) usage: Vec<(Cow<'a, str>, i64)>,
    pub(super) cost: Option<f64>,
    pub(super) error: Text<'a>,
    pub(super) message: Text<'a>,
    pub(super) thread: Text<'a>,
    pub(super) ttft: Option<f64>,
    pub(super) score: f64,
    pub(super) category: Text<'a>,
    pub(super) reason: Text<'a>,
    /// Fields that were held back because the policy's scrubber panicked.
    pub(crate) fields_lost: u64,
}

/// Fields of which the last one given counts, whatever comes between.
#[derive(Default)]
struct Latest<'a> {
    input: Option<Payload<'a>>,
    output: Option<Payload<'a>>,
    error: Option<Payload<'a>>,
    message: Option<&'a str>,
}

impl<'a> Cleared<'a> {
    /// Forgets the record before and decides on this one; `false` when there is nothing to export.
    pub(crate) fn read(&mut self, view: &RawView<'a>, policy: &Policy) -> bool {
        self.clear();
        self.head = Head::of(view);
        match self.head.kind {
            Kind::Score => self.read_score(view, policy),
            Kind::Trace | Kind::Span => {
                self.read_record(view, policy);
                true
            }
        }
    }

    fn clear(&mut self) {
        self.metadata.clear();
        self.tags.clear();
        self.usage.clear();
        (self.input, self.output) = (None, None);
        (self.model, self.provider, self.thread) = (None, None, None);
        (self.error, self.message) = (None, None);
        (self.category, self.reason) = (None, None);
        (self.cost, self.ttft) = (None, None);
        self.fields_lost = 0;
    }

    fn read_record(&mut self, view: &RawView<'a>, policy: &Policy) {
        let is_span = self.head.kind == Kind::Span;
        // What it turned out to be counts, also for what was given before.
        let word = if is_span { view.span_type() } else { "trace" };
        let mut clearing = Clearing {
            policy,
            kinds: if is_span {
                Kinds::of_word(word)
            } else {
                Kinds::TRACE
            },
            lost: 0,
        };
        self.word = clearing.word(word, is_span);
        let (name, declared) = view.name();
        let name = clearing.label(Field::Name, Some(&self.word), name, declared);
        self.name = name.unwrap_or_else(|| self.word.clone());

        let mut latest = Latest::default();
        view.for_each(|field| {
            let text = field.payload.as_text();
            let declared = matches!(field.payload, Payload::Declared(_));
            let mut label = |field| clearing.label(field, None, text?, declared);
            match field.tag {
                Tag::Label => self.tags.extend(label(Field::Tags)),
                Tag::Model => self.model = label(Field::Model),
                Tag::Provider => self.provider = label(Field::Provider),
                Tag::ThreadId => self.thread = label(Field::ThreadId),
                Tag::Metadata => self.add_metadata(&mut clearing, field.key, &field.payload),
                Tag::Usage => self.add_usage(&mut clearing, field.key, &field.payload),
                Tag::Cost if clearing.keeps(Field::Cost) => self.cost = float(&field.payload),
                Tag::FirstToken => self.ttft = float(&field.payload),
                Tag::Input => latest.input = Some(field.payload),
                Tag::Output => latest.output = Some(field.payload),
                Tag::ErrorType => latest.error = Some(field.payload),
                Tag::ErrorText => latest.message = text,
                Tag::SpanType
                | Tag::Cost
                | Tag::ScoreValue
                | Tag::ScoreReason
                | Tag::ScoreCategory => {}
            }
        });
        self.take_latest(&mut clearing, &latest);
        self.tidy();
        self.fields_lost = clearing.lost;
    }

    fn take_latest(&mut self, clearing: &mut Clearing<'_>, latest: &Latest<'a>) {
        if let Some(input) = &latest.input {
            self.input = clearing.content(Field::Input, input);
            if clearing.policy.adds_prompt_hash() {
                self.add_fingerprints(clearing.policy, input);
            }
        }
        if let Some(output) = &latest.output {
            self.output = clearing.content(Field::Output, output);
        }
        if let Some(error) = &latest.error {
            let declared = matches!(error, Payload::Declared(_));
            let kind = error
                .as_text()
                .and_then(|kind| clearing.error_type(kind, declared));
            self.error = Some(kind.unwrap_or(Cow::Borrowed("error")));
            self.message = latest
                .message
                .and_then(|message| clearing.text(Field::ErrorMessage, message));
        }
    }

    fn read_score(&mut self, view: &RawView<'a>, policy: &Policy) -> bool {
        let mut clearing = Clearing {
            policy,
            kinds: match self.head.parent {
                Some(_) => Kinds::SPANS,
                None => Kinds::TRACE,
            },
            lost: 0,
        };
        let (name, declared) = view.name();
        let name = clearing.label(Field::ScoreName, None, name, declared);
        self.name = name.unwrap_or(Cow::Borrowed("score"));
        self.score = f64::NAN;
        let mut has_target = true;
        for field in view.fields() {
            let text = field.payload.as_text();
            match field.tag {
                Tag::ScoreValue => self.score = float(&field.payload).unwrap_or(f64::NAN),
                Tag::ScoreCategory => {
                    let label = |text| clearing.label(Field::ScoreCategory, None, text, false);
                    self.category = text.and_then(label);
                }
                Tag::ScoreReason => {
                    self.reason = text.and_then(|text| clearing.text(Field::ScoreReason, text));
                }
                Tag::ThreadId => {
                    let label = |text| clearing.label(Field::ThreadId, None, text, false);
                    self.thread = text.and_then(label);
                    has_target = self.thread.is_some();
                }
                _ => {}
            }
        }
        self.fields_lost = clearing.lost;
        has_target && self.score.is_finite()
    }

    fn add_metadata(&mut self, clearing: &mut Clearing<'_>, key: &'a str, value: &Payload<'a>) {
        let own = key == CANCELLED && matches!(value, Payload::Bool(_));
        let key = if own {
            Some(Cow::Borrowed(key))
        } else if clearing.policy.passes_metadata(key) {
            clearing.scrubbed(Field::Metadata, key.into())
        } else {
            clearing.text(Field::Metadata, key)
        };
        if let Some(key) = key
            && let Some(leaf) = clearing.leaf(Field::Metadata, value, 1)
        {
            self.put_metadata(key, leaf);
        }
    }

    /// The last value of a key stays.
    fn put_metadata(&mut self, key: Cow<'a, str>, leaf: Leaf<'a>) {
        let known = (self.metadata.len() <= FEW_KEYS)
            .then(|| self.metadata.iter_mut().find(|(known, _)| *known == key))
            .flatten();
        match known {
            Some((_, old)) => *old = leaf,
            None => self.metadata.push((key, leaf)),
        }
    }

    fn add_usage(&mut self, clearing: &mut Clearing<'_>, name: &'a str, count: &Payload<'a>) {
        use crate::policy::Rule;
        let passes = match clearing.rule(Field::Usage) {
            Rule::Keep => true,
            Rule::Hide => false,
            Rule::Label | Rule::Name => Policy::passes_label(name),
        };
        if let (true, Payload::Int(count)) = (passes, count)
            && let Some(name) = clearing.scrubbed(Field::Usage, name.into())
        {
            self.usage.push((name, *count));
        }
    }

    fn add_fingerprints(&mut self, policy: &Policy, input: &Payload<'_>) {
        let made;
        let prompt = match input {
            Payload::Json(text) => Prompt::Json(text),
            Payload::Text(text) | Payload::Declared(text) => Prompt::Text(text),
            Payload::Cut(text) => Prompt::Text(text),
            Payload::Int(number) => {
                made = number.to_string();
                Prompt::Json(&made)
            }
            Payload::Float(number) => {
                made = serde_json::Value::from(*number).to_string();
                Prompt::Json(&made)
            }
            Payload::Bool(truth) => Prompt::Json(if *truth { "true" } else { "false" }),
        };
        for (key, hash) in policy.fingerprints(prompt).into_iter().flatten() {
            self.put_metadata(key.into(), Leaf::Text(hash.into()));
        }
    }

    /// One value per key, the last one given; counts by name, as the other form of a row has them.
    fn tidy(&mut self) {
        if self.metadata.len() > FEW_KEYS {
            self.metadata.sort_by(|a, b| a.0.cmp(&b.0));
            keep_last(&mut self.metadata);
        }
        if self.usage.len() > 1 {
            self.usage.sort_by(|a, b| a.0.cmp(&b.0));
            keep_last(&mut self.usage);
        }
    }
}

/// Of neighbours with equal keys the last.
fn keep_last<K: PartialEq, V>(sorted: &mut Vec<(K, V)>) {
    sorted.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            std::mem::swap(later, kept);
        }
        same
    });
}

fn float(payload: &Payload<'_>) -> Option<f64> {
    match payload {
        Payload::Float(number) if number.is_finite() => Some(*number),
        _ => None,
    }
}
