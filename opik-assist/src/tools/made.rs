//! Findings that tools make while a conversation goes on, with their numbers.
//!
//! They are numbered behind those of the evidence, so that an answer can cite them and be checked
//! like any other. A claim that was made before in the same conversation keeps its number.

use std::sync::{Mutex, MutexGuard, PoisonError};

use opik_core::session::ToolResult;
use serde_json::{Value, json};

use crate::finding::{Finding, FindingId};
use crate::quote::clean;

/// Longest claim in an answer, in characters.
const CLAIM: usize = 800;
/// Most findings that are kept in mind.
const KEPT: usize = 1_000;
/// Under which an answer has its findings, and the tools whose answers have some.
const LIST: &str = "differences";
const TOOLS: [&str; 2] = ["compare_to_siblings", "compare_spans"];

/// What tools have found so far.
#[derive(Debug, Default)]
pub(super) struct Made(Mutex<Found>);

#[derive(Debug, Default)]
struct Found {
    /// The last number that is taken.
    last: u32,
    /// Numbers of claims as they were told.
    claims: Vec<(FindingId, String)>,
    findings: Vec<Finding>,
}

impl Made {
    /// Nothing yet; the next number is behind this one.
    pub(super) fn after(last: FindingId) -> Self {
        Self(Mutex::new(Found {
            last: last.0,
            ..Found::default()
        }))
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the findings of an answer that a tool gave in an earlier turn.
    pub(super) fn recall(&self, result: &ToolResult) {
        let mut found = self.found();
        for (id, claim) in told(result) {
            if id.0 > found.last && found.claims.len() < KEPT {
                found.claims.push((id, claim));
            }
        }
        let most = found.claims.iter().map(|(id, _)| id.0).max();
        found.last = found.last.max(most.unwrap_or(0));
    }

    /// Numbers findings and puts them into an answer.
    pub(super) fn tell(&self, findings: &[Finding]) -> (&'static str, Value) {
        let mut found = self.found();
        let mut list = Vec::with_capacity(findings.len());
        for finding in findings {
            let claim = clean(&finding.claim, CLAIM);
            let known = found.claims.iter().find(|(_, told)| *told == claim);
            let id = match known {
                Some((id, _)) => *id,
                None => {
                    found.last = found.last.saturating_add(1);
                    FindingId(found.last)
                }
            };
            list.push(json!({
                "finding": id,
                "claim": claim,
                "confidence": finding.confidence,
            }));
            let is_new = !found.findings.iter().any(|known| known.id == id);
            if is_new && found.findings.len() < KEPT {
                let mut finding = finding.clone();
                finding.id = id;
                found.claims.push((id, claim));
                found.findings.push(finding);
            }
        }
        (LIST, Value::Array(list))
    }

    /// The findings that were made, with their numbers.
    pub(super) fn findings(&self) -> Vec<Finding> {
        self.found().findings.clone()
    }
}

/// The numbers and claims of the findings in an answer of a tool.
pub(crate) fn told(result: &ToolResult) -> Vec<(FindingId, String)> {
    // Other tools answer with recorded data, which may say anything.
    if !TOOLS.contains(&result.name.as_str()) {
        return Vec::new();
    }
    let Ok(Value::Object(content)) = result.content.to_value() else {
        return Vec::new();
    };
    let list = content.get(LIST).and_then(Value::as_array);
    let one = |entry: &Value| {
        let number = entry.get("finding")?.as_str()?.strip_prefix('F')?;
        let claim = entry.get("claim")?.as_str()?;
        Some((FindingId(number.parse().ok()?), claim.to_owned()))
    };
    list.into_iter().flatten().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::FindingKind;
    use opik_core::Json;

    fn finding(claim: &str) -> Finding {
        Finding::new(FindingKind::SlowAgainstPeers, claim)
    }

    fn numbers(made: &Made, claims: &[&str]) -> Vec<String> {
        let findings: Vec<Finding> = claims.iter().map(|claim| finding(claim)).collect();
        let (_, list) = made.tell(&findings);
        let list = list.as_array().unwrap().iter();
        list.map(|entry| entry["finding"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_claim_has_one_number_in_a_conversation() {
        let made = Made::after(FindingId(7));
        assert_eq!(numbers(&made, &["a", "b"]), ["F8", "F9"]);
        assert_eq!(numbers(&made, &["b", "c"]), ["F9", "F10"]);
        assert_eq!(made.findings().len(), 3);

        // The next turn knows the first one only from what it was told.
        let (name, list) = made.tell(&[finding("a"), finding("c")]);
        let result = ToolResult {
            id: "1".to_owned(),
            name: "compare_to_siblings".to_owned(),
            content: Json::from_value(&json!({ name: list })),
            is_error: false,
        };
        let next = Made::after(FindingId(7));
        next.recall(&result);
        assert_eq!(told(&result).len(), 2);
        assert!(next.findings().is_empty());
        assert_eq!(numbers(&next, &["c", "new", "a"]), ["F10", "F11", "F8"]);
        assert_eq!(next.findings().len(), 3);
        // Other tools answer with what was recorded.
        let mut other = result;
        other.name = "get_trace_data".to_owned();
        assert_eq!(told(&other), []);
    }

    #[test]
    fn numbers_of_the_evidence_are_not_taken_over_by_an_old_answer() {
        let result = ToolResult {
            id: "1".to_owned(),
            name: "compare_to_siblings".to_owned(),
            content: Json::from_value(
                &json!({ LIST: [{ "finding": "F3", "claim": "a" }, { "finding": "Fx" }, 1] }),
            ),
            is_error: false,
        };
        let made = Made::after(FindingId(7));
        made.recall(&result);
        assert_eq!(numbers(&made, &["a"]), ["F8"]);
    }
}
