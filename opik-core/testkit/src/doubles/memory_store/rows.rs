//! What the store holds: one row per record, and what reading adds to it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use opik_core::exporter::Rejection;
use opik_core::model::{ScoreTarget, ValueEntry};
use opik_core::{
    Batch, ExportReport, FeedbackScore, Project, ProjectId, ScoreRecord, Span, SpanId, SpanType,
    Timestamp, Trace, TraceId, Usage,
};

/// Scores of one target by (name, author).
type Scores = BTreeMap<(String, String), FeedbackScore>;

#[derive(Default)]
pub(super) struct Rows {
    traces: BTreeMap<TraceId, Trace>,
    spans: BTreeMap<SpanId, Span>,
    by_trace: BTreeMap<TraceId, BTreeSet<SpanId>>,
    scores: HashMap<ScoreTarget, Scores>,
    /// Projects by their name in lower case.
    projects: BTreeMap<String, ProjectId>,
    clock: Timestamp,
}

impl Rows {
    pub(super) fn trace_count(&self) -> usize {
        self.traces.len()
    }

    pub(super) fn span_count(&self) -> usize {
        self.spans.len()
    }

    /// Takes every record of a batch that it can.
    pub(super) fn take(&mut self, batch: &Batch) -> ExportReport {
        let mut report = ExportReport::default();
        for trace in &batch.traces {
            self.take_trace(trace.clone());
        }
        for span in &batch.spans {
            self.take_span(span.clone());
        }
        report.accepted = batch.traces.len() + batch.spans.len();
        for record in &batch.scores {
            if record.score.value.is_finite() {
                self.take_score(record);
                report.accepted += 1;
            } else {
                report.rejected.push(Rejection {
                    record: score_name(&record.target),
                    reason: "the value is not a number".to_owned(),
                });
            }
        }
        report
    }

    fn take_trace(&mut self, mut row: Trace) {
        let now = self.now();
        row.last_updated_at.get_or_insert(now);
        row.project_id = Some(self.project(row.project_name.as_deref(), row.project_id));
        match self.traces.entry(row.id) {
            Entry::Vacant(place) => {
                row.created_at.get_or_insert(now);
                place.insert(row);
            }
            Entry::Occupied(mut place) => {
                if row.last_updated_at >= place.get().last_updated_at {
                    row.created_at = place.get().created_at;
                    place.insert(row);
                }
            }
        }
    }

    fn take_span(&mut self, mut row: Span) {
        let now = self.now();
        row.last_updated_at.get_or_insert(now);
        row.project_id = Some(self.project(row.project_name.as_deref(), row.project_id));
        let (id, trace) = (row.id, row.trace_id);
        match self.spans.entry(id) {
            Entry::Vacant(place) => {
                row.created_at.get_or_insert(now);
                place.insert(row);
            }
            Entry::Occupied(mut place) => {
                if row.last_updated_at < place.get().last_updated_at {
                    return;
                }
                row.created_at = place.get().created_at;
                let before = place.insert(row).trace_id;
                if let Some(spans) = self.by_trace.get_mut(&before) {
                    spans.remove(&id);
                }
            }
        }
        self.by_trace.entry(trace).or_default().insert(id);
    }

    fn take_score(&mut self, record: &ScoreRecord) {
        let now = self.now();
        let mut score = record.score.clone();
        score.last_updated_at.get_or_insert(now);
        let author = record.author.clone().unwrap_or_default();
        let scores = self.scores.entry(record.target.clone()).or_default();
        match scores.entry((score.name.clone(), author)) {
            Entry::Vacant(place) => {
                score.created_at.get_or_insert(now);
                place.insert(score);
            }
            Entry::Occupied(mut place) => {
                if score.last_updated_at >= place.get().last_updated_at {
                    score.created_at = place.get().created_at;
                    place.insert(score);
                }
            }
        }
    }

    /// A moment that was not given out before.
    fn now(&mut self) -> Timestamp {
        self.clock = Timestamp::now().max(self.clock.plus_micros(1));
        self.clock
    }

    fn project(&mut self, name: Option<&str>, id: Option<ProjectId>) -> ProjectId {
        if let (None, Some(id)) = (name, id) {
            return id;
        }
        let name = name.unwrap_or(Project::DEFAULT_NAME).to_lowercase();
        *self
            .projects
            .entry(name)
            .or_insert_with(|| id.unwrap_or_else(ProjectId::generate))
    }

    /// The project of this name. The default project is there from the start.
    pub(super) fn find_project(&self, name: &str) -> Option<ProjectId> {
        self.projects.get(&name.to_lowercase()).copied()
    }

    pub(super) fn trace(&self, id: TraceId) -> Option<Trace> {
        self.traces.get(&id).map(|row| self.with_totals(row))
    }

