//! A trace as a tree: who called whom, with the facts of each span behind its name.

use opik_core::TraceTree;
use opik_core::tree::NodeId;

use super::critical::CriticalTimes;
use super::folding::{Row, rows};
use super::glyphs::Glyphs;
use super::numbers::{count, dollars, duration};
use super::style::{BAD, CRITICAL, DIM, STRONG};
use super::text::{clean, fit, short_id, width};

/// Levels of guides that are drawn; deeper spans say their depth.
const LEVELS: usize = 16;

/// Draws a tree of at most about `limit` spans; `None` draws them all.
pub(crate) fn tree(
    tree: &TraceTree,
    critical: &CriticalTimes,
    limit: Option<usize>,
    columns: usize,
    glyphs: &Glyphs,
) -> String {
    let rows = rows(tree, critical, limit);
    let depths: Vec<usize> = rows
        .iter()
        .map(|row| match *row {
            Row::Span(node) => tree.depth(node),
            Row::Folded { depth, .. } => depth,
        })
        .collect();
    let mut text = String::new();
    for (row, guide) in rows.iter().zip(guides(&depths, glyphs)) {
        match *row {
            Row::Span(node) => text.push_str(&line(tree, critical, node, &guide, columns, glyphs)),
            Row::Folded { count: n, .. } => text.push_str(&format!(
                "{DIM}{guide}{} {} more{DIM:#}\n",
                glyphs.ellipsis,
                count(i128::try_from(n).unwrap_or(0))
            )),
        }
    }
    text
}

/// The guides before each row. From the last row up, so that each level knows whether it goes on.
fn guides(depths: &[usize], glyphs: &Glyphs) -> Vec<String> {
    let mut open: Vec<bool> = Vec::new();
    let mut guides: Vec<String> = depths
        .iter()
        .rev()
        .map(|&depth| {
            open.resize(depth.min(LEVELS) + 1, false);
            if depth > LEVELS {
                return format!("{}[{depth}] ", "   ".repeat(LEVELS));
            }
            let mut guide = String::new();
            for level in open.get(1..depth).unwrap_or_default() {
                guide.push_str(if *level { glyphs.pass } else { "   " });
            }
            if let Some(goes_on) = open.get_mut(depth) {
                if depth > 0 {
                    guide.push_str(if *goes_on {
                        glyphs.branch
                    } else {
                        glyphs.last_branch
                    });
                }
                *goes_on = true;
            }
            guide
        })
        .collect();
    guides.reverse();
    guides
}

fn line(
    tree: &TraceTree,
    critical: &CriticalTimes,
    node: NodeId,
    guide: &str,
    columns: usize,
    glyphs: &Glyphs,
) -> String {
    let span = tree.span(node);
    let name = clean(span.name.as_deref().unwrap_or("(no name)"));
    let mut facts = vec![short_id(span.id), duration(tree.interval(node).micros())];
    if span.kind().as_str() != "general" {
        facts.push(clean(span.kind().as_str()));
    }
    facts.extend(span.model.as_deref().map(clean));
    if let Some(tokens) = span.usage.total_tokens() {
        facts.push(format!("{} tokens", count(tokens)));
    }
    facts.extend(span.total_estimated_cost.map(dollars));
    if tree.has_inferred_parent(node) {
        facts.push("parent guessed".to_owned());
    }
    let facts = facts.join(glyphs.dot);

    let (mark, style) = if span.error_info.is_some() {
        (format!("{BAD}{}{BAD:#} ", glyphs.error), BAD)
    } else if critical.micros(node) > 0 {
        (format!("{CRITICAL}{}{CRITICAL:#} ", glyphs.on_path), STRONG)
    } else {
        (String::new(), STRONG)
    };
    let taken = width(guide) + 2;
    let name = fit(&name, columns.saturating_sub(taken).max(8), glyphs);
    let mut rest = columns.saturating_sub(taken + width(&name) + 2);
    let facts = fit(&facts, rest, glyphs);
    rest = rest.saturating_sub(width(&facts) + 2);
    let error = span.error_info.as_ref().map_or_else(String::new, |error| {
        let error = fit(&clean(&error.exception_type), rest, glyphs);
        format!("  {BAD}{error}{BAD:#}")
    });
    format!("{DIM}{guide}{DIM:#}{mark}{style}{name}{style:#}  {DIM}{facts}{DIM:#}{error}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample::Sample;

    #[test]
    fn guides_join_siblings_and_end_with_the_last() {
        let mut sample = Sample::new();
        let root = sample.span("agent", None, 0, 10_000);
        let plan = sample.span("plan", Some(root), 0, 2_000);
        sample.llm(plan, "gpt-4o", 900, 100);
        let tools = sample.span("tools", Some(root), 2_000, 8_000);
        sample.span("search", Some(tools), 2_000, 8_000);
        let read = sample.span("read", Some(tools), 2_000, 4_000);
        sample.fail(read, "FileNotFoundError");
        sample.span("answer", Some(root), 8_000, 10_000);
        let built = sample.tree();
        let times = CriticalTimes::of(&built, &[]);
        let text = tree(&built, &times, None, 80, &Glyphs::UNICODE);
        let plain = anstream::adapter::strip_str(&text).to_string();
        insta::assert_snapshot!(plain, @r#"
        agent  5fd29f05 · 10 s
        ├─ plan  bfa53e0a · 2 s · llm · gpt-4o · 1,000 tokens
        ├─ tools  1f77dd0f · 6 s
        │  ├─ ✗ read  df1d1b1a · 2 s  FileNotFoundError
        │  └─ search  7f4a7c15 · 6 s
        └─ answer  3eefba1f · 2 s
        "#);
        assert!(plain.lines().all(|line| width(line) <= 80));
    }

    #[test]
    fn a_chain_of_ten_thousand_has_short_lines() {
        let mut sample = Sample::new();
        let mut above = sample.span("root", None, 0, 50_000);
        for n in 1..10_000 {
            above = sample.span("call", Some(above), n, 50_000 - n);
        }
        let built = sample.tree();
        let times = CriticalTimes::of(&built, &[]);
        let text = tree(&built, &times, None, 100, &Glyphs::UNICODE);
        assert_eq!(text.lines().count(), 10_000);
        assert!(text.contains("[9999] "));
        assert!(text.len() < 2_500_000);
    }
}
