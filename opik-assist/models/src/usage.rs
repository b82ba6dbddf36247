//! Token counts as providers write them.

use opik_core::Usage;
use serde_json::Value;

/// Where a provider's own counts go, as with Opik's own integrations.
const OWN: &str = "original_usage";

/// Every whole number of a provider's counts under its own name, two levels deep.
pub(crate) fn own(usage: &mut Usage, counts: &Value) {
    let Some(counts) = counts.as_object() else {
        return;
    };
    for (name, count) in counts {
        if let Some(number) = count.as_i64() {
            usage.0.insert(format!("{OWN}.{name}"), number);
        }
        for (inner, count) in count.as_object().into_iter().flatten() {
            if let Some(number) = count.as_i64() {
                usage.0.insert(format!("{OWN}.{name}.{inner}"), number);
            }
        }
    }
}

/// A count that may be missing.
pub(crate) fn set(usage: &mut Usage, name: &str, count: Option<i64>) {
    if let Some(count) = count {
        usage.0.insert(name.to_owned(), count);
    }
}

/// Fills the total where both parts are known.
pub(crate) fn total(usage: &mut Usage, stated: Option<i64>) {
    let sum = match (usage.prompt_tokens(), usage.completion_tokens()) {
        (Some(prompt), Some(completion)) => Some(prompt.saturating_add(completion)),
        _ => None,
    };
    set(usage, "total_tokens", stated.or(sum));
}
