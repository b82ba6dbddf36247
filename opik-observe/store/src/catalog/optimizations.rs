//! Optimizations.

use async_trait::async_trait;
use opik_core::EntityId;
use opik_core::catalog::{
    CatalogError, Dataset, Experiment, Listing, NewOptimization, Optimization, OptimizationCatalog,
    OptimizationQuery, OptimizationUpdate,
};
use rusqlite::Connection;

use super::entry::{self, Selection};
use super::{Outcome, count};
use crate::store::Store;

/// An optimization with how many experiments it has.
fn seen(conn: &Connection, mut record: Optimization) -> Outcome<Optimization> {
    if let Some(id) = record.dataset_id
        && let Some(dataset) = entry::get::<Dataset>(conn, id)?
    {
        record.dataset_name = dataset.name;
    }
    let of = Selection {
        parent: record.dataset_id,
        ..Selection::default()
    };
    let id = Some(record.id);
    let trials = of.records::<Experiment>(conn)?;
    let trials = trials.iter().filter(|it| it.optimization_id == id).count();
    record.num_trials = count(i64::try_from(trials).unwrap_or(i64::MAX));
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
            let conn = reader.conn();
            let found = entry::get::<Optimization>(conn, id)?;
            found.map(|it| seen(conn, it)).transpose()
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
                .map(|it| seen(conn, it))
                .collect::<Outcome<Vec<_>>>()?;
            if let Some(part) = query.dataset_name.as_deref().map(str::to_lowercase) {
                records.retain(|it| it.dataset_name.to_lowercase().contains(&part));
            }
            entry::page_of(records, &query.conditions, None, query.page)
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
