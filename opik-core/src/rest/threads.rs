//! Threads.

use serde::Serialize;

use super::call::{Call, Expect};
use super::client::{MAX_ITEMS, OpikClient};
use super::error::{RestError, RestErrorKind};
use super::filters::WireFilter;
use super::projects::ProjectFields;
use crate::query::{Filter, ProjectSelector};
use crate::{Project, Thread};

/// A search for threads, newest first by `thread_model_id`.
///
/// ```no_run
/// use opik_core::query::ProjectSelector;
/// use opik_core::rest::{BaseUrl, OpikClient, ThreadQuery};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let opik = OpikClient::builder(BaseUrl::LOCAL).build()?;
/// let mut query = ThreadQuery::default();
/// query.project = ProjectSelector::Name("support".to_owned());
/// for thread in opik.search_threads(&query).await? {
///     println!("{:?}: {:?} messages", thread.id, thread.number_of_messages);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ThreadQuery {
    /// The project; any means the client's.
    pub project: ProjectSelector,
    /// Conditions, all of which must hold.
    pub filters: Vec<Filter>,
    /// Only threads after the one with this `thread_model_id`, in the order of the search.
    pub after: Option<String>,
    /// Most threads, 1 to 2,000; 500 where absent.
    pub limit: Option<u32>,
}

#[derive(Serialize)]
struct OneThread<'a> {
    #[serde(flatten)]
    project: ProjectFields,
    thread_id: &'a str,
}

#[derive(Serialize)]
struct ManyThreads<'a> {
    #[serde(flatten)]
    project: ProjectFields,
    thread_ids: &'a [String],
}

impl OpikClient {
    /// A page of the threads that match.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn search_threads(&self, query: &ThreadQuery) -> Result<Vec<Thread>, RestError> {
        #[derive(Serialize)]
        struct Search<'a> {
            #[serde(flatten)]
            project: ProjectFields,
            filters: Vec<WireFilter<'a>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            last_retrieved_thread_model_id: Option<&'a str>,
            limit: u32,
            truncate: bool,
            strip_attachments: bool,
        }
        let body = Search {
            project: self.project_fields(&query.project),
            filters: query.filters.iter().map(WireFilter::new).collect(),
            last_retrieved_thread_model_id: query.after.as_deref(),
            limit: query.limit.unwrap_or(500).clamp(1, 2_000),
            truncate: false,
            strip_attachments: false,
        };
        let call = Call::post("traces/threads/search").expect(Expect::Lines);
        self.send(call.json(&body)?).await?.lines()
    }

    /// One thread by its name in a project.
    ///
    /// # Errors
    /// [`RestError`], except when there is none.
    pub async fn find_thread(
        &self,
        project: &ProjectSelector,
        thread_id: &str,
    ) -> Result<Option<Thread>, RestError> {
        let project = self.project_fields(project);
        let call = Call::post("traces/threads/retrieve").expect(Expect::Json);
        self.find(call.json(&OneThread { project, thread_id })?)
            .await
    }

    /// Closes threads: no more turns are expected.
    ///
    /// # Errors
    /// [`RestError`], of kind [`NotFound`](RestErrorKind::NotFound) when one does not exist.
    pub async fn close_threads(
        &self,
        project: &ProjectSelector,
        thread_ids: &[String],
    ) -> Result<(), RestError> {
        self.for_threads(Call::put("traces/threads/close"), project, thread_ids)
            .await
    }

    /// Opens a thread that was closed.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn open_thread(
        &self,
        project: &ProjectSelector,
        thread_id: &str,
    ) -> Result<(), RestError> {
        let project = self.project_fields(project);
        let call = Call::put("traces/threads/open").json(&OneThread { project, thread_id })?;
        self.send(call).await.map(drop)
    }

    /// Deletes threads with their traces.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn delete_threads(
        &self,
        project: &ProjectSelector,
        thread_ids: &[String],
    ) -> Result<(), RestError> {
        self.for_threads(Call::post("traces/threads/delete"), project, thread_ids)
            .await
    }

    async fn for_threads(
        &self,
        call: Call,
        project: &ProjectSelector,
        thread_ids: &[String],
    ) -> Result<(), RestError> {
        let project = self.project_fields(project);
        for thread_ids in thread_ids.chunks(MAX_ITEMS) {
            let project = project.clone();
            let call = call.clone().json(&ManyThreads {
                project,
                thread_ids,
            })?;
            self.send(call).await?;
        }
        Ok(())
    }

    /// The name of a project, for the calls that take no identifier.
    pub(super) async fn name_of_selected(
        &self,
        project: &ProjectSelector,
    ) -> Result<String, RestError> {
        match project {
            ProjectSelector::Any => Ok(self
                .project_name()
                .unwrap_or(Project::DEFAULT_NAME)
                .to_owned()),
            ProjectSelector::Name(name) => Ok(name.clone()),
            ProjectSelector::Id(id) => match self.project(*id).await? {
                Some(project) => Ok(project.name),
                None => Err(RestError::new(
                    RestErrorKind::InvalidRequest,
                    format!("project {id} does not exist"),
                )),
            },
        }
    }
}
