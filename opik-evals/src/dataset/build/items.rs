//! Items of any JSON.

use std::io::Write;

use super::{BuildReport, batch};
use crate::dataset::item::write_item;
use crate::dataset::items::parse;
use crate::dataset::records::{Records, view};
use crate::dataset::{DatasetError, Input, ReadOptions};

/// Writes [`Item`](crate::dataset::Item)s, one a line with sorted keys, of whatever objects there are.
///
/// What it writes is what [`ItemReader`](crate::dataset::ItemReader) gives, serialised.
///
/// ```
/// use opik_evals::dataset::{Input, ItemBuilder};
///
/// let input = r#"{"q": "2 + 2?", "expected_output": "4", "id": 7}"#;
/// let mut output = Vec::new();
/// let report = ItemBuilder::new().build([Input::reader("lines", input.as_bytes())], &mut output)?;
/// assert_eq!(report.written(), 1);
/// let line = "{\"data\":{\"q\":\"2 + 2?\"},\"expected_output\":\"4\",\"id\":\"7\"}\n";
/// assert_eq!(String::from_utf8(output)?, line);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct ItemBuilder {
    options: ReadOptions,
}

impl ItemBuilder {
    /// A builder that passes over what is no item, and counts it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How records are read.
    #[must_use]
    pub fn options(mut self, options: ReadOptions) -> Self {
        self.options = options;
        self
    }

    /// Reads objects, writes one item a line. The report has no labels and no columns.
    ///
    /// # Errors
    ///
    /// When reading or writing fails, or at the first unusable record when reading is strict.
    pub fn build(
        &self,
        inputs: impl IntoIterator<Item = Input>,
        output: &mut dyn Write,
    ) -> Result<BuildReport, DatasetError> {
        let records = Records::new(inputs, self.options);
        batch::build(records, output, |bytes, document, made, left| {
            let common = view(document, bytes).ok();
            if common
                .and_then(|record| write_item(&mut made.text, record))
                .is_none()
            {
                let line = parse(bytes).and_then(|item| {
                    serde_json::to_string(&item).map_err(|_| "it cannot be written".to_owned())
                });
                match line {
                    Ok(line) => made.text.extend([line.as_str(), "\n"]),
                    Err(reason) => return left.skip(reason),
                }
            }
            made.tally.add_plain();
            Ok(())
        })
    }
}
