//! Sentiment by VADER (Hutto and Gilbert 2014): a lexicon of rated words and rules of context.
//!
//! `vader/` has the word lists of vaderSentiment 3.3.2 with their licence (MIT); emoji are those of
//! one code point, the only ones that it looks up.

use std::sync::LazyLock;

use foldhash::HashMap;

use super::runs::is_ascii;
use super::word_map::WordMap;
use super::words::{lower, not_blank, split};
use crate::{Case, Metric, MetricError, Score};

const NAME: &str = "vader_sentiment_metric";

/// What an intensifier adds when it is written in capitals, and what capitals add to a word.
const CAPITALS: f64 = 0.733;
/// What a negation makes of a rating.
const NEGATED: f64 = -0.74;
/// What brings the sum of ratings into the range from -1 to 1.
const NORMAL: f64 = 15.0;

/// The word lists.
struct Lists {
    ratings: HashMap<&'static str, f64>,
    boosters: WordMap<f64>,
    negations: WordMap<()>,
    idioms: WordMap<f64>,
    emoji: HashMap<char, &'static str>,
}

static LISTS: LazyLock<Lists> = LazyLock::new(|| {
    let pairs = |text: &'static str| text.lines().filter_map(|line| line.split_once('\t'));
    let rated = |(word, rating): (&'static str, &str)| Some((word, rating.parse().ok()?));
    let mut lists = Lists {
        ratings: pairs(include_str!("vader/lexicon.tsv"))
            .filter_map(rated)
            .collect(),
        boosters: WordMap::default(),
        negations: WordMap::default(),
        idioms: WordMap::default(),
        emoji: pairs(include_str!("vader/emoji.tsv"))
            .filter_map(|(emoji, name)| Some((emoji.chars().next()?, name)))
            .collect(),
    };
    for (kind, rest) in pairs(include_str!("vader/rules.tsv")) {
        let (word, number) = rest.split_once('\t').unwrap_or((rest, ""));
        match (kind, number.parse()) {
            ("booster", Ok(number)) => {
                *lists.boosters.entry(word.to_owned()) = number;
            }
            ("idiom", Ok(number)) => {
                *lists.idioms.entry(word.to_owned()) = number;
            }
            _ => {
                lists.negations.entry(word.to_owned());
            }
        }
    }
    lists
});

/// How positive a text is: (compound + 1) / 2, where 0 is as negative and 1 as positive as can be,
/// and 0.5 is neutral. English.
///
/// Equal to `VADERSentiment` of the Python SDK with the vaderSentiment package. The name of the
/// score is `vader_sentiment_metric`.
///
/// ```
/// use opik_evals::heuristics::VaderSentiment;
/// use opik_evals::{Case, Metric};
///
/// let happy = VaderSentiment::new().score(&Case::new("LOVE it!!!"))?;
/// assert!(happy.value() > 0.8);
/// # Ok::<(), opik_evals::MetricError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct VaderSentiment(());

impl VaderSentiment {
    /// The metric.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Metric for VaderSentiment {
    fn name(&self) -> &str {
        NAME
    }

    fn score(&self, case: &Case) -> Result<Score, MetricError> {
        let output = case.text("output")?;
        not_blank(output, "output")?;
        let compound = compound(output);
        Ok(
            Score::fixed(NAME, f64::midpoint(compound, 1.0))
                .because(format!("compound {compound}")),
        )
    }
}

/// The compound rating of a text, from -1 to 1 with four decimals.
fn compound(text: &str) -> f64 {
    let text = without_emoji(text);
    let words = Words::new(&text);
    let mut ratings: Vec<f64> = (0..words.all.len()).map(|at| words.rating(at)).collect();
    words.weigh_but(&mut ratings);
    if ratings.is_empty() {
        return 0.0;
    }
    let mut sum: f64 = ratings.iter().sum();
    let emphasis = emphasis(&text);
    if sum > 0.0 {
        sum += emphasis;
    } else if sum < 0.0 {
        sum -= emphasis;
    }
    let normal = (sum / (sum * sum + NORMAL).sqrt()).clamp(-1.0, 1.0);
    // Rounded as decimal digits, half to even, which is what Python does.
    format!("{normal:.4}").parse().unwrap_or(normal)
}

/// The text with the name of each emoji in its place.
fn without_emoji(text: &str) -> String {
    if is_ascii(text) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut apart = true;
    for c in text.chars() {
        match LISTS.emoji.get(&c) {
            Some(name) => {
                if !apart {
                    out.push(' ');
                }
                out.push_str(name);
                apart = false;
            }
            None => {
                out.push(c);
                apart = c == ' ';
            }
        }
    }
    out
}

/// What exclamation and question marks add.
fn emphasis(text: &str) -> f64 {
    let count = |mark: char| text.chars().filter(|c| *c == mark).take(5).count();
    let exclamations = [0.0, 0.292, 0.584, 0.876, 1.168];
    let shouted = exclamations
        .get(count('!').min(4))
        .copied()
        .unwrap_or_default();
    let asked = match count('?') {
        0 | 1 => 0.0,
        2 => 0.36,
        3 => 0.54,
        _ => 0.96,
    };
    shouted + asked
}

/// The words of a text, without punctuation around them but for emoticons.
struct Words {
    all: Vec<String>,
    lower: Vec<String>,
    /// Some words are in capitals and some are not, so that capitals mean something.
    shouts: bool,
}

impl Words {
    fn new(text: &str) -> Self {
        let all: Vec<String> = split(text)
            .map(|word| {
                let bare = word.trim_matches(|c: char| c.is_ascii_punctuation());
                let short = bare.chars().nth(2).is_none();
                if short { word } else { bare }.to_owned()
            })
            .collect();
        let capitals = all.iter().filter(|word| is_upper(word)).count();
        Self {
            lower: all.iter().map(|word| lower(word)).collect(),
            shouts: capitals > 0 && capitals < all.len(),
            all,
        }
    }

    /// A word in lower case, counted back from a place; empty before the first.
    fn back(&self, at: usize, steps: usize) -> &str {
        at.checked_sub(steps)
            .and_then(|at| self.lower.get(at))
            .map_or("", String::as_str)
    }

    fn ahead(&self, at: usize, steps: usize) -> Option<&str> {
        self.lower.get(at + steps).map(String::as_str)
    }

    /// The rating of a word in its context.
    fn rating(&self, at: usize) -> f64 {
        let word = self.back(at, 0);
        let next = self.ahead(at, 1);
        if LISTS.boosters.contains(word) || (word == "kind" && next == Some("of")) {
            return 0.0;
        }
        let Some(base) = LISTS.ratings.get(word).copied() else {
            return 0.0;
        };
        let mut rating = base;
        // "no" before a rated word is a negation and not a rating of its own.
        if word == "no" && next.is_some_and(|next| LISTS.ratings.contains_key(next)) {
            rating = 0.0;
        }
        let (one, two, three) = (self.back(at, 1), self.back(at, 2), self.back(at, 3));
        if one == "no" || two == "no" || (three == "no" && matches!(one, "or" | "nor")) {
            rating = base * NEGATED;
        }
        if self.shouts && self.all.get(at).is_some_and(|word| is_upper(word)) {
            rating += if rating > 0.0 { CAPITALS } else { -CAPITALS };
        }
        for steps in 1..=3 {
            if at < steps || LISTS.ratings.contains_key(self.back(at, steps)) {
                continue;
            }
            rating += self.boost(at, steps, rating);
            rating = self.negate(at, steps, rating);
            if steps == 3 {
                rating = self.idiom(at, rating);
            }
        }
        self.least(at, rating)
    }

    /// What an intensifier so many steps back adds.
    fn boost(&self, at: usize, steps: usize, rating: f64) -> f64 {
        let Some(boost) = LISTS.boosters.get(self.back(at, steps)).copied() else {
            return 0.0;
        };
        let mut boost = if rating < 0.0 { -boost } else { boost };
        let written = at.checked_sub(steps).and_then(|at| self.all.get(at));
        if self.shouts && written.is_some_and(|word| is_upper(word)) {
            boost += if rating > 0.0 { CAPITALS } else { -CAPITALS };
        }
        match steps {
            2 => boost * 0.95,
            3 => boost * 0.9,
            _ => boost,
        }
    }

    /// What a negation so many steps back makes of a rating.
    fn negate(&self, at: usize, steps: usize, rating: f64) -> f64 {
        let (one, two, three) = (self.back(at, 1), self.back(at, 2), self.back(at, 3));
        let so = |word: &str| matches!(word, "so" | "this");
        let (never, without) = match steps {
            2 => (
                two == "never" && so(one),
                two == "without" && one == "doubt",
            ),
            3 => (
                // As it is there: "so" and "this" stand for "never so" at this distance.
                (three == "never" && so(two)) || so(one),
                three == "without" && (two == "doubt" || one == "doubt"),
            ),
            _ => (false, false),
        };
        let word = self.back(at, steps);
        if never {
            rating * 1.25
        } else if without {
            rating
        } else if LISTS.negations.contains(word) || word.contains("n't") {
            rating * NEGATED
        } else {
            rating
        }
    }

    /// The rating of a phrase that the word is a part of, in place of its own.
    fn idiom(&self, at: usize, mut rating: f64) -> f64 {
        let (zero, one) = (self.back(at, 0), self.back(at, 1));
        let (two, three) = (self.back(at, 2), self.back(at, 3));
        let known = |words: &[&str]| LISTS.idioms.phrase(words).copied();
        let before: [&[&str]; 5] = [
            &[one, zero],
            &[two, one, zero],
            &[two, one],
            &[three, two, one],
            &[three, two],
        ];
        if let Some(own) = before.into_iter().find_map(known) {
            rating = own;
        }
        if let Some(next) = self.ahead(at, 1) {
            rating = known(&[zero, next]).unwrap_or(rating);
            if let Some(last) = self.ahead(at, 2) {
                rating = known(&[zero, next, last]).unwrap_or(rating);
            }
        }
        let before: [&[&str]; 3] = [&[three, two, one], &[three, two], &[two, one]];
        for phrase in before {
            let boost = LISTS.boosters.phrase(phrase).copied();
            rating += boost.unwrap_or_default();
        }
        rating
    }

    /// "least" turns a rating round, "at least" and "very least" do not.
    fn least(&self, at: usize, rating: f64) -> f64 {
        if self.back(at, 1) != "least" || (at > 1 && matches!(self.back(at, 2), "at" | "very")) {
            return rating;
        }
        rating * NEGATED
    }

    /// What stands before the first "but" counts half, what follows half as much again.
    ///
    /// Of equal ratings the first is changed each time, as in the original.
    fn weigh_but(&self, ratings: &mut [f64]) {
        let Some(but) = self.lower.iter().position(|word| word == "but") else {
            return;
        };
        for index in 0..ratings.len() {
            let Some(rating) = ratings.get(index).copied() else {
                return;
            };
            #[expect(clippy::float_cmp, reason = "the same number, not a close one")]
            let first = ratings.iter().position(|own| *own == rating);
            if let Some(first) = first
                && let Some(own) = ratings.get_mut(first)
            {
                *own = match first.cmp(&but) {
                    std::cmp::Ordering::Less => rating * 0.5,
                    std::cmp::Ordering::Equal => rating,
                    std::cmp::Ordering::Greater => rating * 1.5,
                };
            }
        }
    }
}

/// Python's `str.isupper`: there are letters with case, and all of them are capitals.
fn is_upper(word: &str) -> bool {
    word.chars().any(char::is_uppercase) && !word.chars().any(char::is_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    /// 648 texts of rated words, intensifiers, negations, idioms, emoji and marks in random order,
    /// with what vaderSentiment 3.3.2 made of them.
    #[test]
    fn ratings_are_those_of_the_original() {
        let packed = &include_bytes!("../../tests/fixtures/vader.jsonl.gz")[..];
        let mut text = String::new();
        flate2::read::GzDecoder::new(packed)
            .read_to_string(&mut text)
            .unwrap();
        let mut wrong = Vec::new();
        for line in text.lines() {
            let (text, expected): (String, f64) = serde_json::from_str(line).unwrap();
            let found = compound(&text);
            if (found - expected).abs() > 1e-9 {
                wrong.push(format!("{text:?}: {found}, expected {expected}"));
            }
        }
        assert_eq!(text.lines().count(), 648);
        assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
    }
}
