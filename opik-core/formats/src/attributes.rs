//! Moves what other systems say about a step into Opik's fields, by the tables of
//! [`conventions`](crate::conventions), for OTLP and Jaeger alike.
//!
//! The first attribute of a target wins and leaves the attributes; everything else stays and
//! becomes metadata under its own name.

use opik_core::{ErrorInfo, Json, Span, SpanType};
use serde_json::{Map, Value};

use crate::conventions::{KINDS, LIBRARIES, MESSAGES, TABLE, TOOL_NAMES, Target};
use crate::foreign::ForeignSpan;

/// How a step ended.
#[derive(Debug, Default)]
pub(crate) enum Status {
    #[default]
    Unset,
    Ok,
    /// With what the program said.
    Error(Option<String>),
}

/// Something that happened during a step.
#[derive(Debug)]
pub(crate) struct Happening {
    pub(crate) name: String,
    /// When, as the metadata shows it.
    pub(crate) time: Value,
    pub(crate) attributes: Map<String, Value>,
}

/// What a system says about a step, besides its identifiers, name and times.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) attributes: Map<String, Value>,
    pub(crate) events: Vec<Happening>,
    pub(crate) status: Status,
    pub(crate) service: Option<Value>,
    pub(crate) host: Option<Value>,
    pub(crate) kind: Option<String>,
    pub(crate) scope: Option<Value>,
    pub(crate) links: Vec<Value>,
}

impl Facts {
    /// Moves everything into the span.
    pub(crate) fn apply(mut self, foreign: &mut ForeignSpan<'_>) {
        let mut left = Vec::new();
        let (mut asked, mut answered) = (Vec::new(), Vec::new());
        let mut exception = None;
        for event in std::mem::take(&mut self.events) {
            match event.name.as_str() {
                "exception" => exception = Some(event.attributes),
                // The event that carries messages where the attributes are too small for them.
                "gen_ai.client.inference.operation.details" => {
                    for (name, value) in event.attributes {
                        self.attributes.entry(name).or_insert(value);
                    }
                }
                "gen_ai.choice" => answered.push(Value::Object(event.attributes)),
                name => match message_role(name) {
                    Some(role) => {
                        let mut message = event.attributes;
                        message.entry("role").or_insert_with(|| Value::from(role));
                        asked.push(Value::Object(message));
                    }
                    None => left.push(event),
                },
            }
        }
        self.fields(foreign);
        let span = &mut foreign.span;
        if span.input.is_none() && !asked.is_empty() {
            span.input = Some(messages(asked));
        }
        if span.output.is_none() && !answered.is_empty() {
            span.output = Some(messages(answered));
        }
        span.error_info = error(&self.status, exception.as_ref(), &mut self.attributes);
        span.metadata = Some(self.metadata(left));
    }

    /// Moves what the table names and `fits` lets through.
    fn take(
        &mut self,
        table: &[(&str, Target)],
        foreign: &mut ForeignSpan<'_>,
        fits: impl Fn(&Value) -> bool,
    ) {
        for &(name, target) in table {
            if let Some(value) = self.attributes.get(name)
                && fits(value)
                && set(foreign, target, value)
            {
                self.attributes.remove(name);
            }
        }
    }

    fn fields(&mut self, foreign: &mut ForeignSpan<'_>) {
        self.take(TABLE, foreign, |_| true);
        if foreign.span.input.is_none() || foreign.span.output.is_none() {
            for &(prefix, words) in LIBRARIES {
                if self.attributes.keys().any(|name| name.starts_with(prefix)) {
                    self.take(words, foreign, |value| value.as_str() != Some(""));
                }
            }
        }
        for &(prefix, target) in MESSAGES {
            let span = &foreign.span;
            let free = match target {
                Target::Input => span.input.is_none(),
                _ => span.output.is_none(),
            };
            let found = if free {
                take_messages(&mut self.attributes, prefix)
            } else {
                Vec::new()
            };
            if !found.is_empty() {
                let field = match target {
                    Target::Input => &mut foreign.span.input,
                    _ => &mut foreign.span.output,
                };
                *field = Some(messages(found));
            }
        }
        let span = &mut foreign.span;
        if span.r#type.is_none() {
            span.r#type = if span.model.is_some() {
                Some(SpanType::Llm)
            } else if TOOL_NAMES
                .iter()
                .any(|name| self.attributes.contains_key(*name))
            {
                Some(SpanType::Tool)
            } else {
                None
            };
        }
        total_tokens(span);
    }

    fn metadata(self, events: Vec<Happening>) -> Json {
        let mut metadata = self.attributes;
        let mut add = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                metadata.insert(name.to_owned(), value);
            }
        };
        add("service", self.service);
        add("host", self.host);
        add("kind", self.kind.map(Value::from));
        add("scope", self.scope);
        let events: Vec<Value> = events
            .into_iter()
            .map(|it| {
                let mut event = Map::new();
                event.insert("name".to_owned(), Value::from(it.name));
                event.insert("time".to_owned(), it.time);
                if !it.attributes.is_empty() {
                    event.insert("attributes".to_owned(), Value::Object(it.attributes));
                }
                Value::Object(event)
            })
            .collect();
        add(
            "events",
            (!events.is_empty()).then_some(Value::Array(events)),
        );
        let links = (!self.links.is_empty()).then_some(Value::Array(self.links));
        add("links", links);
        Json::from_value(&Value::Object(metadata))
    }
}

