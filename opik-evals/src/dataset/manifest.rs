//! Manifests: blocks and tables of a job, and what they say of blocks and tables elsewhere.

use std::borrow::Cow;
use std::collections::HashMap;

use super::node::{Document, Items, View};
use super::records::{Records, view};
use super::{DatasetError, Input, Node, ReadOptions, Skipped};

/// What a block or table has from its surroundings.
#[derive(Clone, Copy, Default)]
pub(crate) struct Origin<'a> {
    pub(crate) project: Option<View<'a>>,
    pub(crate) job: Option<View<'a>>,
    pub(crate) rigor: Option<View<'a>>,
}

impl<'a> Origin<'a> {
    pub(crate) fn of(record: View<'a>) -> Self {
        let field = |name| record.get(name).filter(|value| !value.is_null());
        Self {
            project: field("project_id"),
            job: field("job_id"),
            rigor: field("rigor_level"),
        }
    }

    /// What is not known here is taken from there.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            project: self.project.or(other.project),
            job: self.job.or(other.job),
            rigor: self.rigor.or(other.rigor),
        }
    }

    /// The level of rigour as text.
    pub(crate) fn rigor_text(&self) -> Cow<'a, str> {
        self.rigor
            .map_or(Cow::Borrowed("exploratory"), View::to_python)
    }
}

/// What a record of an input holds.
pub(crate) enum Held<'a> {
    /// Blocks or tables, and what they have from their surroundings.
    Elements(Elements<'a>, Origin<'a>),
    /// Nothing of use, and why.
    Nothing(String),
}

/// The blocks or tables of a record; what is no object is `None`.
pub(crate) enum Elements<'a> {
    One(Option<View<'a>>),
    Each(Items<'a>),
}

impl<'a> Iterator for Elements<'a> {
    type Item = Option<View<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::One(element) => element.take().map(Some),
            Self::Each(items) => {
                let item = items.next()?;
                Some(item.fields().is_some().then_some(item))
            }
        }
    }
}

/// Takes the blocks or tables out of a record: the elements of one of the lists, or the record.
pub(crate) fn elements<'a>(record: View<'a>, lists: &[&str], own: &[&str]) -> Held<'a> {
    let Some(mut fields) = record.fields() else {
        return Held::Nothing(format!("{}, not an object", record.kind()));
    };
    let list = fields.find_map(|(name, value)| value.list().filter(|_| lists.contains(&name)));
    if let Some(items) = list {
        return Held::Elements(Elements::Each(items), Origin::of(record));
    }
    let has = |name: &str| record.get(name).is_some();
    if own.iter().any(|name| has(name)) {
        // It is its own surroundings.
        return Held::Elements(Elements::One(Some(record)), Origin::default());
    }
    if has("event_type") {
        return Held::Nothing("an event of the telemetry, which holds no text".to_owned());
    }
    let names = lists.first().copied().unwrap_or_default();
    Held::Nothing(format!(
        "an object with neither {} nor `{names}`",
        own.iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ")
    ))
}

/// One block or table of a manifest.
#[derive(Debug, Clone)]
struct Entry {
    project: Option<Node>,
    job: Option<Node>,
    rigor: Option<Node>,
    element: Node,
}

impl Entry {
    fn origin(&self) -> Origin<'_> {
        Origin {
            project: self.project.as_ref().map(Node::view),
            job: self.job.as_ref().map(Node::view),
            rigor: self.rigor.as_ref().map(Node::view),
        }
    }
}

/// The blocks and tables of manifests by their identifiers, to complete blocks and tables that are
/// read from elsewhere.
///
/// The manifests are held in memory; what is completed with them is still streamed.
#[derive(Debug, Clone, Default)]
pub struct Manifests {
    blocks: HashMap<String, Vec<Entry>>,
    tables: HashMap<String, Vec<Entry>>,
    skipped: Skipped,
}

impl Manifests {
    /// Reads manifests from files and folders.
    ///
    /// # Errors
    ///
    /// As an [`ItemReader`](super::ItemReader).
    pub fn read(
        inputs: impl IntoIterator<Item = Input>,
        options: ReadOptions,
    ) -> Result<Self, DatasetError> {
        let mut records = Records::new(inputs, options);
        let mut own = Self::default();
        let (mut record, mut document) = (Vec::new(), Document::default());
        while records.advance()? {
            records.take(&mut record);
            match view(&mut document, &record) {
                Ok(node) if node.get("blocks").is_some() || node.get("tables").is_some() => {
                    own.add(node);
                }
                Ok(_) => records.skip("no manifest: it has neither `blocks` nor `tables`")?,
                Err(reason) => records.skip(reason)?,
            }
        }
        own.skipped = records.skipped().clone();
        Ok(own)
    }

    /// How many blocks and tables have an identifier.
    #[must_use]
    pub fn len(&self) -> usize {
        let count = |map: &HashMap<String, Vec<Entry>>| map.values().map(Vec::len).sum::<usize>();
        count(&self.blocks) + count(&self.tables)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.tables.is_empty()
    }

    /// What was no manifest.
    #[must_use]
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    fn add(&mut self, manifest: View<'_>) {
        let origin = Origin::of(manifest);
        for (list, id, map) in [
            ("blocks", "block_id", &mut self.blocks),
            ("tables", "table_id", &mut self.tables),
        ] {
            let elements = manifest.get(list).and_then(View::list);
            for element in elements.into_iter().flatten() {
                let Some(key) = element.get(id).filter(|id| !id.is_null()) else {
                    continue;
                };
                let origin = Origin::of(element).or(origin);
                let entries = map.entry(key.to_python().into_owned()).or_default();
                entries.push(Entry {
                    project: origin.project.map(View::to_node),
                    job: origin.job.map(View::to_node),
                    rigor: origin.rigor.map(View::to_node),
                    element: element.to_node(),
                });
            }
        }
    }

    /// What the manifests say of a block: the one with its identifier, and of several the one of its
    /// job.
    pub(crate) fn block<'a>(
        &'a self,
        block: View<'_>,
        origin: Origin<'_>,
    ) -> Option<(Origin<'a>, View<'a>)> {
        one(&self.blocks, block.get("block_id"), origin)
    }

    /// What the manifests say of a table.
    pub(crate) fn table<'a>(
        &'a self,
        table: View<'_>,
        origin: Origin<'_>,
    ) -> Option<(Origin<'a>, View<'a>)> {
        one(&self.tables, table.get("table_id"), origin)
    }
}

fn one<'a>(
    all: &'a HashMap<String, Vec<Entry>>,
    id: Option<View<'_>>,
    origin: Origin<'_>,
) -> Option<(Origin<'a>, View<'a>)> {
    if all.is_empty() {
        return None;
    }
    let entries = all.get(&*id?.to_python())?;
    let mut of_job = entries
        .iter()
        .filter(|entry| origin.job.is_none() || entry.origin().job == origin.job);
    let first = of_job.next()?;
    // Two that fit equally well say nothing.
    let only = of_job.next().is_none();
    only.then(|| (first.origin(), first.element.view()))
}
