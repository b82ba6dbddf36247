//! How far apart the word frequencies of two texts are.

use std::str::FromStr;

use super::numbering::Numbering;
use super::words;
use crate::{Case, Metric, MetricError, Score};

const JS_NAME: &str = "js_divergence_metric";
const JS_DISTANCE_NAME: &str = "js_distance_metric";
const KL_NAME: &str = "kl_divergence_metric";

/// How often each word is in output and reference, and all words. Words are those of
/// `lower().split()`.
struct Counts {
    each: Vec<(u32, u32)>,
    all: (u32, u32),
}

impl Counts {
    fn of(case: &Case) -> Result<Self, MetricError> {
        let (output, reference) = (case.text("output")?, case.text("reference")?);
        words::not_blank(output, "output")?;
        words::not_blank(reference, "reference")?;
        let (output, reference) = (words::lower(output), words::lower(reference));
        let mut numbering = Numbering::new();
        let (mut each, mut all) = (Vec::with_capacity(64), (0, 0));
        numbering.split(&output, |number| {
            count(&mut each, number, (1, 0));
            all.0 += 1;
        });
        numbering.split(&reference, |number| {
            count(&mut each, number, (0, 1));
            all.1 += 1;
        });
        Ok(Self { each, all })
    }

    /// The shares of each word.
    fn shares(&self) -> impl Iterator<Item = (f64, f64)> {
        let (of_output, of_reference) = (f64::from(self.all.0), f64::from(self.all.1));
        let counts = self.each.iter();
        counts.map(move |(p, q)| (f64::from(*p) / of_output, f64::from(*q) / of_reference))
    }
}

/// Counts a word, whose number is at most one above those counted before.
#[inline]
fn count(counts: &mut Vec<(u32, u32)>, number: u32, (p, q): (u32, u32)) {
    match counts.get_mut(number as usize) {
        Some(known) => *known = (known.0 + p, known.1 + q),
        None => counts.push((p, q)),
    }
}

/// Likeness of word frequencies, from 0 (no word in common) to 1 (the same frequencies): 1 - JSD.
///
/// The name is Opik's, the value is a similarity. JSD is the Jensen-Shannon divergence (Lin 1991)
/// ½ Σ p ln(p/m) + ½ Σ q ln(q/m) with m = (p + q)/2, in units of the logarithm's base 2.
#[derive(Debug, Clone)]
pub struct JsDivergence {
    base: f64,
}

impl Default for JsDivergence {
    fn default() -> Self {
        Self { base: 2.0 }
    }
}

impl JsDivergence {
    /// With logarithms to base 2.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The base of the logarithm.
    ///
    /// # Errors
    ///
    /// [`Parameter`](crate::MetricErrorKind::Parameter) when it is not a finite number above 1.
    pub fn base(mut self, base: f64) -> Result<Self, MetricError> {
        if !base.is_finite() || base <= 1.0 {
            return Err(MetricError::parameter("the base is a number above 1"));
        }
        self.base = base;
        Ok(self)
    }

    fn divergence(&self, case: &Case) -> Result<f64, MetricError> {
        let part = |own: f64, middle: f64| {
            if own > 0.0 {
                own * (own / middle).ln()
            } else {
                0.0
            }
        };
        let sum: f64 = Counts::of(case)?
            .shares()
            .map(|(p, q)| {
                let middle = (p + q) / 2.0;
                part(p, middle) + part(q, middle)
            })
            .sum();
        Ok((sum / self.base.ln() / 2.0).max(0.0))
    }
}

impl Metric for JsDivergence {
    fn name(&self) -> &str {
        JS_NAME
    }

    fn score(&self, case: &Case) -> Result<Score, MetricError> {
        let value = (1.0 - self.divergence(case)?).clamp(0.0, 1.0);
        Ok(Score::fixed(JS_NAME, value))
    }
}

/// The Jensen-Shannon divergence itself, from 0 (the same frequencies) to 1 (no word in common).
///
/// The name is Opik's; the distance would be the square root. See [`JsDivergence`].
#[derive(Debug, Clone, Default)]
pub struct JsDistance(JsDivergence);

impl JsDistance {
    /// With logarithms to base 2.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The base of the logarithm.
    ///
    /// # Errors
    ///
    /// [`Parameter`](crate::MetricErrorKind::Parameter) when it is not a finite number above 1.
    pub fn base(self, base: f64) -> Result<Self, MetricError> {
        Ok(Self(self.0.base(base)?))
    }
}

impl Metric for JsDistance {
    fn name(&self) -> &str {
        JS_DISTANCE_NAME
    }

    fn lower_is_better(&self) -> bool {
        true
    }