/// Whether the value was taken into a field that was still free.
fn set(foreign: &mut ForeignSpan<'_>, target: Target, value: &Value) -> bool {
    let span = &mut foreign.span;
    match target {
        Target::Kind => fill(&mut span.r#type, text(value).map(|word| kind(&word))),
        Target::Model => fill(&mut span.model, text(value)),
        Target::Provider => fill(&mut span.provider, text(value)),
        Target::Tokens(name) => match whole(value) {
            Some(count) if !span.usage.0.contains_key(name) => {
                span.usage.0.insert(name.to_owned(), count);
                true
            }
            _ => false,
        },
        Target::Cost => {
            let parsed = value.as_str().and_then(|it| it.parse().ok());
            let cost = value.as_f64().or(parsed);
            fill(
                &mut span.total_estimated_cost,
                cost.filter(|it| it.is_finite()),
            )
        }
        Target::Input => fill(&mut span.input, content(value)),
        Target::Output => fill(&mut span.output, content(value)),
        Target::Tags => {
            if !span.tags.is_empty() {
                return false;
            }
            // A list, or one text with commas.
            span.tags = match value {
                Value::String(words) => words
                    .split(',')
                    .map(str::trim)
                    .filter(|word| !word.is_empty())
                    .map(str::to_owned)
                    .collect(),
                other => other
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(text)
                    .collect(),
            };
            !span.tags.is_empty()
        }
        Target::Thread => fill(&mut foreign.thread, text(value)),
        Target::Environment => fill(&mut span.environment, text(value)),
    }
}

fn fill<T>(field: &mut Option<T>, value: Option<T>) -> bool {
    let free = field.is_none() && value.is_some();
    if free {
        *field = value;
    }
    free
}

fn kind(word: &str) -> SpanType {
    let lower = word.to_ascii_lowercase();
    let known = KINDS.iter().find(|(name, _)| *name == lower);
    known.map_or_else(|| SpanType::Other(word.into()), |(_, kind)| kind.clone())
}

pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

pub(crate) fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse().ok(),
        _ => value.as_i64(),
    }
}

/// What was written as a JSON object or list inside a text becomes one.
pub(crate) fn content(value: &Value) -> Option<Json> {
    match value {
        Value::Null => None,
        Value::String(text) if text.trim_start().starts_with(['{', '[']) => {
            Some(Json::parse(text).unwrap_or_else(|_| Json::string(text)))
        }
        other => Some(Json::from_value(other)),
    }
}

fn messages(list: Vec<Value>) -> Json {
    let mut object = Map::new();
    object.insert("messages".to_owned(), Value::Array(list));
    Json::from_value(&Value::Object(object))
}

/// `gen_ai.user.message` is a message of the user.
fn message_role(event: &str) -> Option<&str> {
    event.strip_prefix("gen_ai.")?.strip_suffix(".message")
}

/// Takes `<prefix>.<number>.<rest>` out of the attributes, as a list of objects in the order of
/// the numbers.
fn take_messages(attributes: &mut Map<String, Value>, prefix: &str) -> Vec<Value> {
    let mut found: std::collections::BTreeMap<u32, Map<String, Value>> = Default::default();
    let mut names = Vec::new();
    for (name, value) in attributes.iter() {
        let place = name.strip_prefix(prefix).and_then(|it| it.split_once('.'));
        let Some((number, rest)) = place else {
            continue;
        };
        let Ok(number) = number.parse() else { continue };
        let rest = rest.strip_prefix("message.").unwrap_or(rest);
        let message = found.entry(number).or_default();
        message.insert(rest.to_owned(), value.clone());
        names.push(name.clone());
    }
    for name in names {
        attributes.remove(&name);
    }
    found.into_values().map(Value::Object).collect()
}

fn total_tokens(span: &mut Span) {
    if let (Some(prompt), Some(completion), None) = (
        span.usage.prompt_tokens(),
        span.usage.completion_tokens(),
        span.usage.get("total_tokens"),
    ) {
        let total = prompt.saturating_add(completion);
        span.usage.0.insert("total_tokens".to_owned(), total);
    }
}

/// A failed step, or one that recorded an exception and did not say that it went well.
fn error(
    status: &Status,
    exception: Option<&Map<String, Value>>,
    attributes: &mut Map<String, Value>,
) -> Option<ErrorInfo> {
    let said = match status {
        Status::Ok => return None,
        Status::Unset if exception.is_none() => return None,
        Status::Unset => None,
        Status::Error(message) => message.clone().filter(|text| !text.is_empty()),
    };
    let of = |name: &str| text(exception?.get(name)?);
    let kind = of("exception.type")
        .or_else(|| text(&attributes.remove("error.type")?))
        .unwrap_or_else(|| "error".to_owned());
    let message = of("exception.message").or(said);
    let mut error = match message {
        Some(message) => ErrorInfo::new(kind, message),
        None => ErrorInfo::of_type(kind),
    };
    if let Some(stack) = of("exception.stacktrace") {
        error.traceback = stack;
    }
    Some(error)
}
