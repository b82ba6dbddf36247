#![cfg_attr(docsrs, feature(doc_cfg))]
//! Conformance suites, doubles and fixtures for the provider traits of opik-core.
//!
//! A provider trait is a promise, and the promise is a suite: [`exporter_suite`],
//! [`source_suite`], [`session_suite`] and [`model_suite`] each run named cases against fresh
//! instances of an implementation and return a [`SuiteReport`]; [`wire_suite`] does so for exporters
//! that take encoded rows. They need no runtime of a certain kind: each is an `async fn` that any
//! executor can drive.
//!
//! ```
//! use opik_testkit::{MemoryStore, Place, exporter_suite};
//!
//! # let run = futures_util::future::FutureExt::now_or_never;
//! let suite = exporter_suite(|| async { Place::of(MemoryStore::new()) }, &[]);
//! # run(async {
//! suite.await.assert_ok();
//! # });
//! ```
//!
//! [`doubles`] are implementations that tests can look into or break on purpose, [`fixtures`] are
//! recorded traces and wire captures, [`records`] makes traces and spans whose every value is known.
//! `databases` (feature) starts PostgreSQL and MariaDB for tests.

#[cfg(feature = "databases")]
#[cfg_attr(docsrs, doc(cfg(feature = "databases")))]
pub mod databases;
pub mod doubles;
pub mod fixtures;
pub mod records;
mod report;
pub mod suites;

pub use doubles::{
    BlockingExporter, FailingExporter, Gate, HangingExporter, MemorySessions, MemoryStore,
    PanickingExporter, RecordingExporter, ScriptedModel, StubServer, WireStore,
};
pub use report::{Skip, SuiteReport};
pub use suites::{
    ModelUnderTest, Piece, Place, Scenario, SessionPlace, exporter_suite, model_suite,
    session_suite, source_suite, wire_suite,
};
