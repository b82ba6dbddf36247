//! What a question asks for, by its words.
//!
//! Each intent has stems that speak for it, strong (3) and weak (1). The intent with the highest
//! sum wins; of equal ones the first in the order of the table. A question without any of the
//! stems has no intent.

use serde::Serialize;

/// What a question asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Intent {
    /// What is the difference between these two?
    Difference,
    /// What caused this error?
    Error,
    /// Why is this trace slow?
    Slow,
    /// How can this be cheaper?
    Cost,
    /// Is anything unusual?
    Anomalies,
    /// Does it repeat itself?
    Loops,
    /// Give a summary.
    Summary,
}

/// Stems that speak for an intent, strong and weak.
const STEMS: [(Intent, &[&str], &[&str]); 7] = [
    (
        Intent::Difference,
        &["differ", "diff", "compar", "versus", "vs", "diverg"],
        &["between", "changed", "changes", "other", "regress"],
    ),
    (
        Intent::Error,
        &[
            "error",
            "fail",
            "exception",
            "wrong",
            "crash",
            "broke",
            "bug",
            "traceback",
            "culprit",
            "blame",
            "swallow",
            "mistake",
            "fault",
            "guilty",
            "responsible",
            "timeout",
            "timed",
        ],
        &["caus", "problem", "issue", "abort", "reason", "debug"],
    ),
    (
        Intent::Slow,
        &[
            "slow",
            "latenc",
            "bottleneck",
            "speed",
            "fast",
            "quick",
            "durat",
            "critical",
            "performan",
        ],
        &[
            "long", "time", "took", "take", "wait", "delay", "hang", "second",
        ],
    ),
    (
        Intent::Cost,
        &[
            "cost", "expens", "cheap", "money", "token", "price", "spend", "spent", "budget",
            "bill",
        ],
        &["sav", "reduc", "usage", "optimi"],
    ),
    (
        Intent::Anomalies,
        &[
            "anomal",
            "unusual",
            "strange",
            "odd",
            "weird",
            "outlier",
            "suspicious",
            "abnormal",
            "quality",
        ],
        &["unexpected", "notice", "anything"],
    ),
    (
        Intent::Loops,
        &[
            "loop", "repeat", "repet", "retry", "retri", "stuck", "duplicat", "redundan",
        ],
        &["again", "often", "twice"],
    ),
    (
        Intent::Summary,
        &["summar", "overview", "tldr", "recap", "describ"],
        &[
            "happen", "explain", "about", "show", "did", "do", "many", "number", "count",
        ],
    ),
];

/// The intent of a question; `None` when its words say nothing.
pub(crate) fn intent(question: &str) -> Option<Intent> {
    let lower = question
        .to_lowercase()
        .replace("time out", "timeout")
        .replace("many times", "often");
    let words = words(&lower);
    let score = |stems: &[&str]| {
        words
            .iter()
            .filter(|word| stems.iter().any(|stem| matches(word, stem)))
            .count()
    };
    let mut best = None;
    for (intent, strong, weak) in STEMS {
        let sum = 3 * score(strong) + score(weak);
        if sum > 0 && best.is_none_or(|(_, known)| sum > known) {
            best = Some((intent, sum));
        }
    }
    best.map(|(intent, _)| intent)
}

fn words(lower: &str) -> Vec<&str> {
    let words = lower.split(|character: char| !character.is_alphanumeric());
    words.filter(|word| !word.is_empty()).collect()
}

/// Words that compare, whatever is compared.
const COMPARING: [&str; 18] = [
    "differ", "compar", "versus", "vs", "diverg", "regress", "changed", "changes", "than",
    "slower", "worse", "longer", "shorter", "bigger", "larger", "costlier", "pricier", "previous",
];
/// Words that compare, or ask for advice or for details.
const EITHER: [&str; 6] = ["better", "faster", "quicker", "cheaper", "more", "less"];
/// Words of someone who asks for advice or for details.
const ADVICE: [&str; 8] = [
    "how", "can", "could", "should", "make", "save", "tell", "about",
];

/// Whether the words of a question compare one thing with another.
pub(crate) fn is_comparison(question: &str) -> bool {
    let lower = question.to_lowercase();
    let words = words(&lower);
    let has = |stems: &[&str]| {
        words
            .iter()
            .any(|word| stems.iter().any(|stem| matches(word, stem)))
    };
    has(&COMPARING) || has(&EITHER) && !has(&ADVICE)
}

/// A word has a stem when it begins with it; stems of three letters or less are whole words, but
/// for an `s`.
fn matches(word: &str, stem: &str) -> bool {
    word.strip_prefix(stem)
        .is_some_and(|rest| match stem.len() {
            ..=3 => matches!(rest, "" | "s" | "e" | "ed" | "ing"),
            _ => true,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_in_many_phrasings() {
        for (question, wanted) in [
            ("What caused this error?", Some(Intent::Error)),
            ("why did it fail", Some(Intent::Error)),
            ("What went wrong here?!", Some(Intent::Error)),
            ("root cause please", Some(Intent::Error)),
            ("Why is this trace slow?", Some(Intent::Slow)),
            ("why does it take so long", Some(Intent::Slow)),
            ("what is the bottleneck", Some(Intent::Slow)),
            ("What caused the slow response?", Some(Intent::Slow)),
            ("How can I make it faster", Some(Intent::Slow)),
            (
                "What is the difference between these two spans?",
                Some(Intent::Difference),
            ),
            ("compare with the last run", Some(Intent::Difference)),
            ("Reduce costs", Some(Intent::Cost)),
            ("how many tokens did we use", Some(Intent::Cost)),
            ("why so expensive?", Some(Intent::Cost)),
            ("Find anomalies", Some(Intent::Anomalies)),
            ("anything unusual?", Some(Intent::Anomalies)),
            ("is the agent stuck in a loop?", Some(Intent::Loops)),
            ("Give me a summary", Some(Intent::Summary)),
            ("what happened?", Some(Intent::Summary)),
            ("how many spans are there?", Some(Intent::Summary)),
            ("how many tool calls", Some(Intent::Summary)),
            ("how many times was it called", Some(Intent::Loops)),
            ("who made the mistake", Some(Intent::Error)),
            ("timeout?", Some(Intent::Error)),
            ("did it time out", Some(Intent::Error)),
            ("is there anything I should change", Some(Intent::Anomalies)),
            ("what changed", Some(Intent::Difference)),
            ("Wie spät ist es?", None),
            ("", None),
        ] {
            assert_eq!(intent(question), wanted, "{question}");
        }
    }

    #[test]
    fn comparisons_are_told_from_advice() {
        for (question, wanted) in [
            ("why slower", true),
            ("what changed", true),
            ("is it more expensive?", true),
            ("why is it slow", false),
            ("how can I make it faster", false),
            ("what should cost less", false),
            ("tell me more about the error", false),
            ("what happened before the error", false),
        ] {
            assert_eq!(is_comparison(question), wanted, "{question}");
        }
    }
}
