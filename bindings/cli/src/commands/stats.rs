//! `opik-rs stats`: what the store holds.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use opik_core::query::{Entity, Filter, Operator, SpanQuery, TraceQuery};
use opik_core::source::{MAX_PAGE, PageRequest};
use opik_core::{Span, Trace, TraceSource};
use opik_store::{Store, StoreStats};
use pollster::block_on;
use serde::Serialize;

use crate::context::Context;
use crate::exit::{Code, Failure, Outcome};
use crate::render::numbers::{bytes, count, dollars, millis, things};
use crate::render::style::{BAD, DIM, STRONG};
use crate::render::table::{Align, Cell, Table};

/// Newest traces, and newest model calls, that totals are made of; more would take long.
const LOOKED_AT: usize = 100_000;
/// Models that are listed as text.
const MODELS: usize = 10;

/// Arguments of `opik-rs stats`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs stats
  opik-rs stats --json | jq '.projects[] | {name, total_estimated_cost}'

Totals of projects and models are those of the newest 100,000 traces and model calls.

JSON: {\"store\": {path, file_bytes, text_bytes, traces, spans, schema_version, index_lag}, \
\"projects\": [{name, traces, failed, spans, total_tokens, total_estimated_cost, \
mean_duration_ms}], \"models\": [{model, provider, calls, failed, total_tokens, \
total_estimated_cost}], \"complete\": bool}")]
pub(crate) struct Args {}

/// The result in JSON.
#[derive(Debug, Serialize)]
struct Stats {
    store: Size,
    projects: Vec<Project>,
    models: Vec<Model>,
    /// Whether the totals are those of all that is there.
    complete: bool,
}

#[derive(Debug, Serialize)]
struct Size {
    path: String,
    file_bytes: u64,
    text_bytes: u64,
    traces: u64,
    spans: u64,
    schema_version: u32,
    /// Changes that searches by text do not see yet.
    index_lag: u64,
}

#[derive(Debug, Default, Serialize)]
struct Project {
    name: String,
    traces: u64,
    failed: u64,
    spans: u64,
    total_tokens: Option<i64>,
    total_estimated_cost: Option<f64>,
    mean_duration_ms: Option<f64>,
    #[serde(skip)]
    timed: u32,
    #[serde(skip)]
    duration_ms: f64,
}

#[derive(Debug, Default, Serialize)]
struct Model {
    model: String,
    provider: Option<String>,
    calls: u64,
    failed: u64,
    total_tokens: Option<i64>,
    total_estimated_cost: Option<f64>,
}

/// Shows what the store holds.
pub(crate) fn run(_args: &Args, ctx: &Context) -> Outcome {
    let store = ctx.existing_store()?;
    let size = store.stats().map_err(|error| {
        Failure::new(Code::Store, "cannot count what is in the store")
            .cause(error)
            .hint("opik-rs doctor")
    })?;
    let (projects, all_traces) = projects(&store)?;
    let (models, all_calls) = models(&store)?;
    let stats = Stats {
        store: Size::of(&size, ctx)?,
        projects,
        models,
        complete: all_traces && all_calls,
    };
    if ctx.out.is_json() {
        return Ok(ctx.out.json(&stats)?);
    }
    Ok(ctx.out.text(&text(&stats, ctx))?)
}

impl Size {
    fn of(stats: &StoreStats, ctx: &Context) -> Result<Self, Failure> {
        Ok(Self {
            path: ctx.store_path()?.display().to_string(),
            file_bytes: stats.file_bytes,
            text_bytes: stats.text_bytes,
            traces: stats.traces,
            spans: stats.spans,
            schema_version: stats.schema_version,
            index_lag: stats.index_lag,
        })
    }
}

/// Totals by project, the largest first, and whether every trace was looked at.
fn projects(store: &Store) -> Result<(Vec<Project>, bool), Failure> {
    let mut by_name: BTreeMap<String, Project> = BTreeMap::new();
    let mut query = TraceQuery::default();
    query.without_content = true;
    query.page = PageRequest::first(MAX_PAGE);
    let mut seen = 0;
    let complete = loop {
        let page = block_on(store.search_traces(&query))?;
        seen += page.items.len();
        for trace in &page.items {
            let name = trace
                .project_name
                .clone()
                .unwrap_or_else(|| "(none)".to_owned());
            by_name.entry(name).or_default().add(trace);
        }
        match page.next {
            None => break true,
            Some(_) if seen >= LOOKED_AT => break false,
            Some(next) => query.page = PageRequest::after(next, MAX_PAGE),
        }
    };
    let mut projects: Vec<Project> = by_name
        .into_iter()
        .map(|(name, mut project)| {
            project.name = name;
            let mean = project.duration_ms / f64::from(project.timed);
            project.mean_duration_ms = (project.timed > 0).then_some(mean);
            project
        })
        .collect();
    projects.sort_by_key(|project| Reverse(project.traces));
    Ok((projects, complete))
}

impl Project {
    fn add(&mut self, trace: &Trace) {
        self.traces += 1;
        self.failed += u64::from(trace.error_info.is_some());
        self.spans += trace.span_count.unwrap_or(0);
        self.total_tokens = with_tokens(self.total_tokens, trace.usage.total_tokens());
        self.total_estimated_cost =
            with_cost(self.total_estimated_cost, trace.total_estimated_cost);
        if let Some(duration) = trace.duration {
            self.timed = self.timed.saturating_add(1);
            self.duration_ms += duration;
        }
    }
}

