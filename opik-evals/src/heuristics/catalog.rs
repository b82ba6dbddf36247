//! Metrics by name and JSON parameters, for settings in files and on command lines.

use serde_json::{Map, Value};

use super::{
    Bleu, ChrF, Contains, ConversationDegeneration, Equals, Gleu, IsJson, JsDistance, JsDivergence,
    KlDivergence, KnowledgeRetention, LevenshteinRatio, Meteor, PromptInjection, Readability,
    RegexMatch, Rouge, SpearmanRanking, Tone, VaderSentiment,
};
use crate::metric::Parameters;
use crate::{Metric, MetricError};

type Made = Result<Box<dyn Metric>, MetricError>;
type Maker = fn(&mut Parameters<'_>) -> Made;

/// Every metric of this module, by the name of its class in the Python SDK.
const CATALOG: &[(&str, Maker)] = &[
    ("ChrF", chrf),
    ("Contains", contains),
    ("ConversationDegenerationMetric", degeneration),
    ("CorpusBLEU", corpus_bleu),
    ("Equals", equals),
    ("GLEU", gleu),
    ("IsJson", is_json),
    ("JSDistance", js_distance),
    ("JSDivergence", js_divergence),
    ("KLDivergence", kl_divergence),
    ("KnowledgeRetentionMetric", retention),
    ("LevenshteinRatio", levenshtein),
    ("METEOR", meteor),
    ("PromptInjection", prompt_injection),
    ("ROUGE", rouge),
    ("Readability", readability),
    ("RegexMatch", regex_match),
    ("SentenceBLEU", sentence_bleu),
    ("SpearmanRanking", spearman),
    ("Tone", tone),
    ("VADERSentiment", vader),
];

/// The names that [`by_name`] knows, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    CATALOG.iter().map(|(name, _)| *name)
}

/// A metric by the name of its class in the Python SDK, with that class's parameters; `name` gives
/// it another name for its scores.
///
/// ```
/// use opik_evals::heuristics::by_name;
/// use serde_json::json;
///
/// let parameters = json!({ "case_sensitive": true, "name": "exact" });
/// let exact = by_name("Equals", parameters.as_object().ok_or("no object")?)?;
/// assert_eq!(exact.name(), "exact");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Parameter`](crate::MetricErrorKind::Parameter) for an unknown metric, an unknown parameter, or
/// a value that the metric does not take.
pub fn by_name(metric: &str, parameters: &Map<String, Value>) -> Made {
    let make = CATALOG
        .iter()
        .find_map(|(name, make)| (*name == metric).then_some(make))
        .ok_or_else(|| {
            let known: Vec<_> = names().collect();
            MetricError::parameter(format!(
                "there is no such metric; there are {}",
                known.join(", ")
            ))
        })?;
    let mut reader = Parameters::new(parameters);
    let made = make(&mut reader)?;
    reader.all_read(metric)?;
    Ok(match reader.name()? {
        Some(name) => Box::new(made.named(name)),
        None => made,
    })
}

fn equals(p: &mut Parameters<'_>) -> Made {
    let sensitive = p.flag("case_sensitive")?.unwrap_or(false);
    Ok(Box::new(Equals::new().case_sensitive(sensitive)))
}

fn contains(p: &mut Parameters<'_>) -> Made {
    let sensitive = p.flag("case_sensitive")?.unwrap_or(false);
    let metric = Contains::new().case_sensitive(sensitive);
    Ok(match p.text("reference")? {
        Some(reference) => Box::new(metric.reference(reference)),
        None => Box::new(metric),
    })
}

fn regex_match(p: &mut Parameters<'_>) -> Made {
    let pattern = Parameters::needed("RegexMatch", "regex", p.text("regex")?)?;
    Ok(Box::new(RegexMatch::new(pattern)?))
}

fn readability(p: &mut Parameters<'_>) -> Made {
    let least = p.number("min_grade")?;
    let most = p.number("max_grade")?;
    if p.text("language")?
        .is_some_and(|language| language != "en_US")
    {
        return Err(MetricError::parameter(
            "the parameter `language` can only be en_US",
        ));
    }
    let metric = Readability::new();
    Ok(match p.flag("enforce_bounds")? {
        Some(true) => Box::new(metric.bounds(least, most)),
        _ => Box::new(metric),
    })
}

fn is_json(_: &mut Parameters<'_>) -> Made {
    Ok(Box::new(IsJson::new()))
}

fn levenshtein(p: &mut Parameters<'_>) -> Made {
    let sensitive = p.flag("case_sensitive")?.unwrap_or(false);
    Ok(Box::new(LevenshteinRatio::new().case_sensitive(sensitive)))
}

