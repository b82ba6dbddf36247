//! Attachments: files that belong to a trace or span.

use bytes::Bytes;
use reqwest::{Method, Url};
use serde::{Deserialize, Serialize};

use super::call::{Call, Expect};
use super::client::OpikClient;
use super::error::{RestError, RestErrorKind};
use super::listing::{Listing, PageNumber};
use crate::{ProjectId, SpanId, TraceId};

/// The server's name for "send the file to me", as opposed to a cloud store in parts.
const THROUGH_SERVER: &str = "BEMinIO";

/// Smallest part that cloud stores take, except for the last.
const PART: usize = 5 * 1024 * 1024;

/// What a file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttachmentTarget {
    /// A trace.
    Trace(TraceId),
    /// A span.
    Span(SpanId),
}

impl AttachmentTarget {
    fn kind(self) -> &'static str {
        match self {
            Self::Trace(_) => "trace",
            Self::Span(_) => "span",
        }
    }

    fn id(self) -> String {
        match self {
            Self::Trace(id) => id.to_string(),
            Self::Span(id) => id.to_string(),
        }
    }
}

/// A file to attach. One of the same name is replaced. `Debug` prints names and sizes only.
///
/// ```no_run
/// use opik_core::TraceId;
/// use opik_core::rest::{AttachmentTarget, BaseUrl, NewAttachment, OpikClient};
///
/// # async fn run(trace: TraceId, picture: Vec<u8>) -> Result<(), Box<dyn std::error::Error>> {
/// let opik = OpikClient::builder(BaseUrl::LOCAL).build()?;
/// let file = NewAttachment::new(AttachmentTarget::Trace(trace), "chart.png", picture);
/// opik.attach(&file.mime_type("image/png")).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct NewAttachment {
    target: AttachmentTarget,
    project_name: Option<String>,
    file_name: String,
    mime_type: String,
    bytes: Bytes,
}

impl NewAttachment {
    /// A file for a trace or span, of type `application/octet-stream`.
    #[must_use]
    pub fn new(
        target: AttachmentTarget,
        file_name: impl Into<String>,
        bytes: impl Into<Vec<u8>>,
    ) -> Self {
        Self {
            target,
            project_name: None,
            file_name: file_name.into(),
            mime_type: "application/octet-stream".to_owned(),
            bytes: Bytes::from(bytes.into()),
        }
    }

    /// The file's type, for example `image/png`.
    #[must_use]
    pub fn mime_type(mut self, mime_type: impl Into<String>) -> Self {
        self.mime_type = mime_type.into();
        self
    }

    /// The project of the target, where it is not the client's.
    #[must_use]
    pub fn project_name(mut self, name: impl Into<String>) -> Self {
        self.project_name = Some(name.into());
        self
    }
}

impl std::fmt::Debug for NewAttachment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewAttachment")
            .field("target", &self.target)
            .field("file_name", &self.file_name)
            .field("mime_type", &self.mime_type)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// A file that is attached (read).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Attachment {
    /// Name.
    pub file_name: String,
    /// Bytes.
    #[serde(default)]
    pub file_size: u64,
    /// Type.
    #[serde(default)]
    pub mime_type: String,
    /// Where it can be fetched.
    #[serde(default)]
    pub link: Option<String>,
}

#[derive(Deserialize)]
struct Started {
    upload_id: String,
    pre_sign_urls: Vec<String>,
}

#[derive(Serialize)]
struct Part {
    e_tag: String,
    part_number: usize,
}

