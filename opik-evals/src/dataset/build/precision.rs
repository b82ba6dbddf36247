//! Precision: which columns of a table have too many digits?

use std::borrow::Cow;
use std::io::Write;

use super::{BuildReport, Make, run};
use crate::dataset::manifest::{Manifests, Origin};
use crate::dataset::node::{Field, lent};
use crate::dataset::precision::{ColumnIssue, PrecisionRule, check_table};
use crate::dataset::records::Records;
use crate::dataset::{DatasetError, Input, Node, ReadOptions};

/// The label of a table without an issue.
const CLEAN: &str = "clean";

/// Builds a dataset of columns labelled with what is wrong with their numbers, and of tables
/// labelled `clean`.
///
/// Flags are taken from `precision_flags` or `flags` of the table or of the manifest that knows it;
/// where there are none of these, they are computed from the rows. The field `source` says which.
///
/// ```
/// use opik_evals::dataset::{Input, PrecisionBuilder};
///
/// let input = r#"{"table_id": "t", "rows": [{"a": "1.234"}, {"a": "5.678"}]}"#;
/// let mut output = Vec::new();
/// let report = PrecisionBuilder::new()
///     .build([Input::reader("lines", input.as_bytes())], &mut output)?;
/// let found: Vec<_> = report.labels().collect();
/// assert_eq!(found, [("EXCESSIVE_PRECISION", "exploratory", 1)]);
/// # Ok::<(), opik_evals::dataset::DatasetError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct PrecisionBuilder {
    rule: PrecisionRule,
    options: ReadOptions,
    manifests: Manifests,
}

impl PrecisionBuilder {
    /// A builder with the default [`PrecisionRule`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is allowed where a table says nothing of it.
    #[must_use]
    pub fn rule(mut self, rule: PrecisionRule) -> Self {
        self.rule = rule;
        self
    }

    /// How records are read.
    #[must_use]
    pub fn options(mut self, options: ReadOptions) -> Self {
        self.options = options;
        self
    }

    /// Manifests that say of which job a table is, and which flags it has.
    #[must_use]
    pub fn manifests(mut self, manifests: Manifests) -> Self {
        self.manifests = manifests;
        self
    }

    /// Reads tables and manifests, writes one record a line.
    ///
    /// # Errors
    ///
    /// When reading or writing fails, or at the first unusable record when reading is strict.
    pub fn build(
        &self,
        inputs: impl IntoIterator<Item = Input>,
        output: &mut dyn Write,
    ) -> Result<BuildReport, DatasetError> {
        run(self, Records::new(inputs, self.options), output)
    }
}

/// A flag to be written.
struct Flag {
    column: Option<String>,
    issue: String,
    count: u64,
}

impl From<ColumnIssue> for Flag {
    fn from(found: ColumnIssue) -> Self {
        Self {
            column: Some(found.column),
            issue: found.issue.as_str().to_owned(),
            count: found.count,
        }
    }
}

/// The recorded flags, each issue of a column once, and what is wrong with one that is no flag.
fn recorded(flags: &[Node], computed: &[ColumnIssue]) -> (Vec<Flag>, Option<String>) {
    let mut found: Vec<Flag> = Vec::new();
    let mut wrong = None;
    let mut add = |column: Option<&str>, issue: &str, count| {
        let same = |own: &&mut Flag| own.column.as_deref() == column && own.issue == issue;
        match found.iter_mut().find(same) {
            Some(own) => own.count += count,
            None => found.push(Flag {
                column: column.map(str::to_owned),
                issue: issue.to_owned(),
                count,
            }),
        }
    };
    for flag in flags {
        match flag {
            // Manifests have the names of issues only; the rows may tell the columns.
            Node::Text(issue) => {
                let columns: Vec<_> = computed
                    .iter()
                    .filter(|own| own.issue.as_str() == issue)
                    .collect();
                if columns.is_empty() {
                    add(None, issue, 1);
                }
                for own in columns {
                    add(Some(&own.column), issue, own.count);
                }
            }
            Node::Object(_) => match flag.get("issue").and_then(Node::text) {
                Some(issue) => add(flag.get("column").and_then(Node::text), issue, 1),
                None => wrong = Some("a flag has no `issue`".to_owned()),
            },
            other => wrong = Some(format!("a flag is {}", other.kind())),
        }
    }
    (found, wrong)
}

