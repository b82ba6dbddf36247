//! Datasets, versions and what is refused.

use opik_core::catalog::{
    CatalogErrorKind, Condition, DatasetCatalog as _, DatasetItem, DatasetQuery, DatasetUpdate,
    DeleteItems, ItemChanges, ItemQuery, NewDataset, NewItem, Numbered, ProjectChoice, PutItems,
    VersionUpdate,
};
use opik_core::{Batch, EntityId, Exporter as _};
use opik_store::Store;
use opik_testkit::records;

use crate::{block_on, id, json, kind, store};

fn item(number: u64, data: &str) -> NewItem {
    NewItem::new(json(data)).with_id(id(number))
}

async fn dataset(store: &Store, name: &str) -> EntityId {
    store.create_dataset(NewDataset::new(name)).await.unwrap()
}

async fn ids(store: &Store, dataset: EntityId, version: Option<&str>) -> Vec<EntityId> {
    let mut query = ItemQuery::of(dataset);
    query.version = version.map(str::to_owned);
    query.page = Numbered::all();
    let items = store.items(&query).await.unwrap().items;
    items.into_iter().map(|item| item.id).collect()
}

#[test]
fn names_are_unique_in_a_project_without_regard_to_case() {
    block_on(async {
        let store = store();
        let first = dataset(&store, "Facts").await;
        let again = store.create_dataset(NewDataset::new("facts")).await;
        let error = again.unwrap_err();
        assert_eq!(error.kind(), CatalogErrorKind::Conflict);
        assert_eq!(
            error.to_string(),
            "Dataset already exists with name 'facts'"
        );
        let elsewhere = NewDataset::new("FACTS").in_project(Some("p"));
        let second = store.create_dataset(elsewhere).await.unwrap();

        let named = |project: Option<&str>| ProjectChoice::named(project);
        let own = store
            .find_dataset("fAcTs", &named(Some("P")))
            .await
            .unwrap()
            .unwrap();
        assert_eq!((own.record.id, own.elsewhere), (second, false));
        let other = store
            .find_dataset("facts", &named(Some("q")))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(other.record.id, first);
        let none = store
            .find_dataset("facts", &named(None))
            .await
            .unwrap()
            .unwrap();
        assert_eq!((none.record.id, none.elsewhere), (first, false));

        let rename = |name: &str| {
            let mut update = DatasetUpdate::default();
            update.name = Some(name.to_owned());
            update
        };
        assert_eq!(
            store.update_dataset(first, rename("FACTS")).await.ok(),
            Some(())
        );
        dataset(&store, "others").await;
        let taken = store.update_dataset(first, rename("Others")).await;
        assert_eq!(kind(taken), Some(CatalogErrorKind::Conflict));
    });
}