impl OpikClient {
    /// Attaches a file.
    ///
    /// The server says where the bytes go: to itself, or in parts to a cloud store, which gets no
    /// key.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn attach(&self, file: &NewAttachment) -> Result<(), RestError> {
        let parts: Vec<Bytes> = if file.bytes.is_empty() {
            vec![Bytes::new()]
        } else {
            let starts = (0..file.bytes.len()).step_by(PART);
            let end = |start: usize| (start + PART).min(file.bytes.len());
            starts
                .map(|start| file.bytes.slice(start..end(start)))
                .collect()
        };
        let project = file.project_name.as_deref().or(self.project_name());
        let start = serde_json::json!({
            "file_name": file.file_name,
            "num_of_file_parts": parts.len(),
            "mime_type": file.mime_type,
            "project_name": project,
            "entity_type": file.target.kind(),
            "entity_id": file.target.id(),
            "path": self.base_in_base64(),
        });
        let call = Call::post("attachment/upload-start").expect(Expect::Json);
        let answer = self.send(call.json(&start)?).await?;
        let started: Started = answer.json()?;
        let missing = || answer.unexpected("the answer has too few upload URLs");
        if started.upload_id == THROUGH_SERVER {
            let to = started.pre_sign_urls.first().ok_or_else(missing)?;
            self.put_file(to, file.bytes.clone()).await?;
            return Ok(());
        }
        if started.pre_sign_urls.len() < parts.len() {
            return Err(missing());
        }
        let mut done = Vec::with_capacity(parts.len());
        for (index, (to, part)) in started.pre_sign_urls.iter().zip(parts).enumerate() {
            let e_tag = self.put_file(to, part).await?.etag()?;
            done.push(Part {
                e_tag,
                part_number: index + 1,
            });
        }
        let complete = serde_json::json!({
            "file_name": file.file_name,
            "project_name": project,
            "entity_type": file.target.kind(),
            "entity_id": file.target.id(),
            "file_size": file.bytes.len(),
            "mime_type": file.mime_type,
            "upload_id": started.upload_id,
            "uploaded_file_parts": done,
        });
        let call = Call::post("attachment/upload-complete").json(&complete)?;
        self.send(call).await.map(drop)
    }

    /// A page of the files of a trace or span.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn attachments(
        &self,
        project: ProjectId,
        target: AttachmentTarget,
        page: PageNumber,
    ) -> Result<Listing<Attachment>, RestError> {
        let call = Call::get("attachment/list")
            .query("project_id", &project)
            .query("entity_type", target.kind())
            .query("entity_id", &target.id())
            .query("path", &self.base_in_base64())
            .query("page", &page.page)
            .query("size", &page.size);
        self.send(call).await?.json()
    }

    /// Fetches a file from its [`link`](Attachment::link). The key goes along only when the link
    /// leads to the server itself.
    ///
    /// # Errors
    /// [`RestError`], of kind [`InvalidRequest`](RestErrorKind::InvalidRequest) when there is no
    /// usable link.
    pub async fn fetch_attachment(&self, file: &Attachment) -> Result<Vec<u8>, RestError> {
        let url = foreign_url(file.link.as_deref().unwrap_or_default())?;
        let mut call = Call::public(Method::GET, "(attachment link)").expect(Expect::Bytes);
        call.transfer = true;
        Ok(self.send_to(url, &call).await?.into_bytes())
    }

    /// Deletes files by name.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn delete_attachments(
        &self,
        project: ProjectId,
        target: AttachmentTarget,
        file_names: &[String],
    ) -> Result<(), RestError> {
        let body = serde_json::json!({
            "container_id": project,
            "entity_type": target.kind(),
            "entity_id": target.id(),
            "file_names": file_names,
        });
        let call = Call::post("attachment/delete").json(&body)?;
        self.send(call).await.map(drop)
    }

    async fn put_file(
        &self,
        to: &str,
        bytes: Bytes,
    ) -> Result<super::transport::Answer, RestError> {
        let url = foreign_url(to)?;
        let call = Call::public(Method::PUT, "(upload URL)")
            .expect(Expect::Bytes)
            .file(bytes);
        self.send_to(url, &call).await
    }
}

/// A URL that the server gave. It may be signed, so errors do not repeat it.
fn foreign_url(text: &str) -> Result<Url, RestError> {
    let url = Url::parse(text).ok();
    url.filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| {
            let context = "the address of an attachment is not an HTTP URL";
            RestError::new(RestErrorKind::InvalidRequest, context)
        })
}