/// The cells of a column as text, null left out.
fn values(table: &Node, column: Option<&str>) -> Node {
    let rows = table.get("rows").and_then(Node::list).unwrap_or_default();
    let cells = rows
        .iter()
        .filter_map(|row| row.get(column?))
        .filter(|cell| !cell.is_null())
        .map(|cell| match cell {
            Node::Text(text) => Node::from(text.as_str()),
            other => Node::Text(other.to_json()),
        });
    Node::List(cells.collect())
}

impl Make for PrecisionBuilder {
    const LISTS: &'static [&'static str] = &["tables", "structured_tables"];
    const OWN: &'static [&'static str] = &["rows", "precision_flags", "table_id"];

    fn make(
        &self,
        table: &Node,
        origin: &Origin,
        report: &mut BuildReport,
        write: &mut dyn FnMut(&[Field<'_>]) -> Result<(), DatasetError>,
    ) -> Result<Result<(), String>, DatasetError> {
        let known = self.manifests.table(table, origin);
        let merged = known.map(|(other, _)| origin.clone().or(other));
        let origin = merged.as_ref().unwrap_or(origin);
        let entry = known.map(|(_, entry)| entry);
        let given = ["precision_flags", "flags"].iter().find_map(|name| {
            [Some(table), entry]
                .into_iter()
                .flatten()
                .find_map(|table| table.get(name).filter(|flags| !flags.is_null()))
        });
        let rule = entry.map_or(self.rule, |entry| self.rule.of_table(entry));
        let computed = check_table(table, rule.of_table(table));
        let (flags, wrong, source) = match given {
            Some(Node::List(flags)) => {
                let (flags, wrong) = recorded(flags, &computed);
                (flags, wrong, "recorded")
            }
            Some(other) => return Ok(Err(format!("its flags are {}", other.kind()))),
            None if table.get("rows").and_then(Node::list).is_none() => {
                return Ok(Err("a table with neither rows nor flags".to_owned()));
            }
            None => {
                let flags: Vec<_> = computed.into_iter().map(Flag::from).collect();
                (flags, None, "computed")
            }
        };
        let mut put = |column: Option<&str>, issue: Option<&str>, count: u64| {
            let label = issue.unwrap_or(CLEAN);
            let text = |text: Option<&str>| Cow::Owned(text.map_or(Node::Null, Node::from));
            let (rigor, node) = (origin.rigor_text(), Node::from(label));
            write(&[
                ("table_id", lent(table.get("table_id"))),
                ("column", text(column)),
                ("issue", text(issue)),
                ("values", Cow::Owned(values(table, column))),
                ("rigor_level", Cow::Owned(rigor.as_str().into())),
                ("job_id", lent(origin.job.as_ref())),
                ("project_id", lent(origin.project.as_ref())),
                ("label", Cow::Borrowed(&node)),
                ("count", Cow::Owned(Node::Int(count.to_string()))),
                ("source", Cow::Owned(source.into())),
                ("expected_output", Cow::Borrowed(&node)),
            ])?;
            report.add(label, rigor, column);
            Ok::<(), DatasetError>(())
        };
        if flags.is_empty() && wrong.is_none() {
            put(None, None, 0)?;
        }
        for flag in &flags {
            put(flag.column.as_deref(), Some(&flag.issue), flag.count)?;
        }
        // The good flags of a table are kept when another is bad, which is still said.
        Ok(wrong.map_or(Ok(()), Err))
    }
}
