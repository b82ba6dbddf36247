//! Results of guardrails and of assertions.

use std::collections::BTreeMap;

use opik_core::model::{GuardrailCheck, GuardrailValidation};
use opik_core::{SpanId, Timestamp, TraceId};
use rusqlite::{Connection, params};

use super::Target;
use crate::error::StoreError;
use crate::store::Store;

/// What a guardrail found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guardrail {
    /// The trace.
    pub trace: TraceId,
    /// The span that the guardrail is.
    pub span: SpanId,
    /// What was checked, for example `PII`.
    pub name: String,
    /// `passed` or `failed`.
    pub result: String,
    /// How it was set up, as JSON.
    pub config: String,
    /// What it found, as JSON.
    pub details: String,
}

/// Whether an assertion about a record holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    /// The record.
    pub target: Target,
    /// What was asserted.
    pub name: String,
    /// Whether it holds.
    pub passed: bool,
    /// Why.
    pub reason: Option<String>,
    /// Who says so.
    pub source: String,
}

/// The guardrails of a trace, by span.
pub(crate) fn guardrails_of(
    conn: &Connection,
    trace: TraceId,
) -> Result<Vec<GuardrailValidation>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT span, name, result FROM guardrail WHERE trace = ?1 ORDER BY span, name",
    )?;
    let mut rows = statement.query([trace.as_bytes()])?;
    let mut by_span: BTreeMap<SpanId, Vec<GuardrailCheck>> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let check = GuardrailCheck {
            name: row.get(1)?,
            result: row.get(2)?,
        };
        let span = SpanId::from_bytes(row.get(0)?);
        by_span.entry(span).or_default().push(check);
    }
    Ok(by_span
        .into_iter()
        .map(|(span, checks)| GuardrailValidation {
            span_id: Some(span),
            checks,
        })
        .collect())
}

impl Store {
    /// Stores what guardrails found; the latest result of a name counts.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn put_guardrails(&self, guardrails: Vec<Guardrail>) -> Result<(), StoreError> {
        self.change(move |writer| {
            writer.transaction(|work| {
                let mut insert = work.conn().prepare_cached(
                    "INSERT OR REPLACE INTO guardrail(trace, span, name, result, config, details, at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?;
                let now = Timestamp::now().as_micros();
                for it in &guardrails {
                    insert.execute(params![
                        it.trace.as_bytes(),
                        it.span.as_bytes(),
                        it.name,
                        it.result,
                        it.config,
                        it.details,
                        now
                    ])?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Stores results of assertions; the latest result of a name counts.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn put_assertions(&self, assertions: Vec<Assertion>) -> Result<(), StoreError> {
        self.change(move |writer| {
            writer.transaction(|work| {
                let mut insert = work.conn().prepare_cached(
                    "INSERT OR REPLACE INTO assertion(kind, target, name, passed, reason, source, at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?;
                let now = Timestamp::now().as_micros();
                for it in &assertions {
                    let (kind, target) = it.target.key();
                    insert.execute(params![
                        kind, target, it.name, it.passed, it.reason, it.source, now
                    ])?;
                }
                Ok(())
            })
        })
        .await
    }

    /// The assertions about a record, by name.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn assertions(&self, on: Target) -> Result<Vec<Assertion>, StoreError> {
        self.look(move |reader| {
            let (kind, target) = on.key();
            let assertions = reader
                .conn()
                .prepare_cached(
                    "SELECT name, passed, reason, source FROM assertion
                     WHERE kind = ?1 AND target = ?2 ORDER BY name",
                )?
                .query_map(params![kind, target], |row| {
                    Ok(Assertion {
                        target: on,
                        name: row.get(0)?,
                        passed: row.get(1)?,
                        reason: row.get(2)?,
                        source: row.get(3)?,
                    })
                })?
                .collect::<Result<_, _>>()?;
            Ok(assertions)
        })
        .await
    }
}
