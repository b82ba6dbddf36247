//! Datasets.

use async_trait::async_trait;
use opik_core::catalog::{
    CatalogError, Dataset, DatasetCatalog, DatasetItem, DatasetQuery, DatasetUpdate,
    DatasetVersion, DeleteItems, Experiment, Found, ItemBatchUpdate, ItemChanges, ItemQuery,
    ItemUpdate, Listing, NewDataset, NewItem, Numbered, Optimization, ProjectChoice, PutItems,
    VersionUpdate, check_count,
};
use opik_core::{EntityId, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::entry::{self, Entry as _, Selection};
use super::versions::Version;
use super::{Change, Outcome, is_elsewhere, items, project_of, versions};
use crate::store::Store;

/// Most labels of a version that make sense, each of 100 characters at most.
const LONGEST_LABEL: usize = 100;

/// A dataset with its counts.
fn seen(conn: &Connection, mut dataset: Dataset) -> Outcome<Dataset> {
    let newest = versions::latest(conn, dataset.id)?;
    let total = newest.as_ref().map(|newest| newest.record.items_total);
    dataset.dataset_items_count = Some(total.unwrap_or(0));
    dataset.latest_version = newest.map(|newest| newest.record.summary());
    dataset.experiment_count = Some(entry::count_about::<Experiment>(conn, dataset.id)?);
    dataset.optimization_count = Some(entry::count_about::<Optimization>(conn, dataset.id)?);
    let last: Option<[u8; 16]> = conn
        .prepare_cached("SELECT max(id) FROM catalog_entry WHERE parent = ?1 AND kind = ?2")?
        .query_row(params![dataset.id.as_bytes(), Experiment::KIND], |row| {
            row.get(0)
        })
        .optional()?
        .flatten();
    dataset.last_created_experiment_at = last.and_then(|id| EntityId::from_bytes(id).timestamp());
    Ok(dataset)
}

impl Change<'_, '_> {
    /// The dataset with this name, which is made where it does not exist.
    pub(super) fn dataset_named(&mut self, name: &str, choice: &ProjectChoice) -> Outcome<Dataset> {
        let project = project_of(self.conn(), choice)?;
        if let Some((known, _)) = entry::find::<Dataset>(self.conn(), name, project)? {
            return Ok(known);
        }
        let project = self.project(choice)?;
        let made = NewDataset::new(name).into_record(project, self.at)?;
        entry::insert(self.conn(), &made)?;
        Ok(made)
    }

    fn put_items(&mut self, put: PutItems) -> Outcome<DatasetVersion> {
        put.check()?;
        let dataset = match put.dataset_id {
            Some(id) => entry::expect::<Dataset>(self.conn(), id)?,
            None => {
                let name = put.dataset_name.clone().unwrap_or_default();
                self.dataset_named(&name, &put.project())?
            }
        };
        let (conn, at) = (self.work.conn(), self.at);
        let (mut version, is_new) = versions::to_write(conn, dataset.id, put.batch_group_id, at)?;
        if let (true, Some(copied)) = (is_new, put.copy_from_version_id) {
            copy(conn, &mut version, put.copy_from_dataset_id, copied, at)?;
        }
        write(conn, &mut version, put.items, at)?;
        version.save(conn)?;
        version.seen(conn)
    }

    fn delete_items(&mut self, delete: DeleteItems) -> Outcome<usize> {
        let (conn, at) = (self.work.conn(), self.at);
        let mut by_dataset: Vec<(EntityId, Vec<EntityId>)> = Vec::new();
        if delete.ids.is_empty() {
            let Some(dataset) = delete.dataset else {
                return Err(CatalogError::unprocessable(
                    "Either item_ids or dataset_id must be provided",
                )
                .into());
            };
            entry::expect::<Dataset>(conn, dataset)?;
            let fitting = items::fitting(conn, dataset, &delete.conditions)?;
            by_dataset.push((dataset, fitting));
        } else {
            check_count(delete.ids.len(), "item_ids")?;
            for id in delete.ids {
                for home in items::homes(conn, id)? {
                    if delete.dataset.is_some_and(|only| only != home) {
                        continue;
                    }
                    match by_dataset.iter_mut().find(|(known, _)| *known == home) {
                        Some((_, ids)) => ids.push(id),
                        None => by_dataset.push((home, vec![id])),
                    }
                }
            }
        }
        let mut gone = 0;
        for (dataset, ids) in by_dataset {
            if ids.is_empty() {
                continue;
            }
            let (mut version, _) = versions::to_write(conn, dataset, delete.group, at)?;
            let deleted = remove(conn, &mut version, &ids, at)?;
            version.save(conn)?;
            gone += deleted;
        }
        Ok(gone)
    }

    fn change_items(
        &mut self,
        dataset: EntityId,
        changes: ItemChanges,
        override_conflict: bool,
    ) -> Outcome<DatasetVersion> {
        let (conn, at) = (self.work.conn(), self.at);
        entry::expect::<Dataset>(conn, dataset)?;
        let newest = versions::latest(conn, dataset)?;
        if let Some(base) = changes
            .base_version
            .as_deref()
            .filter(|_| !override_conflict)
        {
            let base = versions::find(conn, dataset, base)?;
            let newest = newest.as_ref().map(|newest| newest.number);
            if base.map(|base| base.number) != newest {
                return Err(CatalogError::conflict(
                    "Version conflict: the base version is not the latest version",
                )
                .into());
            }
        }
        let added = changes.added_items.unwrap_or_default();
        added.iter().try_for_each(NewItem::check)?;
        let mut version = versions::begin(conn, dataset, None, at)?;
        if let Some(copied) = changes.copy_from_version_id {
            copy(conn, &mut version, changes.copy_from_dataset_id, copied, at)?;
        }
        write(conn, &mut version, added, at)?;
        for edit in changes.edited_items.unwrap_or_default() {
            let id = edit.id;
            if let Some(mut item) = items::live(conn, dataset, id)? {
                edit.into_update().apply(&mut item, false, at)?;
                items::put(conn, version.number, &item)?;
                version.note(0, 1, 0, at);
            }
        }
        remove(
            conn,
            &mut version,
            &changes.deleted_ids.unwrap_or_default(),
            at,
        )?;
        let record = &mut version.record;
        record.change_description = changes.change_description;
        record.metadata = changes.metadata.filter(|json| json.as_str() != "null");
        record.evaluators = changes.evaluators.or_else(|| record.evaluators.take());
        if changes.clear_execution_policy == Some(true) {
            record.execution_policy = None;
        }
        record.execution_policy = changes
            .execution_policy
            .or_else(|| record.execution_policy.take());
        label(conn, &mut version, changes.tags.unwrap_or_default())?;
        version.save(conn)?;
        version.seen(conn)
    }

    fn update_items(&mut self, update: &ItemBatchUpdate) -> Outcome<usize> {
        let (conn, at) = (self.work.conn(), self.at);
        let mut places = Vec::new();
        if update.ids.is_empty() {
            let Some(dataset) = update.dataset else {
                return Err(CatalogError::unprocessable(
                    "Either ids or dataset_id must be provided",
                )
                .into());
            };
            for id in items::fitting(conn, dataset, &update.conditions)? {
                places.push((dataset, id));
            }
        } else {
            check_count(update.ids.len(), "ids")?;
            for id in &update.ids {
                for home in items::homes(conn, *id)? {
                    places.push((home, *id));
                }
            }
        }
        for (dataset, id) in &places {
            let (mut version, _) = versions::to_write(conn, *dataset, None, at)?;
            if let Some(mut item) = items::live(conn, *dataset, *id)? {
                update.update.apply(&mut item, update.merge_tags, at)?;
                items::put(conn, version.number, &item)?;
                version.note(0, 1, 0, at);
                version.save(conn)?;
            }
        }
        Ok(places.len())
    }

    fn restore(&mut self, dataset: EntityId, reference: &str) -> Outcome<DatasetVersion> {
        let (conn, at) = (self.work.conn(), self.at);
        let old = versions::expect(conn, dataset, reference)?;
        let newest = versions::latest(conn, dataset)?;
        if newest.is_some_and(|newest| newest.number == old.number) {
            return old.seen(conn);
        }
        let mut version = versions::begin(conn, dataset, None, at)?;
        copy(conn, &mut version, Some(dataset), old.record.id, at)?;
        version.record.change_description = Some(format!(
            "Restored from version: {}",
            old.record.version_name
        ));
        version.record.evaluators = old.record.evaluators;
        version.record.execution_policy = old.record.execution_policy;
        version.save(conn)?;
        version.seen(conn)
    }
}

/// Puts items into a version.
fn write(
    conn: &Connection,
    version: &mut Version,
    new: Vec<NewItem>,
    at: Timestamp,
) -> Outcome<()> {
    let dataset = version.record.dataset_id;
    let (mut added, mut modified) = (0, 0);
    for item in new {
        let old = match item.id {
            Some(id) => items::live(conn, dataset, id)?,
            None => None,
        };
        let record = item.into_record(dataset, old.as_ref(), at);
        if items::put(conn, version.number, &record)? {
            modified += 1;
        } else {
            added += 1;
        }
    }
    version.note(added, modified, 0, at);
    Ok(())
}

fn remove(
    conn: &Connection,
    version: &mut Version,
    ids: &[EntityId],
    at: Timestamp,
) -> Outcome<usize> {
    let mut gone = 0;
    for id in ids {
        if items::remove(conn, version.record.dataset_id, version.number, *id)? {
            gone += 1;
        }
    }
    version.note(0, 0, u64::try_from(gone).unwrap_or(u64::MAX), at);
    Ok(gone)
}

/// Gives a new version the items of another, and no others.
fn copy(
    conn: &Connection,
    version: &mut Version,
    from: Option<EntityId>,
    copied: EntityId,
    at: Timestamp,
) -> Outcome<()> {
    let source = versions::by_id(conn, copied)?
        .filter(|source| from.is_none_or(|from| source.record.dataset_id == from))
        .ok_or_else(|| CatalogError::not_found(format!("Version '{copied}' not found")))?;
    let wanted = items::all(conn, source.record.dataset_id, source.number)?;
    let own = version.record.dataset_id;
    let has: Vec<_> = items::ids(conn, own, version.number)?;
    let gone: Vec<_> = has
        .into_iter()
        .filter(|id| {
            wanted
                .binary_search_by(|item: &DatasetItem| item.id.cmp(id))
                .is_err()
        })
        .collect();
    remove(conn, version, &gone, at)?;
    let (mut added, mut modified) = (0, 0);
    for mut item in wanted {
        item.dataset_id = own;
        let old = items::live(conn, own, item.id)?;
        // What is the same stays one row.
        if let Some(old) = &old
            && super::to_text(old)? == super::to_text(&item)?
        {
            continue;
        }
        if items::put(conn, version.number, &item)? {
            modified += 1;
        } else {
            added += 1;
        }
    }
    version.note(added, modified, 0, at);
    Ok(())
}

/// Gives a version labels that no other has.
fn label(conn: &Connection, version: &mut Version, tags: Vec<String>) -> Outcome<()> {
    for tag in tags {
        if tag.trim().is_empty() || tag.chars().count() > LONGEST_LABEL {
            return Err(CatalogError::unprocessable("tags must have 1 to 100 characters").into());
        }
        let owner = versions::labelled(conn, version.record.dataset_id, &tag)?;
        let is_taken = owner.is_some_and(|owner| owner.number != version.number);
        if tag == "latest" || is_taken {
            return Err(CatalogError::conflict(format!(
                "Tag '{tag}' already exists for this dataset"
            ))
            .into());
        }
        if !version.record.tags.contains(&tag) {
            version.record.tags.push(tag);
        }
    }
    Ok(())
}

fn delete(conn: &Connection, id: EntityId) -> Outcome<bool> {
    items::forget(conn, id)?;
    versions::forget(conn, id)?;
    entry::delete::<Dataset>(conn, id)
}

fn list(conn: &Connection, query: &DatasetQuery) -> Outcome<Listing<Dataset>> {
    let selection = Selection {
        project: query.project,
        name: query.name.as_deref(),
        ..Selection::default()
    };
    let is_plain = query.conditions.is_empty()
        && query.order.is_none()
        && !query.with_experiments
        && !query.with_optimizations;
    let records = selection.records::<Dataset>(conn)?;
    if is_plain {
        // Only what is shown is counted.
        let page = query.page.of(records);
        let total = page.total;
        let items = page.items.into_iter().map(|it| seen(conn, it));
        let items = items.collect::<Outcome<_>>()?;
        return Ok(Listing { items, total });
    }
    let mut records = records
        .into_iter()
        .map(|it| seen(conn, it))
        .collect::<Outcome<Vec<_>>>()?;
    records.retain(|it| {
        (!query.with_experiments || it.experiment_count > Some(0))
            && (!query.with_optimizations || it.optimization_count > Some(0))
    });
    entry::page_of(records, &query.conditions, query.order.as_ref(), query.page)
}

#[async_trait]
impl DatasetCatalog for Store {
    async fn create_dataset(&self, new: NewDataset) -> Result<EntityId, CatalogError> {
        self.edit(move |change| {
            // What is wrong with the request comes before a project is made for it.
            new.clone().into_record(None, change.at)?;
            let project = change.project(&new.project())?;
            let record = new.into_record(project, change.at)?;
            let taken = format!("Dataset already exists with name '{}'", record.name);
            entry::check_name(change.conn(), &record, &taken)?;
            entry::insert(change.conn(), &record)?;
            Ok(record.id)
        })
        .await
    }

    async fn dataset(&self, id: EntityId) -> Result<Option<Dataset>, CatalogError> {
        self.consult(move |reader| {
            let conn = reader.conn();
            let found = entry::get::<Dataset>(conn, id)?;
            found.map(|it| seen(conn, it)).transpose()
        })
        .await
    }

    async fn find_dataset(
        &self,
        name: &str,
        project: &ProjectChoice,
    ) -> Result<Option<Found<Dataset>>, CatalogError> {
        let (name, choice) = (name.to_owned(), project.clone());
        self.consult(move |reader| {
            let conn = reader.conn();
            let project = project_of(conn, &choice)?;
            let Some((record, elsewhere)) = entry::find::<Dataset>(conn, &name, project)? else {
                return Ok(None);
            };
            Ok(Some(Found {
                elsewhere: elsewhere || is_elsewhere(&choice, project, record.project_id),
                record: seen(conn, record)?,
            }))
        })
        .await
    }

    async fn datasets(&self, query: &DatasetQuery) -> Result<Listing<Dataset>, CatalogError> {
        let query = query.clone();
        self.consult(move |reader| list(reader.conn(), &query))
            .await
    }

    async fn update_dataset(
        &self,
        id: EntityId,
        update: DatasetUpdate,
    ) -> Result<(), CatalogError> {
        self.edit(move |change| {
            let mut record = entry::expect::<Dataset>(change.conn(), id)?;
            update.apply(&mut record, change.at)?;
            let taken = format!("Dataset already exists with name '{}'", record.name);
            entry::check_name(change.conn(), &record, &taken)?;
            entry::put(change.conn(), &record)
        })
        .await
    }

    async fn delete_datasets(&self, ids: &[EntityId]) -> Result<usize, CatalogError> {
        let ids = ids.to_vec();
        self.edit(move |change| {
            let mut gone = 0;
            for id in ids {
                gone += usize::from(delete(change.conn(), id)?);
            }
            Ok(gone)
        })
        .await
    }

    async fn put_items(&self, put: PutItems) -> Result<DatasetVersion, CatalogError> {
        self.edit(move |change| change.put_items(put)).await
    }

    async fn delete_items(&self, delete: DeleteItems) -> Result<usize, CatalogError> {
        self.edit(move |change| change.delete_items(delete)).await
    }

    async fn items(&self, query: &ItemQuery) -> Result<Listing<DatasetItem>, CatalogError> {
        let query = query.clone();
        self.consult(move |reader| {
            let conn = reader.conn();
            entry::expect::<Dataset>(conn, query.dataset)?;
            let version = match query.version.as_deref() {
                Some(reference) => Some(versions::expect(conn, query.dataset, reference)?),
                None => versions::latest(conn, query.dataset)?,
            };
            match version {
                Some(version) => items::page(conn, &query, version.number),
                None => Ok(Listing {
                    items: Vec::new(),
                    total: 0,
                }),
            }
        })
        .await
    }

    async fn item(&self, id: EntityId) -> Result<Option<DatasetItem>, CatalogError> {
        self.consult(move |reader| {
            let conn = reader.conn();
            match items::homes(conn, id)?.first() {
                Some(home) => items::live(conn, *home, id),
                None => Ok(None),
            }
        })
        .await
    }

    async fn update_item(&self, id: EntityId, update: ItemUpdate) -> Result<(), CatalogError> {
        self.edit(move |change| {
            let mut batch = ItemBatchUpdate::default();
            batch.ids = vec![id];
            batch.update = update;
            match change.update_items(&batch)? {
                0 => Err(CatalogError::not_found("Dataset item not found").into()),
                _ => Ok(()),
            }
        })
        .await
    }

    async fn update_items(&self, update: ItemBatchUpdate) -> Result<usize, CatalogError> {
        self.edit(move |change| change.update_items(&update)).await
    }

    async fn change_items(
        &self,
        dataset: EntityId,
        changes: ItemChanges,
        override_conflict: bool,
    ) -> Result<DatasetVersion, CatalogError> {
        self.edit(move |change| change.change_items(dataset, changes, override_conflict))
            .await
    }

    async fn versions(
        &self,
        dataset: EntityId,
        page: Numbered,
    ) -> Result<Listing<DatasetVersion>, CatalogError> {
        self.consult(move |reader| {
            entry::expect::<Dataset>(reader.conn(), dataset)?;
            versions::page(reader.conn(), dataset, page)
        })
        .await
    }

    async fn version(
        &self,
        dataset: EntityId,
        reference: &str,
    ) -> Result<Option<DatasetVersion>, CatalogError> {
        let reference = reference.to_owned();
        self.consult(move |reader| {
            let conn = reader.conn();
            let found = versions::find(conn, dataset, &reference)?;
            found.map(|version| version.seen(conn)).transpose()
        })
        .await
    }

    async fn update_version(
        &self,
        dataset: EntityId,
        reference: &str,
        update: VersionUpdate,
    ) -> Result<DatasetVersion, CatalogError> {
        let reference = reference.to_owned();
        self.edit(move |change| {
            let (conn, at) = (change.conn(), change.at);
            let mut version = versions::expect(conn, dataset, &reference)?;
            if update.change_description.is_some() {
                version.record.change_description = update.change_description;
            }
            let gone = update.tags_to_remove.unwrap_or_default();
            version.record.tags.retain(|tag| !gone.contains(tag));
            label(conn, &mut version, update.tags_to_add.unwrap_or_default())?;
            version.record.audit.touch(at);
            version.save(conn)?;
            version.seen(conn)
        })
        .await
    }

    async fn restore_version(
        &self,
        dataset: EntityId,
        reference: &str,
    ) -> Result<DatasetVersion, CatalogError> {
        let reference = reference.to_owned();
        self.edit(move |change| {
            entry::expect::<Dataset>(change.conn(), dataset)?;
            change.restore(dataset, &reference)
        })
        .await
    }
}
