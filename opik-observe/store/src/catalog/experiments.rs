//! Experiments and their items.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use opik_core::catalog::{
    Audit, CatalogError, CompareQuery, ComparedItem, Condition, Dataset, DatasetItem, Experiment,
    ExperimentCatalog, ExperimentItem, ExperimentQuery, ExperimentUpdate, Listing, NewExperiment,
    NewExperimentItem, NewItem, Order, ProjectChoice, PromptLink, check_count,
};
use opik_core::model::ExperimentRef;
use opik_core::{EntityId, Json, ProjectId, TraceId};
use rusqlite::{Connection, OptionalExtension, params};

use super::entry::{self, Selection};
use super::{
    Change, Outcome, from_text, items, joined, limit, project_of, prompts, to_text, versions,
};
use crate::read::Reader;
use crate::store::Store;

impl Change<'_, '_> {
    fn create_experiment(&mut self, new: NewExperiment) -> Outcome<EntityId> {
        let choice = new.project();
        let mut record = new.into_record(self.at)?;
        let name = record.dataset_name.clone().unwrap_or_default();
        record.project_id = self.project(&choice)?;
        let dataset = self.dataset_named(&name, &choice)?;
        let conn = self.conn();
        record.dataset_id = Some(dataset.id);
        record.dataset_name = Some(dataset.name);
        match record.dataset_version_id {
            Some(id) => {
                let known = versions::by_id(conn, id)?;
                if known.is_none_or(|version| version.record.dataset_id != dataset.id) {
                    return Err(CatalogError::conflict(format!(
                        "Dataset version '{id}' not found"
                    ))
                    .into());
                }
            }
            None => {
                let newest = versions::latest(conn, dataset.id)?;
                record.dataset_version_id = newest.map(|newest| newest.record.id);
            }
        }
        for link in &mut record.prompt_versions {
            let known = prompts::version(conn, link.id)?;
            let Some(version) = known else {
                return Err(CatalogError::conflict(format!(
                    "Prompt version '{}' not found",
                    link.id
                ))
                .into());
            };
            link.prompt_id = Some(version.prompt_id);
        }
        entry::insert(conn, &record)?;
        Ok(record.id)
    }

    fn put_items_of_experiments(&mut self, items: Vec<NewExperimentItem>) -> Outcome<()> {
        check_count(items.len(), "experimentItems")?;
        items.iter().try_for_each(NewExperimentItem::check)?;
        let (conn, at) = (self.work.conn(), self.at);
        let experiments: BTreeSet<_> = items.iter().map(|item| item.experiment_id).collect();
        for id in experiments {
            if entry::get::<Experiment>(conn, id)?.is_none() {
                return Err(CatalogError::conflict(
                    "Upserting experiment item with 'experiment_id' not belonging to the workspace",
                )
                .into());
            }
        }
        for new in items {
            let old = match new.id {
                Some(id) => stored_item(conn, id)?,
                None => None,
            };
            let audit = old.map_or_else(|| Audit::new(at), |old| Audit::after(&old.audit, at));
            let item = ExperimentItem::new(new, audit);
            conn.prepare_cached(
                "INSERT OR REPLACE INTO experiment_item(id, experiment, item, trace, body)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                item.id.as_bytes(),
                item.experiment_id.as_bytes(),
                item.dataset_item_id.as_bytes(),
                item.trace_id.as_bytes(),
                to_text(&item)?,
            ])?;
        }
        Ok(())
    }
}

fn stored_item(conn: &Connection, id: EntityId) -> Outcome<Option<ExperimentItem>> {
    conn.prepare_cached("SELECT body FROM experiment_item WHERE id = ?1")?
        .query_row([id.as_bytes()], |row| row.get::<_, String>(0))
        .optional()?
        .map(|body| from_text(&body))
        .transpose()
}

