//! Precision: which columns of a table have too many digits?

use std::borrow::Cow;
use std::io::Write;

use super::batch::Made;
use super::{BuildReport, Make, run};
use crate::dataset::manifest::{Manifests, Origin};
use crate::dataset::node::{Items, View};
use crate::dataset::precision::{Issue, PrecisionRule, check};
use crate::dataset::records::Records;
use crate::dataset::{DatasetError, Input, ReadOptions};

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
struct Flag<'a> {
    column: Option<&'a str>,
    issue: &'a str,
    count: u64,
}

impl<'a> From<Issue<'a>> for Flag<'a> {
    fn from(found: Issue<'a>) -> Self {
        Self {
            column: Some(found.column),
            issue: found.issue.as_str(),
            count: found.count,
        }
    }
}

/// The recorded flags, each issue of a column once, and what is wrong with one that is no flag.
fn recorded<'a>(flags: Items<'a>, computed: &[Issue<'a>]) -> (Vec<Flag<'a>>, Option<String>) {
    let mut found: Vec<Flag<'_>> = Vec::new();
    let mut wrong = None;
    let mut add = |column: Option<&'a str>, issue: &'a str, count| {
        let same = |own: &&mut Flag<'_>| own.column == column && own.issue == issue;
        match found.iter_mut().find(same) {
            Some(own) => own.count += count,
            None => found.push(Flag {
                column,
                issue,
                count,
            }),
        }
    };
    for flag in flags {
        match flag {
            // Manifests have the names of issues only; the rows may tell the columns.
            View::Text(issue) => {
                let mut known = false;
                for own in computed.iter().filter(|own| own.issue.as_str() == issue) {
                    known = true;
                    add(Some(own.column), issue, own.count);
                }
                if !known {
                    add(None, issue, 1);
                }
            }
            View::Object(_) => match flag.get("issue").and_then(View::text) {
                Some(issue) => add(flag.get("column").and_then(View::text), issue, 1),
                None => wrong = Some("a flag has no `issue`".to_owned()),
            },
            other => wrong = Some(format!("a flag is {}", other.kind())),
        }
    }
    (found, wrong)
}

/// The cells of a column as text, null left out.
fn values<'a>(rows: Items<'a>, column: Option<&str>) -> impl Iterator<Item = Cow<'a, str>> {
    rows.filter_map(move |row| row.get(column?))
        .filter(|cell| !cell.is_null())
        .map(|cell| match cell {
            View::Text(text) => Cow::Borrowed(text),
            other => {
                let mut json = String::new();
                other.write_json(&mut json);
                Cow::Owned(json)
            }
        })
}

impl Make for PrecisionBuilder {
    const LISTS: &'static [&'static str] = &["tables", "structured_tables"];
    const OWN: &'static [&'static str] = &["rows", "precision_flags", "table_id"];

    fn make(&self, table: View<'_>, origin: Origin<'_>, made: &mut Made) -> Result<(), String> {
        let known = self.manifests.table(table, origin);
        let origin = known.map_or(origin, |(other, _)| origin.or(other));
        let entry = known.map(|(_, entry)| entry);
        let given = ["precision_flags", "flags"].iter().find_map(|name| {
            [Some(table), entry]
                .into_iter()
                .flatten()
                .find_map(|table| table.get(name).filter(|flags| !flags.is_null()))
        });
        let rule = entry.map_or(self.rule, |entry| self.rule.of_table(entry));
        let rows = table.get("rows").and_then(View::list);
        let computed = check(table, rule.of_table(table));
        let (flags, wrong, source) = match given {
            Some(View::List(flags)) => {
                let (flags, wrong) = recorded(flags, &computed);
                (flags, wrong, "recorded")
            }
            Some(other) => return Err(format!("its flags are {}", other.kind())),
            None if rows.is_none() => {
                return Err("a table with neither rows nor flags".to_owned());
            }
            None => {
                let flags = computed.into_iter().map(Flag::from).collect();
                (flags, None, "computed")
            }
        };
        let rows = rows.unwrap_or(Items::NONE);
        let rigor = origin.rigor_text();
        let mut put = |column: Option<&str>, issue: Option<&str>, count: u64| {
            let label = issue.unwrap_or(CLEAN);
            made.record(|record| {
                record
                    .value("table_id", table.get("table_id"))
                    .value("column", column.map(View::Text))
                    .value("issue", issue.map(View::Text))
                    .texts("values", values(rows, column))
                    .text("rigor_level", &rigor)
                    .value("job_id", origin.job)
                    .value("project_id", origin.project)
                    .text("label", label)
                    .number("count", count)
                    .text("source", source)
                    .text("expected_output", label)
            });
            made.tally.add(label, &rigor, column);
        };
        if flags.is_empty() && wrong.is_none() {
            put(None, None, 0);
        }
        for flag in &flags {
            put(flag.column, Some(flag.issue), flag.count);
        }
        // The good flags of a table are kept when another is bad, which is still said.
        wrong.map_or(Ok(()), Err)
    }
}
