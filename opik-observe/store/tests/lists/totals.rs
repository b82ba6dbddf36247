//! Totals that are kept or remembered are those of a search that goes through everything, after any
//! history of writes.

use std::path::Path;
use std::time::Duration;

use opik_core::query::{Entity, Filter, Operator, ProjectSelector, SpanQuery, TraceQuery, matches};
use opik_core::{
    Batch, ErrorInfo, Exporter, Json, PageRequest, Span, SpanType, Trace, TraceSource,
};
use opik_store::records::{RecordOutcome, SpanPatch, TracePatch};
use opik_store::{Retention, Store, StoreOptions};
use opik_testkit::records;
use proptest::prelude::*;

use super::support::block_on;

const PROJECTS: [&str; 2] = ["one", "two"];
const MODELS: [&str; 3] = ["Alpha", "alpha", "beta"];
const TAGS: [&[&str]; 4] = [&[], &["x"], &["x", "x", "Y"], &["X", "y"]];

/// What a record is made of.
#[derive(Debug, Clone, Copy)]
struct Look {
    project: usize,
    model: usize,
    tags: usize,
    error: usize,
    kind: usize,
    version: i64,
}

#[derive(Debug, Clone)]
enum Step {
    Spans(Vec<(u32, u32, Look)>),
    Trace(u32, Look),
    PatchSpan(u32, u32, Look),
    PatchTrace(u32, Look),
    Delete(u32),
    Prune(i64),
    Reopen,
}

fn look() -> impl Strategy<Value = Look> {
    (
        0..2usize,
        0..4usize,
        0..4usize,
        0..4usize,
        0..4usize,
        0..4i64,
    )
        .prop_map(|(project, model, tags, error, kind, version)| Look {
            project,
            model,
            tags,
            error,
            kind,
            version,
        })
}

fn step() -> impl Strategy<Value = Step> {
    let spans = prop::collection::vec((0..5u32, 0..12u32, look()), 1..20);
    prop_oneof![
        6 => spans.prop_map(Step::Spans),
        3 => (0..5u32, look()).prop_map(|(trace, look)| Step::Trace(trace, look)),
        2 => (0..5u32, 0..12u32, look())
            .prop_map(|(trace, span, look)| Step::PatchSpan(trace, span, look)),
        1 => (0..5u32, look()).prop_map(|(trace, look)| Step::PatchTrace(trace, look)),
        1 => (0..5u32).prop_map(Step::Delete),
        1 => (0..6i64).prop_map(Step::Prune),
        1 => Just(Step::Reopen),
    ]
}

fn tags(look: Look) -> Vec<String> {
    let tags = TAGS.get(look.tags).copied().unwrap_or_default();
    tags.iter().map(|tag| (*tag).to_owned()).collect()
}

fn error(look: Look) -> Option<ErrorInfo> {
    let kind = ["", "ValueError", "valueerror"].get(look.error)?;
    Some(ErrorInfo::new(*kind, "late"))
}

fn kind(look: Look) -> Option<SpanType> {
    let kinds = [SpanType::General, SpanType::Tool, SpanType::Llm];
    kinds.into_iter().nth(look.kind)
}

fn content(look: Look) -> Json {
    let text = format!(
        r#"{{"job": {}, "at": {{"region": "eu-{}"}}}}"#,
        look.kind, look.model
    );
    records::content(&text)
}

fn span(trace: u32, number: u32, look: Look) -> Span {
    let mut span = records::full_span(trace, number);
    span.project_name = PROJECTS.get(look.project).map(|&name| name.to_owned());
    span.model = MODELS.get(look.model).map(|&model| model.to_owned());
    span.provider = (look.model == 0).then(|| "OpenAI".to_owned());
    span.tags = tags(look);
    span.error_info = error(look);
    span.r#type = kind(look);
    span.metadata = Some(content(look));
    span.last_updated_at = Some(records::at(look.version));
    span
}

fn trace(number: u32, look: Look) -> Trace {
    let mut trace = records::full_trace(number);
    trace.project_name = PROJECTS.get(look.project).map(|&name| name.to_owned());
    trace.name = MODELS.get(look.model).map(|&name| name.to_owned());
    trace.thread_id = (look.kind > 0).then(|| format!("thread {}", look.kind));
    trace.tags = tags(look);
    trace.error_info = error(look);
    trace.metadata = Some(content(look));
    trace.last_updated_at = Some(records::at(look.version));
    trace
}

