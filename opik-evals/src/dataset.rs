//! Datasets: what a metric, a judge or an experiment runs over.
//!
//! An [`Item`] is one example: data, what is expected of it, and labels. [`ItemReader`] streams
//! items from JSON Lines, one JSON document, a list, a folder, standard input or any of these
//! compressed with gzip, and never holds more than one record. What cannot be read is counted and
//! named in [`Skipped`], never lost in silence; [`ReadOptions::strict`] makes it an error.
//!
//! [`ItemBuilder`] writes items of any objects, [`ToneBuilder`] and [`PrecisionBuilder`] make datasets
//! from the blocks and tables that a system leaves behind, [`TraceItems`] from recorded traces. [`AtomicFile`] writes them: whole or not at all.
//!
//! ```
//! use opik_evals::dataset::{ItemReader, ReadOptions};
//!
//! let lines = "{\"input\": \"2 + 2?\", \"expected_output\": \"4\"}\nnot JSON\n";
//! let mut items = ItemReader::from_reader("lines", lines.as_bytes(), ReadOptions::new());
//! let item = items.next().ok_or("no item")??;
//! assert_eq!(item.expected().and_then(|v| v.as_str()), Some("4"));
//! assert!(items.next().is_none());
//! assert_eq!(items.skipped().count(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod build;
mod error;
mod frames;
mod input;
mod item;
mod items;
mod lexicon;
mod manifest;
mod node;
mod output;
mod pieces;
mod place;
mod precision;
mod records;
mod skipped;
mod tone;
pub mod vyasa;

pub use build::{BuildReport, ItemBuilder, PrecisionBuilder, ToneBuilder, TraceItems};
pub use error::DatasetError;
pub use input::Input;
pub use item::Item;
pub(crate) use item::write_canonical;
pub use items::ItemReader;
pub use lexicon::{Lexicon, Severity, Term};
pub use manifest::Manifests;
pub use node::{Node, NodeError};
pub use output::AtomicFile;
pub use place::Place;
pub use precision::{ColumnIssue, PrecisionIssue, PrecisionRule, check_table};
pub use records::ReadOptions;
pub use skipped::{Skip, Skipped};
pub use tone::{ToneFlag, ToneScanner};
