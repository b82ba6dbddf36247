//! Configurations of agents.

use opik_core::ProjectId;
use opik_core::catalog::{
    AgentConfigCatalog as _, Blueprint, BlueprintChoice, BlueprintEnvironment, CatalogErrorKind,
    ConfigValue, NewAgentConfig, NewPromptVersion, NewVersionOf, Numbered, PromptCatalog as _,
    RemoveKeys,
};
use serde_json::json;

use crate::{block_on, kind, store};

fn values(all: &[(&str, &str, &str)]) -> Vec<ConfigValue> {
    let one = |&(key, kind, value): &(&str, &str, &str)| {
        serde_json::from_value(json!({"key": key, "type": kind, "value": value})).unwrap()
    };
    all.iter().map(one).collect()
}

fn texts(of: &Blueprint) -> Vec<(&str, &str)> {
    let values = of.values.iter();
    values
        .map(|it| (it.key.as_str(), it.value.as_deref().unwrap_or_default()))
        .collect()
}

#[test]
fn versions_masks_and_environments_read_back() {
    block_on(async {
        let store = store();
        let new = |text: &str| NewAgentConfig::new("agents", values(&[("t", "float", text)]));
        assert_eq!(
            kind(store.add_blueprint(new("0")).await),
            Some(CatalogErrorKind::NotFound)
        );
        let begun = store.create_agent_config(new("0").mask()).await;
        assert_eq!(kind(begun), Some(CatalogErrorKind::Invalid));
        let first = store.create_agent_config(new("0.5")).await.unwrap();
        let again = store.create_agent_config(new("0.6")).await;
        assert_eq!(kind(again), Some(CatalogErrorKind::Conflict));
        let more = values(&[("t", "float", "0.7"), ("m", "string", "gpt")]);
        let second = store
            .add_blueprint(NewAgentConfig::new("agents", more))
            .await
            .unwrap();
        let mask = store.add_blueprint(new("0.9").mask()).await.unwrap();

        let read = |choice: BlueprintChoice, over| {
            let store = store.clone();
            async move { store.blueprint(&choice, over).await }
        };
        let v1 = read(BlueprintChoice::Id(first), None).await.unwrap();
        let project = v1.project_id;
        assert_eq!((v1.name.as_str(), texts(&v1)), ("v1", vec![("t", "0.5")]));
        let prod = BlueprintChoice::Environment(project, "prod".to_owned());
        assert_eq!(read(prod.clone(), None).await.unwrap().id, first);
        let newest = BlueprintChoice::Newest(project);
        let v2 = read(newest.clone(), None).await.unwrap();
        assert_eq!((v2.id, v2.name.as_str()), (second, "v2"));
        let over = read(newest.clone(), Some(mask)).await.unwrap();
        assert_eq!(texts(&over), [("t", "0.9"), ("m", "gpt")]);
        let named = BlueprintChoice::Name(project, "v1".to_owned());
        assert_eq!(read(named, None).await.unwrap().id, first);
        for absent in [
            BlueprintChoice::Name(project, "v3".to_owned()),
            BlueprintChoice::Environment(project, "stage".to_owned()),
            BlueprintChoice::Newest(ProjectId::generate()),
            BlueprintChoice::Id(mask),
        ] {
            let found = read(absent, None).await;
            assert_eq!(kind(found), Some(CatalogErrorKind::NotFound));
        }
        let no_mask = read(newest.clone(), Some(second)).await;
        assert_eq!(kind(no_mask), Some(CatalogErrorKind::NotFound));

        // An environment uses one version; a version has any number of environments.
        for version in [second, first] {
            let places = ["prod", "stage"].map(|name| BlueprintEnvironment::new(name, version));
            store
                .set_blueprint_environments(project, places.into())
                .await
                .unwrap();
        }
        // A name that is there twice is seen before anything is looked up.
        for project in [project, ProjectId::generate()] {
            let twice = vec![BlueprintEnvironment::new("x", mask); 2];
            let refused = store.set_blueprint_environments(project, twice).await;
            assert_eq!(kind(refused), Some(CatalogErrorKind::Invalid));
        }
        let of_mask = vec![BlueprintEnvironment::new("x", mask)];
        let refused = store.set_blueprint_environments(project, of_mask).await;
        assert_eq!(kind(refused), Some(CatalogErrorKind::NotFound));
        let live = read(prod.clone(), None).await.unwrap();
        assert_eq!(
            (live.id, live.envs.as_slice()),
            (first, &["prod", "stage"].map(String::from)[..])
        );
        store
            .delete_blueprint_environment(project, "prod")
            .await
            .unwrap();
        assert!(read(prod, None).await.is_err());

        // A mask becomes a version; keys go away; each version tells what it brought.
        let third = store.apply_mask(project, mask).await.unwrap();
        let mut keys = RemoveKeys::default();
        let no_keys = store.remove_config_keys(keys.clone()).await;
        assert_eq!(kind(no_keys), Some(CatalogErrorKind::Unprocessable));
        keys.keys = Some(["m".to_owned()].into());
        keys.project_name = Some("nowhere".to_owned());
        let refused = store.remove_config_keys(keys.clone()).await.unwrap_err();
        let text = refused.to_string();
        assert!(text.contains("Project 'nowhere' not found"), "{text}");
        assert_eq!(refused.kind(), CatalogErrorKind::NotFound);
        keys.project_id = Some(project);
        let fourth = store.remove_config_keys(keys.clone()).await.unwrap();
        assert_eq!(store.remove_config_keys(keys).await.unwrap(), None);
        let v4 = read(newest, None).await.unwrap();
        assert_eq!((Some(v4.id), texts(&v4)), (fourth, vec![("t", "0.9")]));
        let says = "Deleted configuration parameters: [m]";
        assert_eq!(v4.description.as_deref(), Some(says));
        let brought = store.blueprint_changes(third).await.unwrap();
        assert_eq!(texts(&brought), [("t", "0.9")]);
        let page = store
            .blueprints(project, Numbered::new(2, 2))
            .await
            .unwrap();
        let names: Vec<_> = page.items.iter().map(|it| it.name.as_str()).collect();
        assert_eq!((page.total, names), (4, vec!["v2", "v1"]));
    });
}

#[test]
fn a_new_version_of_a_prompt_moves_configurations_on() {
    block_on(async {
        let store = store();
        let version = |text: &str| NewVersionOf::new("greet", NewPromptVersion::new(text));
        let old = store.create_prompt_version(version("Hi")).await.unwrap();
        let all = [
            ("live", "prompt", old.commit.as_str()),
            ("fixed", "prompt_commit", old.commit.as_str()),
        ];
        let new = NewAgentConfig::new("agents", values(&all));
        let first = store.create_agent_config(new).await.unwrap();
        let v1 = store
            .blueprint(&BlueprintChoice::Id(first), None)
            .await
            .unwrap();
        let mut mask = version("no version");
        mask.version.version_type = Some("mask".to_owned());
        store.create_prompt_version(mask).await.unwrap();
        let newest = BlueprintChoice::Newest(v1.project_id);
        assert_eq!(store.blueprint(&newest, None).await.unwrap().id, first);
        let other = NewVersionOf::new("other", NewPromptVersion::new("x"));
        store.create_prompt_version(other).await.unwrap();
        let last = store.create_prompt_version(version("Hello")).await.unwrap();
        let v2 = store.blueprint(&newest, None).await.unwrap();
        assert_eq!(v2.name, "v2");
        assert_eq!(
            texts(&v2),
            [
                ("live", last.commit.as_str()),
                ("fixed", old.commit.as_str())
            ]
        );
    });
}
