//! Prompts and their versions.

use std::collections::BTreeMap;

use async_trait::async_trait;
use opik_core::EntityId;
use opik_core::catalog::{
    CatalogError, Environment, Found, Listing, NewPrompt, NewPromptVersion, NewVersionOf,
    ProjectChoice, Prompt, PromptCatalog, PromptQuery, PromptUpdate, PromptVersion,
    PromptVersionQuery, VersionChoice, check_count, check_tags,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::entry::{self, Selection};
use super::{Change, Outcome, count, from_text, is_elsewhere, project_of, to_text};
use crate::store::Store;

const NAME_TAKEN: &str = "Prompt id or name already exists";

/// The version with this identifier.
pub(super) fn version(conn: &Connection, id: EntityId) -> Outcome<Option<PromptVersion>> {
    conn.prepare_cached("SELECT body FROM prompt_version WHERE id = ?1")?
        .query_row([id.as_bytes()], |row| row.get::<_, String>(0))
        .optional()?
        .map(|body| from_text(&body))
        .transpose()
}

/// The versions of a prompt that lists show, newest first.
fn versions_of(conn: &Connection, prompt: EntityId) -> Outcome<Vec<PromptVersion>> {
    let mut statement = conn.prepare_cached(
        "SELECT body FROM prompt_version WHERE prompt = ?1 AND number > 0 ORDER BY number DESC",
    )?;
    let mut rows = statement.query([prompt.as_bytes()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(from_text(
            row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?,
        )?);
    }
    Ok(found)
}

fn newest(conn: &Connection, prompt: EntityId) -> Outcome<Option<PromptVersion>> {
    conn.prepare_cached(
        "SELECT body FROM prompt_version WHERE prompt = ?1 AND number > 0
         ORDER BY number DESC LIMIT 1",
    )?
    .query_row([prompt.as_bytes()], |row| row.get::<_, String>(0))
    .optional()?
    .map(|body| from_text(&body))
    .transpose()
}

fn newest_number(conn: &Connection, prompt: EntityId) -> Outcome<i64> {
    let number: Option<i64> = conn
        .prepare_cached("SELECT max(number) FROM prompt_version WHERE prompt = ?1")?
        .query_row([prompt.as_bytes()], |row| row.get(0))?;
    Ok(number.unwrap_or(0))
}

fn save(conn: &Connection, version: &PromptVersion, number: i64) -> Outcome<()> {
    conn.prepare_cached(
        "INSERT INTO prompt_version(id, prompt, number, short, body) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        version.id.as_bytes(),
        version.prompt_id.as_bytes(),
        number,
        version.commit.to_lowercase(),
        to_text(version)?,
    ])?;
    Ok(())
}

/// Replaces what may change of a version: its labels and environments.
fn resave(conn: &Connection, version: &PromptVersion) -> Outcome<()> {
    conn.prepare_cached("UPDATE prompt_version SET body = ?2 WHERE id = ?1")?
        .execute(params![version.id.as_bytes(), to_text(version)?])?;
    Ok(())
}

/// A prompt with how many versions it has.
fn counted(conn: &Connection, mut prompt: Prompt) -> Outcome<Prompt> {
    let number = conn
        .prepare_cached("SELECT count(*) FROM prompt_version WHERE prompt = ?1 AND number > 0")?
        .query_row([prompt.id.as_bytes()], |row| row.get(0))?;
    prompt.version_count = count(number);
    Ok(prompt)
}

/// A prompt with its newest version.
fn seen(conn: &Connection, prompt: Prompt) -> Outcome<Prompt> {
    let mut prompt = counted(conn, prompt)?;
    prompt.latest_version = newest(conn, prompt.id)?;
    Ok(prompt)
}

impl Change<'_, '_> {
    /// Makes a version of a prompt that is there.
    fn add_version(&mut self, prompt: &Prompt, new: NewPromptVersion) -> Outcome<PromptVersion> {
        let conn = self.work.conn();
        let number = if new.is_mask() {
            0
        } else {
            newest_number(conn, prompt.id)? + 1
        };
        let explicit = new.commit.is_some();
        let version = new.into_record(prompt, count(number), self.at)?;
        let taken: bool = conn
            .prepare_cached(
                "SELECT 1 FROM prompt_version
                 WHERE id = ?1 OR (?2 AND prompt = ?3 AND short = ?4)",
            )?
            .exists(params![
                version.id.as_bytes(),
                explicit,
                prompt.id.as_bytes(),
                version.commit.to_lowercase(),
            ])?;
        if taken {
            return Err(CatalogError::conflict("Prompt version already exists").into());
        }
        take_environments(conn, prompt.id, version.id, &version.environments)?;
        save(conn, &version, number)?;
        if !version.is_mask() {
            self.follow_prompt(prompt.id, &version.commit)?;
        }
        Ok(version)
    }

    fn create_prompt(&mut self, new: NewPrompt) -> Outcome<EntityId> {
        // What is wrong with the request comes before a project is made for it.
        let (draft, first) = new.clone().into_record(None, self.at)?;
        if let Some(first) = first {
            first.into_record(&draft, 1, self.at)?;
        }
        let project = self.project(&new.project())?;
        let (prompt, first) = new.into_record(project, self.at)?;
        entry::check_name(self.conn(), &prompt, NAME_TAKEN)?;
        if entry::get::<Prompt>(self.conn(), prompt.id)?.is_some() {
            return Err(CatalogError::conflict(NAME_TAKEN).into());
        }
        entry::insert(self.conn(), &prompt)?;
        if let Some(first) = first {
            self.add_version(&prompt, first)?;
        }
        Ok(prompt.id)
    }

    fn create_version(&mut self, new: NewVersionOf) -> Outcome<PromptVersion> {
        let project = self.project(&new.project())?;
        let known = entry::named::<Prompt>(self.conn(), &new.name)?
            .into_iter()
            .find(|prompt| prompt.project_id == project);
        let prompt = match known {
            Some(prompt) => prompt,
            None => {
                let mut wanted = NewPrompt::new(&new.name);
                wanted
                    .template_structure
                    .clone_from(&new.template_structure);
                let (prompt, _) = wanted.into_record(project, self.at)?;
                entry::insert(self.conn(), &prompt)?;
                prompt
            }
        };
        let mut version = self.add_version(&prompt, new.version)?;
        version.template_structure = prompt.template_structure;
        Ok(version)
    }
}

/// Takes environments from the other versions of a prompt.
fn take_environments(
    conn: &Connection,
    prompt: EntityId,
    owner: EntityId,
    environments: &[String],
) -> Outcome<()> {
    if environments.is_empty() {
        return Ok(());
    }
    for mut other in versions_of(conn, prompt)? {
        let had = other.environments.len();
        other
            .environments
            .retain(|name| !environments.contains(name));
        if other.id != owner && other.environments.len() != had {
            resave(conn, &other)?;
        }
    }
    Ok(())
}

fn list_versions(conn: &Connection, query: &PromptVersionQuery) -> Outcome<Listing<PromptVersion>> {
    let mut versions = versions_of(conn, query.prompt)?;
    if let Some(words) = query.search.as_deref().map(str::to_lowercase) {
        let has = |text: &str| text.to_lowercase().contains(&words);
        versions
            .retain(|it| has(&it.template) || it.change_description.as_deref().is_some_and(has));
    }
    entry::page_of(
        versions,
        &query.conditions,
        query.order.as_ref(),
        query.page,
    )
}

#[async_trait]
impl PromptCatalog for Store {
    async fn create_prompt(&self, new: NewPrompt) -> Result<EntityId, CatalogError> {
        self.edit(move |change| change.create_prompt(new)).await
    }

    async fn create_prompt_version(
        &self,
        new: NewVersionOf,
    ) -> Result<PromptVersion, CatalogError> {
        self.edit(move |change| change.create_version(new)).await
    }

    async fn prompt(&self, id: EntityId) -> Result<Option<Prompt>, CatalogError> {
        self.consult(move |reader| {
            let conn = reader.conn();
            let found = entry::get::<Prompt>(conn, id)?;
            found.map(|it| seen(conn, it)).transpose()
        })
        .await
    }

    async fn find_prompt(
        &self,
        name: &str,
        project: &ProjectChoice,
        version: &VersionChoice,
    ) -> Result<Option<Found<Prompt>>, CatalogError> {
        let (name, choice, version) = (name.to_owned(), project.clone(), version.clone());
        self.consult(move |reader| {
            let conn = reader.conn();
            let project = project_of(conn, &choice)?;
            let Some((record, elsewhere)) = entry::find::<Prompt>(conn, &name, project)? else {
                return Ok(None);
            };
            let elsewhere = elsewhere || is_elsewhere(&choice, project, record.project_id);
            let mut record = seen(conn, record)?;
            record.requested_version = if version == VersionChoice::default() {
                record.latest_version.clone()
            } else {
                let all = versions_of(conn, record.id)?;
                all.into_iter().find(|it| version.fits(it))
            };
            Ok(Some(Found { record, elsewhere }))
        })
        .await
    }

    async fn prompts(&self, query: &PromptQuery) -> Result<Listing<Prompt>, CatalogError> {
        let query = query.clone();
        self.consult(move |reader| {
            let conn = reader.conn();
            let selection = Selection {
                project: query.project,
                or_none: true,
                name: query.name.as_deref(),
                ..Selection::default()
            };
            let records = selection
                .records::<Prompt>(conn)?
                .into_iter()
                .map(|it| counted(conn, it))
                .collect::<Outcome<Vec<_>>>()?;
            entry::page_of(records, &query.conditions, query.order.as_ref(), query.page)
        })
        .await
    }

    async fn update_prompt(&self, id: EntityId, update: PromptUpdate) -> Result<(), CatalogError> {
        self.edit(move |change| {
            let mut record = entry::expect::<Prompt>(change.conn(), id)?;
            update.apply(&mut record, change.at)?;
            entry::check_name(change.conn(), &record, NAME_TAKEN)?;
            entry::put(change.conn(), &record)
        })
        .await
    }

    async fn delete_prompts(&self, ids: &[EntityId]) -> Result<usize, CatalogError> {
        let ids = ids.to_vec();
        self.edit(move |change| {
            for id in &ids {
                change
                    .conn()
                    .prepare_cached("DELETE FROM prompt_version WHERE prompt = ?1")?
                    .execute([id.as_bytes()])?;
            }
            entry::delete_all::<Prompt>(change.conn(), &ids)
        })
        .await
    }

    async fn prompt_versions(
        &self,
        query: &PromptVersionQuery,
    ) -> Result<Listing<PromptVersion>, CatalogError> {
        let query = query.clone();
        self.consult(move |reader| list_versions(reader.conn(), &query))
            .await
    }

    async fn prompt_versions_by_id(
        &self,
        ids: &[EntityId],
    ) -> Result<Vec<PromptVersion>, CatalogError> {
        let ids = ids.to_vec();
        self.consult(move |reader| {
            let found = ids.into_iter().map(|id| version(reader.conn(), id));
            let found = found.collect::<Outcome<Vec<_>>>()?;
            Ok(found.into_iter().flatten().collect())
        })
        .await
    }

    async fn prompts_by_commit(&self, commits: &[String]) -> Result<Vec<Prompt>, CatalogError> {
        let commits = commits.to_vec();
        self.consult(move |reader| {
            let conn = reader.conn();
            let mut found = Vec::new();
            for commit in commits {
                let mut statement =
                    conn.prepare_cached("SELECT body FROM prompt_version WHERE short = ?1")?;
                let mut rows = statement.query([commit.to_lowercase()])?;
                while let Some(row) = rows.next()? {
                    let body = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
                    let version: PromptVersion = from_text(body)?;
                    if let Some(prompt) = entry::get::<Prompt>(conn, version.prompt_id)? {
                        let mut prompt = seen(conn, prompt)?;
                        prompt.requested_version = Some(version);
                        found.push(prompt);
                    }
                }
            }
            Ok(found)
        })
        .await
    }

    async fn tag_prompt_versions(
        &self,
        ids: &[EntityId],
        tags: Option<Vec<String>>,
        merge: bool,
    ) -> Result<(), CatalogError> {
        let ids = ids.to_vec();
        self.edit(move |change| {
            check_count(ids.len(), "ids")?;
            let Some(tags) = tags else { return Ok(()) };
            check_tags(&tags, "tags")?;
            for id in ids {
                if let Some(mut known) = version(change.conn(), id)? {
                    known.tag(&tags, merge);
                    resave(change.conn(), &known)?;
                }
            }
            Ok(())
        })
        .await
    }

    async fn set_prompt_environments(
        &self,
        id: EntityId,
        environments: Vec<String>,
    ) -> Result<(), CatalogError> {
        self.edit(move |change| {
            let conn = change.conn();
            let mut known = version(conn, id)?
                .ok_or_else(|| CatalogError::not_found("Prompt version not found"))?;
            let mut names = BTreeMap::new();
            for name in environments {
                if entry::named::<Environment>(conn, &name)?.is_empty() {
                    return Err(
                        CatalogError::not_found(format!("Environment '{name}' not found")).into(),
                    );
                }
                names.insert(name, ());
            }
            known.environments = names.into_keys().collect();
            take_environments(conn, known.prompt_id, id, &known.environments)?;
            resave(conn, &known)
        })
        .await
    }

    async fn restore_prompt_version(
        &self,
        prompt: EntityId,
        id: EntityId,
    ) -> Result<PromptVersion, CatalogError> {
        self.edit(move |change| {
            let prompt = entry::expect::<Prompt>(change.conn(), prompt)?;
            let old = version(change.conn(), id)?
                .filter(|old| old.prompt_id == prompt.id)
                .ok_or_else(|| CatalogError::not_found("Prompt version not found"))?;
            change.add_version(&prompt, old.to_new())
        })
        .await
    }
}
