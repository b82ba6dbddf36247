//! Configurations of agents.

use std::collections::BTreeSet;

use async_trait::async_trait;
use opik_core::catalog::{
    AgentConfigCatalog, Blueprint, BlueprintChoice, BlueprintEnvironment, CatalogError, Listing,
    NewAgentConfig, Numbered, ProjectChoice, RemoveKeys,
};
use opik_core::{EntityId, ProjectId};
use rusqlite::Connection;

use super::blueprints::{
    Place, all_newest, chosen, expect_configured, is_commit_of, is_configured, mask, newest,
    newest_if_any, place, placed, versions,
};
use super::{Change, Outcome, entry, project_of};
use crate::store::Store;

/// The environment that uses the first version of a configuration until it is set.
const FIRST_PLACE: &str = "prod";

/// The project of a request that makes none.
fn existing(conn: &Connection, choice: &ProjectChoice) -> Outcome<ProjectId> {
    project_of(conn, choice)?.ok_or_else(|| {
        let text = match (choice.id, &choice.name) {
            (None, Some(name)) => format!("Project '{name}' not found"),
            _ => "Project not found".to_owned(),
        };
        CatalogError::not_found(text).into()
    })
}

impl Change<'_, '_> {
    fn put_blueprint(&mut self, blueprint: &Blueprint) -> Outcome<EntityId> {
        entry::insert(self.conn(), blueprint)?;
        Ok(blueprint.id)
    }

    fn set_place(&mut self, project: ProjectId, name: String, blueprint: EntityId) -> Outcome<()> {
        let known = place(self.conn(), project, &name)?;
        let id = known.map_or_else(|| EntityId::generate_at(self.at), |it| it.id);
        let record = Place {
            id,
            name,
            project_id: project,
            blueprint_id: blueprint,
        };
        entry::put(self.conn(), &record)
    }

    /// Moves every configuration that uses a prompt on to its newest version.
    pub(super) fn follow_prompt(&mut self, prompt: EntityId, commit: &str) -> Outcome<()> {
        for known in all_newest(self.conn())? {
            let mut older = BTreeSet::new();
            for named in known.prompts() {
                if is_commit_of(self.conn(), prompt, named)? {
                    older.insert(named.to_owned());
                }
            }
            let moved = known.moved_to(commit, &older);
            if !moved.is_empty() {
                let next = known.followed_by(moved, self.at);
                self.put_blueprint(&next)?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl AgentConfigCatalog for Store {
    async fn create_agent_config(&self, new: NewAgentConfig) -> Result<EntityId, CatalogError> {
        self.edit(move |change| {
            new.check()?;
            if new.is_mask() {
                return Err(
                    CatalogError::invalid("A configuration does not begin with a mask").into(),
                );
            }
            let project = change.project(&new.project())?;
            let project = project.ok_or_else(|| CatalogError::not_found("Project not found"))?;
            if is_configured(change.conn(), project)? {
                return Err(CatalogError::conflict(format!(
                    "Configuration already exists for project '{project}'"
                ))
                .into());
            }
            let record = new.into_record(project, None, change.at)?;
            let id = change.put_blueprint(&record)?;
            change.set_place(project, FIRST_PLACE.to_owned(), id)?;
            Ok(id)
        })
        .await
    }

    async fn add_blueprint(&self, new: NewAgentConfig) -> Result<EntityId, CatalogError> {
        self.edit(move |change| {
            new.check()?;
            let project = existing(change.conn(), &new.project())?;
            let newest = newest(change.conn(), project)?;
            let record = new.into_record(project, Some(&newest), change.at)?;
            change.put_blueprint(&record)
        })
        .await
    }

    async fn blueprint(
        &self,
        choice: &BlueprintChoice,
        over: Option<EntityId>,
    ) -> Result<Blueprint, CatalogError> {
        let choice = choice.clone();
        self.consult(move |reader| {
            let conn = reader.conn();
            let mut found = chosen(conn, &choice)?;
            if let Some(over) = over {
                let mask = mask(conn, found.project_id, over)?;
                found = found.masked(&mask);
            }
            Ok(placed(conn, found)?.shown(false))
        })
        .await
    }

    async fn blueprint_changes(&self, id: EntityId) -> Result<Blueprint, CatalogError> {
        self.consult(move |reader| {
            let found = entry::expect::<Blueprint>(reader.conn(), id)?;
            Ok(found.shown(true))
        })
        .await
    }

    async fn blueprints(
        &self,
        project: ProjectId,
        page: Numbered,
    ) -> Result<Listing<Blueprint>, CatalogError> {
        self.consult(move |reader| {
            let conn = reader.conn();
            let Listing { items, total } = versions(conn, project, page)?;
            let shown = items
                .into_iter()
                .map(|it| Ok(placed(conn, it)?.shown(true)));
            Ok(Listing {
                items: shown.collect::<Outcome<_>>()?,
                total,
            })
        })
        .await
    }

    async fn apply_mask(&self, project: ProjectId, id: EntityId) -> Result<EntityId, CatalogError> {
        self.edit(move |change| {
            let newest = newest(change.conn(), project)?;
            let mask = mask(change.conn(), project, id)?;
            let next = newest.followed_by(mask.values, change.at);
            change.put_blueprint(&next)
        })
        .await
    }

    async fn remove_config_keys(&self, keys: RemoveKeys) -> Result<Option<EntityId>, CatalogError> {
        self.edit(move |change| {
            let named = keys.check()?;
            let project = existing(change.conn(), &keys.project())?;
            let newest = newest_if_any(change.conn(), project)?;
            let next = newest.and_then(|it| it.without(named, change.at));
            next.map(|next| change.put_blueprint(&next)).transpose()
        })
        .await
    }

    async fn set_blueprint_environments(
        &self,
        project: ProjectId,
        environments: Vec<BlueprintEnvironment>,
    ) -> Result<(), CatalogError> {
        let places = BlueprintEnvironment::check_all(environments)?;
        self.edit(move |change| {
            expect_configured(change.conn(), project)?;
            for (name, id) in places {
                let known = entry::get::<Blueprint>(change.conn(), id)?;
                if known.is_none_or(|it| it.project_id != project || it.is_mask()) {
                    let text = format!("Blueprint '{id}' not found");
                    return Err(CatalogError::not_found(text).into());
                }
                change.set_place(project, name, id)?;
            }
            Ok(())
        })
        .await
    }

    async fn delete_blueprint_environment(
        &self,
        project: ProjectId,
        name: &str,
    ) -> Result<(), CatalogError> {
        let name = name.to_owned();
        self.edit(move |change| {
            if let Some(place) = place(change.conn(), project, &name)? {
                entry::delete::<Place>(change.conn(), place.id)?;
            }
            Ok(())
        })
        .await
    }
}
