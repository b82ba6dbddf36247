//! What a model call costs, by a table of public list prices.
//!
//! The table is a file of this crate with the date in [`AS_OF`]; prices change, and discounts,
//! batches and tiers are not in it, and it was not compared with the providers' pages. A cost that
//! the program itself sends is always better.

use crate::{Span, Timestamp};

/// The day of the table, which is also the version of the costs that are made with it.
pub const AS_OF: &str = "2025-08-15";

const TABLE: &str = include_str!("prices.tsv");
const MILLION: f64 = 1e6;
const PICO: f64 = 1e12;

/// Prices of a model in US dollars per million tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Price {
    /// Of tokens of the prompt.
    pub input: f64,
    /// Of tokens of the prompt that the provider had in its cache.
    pub cached_input: f64,
    /// Of tokens of the answer.
    pub output: f64,
}

/// The price of a model, which may carry a date (`gpt-4o-2024-08-06`) or its provider
/// (`openai/gpt-4o`).
///
/// ```
/// let price = opik_core::prices::of("openai/gpt-4o-mini-2024-07-18").ok_or("a known model")?;
/// assert_eq!(price.input, 0.15);
/// assert!(opik_core::prices::of("a-model-of-mine").is_none());
/// # Ok::<(), &'static str>(())
/// ```
#[must_use]
pub fn of(model: &str) -> Option<Price> {
    let model = model.trim().to_ascii_lowercase();
    let model = model.rsplit('/').next().unwrap_or_default();
    let mut best: Option<(&str, Price)> = None;
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split('\t').skip(1);
        let Some(name) = fields.next() else { continue };
        if !is_version_of(model, name) || best.is_some_and(|(known, _)| known.len() >= name.len()) {
            continue;
        }
        let mut number = || fields.next().and_then(|text| text.parse().ok());
        if let (Some(input), Some(cached_input), Some(output)) = (number(), number(), number()) {
            let price = Price {
                input,
                cached_input,
                output,
            };
            best = Some((name, price));
        }
    }
    best.map(|(_, price)| price)
}

/// Whether a model is the named one, perhaps with a date, a number or `latest` after it.
fn is_version_of(model: &str, name: &str) -> bool {
    let Some(rest) = model.strip_prefix(name) else {
        return false;
    };
    let Some(version) = rest.strip_prefix(['-', '@']) else {
        return rest.is_empty();
    };
    version == "latest"
        || version
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'-')
}

/// Puts a cost on a span that has none: by the price of its model and its token counts, else what
/// `metadata.cost.total_cost` says in US dollars. Tells whether it has one now.
pub fn estimate(span: &mut Span) -> bool {
    if span.total_estimated_cost.is_some() {
        return true;
    }
    let by_table: Option<f64> = span.model.as_deref().and_then(of).and_then(|price| {
        let prompt = span.usage.prompt_tokens().filter(|tokens| *tokens >= 0);
        let completion = span.usage.completion_tokens().filter(|tokens| *tokens >= 0);
        (prompt.is_some() || completion.is_some()).then(|| {
            let prompt = prompt.unwrap_or(0);
            let cached = CACHED
                .iter()
                .find_map(|name| span.usage.get(name))
                .unwrap_or(0)
                .clamp(0, prompt);
            let parts = [
                (prompt - cached, price.input),
                (cached, price.cached_input),
                (completion.unwrap_or(0), price.output),
            ];
            parts
                .iter()
                .map(|&(tokens, price)| cost(tokens, price))
                .sum()
        })
    });
    if let Some(cost) = by_table {
        // To the resolution that stores keep, so that sums have no stray digits.
        span.total_estimated_cost = Some((cost * PICO).round() / PICO);
        span.total_estimated_cost_version = Some(AS_OF.to_owned());
        return true;
    }
    span.total_estimated_cost = stated(span);
    span.total_estimated_cost.is_some()
}

/// Where providers say how many tokens of the prompt came from their cache.
const CACHED: [&str; 3] = [
    "original_usage.prompt_tokens_details.cached_tokens",
    "original_usage.cache_read_input_tokens",
    "original_usage.cached_content_token_count",
];

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of tokens are far below 2^53"
)]
fn cost(tokens: i64, price: f64) -> f64 {
    tokens as f64 * price / MILLION
}

/// The cost that the metadata states.
fn stated(span: &Span) -> Option<f64> {
    let metadata = span.metadata.as_ref()?.as_str();
    // Most metadata has no such key, however it is written, which is seen without parsing it.
    if !metadata.contains("cost") && !metadata.contains('\\') {
        return None;
    }
    let at = |key: &str| crate::query::matches::text_at(metadata, key);
    let is_dollars = at("cost.currency").is_some_and(|currency| currency == "USD");
    let total: f64 = at("cost.total_cost")?.parse().ok()?;
    (is_dollars && total.is_finite() && total >= 0.0).then_some(total)
}

/// The day of the table as a moment.
#[must_use]
pub fn as_of() -> Timestamp {
    format!("{AS_OF}T00:00:00Z")
        .parse()
        .unwrap_or(Timestamp::EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Json, SpanId, TraceId, Usage};

    fn span(model: &str, usage: Usage) -> Span {
        let mut span = Span::new(SpanId::generate(), TraceId::generate(), Timestamp::now());
        span.model = Some(model.to_owned());
        span.usage = usage;
        span
    }

    #[test]
    fn every_line_of_the_table_is_a_price() {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
        for name in lines.map(|line| line.split('\t').nth(1).unwrap()) {
            let price = of(name).unwrap();
            assert!(
                price.input > 0.0 && price.cached_input <= price.input,
                "{name}"
            );
        }
        assert!(as_of() > Timestamp::EPOCH);
    }

    #[test]
    fn the_longest_name_counts_and_other_models_have_none() {
        assert_eq!(of("GPT-4o").unwrap().input, 2.5);
        assert_eq!(of("gpt-4o-mini").unwrap().input, 0.15);
        assert_eq!(of("claude-3-5-haiku-latest").unwrap().output, 4.0);
        for other in ["gpt-4o-audio-preview", "gpt-40", "", "llama3"] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn what_the_program_says_wins_over_the_table_and_the_table_over_metadata() {
        let mut own = span("gpt-4o", Usage::of_tokens(1_000, 100));
        own.total_estimated_cost = Some(9.0);
        assert!(estimate(&mut own));
        assert_eq!(
            (own.total_estimated_cost, own.total_estimated_cost_version),
            (Some(9.0), None)
        );

        let mut table = span("gpt-4o", Usage::of_tokens(1_000_000, 100_000));
        table.metadata =
            Some(Json::parse(r#"{"cost": {"total_cost": 7, "currency": "USD"}}"#).unwrap());
        let mut metadata = table.clone();
        assert!(estimate(&mut table));
        assert_eq!(table.total_estimated_cost, Some(3.5));
        assert_eq!(table.total_estimated_cost_version.as_deref(), Some(AS_OF));

        metadata.model = Some("mine".to_owned());
        assert!(estimate(&mut metadata));
        assert_eq!(metadata.total_estimated_cost, Some(7.0));
        assert!(!estimate(&mut span("mine", Usage::of_tokens(1, 1))));
    }

    #[test]
    fn tokens_from_a_cache_cost_less() {
        let usage = Usage::from([
            ("prompt_tokens", 1_000_000),
            (
                "original_usage.prompt_tokens_details.cached_tokens",
                400_000,
            ),
        ]);
        let mut cached = span("gpt-4o", usage);
        assert!(estimate(&mut cached));
        assert_eq!(cached.total_estimated_cost, Some(2.0));
    }
}