#[test]
fn a_refused_write_leaves_nothing_behind_and_costs_traces_nothing() {
    block_on(async {
        let store = store();
        let batch = Batch::new(vec![records::full_trace(1)], vec![records::full_span(1, 1)]);
        store.export(&batch).await.unwrap();
        let before = store.projects().unwrap().len();
        let mut new = NewDataset::new("x").in_project(Some("made for nothing"));
        new.id = Some("00000000-0000-4000-8000-000000000000".parse().unwrap());
        assert_eq!(
            kind(store.create_dataset(new).await),
            Some(CatalogErrorKind::Invalid)
        );
        let home = dataset(&store, "x").await;
        // The second item is refused, so the first is not there either.
        let mut bad = item(2, r#"{"a": 1}"#);
        bad.source = Some("hearsay".to_owned());
        let put = PutItems::into_dataset(home, vec![item(1, r#"{"a": 1}"#), bad]);
        assert_eq!(
            kind(store.put_items(put).await),
            Some(CatalogErrorKind::Invalid)
        );
        assert!(ids(&store, home, None).await.is_empty());
        assert_eq!(store.projects().unwrap().len(), before);
        store.export(&batch).await.unwrap();
        assert_eq!(store.stats().unwrap().spans, 1);
    });
}

#[test]
fn content_must_be_an_object_with_something_in_it() {
    block_on(async {
        let store = store();
        let home = dataset(&store, "x").await;
        for data in ["{}", "{ }", "[1]", "\"a\"", "1", "null"] {
            let put = PutItems::into_dataset(home, vec![item(1, data)]);
            let refused = kind(store.put_items(put).await);
            assert_eq!(refused, Some(CatalogErrorKind::Unprocessable), "{data}");
        }
        for count in [0, 1_001] {
            let items = (0..count).map(|n| item(n, r#"{"a": 1}"#)).collect();
            let refused = kind(store.put_items(PutItems::into_dataset(home, items)).await);
            assert_eq!(refused, Some(CatalogErrorKind::Unprocessable), "{count}");
        }
    });
}

#[test]
fn content_comes_back_as_it_was_written() {
    block_on(async {
        let store = store();
        let home = dataset(&store, "x").await;
        let data = r#"{"z": 1.50, "a": {"é\u0000": 12345678901234567890123}, "z2": []}"#;
        store
            .put_items(PutItems::into_dataset(home, vec![item(1, data)]))
            .await
            .unwrap();
        let found = store.item(id(1)).await.unwrap().unwrap();
        assert_eq!(found.data.as_str(), data);
    });
}

#[test]
fn versions_are_found_by_hash_name_identifier_label_and_latest() {
    block_on(async {
        let store = store();
        let home = dataset(&store, "x").await;
        let mut versions = Vec::new();
        for n in 1..=3 {
            let put =
                PutItems::into_dataset(home, vec![item(n, r#"{"a": 1}"#)]).in_group(id(100 + n));
            versions.push(store.put_items(put).await.unwrap());
        }
        let names: Vec<_> = versions.iter().map(|it| it.version_name.as_str()).collect();
        assert_eq!(names, ["v1", "v2", "v3"]);
        let mut label = VersionUpdate::default();
        label.tags_to_add = Some(vec!["golden".to_owned()]);
        store
            .update_version(home, &versions[1].version_hash, label.clone())
            .await
            .unwrap();
        // A label is one version's only.
        let taken = store.update_version(home, "v1", label).await;
        assert_eq!(kind(taken), Some(CatalogErrorKind::Conflict));

        let by_id = versions[1].id.to_string();
        for reference in [versions[1].version_hash.as_str(), "v2", &by_id, "golden"] {
            let wanted = vec![id(2), id(1)];
            assert_eq!(
                ids(&store, home, Some(reference)).await,
                wanted,
                "{reference}"
            );
        }
        assert_eq!(ids(&store, home, Some("latest")).await.len(), 3);
        let mut query = ItemQuery::of(home);
        query.version = Some("v9".to_owned());
        assert_eq!(
            kind(store.items(&query).await),
            Some(CatalogErrorKind::NotFound)
        );

        let listed = store.versions(home, Numbered::new(1, 2)).await.unwrap();
        let names: Vec<_> = listed
            .items
            .iter()
            .map(|it| it.version_name.as_str())
            .collect();
        assert_eq!((names, listed.total), (vec!["v3", "v2"], 3));
        assert_eq!(listed.items[0].tags, ["latest"]);
        assert_eq!(listed.items[1].tags, ["golden"]);
    });
}

#[test]
fn an_old_version_is_restored_as_a_new_one() {
    block_on(async {
        let store = store();
        let home = dataset(&store, "x").await;
        let put =
            |n, data, group| PutItems::into_dataset(home, vec![item(n, data)]).in_group(id(group));
        store.put_items(put(1, r#"{"a": 1}"#, 101)).await.unwrap();
        store.put_items(put(1, r#"{"a": 2}"#, 102)).await.unwrap();
        store.put_items(put(2, r#"{"a": 3}"#, 103)).await.unwrap();
        let restored = store.restore_version(home, "v1").await.unwrap();
        assert_eq!(restored.version_name, "v4");
        let counts = (
            restored.items_total,
            restored.items_modified,
            restored.items_deleted,
        );
        assert_eq!(counts, (1, 1, 1));
        assert_eq!(
            store.item(id(1)).await.unwrap().unwrap().data.as_str(),
            r#"{"a": 1}"#
        );
        assert_eq!(ids(&store, home, Some("v3")).await, [id(2), id(1)]);
        // The newest is left as it is.
        let same = store.restore_version(home, "v4").await.unwrap();
        assert_eq!(same.id, restored.id);
    });
}

#[test]
fn a_version_may_begin_with_the_items_of_another_dataset() {
    block_on(async {
        let store = store();
        let (from, to) = (dataset(&store, "from").await, dataset(&store, "to").await);
        let source =
            PutItems::into_dataset(from, vec![item(1, r#"{"a": 1}"#), item(2, r#"{"a": 2}"#)]);
        let source = store.put_items(source.in_group(id(101))).await.unwrap();
        let old = PutItems::into_dataset(to, vec![item(9, r#"{"a": 9}"#)]).in_group(id(102));
        store.put_items(old).await.unwrap();
        let mut put = PutItems::into_dataset(to, vec![item(2, r#"{"a": 3}"#)]).in_group(id(103));
        put.copy_from_dataset_id = Some(from);
        put.copy_from_version_id = Some(source.id);
        let made = store.put_items(put).await.unwrap();
        assert_eq!(made.items_total, 2);
        let mut query = ItemQuery::of(to);
        query.page = Numbered::all();
        let items = store.items(&query).await.unwrap().items;
        let texts: Vec<_> = items.iter().map(|it| (it.id, it.data.as_str())).collect();
        assert_eq!(texts, [(id(2), r#"{"a": 3}"#), (id(1), r#"{"a": 1}"#)]);
        assert!(items.iter().all(|it| it.dataset_id == to));
        assert_eq!(ids(&store, to, Some("v1")).await, [id(9)]);
    });
}

#[test]
fn changes_to_an_old_version_conflict_unless_they_are_meant_to() {
    block_on(async {
        let store = store();
        let home = dataset(&store, "x").await;
        let put =
            |n| PutItems::into_dataset(home, vec![item(n, r#"{"a": 1, "b": 2}"#)]).in_group(id(n));
        let first = store.put_items(put(1)).await.unwrap();
        store.put_items(put(2)).await.unwrap();
        let changes = || -> ItemChanges {
            serde_json::from_value(serde_json::json!({
                "base_version": first.id,
                "added_items": [{"id": id(3), "source": "manual", "data": {"a": 3}}],
                "edited_items": [{"id": id(1), "data": {"a": 4}, "tags": ["t"]}],
                "deleted_ids": [id(2)],
                "change_description": "why",
                "tags": ["mine"],
            }))
            .unwrap()
        };
        let stale = store.change_items(home, changes(), false).await;
        assert_eq!(kind(stale), Some(CatalogErrorKind::Conflict));
        assert_eq!(ids(&store, home, None).await, [id(2), id(1)]);
        let made = store.change_items(home, changes(), true).await.unwrap();
        assert_eq!(made.tags, ["latest", "mine"]);
        let counts = (made.items_added, made.items_modified, made.items_deleted);
        assert_eq!((counts, made.items_total), ((1, 1, 1), 2));
        let edited = store.item(id(1)).await.unwrap().unwrap();
        assert_eq!(
            (edited.data.as_str(), edited.tags),
            (r#"{"a":4}"#, vec!["t".to_owned()])
        );
        assert_eq!(ids(&store, home, None).await, [id(3), id(1)]);
    });
}

#[test]
fn items_are_read_and_deleted_by_conditions() {
    block_on(async {
        let store = store();
        let home = dataset(&store, "x").await;
        let items = (0..30).map(|n| item(n, &format!(r#"{{"n": {n}, "even": {}}}"#, n % 2 == 0)));
        store
            .put_items(PutItems::into_dataset(home, items.collect()).in_group(id(100)))
            .await
            .unwrap();
        let even = Condition::parse_list(
            DatasetItem::FIELDS,
            r#"[{"field": "data", "key": "even", "operator": "=", "value": "true"}]"#,
        )
        .unwrap();
        let mut query = ItemQuery::of(home);
        query.conditions = even.clone();
        query.page = Numbered::new(2, 10);
        let page = store.items(&query).await.unwrap();
        let found: Vec<_> = page.items.iter().map(|it| it.id).collect();
        assert_eq!(found, [id(8), id(6), id(4), id(2), id(0)]);
        assert_eq!(page.total, 15);
        query.after = Some(id(4));
        query.page = Numbered::new(1, 10);
        assert_eq!(store.items(&query).await.unwrap().items.len(), 2);

        let mut delete = DeleteItems::default();
        delete.dataset = Some(home);
        delete.conditions = even;
        delete.group = Some(id(101));
        assert_eq!(store.delete_items(delete).await.unwrap(), 15);
        assert_eq!(ids(&store, home, None).await.len(), 15);
        assert_eq!(ids(&store, home, Some("v1")).await.len(), 30);
        let mut unknown = DeleteItems::default();
        unknown.ids = vec![id(999)];
        assert_eq!(store.delete_items(unknown).await.unwrap(), 0);
    });
}

#[test]
fn a_deleted_dataset_takes_its_items_along() {
    block_on(async {
        let store = store();
        let home = dataset(&store, "x").await;
        store
            .put_items(PutItems::into_dataset(home, vec![item(1, r#"{"a": 1}"#)]))
            .await
            .unwrap();
        assert_eq!(store.delete_datasets(&[home, home]).await.unwrap(), 1);
        assert_eq!(store.delete_datasets(&[home]).await.unwrap(), 0);
        assert!(store.item(id(1)).await.unwrap().is_none());
        assert_eq!(
            kind(store.items(&ItemQuery::of(home)).await),
            Some(CatalogErrorKind::NotFound)
        );
        let all = store.datasets(&DatasetQuery::default()).await.unwrap();
        assert_eq!(all.total, 0);
    });
}

#[test]
fn a_page_past_the_end_is_empty_and_knows_the_total() {
    block_on(async {
        let store = store();
        for name in ["a", "b", "ab"] {
            dataset(&store, name).await;
        }
        let mut query = DatasetQuery::default();
        query.page = Numbered::new(9, 10);
        let page = store.datasets(&query).await.unwrap();
        assert_eq!((page.items.len(), page.total), (0, 3));
        query.page = Numbered::new(1, 10);
        query.name = Some("A".to_owned());
        let page = store.datasets(&query).await.unwrap();
        let names: Vec<_> = page.items.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["ab", "a"]);
    });
}
