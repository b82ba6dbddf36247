//! Environments, feedback definitions and dashboards.

use async_trait::async_trait;
use opik_core::catalog::{
    Audit, CatalogError, Dashboard, DashboardUpdate, EntryCatalog, Environment, EnvironmentUpdate,
    FeedbackDefinition, Listing, NewDashboard, NewEnvironment, NewFeedbackDefinition, Numbered,
};
use opik_core::{EntityId, ProjectId};

use super::entry::{self, Selection};
use crate::store::Store;

const ENVIRONMENT_TAKEN: &str = "Environment already exists";
const DEFINITION_TAKEN: &str = "Feedback definition already exists";

#[async_trait]
impl EntryCatalog for Store {
    async fn create_environment(&self, new: NewEnvironment) -> Result<EntityId, CatalogError> {
        self.edit(move |change| {
            let record = new.into_record(change.at)?;
            entry::check_name(change.conn(), &record, ENVIRONMENT_TAKEN)?;
            entry::insert(change.conn(), &record)?;
            Ok(record.id)
        })
        .await
    }

    async fn environment(&self, id: EntityId) -> Result<Option<Environment>, CatalogError> {
        self.consult(move |reader| entry::get(reader.conn(), id))
            .await
    }

    async fn environments(&self) -> Result<Vec<Environment>, CatalogError> {
        self.consult(|reader| Selection::default().records(reader.conn()))
            .await
    }

    async fn update_environment(
        &self,
        id: EntityId,
        update: EnvironmentUpdate,
    ) -> Result<(), CatalogError> {
        self.edit(move |change| {
            let mut record = entry::expect::<Environment>(change.conn(), id)?;
            update.apply(&mut record, change.at)?;
            entry::check_name(change.conn(), &record, ENVIRONMENT_TAKEN)?;
            entry::put(change.conn(), &record)
        })
        .await
    }

    async fn delete_environments(&self, ids: &[EntityId]) -> Result<usize, CatalogError> {
        let ids = ids.to_vec();
        self.edit(move |change| entry::delete_all::<Environment>(change.conn(), &ids))
            .await
    }

    async fn create_feedback_definition(
        &self,
        new: NewFeedbackDefinition,
    ) -> Result<EntityId, CatalogError> {
        self.edit(move |change| {
            let record = new.into_record(change.at)?;
            entry::check_name(change.conn(), &record, DEFINITION_TAKEN)?;
            entry::insert(change.conn(), &record)?;
            Ok(record.id)
        })
        .await
    }

    async fn feedback_definition(
        &self,
        id: EntityId,
    ) -> Result<Option<FeedbackDefinition>, CatalogError> {
        self.consult(move |reader| entry::get(reader.conn(), id))
            .await
    }

    async fn feedback_definitions(
        &self,
        page: Numbered,
        name: Option<&str>,
        kind: Option<&str>,
    ) -> Result<Listing<FeedbackDefinition>, CatalogError> {
        let (name, kind) = (name.map(str::to_owned), kind.map(str::to_owned));
        self.consult(move |reader| {
            let selection = Selection {
                name: name.as_deref(),
                ..Selection::default()
            };
            let mut records = selection.records::<FeedbackDefinition>(reader.conn())?;
            records.retain(|it| kind.as_ref().is_none_or(|kind| it.r#type == *kind));
            Ok(page.of(records))
        })
        .await
    }

    async fn replace_feedback_definition(
        &self,
        id: EntityId,
        new: NewFeedbackDefinition,
    ) -> Result<(), CatalogError> {
        self.edit(move |change| {
            let old = entry::expect::<FeedbackDefinition>(change.conn(), id)?;
            let mut record = new.into_record(change.at)?;
            record.id = id;
            record.audit = Audit::after(&old.audit, change.at);
            entry::check_name(change.conn(), &record, DEFINITION_TAKEN)?;
            entry::put(change.conn(), &record)
        })
        .await
    }

    async fn delete_feedback_definitions(&self, ids: &[EntityId]) -> Result<usize, CatalogError> {
        let ids = ids.to_vec();
        self.edit(move |change| entry::delete_all::<FeedbackDefinition>(change.conn(), &ids))
            .await
    }

    async fn create_dashboard(&self, new: NewDashboard) -> Result<Dashboard, CatalogError> {
        self.edit(move |change| {
            new.clone().into_record(None, change.at)?;
            let project = change.project(&new.project())?;
            let record = new.into_record(project, change.at)?;
            entry::insert(change.conn(), &record)?;
            Ok(record)
        })
        .await
    }

    async fn dashboard(&self, id: EntityId) -> Result<Option<Dashboard>, CatalogError> {
        self.consult(move |reader| entry::get(reader.conn(), id))
            .await
    }

    async fn dashboards(
        &self,
        page: Numbered,
        name: Option<&str>,
        project: Option<ProjectId>,
    ) -> Result<Listing<Dashboard>, CatalogError> {
        let name = name.map(str::to_owned);
        self.consult(move |reader| {
            let selection = Selection {
                project,
                name: name.as_deref(),
                ..Selection::default()
            };
            Ok(page.of(selection.records(reader.conn())?))
        })
        .await
    }

    async fn update_dashboard(
        &self,
        id: EntityId,
        update: DashboardUpdate,
    ) -> Result<Dashboard, CatalogError> {
        self.edit(move |change| {
            let mut record = entry::expect::<Dashboard>(change.conn(), id)?;
            update.apply(&mut record, change.at)?;
            entry::put(change.conn(), &record)?;
            Ok(record)
        })
        .await
    }

    async fn delete_dashboards(&self, ids: &[EntityId]) -> Result<usize, CatalogError> {
        let ids = ids.to_vec();
        self.edit(move |change| entry::delete_all::<Dashboard>(change.conn(), &ids))
            .await
    }
}
