//! Vyasa's two checks of the numbers in a table.

use super::{Numeric, Raised, Rounding, format_number};
use crate::dataset::Node;

/// What is wrong with a column.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PrecisionFlag {
    /// The table.
    pub table_id: String,
    /// The column.
    pub column: String,
    /// `EXCESSIVE_PRECISION` or `INCONSISTENT_DECIMALS`.
    pub issue: &'static str,
    /// A sentence about it.
    pub details: String,
}

const EXCESSIVE: &str = "EXCESSIVE_PRECISION";
const INCONSISTENT: &str = "INCONSISTENT_DECIMALS";

/// The identifier for flags: a default where there is none, an error where it is no text.
fn table_id(table: &Node) -> Result<String, Raised> {
    match table.get("table_id") {
        None => Ok("unknown_table".to_owned()),
        Some(Node::Text(id)) => Ok(id.clone()),
        Some(_) => Err(Raised::new("ValidationError", "`table_id` is no text")),
    }
}

fn inconsistent(table: &Node, column: &str) -> Result<PrecisionFlag, Raised> {
    Ok(PrecisionFlag {
        table_id: table_id(table)?,
        column: column.to_owned(),
        issue: INCONSISTENT,
        details: format!("Inconsistent decimal places in column {column}"),
    })
}

/// The rows that are objects.
fn rows(table: &Node) -> impl Iterator<Item = &[(String, Node)]> {
    let rows = table.get("rows").and_then(Node::list).unwrap_or_default();
    rows.iter().filter_map(Node::fields)
}

/// What Vyasa's `check_table_precision` finds: for each column, in the order of first appearance, a
/// value with more decimals than allowed, then more than one number of decimals.
///
/// # Errors
///
/// [`Raised`] where Python raises: a flag for a table whose `table_id` is no text.
pub fn check_table_precision(
    table: &Node,
    max_decimals: usize,
) -> Result<Vec<PrecisionFlag>, Raised> {
    struct Column<'a> {
        name: &'a str,
        counts: Vec<usize>,
        scientific: bool,
    }
    let mut columns: Vec<Column<'_>> = Vec::new();
    for (name, value) in rows(table).flatten() {
        let at = columns.iter().position(|column| column.name == name);
        let at = at.unwrap_or_else(|| {
            columns.push(Column {
                name,
                counts: Vec::new(),
                scientific: false,
            });
            columns.len() - 1
        });
        let number = Numeric::of(value);
        if let Some(column) = columns.get_mut(at)
            && number.is_numeric()
        {
            let decimals = number.decimals();
            if !column.counts.contains(&decimals) {
                column.counts.push(decimals);
            }
            column.scientific |= value.to_python().contains(['e', 'E', ',']);
        }
    }
    let mut flags = Vec::new();
    for column in columns {
        if column.counts.iter().any(|count| *count > max_decimals) {
            flags.push(PrecisionFlag {
                table_id: table_id(table)?,
                column: column.name.to_owned(),
                issue: EXCESSIVE,
                details: format!("Value exceeds {max_decimals} decimal places"),
            });
        }
        if column.counts.len() > 1 && !column.scientific {
            flags.push(inconsistent(table, column.name)?);
        }
    }
    Ok(flags)
}

/// What a table's numbers should look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contract {
    /// Decimals of every number.
    pub max_decimals: usize,
    /// Digits from which on a number is shortened first.
    pub max_sig_figs: usize,
    /// How the last digit is rounded.
    pub rounding: Rounding,
}

/// What Vyasa's `validate_table_precision` gives.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Validated {
    /// The table with its numbers rewritten.
    pub table: Node,
    /// A flag for each cell that is off.
    pub flags: Vec<PrecisionFlag>,
    /// Words about the table as a whole.
    pub warnings: Vec<String>,
}

/// What Vyasa's `validate_table_precision` does: rewrites each number and flags each cell, so that an
/// issue comes as often as there are cells with it. `conservative` adds warnings.
///
/// # Errors
///
/// [`Raised`] where Python raises: a flag for a table whose `table_id` is no text, or a number of
/// more than 28 digits.
pub fn validate_table_precision(
    table: &Node,
    contract: Contract,
    conservative: bool,
) -> Result<Validated, Raised> {
    let (mut flags, mut warnings) = (Vec::new(), Vec::new());
    if !matches!(table.get("rows"), None | Some(Node::Null | Node::List(_))) {
        return Ok(Validated {
            table: table.clone(),
            flags,
            warnings: vec!["invalid_rows".to_owned()],
        });
    }
    let mut first: Vec<(&str, usize)> = Vec::new();
    let mut rewritten = Vec::new();
    for row in rows(table) {
        let mut cells = Vec::with_capacity(row.len());
        for (column, value) in row {
            let number = Numeric::of(value);
            if number.normalized().is_none_or(str::is_empty) {
                if conservative {
                    warnings.push(format!("non_numeric_value:{column}"));
                }
                cells.push((column.clone(), value.clone()));
                continue;
            }
            // Here an exponent counts among the decimals.
            let text = value.to_python();
            let decimals = text
                .split_once('.')
                .map_or(0, |(_, rest)| rest.chars().count());
            match first.iter().find(|(name, _)| name == column) {
                None => first.push((column, decimals)),
                Some((_, expected)) if *expected != decimals => {
                    flags.push(inconsistent(table, column)?);
                }
                Some(_) => {}
            }
            let Contract {
                max_decimals,
                max_sig_figs,
                rounding,
            } = contract;
            let text = format_number(value, max_decimals, max_sig_figs, rounding)?;
            if number.normalized() != Some(&text) {
                flags.push(PrecisionFlag {
                    table_id: table_id(table)?,
                    column: column.clone(),
                    issue: EXCESSIVE,
                    details: format!(
                        "Normalized to {max_decimals} decimals / {max_sig_figs} sig figs"
                    ),
                });
            }
            cells.push((column.clone(), Node::Text(text)));
        }
        rewritten.push(Node::Object(cells));
    }
    if conservative && !flags.is_empty() {
        warnings.push("precision_contract_flags".to_owned());
    }
    let mut fields = table.fields().unwrap_or_default().to_vec();
    let rows = Node::List(rewritten);
    match fields.iter_mut().find(|(name, _)| name == "rows") {
        Some(field) => field.1 = rows,
        None => fields.push(("rows".to_owned(), rows)),
    }
    Ok(Validated {
        table: Node::Object(fields),
        flags,
        warnings,
    })
}
