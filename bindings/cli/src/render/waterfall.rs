//! A trace as a waterfall: one line per span, one bar per line, scaled to the whole trace.
//!
//! A bar is solid where the trace waited for that very span (the critical path) and shaded where
//! it did not, so the path can be read without colour.

use opik_core::TraceTree;
use opik_core::tree::{Interval, NodeId};

use super::critical::CriticalTimes;
use super::folding::{Row, rows};
use super::glyphs::Glyphs;
use super::numbers::{count, duration};
use super::style::{BAD, BESIDE, CRITICAL, DIM, STRONG};
use super::text::{clean, fit, pad, pad_left, width};

/// Columns of a span's type.
const TYPE: usize = 7;
/// Columns of a duration.
const DURATION: usize = 8;
/// Levels of indentation that are drawn; deeper spans say their depth.
const LEVELS: usize = 10;
/// Narrowest bar that is worth drawing.
const LEAST_BAR: usize = 10;

/// Draws a waterfall of at most about `limit` spans; `None` draws them all.
pub(crate) fn waterfall(
    tree: &TraceTree,
    critical: &CriticalTimes,
    limit: Option<usize>,
    columns: usize,
    glyphs: &Glyphs,
) -> String {
    let rows = rows(tree, critical, limit);
    let names: Vec<String> = rows.iter().map(|row| label(tree, *row, glyphs)).collect();
    let widest = names.iter().map(|name| width(name)).max().unwrap_or(0);
    // Mark and gap, name, type, duration, each with two columns between.
    let fixed = 2 + 2 + TYPE + 2 + DURATION + 2;
    let name = widest.clamp(4, (columns / 3).max(12));
    let bar = columns.saturating_sub(fixed + name).max(LEAST_BAR);
    let scale = Scale {
        wall: tree.wall(),
        columns: bar,
    };

    let mut text = heading(name, bar, tree.wall(), glyphs);
    let mut hidden = 0;
    for (row, label) in rows.iter().zip(&names) {
        let label = pad(&fit(label, name, glyphs), name);
        match *row {
            Row::Span(node) => {
                text.push_str(&line(tree, critical, node, &label, &scale, glyphs));
            }
            Row::Folded { count, .. } => {
                hidden += count;
                text.push_str(&format!("  {DIM}{}{DIM:#}\n", label.trim_end()));
            }
        }
    }
    text.push_str(&legend(glyphs));
    if hidden > 0 {
        text.push_str(&format!(
            "{DIM}{} of {} spans shown; --all shows every span{DIM:#}\n",
            count(i128::try_from(tree.len() - hidden).unwrap_or(0)),
            count(i128::try_from(tree.len()).unwrap_or(0)),
        ));
    }
    text
}

fn heading(name: usize, bar: usize, wall: Interval, glyphs: &Glyphs) -> String {
    let total = duration(wall.micros());
    let axis = pad_left(&total, bar.saturating_sub(1));
    let head = format!(
        "  {}  {}  {}  0{axis}",
        pad(&fit("SPAN", name, glyphs), name),
        pad("TYPE", TYPE),
        pad_left("TIME", DURATION),
    );
    format!("{DIM}{head}{DIM:#}\n")
}

fn legend(glyphs: &Glyphs) -> String {
    let Glyphs {
        critical,
        beside,
        on_path,
        error,
        ..
    } = glyphs;
    format!(
        "{DIM}{on_path} {critical} critical path: what the trace waited for   \
         {beside} beside it   {error} error{DIM:#}\n"
    )
}

/// The name of a row, indented.
fn label(tree: &TraceTree, row: Row, glyphs: &Glyphs) -> String {
    match row {
        Row::Span(node) => {
            let name = tree.span(node).name.as_deref().unwrap_or("(no name)");
            format!("{}{}", indent(tree.depth(node)), clean(name))
        }
        Row::Folded { count: n, depth } => format!(
            "{}{} {} more",
            indent(depth),
            glyphs.ellipsis,
            count(i128::try_from(n).unwrap_or(0))
        ),
    }
}

fn indent(depth: usize) -> String {
    if depth > LEVELS {
        format!("{}[{depth}] ", "  ".repeat(LEVELS))
    } else {
        "  ".repeat(depth)
    }
}

fn line(
    tree: &TraceTree,
    critical: &CriticalTimes,
    node: NodeId,
    label: &str,
    scale: &Scale,
    glyphs: &Glyphs,
) -> String {
    let span = tree.span(node);
    let on_path = critical.micros(node) > 0;
    let mark = if span.error_info.is_some() {
        format!("{BAD}{}{BAD:#}", glyphs.error)
    } else if on_path {
        format!("{CRITICAL}{}{CRITICAL:#}", glyphs.on_path)
    } else {
        " ".to_owned()
    };
    let label = if span.error_info.is_some() {
        format!("{BAD}{label}{BAD:#}")
    } else if on_path {
        format!("{STRONG}{label}{STRONG:#}")
    } else {
        label.to_owned()
    };
    let kind = pad(&fit(&clean(span.kind().as_str()), TYPE, glyphs), TYPE);
    let took = pad_left(&duration(tree.interval(node).micros()), DURATION);
    let bar = scale.bar(tree.interval(node), critical.stretches(node), glyphs);
    format!("{mark} {label}  {DIM}{kind}{DIM:#}  {took}  {bar}\n")
}

