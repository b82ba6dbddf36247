//! What to search for: one typed model of Opik's filters and sorting, shared by every
//! [`TraceSource`](crate::TraceSource), the command line and the server.
//!
//! - [`Filter`] is one condition; a list of them means all of them.
//! - [`oql`] reads Opik's query language (`name contains "x" AND duration > 100`).
//! - [`mod@matches`] evaluates filters in memory; it is the definition that SQL is tested against.

mod field;
mod filter;
pub mod matches;
pub mod oql;
mod path;
mod rules;
mod sort;
mod value;

pub use field::{Entity, Field, FieldType};
pub use filter::{Filter, FilterError, Operator};
pub use oql::OqlError;
pub use sort::{Direction, Sort};

use crate::source::PageRequest;
use crate::{ProjectId, Timestamp, TraceId};

/// Which project to look in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProjectSelector {
    /// Every project.
    #[default]
    Any,
    /// The project with this name, without regard to case.
    Name(String),
    /// The project with this identifier.
    Id(ProjectId),
}

/// A search for traces.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct TraceQuery {
    /// Where to look.
    pub project: ProjectSelector,
    /// Conditions, all of which must hold.
    pub filters: Vec<Filter>,
    /// Order; newest first by identifier where absent.
    pub sort: Option<Sort>,
    /// Words that must occur in the name or in the content, where the source indexes it.
    pub text: Option<String>,
    /// Only traces whose identifier was made at this moment or later.
    pub from: Option<Timestamp>,
    /// Only traces whose identifier was made before this moment.
    pub to: Option<Timestamp>,
    /// Which page.
    pub page: PageRequest,
    /// Leave `input`, `output` and `metadata` out, for lists.
    pub without_content: bool,
}

/// A search for spans.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct SpanQuery {
    /// Where to look.
    pub project: ProjectSelector,
    /// Only spans of this trace.
    pub trace: Option<TraceId>,
    /// Conditions, all of which must hold.
    pub filters: Vec<Filter>,
    /// Order; newest first by identifier where absent.
    pub sort: Option<Sort>,
    /// Words that must occur in the name or in the content, where the source indexes it.
    pub text: Option<String>,
    /// Only spans whose identifier was made at this moment or later.
    pub from: Option<Timestamp>,
    /// Only spans whose identifier was made before this moment.
    pub to: Option<Timestamp>,
    /// Which page.
    pub page: PageRequest,
    /// Leave `input`, `output` and `metadata` out, for lists.
    pub without_content: bool,
}
