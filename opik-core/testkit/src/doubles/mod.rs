//! Implementations of the provider traits that tests can look into, hold up or break.
//!
//! [`MemoryStore`], [`MemorySessions`] and [`ScriptedModel`] keep the contracts to the letter and
//! pass their suites; [`WireStore`] is a memory store that also takes encoded rows; the other
//! exporters break on purpose what a caller must survive. All of them work without a runtime and in
//! any. [`StubServer`] is Opik's server in Python.

mod faults;
mod gate;
mod memory_sessions;
mod memory_store;
mod recording;
mod scripted_model;
mod stub_server;
mod wire_store;

pub use faults::{BlockingExporter, FailingExporter, Fault, HangingExporter, PanickingExporter};
pub use gate::{Gate, Opened};
pub use memory_sessions::MemorySessions;
pub use memory_store::MemoryStore;
pub use recording::RecordingExporter;
pub use scripted_model::{ScriptedModel, Step};
pub use stub_server::{StubServer, free_port};
pub use wire_store::WireStore;
