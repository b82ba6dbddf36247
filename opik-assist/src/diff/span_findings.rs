//! Differences of spans as findings: claims with numbers, units and span ids.

use super::findings::{change, content_claim, label, numbered, percent, quote, signed};
use super::span::{Delta, SpanDiff};
use crate::figures::{dollars, duration, millis, number, real, whole};
use crate::finding::{Confidence, Finding, FindingKind, Unit};

impl SpanDiff {
    /// The differences as claims, the duration first. Spans that are equal give one claim that
    /// says so.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let finding = |claim: String| {
            Finding::new(FindingKind::Difference, claim)
                .spans([self.before.span, self.after.span])
                .confidence(Confidence::Exact)
        };
        let mut found = Vec::new();
        if !self.duration_us.is_zero() || !self.self_time_us.is_zero() {
            let by = if self.duration_us.is_zero() {
                String::new()
            } else {
                format!(
                    ": {} ({})",
                    signed(self.duration_us.change()),
                    percent(self.duration_us)
                )
            };
            let claim = format!(
                "{} took {} and {} {}{by}. Its own work without its children: {}.",
                label(&self.before),
                duration(self.duration_us.before),
                label(&self.after),
                duration(self.duration_us.after),
                change(self.self_time_us),
            );
            found.push(
                finding(claim)
                    .number("before", millis(self.duration_us.before), Unit::Milliseconds)
                    .number("after", millis(self.duration_us.after), Unit::Milliseconds)
                    .number(
                        "self_time_change",
                        millis(self.self_time_us.change()),
                        Unit::Milliseconds,
                    )
                    .method("difference of the intervals; self time is the duration minus the union of the children"),
            );
        }
        for field in &self.fields {
            let value = |value: &Option<String>| {
                value.as_ref().map_or("none".to_owned(), |text| quote(text))
            };
            let claim = format!(
                "The {} is {} in {} and {} in {}.",
                field.field.replace('_', " "),
                value(&field.before),
                self.before.span,
                value(&field.after),
                self.after.span
            );
            found.push(finding(claim).method("comparison of the recorded fields"));
        }
        if let Some(finding) = self.tokens_and_cost(&finding) {
            found.push(finding);
        }
        for (name, content) in [
            ("input", &self.input),
            ("output", &self.output),
            ("metadata", &self.metadata),
        ] {
            if let Some(claim) = content_claim(name, content) {
                let claim = format!("{claim} ({} and {})", self.before.span, self.after.span);
                found.push(
                    finding(claim)
                        .number("before", number(content.before_bytes), Unit::Count)
                        .number("after", number(content.after_bytes), Unit::Count)
                        .method("JSON difference by path with lists aligned, texts word by word; numbers are bytes"),
                );
            }
        }
        if found.is_empty() {
            let claim = format!(
                "{} and {} are equal in everything that was recorded: {}.",
                label(&self.before),
                label(&self.after),
                duration(self.duration_us.before)
            );
            found.push(finding(claim).method("comparison of all recorded fields"));
        }
        numbered(found)
    }

    fn tokens_and_cost(&self, finding: &dyn Fn(String) -> Finding) -> Option<Finding> {
        let mut parts = Vec::new();
        let mut numbers = Vec::new();
        for count in &self.usage {
            let tokens = |n: Option<i64>| n.map_or("none recorded".to_owned(), whole);
            let name = count.name.replace('_', " ");
            parts.push(format!(
                "{name} {} to {}",
                tokens(count.before),
                tokens(count.after)
            ));
            let delta = Delta::new(count.before.unwrap_or(0), count.after.unwrap_or(0));
            numbers.push((
                format!("{}_change", count.name),
                real(delta.change()),
                Unit::Tokens,
            ));
        }
        if let Some(cost) = self.cost_usd.filter(|cost| !cost.is_zero()) {
            parts.push(match self.cost_recorded {
                [true, false] => format!("cost {} to none recorded", dollars(cost.before)),
                [false, true] => format!("cost none recorded to {}", dollars(cost.after)),
                _ => format!("cost {} to {}", dollars(cost.before), dollars(cost.after)),
            });
            numbers.push(("cost_change".to_owned(), cost.change(), Unit::Dollars));
        }
        if parts.is_empty() {
            return None;
        }
        let claim = format!(
            "From {} to {}: {}.",
            self.before.span,
            self.after.span,
            parts.join(", ")
        );
        let found = finding(claim).method("comparison of the recorded token counts and cost");
        Some(
            numbers
                .into_iter()
                .fold(found, |found, (name, value, unit)| {
                    found.number(name, value, unit)
                }),
        )
    }
}