fn export(store: &Store, traces: Vec<Trace>, spans: Vec<Span>) {
    block_on(store.export(&Batch::new(traces, spans))).unwrap();
}

fn take(store: Store, path: &Path, step: &Step) -> Store {
    match step {
        Step::Spans(spans) => {
            let spans = spans
                .iter()
                .map(|&(trace, number, look)| span(trace, number, look));
            export(&store, Vec::new(), spans.collect());
        }
        Step::Trace(number, look) => export(&store, vec![trace(*number, *look)], Vec::new()),
        Step::PatchSpan(number, row, look) => {
            let change = span(*number, *row, *look);
            let mut patch = SpanPatch::new(change.trace_id);
            patch.parent_span_id = change.parent_span_id;
            patch.fields.project_name = change.project_name;
            patch.fields.tags = Some(change.tags);
            patch.fields.error_info = change.error_info;
            patch.r#type = change.r#type;
            patch.model = change.model;
            block_on(store.patch_span(change.id, patch)).unwrap();
        }
        Step::PatchTrace(number, look) => {
            let change = trace(*number, *look);
            let mut patch = TracePatch::default();
            patch.fields.project_name = change.project_name;
            patch.fields.name = change.name;
            patch.fields.tags_to_add = change.tags;
            patch.fields.error_info = change.error_info;
            block_on(store.patch_trace(change.id, patch)).unwrap();
        }
        Step::Delete(number) => {
            store.delete_traces(&[records::trace_id(*number)]).unwrap();
        }
        Step::Prune(number) => {
            let from = records::trace(u32::try_from(*number).unwrap()).start_time;
            store.prune(Retention::new().started_after(from)).unwrap();
        }
        Step::Reopen => {
            assert!(store.close());
            return Store::open(path, StoreOptions::new()).unwrap();
        }
    }
    store
}

fn one(entity: Entity, field: &str, operator: Operator, value: &str) -> Vec<Filter> {
    vec![Filter::new(entity, field, operator, None, value).unwrap()]
}

fn at(entity: Entity, key: &str, operator: Operator, value: &str) -> Vec<Filter> {
    vec![Filter::new(entity, "metadata", operator, Some(key), value).unwrap()]
}

/// What is asked about spans: one facet, several, and what no facet tells.
fn about_spans() -> Vec<Vec<Filter>> {
    let ask = |field, operator, value| one(Entity::Span, field, operator, value);
    vec![
        Vec::new(),
        ask("model", Operator::Equal, "ALPHA"),
        ask("model", Operator::NotEqual, "alpha"),
        ask("model", Operator::Equal, "beta"),
        ask("model", Operator::Equal, "nobody"),
        ask("provider", Operator::Equal, "openai"),
        ask("tags", Operator::Equal, "x"),
        ask("tags", Operator::Equal, "X"),
        ask("tags", Operator::Contains, "x"),
        ask("tags", Operator::NotEqual, "x"),
        ask("error_info", Operator::IsNotEmpty, ""),
        ask("error_info", Operator::IsEmpty, ""),
        ask("error_type", Operator::Equal, "VALUEERROR"),
        ask("type", Operator::Equal, "tool"),
        ask("type", Operator::Equal, "general"),
        [
            ask("model", Operator::Equal, "alpha"),
            ask("model", Operator::Equal, "Alpha"),
        ]
        .concat(),
        [
            ask("model", Operator::Equal, "alpha"),
            ask("model", Operator::Equal, "beta"),
        ]
        .concat(),
        [
            ask("tags", Operator::Equal, "x"),
            ask("error_info", Operator::IsNotEmpty, ""),
        ]
        .concat(),
        ask("name", Operator::Contains, "span 1"),
        at(Entity::Span, "at.region", Operator::Equal, "EU-2"),
        at(Entity::Span, "job", Operator::Greater, "1"),
        at(Entity::Span, "job", Operator::Equal, "11"),
        ask("input", Operator::Contains, "role"),
        [
            ask("model", Operator::Equal, "alpha"),
            at(Entity::Span, "job", Operator::Equal, "2"),
        ]
        .concat(),
        [
            ask("name", Operator::Contains, "span 1"),
            at(Entity::Span, "job", Operator::NotEqual, "2"),
        ]
        .concat(),
    ]
}