fn items_of(conn: &Connection, experiment: EntityId) -> Outcome<Vec<ExperimentItem>> {
    let mut statement =
        conn.prepare_cached("SELECT body FROM experiment_item WHERE experiment = ?1 ORDER BY id")?;
    let mut rows = statement.query([experiment.as_bytes()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(from_text(
            row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?,
        )?);
    }
    Ok(found)
}

/// An experiment with everything that is joined.
fn seen(reader: &mut Reader, mut experiment: Experiment) -> Outcome<Experiment> {
    let conn = reader.conn();
    if let Some(dataset) = experiment.dataset_id {
        experiment.dataset_name = entry::get::<Dataset>(conn, dataset)?
            .map(|dataset| dataset.name)
            .or(experiment.dataset_name);
    }
    experiment.project_name = match experiment.project_id {
        Some(id) => project_name(conn, id)?,
        None => None,
    };
    experiment.dataset_version_summary = match experiment.dataset_version_id {
        Some(id) => versions::by_id(conn, id)?.map(|version| version.record.summary()),
        None => None,
    };
    let links = std::mem::take(&mut experiment.prompt_versions);
    experiment.prompt_versions = links
        .into_iter()
        .map(|link| linked(conn, link))
        .collect::<Outcome<_>>()?;
    experiment.prompt_version = experiment.prompt_versions.first().cloned();
    joined::fill_experiment(reader, &mut experiment)?;
    Ok(experiment)
}

fn linked(conn: &Connection, mut link: PromptLink) -> Outcome<PromptLink> {
    if let Some(version) = prompts::version(conn, link.id)? {
        let prompt = entry::get::<opik_core::catalog::Prompt>(conn, version.prompt_id)?;
        link.commit = Some(version.commit);
        link.version_number = version.version_number;
        link.prompt_id = Some(version.prompt_id);
        link.prompt_name = prompt.map(|prompt| prompt.name);
    }
    Ok(link)
}

pub(super) fn project_name(conn: &Connection, id: ProjectId) -> Outcome<Option<String>> {
    Ok(conn
        .prepare_cached("SELECT name FROM project WHERE id = ?1")?
        .query_row([id.as_bytes()], |row| row.get(0))
        .optional()?)
}

fn list(reader: &mut Reader, query: &ExperimentQuery) -> Outcome<Listing<Experiment>> {
    let conn = reader.conn();
    let mut project = query.project;
    if let (None, Some(name)) = (project, &query.project_name) {
        project = project_of(conn, &ProjectChoice::named(Some(name)))?;
        if project.is_none() {
            let items = Vec::new();
            return Ok(Listing { items, total: 0 });
        }
    }
    let selection = Selection {
        project,
        // A project by its name is where something is looked for first, not a fence.
        or_none: query.project.is_none(),
        parent: query.dataset,
        name: query.name.as_deref(),
        after: query.after,
    };
    let mut records = selection.records::<Experiment>(conn)?;
    records.retain(|it| {
        query.ids.as_ref().is_none_or(|ids| ids.contains(&it.id))
            && (query.types.is_empty() || query.types.contains(&it.r#type))
            && query
                .optimization
                .is_none_or(|id| it.optimization_id == Some(id))
            && query.prompt.is_none_or(|id| {
                let mut links = it.prompt_versions.iter();
                links.any(|link| link.prompt_id == Some(id))
            })
    });
    if query.conditions.is_empty() && query.order.is_none() {
        // Only what is shown is joined.
        let page = query.page.of(records);
        let total = page.total;
        let items = page.items.into_iter().map(|it| seen(reader, it));
        let items = items.collect::<Outcome<_>>()?;
        return Ok(Listing { items, total });
    }
    let records = records
        .into_iter()
        .map(|it| seen(reader, it))
        .collect::<Outcome<Vec<_>>>()?;
    entry::page_of(records, &query.conditions, query.order.as_ref(), query.page)
}

/// The item of a dataset that was deleted, dataset and all.
fn lost(dataset: EntityId, run: &ExperimentItem) -> Outcome<DatasetItem> {
    let nothing = Json::parse("{}").map_err(|_| CatalogError::not_found("Dataset item"))?;
    let new = NewItem::new(nothing).with_id(run.dataset_item_id);
    Ok(new.into_record(dataset, None, run.audit.created_at))
}

fn compare(reader: &mut Reader, query: &CompareQuery) -> Outcome<Listing<ComparedItem>> {
    let mut by_item: BTreeMap<EntityId, Vec<ExperimentItem>> = BTreeMap::new();
    let mut newest = i64::MAX - 1;
    for (n, id) in query.experiments.iter().enumerate() {
        let conn = reader.conn();
        if n == 0
            && let Some(experiment) = entry::get::<Experiment>(conn, *id)?
            && let Some(version) = experiment.dataset_version_id
            && let Some(version) = versions::by_id(conn, version)?
        {
            newest = version.number;
        }
        for run in items_of(conn, *id)? {
            by_item.entry(run.dataset_item_id).or_default().push(run);
        }
    }
    let (of_items, of_runs) = query.split();
    let search = query.search.as_deref().map(str::to_lowercase);
    let needs_all = !of_runs.is_empty() || query.order.is_some();
    let mut rows = Vec::new();
    for (id, mut runs) in by_item.into_iter().rev() {
        let item = items::at(reader.conn(), query.dataset, id, newest)?;
        let item = match (item, runs.first()) {
            (Some(item), _) => item,
            (None, Some(run)) => lost(query.dataset, run)?,
            (None, None) => continue,
        };
        let text = to_text(&item)?;
        let has_words = search
            .as_ref()
            .is_none_or(|words| item.data.as_str().to_lowercase().contains(words));
        if !has_words || !Condition::all(&of_items, &text) {
            continue;
        }
        if needs_all {
            runs = fill(reader, runs)?;
            let mut fitting = Vec::with_capacity(runs.len());
            for run in runs {
                if of_runs.is_empty() || Condition::all(&of_runs, &to_text(&run)?) {
                    fitting.push(run);
                }
            }
            if fitting.is_empty() {
                continue;
            }
            runs = fitting;
        }
        rows.push((item, runs));
    }
    if let Some(order) = &query.order {
        sort(&mut rows, order)?;
    }
    let page = query.page.of(rows);
    let total = page.total;
    let mut items = Vec::with_capacity(page.items.len());
    for (item, mut runs) in page.items {
        if !needs_all {
            runs = fill(reader, runs)?;
        }
        items.push(ComparedItem::new(item, runs));
    }
    Ok(Listing { items, total })
}

fn fill(reader: &mut Reader, mut runs: Vec<ExperimentItem>) -> Outcome<Vec<ExperimentItem>> {
    for run in &mut runs {
        joined::fill_item(reader, run)?;
    }
    runs.sort_by_key(|run| run.id);
    Ok(runs)
}

/// Sorts by a field of the item, or of its first run.
fn sort(rows: &mut Vec<(DatasetItem, Vec<ExperimentItem>)>, order: &Order) -> Outcome<()> {
    let mut keyed = Vec::with_capacity(rows.len());
    for (item, runs) in rows.drain(..) {
        let run = runs.first().map(to_text).transpose()?;
        keyed.push((to_text(&item)?, run.unwrap_or_default(), (item, runs)));
    }
    keyed.sort_by(|left, right| {
        order
            .compare(&left.0, &right.0)
            .then_with(|| order.compare(&left.1, &right.1))
    });
    rows.extend(keyed.into_iter().map(|(_, _, row)| row));
    Ok(())
}

fn stream_items(
    reader: &mut Reader,
    name: &str,
    choice: &ProjectChoice,
    after: Option<EntityId>,
    most: usize,
) -> Outcome<Vec<ExperimentItem>> {
    let conn = reader.conn();
    let mut experiments = entry::named::<Experiment>(conn, name)?;
    if let Some(project) = project_of(conn, choice)? {
        let is_own = |it: &Experiment| it.project_id == Some(project);
        if experiments.iter().any(is_own) {
            experiments.retain(is_own);
        }
    }
    if experiments.is_empty() {
        let selection = Selection {
            name: Some(name),
            ..Selection::default()
        };
        experiments = selection.records(conn)?;
    }
    let mut found = Vec::new();
    for experiment in experiments {
        let mut statement = conn.prepare_cached(
            "SELECT body FROM experiment_item WHERE experiment = ?1 AND (?2 IS NULL OR id < ?2)
             ORDER BY id DESC LIMIT ?3",
        )?;
        let mut rows = statement.query(params![
            experiment.id.as_bytes(),
            after.map(|id| *id.as_bytes()),
            limit(most)
        ])?;
        while let Some(row) = rows.next()? {
            let body = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
            found.push(from_text::<ExperimentItem>(body)?);
        }
    }
    found.sort_by_key(|item| std::cmp::Reverse(item.id));
    found.truncate(most);
    for item in &mut found {
        joined::fill_item(reader, item)?;
    }
    Ok(found)
}

#[async_trait]
impl ExperimentCatalog for Store {
    async fn create_experiment(&self, new: NewExperiment) -> Result<EntityId, CatalogError> {
        self.edit(move |change| change.create_experiment(new)).await
    }

    async fn experiment(&self, id: EntityId) -> Result<Option<Experiment>, CatalogError> {
        self.consult(move |reader| {
            let found = entry::get::<Experiment>(reader.conn(), id)?;
            found.map(|it| seen(reader, it)).transpose()
        })
        .await
    }

    async fn experiments(
        &self,
        query: &ExperimentQuery,
    ) -> Result<Listing<Experiment>, CatalogError> {
        let query = query.clone();
        self.consult(move |reader| list(reader, &query)).await
    }

    async fn update_experiments(
        &self,
        ids: &[EntityId],
        update: ExperimentUpdate,
        merge_tags: bool,
    ) -> Result<usize, CatalogError> {
        let ids = ids.to_vec();
        self.edit(move |change| {
            let mut changed = 0;
            for id in ids {
                if let Some(mut record) = entry::get::<Experiment>(change.conn(), id)? {
                    update.apply(&mut record, merge_tags, change.at)?;
                    entry::put(change.conn(), &record)?;
                    changed += 1;
                }
            }
            Ok(changed)
        })
        .await
    }

    async fn finish_experiments(&self, ids: &[EntityId]) -> Result<(), CatalogError> {
        let ids = ids.to_vec();
        self.edit(move |change| {
            for id in ids {
                if let Some(mut record) = entry::get::<Experiment>(change.conn(), id)? {
                    record.finished_at = Some(change.at);
                    entry::put(change.conn(), &record)?;
                }
            }
            Ok(())
        })
        .await
    }

    async fn delete_experiments(&self, ids: &[EntityId]) -> Result<usize, CatalogError> {
        let ids = ids.to_vec();
        self.edit(move |change| {
            for id in &ids {
                change
                    .conn()
                    .prepare_cached("DELETE FROM experiment_item WHERE experiment = ?1")?
                    .execute([id.as_bytes()])?;
            }
            entry::delete_all::<Experiment>(change.conn(), &ids)
        })
        .await
    }

    async fn put_experiment_items(
        &self,
        items: Vec<NewExperimentItem>,
    ) -> Result<(), CatalogError> {
        self.edit(move |change| change.put_items_of_experiments(items))
            .await
    }

    async fn delete_experiment_items(&self, ids: &[EntityId]) -> Result<usize, CatalogError> {
        let ids = ids.to_vec();
        self.edit(move |change| {
            let mut gone = 0;
            for id in ids {
                gone += change
                    .conn()
                    .prepare_cached("DELETE FROM experiment_item WHERE id = ?1")?
                    .execute([id.as_bytes()])?;
            }
            Ok(gone)
        })
        .await
    }

    async fn experiment_item(&self, id: EntityId) -> Result<Option<ExperimentItem>, CatalogError> {
        self.consult(move |reader| {
            let mut found = stored_item(reader.conn(), id)?;
            if let Some(item) = &mut found {
                joined::fill_item(reader, item)?;
            }
            Ok(found)
        })
        .await
    }

    async fn experiment_items(
        &self,
        experiment_name: &str,
        project: &ProjectChoice,
        after: Option<EntityId>,
        limit: usize,
    ) -> Result<Vec<ExperimentItem>, CatalogError> {
        let (name, choice) = (experiment_name.to_owned(), project.clone());
        self.consult(move |reader| stream_items(reader, &name, &choice, after, limit))
            .await
    }

    async fn compare(&self, query: &CompareQuery) -> Result<Listing<ComparedItem>, CatalogError> {
        let query = query.clone();
        self.consult(move |reader| compare(reader, &query)).await
    }

    async fn experiment_score_names(&self, ids: &[EntityId]) -> Result<Vec<String>, CatalogError> {
        let ids = ids.to_vec();
        self.consult(move |reader| {
            let ids = if ids.is_empty() {
                let all = Selection::default().bodies::<Experiment>(reader.conn())?;
                all.into_iter().map(|(id, _)| id).collect()
            } else {
                ids
            };
            let mut names = BTreeSet::new();
            for id in ids {
                names.extend(joined::score_names(reader, id)?);
            }
            Ok(names.into_iter().collect())
        })
        .await
    }

    async fn experiments_of(
        &self,
        traces: &[TraceId],
    ) -> Result<BTreeMap<TraceId, ExperimentRef>, CatalogError> {
        let traces = traces.to_vec();
        self.consult(move |reader| {
            let conn = reader.conn();
            let mut found = BTreeMap::new();
            for trace in traces {
                let place: Option<([u8; 16], [u8; 16])> = conn
                    .prepare_cached(
                        "SELECT experiment, item FROM experiment_item WHERE trace = ?1 LIMIT 1",
                    )?
                    .query_row([trace.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
                    .optional()?;
                let Some((experiment, item)) = place else {
                    continue;
                };
                let experiment = EntityId::from_bytes(experiment);
                if let Some(known) = entry::get::<Experiment>(conn, experiment)? {
                    let text = |id: Option<EntityId>| id.map(|id| id.to_string());
                    let of = ExperimentRef {
                        id: known.id.to_string(),
                        name: known.name,
                        dataset_id: text(known.dataset_id).unwrap_or_default(),
                        dataset_item_id: EntityId::from_bytes(item).to_string(),
                    };
                    found.insert(trace, of);
                }
            }
            Ok(found)
        })
        .await
    }
}
