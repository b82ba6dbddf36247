//! Sessions in SQL databases: one store, three databases behind it.
//!
//! - [`link`]: a connection, whichever database it leads to; [`turn`]: a transaction with a deadline
//! - [`dialect`], [`schema`], [`statements`]: what is said
//! - [`migrate`], [`upgrade`]: tables made and changed under a lock
//! - [`store`], [`rows`], [`prune`]: what the trait promises
//! - [`failure`]: what went wrong, in the words of the trait

mod connect;
mod dialect;
mod failure;
mod link;
mod migrate;
mod prune;
mod rows;
mod schema;
mod statements;
mod store;
pub(crate) mod stores;
mod turn;
mod upgrade;

pub(crate) use connect::SqlStore;