    pub(super) fn traces(&self) -> impl Iterator<Item = Trace> + '_ {
        self.traces.values().map(|row| self.with_totals(row))
    }

    pub(super) fn spans(&self) -> impl Iterator<Item = Span> + '_ {
        self.spans.values().map(|row| self.with_scores(row))
    }

    pub(super) fn spans_of(&self, trace: TraceId) -> Vec<Span> {
        self.rows_of(trace)
            .map(|row| self.with_scores(row))
            .collect()
    }

    fn rows_of(&self, trace: TraceId) -> impl Iterator<Item = &Span> {
        let ids = self.by_trace.get(&trace).into_iter().flatten();
        ids.filter_map(|id| self.spans.get(id))
    }

    fn with_scores(&self, row: &Span) -> Span {
        let mut span = row.clone();
        span.duration = duration(span.start_time, span.end_time);
        let target = ScoreTarget::Span(span.id);
        join_scores(&mut span.feedback_scores, self.scores.get(&target));
        span
    }

    fn with_totals(&self, row: &Trace) -> Trace {
        let mut trace = row.clone();
        trace.duration = duration(trace.start_time, trace.end_time);
        let target = ScoreTarget::Trace(trace.id);
        join_scores(&mut trace.feedback_scores, self.scores.get(&target));

        let (mut count, mut llm, mut cost) = (0, 0, 0.0);
        let mut tools = false;
        let mut usage = Usage::default();
        let mut providers = BTreeSet::new();
        let mut scores: BTreeMap<String, Vec<FeedbackScore>> = BTreeMap::new();
        for span in self.rows_of(trace.id).map(|row| self.with_scores(row)) {
            count += 1;
            llm += u64::from(*span.kind() == SpanType::Llm);
            tools |= *span.kind() == SpanType::Tool;
            cost += span.total_estimated_cost.unwrap_or(0.0);
            for (name, tokens) in span.usage.0 {
                let sum = usage.0.entry(name).or_insert(0);
                *sum = sum.saturating_add(tokens);
            }
            providers.extend(span.provider);
            for score in span.feedback_scores {
                scores.entry(score.name.clone()).or_default().push(score);
            }
        }
        trace.span_count = Some(count);
        trace.llm_span_count = Some(llm);
        trace.has_tool_spans = Some(tools);
        trace.usage = usage;
        trace.total_estimated_cost = (cost != 0.0).then_some(cost);
        trace.providers = providers.into_iter().collect();
        trace.span_feedback_scores = scores
            .into_iter()
            .map(|(name, of_spans)| FeedbackScore::new(name, mean(&of_spans)))
            .collect();
        trace
    }
}

/// Milliseconds; unknown without an end or a start.
fn duration(start: Timestamp, end: Option<Timestamp>) -> Option<f64> {
    let end = end.filter(|_| start != Timestamp::EPOCH)?;
    #[expect(clippy::cast_precision_loss, reason = "exact for 285 years")]
    let micros = end.micros_since(start) as f64;
    Some(micros / 1_000.0)
}

/// Puts the scores that were given over those that the row itself came with.
fn join_scores(known: &mut Vec<FeedbackScore>, given: Option<&Scores>) {
    let mut by_name: BTreeMap<&str, Vec<(&str, &FeedbackScore)>> = BTreeMap::new();
    for ((name, author), score) in given.into_iter().flatten() {
        by_name.entry(name).or_default().push((author, score));
    }
    known.retain(|score| !by_name.contains_key(score.name.as_str()));
    for (_, of_authors) in by_name {
        let latest = of_authors
            .iter()
            .max_by_key(|(_, score)| score.last_updated_at);
        let Some(mut joined) = latest.map(|(_, score)| (*score).clone()) else {
            continue;
        };
        if of_authors.len() > 1 {
            let all: Vec<FeedbackScore> = of_authors
                .iter()
                .map(|(_, score)| (*score).clone())
                .collect();
            joined.value = mean(&all);
            for (author, score) in of_authors {
                let mut entry = ValueEntry::default();
                entry.value = Some(score.value);
                entry.reason.clone_from(&score.reason);
                entry.category_name.clone_from(&score.category_name);
                entry.source = Some(score.source.clone());
                entry.last_updated_at = score.last_updated_at;
                joined.value_by_author.insert(author.to_owned(), entry);
            }
        }
        known.push(joined);
    }
}

fn mean(scores: &[FeedbackScore]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a list of scores is short")]
    let count = scores.len().max(1) as f64;
    scores.iter().map(|score| score.value).sum::<f64>() / count
}

fn score_name(target: &ScoreTarget) -> String {
    match target {
        ScoreTarget::Trace(id) => format!("score of trace {id}"),
        ScoreTarget::Span(id) => format!("score of span {id}"),
        _ => "score of a thread".to_owned(),
    }
}