/// From moments to columns.
#[derive(Debug)]
struct Scale {
    wall: Interval,
    columns: usize,
}

impl Scale {
    /// The columns from `start` to `end`, at least one, the last excluded.
    fn columns(&self, stretch: Interval) -> (usize, usize) {
        let total = i128::from(self.wall.micros().max(1));
        let columns = i128::try_from(self.columns).unwrap_or(1);
        let place = |micros: i64, up: bool| {
            let scaled = i128::from(micros) * columns;
            let column = if up {
                (scaled + total - 1).div_euclid(total)
            } else {
                scaled.div_euclid(total)
            };
            usize::try_from(column.clamp(0, columns)).unwrap_or(0)
        };
        let from = place(stretch.start.micros_since(self.wall.start), false)
            .min(self.columns.saturating_sub(1));
        let to = place(stretch.end.micros_since(self.wall.start), true).max(from + 1);
        (from, to)
    }

    fn bar(&self, own: Interval, stretches: &[Interval], glyphs: &Glyphs) -> String {
        let (from, to) = self.columns(own);
        if own.micros() == 0 {
            return format!("{}{DIM}{}{DIM:#}", " ".repeat(from), glyphs.instant);
        }
        let mut waited = vec![false; to];
        for &stretch in stretches {
            let (first, end) = self.columns(stretch);
            for cell in waited.iter_mut().take(end).skip(first) {
                *cell = true;
            }
        }
        let cells = waited.get(from..).unwrap_or_default();
        let mut bar = " ".repeat(from);
        for run in cells.chunk_by(|a, b| a == b) {
            let (glyph, style) = match run.first() {
                Some(true) => (glyphs.critical, CRITICAL),
                _ => (glyphs.beside, BESIDE),
            };
            let run: String = std::iter::repeat_n(glyph, run.len()).collect();
            bar.push_str(&format!("{style}{run}{style:#}"));
        }
        bar
    }
}

#[cfg(test)]
mod tests {
    use opik_assist::critical_path::critical_path;

    use super::*;
    use crate::render::sample::Sample;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    fn agent() -> TraceTree {
        let mut sample = Sample::new();
        let root = sample.span("agent", None, 0, 10_000);
        let plan = sample.span("plan", Some(root), 0, 2_000);
        sample.llm(plan, "gpt-4o", 900, 100);
        let tools = sample.span("tools", Some(root), 2_000, 8_000);
        let search = sample.span("search", Some(tools), 2_000, 8_000);
        let read = sample.span("read\u{1b}[31m", Some(tools), 2_000, 4_000);
        sample.fail(read, "FileNotFoundError");
        let _ = search;
        sample.span("note", Some(root), 8_000, 8_000);
        let answer = sample.span("answer", Some(root), 8_000, 10_000);
        sample.llm(answer, "gpt-4o", 2_000, 300);
        sample.tree()
    }

    #[test]
    fn bars_are_scaled_to_the_trace_and_marked_on_the_critical_path() {
        let tree = agent();
        let path = critical_path(&tree);
        let times = CriticalTimes::of(&tree, &path.segments);
        let text = plain(&waterfall(&tree, &times, None, 70, &Glyphs::UNICODE));
        insta::assert_snapshot!(text, @r#"
          SPAN           TYPE         TIME  0                             10 s
          agent          general      10 s  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░
        ●   plan         llm           2 s  ███████
            tools        general       6 s        ░░░░░░░░░░░░░░░░░░░░░░
        ✗     read�[31m  general       2 s        ░░░░░░░░
        ●     search     general       6 s        ██████████████████████
            note         general      0 us                             ▏
        ●   answer       llm           2 s                             ███████
        ● █ critical path: what the trace waited for   ░ beside it   ✗ error
        "#);
        let ascii = plain(&waterfall(&tree, &times, None, 70, &Glyphs::ASCII));
        assert!(ascii.is_ascii() || ascii.contains('\u{fffd}'));
        assert!(text.lines().all(|line| width(line) <= 70));
    }

    #[test]
    fn a_long_trace_is_folded_and_says_how_much_is_missing() {
        let mut sample = Sample::new();
        let root = sample.span("loop", None, 0, 1_000);
        for n in 0..40 {
            sample.span("turn", Some(root), n * 25, n * 25 + 25);
        }
        let tree = sample.tree();
        let times = CriticalTimes::of(&tree, &[]);
        let text = plain(&waterfall(&tree, &times, Some(4), 70, &Glyphs::ASCII));
        assert!(text.contains("... 37 more"), "{text}");
        assert!(text.contains("4 of 41 spans shown"), "{text}");
    }
}
