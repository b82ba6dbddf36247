//! Several writers, threads and processes, on one dataset.
//!
//! The children are this test binary, told to run one ignored test in a directory of its own.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use opik_core::EntityId;
use opik_core::catalog::{
    DatasetCatalog as _, ItemQuery, NewItem, NewPromptVersion, NewVersionOf, Numbered,
    ProjectChoice, PromptCatalog as _, PromptVersionQuery, PutItems,
};
use opik_store::{Store, StoreOptions};

use crate::{block_on, json};

const ROUNDS: usize = 12;
const WRITERS: usize = 3;

fn open(dir: &Path) -> Store {
    Store::open(dir.join("store.db"), StoreOptions::new().index_text(false)).unwrap()
}

/// Makes versions of one dataset and one prompt, both by name: two batches a version.
async fn write(store: &Store) {
    for round in 0..ROUNDS {
        let group = EntityId::generate();
        for _ in 0..2 {
            let mut put = PutItems::default();
            put.dataset_name = Some("shared".to_owned());
            put.batch_group_id = Some(group);
            put.items = vec![NewItem::new(json(&format!(r#"{{"round": {round}}}"#)))];
            store.put_items(put).await.unwrap();
        }
        let version = NewPromptVersion::new(format!("round {round}"));
        store
            .create_prompt_version(NewVersionOf::new("shared", version))
            .await
            .unwrap();
    }
}

#[test]
#[ignore = "a child process of the other test"]
fn child_that_makes_versions() {
    block_on(write(&open(Path::new("."))));
    println!("done");
}

fn spawn(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture"])
        .arg("processes::child_that_makes_versions")
        .current_dir(dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Every item is there once, versions are numbered without a gap, each with what the one before
/// has and more.
async fn check(store: &Store, writers: usize) {
    let found = store
        .find_dataset("shared", &ProjectChoice::default())
        .await
        .unwrap()
        .unwrap();
    let home = found.record.id;
    let versions = store.versions(home, Numbered::all()).await.unwrap().items;
    // Batches of one group join unless another writer came between.
    assert!((writers * ROUNDS..=writers * ROUNDS * 2).contains(&versions.len()));
    let mut before: BTreeSet<EntityId> = BTreeSet::new();
    for (n, version) in versions.iter().rev().enumerate() {
        assert_eq!(version.version_name, format!("v{}", n + 1));
        let mut query = ItemQuery::of(home);
        query.version = Some(version.version_hash.clone());
        query.page = Numbered::all();
        let items = store.items(&query).await.unwrap().items;
        let items: BTreeSet<_> = items.into_iter().map(|item| item.id).collect();
        assert!(items.is_superset(&before) && items.len() > before.len());
        assert_eq!(version.items_total, u64::try_from(items.len()).unwrap());
        assert_eq!(
            version.items_added,
            u64::try_from(items.len() - before.len()).unwrap()
        );
        before = items;
    }
    assert_eq!(before.len(), writers * ROUNDS * 2);
    let hashes: BTreeSet<_> = versions.iter().map(|it| &it.version_hash).collect();
    assert_eq!(hashes.len(), versions.len());

    let prompt = store
        .find_prompt("shared", &ProjectChoice::default(), &Default::default())
        .await
        .unwrap()
        .unwrap();
    let mut query = PromptVersionQuery::of(prompt.record.id);
    query.page = Numbered::all();
    let versions = store.prompt_versions(&query).await.unwrap().items;
    let numbers: Vec<_> = versions
        .iter()
        .rev()
        .filter_map(|it| it.version_number.clone())
        .collect();
    let wanted: Vec<_> = (1..=writers * ROUNDS).map(|n| format!("v{n}")).collect();
    assert_eq!(numbers, wanted);
}

#[test]
fn several_processes_make_versions_of_one_dataset_and_one_prompt() {
    let dir = tempfile::tempdir().unwrap();
    let children: Vec<_> = (0..WRITERS).map(|_| spawn(dir.path())).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(String::from_utf8(output.stdout).unwrap().contains("done"));
    }
    block_on(check(&open(dir.path()), WRITERS));
}

#[test]
fn several_threads_make_versions_of_one_dataset_and_one_prompt() {
    let store = Store::open_in_memory().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| block_on(write(&store)));
        }
    });
    block_on(check(&store, WRITERS));
}
