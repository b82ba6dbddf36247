//! Datasets from recorded traces.

use std::io::Write;

use opik_core::query::TraceQuery;
use opik_core::{Cursor, Json, PageRequest, Trace, TraceSource};
use serde_json::{Map, Value};

use super::batch::Made;
use super::{BuildReport, Make, PrecisionBuilder, ToneBuilder};
use crate::dataset::manifest::{Held, Origin, elements};
use crate::dataset::node::View;
use crate::dataset::{DatasetError, Item, Node, Place, Skipped};

/// Traces that are read at once.
const PAGE: usize = 200;

/// Reads the traces that match a query as [`Item`]s, page by page.
///
/// An item has the identifier of its trace, its labels, and in its data `input`, `output`, `name`
/// and `metadata` where the trace has them. What was answered then is taken as what is expected, so
/// a new version can be compared with the recorded one.
///
/// ```
/// use opik_core::query::TraceQuery;
/// use opik_core::{Batch, Exporter, Json};
/// use opik_evals::dataset::TraceItems;
/// use opik_testkit::{MemoryStore, records};
///
/// # let run = tokio::runtime::Builder::new_current_thread().build()?;
/// # run.block_on(async {
/// let store = MemoryStore::new();
/// let mut trace = records::trace(1);
/// trace.output = Some(Json::string("Paris"));
/// store.export(&Batch::new(vec![trace], vec![])).await?;
///
/// let mut items = TraceItems::new(&store, TraceQuery::default());
/// let item = items.next().await?.ok_or("no trace")?;
/// assert_eq!(item.expected().and_then(|v| v.as_str()), Some("Paris"));
/// assert!(items.next().await?.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TraceItems<'a> {
    traces: Traces<'a>,
}

impl<'a> TraceItems<'a> {
    /// Reads from a source. The page of the query is not used.
    #[must_use]
    pub fn new(source: &'a dyn TraceSource, query: TraceQuery) -> Self {
        Self {
            traces: Traces::new(source, query),
        }
    }

    /// At most so many traces; default all.
    #[must_use]
    pub fn limit(mut self, traces: usize) -> Self {
        self.traces.left = traces;
        self
    }

    /// The next item; `None` at the end.
    ///
    /// # Errors
    ///
    /// When the source cannot be read.
    pub async fn next(&mut self) -> Result<Option<Item>, DatasetError> {
        Ok(self.traces.next().await?.map(|trace| item(&trace)))
    }
}

/// The traces of a query, page by page.
#[derive(Debug)]
struct Traces<'a> {
    source: &'a dyn TraceSource,
    query: TraceQuery,
    page: std::vec::IntoIter<Trace>,
    next: Next,
    left: usize,
}

#[derive(Debug)]
enum Next {
    First,
    After(Cursor),
    End,
}

impl<'a> Traces<'a> {
    fn new(source: &'a dyn TraceSource, mut query: TraceQuery) -> Self {
        query.without_content = false;
        Self {
            source,
            query,
            page: Vec::new().into_iter(),
            next: Next::First,
            left: usize::MAX,
        }
    }

    async fn next(&mut self) -> Result<Option<Trace>, DatasetError> {
        if self.left == 0 {
            return Ok(None);
        }
        loop {
            if let Some(trace) = self.page.next() {
                self.left -= 1;
                return Ok(Some(trace));
            }
            self.query.page = match std::mem::replace(&mut self.next, Next::End) {
                Next::First => PageRequest::first(PAGE.min(self.left)),
                Next::After(cursor) => PageRequest::after(cursor, PAGE.min(self.left)),
                Next::End => return Ok(None),
            };
            let page = self.source.search_traces(&self.query).await?;
            self.page = page.items.into_iter();
            if let Some(cursor) = page.next {
                self.next = Next::After(cursor);
            }
        }
    }
}

/// JSON as a value; where it is none, as its text.
fn value(json: &Json) -> Value {
    serde_json::from_str(json.as_str()).unwrap_or_else(|_| json.as_str().into())
}

