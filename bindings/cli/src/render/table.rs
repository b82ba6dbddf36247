//! Tables: columns as wide as they need, one of them as wide as is left.

use anstyle::Style;

use super::glyphs::Glyphs;
use super::style::DIM;
use super::text::{clean, fit, pad, pad_left, width};

/// Where the text of a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// A cell: plain text and its style.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub(crate) fn new(text: impl AsRef<str>) -> Self {
        Self::styled(text, Style::new())
    }

    pub(crate) fn styled(text: impl AsRef<str>, style: Style) -> Self {
        Self {
            text: clean(text.as_ref()),
            style,
        }
    }
}

/// A table with a heading.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<Cell>>,
    /// The column that gives way when the table is too wide.
    flexible: usize,
    /// The column that gives way next.
    squeezed: Option<usize>,
}

/// Between two columns.
const GAP: &str = "  ";
/// The flexible column gets as narrow as this before the squeezed one is cut.
const ENOUGH: usize = 16;
/// The flexible column never gets narrower than this.
const LEAST: usize = 8;

impl Table {
    /// A table in which the column `flexible` is cut when there is no room.
    pub(crate) fn new(columns: Vec<(&'static str, Align)>, flexible: usize) -> Self {
        Self {
            columns,
            rows: Vec::new(),
            flexible,
            squeezed: None,
        }
    }

    /// Names a column that is cut when the flexible one is as narrow as is bearable. All that may
    /// be left of it is its first character.
    pub(crate) fn squeezing(mut self, column: usize) -> Self {
        self.squeezed = Some(column);
        self
    }

    /// Adds a row with one cell per column.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The table as lines.
    pub(crate) fn render(&self, columns: usize, glyphs: &Glyphs) -> String {
        let widths = self.widths(columns);
        let heading: Vec<Cell> = self
            .columns
            .iter()
            .map(|(name, _)| Cell::styled(name, DIM))
            .collect();
        let mut text = String::new();
        for row in std::iter::once(&heading).chain(&self.rows) {
            let mut line = String::new();
            let last = row.len().saturating_sub(1);
            for (index, (cell, (&wide, (_, align)))) in
                row.iter().zip(widths.iter().zip(&self.columns)).enumerate()
            {
                let fitted = if Some(index) == self.squeezed && wide < 3 {
                    cell.text.chars().take(wide).collect()
                } else {
                    fit(&cell.text, wide, glyphs)
                };
                let placed = match align {
                    Align::Right => pad_left(&fitted, wide),
                    Align::Left if index == last => fitted,
                    Align::Left => pad(&fitted, wide),
                };
                let style = cell.style;
                if index > 0 {
                    line.push_str(GAP);
                }
                if style == Style::new() || placed.trim().is_empty() {
                    line.push_str(&placed);
                } else {
                    line.push_str(&format!("{style}{placed}{style:#}"));
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn widths(&self, columns: usize) -> Vec<usize> {
        let mut widths: Vec<usize> = self.columns.iter().map(|(name, _)| width(name)).collect();
        for row in &self.rows {
            for (wide, cell) in widths.iter_mut().zip(row) {
                *wide = (*wide).max(width(&cell.text));
            }
        }
        let gaps = GAP.len() * widths.len().saturating_sub(1);
        let total = widths.iter().sum::<usize>() + gaps;
        let mut excess = total.saturating_sub(columns);
        let steps = [
            (Some(self.flexible), ENOUGH),
            (self.squeezed, 1),
            (Some(self.flexible), LEAST),
        ];
        for (column, least) in steps {
            if let Some(wide) = column.and_then(|column| widths.get_mut(column)) {
                let narrow = wide.saturating_sub(excess).max((*wide).min(least));
                excess = excess.saturating_sub(*wide - narrow);
                *wide = narrow;
            }
        }
        widths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(
            vec![
                ("ID", Align::Left),
                ("NAME", Align::Left),
                ("SPANS", Align::Right),
            ],
            1,
        );
        table.row(vec![
            Cell::new("f1790444"),
            Cell::new("magentic-one"),
            Cell::new("44"),
        ]);
        table.row(vec![
            Cell::new("00000001"),
            Cell::new("a\nb"),
            Cell::new("1,000"),
        ]);
        table
    }

    #[test]
    fn columns_are_as_wide_as_they_need() {
        let text = table().render(80, &Glyphs::UNICODE);
        let plain = anstream::adapter::strip_str(&text).to_string();
        insta::assert_snapshot!(plain, @r"
        ID        NAME          SPANS
        f1790444  magentic-one     44
        00000001  a b           1,000
        ");
    }

    #[test]
    fn the_flexible_column_gives_way() {
        let text = table().render(26, &Glyphs::UNICODE);
        let plain = anstream::adapter::strip_str(&text).to_string();
        insta::assert_snapshot!(plain, @r"
        ID        NAME       SPANS
        f1790444  magentic…     44
        00000001  a b        1,000
        ");
        assert!(plain.lines().all(|line| width(line) <= 26));
    }

    #[test]
    fn the_squeezed_column_gives_way_before_the_name_is_unreadable() {
        let mut table = Table::new(vec![("NAME", Align::Left), ("", Align::Left)], 0).squeezing(1);
        table.row(vec![
            Cell::new("a name of twenty-four ch"),
            Cell::new("✗ ToolError"),
        ]);
        let at = |columns| {
            let text = table.render(columns, &Glyphs::UNICODE);
            anstream::adapter::strip_str(&text).to_string()
        };
        let last = |columns| at(columns).lines().last().map(str::to_owned);
        for (columns, line) in [
            (30, "a name of twenty…  ✗ ToolError"),
            (25, "a name of twent…  ✗ Tool…"),
            (19, "a name of twent…  ✗"),
            (12, "a name o…  ✗"),
        ] {
            assert_eq!(last(columns).as_deref(), Some(line));
        }
    }
}
