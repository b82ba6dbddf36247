//! Datasets against a model that copies everything.

use std::collections::BTreeMap;

use opik_core::EntityId;
use opik_core::catalog::{
    DatasetCatalog as _, DeleteItems, ItemQuery, NewDataset, NewItem, Numbered, PutItems,
};
use proptest::prelude::*;

use crate::{block_on, id, json, store};

/// One call, with small numbers for items and groups so that they meet often.
#[derive(Debug, Clone)]
enum Call {
    Put {
        items: Vec<(u64, u32)>,
        group: Option<u64>,
    },
    Delete {
        items: Vec<u64>,
        group: Option<u64>,
    },
    Restore {
        version: usize,
    },
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let group = || prop::option::of(0..3_u64);
    let put = (
        prop::collection::vec((0..12_u64, any::<u32>()), 1..6),
        group(),
    )
        .prop_map(|(items, group)| Call::Put { items, group });
    let delete = (prop::collection::vec(0..12_u64, 1..4), group())
        .prop_map(|(items, group)| Call::Delete { items, group });
    let restore = (0..8_usize).prop_map(|version| Call::Restore { version });
    prop::collection::vec(prop_oneof![4 => put, 2 => delete, 1 => restore], 1..24)
}

/// Every version as a whole.
#[derive(Debug, Default)]
struct Model {
    versions: Vec<(Option<u64>, BTreeMap<EntityId, String>)>,
}

impl Model {
    fn newest_for(&mut self, group: Option<u64>) -> &mut BTreeMap<EntityId, String> {
        let joins = match self.versions.last() {
            None => false,
            Some((known, _)) => group.is_none() || *known == group,
        };
        if !joins {
            let items = self.versions.last().map(|(_, items)| items.clone());
            self.versions.push((group, items.unwrap_or_default()));
        }
        &mut self.versions.last_mut().unwrap().1
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_version_holds_what_a_copy_would(calls in calls()) {
        block_on(async {
            let store = store();
            let home = store.create_dataset(NewDataset::new("x")).await.unwrap();
            let mut model = Model::default();
            for call in calls {
                match call {
                    Call::Put { items, group } => {
                        let own = model.newest_for(group);
                        let mut new = Vec::new();
                        for (number, value) in items {
                            let text = format!("{{\"v\":{value}}}");
                            new.push(NewItem::new(json(&text)).with_id(id(number)));
                            own.insert(id(number), text);
                        }
                        let mut put = PutItems::into_dataset(home, new);
                        put.batch_group_id = group.map(|group| id(1_000 + group));
                        store.put_items(put).await.unwrap();
                    }
                    Call::Delete { items, group } => {
                        let mut delete = DeleteItems::default();
                        delete.ids = items.iter().map(|number| id(*number)).collect();
                        delete.group = group.map(|group| id(1_000 + group));
                        let gone = store.delete_items(delete).await.unwrap();
                        let has = |number: &&u64| {
                            model.versions.last().is_some_and(|it| it.1.contains_key(&id(**number)))
                        };
                        let present: std::collections::BTreeSet<_> =
                            items.iter().filter(has).copied().collect();
                        prop_assert_eq!(gone, present.len());
                        // What deletes nothing makes no version.
                        if !present.is_empty() {
                            let own = model.newest_for(group);
                            own.retain(|known, _| !present.iter().any(|number| id(*number) == *known));
                        }
                    }
                    Call::Restore { version } => {
                        let name = format!("v{}", version + 1);
                        let result = store.restore_version(home, &name).await;
                        prop_assert_eq!(result.is_ok(), version < model.versions.len());
                        if version + 1 < model.versions.len() {
                            let items = model.versions[version].1.clone();
                            model.versions.push((None, items));
                        }
                    }
                }
            }
            let versions = store.versions(home, Numbered::all()).await.unwrap();
            prop_assert_eq!(versions.total, model.versions.len());
            for (n, (_, wanted)) in model.versions.iter().enumerate() {
                let record = &versions.items[versions.total - 1 - n];
                prop_assert_eq!(&record.version_name, &format!("v{}", n + 1));
                prop_assert_eq!(record.items_total, u64::try_from(wanted.len()).unwrap());
                let mut query = ItemQuery::of(home);
                query.version = Some(record.version_hash.clone());
                // Page by page, as clients read.
                let mut found = Vec::new();
                for page in 1.. {
                    query.page = Numbered::new(page, 3);
                    let listing = store.items(&query).await.unwrap();
                    prop_assert_eq!(listing.total, wanted.len());
                    if listing.items.is_empty() {
                        break;
                    }
                    found.extend(listing.items);
                }
                let found: Vec<_> =
                    found.iter().map(|it| (it.id, it.data.as_str().to_owned())).collect();
                let wanted: Vec<_> =
                    wanted.iter().rev().map(|(id, text)| (*id, text.clone())).collect();
                prop_assert_eq!(found, wanted);
            }
            Ok(())
        })?;
    }
}
