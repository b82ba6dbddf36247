//! Records in the JSON of Opik's write API: encoded once, sent and kept as they are.
//!
//! A [`Batch`](crate::Batch) holds records as values, which is right for a store that looks into them. What goes to
//! an Opik server needs no values: a [`WireBatch`] holds the rows of a request as text, each with
//! its identifier, so that a recorder can write them straight from what the program gave it, a spool
//! can put them on disk without a change, and a server gets slices of the same text. An [`Exporter`]
//! that takes them is a [`WireExporter`] and says so by [`Exporter::wire`].
//!
//! # Format
//!
//! - A row is one JSON object as `POST traces/batch`, `POST spans/batch` and the `PUT
//!   .../feedback-scores` calls take it, complete, with `id` and (traces and spans)
//!   `last_updated_at`.
//! - The rows of one [`List`] lie in the text of a request with all of them, `{"spans":[...]}`, which is
//!   sent without a copy; any run of rows is the inside of a JSON list.
//! - Attachments carry the bytes of files that belong to a trace or span of the same batch or an
//!   earlier one. [`FieldLimits`] takes files out of content and leaves out what is too long.

mod attachment;
mod batch;
pub(crate) mod encode;
mod limits;
mod rows;
pub(crate) mod shape;
pub(crate) mod validate;

use async_trait::async_trait;

pub use attachment::WireAttachment;
pub use batch::WireBatch;
pub use limits::{ContentField, FieldLimits, FieldOwner};
pub use rows::{List, RowId, Rows};

use crate::{ExportError, ExportReport, Exporter};

/// Takes rows that are encoded already.
///
/// Contract, checked by `opik_testkit::wire_suite`: that of [`Exporter`], with rows in place of
/// records. A row that is no valid record is rejected and costs no other. An attachment counts as
/// one record; one that fails for good is rejected and costs no row.
#[async_trait]
pub trait WireExporter: Exporter {
    /// Takes one batch.
    ///
    /// # Errors
    /// [`ExportError`] when no statement about the batch as a whole can be made.
    async fn export_rows(&self, batch: &WireBatch) -> Result<ExportReport, ExportError>;

    /// The project of records that name none, where one was set: whoever writes rows writes it into
    /// them. A wrapper passes this call on.
    fn project_name(&self) -> Option<&str> {
        None
    }
}

#[cfg(test)]
mod tests;
