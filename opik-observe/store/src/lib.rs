//! Embedded trace store: [`Exporter`](opik_core::Exporter) and
//! [`TraceSource`](opik_core::TraceSource) in one SQLite file.
//!
//! # What is promised
//!
//! - An acknowledged batch is committed. The death of the process at any moment (`kill -9`) loses
//!   nothing acknowledged and leaves no damage; [`Durability::PowerLoss`] extends that to a loss
//!   of power, [`flush`](opik_core::Exporter::flush) does so once.
//! - Of several rows of one record the one with the highest `last_updated_at` stays, of equal ones
//!   the later; rows without it count as made on arrival. Rows replace whole rows.
//! - Spans may come before their trace or without one. Scores may come before what they score.
//! - The totals of a trace are exact at every moment, through every replacement.
//! - Several processes may use one file at the same time.
//! - Deleted and replaced content is overwritten with zeros in the file (replaced bodies inside
//!   their block, everything else by SQLite's `secure_delete`). Copies stay in the write-ahead log
//!   until it is written over or emptied, which [`Store::prune`] does; single words stay in the
//!   text index until its segments are merged.
//! - A file of an older schema is brought forward, a newer one is refused ([`StoreError`]). New
//!   files are readable by their owner only.
//!
//! # The format
//!
//! Rows per span and an index per property cost more than the data, so spans are kept in *parts*:
//! up to 64 spans, or 24 KiB of their bodies, that one batch brought for one trace and project.
//!
//! | table | a row is | holds |
//! |---|---|---|
//! | `trace` | a trace, or spans that wait for one | columns, totals, number of the latest change |
//! | `part` | some spans of a trace | all their columns in one blob, with its own texts |
//! | `block` | bodies of neighbours, 16 KiB (8 of traces' rows), zstd | input, output, metadata, text of errors, rare fields |
//! | `facet` | project, kind and value, newest identifier, part or trace | postings for searches |
//! | `tally` | a facet | how many live spans, or traces, have it |
//! | `score` | target, name, author | the latest feedback score |
//! | `counter` | one row | numbers for keys and changes, never used twice |
//!
//! A new trace costs one row each in `trace` and `part`, a few postings, and its share of a block.
//! An upsert names its trace, so only that trace's parts are asked whether they have the span; a
//! replaced span becomes a bit in its part, leaves the totals and has its body zeroed. A trace
//! that grows span by span has its small parts merged eight at a time.
//!
//! Searches take the newest candidates from the postings of one facet (all, model, provider, tag,
//! error, type of error or span; of traces also name and thread), read their columns, and let
//! [`opik_core::query::matches`] decide; they stop when nothing newer can come. Other orders look
//! at every candidate. How many records match is a tally where one facet is all that is asked for,
//! and otherwise counted, once as long as the store does not change. Words are found and counted
//! through an inverted index of spans and traces in a second file, which a background thread fills
//! within two seconds of a commit, mostly from blocks that the writer hands over in memory: each
//! step writes a segment of pages in the order of the words, and segments of one size are merged
//! in idle moments.
//!
//! What Opik keeps beside traces (datasets, experiments, prompts and so on) is in tables of its own:
//! [`Store`] is a [`Catalog`](opik_core::catalog::Catalog) as well.
//!
//! One thread writes, one copies the write-ahead log into the file, two read, one indexes: see
//! [`StoreOptions`].
#![cfg_attr(docsrs, feature(doc_cfg))]

mod backup;
mod block;
mod catalog;
mod checkpoint;
mod codec;
mod error;
mod facet;
mod options;
mod pack;
mod prune;
mod read;
mod readers;
mod recent;
pub mod records;
mod schema;
mod score_key;
mod store;
mod tally;
mod text;
mod threads;
mod write;

pub use backup::{BackupReport, RestoreReport, Upkeep};
pub use error::StoreError;
pub use options::{Durability, PruneReport, Retention, StoreOptions, VacuumReport};
pub use store::{Store, StoreStats};
