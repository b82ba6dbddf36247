//! Readers and writers of trace files: Opik JSONL, OTLP JSON, Jaeger JSON, flat span lists,
//! Vyasa telemetry.
//!
//! [`Reader`] turns a stream of bytes into batches of Opik's records and a list of what could not
//! be read. It holds one document at a time, so a file of any length needs memory for its longest
//! line only.
//!
//! - **Compression** is seen by its magic bytes (gzip, also several members in a row).
//! - **Documents**: a file is either one JSON text per line, or JSON texts that span lines
//!   (pretty-printed). The first line that is not blank decides: when it is a complete text, every
//!   line is a document. A list counts as its elements.
//! - **Formats** are seen by the members of each document, unless one is given; see [`Format`].
//! - **Bad input** costs the smallest part possible: a span of a document, a document, or the rest
//!   after a cut. Each is a [`Problem`] with its line and a reason that quotes no content. A strict
//!   reader stops at the first.
//! - **Repeating an import changes nothing**: foreign identifiers map to the same UUIDs each time
//!   (the original stays in `metadata.source_id`), and records without `last_updated_at` get their
//!   end, else their start.
//! - **Writers**: [`write_opik_jsonl`] loses nothing, [`write_otlp_json`] is for other backends.
//! - **Unknown span types** become `general`, with the original in `metadata.source_type`.
//!
//! ```
//! use opik_formats::{Item, ReadOptions, Reader};
//!
//! let file = br#"{"trace": {"id": "01941f29-7c00-7493-9838-62c3f1790444", "start_time": "2025-01-01T00:00:00Z"}}
//! not a trace
//! "#;
//! let mut traces = 0;
//! let mut problems = Vec::new();
//! for item in Reader::new(&file[..], ReadOptions::default()) {
//!     match item? {
//!         Item::Batch(batch) => traces += batch.traces.len(),
//!         Item::Problem(problem) => problems.push(problem.to_string()),
//!     }
//! }
//! assert_eq!(traces, 1);
//! assert_eq!(problems, ["line 2: not JSON: syntax error at column 2"]);
//! # Ok::<(), opik_formats::ReadError>(())
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]

mod attributes;
mod conventions;
mod document;
mod elements;
mod flat;
mod foreign;
mod framing;
mod input;
mod jaeger;
mod opik;
mod options;
mod otlp;
mod otlp_protobuf;
mod problem;
mod reader;
mod record;
mod sink;
mod table;
mod vyasa;
mod vyasa_post;
mod write;
mod write_otlp;

pub use options::{Format, ReadOptions};
pub use otlp_protobuf::{ProtobufError, otlp_from_protobuf, otlp_starts};
pub use problem::{Problem, ReadError};
pub use reader::{Item, Reader, Summary};
pub use table::{TableError, TableFormat, read_table, write_csv};
pub use vyasa_post::{VyasaPost, VyasaStep};
pub use write::write_opik_jsonl;
pub use write_otlp::write_otlp_json;