    fn score(&self, case: &Case) -> Result<Score, MetricError> {
        Ok(Score::fixed(JS_DISTANCE_NAME, self.0.divergence(case)?))
    }
}

/// From which text to which a Kullback-Leibler divergence goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Direction {
    /// `pq`: from the output to the reference.
    #[default]
    OutputToReference,
    /// `qp`: from the reference to the output.
    ReferenceToOutput,
    /// `avg`: the mean of both.
    Mean,
}

impl FromStr for Direction {
    type Err = MetricError;

    fn from_str(name: &str) -> Result<Self, MetricError> {
        match name {
            "pq" => Ok(Self::OutputToReference),
            "qp" => Ok(Self::ReferenceToOutput),
            "avg" => Ok(Self::Mean),
            _ => Err(MetricError::parameter(
                "the direction is one of pq, qp and avg",
            )),
        }
    }
}

/// The Kullback-Leibler divergence of word frequencies, in nats: Σ (p + ε) ln((p + ε)/(q + ε)) over
/// the words of the first text. 0 is best, there is no upper bound.
///
/// ε is 1e-12 and makes up for words that the second text lacks; the sums are not scaled to 1
/// again, so a value may lie below 0 by about ε. With ε = 0 a missing word means no score.
#[derive(Debug, Clone)]
pub struct KlDivergence {
    direction: Direction,
    smoothing: f64,
}

impl Default for KlDivergence {
    fn default() -> Self {
        Self {
            direction: Direction::default(),
            smoothing: 1e-12,
        }
    }
}

impl KlDivergence {
    /// From the output to the reference, ε 1e-12.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From which text to which.
    #[must_use]
    pub fn direction(mut self, direction: Direction) -> Self {
        self.direction = direction;
        self
    }

    /// What is added to each share. Below 0 counts as 0.
    ///
    /// # Errors
    ///
    /// [`Parameter`](crate::MetricErrorKind::Parameter) when it is not a number up to 1.
    pub fn smoothing(mut self, smoothing: f64) -> Result<Self, MetricError> {
        if smoothing.is_nan() || smoothing > 1.0 {
            return Err(MetricError::parameter("the smoothing is a number up to 1"));
        }
        self.smoothing = smoothing.max(0.0);
        Ok(self)
    }

    /// The sum over the words of the first text, by how often each word is in both texts.
    fn sum(
        &self,
        counts: impl Iterator<Item = (u32, u32)>,
        all: (u32, u32),
    ) -> Result<f64, MetricError> {
        let mut sum = 0.0;
        let mut of_p = Logarithms::new(all.0, self.smoothing);
        let mut of_q = Logarithms::new(all.1, self.smoothing);
        for (p, q) in counts.filter(|(p, _)| *p > 0) {
            let ((p, of_p), (q, of_q)) = (of_p.of(p), of_q.of(q));
            if q == 0.0 {
                return Err(MetricError::input(
                    "a word is in one text only, which is infinitely far without smoothing",
                ));
            }
            // The quotient itself may overflow.
            sum += p * (of_p - of_q);
        }
        Ok(sum)
    }
}

/// Shares by count, and their logarithms. Most words occur once or twice, and a logarithm takes
/// longer than to look it up.
struct Logarithms {
    all: f64,
    smoothing: f64,
    known: [Option<(f64, f64)>; 8],
}

impl Logarithms {
    fn new(all: u32, smoothing: f64) -> Self {
        Self {
            all: f64::from(all),
            smoothing,
            known: [None; 8],
        }
    }

    /// The share of a word that occurs so often, smoothed, and the natural logarithm of it.
    #[inline]
    fn of(&mut self, count: u32) -> (f64, f64) {
        let (all, smoothing) = (self.all, self.smoothing);
        let both = || {
            let share = f64::from(count) / all + smoothing;
            (share, share.ln())
        };
        match self.known.get_mut(count as usize) {
            Some(known) => *known.get_or_insert_with(both),
            None => both(),
        }
    }
}

impl Metric for KlDivergence {
    fn name(&self) -> &str {
        KL_NAME
    }

    fn lower_is_better(&self) -> bool {
        true
    }

    fn score(&self, case: &Case) -> Result<Score, MetricError> {
        let counts = Counts::of(case)?;
        let (each, all) = (counts.each.iter().copied(), counts.all);
        let there = || self.sum(each.clone(), all);
        let back = || self.sum(each.clone().map(|(p, q)| (q, p)), (all.1, all.0));
        let value = match self.direction {
            Direction::OutputToReference => there()?,
            Direction::ReferenceToOutput => back()?,
            Direction::Mean => 0.5 * (there()? + back()?),
        };
        Ok(Score::fixed(KL_NAME, value))
    }
}
