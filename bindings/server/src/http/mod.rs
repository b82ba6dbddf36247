//! What all handlers share.
//!
//! | file | what |
//! |---|---|
//! | [`body`] | [`JsonBody`]: lenient JSON in, with gzip and limits |
//! | [`error`] | [`ApiError`]: the two shapes of errors |
//! | [`caller`] | [`Caller`]: key and workspace |
//! | [`params`] | [`Params`]: query parameters; pages, filters, sorting, projects |
//! | [`path_id`] | [`PathId`], [`PathIds`]: UUIDs in the path, else 404 |
//! | [`reply`] | pages, creations, NDJSON streams |
//! | [`limits`] | rate limits, where there are any, else 429 |
//! | [`admission`] | room for request bodies, else 429 |
//! | [`routes`] | where everything is served |

mod admission;
mod body;
mod caller;
mod error;
mod limits;
mod params;
mod path_id;
mod reply;
mod routes;

pub(crate) use body::{JsonBody, SmallBody, collect, from_bytes, gunzip, is_gzip, refuse};
pub(crate) use caller::{Caller, USER};
pub(crate) use error::ApiError;
pub(crate) use limits::{Limiter, charge};
pub use limits::{RateLimits, UnknownLimit};
pub(crate) use params::{Params, no_project};
pub(crate) use path_id::{PathId, PathIds};
pub(crate) use reply::{PageReply, created, ndjson, no_content};
pub(crate) use routes::{request_id, router};
