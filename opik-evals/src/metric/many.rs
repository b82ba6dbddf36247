//! Many cases at once.

use rayon::prelude::*;

use super::{Case, Metric, MetricError, Score, ahead};

/// Fewer cases than this are scored by the thread that asks: to wake others takes longer.
const FEW: usize = 256;

/// The fewest cases that a thread takes at once.
const PIECE: usize = 16;

/// Scores many cases over all cores: the answer of [`Metric::score`] for each, in the order of the
/// cases.
///
/// The answers are those of one case after the other, however many cores there are. Fewer than 256
/// cases are scored by the thread that asks. The threads are those of `rayon`: as many as there are
/// cores, or as `RAYON_NUM_THREADS` says, or the pool in which this is called. It returns when all
/// cases are scored, so an async program calls it where it may block.
///
/// A metric that breaks its promise not to panic panics here too. Where several cases panic, the
/// first one's panic is passed on; others may have been scored by then.
///
/// ```
/// use opik_evals::heuristics::Equals;
/// use opik_evals::metric::score_all;
/// use opik_evals::Case;
///
/// let cases: Vec<Case> = ["Paris", "Lyon", "paris"]
///     .map(|answer| Case::new(answer).with_reference("Paris"))
///     .into();
/// let scores = score_all(&Equals::new(), &cases);
/// let values: Vec<f64> = scores.into_iter().map(|score| Ok(score?.value())).collect::<Result<_, _>>()?;
/// assert_eq!(values, [1.0, 0.0, 1.0]);
/// # Ok::<(), opik_evals::MetricError>(())
/// ```
pub fn score_all<M: Metric + ?Sized>(
    metric: &M,
    cases: &[Case],
) -> Vec<Result<Score, MetricError>> {
    if cases.len() < FEW {
        return cases.iter().map(|case| metric.score(case)).collect();
    }
    let pieces = cases.par_iter().with_min_len(PIECE).enumerate();
    pieces
        .map(|(place, case)| {
            ahead::fetch(cases, place);
            metric.score(case)
        })
        .collect()
}