fn bleu(p: &mut Parameters<'_>) -> Result<Bleu, MetricError> {
    let orders = p.count("n_grams")?;
    let mut bleu = Bleu::new().orders(orders.unwrap_or(4))?;
    if let Some(weights) = p.numbers("weights")? {
        if weights.len() != orders.unwrap_or(4) {
            return Err(MetricError::parameter("there is one weight for each order"));
        }
        bleu = bleu.weights(weights)?;
    }
    if let Some(method) = p.text("smoothing_method")? {
        bleu = bleu.smoothing(method.parse()?);
    }
    Ok(bleu)
}

fn sentence_bleu(p: &mut Parameters<'_>) -> Made {
    Ok(Box::new(bleu(p)?.sentence()))
}

fn corpus_bleu(p: &mut Parameters<'_>) -> Made {
    Ok(Box::new(bleu(p)?.corpus()))
}

fn gleu(p: &mut Parameters<'_>) -> Made {
    let shortest = p.count("min_len")?.unwrap_or(1);
    let longest = p.count("max_len")?.unwrap_or(4);
    Ok(Box::new(Gleu::new().orders(shortest, longest)?))
}

fn chrf(p: &mut Parameters<'_>) -> Made {
    let metric = ChrF::new()
        .beta(p.number("beta")?.unwrap_or(2.0))?
        .orders(p.count("char_order")?.unwrap_or(6))?
        .ignore_whitespace(p.flag("ignore_whitespace")?.unwrap_or(true))
        .lowercase(p.flag("lowercase")?.unwrap_or(false));
    Ok(Box::new(metric))
}

fn rouge(p: &mut Parameters<'_>) -> Made {
    let kind = p.text("rouge_type")?.unwrap_or("rouge1").parse()?;
    let stem = p.flag("use_stemmer")?.unwrap_or(false);
    Ok(Box::new(Rouge::new(kind).stem(stem)))
}

fn js_divergence(p: &mut Parameters<'_>) -> Made {
    let base = p.number("base")?.unwrap_or(2.0);
    Ok(Box::new(JsDivergence::new().base(base)?))
}

fn js_distance(p: &mut Parameters<'_>) -> Made {
    let base = p.number("base")?.unwrap_or(2.0);
    Ok(Box::new(JsDistance::new().base(base)?))
}

fn kl_divergence(p: &mut Parameters<'_>) -> Made {
    let direction = p.text("direction")?.unwrap_or("pq").parse()?;
    let smoothing = p.number("smoothing")?.unwrap_or(1e-12);
    Ok(Box::new(
        KlDivergence::new()
            .direction(direction)
            .smoothing(smoothing)?,
    ))
}

fn spearman(_: &mut Parameters<'_>) -> Made {
    Ok(Box::new(SpearmanRanking::new()))
}

fn vader(_: &mut Parameters<'_>) -> Made {
    Ok(Box::new(VaderSentiment::new()))
}

fn tone(p: &mut Parameters<'_>) -> Made {
    let mut tone = Tone::new()
        .min_sentiment(p.number("min_sentiment")?.unwrap_or(-0.2))
        .max_capitals(p.number("max_upper_ratio")?.unwrap_or(0.3))
        .max_exclamations(p.count("max_exclamations")?.unwrap_or(3));
    if let Some(words) = p.texts("positive_lexicon")? {
        tone = tone.positive(words);
    }
    if let Some(words) = p.texts("negative_lexicon")? {
        tone = tone.negative(words);
    }
    if let Some(phrases) = p.texts("forbidden_phrases")? {
        tone = tone.forbidden(phrases);
    }
    Ok(Box::new(tone))
}

fn prompt_injection(p: &mut Parameters<'_>) -> Made {
    let mut metric = PromptInjection::new();
    if let Some(patterns) = p.texts("patterns")? {
        metric = metric.patterns(patterns)?;
    }
    if let Some(phrases) = p.texts("keywords")? {
        metric = metric.phrases(phrases);
    }
    Ok(Box::new(metric))
}

fn degeneration(p: &mut Parameters<'_>) -> Made {
    let size = p.count("ngram_size")?.unwrap_or(3);
    let mut metric = ConversationDegeneration::new().ngram_size(size)?;
    if let Some(phrases) = p.texts("fallback_phrases")? {
        metric = metric.phrases(phrases);
    }
    Ok(Box::new(metric))
}

fn retention(p: &mut Parameters<'_>) -> Made {
    let count = p.count("turns_to_consider")?.unwrap_or(5);
    Ok(Box::new(KnowledgeRetention::new().statements(count)))
}

fn meteor(p: &mut Parameters<'_>) -> Made {
    let alpha = p.number("alpha")?.unwrap_or(0.9);
    let beta = p.number("beta")?.unwrap_or(3.0);
    let gamma = p.number("gamma")?.unwrap_or(0.5);
    Ok(Box::new(Meteor::new().weights(alpha, beta, gamma)?))
}
