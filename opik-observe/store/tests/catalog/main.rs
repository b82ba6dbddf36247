//! The catalogue on the store's file.
#![expect(clippy::unwrap_used, reason = "tests")]

mod agent_configs;
mod datasets;
mod experiments;
mod model;
mod processes;
mod prompts;
#[path = "../support/mod.rs"]
mod support;

use opik_core::catalog::{CatalogError, CatalogErrorKind};
use opik_core::{EntityId, Json};
use opik_store::Store;
use support::block_on;

fn store() -> Store {
    Store::open_in_memory().unwrap()
}

fn json(text: &str) -> Json {
    Json::parse(text).unwrap()
}

/// The kind of an error, where there is one.
fn kind<T>(result: Result<T, CatalogError>) -> Option<CatalogErrorKind> {
    result.err().map(|error| error.kind())
}

/// A number as an identifier of version 7; larger numbers sort later.
fn id(number: u64) -> EntityId {
    EntityId::from_parts(
        opik_core::Timestamp::from_micros(
            1_800_000_000_000_000 + i64::try_from(number).unwrap() * 1_000,
        ),
        number,
    )
}
