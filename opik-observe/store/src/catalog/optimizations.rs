//! Optimizations.

use async_trait::async_trait;
use opik_core::EntityId;
use opik_core::catalog::{
    CatalogError, Dataset, Experiment, Listing, NewOptimization, Optimization, OptimizationCatalog,
    OptimizationQuery, OptimizationUpdate, TrialTotals,
};
use rusqlite::Connection;

use super::entry::{self, Selection};
use super::joined::fill_experiment;
use super::{Outcome, count};
use crate::read::Reader;
use crate::store::Store;

/// The experiments of an optimization.
fn trials(conn: &Connection, record: &Optimization) -> Outcome<Vec<Experiment>> {
    let of = Selection {
        parent: record.dataset_id,
        ..Selection::default()
    };
    let mut trials = of.records::<Experiment>(conn)?;
    trials.retain(|it| it.optimization_id == Some(record.id));
    Ok(trials)
}

/// An optimization with its dataset's name.
fn named(conn: &Connection, mut record: Optimization) -> Outcome<Optimization> {
    if let Some(id) = record.dataset_id
        && let Some(dataset) = entry::get::<Dataset>(conn, id)?
    {
        record.dataset_name = dataset.name;
    }
    Ok(record)
}

/// An optimization with what its experiments say together.
fn seen(reader: &mut Reader, record: Optimization) -> Outcome<Optimization> {
    let mut record = named(reader.conn(), record)?;
    let mut trials = trials(reader.conn(), &record)?;
    for trial in &mut trials {
        fill_experiment(reader, trial)?;
    }
    record.num_trials = count(i64::try_from(trials.len()).unwrap_or(i64::MAX));
    record.totals = TrialTotals::of(&record.objective_name, &trials);
    Ok(record)
}

#[async_trait]
impl OptimizationCatalog for Store {
    async fn create_optimization(
        &self,
        new: NewOptimization,
        replace: bool,
    ) -> Result<EntityId, CatalogError> {
        self.edit(move |change| {
            let choice = new.project();
            let mut record = new.into_record(change.at)?;
            record.project_id = change.project(&choice)?;
            let dataset = change.dataset_named(&record.dataset_name, &choice)?;
            record.dataset_id = Some(dataset.id);
            let old = entry::get::<Optimization>(change.conn(), record.id)?;
            match old.filter(|_| replace) {
                Some(old) => {
                    record.audit = opik_core::catalog::Audit::after(&old.audit, change.at);
                    entry::put(change.conn(), &record)?;
                }
                None => entry::insert(change.conn(), &record)?,
            }
            Ok(record.id)
        })
        .await
    }

    async fn optimization(&self, id: EntityId) -> Result<Option<Optimization>, CatalogError> {
        self.consult(move |reader| {
            let found = entry::get::<Optimization>(reader.conn(), id)?;
            found.map(|it| seen(reader, it)).transpose()
        })
        .await
    }

    async fn optimizations(
        &self,
        query: &OptimizationQuery,
    ) -> Result<Listing<Optimization>, CatalogError> {
        let query = query.clone();
        self.consult(move |reader| {
            let conn = reader.conn();
            let selection = Selection {
                project: query.project,
                parent: query.dataset,
                name: query.name.as_deref(),
                ..Selection::default()
            };
            let records = selection.records::<Optimization>(conn)?.into_iter();
            let mut records = records
                .map(|it| named(conn, it))
                .collect::<Outcome<Vec<_>>>()?;
            if let Some(part) = query.dataset_name.as_deref().map(str::to_lowercase) {
                records.retain(|it| it.dataset_name.to_lowercase().contains(&part));
            }
            let page = entry::page_of(records, &query.conditions, None, query.page)?;
            let items = page.items.into_iter().map(|it| seen(reader, it));
            Ok(Listing {
                items: items.collect::<Outcome<_>>()?,
                total: page.total,
            })
        })
        .await
    }

    async fn update_optimization(
        &self,
        id: EntityId,
        update: OptimizationUpdate,
    ) -> Result<(), CatalogError> {
        self.edit(move |change| {
            let mut record = entry::expect::<Optimization>(change.conn(), id)?;
            update.apply(&mut record, change.at)?;
            entry::put(change.conn(), &record)
        })
        .await
    }

    async fn delete_optimizations(&self, ids: &[EntityId]) -> Result<usize, CatalogError> {
        let ids = ids.to_vec();
        self.edit(move |change| entry::delete_all::<Optimization>(change.conn(), &ids))
            .await
    }
}
