//! How often the rules of `opik_assist::localise` find the step that people blame.
//!
//! Run it with `cargo run --release -p opik-examples --example localisation`. It reads the
//! labelled runs of AgentRx and Who&When that come with `opik-testkit`, or the files that are
//! given as arguments (JSONL, one `{source, trace, spans, truth}` a line, gzip by `.gz`).
//!
//! The runs are split in two by a hash of their source. The points of the rules and the constants
//! were chosen on the tuning half only; the held-out half is the score. The data sets overlap, so
//! a run whose question also occurs in the tuning half is not held out: it is left out. Beside the
//! rules stand answers that look at nothing: always the first, the last or the k-th step, always
//! the most frequent agent. No model is called.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use opik_assist::localise::localise;
use opik_core::{Span, SpanId, Trace, TraceTree};
use opik_evals::bootstrap_mean;
use serde::Deserialize;
use serde_json::Value;

/// Draws of the bootstrap, and its seed.
const RESAMPLES: usize = 10_000;
const SEED: u64 = 20_260_000;

#[derive(Deserialize)]
struct Line {
    source: String,
    trace: Trace,
    spans: Vec<Span>,
    truth: Value,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    Tuning,
    HeldOut,
    /// Of the other half by its hash, with a question of the tuning half.
    LeftOut,
}

/// A labelled run, reduced to what scoring needs.
struct Run {
    set: String,
    question: String,
    half: Half,
    /// Who acted in each step.
    agents: Vec<String>,
    /// The place of the blamed step.
    blamed: usize,
    blamed_agent: String,
    /// The place of the step that the rules put first.
    found: Option<usize>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if files.is_empty() {
        let fixture = |name| opik_testkit::fixtures::path(&format!("traces/{name}/opik.jsonl.gz"));
        files = ["agentrx", "who_and_when"].map(fixture).into();
    }
    let mut runs = Vec::new();
    for file in &files {
        runs.extend(read(file).map_err(|error| format!("{}: {error}", file.display()))?);
    }
    let tuned_on: HashSet<String> = runs
        .iter()
        .filter(|run| run.half == Half::Tuning)
        .map(|run| run.question.clone())
        .collect();
    for run in &mut runs {
        if run.half == Half::HeldOut && tuned_on.contains(&run.question) {
            run.half = Half::LeftOut;
        }
    }
    let mut sets: BTreeMap<&str, Vec<&Run>> = BTreeMap::new();
    for run in &runs {
        sets.entry(&run.set).or_default().push(run);
        sets.entry("together").or_default().push(run);
    }
    println!(
        "Error localisation by rules, without a model. Right answers in %, with the 95 % interval of a"
    );
    println!(
        "bootstrap ({RESAMPLES} draws). step: exactly the blamed step; +-1, +-3: at most that far away.\n"
    );
    println!(
        "{:<32} {:<9} {:>3}  {:<20} {:<14} {:<14} {:<14} {:<14}",
        "data set", "half", "n", "answer", "agent", "step", "+-1", "+-3"
    );
    let mut verdicts = Vec::new();
    for (name, runs) in &sets {
        let half = |half| {
            let runs = runs.iter().copied().filter(|run| run.half == half);
            runs.collect::<Vec<&Run>>()
        };
        let (tuning, held_out) = (half(Half::Tuning), half(Half::HeldOut));
        let constants = Constants::best_on(&tuning);
        for (half, runs) in [("tuning", &tuning), ("held out", &held_out)] {
            for answer in constants.answers() {
                print_row(name, half, runs, &answer);
            }
        }
        println!();
        verdicts.push(verdict(name, &held_out, &constants));
    }
    println!(
        "On the held-out half, the step of the rules against the constant that happens to do best there:"
    );
    for verdict in verdicts {
        println!("  {verdict}");
    }
    let left_out = runs.iter().filter(|run| run.half == Half::LeftOut).count();
    let people = runs
        .iter()
        .filter(|run| is_person(&run.blamed_agent))
        .count();
    println!(
        "\n{left_out} of {} runs are left out, since their question occurs in the tuning half.",
        runs.len()
    );
    println!(
        "In {people} of {} runs the blamed step is a person's or a user simulator's; the rules never blame those.",
        runs.len()
    );
    println!(
        "Few runs, wide intervals: take a difference for real only where its interval leaves out 0."
    );
    Ok(())
}

