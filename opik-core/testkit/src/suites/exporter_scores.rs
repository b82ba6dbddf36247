//! Cases about feedback scores.

use opik_core::model::ScoreTarget;
use opik_core::{FeedbackScore, ScoreRecord, Timestamp};

use super::Place;
use crate::records::{at, score, span, span_id, trace, trace_id};
use crate::report::{Failure, Outcome, check, check_eq};

pub(super) fn of_trace(number: u32, name: &str, value: f64) -> ScoreRecord {
    score(ScoreTarget::Trace(trace_id(number)), name, value)
}

fn of_span(number: u32, name: &str, value: f64) -> ScoreRecord {
    score(ScoreTarget::Span(span_id(1, number)), name, value)
}

fn dated(mut record: ScoreRecord, updated: Timestamp, author: Option<&str>) -> ScoreRecord {
    record.score.last_updated_at = Some(updated);
    record.author = author.map(str::to_owned);
    record
}

/// Value of the one score of this name.
fn value(scores: &[FeedbackScore], name: &str) -> Result<f64, Failure> {
    let mut named = scores.iter().filter(|score| score.name == name);
    let found = named.next();
    check!(
        named.next().is_none(),
        "the score {name} is read more than once"
    );
    found
        .map(|score| score.value)
        .ok_or_else(|| Failure::new(format!("the score {name} is not read")))
}

pub(super) async fn with_target(place: Place) -> Outcome {
    place
        .put_rows(vec![trace(1), trace(2)], vec![span(1, 1), span(1, 2)])
        .await?;
    let mut reasoned = of_trace(1, "relevance", 0.25);
    reasoned.score.reason = Some("because".to_owned());
    reasoned.score.category_name = Some("low".to_owned());
    place
        .put_scores(vec![
            reasoned,
            of_trace(1, "tone", -1.5),
            of_span(1, "exact", 1.0),
        ])
        .await?;

    let found = place.read_trace(trace_id(1)).await?.feedback_scores;
    check_eq!(value(&found, "relevance")?, 0.25, "relevance of the trace");
    check_eq!(value(&found, "tone")?, -1.5, "tone of the trace");
    let relevance = found.iter().find(|score| score.name == "relevance");
    check_eq!(
        relevance.and_then(|score| score.reason.as_deref()),
        Some("because"),
        "reason"
    );
    check_eq!(
        relevance.and_then(|score| score.category_name.as_deref()),
        Some("low"),
        "category"
    );
    let found = place
        .read_span(trace_id(1), span_id(1, 1))
        .await?
        .feedback_scores;
    check_eq!(value(&found, "exact")?, 1.0, "score of the span");
    let other = place.read_trace(trace_id(2)).await?.feedback_scores;
    check!(other.is_empty(), "another trace has {} scores", other.len());
    let other = place
        .read_span(trace_id(1), span_id(1, 2))
        .await?
        .feedback_scores;
    check!(other.is_empty(), "another span has {} scores", other.len());
    Ok(())
}

pub(super) async fn before_target(place: Place) -> Outcome {
    place
        .put_scores(vec![of_trace(1, "early", 0.5), of_span(1, "early", 0.75)])
        .await?;
    place.put_rows(vec![trace(1)], vec![span(1, 1)]).await?;
    let found = place.read_trace(trace_id(1)).await?.feedback_scores;
    check_eq!(
        value(&found, "early")?,
        0.5,
        "score that came before its trace"
    );
    let found = place
        .read_span(trace_id(1), span_id(1, 1))
        .await?
        .feedback_scores;
    check_eq!(
        value(&found, "early")?,
        0.75,
        "score that came before its span"
    );
    Ok(())
}

pub(super) async fn replaced(place: Place) -> Outcome {
    place.put_rows(vec![trace(1)], vec![]).await?;
    place
        .put_scores(vec![dated(of_trace(1, "relevance", 0.25), at(1), None)])
        .await?;
    place
        .put_scores(vec![dated(of_trace(1, "relevance", 0.5), at(2), None)])
        .await?;
    place
        .put_scores(vec![dated(of_trace(1, "relevance", 0.75), at(2), None)])
        .await?;
    let found = place.read_trace(trace_id(1)).await?.feedback_scores;
    check_eq!(
        value(&found, "relevance")?,
        0.75,
        "the score that was given last"
    );
    Ok(())
}

pub(super) async fn older(place: Place) -> Outcome {
    place.put_rows(vec![trace(1)], vec![]).await?;
    place
        .put_scores(vec![dated(of_trace(1, "relevance", 0.5), at(2), None)])
        .await?;
    place
        .put_scores(vec![dated(of_trace(1, "relevance", 0.25), at(1), None)])
        .await?;
    let found = place.read_trace(trace_id(1)).await?.feedback_scores;
    check_eq!(value(&found, "relevance")?, 0.5, "the newer score");
    Ok(())
}

pub(super) async fn averaged(place: Place) -> Outcome {
    place.put_rows(vec![trace(1)], vec![]).await?;
    place
        .put_scores(vec![
            dated(of_trace(1, "relevance", 0.25), at(1), Some("ada")),
            dated(of_trace(1, "relevance", 0.75), at(2), Some("bob")),
        ])
        .await?;
    let found = place.read_trace(trace_id(1)).await?.feedback_scores;
    check_eq!(value(&found, "relevance")?, 0.5, "mean of two authors");
    let parts = found.iter().find(|score| score.name == "relevance");
    let parts = parts.map(|score| &score.value_by_author);
    for (author, expected) in [("ada", 0.25), ("bob", 0.75)] {
        let part = parts.and_then(|parts| parts.get(author)?.value);
        check_eq!(part, Some(expected), "part of {author}");
    }
    Ok(())
}

pub(super) async fn kept_by_new_row(place: Place) -> Outcome {
    place.put_rows(vec![trace(1)], vec![]).await?;
    place
        .put_scores(vec![of_trace(1, "relevance", 0.25)])
        .await?;
    let mut newer = trace(1);
    newer.last_updated_at = Some(at(600_000));
    place.put_rows(vec![newer], vec![]).await?;
    let found = place.read_trace(trace_id(1)).await?.feedback_scores;
    check_eq!(
        value(&found, "relevance")?,
        0.25,
        "score after a newer row of the trace"
    );
    Ok(())
}
