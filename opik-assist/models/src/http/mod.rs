//! The one place that sends: connections, time limits, repetitions.

mod address;
mod call;
mod client;
mod live;
mod retries;
mod wait;

pub(crate) use address::Address;
pub(crate) use call::{Call, Headers};
pub use client::{HttpClient, HttpClientBuilder};
pub use retries::Retries;