fn about_traces() -> Vec<Vec<Filter>> {
    let ask = |field, operator, value| one(Entity::Trace, field, operator, value);
    vec![
        Vec::new(),
        ask("name", Operator::Equal, "ALPHA"),
        ask("name", Operator::NotEqual, "alpha"),
        ask("thread_id", Operator::Equal, "thread 1"),
        ask("thread_id", Operator::Equal, "Thread 1"),
        ask("tags", Operator::Equal, "x"),
        ask("tags", Operator::Contains, "x"),
        ask("error_info", Operator::IsNotEmpty, ""),
        ask("error_type", Operator::Equal, "ValueError"),
        [
            ask("tags", Operator::Equal, "y"),
            ask("name", Operator::Equal, "alpha"),
        ]
        .concat(),
        at(Entity::Trace, "at.region", Operator::Equal, "eu-2"),
        at(Entity::Trace, "job", Operator::Equal, "11"),
        [
            ask("name", Operator::Equal, "alpha"),
            at(Entity::Trace, "job", Operator::IsNotEmpty, ""),
        ]
        .concat(),
    ]
}

/// Words of names and content; the last ones are in few records, or in none.
const WORDS: [&str; 6] = [
    "region",
    "EU 2",
    "alpha",
    "job 0 eu",
    "eu 3 beta",
    "nowhere",
];

/// Whether all words of a question are in a name and in content, which has no escapes.
fn has_words(name: Option<&str>, content: [Option<&Json>; 3], question: &str) -> bool {
    let content = content.into_iter().flatten().map(Json::as_str);
    let texts: Vec<String> = name
        .into_iter()
        .chain(content)
        .map(str::to_lowercase)
        .collect();
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|letter: char| !letter.is_alphanumeric());
        words.map(str::to_owned).collect()
    };
    let known: Vec<String> = texts.iter().flat_map(|text| words(text)).collect();
    let mut asked = words(&question.to_lowercase()).into_iter();
    asked.all(|word| known.contains(&word))
}

/// Filters with which words are asked for as well.
fn beside_words(entity: Entity) -> Vec<Vec<Filter>> {
    vec![
        Vec::new(),
        one(entity, "tags", Operator::Contains, "x"),
        at(entity, "at.region", Operator::Equal, "eu-2"),
    ]
}

/// Every span of a project, found through its traces.
fn all_spans(store: &Store) -> Vec<Span> {
    let mut all = Vec::new();
    for number in 0..5 {
        let page = PageRequest::first(1_000);
        all.extend(
            block_on(store.spans(records::trace_id(number), &page))
                .unwrap()
                .items,
        );
    }
    all
}

fn all_traces(store: &Store) -> Vec<Trace> {
    let traces = (0..5).map(|number| block_on(store.trace(records::trace_id(number))).unwrap());
    traces.flatten().collect()
}

