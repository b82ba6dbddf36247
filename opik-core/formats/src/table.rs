//! Rows of datasets in files: CSV, JSON and JSONL, read and written.
//!
//! In CSV every value is a text, and the first line has the names. A cell that is a JSON object or
//! list is read as that, and names are in alphabetical order; numbers and words stay texts, as nobody can tell what a cell `007` was.

use std::collections::BTreeSet;

use opik_core::Json;
use serde_json::{Map, Value};

/// How rows are written in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableFormat {
    /// Comma-separated values with a line of names.
    Csv,
    /// A JSON list of objects.
    Json,
    /// One JSON object on each line.
    Jsonl,
}

impl TableFormat {
    /// The format with this name: `csv`, `json` or `jsonl`.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Some(match name {
            "csv" => Self::Csv,
            "json" => Self::Json,
            "jsonl" => Self::Jsonl,
            _ => return None,
        })
    }
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The text is not CSV.
    #[error("line {0} is not CSV of the columns that the first line names")]
    Csv(u64),
    /// The text is not JSON.
    #[error("not JSON at line {0}")]
    Json(usize),
    /// A row is not an object with something in it.
    #[error("row {0} is not a JSON object with something in it")]
    Row(usize),
}

/// The rows of a file. Blank lines are passed over, and cells that are blank are left out.
///
/// ```
/// use opik_formats::{TableFormat, read_table};
///
/// let rows = read_table(TableFormat::Csv, b"q,meta\nwhy?,\"{\"\"n\"\": 1}\"\n")?;
/// assert_eq!(rows[0].as_str(), r#"{"meta":{"n":1},"q":"why?"}"#);
/// # Ok::<(), opik_formats::TableError>(())
/// ```
///
/// # Errors
/// [`TableError`] with the place of the first problem.
pub fn read_table(format: TableFormat, bytes: &[u8]) -> Result<Vec<Json>, TableError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match format {
        TableFormat::Csv => read_csv(bytes),
        TableFormat::Json => {
            let rows: Vec<Json> =
                serde_json::from_slice(bytes).map_err(|error| TableError::Json(error.line()))?;
            rows.into_iter()
                .enumerate()
                .map(|(n, row)| object(n, row))
                .collect()
        }
        TableFormat::Jsonl => {
            let lines = bytes.split(|byte| *byte == b'\n').enumerate();
            lines
                .filter(|(_, line)| !line.trim_ascii().is_empty())
                .map(|(n, line)| {
                    let row = serde_json::from_slice(line).map_err(|_| TableError::Json(n + 1))?;
                    object(n, row)
                })
                .collect()
        }
    }
}

/// The row as it is written, if it is an object with something in it.
fn object(n: usize, row: Json) -> Result<Json, TableError> {
    let inside = row.as_str().trim_start().strip_prefix('{');
    if inside.is_some_and(|inside| inside.trim_start().starts_with('"')) {
        Ok(row)
    } else {
        Err(TableError::Row(n + 1))
    }
}

fn read_csv(bytes: &[u8]) -> Result<Vec<Json>, TableError> {
    let mut reader = csv::ReaderBuilder::new().from_reader(bytes);
    let line =
        |error: &csv::Error| TableError::Csv(error.position().map_or(1, csv::Position::line));
    let names = reader.headers().map_err(|error| line(&error))?.clone();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| line(&error))?;
        let mut members = Map::new();
        for (name, cell) in names.iter().zip(&record) {
            if !cell.is_empty() {
                members.insert(name.to_owned(), cell_value(cell));
            }
        }
        if !members.is_empty() {
            rows.push(Json::from_value(&Value::Object(members)));
        }
    }
    Ok(rows)
}

fn cell_value(cell: &str) -> Value {
    if cell.trim_start().starts_with(['{', '[']) {
        serde_json::from_str(cell).unwrap_or_else(|_| Value::String(cell.to_owned()))
    } else {
        Value::String(cell.to_owned())
    }
}

/// Rows as CSV: a column for each member, by name. Values that are no texts are written as JSON.
///
/// ```
/// use opik_core::Json;
///
/// let rows = [Json::parse(r#"{"q": "a, b", "n": 1}"#)?];
/// assert_eq!(opik_formats::write_csv(&rows), b"n,q\n1,\"a, b\"\n");
/// # Ok::<(), opik_core::json::JsonError>(())
/// ```
#[must_use]
pub fn write_csv(rows: &[Json]) -> Vec<u8> {
    let rows: Vec<Map<String, Value>> = rows
        .iter()
        .filter_map(|row| match row.to_value() {
            Ok(Value::Object(members)) => Some(members),
            _ => None,
        })
        .collect();
    let names: BTreeSet<&str> = rows
        .iter()
        .flat_map(|row| row.keys())
        .map(String::as_str)
        .collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing to memory does not fail, and every record has as many fields as there are names.
    let mut failed = names.is_empty() || writer.write_record(&names).is_err();
    for row in &rows {
        let cells = names.iter().map(|name| match row.get(*name) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        });
        failed |= !names.is_empty() && writer.write_record(cells).is_err();
    }
    if failed {
        return Vec::new();
    }
    writer.into_inner().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(rows: &[Json]) -> Vec<&str> {
        rows.iter().map(Json::as_str).collect()
    }

    #[test]
    fn csv_has_texts_and_nested_json() {
        let file = "q,expected\n\"says \"\"hi\"\"\nthere\",007\n,\n\"[1, 2]\",{not json\n";
        let rows = read_table(TableFormat::Csv, file.as_bytes()).unwrap();
        assert_eq!(
            texts(&rows),
            [
                r#"{"expected":"007","q":"says \"hi\"\nthere"}"#,
                r#"{"expected":"{not json","q":[1,2]}"#
            ]
        );
        assert_eq!(
            read_table(TableFormat::Csv, &write_csv(&rows))
                .unwrap()
                .len(),
            2
        );
        assert!(matches!(
            read_table(TableFormat::Csv, b"a,b\n1,2,3\n"),
            Err(TableError::Csv(2))
        ));
        assert!(matches!(
            read_table(TableFormat::Csv, b"a\n\xff\n"),
            Err(TableError::Csv(_))
        ));
        assert_eq!(write_csv(&[]), b"");
    }

    #[test]
    fn json_and_jsonl_name_the_place_of_a_problem() {
        let rows = read_table(TableFormat::Json, b"[{\"a\": 1}, {\"b\": null}]").unwrap();
        assert_eq!(texts(&rows), [r#"{"a": 1}"#, r#"{"b": null}"#]);
        let rows = read_table(TableFormat::Jsonl, b"\xef\xbb\xbf{\"a\": 1}\n\n{\"a\": 2}").unwrap();
        assert_eq!(rows.len(), 2);
        let problem = |format, text: &[u8]| read_table(format, text).unwrap_err().to_string();
        assert_eq!(
            problem(TableFormat::Jsonl, b"{\"a\": 1}\n{"),
            "not JSON at line 2"
        );
        assert_eq!(
            problem(TableFormat::Json, b"[{\"a\": 1}, {}]"),
            "row 2 is not a JSON object with something in it"
        );
        assert_eq!(problem(TableFormat::Json, b"{}"), "not JSON at line 1");
    }
}
