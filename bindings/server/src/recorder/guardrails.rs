//! Results of guardrails and of assertions.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{post, put};
use opik_core::{Json, SpanId, TraceId};
use opik_store::records::{Assertion, Guardrail, Target};
use serde::Deserialize;

use super::checks;
use crate::app::App;
use crate::http::{ApiError, JsonBody, no_content};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/guardrails", post(put_guardrails))
        .route("/assertion-results", put(put_assertions))
}

#[derive(Debug, Deserialize)]
struct GuardrailBody {
    entity_id: Option<String>,
    secondary_id: Option<String>,
    project_name: Option<String>,
    name: Option<String>,
    result: Option<String>,
    config: Option<Json>,
    details: Option<Json>,
}

#[derive(Debug, Deserialize)]
struct GuardrailsBody {
    guardrails: Option<Vec<GuardrailBody>>,
}

#[derive(Debug, Deserialize)]
struct AssertionBody {
    entity_id: Option<String>,
    project_name: Option<String>,
    name: Option<String>,
    status: Option<String>,
    reason: Option<String>,
    source: Option<String>,
}

#[derive(Debug, Deserialize)]
struct AssertionsBody {
    entity_type: Option<String>,
    assertion_results: Option<Vec<AssertionBody>>,
}

fn verdict(field: &str, word: Option<String>) -> Result<String, ApiError> {
    let word = checks::not_blank(field, word)?;
    match word.as_str() {
        "passed" | "failed" => Ok(word),
        _ => Err(ApiError::invalid(format!(
            "{field} must be passed or failed"
        ))),
    }
}

impl GuardrailBody {
    fn into_guardrail(self) -> Result<Guardrail, ApiError> {
        checks::absent_or_not_blank("projectName", self.project_name.as_deref())?;
        let trace = checks::not_null("entityId", self.entity_id)?;
        let span = checks::not_null("secondaryId", self.secondary_id)?;
        let text =
            |json: Option<Json>| json.map_or_else(|| "{}".to_owned(), |it| it.as_str().to_owned());
        Ok(Guardrail {
            trace: TraceId::from_bytes(checks::id_v7("Guardrail entity", &trace)?),
            span: SpanId::from_bytes(checks::id_v7("Guardrail secondary", &span)?),
            name: checks::not_blank("name", self.name)?,
            result: verdict("result", self.result)?,
            config: text(self.config),
            details: text(self.details),
        })
    }
}

async fn put_guardrails(
    State(app): State<App>,
    JsonBody(body): JsonBody<GuardrailsBody>,
) -> Result<Response, ApiError> {
    let guardrails = checks::batch("guardrails", body.guardrails)?
        .into_iter()
        .map(GuardrailBody::into_guardrail)
        .collect::<Result<_, _>>()?;
    app.store().put_guardrails(guardrails).await?;
    Ok(no_content())
}

async fn put_assertions(
    State(app): State<App>,
    JsonBody(body): JsonBody<AssertionsBody>,
) -> Result<Response, ApiError> {
    let kind = checks::not_blank("entityType", body.entity_type)?;
    let assertions = checks::batch("assertionResults", body.assertion_results)?
        .into_iter()
        .map(|it| {
            checks::absent_or_not_blank("projectName", it.project_name.as_deref())?;
            let id = checks::not_null("entityId", it.entity_id)?;
            let id = checks::id_v7("Assertion entity", &id)?;
            let target = match kind.to_ascii_uppercase().as_str() {
                "TRACE" => Target::Trace(TraceId::from_bytes(id)),
                "SPAN" => Target::Span(SpanId::from_bytes(id)),
                _ => return Err(ApiError::invalid("entityType must be TRACE or SPAN")),
            };
            Ok(Assertion {
                target,
                name: checks::not_blank("name", it.name)?,
                passed: verdict("status", it.status)? == "passed",
                reason: it.reason,
                source: checks::not_blank("source", it.source)?,
            })
        })
        .collect::<Result<_, ApiError>>()?;
    app.store().put_assertions(assertions).await?;
    Ok(no_content())
}
