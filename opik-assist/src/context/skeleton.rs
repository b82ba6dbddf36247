//! The outline of a trace: a line for every span that was chosen, and counted lines for the rest.
//!
//! ```text
//! s1 step run 12.3 s
//!  s2 llm plan 340 ms 1,280 tok $0.0004
//!  s3 tool search 1.20 s ERR
//!  x37 tool search [12.0/40.1/910 ms; 3 ERR; 148 spans] s4..s180
//!   ..x9,984 spans in between [2 ERR]
//!    s9990 tool write 8.00 ms
//! ```
//!
//! Every span of the trace is either in a line of its own or counted in exactly one other line, so
//! sums over the lines are sums over the trace.

use std::cell::RefCell;
use std::rc::Rc;

use foldhash::HashMap;
use opik_core::TraceTree;
use opik_core::tree::NodeId;

use super::SpanLabel;
use super::fence::{clean, push_clean};
use super::shape::Shapes;
use super::texts::Text;
use super::tokens::{estimate, head};
use crate::PerNode;
use crate::analysis::Evidence;
use crate::figures::{dollars, duration, whole};
use crate::label::kind_word;
use crate::per_node::NodeMap;
use crate::spend::Amount;

/// Levels that are shown by indentation; deeper ones are told by number.
const INDENT: usize = 12;
/// Tokens of a name in a line of its own, and in a counted line.
const NAME: usize = 16;
const SHORT_NAME: usize = 8;
/// Names in a counted line.
const NAMES: usize = 3;

/// What lines are made from.
#[derive(Debug)]
pub(super) struct Skeleton<'a> {
    pub(super) tree: &'a TraceTree,
    pub(super) evidence: &'a Evidence,
    pub(super) shapes: &'a Shapes,
    nodes: Vec<NodeId>,
    /// Lines that were made, since every round of choosing writes them again.
    lines: RefCell<NodeMap<Line>>,
}

/// The line of a span without its indentation, with its line feed.
#[derive(Debug, Clone)]
struct Line {
    text: Rc<str>,
    tokens: usize,
}

/// The lines, and how many spans have none of their own.
#[derive(Debug, Default)]
pub(super) struct Rendered {
    pub(super) text: String,
    /// The tokens of the text: those of its lines, as each ends with a line feed.
    pub(super) tokens: usize,
    pub(super) folded: usize,
    /// Spans that were written though they were not chosen: alone and with nothing below them, a
    /// counted line would say less.
    pub(super) alone: Vec<NodeId>,
}

/// Spans that are walked through as the content of one span.
struct Frame {
    /// Siblings as a range of places, or spans that were chosen one by one.
    next: usize,
    end: usize,
    chosen: std::vec::IntoIter<NodeId>,
    level: usize,
    hidden: Vec<NodeId>,
}

impl<'a> Skeleton<'a> {
    pub(super) fn new(tree: &'a TraceTree, evidence: &'a Evidence, shapes: &'a Shapes) -> Self {
        let nodes = tree.nodes().collect();
        Self {
            tree,
            evidence,
            shapes,
            nodes,
            lines: RefCell::default(),
        }
    }

    /// The tokens of a span's line at a level.
    pub(super) fn tokens(&self, node: NodeId, level: usize) -> usize {
        indent_tokens(level) + self.line(node).tokens
    }

    fn line(&self, node: NodeId) -> Line {
        let mut lines = self.lines.borrow_mut();
        let line = lines.entry(node).or_insert_with(|| {
            let text = self.made_line(node);
            Line {
                tokens: estimate(&text),
                text: text.into(),
            }
        });
        line.clone()
    }

    fn made_line(&self, node: NodeId) -> String {
        let span = self.tree.span(node);
        let mut line = String::with_capacity(96);
        SpanLabel::of(node).push(&mut line);
        line.push(' ');
        push_clean(kind_word(span.kind()), &mut line);
        let name = clean(span.name.as_deref().unwrap_or_default());
        if !name.is_empty() {
            push_name(&mut line, &name, NAME);
        }
        line.push(' ');
        line.push_str(&duration(self.tree.interval(node).micros()));
        if self.evidence.errors.of(node).is_some() {
            line.push_str(" ERR");
        }
        let own = self
            .evidence
            .spend
            .own
            .get(node)
            .copied()
            .unwrap_or_default();
        if own.tokens > 0 {
            for part in [" ", &whole(own.tokens), " tok"] {
                line.push_str(part);
            }
        }
        if own.dollars > 0.0 {
            line.push_str(&format!(" {}", dollars(own.dollars)));
        }
        line.push('\n');
        line
    }