/// Asks everything and compares it with what is there.
fn compare(store: &Store) -> Result<(), TestCaseError> {
    let spans = all_spans(store);
    let traces = all_traces(store);
    for project in [None, Some("one"), Some("two")] {
        let selector = project.map_or(ProjectSelector::Any, |name| {
            ProjectSelector::Name(name.to_owned())
        });
        let is_known = project.is_none_or(|project| {
            let known = store.projects().unwrap();
            known.iter().any(|known| known.name == project)
        });
        if !is_known {
            continue;
        }
        let is_in = |name: Option<&str>| project.is_none() || name == project;
        for filters in about_spans() {
            let mut query = SpanQuery::default();
            query.project = selector.clone();
            query.filters.clone_from(&filters);
            let expected = spans.iter().filter(|span| {
                is_in(span.project_name.as_deref()) && matches::span_matches(span, &filters)
            });
            let expected = expected.count() as u64;
            let (items, total) = block_on(store.list_spans(query.clone(), 0, 100)).unwrap();
            prop_assert_eq!(total, expected, "{:?} in {:?}", filters, project);
            prop_assert_eq!(items.len() as u64, total);
            // Once more, now that it may be remembered.
            let (_, again) = block_on(store.list_spans(query, 1, 1)).unwrap();
            prop_assert_eq!(again, total);
        }
        for (filters, text) in WORDS.iter().flat_map(|text| {
            beside_words(Entity::Span)
                .into_iter()
                .map(move |it| (it, text))
        }) {
            let mut query = SpanQuery::default();
            query.project = selector.clone();
            query.filters.clone_from(&filters);
            query.text = Some((*text).to_owned());
            let expected = spans.iter().filter(|span| {
                let content = [&span.input, &span.output, &span.metadata].map(Option::as_ref);
                is_in(span.project_name.as_deref())
                    && matches::span_matches(span, &filters)
                    && has_words(span.name.as_deref(), content, text)
            });
            let expected = expected.count() as u64;
            // Counted first: a page that shows the last match needs no count.
            let (_, counted) = block_on(store.list_spans(query.clone(), 0, 1)).unwrap();
            prop_assert_eq!(counted, expected, "{} and {:?}", text, filters);
            let (items, _) = block_on(store.list_spans(query, 0, 100)).unwrap();
            prop_assert_eq!(items.len() as u64, expected);
        }
        for (filters, text) in WORDS.iter().flat_map(|text| {
            beside_words(Entity::Trace)
                .into_iter()
                .map(move |it| (it, text))
        }) {
            let mut query = TraceQuery::default();
            query.project = selector.clone();
            query.filters.clone_from(&filters);
            query.text = Some((*text).to_owned());
            let expected = traces.iter().filter(|trace| {
                let content = [&trace.input, &trace.output, &trace.metadata].map(Option::as_ref);
                is_in(trace.project_name.as_deref())
                    && matches::trace_matches(trace, &filters)
                    && has_words(trace.name.as_deref(), content, text)
            });
            let expected = expected.count() as u64;
            let (_, counted) = block_on(store.list_traces(query.clone(), 0, 1)).unwrap();
            prop_assert_eq!(counted, expected, "{} and {:?}", text, filters);
            let (items, _) = block_on(store.list_traces(query, 0, 100)).unwrap();
            prop_assert_eq!(items.len() as u64, expected);
        }
        for filters in about_traces() {
            let mut query = TraceQuery::default();
            query.project = selector.clone();
            query.filters.clone_from(&filters);
            let expected = traces.iter().filter(|trace| {
                is_in(trace.project_name.as_deref()) && matches::trace_matches(trace, &filters)
            });
            let expected = expected.count() as u64;
            let (items, total) = block_on(store.list_traces(query.clone(), 0, 100)).unwrap();
            prop_assert_eq!(total, expected, "{:?} in {:?}", filters, project);
            prop_assert_eq!(items.len() as u64, total);
            let (_, again) = block_on(store.list_traces(query, 1, 1)).unwrap();
            prop_assert_eq!(again, total);
        }
    }
    prop_assert_eq!(store.check().unwrap(), Vec::<String>::new());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn totals_are_right_after_any_history(steps in prop::collection::vec(step(), 1..14)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("traces.db");
        let mut store = Store::open(&path, StoreOptions::new()).unwrap();
        for step in &steps {
            store = take(store, &path, step);
            compare(&store)?;
        }
        // Until now the index may have had any part of it.
        prop_assert!(store.wait_for_text_index(Duration::from_secs(60)).unwrap());
        compare(&store)?;
    }
}

/// A trace that grows span by span has its parts merged; a part can lose all its spans.
#[test]
fn totals_survive_the_merging_of_parts() {
    let store = Store::open_in_memory().unwrap();
    let look = |number: u32, version| Look {
        project: 0,
        model: number as usize % 4,
        tags: number as usize % 4,
        error: number as usize % 5,
        kind: number as usize % 4,
        version,
    };
    for version in 0..3 {
        for number in 0..40 {
            export(
                &store,
                Vec::new(),
                vec![span(0, number, look(number, version))],
            );
            export(
                &store,
                Vec::new(),
                vec![span(0, number / 2, look(number + 1, version))],
            );
        }
        compare(&store).unwrap();
        assert!(store.wait_for_text_index(Duration::from_secs(60)).unwrap());
        compare(&store).unwrap();
    }
}

