//! Prompts, environments, queues and definitions.

use opik_core::EntityId;
use opik_core::catalog::{
    CatalogErrorKind, EntryCatalog as _, NewEnvironment, NewPrompt, NewPromptVersion, NewQueue,
    NewVersionOf, Numbered, ProjectChoice, PromptCatalog as _, PromptUpdate, PromptVersionQuery,
    QueueCatalog as _, VersionChoice,
};
use opik_core::{ProjectId, catalog::PromptQuery};

use crate::{block_on, id, kind, store};

fn version_of(name: &str, template: &str) -> NewVersionOf {
    NewVersionOf::new(name, NewPromptVersion::new(template))
}

#[test]
fn versions_are_numbered_and_found_by_commit_number_and_environment() {
    block_on(async {
        let store = store();
        let first = store
            .create_prompt_version(version_of("greet", "Hi {{name}}"))
            .await
            .unwrap();
        let second = store
            .create_prompt_version(version_of("greet", "Hi {{name}}"))
            .await
            .unwrap();
        assert_eq!(first.prompt_id, second.prompt_id);
        assert_eq!(second.version_number.as_deref(), Some("v2"));
        assert!(first.id.to_string().ends_with(&first.commit));
        assert_eq!(first.variables.as_deref(), Some(&["name".to_owned()][..]));

        store
            .create_environment(NewEnvironment::new("prod"))
            .await
            .unwrap();
        let unknown = store
            .set_prompt_environments(first.id, vec!["nowhere".to_owned()])
            .await;
        assert_eq!(kind(unknown), Some(CatalogErrorKind::NotFound));
        for owner in [&first, &second] {
            store
                .set_prompt_environments(owner.id, vec!["prod".to_owned()])
                .await
                .unwrap();
        }
        let found = |choice: VersionChoice| {
            let store = store.clone();
            async move {
                let found = store
                    .find_prompt("greet", &ProjectChoice::default(), &choice)
                    .await;
                found
                    .unwrap()
                    .unwrap()
                    .record
                    .requested_version
                    .map(|it| it.id)
            }
        };
        let mut by = VersionChoice::default();
        assert_eq!(found(by.clone()).await, Some(second.id));
        by.environment = Some("prod".to_owned());
        assert_eq!(found(by.clone()).await, Some(second.id));
        by.number = Some("v1".to_owned());
        assert_eq!(found(by).await, None);
        let mut by = VersionChoice::default();
        by.commit = Some(first.commit.clone());
        assert_eq!(found(by).await, Some(first.id));

        let mut wrong = version_of("greet", "x");
        wrong.version.commit = Some(first.commit.clone());
        let taken = store.create_prompt_version(wrong).await;
        assert_eq!(kind(taken), Some(CatalogErrorKind::Conflict));
        let restored = store
            .restore_prompt_version(first.prompt_id, first.id)
            .await
            .unwrap();
        assert_eq!(restored.version_number.as_deref(), Some("v3"));
        assert_eq!(restored.template, first.template);
    });
}

#[test]
fn the_structure_of_a_prompt_never_changes_and_masks_are_not_listed() {
    block_on(async {
        let store = store();
        let mut chat = version_of("chat", "[]");
        chat.template_structure = Some("chat".to_owned());
        let first = store.create_prompt_version(chat).await.unwrap();
        assert_eq!(first.template_structure, "chat");
        let second = store
            .create_prompt_version(version_of("chat", "text"))
            .await
            .unwrap();
        assert_eq!(second.template_structure, "chat");
        let mut mask = version_of("chat", "masked");
        mask.version.version_type = Some("mask".to_owned());
        let mask = store.create_prompt_version(mask).await.unwrap();
        assert_eq!(mask.version_number, None);
        let mut query = PromptVersionQuery::of(first.prompt_id);
        query.page = Numbered::all();
        let listed = store.prompt_versions(&query).await.unwrap();
        let ids: Vec<_> = listed.items.iter().map(|it| it.id).collect();
        assert_eq!(ids, [second.id, first.id]);
        let by_id = store
            .prompt_versions_by_id(&[mask.id, id(7)])
            .await
            .unwrap();
        assert_eq!(by_id.len(), 1);
        query.search = Some("TEX".to_owned());
        assert_eq!(store.prompt_versions(&query).await.unwrap().total, 1);
    });
}