    /// All lines. Linear in the number of spans, without recursion.
    pub(super) fn render(&self, shown: &PerNode<bool>, texts: &NodeMap<Rc<Text>>) -> Rendered {
        let mut rendered = Rendered::default();
        let mut before = Vec::with_capacity(self.nodes.len() + 1);
        let mut count = 0usize;
        before.push(0);
        for &node in &self.nodes {
            count += usize::from(shown.at(node));
            before.push(count);
        }
        let shown_in = |from: usize, to: usize| {
            let at = |place: usize| before.get(place).copied().unwrap_or(count);
            at(to) - at(from)
        };
        let mut stack = vec![Frame::of(0..self.nodes.len(), 0)];
        while let Some(frame) = stack.last_mut() {
            if let Some(node) = frame.chosen.next() {
                let below = self.open(node, frame.level, texts, &mut rendered);
                stack.extend(below);
                continue;
            }
            let next = (frame.next < frame.end)
                .then(|| self.nodes.get(frame.next))
                .flatten();
            let Some(&node) = next else {
                self.fold(&mut frame.hidden, frame.level, &mut rendered);
                stack.pop();
                continue;
            };
            let begin = frame.next;
            frame.next += 1 + self.tree.descendants(node).len();
            if shown.at(node) {
                self.fold(&mut frame.hidden, frame.level, &mut rendered);
                let below = self.open(node, frame.level, texts, &mut rendered);
                stack.extend(below);
            } else if shown_in(begin, frame.next) == 0 {
                frame.hidden.push(node);
            } else {
                self.fold(&mut frame.hidden, frame.level, &mut rendered);
                let level = frame.level;
                let tops = self.between(node, shown, level, &mut rendered);
                stack.push(Frame {
                    chosen: tops.into_iter(),
                    ..Frame::of(0..0, level + 1)
                });
            }
        }
        rendered
    }

    /// Writes a span with its text; what is below it comes next.
    fn open(
        &self,
        node: NodeId,
        level: usize,
        texts: &NodeMap<Rc<Text>>,
        rendered: &mut Rendered,
    ) -> Option<Frame> {
        rendered.push_span(&self.line(node), level);
        if let Some(text) = texts.get(&node) {
            rendered.text.push_str(&text.lines);
            rendered.tokens += text.tokens;
        }
        let below = self.tree.descendants(node).len();
        let begin = node.index() + 1;
        (below > 0).then(|| Frame::of(begin..begin + below, level + 1))
    }

    /// One counted line for siblings of which nothing is shown.
    fn fold(&self, hidden: &mut Vec<NodeId>, level: usize, rendered: &mut Rendered) {
        let (Some(&first), Some(&last)) = (hidden.first(), hidden.last()) else {
            return;
        };
        if first == last && self.tree.descendants(first).len() == 0 {
            rendered.push_span(&self.line(first), level);
            rendered.alone.push(first);
            hidden.clear();
            return;
        }
        let mut sum = Sum::default();
        let mut times = Vec::with_capacity(hidden.len());
        let mut names: HashMap<(&str, &str), usize> = HashMap::default();
        for &node in hidden.iter() {
            sum.add(self, node);
            times.push(self.tree.interval(node).micros());
            let span = self.tree.span(node);
            let name = span.name.as_deref().unwrap_or_default();
            *names.entry((kind_word(span.kind()), name)).or_default() += 1;
        }
        let mut line = indent(level);
        line.push_str(&format!("x{}", count(hidden.len())));
        push_names(&mut line, names, hidden.len());
        line.push_str(" [");
        push_times(&mut line, &mut times);
        sum.push(&mut line);
        if sum.spans > hidden.len() {
            line.push_str(&format!("; {} spans", count(sum.spans)));
        }
        line.push_str(&format!("] {}", SpanLabel::of(first)));
        if hidden.len() > 1 {
            line.push_str(&format!("..{}", SpanLabel::of(last)));
        }
        line.push('\n');
        rendered.push(&line);
        rendered.folded += sum.spans;
        hidden.clear();
    }

    /// One counted line for spans between a shown span and shown ones far below it, which are
    /// returned.
    fn between(
        &self,
        node: NodeId,
        shown: &PerNode<bool>,
        level: usize,
        rendered: &mut Rendered,
    ) -> Vec<NodeId> {
        let mut sum = Sum::default();
        sum.add(self, node);
        let mut tops = Vec::new();
        let mut place = node.index() + 1;
        let end = place + self.tree.descendants(node).len();
        while let Some(&below) = (place < end).then(|| self.nodes.get(place)).flatten() {
            place += 1;
            if shown.at(below) {
                place += self.tree.descendants(below).len();
                sum.subtract(self, below);
                tops.push(below);
            }
        }
        let mut line = indent(level);
        line.push_str(&format!("..x{} spans in between [", count(sum.spans)));
        let mut figures = String::new();
        sum.push(&mut figures);
        line.push_str(figures.trim_start_matches("; "));
        line.push_str("]\n");
        rendered.push(&line);
        rendered.folded += sum.spans;
        tops
    }
}

