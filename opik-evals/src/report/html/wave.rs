//! A trace as bars.

use super::super::WaterfallRow;
use super::super::escape::{html as safe, shortened};
use super::super::figures::millis;
use super::chart::put;
use std::fmt::Write as _;

/// The spans of a trace, one under another, on one axis of time.
pub(super) fn waterfall(rows: &[WaterfallRow]) -> String {
    const W: f64 = 900.0;
    const ROW: f64 = 18.0;
    const LEFT: f64 = 270.0;
    let end = rows
        .iter()
        .map(|row| row.start_ms + row.duration_ms)
        .fold(0.0, f64::max)
        .max(0.001);
    let height = ROW * rows.len() as f64 + 6.0;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {W} {height}\" role=\"img\" aria-label=\"the recorded trace\">"
    );
    for (place, row) in rows.iter().enumerate() {
        let y = ROW * place as f64 + 2.0;
        let indent = (row.depth.min(12) * 12) as f64;
        let (x, width) = (
            LEFT + row.start_ms / end * (W - LEFT - 80.0),
            (row.duration_ms / end * (W - LEFT - 80.0)).max(1.5),
        );
        let class = if row.failed { "fb" } else { "f" };
        put!(
            svg,
            "<text class=\"k\" x=\"{indent}\" y=\"{:.1}\">{}</text>",
            y + 12.0,
            safe(&shortened(&row.name, 34))
        );
        put!(
            svg,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"11\" rx=\"2\"><title>{}: {}</title></rect>",
            y + 3.0,
            safe(&row.name),
            millis(row.duration_ms)
        );
        put!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            x + width + 5.0,
            y + 12.0,
            millis(row.duration_ms)
        );
    }
    svg.push_str("</svg>");
    svg
}
