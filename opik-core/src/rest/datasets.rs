//! Datasets, their items and versions.

use serde::{Deserialize, Serialize};

use super::call::{Call, Expect};
use super::client::{MAX_ITEMS, OpikClient};
use super::error::RestError;
use super::listing::{Listing, PageNumber};
use crate::model::Extra;
use crate::{Json, SpanId, Timestamp, TraceId};

/// A dataset (read).
#[derive(Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Dataset {
    /// Identifier.
    pub id: String,
    /// Name.
    pub name: String,
    /// Project that it belongs to.
    #[serde(default)]
    pub project_id: Option<String>,
    /// `dataset` or `evaluation_suite`.
    #[serde(default)]
    pub r#type: Option<String>,
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
    /// Labels.
    #[serde(default)]
    pub tags: Option<Vec<String>>,
    /// Items of the newest version.
    #[serde(default)]
    pub dataset_items_count: Option<u64>,
    /// The newest version.
    #[serde(default)]
    pub latest_version: Option<DatasetVersion>,
    /// When it was made.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
    /// When it was changed last.
    #[serde(default)]
    pub last_updated_at: Option<Timestamp>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Extra,
}

debug_only!(Dataset: id, name, project_id, dataset_items_count, created_at, last_updated_at);

/// A version of a dataset (read).
#[derive(Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct DatasetVersion {
    /// Identifier.
    #[serde(default)]
    pub id: Option<String>,
    /// Its short name, by which items are read.
    #[serde(default)]
    pub version_hash: Option<String>,
    /// `v1`, `v2`, …
    #[serde(default)]
    pub version_name: Option<String>,
    /// Labels, `latest` among them.
    #[serde(default)]
    pub tags: Option<Vec<String>>,
    /// How many items it has.
    #[serde(default)]
    pub items_total: Option<u64>,
    /// What changed.
    #[serde(default)]
    pub change_description: Option<String>,
    /// When it was made.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Extra,
}

debug_only!(DatasetVersion: id, version_hash, version_name, items_total, created_at);

/// An item of a dataset.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DatasetItem {
    /// Identifier, version 7; made on writing where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The trace that it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<TraceId>,
    /// The span that it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<SpanId>,
    /// What made it: `sdk`, `manual`, `trace` or `span`.
    pub source: String,
    /// The content: an object that is not empty.
    pub data: Json,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Extra,
}

debug_only!(DatasetItem: id, trace_id, span_id, source, data);

impl DatasetItem {
    /// An item with this content.
    #[must_use]
    pub fn new(data: Json) -> Self {
        Self {
            id: None,
            trace_id: None,
            span_id: None,
            source: "sdk".to_owned(),
            data,
            description: None,
            tags: None,
            extra: Extra::new(),
        }
    }
}

/// Which dataset is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DatasetRef {
    /// By name, in the client's project or else in the workspace. Written to, it is made.
    Name(String),
    /// By identifier.
    Id(String),
}

/// A dataset to make.
///
/// ```no_run
/// use opik_core::Json;
/// use opik_core::rest::{BaseUrl, DatasetItem, DatasetRef, NewDataset, OpikClient};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let opik = OpikClient::builder(BaseUrl::LOCAL).build()?;
/// let id = opik.create_dataset(&NewDataset::new("questions")).await?;
/// let item = DatasetItem::new(Json::parse(r#"{"input": "why?", "expected": "because"}"#)?);
/// opik.put_dataset_items(&DatasetRef::Id(id), &[item]).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Serialize)]
pub struct NewDataset {
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
}

debug_only!(NewDataset: id, name, project_name);

impl NewDataset {
    /// A dataset with a name, in the client's project.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            id: new_id(),
            name: name.into(),
            project_name: None,
            description: None,
            tags: Vec::new(),
        }
    }

    /// The project, where it is not the client's.
    #[must_use]
    pub fn project_name(mut self, name: impl Into<String>) -> Self {
        self.project_name = Some(name.into());
        self
    }

    /// What it is for.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// Labels.
    #[must_use]
    pub fn tags(mut self, tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }
}

/// A version 7 UUID for records that have no type of identifier of their own.
pub(super) fn new_id() -> String {
    TraceId::generate().to_string()
}