impl Rendered {
    /// Adds a line with its line feed.
    fn push(&mut self, line: &str) {
        self.text.push_str(line);
        self.tokens += estimate(line);
    }

    /// Adds the line of a span.
    fn push_span(&mut self, line: &Line, level: usize) {
        push_indent(&mut self.text, level);
        self.text.push_str(&line.text);
        self.tokens += indent_tokens(level) + line.tokens;
    }
}

impl Frame {
    fn of(range: std::ops::Range<usize>, level: usize) -> Self {
        Self {
            next: range.start,
            end: range.end,
            chosen: Vec::new().into_iter(),
            level,
            hidden: Vec::new(),
        }
    }
}

/// What a counted line sums up.
#[derive(Default)]
struct Sum {
    spans: usize,
    failed: usize,
    spent: Amount,
}

impl Sum {
    fn add(&mut self, skeleton: &Skeleton<'_>, node: NodeId) {
        self.spans += 1 + skeleton.tree.descendants(node).len();
        self.failed += skeleton.shapes.below.at(node).failed;
        self.spent.add(skeleton.spent(node));
    }

    fn subtract(&mut self, skeleton: &Skeleton<'_>, node: NodeId) {
        self.spans -= 1 + skeleton.tree.descendants(node).len();
        self.failed -= skeleton.shapes.below.at(node).failed;
        let spent = skeleton.spent(node);
        self.spent.tokens = self.spent.tokens.saturating_sub(spent.tokens);
        self.spent.dollars = (self.spent.dollars - spent.dollars).max(0.0);
    }

    fn push(&self, line: &mut String) {
        if self.spent.tokens > 0 {
            line.push_str(&format!("; {} tok", whole(self.spent.tokens)));
        }
        // What is left of a subtraction of equal prices is no price.
        if self.spent.dollars > 1e-9 {
            line.push_str(&format!("; {}", dollars(self.spent.dollars)));
        }
        if self.failed > 0 {
            line.push_str(&format!("; {} ERR", count(self.failed)));
        }
    }
}

impl Skeleton<'_> {
    fn spent(&self, node: NodeId) -> Amount {
        self.evidence
            .spend
            .subtree
            .get(node)
            .copied()
            .unwrap_or_default()
    }
}

/// The space in front of a line; beyond some levels their number.
pub(super) fn indent(level: usize) -> String {
    let mut space = String::new();
    push_indent(&mut space, level);
    space
}

fn push_indent(line: &mut String, level: usize) {
    line.extend(std::iter::repeat_n(' ', level.min(INDENT)));
    if level > INDENT {
        line.push_str(&format!("{level}> "));
    }
}

/// What indentation adds to the tokens of a line that begins with a letter.
fn indent_tokens(level: usize) -> usize {
    match level {
        0 | 1 => 0,
        2..=INDENT => 1,
        _ => estimate(&(indent(level) + "s")) - 1,
    }
}

fn push_name(line: &mut String, name: &str, tokens: usize) {
    line.push(' ');
    if estimate(name) <= tokens {
        line.push_str(name);
    } else {
        line.push_str(head(name, tokens - 2));
        line.push('…');
    }
}

fn push_names(line: &mut String, names: HashMap<(&str, &str), usize>, all: usize) {
    let mut names: Vec<((&str, &str), usize)> = names.into_iter().collect();
    names.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let several = names.len() > 1;
    let mut named = 0;
    for (place, &((kind, name), times)) in names.iter().take(NAMES).enumerate() {
        line.push_str(match (several, place) {
            (false, _) => "",
            (true, 0) => ":",
            (true, _) => ",",
        });
        if several {
            line.push_str(&format!(" {}", count(times)));
        }
        line.push_str(&format!(" {}", clean(kind)));
        if !name.is_empty() {
            push_name(line, &clean(name), SHORT_NAME);
        }
        named += times;
    }
    if named < all {
        line.push_str(&format!(", {} others", count(all - named)));
    }
}

/// Least, median and most of durations, with the unit once where it is the same.
fn push_times(line: &mut String, times: &mut [i64]) {
    let middle = times.len() / 2;
    let (least, most) = (times.iter().min().copied(), times.iter().max().copied());
    let (Some(least), Some(most)) = (least, most) else {
        return;
    };
    if times.len() == 1 || least == most {
        line.push_str(&duration(most));
        return;
    }
    let median = *times.select_nth_unstable(middle).1;
    line.push_str(&format!(
        "{}/{}/{}",
        duration(least),
        duration(median),
        duration(most)
    ));
}

fn count(number: usize) -> String {
    whole(i64::try_from(number).unwrap_or(i64::MAX))
}
