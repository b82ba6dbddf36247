//! Columns of plain text.

/// A table whose columns are as wide as their widest cell.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Whether numbers in a column line up at the right.
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings; those that begin with `>` are over numbers.
    pub(super) fn new(headings: &[&str]) -> Self {
        let mut table = Self::default();
        let mut row = Vec::new();
        for heading in headings {
            table.right.push(heading.starts_with('>'));
            row.push(heading.trim_start_matches('>').to_owned());
        }
        table.rows.push(row);
        table
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(super) fn render(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.right.len()).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, width), right) in row.iter().zip(&widths).zip(&self.right) {
                if !line.is_empty() {
                    line.push_str("  ");
                }
                let gap = " ".repeat(width.saturating_sub(cell.chars().count()));
                if *right {
                    line.push_str(&gap);
                    line.push_str(cell);
                } else {
                    line.push_str(cell);
                    line.push_str(&gap);
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}
