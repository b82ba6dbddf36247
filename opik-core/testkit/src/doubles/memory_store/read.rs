//! Searching what the store holds: select, order, cut into pages.

use opik_core::query::{ProjectSelector, SpanQuery, TraceQuery, matches};
use opik_core::source::SourceErrorKind;
use opik_core::{
    Cursor, Json, Page, PageRequest, Project, ProjectId, SourceError, Span, Timestamp, Trace,
};

use super::rows::Rows;

/// Which projects' records are wanted.
enum Wanted {
    All,
    One(ProjectId),
    Empty,
}

impl Wanted {
    fn has(&self, project: Option<ProjectId>) -> bool {
        match self {
            Self::All => true,
            Self::One(wanted) => project == Some(*wanted),
            Self::Empty => false,
        }
    }
}

pub(super) fn search_traces(rows: &Rows, query: &TraceQuery) -> Result<Page<Trace>, SourceError> {
    let wanted = wanted(rows, &query.project)?;
    let mut found: Vec<Trace> = rows
        .traces()
        .filter(|trace| wanted.has(trace.project_id))
        .filter(|trace| made_within(trace.id.timestamp(), query.from, query.to))
        .filter(|trace| {
            let content = [&trace.input, &trace.output, &trace.metadata];
            has_words(query.text.as_deref(), trace.name.as_deref(), content)
        })
        .filter(|trace| matches::trace_matches(trace, &query.filters))
        .collect();
    match &query.sort {
        Some(sort) => found.sort_by(|left, right| sort.compare_traces(left, right)),
        None => found.sort_by_key(|trace| std::cmp::Reverse(trace.id)),
    }
    if query.without_content {
        for trace in &mut found {
            (trace.input, trace.output, trace.metadata) = (None, None, None);
        }
    }
    page(found, &query.page)
}

pub(super) fn search_spans(rows: &Rows, query: &SpanQuery) -> Result<Page<Span>, SourceError> {
    let wanted = wanted(rows, &query.project)?;
    let mut found: Vec<Span> = rows
        .spans()
        .filter(|span| wanted.has(span.project_id))
        .filter(|span| query.trace.is_none_or(|trace| span.trace_id == trace))
        .filter(|span| made_within(span.id.timestamp(), query.from, query.to))
        .filter(|span| {
            let content = [&span.input, &span.output, &span.metadata];
            has_words(query.text.as_deref(), span.name.as_deref(), content)
        })
        .filter(|span| matches::span_matches(span, &query.filters))
        .collect();
    match &query.sort {
        Some(sort) => found.sort_by(|left, right| sort.compare_spans(left, right)),
        None => found.sort_by_key(|span| std::cmp::Reverse(span.id)),
    }
    if query.without_content {
        for span in &mut found {
            (span.input, span.output, span.metadata) = (None, None, None);
        }
    }
    page(found, &query.page)
}

fn wanted(rows: &Rows, project: &ProjectSelector) -> Result<Wanted, SourceError> {
    Ok(match project {
        ProjectSelector::Name(name) => match rows.find_project(name) {
            Some(id) => Wanted::One(id),
            None if name.eq_ignore_ascii_case(Project::DEFAULT_NAME) => Wanted::Empty,
            None => {
                let context = "the project does not exist; names are those of the records";
                return Err(SourceError::new(SourceErrorKind::UnknownProject, context));
            }
        },
        ProjectSelector::Id(id) => Wanted::One(*id),
        _ => Wanted::All,
    })
}

/// Whether a record was made in a stretch of time, as its identifier says.
fn made_within(made: Option<Timestamp>, from: Option<Timestamp>, to: Option<Timestamp>) -> bool {
    // Identifiers know milliseconds, so the beginning is cut to one as well.
    let from = from.map(|from| Timestamp::from_micros(from.as_micros().div_euclid(1_000) * 1_000));
    from.is_none_or(|from| made.is_some_and(|made| made >= from))
        && to.is_none_or(|to| made.is_some_and(|made| made < to))
}

/// Whether every word occurs in the name or in the content, without regard to case.
fn has_words(text: Option<&str>, name: Option<&str>, content: [&Option<Json>; 3]) -> bool {
    let Some(text) = text else { return true };
    let mut all = name.unwrap_or_default().to_lowercase();
    for json in content.into_iter().flatten() {
        all.push('\n');
        all.push_str(&json.as_str().to_lowercase());
    }
    text.split_whitespace()
        .all(|word| all.contains(&word.to_lowercase()))
}

/// Cuts a page out of a whole list. The cursor is the number of items before it.
pub(super) fn page<T>(mut items: Vec<T>, request: &PageRequest) -> Result<Page<T>, SourceError> {
    let skip = match request.cursor() {
        None => 0,
        Some(cursor) => cursor
            .as_str()
            .strip_prefix("after-")
            .and_then(|number| number.parse::<usize>().ok())
            .ok_or_else(|| {
                let context = "the cursor is not of this store; begin with the first page";
                SourceError::new(SourceErrorKind::InvalidQuery, context)
            })?,
    };
    let end = skip.saturating_add(request.limit());
    let more = items.len() > end;
    items.truncate(end);
    items.drain(..skip.min(items.len()));
    Ok(Page {
        items,
        next: more.then(|| Cursor::new(format!("after-{end}"))),
    })
}