fn read(file: &Path) -> Result<Vec<Run>, Box<dyn Error>> {
    let source = File::open(file)?;
    let source: Box<dyn Read> = if file.extension().is_some_and(|end| end == "gz") {
        Box::new(MultiGzDecoder::new(source))
    } else {
        Box::new(source)
    };
    let mut runs = Vec::new();
    for line in BufReader::new(source).lines() {
        let line: Line = serde_json::from_str(&line?)?;
        runs.extend(label(line));
    }
    Ok(runs)
}

/// `None` when nobody said which step is to blame.
fn label(line: Line) -> Option<Run> {
    let span = |key| line.truth.get(key).and_then(Value::as_str)?.parse().ok();
    let blamed: SpanId = span("root_cause_span").or_else(|| span("mistake_span"))?;
    let set = line.source.rsplit_once('/').map_or("", |(set, _)| set);
    let question = line
        .trace
        .input
        .as_ref()
        .and_then(|json| json.to_value().ok());
    let question = question
        .as_ref()
        .and_then(|value| value.get("value").unwrap_or(value).as_str());
    let question = question.unwrap_or_default().trim().to_owned();
    let tree = TraceTree::build(line.trace, line.spans);
    let mut steps: Vec<(i64, SpanId, String)> = Vec::new();
    for node in tree.nodes() {
        let span = tree.span(node);
        let metadata = span.metadata.as_ref().and_then(|json| json.to_value().ok());
        let number = metadata
            .as_ref()
            .and_then(|value| value.get("step")?.as_i64());
        let agent = metadata
            .as_ref()
            .and_then(|value| value.get("agent")?.as_str());
        if let Some(number) = number {
            steps.push((number, span.id, agent.unwrap_or_default().to_owned()));
        }
    }
    steps.sort();
    let place = |id: SpanId| steps.iter().position(|(_, span, _)| *span == id);
    let blamed = place(blamed)?;
    let found = localise(&tree);
    let found = found
        .first()
        .and_then(|suspect| place(tree.span(suspect.node).id));
    let agents: Vec<String> = steps.iter().map(|(_, _, agent)| plain(agent)).collect();
    let blamed_agent = published_agent(&line.truth)
        .map_or_else(|| agents.get(blamed).cloned(), |name| Some(plain(name)));
    Some(Run {
        set: set.to_owned(),
        question,
        half: if fnv(&line.source).is_multiple_of(2) {
            Half::Tuning
        } else {
            Half::HeldOut
        },
        blamed,
        blamed_agent: blamed_agent?,
        agents,
        found,
    })
}

/// Who is blamed in words: by Who&When directly, by AgentRx in the failure at the root.
fn published_agent(truth: &Value) -> Option<&str> {
    if let Some(name) = truth.get("mistake_agent") {
        return name.as_str();
    }
    let step = truth.get("root_cause_step")?;
    let failures = truth.get("failures")?.as_array()?;
    let root = failures
        .iter()
        .find(|failure| failure.get("step_number") == Some(step))?;
    root.get("failed_agent")?.as_str()
}

/// A name without spelling: `Orchestrator (-> WebSurfer)` and `orchestrator` are one agent.
fn plain(agent: &str) -> String {
    agent.split(" (").next().unwrap_or_default().to_lowercase()
}

fn is_person(agent: &str) -> bool {
    ["human", "user"].contains(&agent)
}

/// FNV-1a, which splits the same way on every machine.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A way to answer.
enum Answer {
    Rules,
    Step(usize),
    Last,
    Agent(String),
}

impl Answer {
    fn name(&self) -> String {
        match self {
            Self::Rules => "rules".to_owned(),
            Self::Step(0) => "always the first".to_owned(),
            Self::Step(step) => format!("always step {step}"),
            Self::Last => "always the last".to_owned(),
            Self::Agent(name) => format!("always {}", name.chars().take(13).collect::<String>()),
        }
    }

    fn step(&self, run: &Run) -> Option<usize> {
        match self {
            Self::Rules => run.found,
            Self::Step(step) => Some(*step),
            Self::Last => run.agents.len().checked_sub(1),
            Self::Agent(_) => None,
        }
    }

