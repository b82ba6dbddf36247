//! Charts as SVG.

use std::fmt::Write as _;

use super::super::TrendPoint;
use super::super::escape::html as safe;
use super::super::figures::score;
use crate::compare::{MetricComparison, Verdict};

/// Adds formatted text; writing to a text cannot fail.
macro_rules! put {
    ($to:expr, $($text:tt)*) => { write!($to, $($text)*).unwrap_or_default() };
}
pub(super) use put;

/// Bins of a distribution.
const BINS: usize = 20;

/// From the least to the greatest value, or from 0 to 1 for scores within that.
fn range(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let low = values.clone().fold(f64::INFINITY, f64::min);
    let high = values.fold(f64::NEG_INFINITY, f64::max);
    if low >= 0.0 && high <= 1.0 {
        (0.0, 1.0)
    } else if high > low {
        (low, high)
    } else {
        (low - 0.5, high + 0.5)
    }
}

/// How many scores fall where. `mean` is marked.
pub(super) fn distribution(label: &str, scores: &[f64], mean: Option<f64>) -> String {
    const W: f64 = 300.0;
    const H: f64 = 112.0;
    const BASE: f64 = 92.0;
    const TOP: f64 = 14.0;
    if scores.is_empty() {
        return "<p class=\"note\">no scores</p>".to_owned();
    }
    let (low, high) = range(scores.iter().copied());
    let flags = scores.iter().all(|score| *score == 0.0 || *score == 1.0);
    let count = if flags { 2 } else { BINS };
    let mut bins = vec![0_usize; count];
    for value in scores {
        let part = (value - low) / (high - low) * count as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "cut to the number of bins"
        )]
        let place = (part.max(0.0) as usize).min(count - 1);
        if let Some(bin) = bins.get_mut(place) {
            *bin += 1;
        }
    }
    let most = bins.iter().copied().max().unwrap_or(1).max(1) as f64;
    let step = W / count as f64;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {W} {H}\" role=\"img\" aria-label=\"distribution of {}\">",
        safe(label)
    );
    for (place, bin) in bins.iter().enumerate() {
        let height = *bin as f64 / most * (BASE - TOP);
        let (x, width) = if flags {
            (place as f64 * step + step * 0.3, step * 0.4)
        } else {
            (place as f64 * step + 1.0, step - 2.0)
        };
        let (from, to) = (
            low + (high - low) * place as f64 / count as f64,
            low + (high - low) * (place as f64 + 1.0) / count as f64,
        );
        let what = if flags {
            format!("{place}: {bin}")
        } else {
            format!("{} to {}: {bin}", score(from), score(to))
        };
        put!(
            svg,
            "<rect class=\"f\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"1.5\"><title>{what}</title></rect>",
            BASE - height
        );
        if flags {
            put!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{bin}</text>",
                x + width / 2.0,
                BASE - height - 3.0
            );
            put!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{place}</text>",
                x + width / 2.0,
                BASE + 14.0
            );
        }
    }
    put!(
        svg,
        "<line class=\"l\" x1=\"0\" y1=\"{BASE}\" x2=\"{W}\" y2=\"{BASE}\"/>"
    );
    if !flags {
        put!(
            svg,
            "<text x=\"0\" y=\"{:.1}\">{}</text>",
            BASE + 14.0,
            score(low)
        );
        put!(
            svg,
            "<text x=\"{W}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            BASE + 14.0,
            score(high)
        );
        if let Some(mean) = mean {
            let x = (mean - low) / (high - low) * W;
            put!(
                svg,
                "<line class=\"m\" x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{BASE}\"/>",
                TOP - 2.0
            );
            let (anchor, at) = if x > W / 2.0 {
                ("end", x - 4.0)
            } else {
                ("start", x + 4.0)
            };
            put!(
                svg,
                "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">mean {}</text>",
                TOP - 4.0,
                score(mean)
            );
        }
    }
    svg.push_str("</svg>");
    svg
}