/// So many that a second thread helps, and that the parts of the project are listed.
#[test]
fn much_content_in_several_projects_is_counted_exactly() {
    let store = Store::open_in_memory().unwrap();
    let mut all = Vec::new();
    for number in 0..3_000u32 {
        let mut span = records::span(number, 0);
        span.project_name = PROJECTS
            .get(number as usize % 2)
            .map(|&name| name.to_owned());
        let word = if number % 3 == 0 { "needle" } else { "needles" };
        // Texts that do not shrink to nothing, so that there are many blocks.
        let noise: String = (0..120)
            .map(|n| format!("{:x} ", (number + 7) * (n + 13)))
            .collect();
        span.input = Some(Json::string(&format!("{noise} {word}")));
        let metadata = format!(r#"{{"region": "eu-{}"}}"#, number % 4);
        span.metadata = Some(records::content(&metadata));
        all.push(span);
    }
    for spans in all.chunks(500) {
        export(&store, Vec::new(), spans.to_vec());
    }
    assert!(store.wait_for_text_index(Duration::from_secs(60)).unwrap());
    let ask = |project: Option<&str>, filters, text: Option<&str>| {
        let mut query = SpanQuery::default();
        if let Some(name) = project {
            query.project = ProjectSelector::Name(name.to_owned());
        }
        query.filters = filters;
        query.text = text.map(str::to_owned);
        let (items, total) = block_on(store.list_spans(query, 0, 10)).unwrap();
        assert_eq!(items.len(), 10);
        total
    };
    let region = || at(Entity::Span, "region", Operator::Equal, "eu-2");
    let name = || one(Entity::Span, "name", Operator::NotEqual, "other");
    assert_eq!(ask(None, Vec::new(), Some("Needle")), 1_000);
    assert_eq!(ask(Some("one"), Vec::new(), Some("needle")), 500);
    assert_eq!(ask(Some("two"), Vec::new(), Some("needles")), 1_000);
    assert_eq!(ask(None, region(), None), 750);
    assert_eq!(ask(Some("one"), region(), None), 750);
    assert_eq!(ask(Some("one"), region(), Some("needle")), 250);
    assert_eq!(ask(Some("one"), [region(), name()].concat(), None), 750);
}

/// A total that was remembered is not told after anything it depends on has changed: content, that
/// no number of a trace tells, another process, and words that reach the index later.
#[test]
fn remembered_totals_end_with_the_next_change() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("traces.db");
    let store = Store::open(&path, StoreOptions::new()).unwrap();
    let other = Store::open(&path, StoreOptions::new().index_text(false)).unwrap();
    let metadata = Filter::new(Entity::Span, "metadata", Operator::Equal, Some("z"), "1").unwrap();
    let mut by_metadata = SpanQuery::default();
    by_metadata.filters = vec![metadata];
    let mut by_word = SpanQuery::default();
    by_word.text = Some("nested".to_owned());
    for number in 0..8u32 {
        let writer = if number % 2 == 0 { &store } else { &other };
        export(writer, Vec::new(), vec![records::full_span(number, 0)]);
        for query in [&by_metadata, &by_word] {
            let expected = u64::from(number) + 1;
            for _ in 0..3 {
                let (_, total) = block_on(store.list_spans(query.clone(), 0, 2)).unwrap();
                assert_eq!(total, expected);
            }
        }
    }
    let mut patch = SpanPatch::new(records::trace_id(3));
    patch.fields.project_name = Some(records::PROJECT.to_owned());
    patch.parent_span_id = records::full_span(3, 0).parent_span_id;
    patch.fields.metadata = Some(records::content(r#"{"z": 2}"#));
    let outcome = block_on(other.patch_span(records::span_id(3, 0), patch)).unwrap();
    assert_eq!(outcome, RecordOutcome::Done);
    let (_, total) = block_on(store.list_spans(by_metadata, 0, 2)).unwrap();
    assert_eq!(total, 7);
}
