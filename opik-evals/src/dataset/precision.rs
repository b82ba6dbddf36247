//! Which columns of a table have too many digits.
//!
//! | issue | meaning |
//! |---|---|
//! | `EXCESSIVE_PRECISION` | a number has more decimals than allowed, so digits would be dropped |
//! | `INCONSISTENT_DECIMALS` | the numbers of a column have different numbers of decimals; those with an exponent do not count |
//! | `SIGFIG_VIOLATION` | a number has more significant digits than allowed |
//!
//! A number may have commas between its digits, a per cent sign behind it, and an exponent, which
//! moves its decimals. Fewer decimals than allowed are never an issue.

mod written;

use super::Node;
use super::node::View;
use written::number;

/// What is wrong with the numbers of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum PrecisionIssue {
    /// More decimals than allowed.
    ExcessivePrecision,
    /// Different numbers of decimals in one column.
    InconsistentDecimals,
    /// More significant digits than allowed.
    SigfigViolation,
}

impl PrecisionIssue {
    /// The name that Vyasa uses, such as `EXCESSIVE_PRECISION`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ExcessivePrecision => "EXCESSIVE_PRECISION",
            Self::InconsistentDecimals => "INCONSISTENT_DECIMALS",
            Self::SigfigViolation => "SIGFIG_VIOLATION",
        }
    }
}

/// What is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrecisionRule {
    max_decimals: usize,
    max_sig_figs: Option<usize>,
}

impl PrecisionRule {
    /// Two decimals, any number of significant digits.
    #[must_use]
    pub fn new() -> Self {
        Self {
            max_decimals: 2,
            max_sig_figs: None,
        }
    }

    /// The most decimals; default 2.
    #[must_use]
    pub fn max_decimals(mut self, decimals: usize) -> Self {
        self.max_decimals = decimals;
        self
    }

    /// The most significant digits; default none.
    #[must_use]
    pub fn max_sig_figs(mut self, digits: Option<usize>) -> Self {
        self.max_sig_figs = digits;
        self
    }

    /// With what a table says of itself in `precision_contract`.
    pub(super) fn of_table(self, table: View<'_>) -> Self {
        let contract = table.get("precision_contract");
        let number = |name| match contract.and_then(|contract| contract.get(name)) {
            Some(View::Int(digits)) => digits.parse().ok(),
            _ => None,
        };
        Self {
            max_decimals: number("max_decimals").unwrap_or(self.max_decimals),
            max_sig_figs: number("max_sig_figs").or(self.max_sig_figs),
        }
    }
}

impl Default for PrecisionRule {
    fn default() -> Self {
        Self::new()
    }
}

/// An issue of a column, and how many of its numbers have it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ColumnIssue {
    /// The column.
    pub column: String,
    /// What is wrong.
    pub issue: PrecisionIssue,
    /// How many numbers have too many digits; for different decimals, how many numbers differ from
    /// the most frequent number of decimals.
    pub count: u64,
}

/// Finds the issues of a table's columns, in the order of their first appearance, each issue of a
/// column once.
///
/// ```
/// use opik_evals::dataset::{Node, PrecisionIssue, PrecisionRule, check_table};
///
/// let table = Node::parse(r#"{"rows": [{"a": "1.234", "b": 1}, {"a": 2.5, "b": 2}]}"#)?;
/// let issues = check_table(&table, PrecisionRule::new());
/// assert_eq!(issues.len(), 2);
/// assert_eq!(issues[0].issue, PrecisionIssue::ExcessivePrecision);
/// assert!(check_table(&table, PrecisionRule::new().max_decimals(3)).len() == 1);
/// # Ok::<(), opik_evals::dataset::NodeError>(())
/// ```
#[must_use]
pub fn check_table(table: &Node, rule: PrecisionRule) -> Vec<ColumnIssue> {
    let issues = check(table.view(), rule).into_iter();
    issues
        .map(|found| ColumnIssue {
            column: found.column.to_owned(),
            issue: found.issue,
            count: found.count,
        })
        .collect()
}

/// As [`ColumnIssue`], with a column that lies in the table.
pub(super) struct Issue<'a> {
    pub(super) column: &'a str,
    pub(super) issue: PrecisionIssue,
    pub(super) count: u64,
}