fn item(trace: &Trace) -> Item {
    let mut data = Map::new();
    if let Some(name) = &trace.name {
        data.insert("name".to_owned(), name.as_str().into());
    }
    for (name, json) in [
        ("input", &trace.input),
        ("output", &trace.output),
        ("metadata", &trace.metadata),
    ] {
        if let Some(json) = json {
            data.insert(name.to_owned(), value(json));
        }
    }
    let item = Item::new(data)
        .with_id(trace.id.to_string())
        .with_tags(trace.tags.iter().map(String::as_str));
    match &trace.output {
        Some(output) => item.with_expected(value(output)),
        None => item,
    }
}

/// What a trace answered, as a record that a builder reads: what is no object counts as a text.
fn answer(trace: &Trace) -> Result<Node, String> {
    let output = trace.output.as_ref().ok_or("a trace without output")?;
    let node = Node::parse(output.as_str()).map_err(|error| error.to_string())?;
    Ok(match node {
        Node::Text(text) => Node::Object(vec![("content".to_owned(), Node::Text(text))]),
        Node::Object(fields) => {
            // The official clients wrap a text that a function returned.
            let wrapped = fields.iter().find_map(|(name, value)| {
                (fields.len() == 1 && matches!(name.as_str(), "output" | "answer" | "result"))
                    .then(|| value.text())?
            });
            match wrapped {
                Some(text) => Node::Object(vec![("content".to_owned(), Node::from(text))]),
                None => Node::Object(fields),
            }
        }
        other => other,
    })
}

async fn run<M: Make + Sync>(
    maker: &M,
    mut traces: Traces<'_>,
    output: &mut (dyn Write + Send),
) -> Result<BuildReport, DatasetError> {
    let mut report = BuildReport::default();
    let mut skipped = Skipped::default();
    let mut made = Made::default();
    while let Some(trace) = traces.next().await? {
        let place = || Place::new(format!("trace {}", trace.id), 0);
        let answer = answer(&trace);
        let found = match &answer {
            Ok(node) => elements(node.view(), M::LISTS, M::OWN),
            Err(reason) => Held::Nothing(reason.clone()),
        };
        match found {
            Held::Nothing(reason) => skipped.add(place(), reason),
            Held::Elements(found, inner) => {
                // The trace stands for the job where its metadata name none.
                let id = trace.id.to_string();
                let metadata = trace.metadata.as_ref();
                let metadata = metadata.and_then(|json| Node::parse(json.as_str()).ok());
                let own = metadata.as_ref().map(|node| Origin::of(node.view()));
                let outer = inner.or(own.unwrap_or_default()).or(Origin {
                    job: Some(View::Text(&id)),
                    ..Origin::default()
                });
                for element in found.flatten() {
                    let origin = Origin::of(element).or(outer);
                    if let Err(reason) = maker.make(element, origin, &mut made) {
                        skipped.add(place(), reason);
                    }
                }
                made.finish(output, &mut report)?;
            }
        }
    }
    report.skipped = skipped;
    Ok(report)
}

impl ToneBuilder {
    /// As [`build`](Self::build), over what recorded traces answered: a text, or an object with
    /// `content`, `text` or `blocks`. Job, project and rigour come from their metadata.
    ///
    /// # Errors
    ///
    /// When the source cannot be read or the output cannot be written.
    pub async fn build_traces(
        &self,
        source: &dyn TraceSource,
        query: TraceQuery,
        output: &mut (dyn Write + Send),
    ) -> Result<BuildReport, DatasetError> {
        run(self, Traces::new(source, query), output).await
    }
}

impl PrecisionBuilder {
    /// As [`build`](Self::build), over what recorded traces answered: an object with `rows` or
    /// `tables`. Job, project and rigour come from their metadata.
    ///
    /// # Errors
    ///
    /// When the source cannot be read or the output cannot be written.
    pub async fn build_traces(
        &self,
        source: &dyn TraceSource,
        query: TraceQuery,
        output: &mut (dyn Write + Send),
    ) -> Result<BuildReport, DatasetError> {
        run(self, Traces::new(source, query), output).await
    }
}
