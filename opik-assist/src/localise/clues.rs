//! What speaks for and against a step, in points.

use std::cell::OnceCell;
use std::sync::LazyLock;

use foldhash::HashSet;
use memchr::memmem::Finder;
use opik_core::TraceTree;

use super::Reason;
use super::step::{Part, Step};

/// How many earlier steps are searched for a repetition.
const WINDOW: usize = 12;
/// Two steps are a repetition when they share this part of their words.
const ALIKE: f64 = 0.8;
/// Bytes that are looked at as one.
const BLOCK: usize = 32;
/// Steps of fewer distinct words are not compared.
const WORDS: usize = 8;

/// The points of every step; `None` for those that decide nothing.
pub(super) struct Clues {
    pub(super) points: Vec<Option<Vec<Reason>>>,
}

impl Clues {
    pub(super) fn of(tree: &TraceTree, steps: &[Step<'_>]) -> Self {
        let question = tree.trace().input.as_ref();
        let mut known = numbers(question.map_or("", opik_core::Json::as_str));
        let team = steps.iter().any(|step| step.leads);
        let is_worker = |step: &Step<'_>| team && !step.leads && step.part == Part::Decision;
        let last_worker = steps.iter().rposition(is_worker);
        // Only those of steps with one name are compared.
        let words: Vec<OnceCell<HashSet<&str>>> = vec![OnceCell::new(); steps.len()];
        let (mut decided, mut worked, mut claimed) = (0u32, 0u32, false);
        let mut points = Vec::with_capacity(steps.len());
        for (at, step) in steps.iter().enumerate() {
            let figures = numbers(&step.text);
            let new = figures.difference(&known).count();
            if step.part == Part::Decision {
                let mut tally = Tally::default();
                let has_code = contains(&step.text, std::slice::from_ref(&LOOKED_FOR.code));
                let previous = at.checked_sub(1).and_then(|at| steps.get(at));
                let after_output = previous.is_some_and(|step| step.part == Part::Output);
                let claims = at > 0 && contains(&step.text, &LOOKED_FOR.claims);
                tally.add(
                    1.7,
                    at_most_once(last_worker == Some(at)),
                    "the last one that acted for the leader before the answer was given",
                );
                tally.add(
                    1.4,
                    at_most_once(has_code),
                    "it wrote the code that the result rests on",
                );
                if at > 0 && !has_code && !step.leads {
                    tally.add(
                        0.5,
                        log(new).min(3.0),
                        "it brings figures that nothing before it contains",
                    );
                }
                let stalls = steps
                    .iter()
                    .skip(at + 1)
                    .take(2)
                    .any(|next| is_stalled(&next.text));
                tally.add(
                    0.6,
                    at_most_once(stalls),
                    "the run made no progress after it",
                );
                tally.add(
                    -1.2,
                    at_most_once(after_output),
                    "it answers what a tool returned",
                );
                tally.add(
                    -0.7,
                    at_most_once(at > 0 && contains(&step.text, &LOOKED_FOR.asks)),
                    "it only asks",
                );
                let repeats = repeats(steps, &words, at);
                tally.add(-0.6, at_most_once(repeats), "it repeats an earlier step");
                tally.add(
                    -0.5,
                    at_most_once(claims && !claimed),
                    "the first to confirm a result",
                );
                tally.add(
                    -0.4,
                    at_most_once(step.text.starts_with("initial plan")),
                    "it is the plan",
                );
                tally.add(-0.1, log(decided as usize), "much was decided before it");
                if is_worker(step) {
                    tally.add(-0.3, log(worked as usize), "much was done before it");
                    worked += 1;
                }
                decided += 1;
                claimed |= claims;
                points.push(Some(tally.0));
            } else {
                points.push(None);
            }
            known.extend(figures);
        }
        Self { points }
    }
}

/// What is looked for in every step.
struct Words {
    code: Finder<'static>,
    claims: [Finder<'static>; 4],
    asks: [Finder<'static>; 4],
    loops: Finder<'static>,
    progress: Finder<'static>,
}

static LOOKED_FOR: LazyLock<Words> = LazyLock::new(|| Words {
    code: Finder::new("```"),
    claims: ["verified", "confirmed", "correct", "accurate"].map(Finder::new),
    asks: ["please provide", "please share", "could you", "let me know"].map(Finder::new),
    loops: Finder::new("is_in_loop"),
    progress: Finder::new("is_progress_being_made"),
});

#[derive(Default)]
struct Tally(Vec<Reason>);

impl Tally {
    fn add(&mut self, weight: f64, amount: f64, text: &'static str) {
        if amount != 0.0 {
            self.0.push(Reason {
                text,
                points: weight * amount,
            });
        }
    }
}

fn at_most_once(seen: bool) -> f64 {
    if seen { 1.0 } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "the logarithm of a count")]
fn log(count: usize) -> f64 {
    (count as f64).ln_1p()
}

fn contains(text: &str, any: &[Finder<'_>]) -> bool {
    any.iter().any(|word| word.find(text.as_bytes()).is_some())
}

fn words(text: &str) -> HashSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect()
}

/// Figures of two and more characters, as they are written: `42`, `4,965`, `3.14`.
fn numbers(text: &str) -> HashSet<&str> {
    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b',' | b'.');
    // Most text has none: a block is looked at as one.
    let has_part = |block: &[u8; BLOCK]| block.iter().fold(false, |any, byte| any | is_part(byte));
    let mut figures = HashSet::default();
    let mut rest = text;
    loop {
        let blocks = rest.as_bytes().as_chunks::<BLOCK>().0;
        let none = blocks.iter().take_while(|block| !has_part(block)).count() * BLOCK;
        let mut bytes = rest.bytes().skip(none);
        let Some(begin) = bytes.position(|byte| is_part(&byte)) else {
            break;
        };
        rest = rest.get(none + begin..).unwrap_or_default();
        let end = rest.bytes().position(|byte| !is_part(&byte));
        let (run, after) = rest
            .split_at_checked(end.unwrap_or(rest.len()))
            .unwrap_or((rest, ""));
        let figure = run.trim_matches([',', '.']);
        if figure.len() >= 2 {
            figures.insert(figure);
        }
        rest = after;
    }
    figures
}

/// Whether a step of the same name among the last ones says nearly the same.
#[expect(clippy::cast_precision_loss, reason = "counts of words")]
fn repeats<'s>(steps: &'s [Step<'_>], known: &[OnceCell<HashSet<&'s str>>], at: usize) -> bool {
    let Some((step, own)) = steps.get(at).zip(known.get(at)) else {
        return false;
    };
    let from = at.saturating_sub(WINDOW);
    let earlier = steps.iter().zip(known).take(at).skip(from);
    let mut alike = earlier
        .filter(|(other, _)| other.name == step.name)
        .peekable();
    if alike.peek().is_none() {
        return false;
    }
    let own = own.get_or_init(|| words(&step.text));
    own.len() >= WORDS
        && alike
            .map(|(other, known)| known.get_or_init(|| words(&other.text)))
            .any(|other| {
                let shared = own.intersection(other).count();
                let all = own.len() + other.len() - shared;
                shared as f64 >= ALIKE * all as f64
            })
}

/// Whether a team leader's ledger says that the run is in a loop or makes no progress.
fn is_stalled(text: &str) -> bool {
    let answer = |question: &Finder<'_>| {
        let after = question.find(text.as_bytes())? + question.needle().len();
        let rest = text.get(after..)?;
        let rest = rest.split_once("\"answer\":")?.1.trim_start();
        Some(rest.starts_with("true"))
    };
    answer(&LOOKED_FOR.loops) == Some(true) || answer(&LOOKED_FOR.progress) == Some(false)
}
