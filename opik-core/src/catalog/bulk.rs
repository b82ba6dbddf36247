//! Experiment items with their traces, spans and scores in one request.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use super::{
    CatalogError, CatalogErrorKind, ExperimentCatalog, ExperimentQuery, NewExperiment,
    NewExperimentItem, Numbered, check_count, check_text,
};
use crate::exporter::ExportErrorKind;
use crate::model::{ScoreRecord, ScoreTarget};
use crate::{
    Batch, EntityId, ExportError, Exporter, FeedbackScore, Json, Span, Timestamp, Trace, TraceId,
};

/// The members of a record, each as it was written.
type Members = BTreeMap<String, Json>;

/// What a task made of one item of a dataset.
#[derive(Clone, Deserialize)]
#[non_exhaustive]
pub struct BulkItem {
    /// The item.
    pub dataset_item_id: EntityId,
    /// The task's answer, from which a trace is made; instead of `trace`.
    #[serde(default)]
    pub evaluate_task_result: Option<Json>,
    /// The trace.
    #[serde(default)]
    pub trace: Option<Members>,
    /// Spans of the trace; their `trace_id` is filled in.
    #[serde(default)]
    pub spans: Option<Vec<Members>>,
    /// Scores of the trace.
    #[serde(default)]
    pub feedback_scores: Option<Vec<FeedbackScore>>,
}

impl fmt::Debug for BulkItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkItem")
            .field("dataset_item_id", &self.dataset_item_id)
            .field("spans", &self.spans.as_ref().map(Vec::len))
            .finish_non_exhaustive()
    }
}

/// Items of one experiment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct BulkUpload {
    /// The experiment's name, for one that is made.
    pub experiment_name: String,
    /// The dataset.
    pub dataset_name: String,
    /// The experiment; the newest with the name, or a new one, where absent.
    pub experiment_id: Option<EntityId>,
    /// The project of the traces.
    pub project_name: Option<String>,
    /// The items, 1 to 1,000.
    pub items: Vec<BulkItem>,
}

/// Writes traces, spans and scores, then the items that point to them. An experiment that does
/// not exist is made, as completed.
///
/// # Errors
/// [`CatalogError`]; a conflict when the experiment is on another dataset. Traces may have been
/// written then, items not.
pub async fn record_bulk(
    exporter: &dyn Exporter,
    catalog: &dyn ExperimentCatalog,
    upload: BulkUpload,
) -> Result<(), CatalogError> {
    check_text(&upload.experiment_name, "experimentName")?;
    check_text(&upload.dataset_name, "datasetName")?;
    check_count(upload.items.len(), "items")?;
    let at = Timestamp::now();
    let mut batch = Batch::default();
    let mut links = Vec::with_capacity(upload.items.len());
    for item in &upload.items {
        let trace = add(&mut batch, item, upload.project_name.as_deref(), at)?;
        links.push((item.dataset_item_id, trace));
    }
    let experiment = experiment_of(catalog, &upload).await?;
    let items: Vec<_> = links
        .into_iter()
        .map(|(item, trace)| NewExperimentItem::new(experiment, item, trace))
        .collect();
    items.iter().try_for_each(NewExperimentItem::check)?;
    let report = exporter.export(&batch).await.map_err(not_written)?;
    if let Some(rejected) = report.rejected.first() {
        return Err(CatalogError::invalid(format!(
            "a record of the items was refused: {}",
            rejected.reason
        )));
    }
    catalog.put_experiment_items(items).await
}

async fn experiment_of(
    catalog: &dyn ExperimentCatalog,
    upload: &BulkUpload,
) -> Result<EntityId, CatalogError> {
    let known = match upload.experiment_id {
        Some(id) => catalog.experiment(id).await?,
        None => {
            let query = ExperimentQuery {
                name: Some(upload.experiment_name.clone()),
                page: Numbered::all(),
                ..ExperimentQuery::default()
            };
            let all = catalog.experiments(&query).await?.items;
            let is_meant = |name: &str| name.eq_ignore_ascii_case(&upload.experiment_name);
            all.into_iter().find(|known| is_meant(&known.name))
        }
    };
    if let Some(known) = known {
        let dataset = known.dataset_name.unwrap_or_default();
        if dataset.to_lowercase() != upload.dataset_name.to_lowercase() {
            return Err(CatalogError::conflict(format!(
                "Experiment '{}' belongs to a different dataset than '{}'",
                known.id, upload.dataset_name
            )));
        }
        return Ok(known.id);
    }
    let mut new = NewExperiment::on(&upload.dataset_name).named(&upload.experiment_name);
    new.id = upload.experiment_id;
    new.project_name.clone_from(&upload.project_name);
    new.status = Some("completed".to_owned());
    catalog.create_experiment(new).await
}

/// Adds the records of an item and says which trace it has.
fn add(
    batch: &mut Batch,
    item: &BulkItem,
    project: Option<&str>,
    at: Timestamp,
) -> Result<TraceId, CatalogError> {
    let mut trace = match (&item.trace, &item.evaluate_task_result) {
        (Some(_), Some(_)) => {
            return Err(CatalogError::invalid(
                "cannot provide both evaluate_task_result and trace together",
            ));
        }
        (Some(trace), None) => {
            let text = with_defaults(trace, &[("id", EntityId::generate_at(at))])?;
            Trace::from_json(text.as_str()).map_err(unreadable)?
        }
        (None, output) => {
            let mut trace = Trace::new(TraceId::generate_at(at), at);
            trace.end_time = Some(at);
            trace.output.clone_from(output);
            trace.name = Some("evaluation_task".to_owned());
            trace
        }
    };
    let project = trace.project_name.take().or(project.map(str::to_owned));
    trace.project_name.clone_from(&project);
    trace.last_updated_at = trace.last_updated_at.or(Some(at));
    let id = trace.id;
    for span in item.spans.iter().flatten() {
        let of_trace = EntityId::from_bytes(*id.as_bytes());
        let own = EntityId::generate_at(at);
        let text = with_defaults(span, &[("id", own), ("trace_id", of_trace)])?;
        let mut span = Span::from_json(text.as_str()).map_err(unreadable)?;
        span.trace_id = id;
        span.project_name = span.project_name.take().or_else(|| project.clone());
        span.last_updated_at = span.last_updated_at.or(Some(at));
        batch.spans.push(span);
    }
    for score in item.feedback_scores.iter().flatten() {
        let mut record = ScoreRecord::new(ScoreTarget::Trace(id), score.clone());
        record.project_name.clone_from(&project);
        batch.scores.push(record);
    }
    batch.traces.push(trace);
    Ok(id)
}

/// A record as text, with identifiers where it has none.
fn with_defaults(members: &Members, defaults: &[(&str, EntityId)]) -> Result<Json, CatalogError> {
    let mut members = members.clone();
    for (name, id) in defaults {
        let is_there = members.get(*name).is_some_and(|id| id.as_str() != "null");
        if !is_there {
            members.insert((*name).to_owned(), Json::string(&id.to_string()));
        }
    }
    Json::from_serialize(&members).map_err(unreadable)
}

fn unreadable(error: crate::json::JsonError) -> CatalogError {
    CatalogError::invalid("Unable to process JSON: a trace or span cannot be read")
        .with_source(error)
}

fn not_written(error: ExportError) -> CatalogError {
    let kind = match error.kind() {
        ExportErrorKind::Unavailable | ExportErrorKind::Timeout => CatalogErrorKind::Unavailable,
        _ => CatalogErrorKind::Internal,
    };
    CatalogError::new(kind, "write the traces of experiment items").with_source(error)
}
