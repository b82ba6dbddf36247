//! What the server would refuse, found before it is sent.
//!
//! Opik refuses a whole request for one bad item, so a bad item is taken out here. The reasons name
//! fields and rules, never values.

use crate::model::ScoreTarget;
use crate::{ScoreRecord, Span, Timestamp, Trace};

/// Scores have nine digits before the point, so they stay below this.
const SCORE_BOUND: f64 = 1.0e9;

/// 2262-01-01T00:00:00Z: later moments do not fit the server's nanoseconds.
const LAST_MOMENT: Timestamp = Timestamp::from_micros(9_214_646_400_000_000);

const MAX_ENVIRONMENT: usize = 150;

/// The first rule that a trace breaks.
pub(crate) fn trace(trace: &Trace) -> Result<(), &'static str> {
    rule(trace.id.is_v7(), "id is not a version 7 UUID")?;
    times(trace.start_time, trace.end_time, trace.last_updated_at)?;
    project(trace.project_name.as_deref())?;
    environment(trace.environment.as_deref())
}

/// The first rule that a span breaks.
pub(crate) fn span(span: &Span) -> Result<(), &'static str> {
    rule(span.id.is_v7(), "id is not a version 7 UUID")?;
    rule(span.trace_id.is_v7(), "trace_id is not a version 7 UUID")?;
    rule(
        span.parent_span_id.is_none_or(|parent| parent.is_v7()),
        "parent_span_id is not a version 7 UUID",
    )?;
    times(span.start_time, span.end_time, span.last_updated_at)?;
    project(span.project_name.as_deref())?;
    environment(span.environment.as_deref())?;
    rule(
        span.usage
            .0
            .values()
            .all(|&count| i32::try_from(count).is_ok()),
        "a count in usage does not fit 32 bits",
    )?;
    rule(
        span.total_estimated_cost
            .is_none_or(|cost| cost.is_finite() && cost >= 0.0),
        "total_estimated_cost is negative or no number",
    )
}

/// The first rule that a score breaks.
pub(crate) fn score(record: &ScoreRecord) -> Result<(), &'static str> {
    match &record.target {
        ScoreTarget::Trace(id) => rule(id.is_v7(), "id is not a version 7 UUID")?,
        ScoreTarget::Span(id) => rule(id.is_v7(), "id is not a version 7 UUID")?,
        ScoreTarget::Thread(id) => rule(!id.trim().is_empty(), "thread_id is blank")?,
    }
    project(record.project_name.as_deref())?;
    rule(!record.score.name.trim().is_empty(), "name is blank")?;
    rule(
        record.score.value.abs() < SCORE_BOUND,
        "value is not within a thousand million of zero",
    )
}

fn rule(holds: bool, reason: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(reason) }
}

fn times(
    start: Timestamp,
    end: Option<Timestamp>,
    updated: Option<Timestamp>,
) -> Result<(), &'static str> {
    let fits = |at: Timestamp| at >= Timestamp::EPOCH && at < LAST_MOMENT;
    rule(fits(start), "start_time is outside of 1970 to 2262")?;
    rule(end.is_none_or(fits), "end_time is outside of 1970 to 2262")?;
    rule(
        updated.is_none_or(fits),
        "last_updated_at is outside of 1970 to 2262",
    )
}

fn project(name: Option<&str>) -> Result<(), &'static str> {
    rule(
        name.is_none_or(|name| !name.trim().is_empty()),
        "project_name is blank",
    )
}

fn environment(name: Option<&str>) -> Result<(), &'static str> {
    rule(
        name.is_none_or(|name| name.chars().count() <= MAX_ENVIRONMENT),
        "environment has more than 150 characters",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FeedbackScore, SpanId, TraceId};

    fn good() -> Span {
        let at = Timestamp::from_micros(1_795_170_315_351_281);
        Span::new(SpanId::generate_at(at), TraceId::generate_at(at), at)
    }

    fn reason_of(change: impl FnOnce(&mut Span)) -> &'static str {
        let mut span = good();
        change(&mut span);
        super::span(&span).unwrap_err()
    }

    #[test]
    fn each_rule_of_a_span_is_found() {
        assert_eq!(span(&good()), Ok(()));
        let no_v7 = [7; 16];
        assert!(reason_of(|s| s.id = SpanId::from_bytes(no_v7)).starts_with("id "));
        assert!(reason_of(|s| s.trace_id = TraceId::from_bytes(no_v7)).starts_with("trace_id"));
        let parent = |s: &mut Span| s.parent_span_id = Some(SpanId::from_bytes(no_v7));
        assert!(reason_of(parent).starts_with("parent_span_id"));
        assert!(reason_of(|s| s.start_time = Timestamp::from_micros(-1)).starts_with("start_time"));
        assert!(reason_of(|s| s.end_time = Some(LAST_MOMENT)).starts_with("end_time"));
        assert!(reason_of(|s| s.project_name = Some(" ".to_owned())).starts_with("project_name"));
        assert!(reason_of(|s| s.environment = Some("é".repeat(151))).starts_with("environment"));
        let count = i64::from(i32::MAX) + 1;
        let usage = |s: &mut Span| s.usage.0.extend([("x".to_owned(), count)]);
        assert!(reason_of(usage).contains("usage"));
        for cost in [-0.1, f64::NAN, f64::INFINITY] {
            assert!(reason_of(|s| s.total_estimated_cost = Some(cost)).contains("cost"));
        }
    }

    #[test]
    fn scores_have_a_range_and_a_name() {
        let of = |name: &str, value| {
            let target = ScoreTarget::Trace(TraceId::generate());
            score(&ScoreRecord::new(target, FeedbackScore::new(name, value)))
        };
        assert_eq!(of("a", 999_999_999.999_999_8), Ok(()));
        assert_eq!(of("a", -999_999_999.0), Ok(()));
        for value in [1.0e9, f64::NAN, f64::NEG_INFINITY] {
            assert!(of("a", value).is_err());
        }
        assert!(of("", 1.0).is_err());
        let thread = ScoreTarget::Thread(String::new());
        assert!(score(&ScoreRecord::new(thread, FeedbackScore::new("a", 1.0))).is_err());
    }
}