/// Totals by model, the most called first, and whether every model call was looked at.
fn models(store: &Store) -> Result<(Vec<Model>, bool), Failure> {
    let calls = Filter::new(Entity::Span, "type", Operator::Equal, None, "llm")
        .map_err(|error| Failure::new(Code::Failed, "cannot look for model calls").cause(error))?;
    let mut by_name: BTreeMap<(String, Option<String>), Model> = BTreeMap::new();
    let mut query = SpanQuery::default();
    query.filters = vec![calls];
    query.without_content = true;
    query.page = PageRequest::first(MAX_PAGE);
    let mut seen = 0;
    let complete = loop {
        let page = block_on(store.search_spans(&query))?;
        seen += page.items.len();
        for span in &page.items {
            let Some(model) = &span.model else { continue };
            let key = (model.clone(), span.provider.clone());
            by_name.entry(key).or_default().add(span);
        }
        match page.next {
            None => break true,
            Some(_) if seen >= LOOKED_AT => break false,
            Some(next) => query.page = PageRequest::after(next, MAX_PAGE),
        }
    };
    let mut models: Vec<Model> = by_name
        .into_iter()
        .map(|((model, provider), totals)| Model {
            model,
            provider,
            ..totals
        })
        .collect();
    models.sort_by_key(|model| Reverse(model.calls));
    Ok((models, complete))
}

impl Model {
    fn add(&mut self, span: &Span) {
        self.calls += 1;
        self.failed += u64::from(span.error_info.is_some());
        self.total_tokens = with_tokens(self.total_tokens, span.usage.total_tokens());
        self.total_estimated_cost = with_cost(self.total_estimated_cost, span.total_estimated_cost);
    }
}

/// A sum that stays absent until something was recorded: nothing known is not nothing used.
fn with_tokens(sum: Option<i64>, more: Option<i64>) -> Option<i64> {
    match more {
        Some(more) => Some(sum.unwrap_or(0).saturating_add(more)),
        None => sum,
    }
}

/// As [`with_tokens`], in dollars.
fn with_cost(sum: Option<f64>, more: Option<f64>) -> Option<f64> {
    match more {
        Some(more) => Some(sum.unwrap_or(0.0) + more),
        None => sum,
    }
}

fn text(stats: &Stats, ctx: &Context) -> String {
    let store = &stats.store;
    let dot = ctx.glyphs.dot;
    let mut text = format!(
        "{STRONG}{}{STRONG:#}\n{}{dot}{}{dot}{} and {} of text index{dot}schema {}\n",
        store.path,
        things(store.traces, "trace"),
        things(store.spans, "span"),
        bytes(store.file_bytes),
        bytes(store.text_bytes),
        store.schema_version,
    );
    if store.index_lag > 0 {
        let lag = things(store.index_lag, "change");
        text.push_str(&format!("{DIM}{lag} not in the text index yet{DIM:#}\n"));
    }
    if !stats.projects.is_empty() {
        text.push('\n');
        text.push_str(&project_table(&stats.projects).render(ctx.width, &ctx.glyphs));
    }
    if !stats.models.is_empty() {
        text.push('\n');
        text.push_str(&model_table(&stats.models).render(ctx.width, &ctx.glyphs));
        if let Some(more) = stats
            .models
            .len()
            .checked_sub(MODELS)
            .filter(|&more| more > 0)
        {
            text.push_str(&format!("{DIM}{more} more; --json has them{DIM:#}\n"));
        }
    }
    if !stats.complete {
        text.push_str(&format!(
            "{DIM}totals of the newest {LOOKED_AT} only{DIM:#}\n"
        ));
    }
    text
}

fn project_table(projects: &[Project]) -> Table {
    let mut table = Table::new(
        vec![
            ("PROJECT", Align::Left),
            ("TRACES", Align::Right),
            ("FAILED", Align::Right),
            ("SPANS", Align::Right),
            ("TOKENS", Align::Right),
            ("COST", Align::Right),
            ("MEAN TIME", Align::Right),
        ],
        0,
    );
    for project in projects {
        table.row(vec![
            Cell::styled(&project.name, STRONG),
            Cell::new(count(project.traces)),
            failed(project.failed),
            Cell::new(count(project.spans)),
            Cell::new(known(project.total_tokens.map(count))),
            Cell::new(known(project.total_estimated_cost.map(dollars))),
            Cell::new(known(project.mean_duration_ms.map(millis))),
        ]);
    }
    table
}

fn model_table(models: &[Model]) -> Table {
    let mut table = Table::new(
        vec![
            ("MODEL", Align::Left),
            ("PROVIDER", Align::Left),
            ("CALLS", Align::Right),
            ("FAILED", Align::Right),
            ("TOKENS", Align::Right),
            ("COST", Align::Right),
        ],
        0,
    );
    for model in models.iter().take(MODELS) {
        table.row(vec![
            Cell::styled(&model.model, STRONG),
            Cell::new(model.provider.as_deref().unwrap_or("-")),
            Cell::new(count(model.calls)),
            failed(model.failed),
            Cell::new(known(model.total_tokens.map(count))),
            Cell::new(known(model.total_estimated_cost.map(dollars))),
        ]);
    }
    table
}

fn known(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

fn failed(n: u64) -> Cell {
    if n == 0 {
        Cell::styled("0", DIM)
    } else {
        Cell::styled(count(n), BAD)
    }
}