/// The mean of a metric over runs, with the band of its interval.
pub(super) fn trend(metric: &str, points: &[TrendPoint]) -> String {
    const W: f64 = 300.0;
    const H: f64 = 130.0;
    const BASE: f64 = 106.0;
    const TOP: f64 = 12.0;
    let known: Vec<_> = points
        .iter()
        .filter_map(|point| Some((point, point.mean(metric)?)))
        .collect();
    let bounds = known
        .iter()
        .flat_map(|(_, mean)| [mean.low, mean.value, mean.high]);
    let (mut low, mut high) = range(bounds.clone());
    // Scores that hardly move are drawn close up, and the axis says so.
    let (least, most) = (
        bounds.clone().fold(f64::INFINITY, f64::min),
        bounds.fold(f64::NEG_INFINITY, f64::max),
    );
    if most - least < (high - low) * 0.4 {
        let room = (most - least).max((high - low) * 0.02) * 0.25;
        // Never beyond what scores can be, where that is known.
        (low, high) = if (low, high) == (0.0, 1.0) {
            ((least - room).max(0.0), (most + room).min(1.0))
        } else {
            (least - room, most + room)
        };
    }
    let x = |place: usize| {
        34.0 + (W - 44.0)
            * if known.len() < 2 {
                0.5
            } else {
                place as f64 / (known.len() - 1) as f64
            }
    };
    let y = |value: f64| BASE - (value - low) / (high - low) * (BASE - TOP);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {W} {H}\" role=\"img\" aria-label=\"{} over runs\">",
        safe(metric)
    );
    for value in [low, f64::midpoint(low, high), high] {
        put!(
            svg,
            "<line class=\"l\" x1=\"34\" y1=\"{0:.1}\" x2=\"{W}\" y2=\"{0:.1}\"/><text x=\"30\" y=\"{1:.1}\" text-anchor=\"end\">{2}</text>",
            y(value),
            y(value) + 4.0,
            short(value)
        );
    }
    let upper = known
        .iter()
        .enumerate()
        .map(|(place, (_, mean))| (x(place), y(mean.high)));
    let lower = known
        .iter()
        .enumerate()
        .rev()
        .map(|(place, (_, mean))| (x(place), y(mean.low)));
    let corner = |(x, y): (f64, f64)| format!("{x:.1},{y:.1}");
    let band: Vec<String> = upper.chain(lower).map(corner).collect();
    put!(svg, "<polygon class=\"fs\" points=\"{}\"/>", band.join(" "));
    let line: Vec<String> = known
        .iter()
        .enumerate()
        .map(|(place, (_, mean))| corner((x(place), y(mean.value))))
        .collect();
    put!(svg, "<polyline class=\"c\" points=\"{}\"/>", line.join(" "));
    for (place, (point, mean)) in known.iter().enumerate() {
        let when = super::moment(&point.started_at.to_string());
        put!(
            svg,
            "<circle class=\"f\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\"><title>{}, {when}: {} ({} to {})</title></circle>",
            x(place),
            y(mean.value),
            safe(&point.name),
            score(mean.value),
            score(mean.low),
            score(mean.high)
        );
    }
    if let (Some((first, _)), Some((last, _))) = (known.first(), known.last()) {
        let day = |point: &TrendPoint| {
            point
                .started_at
                .to_string()
                .get(..10)
                .unwrap_or_default()
                .to_owned()
        };
        put!(
            svg,
            "<text x=\"34\" y=\"{:.1}\">{}</text>",
            BASE + 18.0,
            day(first)
        );
        if day(first) != day(last) {
            put!(
                svg,
                "<text x=\"{W}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                BASE + 18.0,
                day(last)
            );
        }
    }
    svg.push_str("</svg>");
    svg
}

fn short(value: f64) -> String {
    if value.abs() >= 100.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

/// The difference of each metric with its interval, around no difference.
pub(super) fn differences(metrics: &[MetricComparison]) -> String {
    const W: f64 = 900.0;
    const ROW: f64 = 30.0;
    const LEFT: f64 = 260.0;
    let known: Vec<_> = metrics
        .iter()
        .filter_map(|metric| Some((metric, metric.difference?)))
        .collect();
    let reach = known
        .iter()
        .map(|(_, found)| found.low.abs().max(found.high.abs()))
        .fold(0.0, f64::max);
    let reach = if reach > 0.0 { reach * 1.1 } else { 1.0 };
    let height = ROW * known.len() as f64 + 34.0;
    let (middle, half) = (LEFT + (W - LEFT - 20.0) / 2.0, (W - LEFT - 20.0) / 2.0);
    let x = |value: f64| middle + value / reach * half;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {W} {height}\" role=\"img\" aria-label=\"differences of the metrics\">"
    );
    let bottom = ROW * known.len() as f64 + 8.0;
    for value in [-reach / 1.1, 0.0, reach / 1.1] {
        let class = if value == 0.0 { "m" } else { "l" };
        put!(
            svg,
            "<line class=\"{class}\" x1=\"{0:.1}\" y1=\"4\" x2=\"{0:.1}\" y2=\"{bottom}\"/>",
            x(value)
        );
        let text = if value == 0.0 {
            "no difference".to_owned()
        } else {
            format!("{value:+.3}")
        };
        put!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
            x(value),
            bottom + 16.0
        );
    }
    for (place, (metric, found)) in known.iter().enumerate() {
        let y = ROW * (place as f64 + 0.5) + 4.0;
        let (stroke, fill) = match metric.verdict {
            Verdict::Improved => ("sg", "fg"),
            Verdict::Regressed => ("sb", "fb"),
            Verdict::NoEvidence => ("sd", "fd"),
        };
        let name = super::super::escape::shortened(&metric.name, 36);
        put!(
            svg,
            "<text class=\"k\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 14.0,
            y + 4.0,
            safe(&name)
        );
        put!(
            svg,
            "<line class=\"{stroke}\" x1=\"{:.1}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\"/>",
            x(found.low),
            x(found.high)
        );
        put!(
            svg,
            "<circle class=\"{fill}\" cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4.5\"><title>{:+.4}, between {:+.4} and {:+.4}</title></circle>",
            x(found.value),
            found.value,
            found.low,
            found.high
        );
    }
    svg.push_str("</svg>");
    svg
}
