//! The client as a [`TraceSource`].

use async_trait::async_trait;

use super::client::OpikClient;
use super::search::{Answered, Found, Search, invalid};
use super::traces::written;
use crate::query::matches::{span_matches, trace_matches};
use crate::query::{Filter, ProjectSelector, SpanQuery, TraceQuery};
use crate::source::SourceErrorKind;
use crate::{
    Cursor, Page, PageRequest, ProjectId, SourceError, Span, SpanId, Trace, TraceId, TraceSource,
};

/// Most projects that are searched when none is named.
const MAX_PROJECTS: usize = 100;

/// Reads from the server, always what it has at this moment and always whole content.
///
/// - Opik searches one project at a time. A query for any project searches up to 100 of them, one
///   request each; in a larger workspace it is refused and a project has to be named. The cloud
///   allows 30 searches a minute, so naming the project is better there in any case. The spans of a
///   trace are looked for in its own project, and elsewhere only when its row is missing or counts
///   more spans.
/// - Newest first is the server's own order. Every other order reads all matches, up to 10,000, and
///   sorts them here; more are refused. Each page of such a search costs that much again.
/// - `from` and `to` are exact to the millisecond, which is what identifiers hold.
/// - Search words are refused: the server has no promise for them.
/// - Filters are evaluated by the server, except those by `span_count` and `parent_span_id`, which
///   it does not know: they are evaluated here, over as many requests as a page takes to fill, at
///   most 50.
///   What the server refuses (an operator that an older one does not know) is refused here with its
///   words.
/// - The key that the server adds to `metadata` (`provider`, `providers`) is taken out again; text
///   of JSON is the server's spelling, not the writer's.
#[async_trait]
impl TraceSource for OpikClient {
    async fn trace(&self, id: TraceId) -> Result<Option<Trace>, SourceError> {
        Ok(self.find_trace(id).await?)
    }

    async fn spans(&self, trace: TraceId, page: &PageRequest) -> Result<Page<Span>, SourceError> {
        self.spans_from(trace, page, None).await
    }

    async fn spans_of(&self, trace: &Trace, page: &PageRequest) -> Result<Page<Span>, SourceError> {
        self.spans_from(trace.id, page, Some(Home::of(trace))).await
    }

    async fn search_traces(&self, query: &TraceQuery) -> Result<Page<Trace>, SourceError> {
        let search = Search::traces(query)?;
        match &query.sort {
            None => self.newest(&query.project, &search).await,
            Some(sort) => {
                let order = |a: &Trace, b: &Trace| sort.compare_traces(a, b);
                self.sorted(&query.project, &search, order).await
            }
        }
    }

    async fn search_spans(&self, query: &SpanQuery) -> Result<Page<Span>, SourceError> {
        let search = Search::spans(query)?;
        match &query.sort {
            None => self.newest(&query.project, &search).await,
            Some(sort) => {
                let order = |a: &Span, b: &Span| sort.compare_spans(a, b);
                self.sorted(&query.project, &search, order).await
            }
        }
    }
}

/// Where reading the spans of a trace has got to: a project, the last span in it, and how many
/// spans there were in all.
///
/// The projects are the trace's own first, then the others by identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    project: ProjectId,
    last: Option<SpanId>,
    seen: usize,
}

impl Place {
    fn begin(project: ProjectId, seen: usize) -> Self {
        Self {
            project,
            last: None,
            seen,
        }
    }

    fn cursor(&self) -> Cursor {
        let last = self.last.map(|id| id.to_string()).unwrap_or_default();
        Cursor::new(format!("{}/{last}/{}", self.project, self.seen))
    }

    fn read(cursor: &Cursor) -> Result<Self, SourceError> {
        let read = || {
            let mut parts = cursor.as_str().split('/');
            let place = Self {
                project: parts.next()?.parse().ok()?,
                last: match parts.next()? {
                    "" => None,
                    id => Some(id.parse().ok()?),
                },
                seen: parts.next()?.parse().ok()?,
            };
            parts.next().is_none().then_some(place)
        };
        read().ok_or_else(|| invalid("the cursor is not of this source"))
    }
}

/// What the row of a trace says about its spans.
#[derive(Debug, Clone, Copy, Default)]
struct Home {
    /// The trace's own project; absent without a row.
    project: Option<ProjectId>,
    /// How many spans there are in all projects; absent when the row does not say.
    spans: Option<usize>,
}

impl Home {
    fn of(row: &Trace) -> Self {
        Self {
            project: row.project_id,
            spans: row.span_count.and_then(|count| usize::try_from(count).ok()),
        }
    }
}

