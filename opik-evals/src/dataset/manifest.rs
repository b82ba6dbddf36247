//! Manifests: blocks and tables of a job, and what they say of blocks and tables elsewhere.

use std::collections::HashMap;

use super::records::Records;
use super::{DatasetError, Input, Node, ReadOptions, Skipped};

/// What a block or table has from its surroundings.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    pub(crate) project: Option<Node>,
    pub(crate) job: Option<Node>,
    pub(crate) rigor: Option<Node>,
}

impl Origin {
    pub(crate) fn of(record: &Node) -> Self {
        let field = |name| record.get(name).filter(|value| !value.is_null()).cloned();
        Self {
            project: field("project_id"),
            job: field("job_id"),
            rigor: field("rigor_level"),
        }
    }

    /// What is not known here is taken from there.
    pub(crate) fn or(self, other: &Self) -> Self {
        Self {
            project: self.project.or_else(|| other.project.clone()),
            job: self.job.or_else(|| other.job.clone()),
            rigor: self.rigor.or_else(|| other.rigor.clone()),
        }
    }

    /// The level of rigour as text.
    pub(crate) fn rigor_text(&self) -> String {
        self.rigor
            .as_ref()
            .map_or_else(|| "exploratory".to_owned(), Node::to_python)
    }
}

/// What a record of an input holds.
pub(crate) enum Held {
    /// Blocks or tables, each with what it has from its surroundings; what is no object is `None`.
    Elements(Vec<Option<Node>>, Origin),
    /// Nothing of use, and why.
    Nothing(String),
}

/// Takes the blocks or tables out of a record: the elements of one of the lists, or the record.
pub(crate) fn elements(record: Node, lists: &[&str], own: &[&str]) -> Held {
    let origin = Origin::of(&record);
    let Node::Object(mut fields) = record else {
        return Held::Nothing(format!("{}, not an object", record.kind()));
    };
    let list = fields
        .iter_mut()
        .find(|(name, value)| lists.contains(&name.as_str()) && value.list().is_some())
        .map(|(_, value)| std::mem::replace(value, Node::Null));
    if let Some(Node::List(items)) = list {
        let items = items
            .into_iter()
            .map(|item| item.fields().is_some().then_some(item));
        return Held::Elements(items.collect(), origin);
    }
    let has = |name: &str| fields.iter().any(|(own, _)| own == name);
    if own.iter().any(|name| has(name)) {
        return Held::Elements(vec![Some(Node::Object(fields))], origin);
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
    origin: Origin,
    element: Node,
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
        while records.advance()? {
            match records.node() {
                Ok(node) if node.get("blocks").is_some() || node.get("tables").is_some() => {
                    own.add(&node);
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

    fn add(&mut self, manifest: &Node) {
        let origin = Origin::of(manifest);
        for (list, id, map) in [
            ("blocks", "block_id", &mut self.blocks),
            ("tables", "table_id", &mut self.tables),
        ] {
            let elements = manifest.get(list).and_then(Node::list).unwrap_or_default();
            for element in elements {
                let Some(key) = element.get(id).filter(|id| !id.is_null()) else {
                    continue;
                };
                map.entry(key.to_python()).or_default().push(Entry {
                    origin: Origin::of(element).or(&origin),
                    element: element.clone(),
                });
            }
        }
    }

    /// What the manifests say of a block: the one with its identifier, and of several the one of its
    /// job.
    pub(crate) fn block(&self, block: &Node, origin: &Origin) -> Option<(&Origin, &Node)> {
        one(
            self.blocks.get(&block.get("block_id")?.to_python())?,
            origin,
        )
    }

    /// What the manifests say of a table.
    pub(crate) fn table(&self, table: &Node, origin: &Origin) -> Option<(&Origin, &Node)> {
        one(
            self.tables.get(&table.get("table_id")?.to_python())?,
            origin,
        )
    }
}

fn one<'a>(entries: &'a [Entry], origin: &Origin) -> Option<(&'a Origin, &'a Node)> {
    let mut of_job = entries
        .iter()
        .filter(|entry| origin.job.is_none() || entry.origin.job == origin.job);
    let first = of_job.next()?;
    // Two that fit equally well say nothing.
    of_job
        .next()
        .is_none()
        .then_some((&first.origin, &first.element))
}