#[test]
fn labels_of_versions_have_one_order_however_they_came() {
    block_on(async {
        let store = store();
        let labels = ["production", "v2", "qa"].map(str::to_owned).to_vec();
        let mut new = version_of("p", "t");
        new.version.tags = Some(labels.clone());
        let made = store.create_prompt_version(new).await.unwrap();
        let read = async || {
            let found = store.prompt_versions_by_id(&[made.id]).await.unwrap();
            found.into_iter().next().unwrap().tags
        };
        let ordered = ["qa", "production", "v2"];
        assert_eq!(read().await, ordered);
        for (tags, merge) in [(&labels, false), (&labels, true)] {
            store
                .tag_prompt_versions(&[made.id], Some(tags.clone()), merge)
                .await
                .unwrap();
            assert_eq!(read().await, ordered);
        }
        let many = (0..51).map(|n| n.to_string()).collect();
        let refused = store
            .tag_prompt_versions(&[made.id], Some(many), false)
            .await;
        assert_eq!(kind(refused), Some(CatalogErrorKind::Unprocessable));
        assert_eq!(read().await, ordered);
    });
}

#[test]
fn a_name_is_taken_once_and_free_again_after_deletion() {
    block_on(async {
        let store = store();
        let first = store
            .create_prompt(NewPrompt::new("p").template("t"))
            .await
            .unwrap();
        let again = store.create_prompt(NewPrompt::new("P")).await;
        assert_eq!(kind(again), Some(CatalogErrorKind::Conflict));
        let other = store.create_prompt(NewPrompt::new("q")).await.unwrap();
        let mut rename = PromptUpdate::default();
        rename.name = Some("P".to_owned());
        let taken = store.update_prompt(other, rename).await;
        assert_eq!(kind(taken), Some(CatalogErrorKind::Conflict));
        let commit = store
            .prompt(first)
            .await
            .unwrap()
            .unwrap()
            .latest_version
            .unwrap()
            .commit;
        assert_eq!(
            store
                .prompts_by_commit(std::slice::from_ref(&commit))
                .await
                .unwrap()
                .len(),
            1
        );
        assert_eq!(store.delete_prompts(&[first]).await.unwrap(), 1);
        assert!(store.prompts_by_commit(&[commit]).await.unwrap().is_empty());
        store.create_prompt(NewPrompt::new("p")).await.unwrap();
        assert_eq!(
            store.prompts(&PromptQuery::default()).await.unwrap().total,
            2
        );
    });
}

#[test]
fn queues_count_what_waits_and_know_where_it_does() {
    block_on(async {
        let store = store();
        let mut new = NewQueue::default();
        new.name = "q".to_owned();
        new.project_id = Some(ProjectId::generate());
        new.scope = Some("trace".to_owned());
        let queue = store.create_queues(vec![new.clone()]).await.unwrap()[0];
        store
            .add_to_queue(queue, &[id(1), id(2), id(1)])
            .await
            .unwrap();
        assert_eq!(store.queue(queue).await.unwrap().unwrap().items_count, 2);
        store.take_from_queue(queue, &[id(1), id(9)]).await.unwrap();
        assert_eq!(store.queue(queue).await.unwrap().unwrap().items_count, 1);
        let of = store.queues_of(&[id(1), id(2)]).await.unwrap();
        assert_eq!(of.keys().copied().collect::<Vec<_>>(), [id(2)]);
        let unknown = store.add_to_queue(id(5), &[id(1)]).await;
        assert_eq!(kind(unknown), Some(CatalogErrorKind::NotFound));
        // All or none.
        let mut bad = new.clone();
        bad.scope = Some("nothing".to_owned());
        assert!(store.create_queues(vec![new, bad]).await.is_err());
        let all = store.queues(&Default::default()).await.unwrap();
        assert_eq!(all.total, 1);
        assert_eq!(
            store
                .delete_queues(&[queue, EntityId::generate()])
                .await
                .unwrap(),
            1
        );
    });
}