    fn is_near(&self, run: &Run, distance: usize) -> bool {
        self.step(run)
            .is_some_and(|step| step.abs_diff(run.blamed) <= distance)
    }

    fn is_agent(&self, run: &Run) -> bool {
        let agent = match self {
            Self::Agent(name) => Some(name),
            other => other.step(run).and_then(|step| run.agents.get(step)),
        };
        agent == Some(&run.blamed_agent)
    }
}

/// Answers that look at nothing, the best ones of the tuning half.
struct Constants {
    step: usize,
    agent: String,
}

impl Constants {
    fn best_on(runs: &[&Run]) -> Self {
        let mut steps: BTreeMap<usize, usize> = BTreeMap::new();
        let mut agents: BTreeMap<&str, usize> = BTreeMap::new();
        for run in runs {
            *steps.entry(run.blamed).or_default() += 1;
            *agents.entry(&run.blamed_agent).or_default() += 1;
        }
        let most_often = |(key, count): (&usize, &usize)| (*count, std::cmp::Reverse(*key));
        Self {
            step: steps
                .iter()
                .max_by_key(|&entry| most_often(entry))
                .map_or(0, |(step, _)| *step),
            agent: agents
                .iter()
                .max_by_key(|(_, count)| **count)
                .map_or(String::new(), |(agent, _)| (*agent).to_owned()),
        }
    }

    fn answers(&self) -> Vec<Answer> {
        let mut answers = vec![Answer::Rules, Answer::Step(self.step)];
        if self.step != 0 {
            answers.push(Answer::Step(0));
        }
        answers.extend([Answer::Last, Answer::Agent(self.agent.clone())]);
        answers
    }
}

fn hits(runs: &[&Run], is_right: &dyn Fn(&Run) -> bool) -> Vec<f64> {
    runs.iter()
        .map(|run| f64::from(u8::from(is_right(run))))
        .collect()
}

fn cell(values: &[f64]) -> String {
    let percent = |share: f64| share * 100.0;
    bootstrap_mean(values, RESAMPLES, SEED).map_or("-".to_owned(), |mean| {
        format!(
            "{:>3.0} [{:.0}, {:.0}]",
            percent(mean.value),
            percent(mean.low),
            percent(mean.high)
        )
    })
}

fn print_row(set: &str, half: &str, runs: &[&Run], answer: &Answer) {
    let near = |distance: usize| match answer {
        Answer::Agent(_) => "  -".to_owned(),
        answer => cell(&hits(runs, &|run| answer.is_near(run, distance))),
    };
    let agent = cell(&hits(runs, &|run| answer.is_agent(run)));
    println!(
        "{set:<32} {half:<9} {:>3}  {:<20} {agent:<14} {:<14} {:<14} {:<14}",
        runs.len(),
        answer.name(),
        near(0),
        near(1),
        near(3)
    );
}

/// Whether the rules are better than the constant that does best on the same runs, which is more
/// than a constant could know.
fn verdict(set: &str, runs: &[&Run], constants: &Constants) -> String {
    let right = |answer: &Answer| hits(runs, &|run| answer.is_near(run, 0));
    let total = |values: &[f64]| values.iter().sum::<f64>();
    let others = constants.answers().into_iter().skip(1);
    let others = others.filter(|answer| !matches!(answer, Answer::Agent(_)));
    let best = others.max_by(|a, b| total(&right(a)).total_cmp(&total(&right(b))));
    let best = best.unwrap_or(Answer::Last);
    let gain: Vec<f64> = right(&Answer::Rules)
        .iter()
        .zip(right(&best))
        .map(|(rules, other)| rules - other)
        .collect();
    let word = match bootstrap_mean(&gain, RESAMPLES, SEED) {
        Some(gain) if gain.low > 0.0 => "better",
        Some(gain) if gain.high < 0.0 => "WORSE",
        Some(gain) if gain.value > 0.0 => "ahead, but that may be chance",
        Some(gain) if gain.value < 0.0 => "BEHIND, but that may be chance",
        _ => "NOT better",
    };
    format!(
        "{set:<32} {:<14} points over \"{}\": {word}",
        cell(&gain),
        best.name()
    )
}