impl OpikClient {
    /// A page of the spans of a trace, whose home is read where it is needed and not known.
    async fn spans_from(
        &self,
        trace: TraceId,
        page: &PageRequest,
        mut home: Option<Home>,
    ) -> Result<Page<Span>, SourceError> {
        let mut place = match page.cursor() {
            Some(cursor) => Place::read(cursor)?,
            None => {
                let home = match &home {
                    Some(home) => home,
                    None => home.insert(self.home(trace).await?),
                };
                match self.first_place(home).await? {
                    Some(place) => place,
                    None => return Ok(Page::last(Vec::new())),
                }
            }
        };
        let mut items: Vec<Span> = Vec::new();
        loop {
            let want = page.limit() - items.len();
            let search = Search::spans_of(trace, place.last, want);
            let found = match self.search_project::<Span>(place.project, &search).await {
                // A project that was deleted has no spans.
                Err(error) if error.kind() == SourceErrorKind::UnknownProject => {
                    Answered::default()
                }
                found => found?,
            };
            place.seen += found.items.len();
            place.last = found.items.last().map(|span| span.id).or(place.last);
            items.extend(found.items);
            if found.more {
                return Ok(Page {
                    items,
                    next: Some(place.cursor()),
                });
            }
            let home = match &home {
                Some(home) => home,
                None => home.insert(self.home(trace).await?),
            };
            match self.place_after(home, &place).await? {
                None => return Ok(Page::last(items)),
                Some(next) => place = next,
            }
            // A further page that turns out to be empty is the last one.
            if items.len() == page.limit() {
                return Ok(Page {
                    items,
                    next: Some(place.cursor()),
                });
            }
        }
    }

    async fn home(&self, trace: TraceId) -> Result<Home, SourceError> {
        let row = self.find_trace(trace).await?;
        Ok(row.as_ref().map_or_else(Home::default, Home::of))
    }

    async fn first_place(&self, home: &Home) -> Result<Option<Place>, SourceError> {
        let first = match home.project {
            Some(home) => Some(home),
            None => self.all_projects().await?.first().copied(),
        };
        Ok(first.map(|project| Place::begin(project, 0)))
    }

    /// The project to look into after one that has no more spans.
    async fn place_after(&self, home: &Home, place: &Place) -> Result<Option<Place>, SourceError> {
        // The server counts the spans of a trace in every project.
        let all_seen = home.spans.is_none_or(|all| place.seen >= all);
        if home.project.is_some() && all_seen {
            return Ok(None);
        }
        let others = self.all_projects().await?;
        let mut others = others
            .into_iter()
            .filter(|&project| Some(project) != home.project);
        let next = if Some(place.project) == home.project {
            others.next()
        } else {
            others.find(|&project| project > place.project)
        };
        Ok(next.map(|project| Place::begin(project, place.seen)))
    }

    /// The projects to search, where it matters that none is left out.
    pub(super) async fn all_projects(&self) -> Result<Vec<ProjectId>, SourceError> {
        let mut all = Vec::new();
        let mut page = super::PageNumber::default();
        loop {
            let listing = self.projects(None, page).await?;
            if listing.content.is_empty() {
                break;
            }
            all.extend(listing.content.into_iter().filter_map(|project| project.id));
            if all.len() > MAX_PROJECTS || listing.total > MAX_PROJECTS as u64 {
                let problem = format!("the workspace has over {MAX_PROJECTS} projects; name one");
                return Err(invalid(&problem));
            }
            if all.len() as u64 >= listing.total {
                break;
            }
            page = page.next();
        }
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    /// A page of a search in the server's own order.
    async fn newest<R: Found>(
        &self,
        project: &ProjectSelector,
        search: &Search<'_>,
    ) -> Result<Page<R>, SourceError> {
        let found: Answered<R> = self.search_projects(project, search).await?;
        let next = found.items.last().map(|row| Cursor::new(row.key()));
        Ok(Page {
            next: next.filter(|_| found.more),
            items: found.items,
        })
    }
}

impl Found for Trace {
    const PATH: &'static str = "traces/search";

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn written(self) -> Self {
        written(self)
    }

    fn matches(&self, filters: &[Filter]) -> bool {
        trace_matches(self, filters)
    }
}

impl Found for Span {
    const PATH: &'static str = "spans/search";

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn written(self) -> Self {
        super::spans::written(self)
    }

    fn matches(&self, filters: &[Filter]) -> bool {
        span_matches(self, filters)
    }
}