impl OpikClient {
    /// Makes a dataset and returns its identifier.
    ///
    /// # Errors
    /// [`RestError`], of kind [`Conflict`](super::RestErrorKind::Conflict) when the name is taken.
    pub async fn create_dataset(&self, dataset: &NewDataset) -> Result<String, RestError> {
        let mut dataset = dataset.clone();
        if dataset.project_name.is_none() {
            dataset.project_name = self.project_name().map(str::to_owned);
        }
        self.create(Call::post("datasets").json(&dataset)?).await?;
        Ok(dataset.id)
    }

    /// The dataset with this name, in the client's project or else in the workspace.
    ///
    /// # Errors
    /// [`RestError`], except when there is none.
    pub async fn find_dataset(&self, name: &str) -> Result<Option<Dataset>, RestError> {
        let body = serde_json::json!({
            "dataset_name": name,
            "project_name": self.project_name(),
        });
        let call = Call::post("datasets/retrieve").expect(Expect::Json);
        self.find(call.json(&body)?).await
    }

    /// A page of the datasets; with `name`, those that have it in theirs.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn datasets(
        &self,
        name: Option<&str>,
        page: PageNumber,
    ) -> Result<Listing<Dataset>, RestError> {
        let call = Call::get("datasets")
            .query("page", &page.page)
            .query("size", &page.size)
            .query_some("name", name);
        self.send(call).await?.json()
    }

    /// Deletes a dataset by identifier; one that does not exist is deleted already.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn delete_dataset(&self, id: &str) -> Result<(), RestError> {
        self.send(Call::delete("datasets").at(id)).await.map(drop)
    }

    /// Writes items: those with a known identifier are replaced, the others added. However many
    /// requests it takes, they make one new version. Returns the identifiers in order.
    ///
    /// # Errors
    /// [`RestError`] of the first request that fails; repeat with the same identifiers.
    pub async fn put_dataset_items(
        &self,
        dataset: &DatasetRef,
        items: &[DatasetItem],
    ) -> Result<Vec<String>, RestError> {
        #[derive(Serialize)]
        struct Body<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            dataset_name: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            dataset_id: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            project_name: Option<&'a str>,
            batch_group_id: &'a str,
            items: &'a [DatasetItem],
        }
        let group = new_id();
        let mut items = items.to_vec();
        for item in &mut items {
            item.id.get_or_insert_with(new_id);
        }
        let (name, id) = match dataset {
            DatasetRef::Name(name) => (Some(name.as_str()), None),
            DatasetRef::Id(id) => (None, Some(id.as_str())),
        };
        let mut rest = items.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(self.that_fit(rest));
            let body = Body {
                dataset_name: name,
                dataset_id: id,
                project_name: self.project_name(),
                batch_group_id: &group,
                items: now,
            };
            self.send(Call::put("datasets/items").json(&body)?).await?;
            rest = later;
        }
        Ok(items.into_iter().filter_map(|item| item.id).collect())
    }

    /// How many items from the front fit a request; at least one.
    fn that_fit(&self, items: &[DatasetItem]) -> usize {
        let mut bytes = 0_usize;
        let fit = items.iter().take(MAX_ITEMS).take_while(|item| {
            bytes = bytes.saturating_add(item.data.as_str().len() + 512);
            bytes <= self.inner.max_request
        });
        fit.count().max(1)
    }

    /// Items of a dataset by name, newest first: at most `limit` (1 to 2,000) after an identifier.
    /// `version` is a hash or a tag; the newest where absent.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn dataset_items(
        &self,
        name: &str,
        version: Option<&str>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<DatasetItem>, RestError> {
        let body = serde_json::json!({
            "dataset_name": name,
            "project_name": self.project_name(),
            "last_retrieved_id": after,
            // The server spells it so.
            "steam_limit": limit.clamp(1, 2_000),
            "dataset_version": version,
        });
        let call = Call::post("datasets/items/stream").expect(Expect::Lines);
        self.send(call.json(&body)?).await?.lines()
    }

    /// Deletes items, which makes one new version.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn delete_dataset_items(&self, ids: &[String]) -> Result<(), RestError> {
        let group = new_id();
        for ids in ids.chunks(MAX_ITEMS) {
            let body = serde_json::json!({ "item_ids": ids, "batch_group_id": group });
            self.send(Call::post("datasets/items/delete").json(&body)?)
                .await?;
        }
        Ok(())
    }

    /// A page of the versions of a dataset, newest first.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn dataset_versions(
        &self,
        id: &str,
        page: PageNumber,
    ) -> Result<Listing<DatasetVersion>, RestError> {
        let call = Call::get("datasets").at(id).at("versions");
        let call = call.query("page", &page.page).query("size", &page.size);
        self.send(call).await?.json()
    }
}