/// As [`check_table`].
pub(super) fn check(table: View<'_>, rule: PrecisionRule) -> Vec<Issue<'_>> {
    struct Column<'a> {
        name: &'a str,
        excessive: u64,
        long: u64,
        /// How many numbers have how many decimals.
        plain: Vec<(usize, u64)>,
    }
    let mut columns: Vec<Column<'_>> = Vec::new();
    let rows = table.get("rows").and_then(View::list);
    for (name, value) in rows
        .into_iter()
        .flatten()
        .filter_map(View::fields)
        .flatten()
    {
        let at = columns.iter().position(|column| column.name == name);
        let at = at.unwrap_or_else(|| {
            columns.push(Column {
                name,
                excessive: 0,
                long: 0,
                plain: Vec::new(),
            });
            columns.len() - 1
        });
        let (Some(column), Some(number)) = (columns.get_mut(at), number(value)) else {
            continue;
        };
        let decimals = number.decimals;
        column.excessive += u64::from(decimals > rule.max_decimals);
        let long = (rule.max_sig_figs).is_some_and(|most| number.significant > most);
        column.long += u64::from(long);
        if number.scientific {
            continue;
        }
        match column.plain.iter_mut().find(|(own, _)| *own == decimals) {
            Some((_, count)) => *count += 1,
            None => column.plain.push((decimals, 1)),
        }
    }
    let mut issues = Vec::new();
    for column in columns {
        let all: u64 = column.plain.iter().map(|(_, count)| count).sum();
        let most = column.plain.iter().map(|(_, count)| *count).max();
        for (issue, count) in [
            (PrecisionIssue::ExcessivePrecision, column.excessive),
            (
                PrecisionIssue::InconsistentDecimals,
                all - most.unwrap_or(0),
            ),
            (PrecisionIssue::SigfigViolation, column.long),
        ] {
            if count > 0 {
                issues.push(Issue {
                    column: column.name,
                    issue,
                    count,
                });
            }
        }
    }
    issues
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rows: &str, rule: PrecisionRule) -> Vec<(String, &'static str, u64)> {
        let table = Node::parse(&format!("{{\"rows\": {rows}}}")).unwrap();
        check_table(&table, rule)
            .into_iter()
            .map(|issue| (issue.column, issue.issue.as_str(), issue.count))
            .collect()
    }

    #[test]
    fn an_issue_comes_once_a_column_with_a_count() {
        let rows = r#"[{"b": 1, "a": "1.234"}, "junk", {"a": "2.345", "b": "1.0"}, {"a": "3"}]"#;
        assert_eq!(
            found(rows, PrecisionRule::new()),
            [
                ("b".to_owned(), "INCONSISTENT_DECIMALS", 1),
                ("a".to_owned(), "EXCESSIVE_PRECISION", 2),
                ("a".to_owned(), "INCONSISTENT_DECIMALS", 1),
            ]
        );
    }

    #[test]
    fn only_digits_too_many_are_an_issue() {
        let two = PrecisionRule::new();
        for rows in [
            r#"[{"a": "1"}, {"a": 2}]"#,
            r#"[{"a": "12.5%"}, {"a": "1,234.5"}, {"a": "n/a"}, {"a": null}, {"a": true}]"#,
            r#"[{"a": "1.23e2"}, {"a": 5}]"#,
            "[]",
            "null",
            "\"x\"",
        ] {
            assert_eq!(found(rows, two), [], "{rows}");
        }
        // An exponent moves the decimals.
        assert_eq!(found(r#"[{"a": "1.5e-3"}]"#, two).len(), 1);
        assert_eq!(found(r#"[{"a": 1e-7}]"#, two).len(), 1);
    }

    #[test]
    fn significant_digits_are_counted_from_the_first_that_is_not_zero() {
        let three = PrecisionRule::new().max_decimals(9).max_sig_figs(Some(3));
        for (cell, long) in [
            ("\"0.00123\"", false),
            ("\"0.001234\"", true),
            ("\"1.00\"", false),
            ("\"1.000\"", true),
            ("120000", false),
            ("123400", true),
            ("\"1234567\"", true),
            ("0", false),
        ] {
            let issues = found(&format!("[{{\"a\": {cell}}}]"), three);
            assert_eq!(!issues.is_empty(), long, "{cell}");
        }
    }
}
