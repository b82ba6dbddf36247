//! The server over real sockets.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod agent_configs;
mod alike;
mod catalog_replay;
mod catalog_sdk;
mod experiments;
mod files;
mod hostile;
mod limits;
mod merging;
mod openapi;
mod otlp;
mod otlp_golden;
mod reading;
mod records_sdk;
mod replay;
mod running;
mod system;
mod vyasa;
mod wide_sdk;
