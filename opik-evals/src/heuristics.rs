//! Metrics that are computed, without a model, equal to those of the official Python SDK.
//!
//! "Equal" is a test: every row that the Python SDK (opik 2.2.122) gave for these metrics is
//! reproduced within 1e-9, with the same kind of error. Where a formula surprises, the
//! documentation of the metric says so; names and defaults are those of the Python SDK.
//!
//! Words are split and lower-cased as Python does it: `str.lower` and `str.split`, by code points,
//! without a language.

mod automaton;
mod bleu;
mod caseless;
mod catalog;
mod chrf;
mod contains;
mod conversation;
mod degeneration;
mod divergence;
mod equals;
mod gleu;
mod is_json;
mod levenshtein;
mod meteor;
mod ngrams;
mod numbering;
mod phrases;
mod porter;
mod prompt_injection;
mod python;
mod readability;
mod regex_match;
mod retention;
mod rouge;
pub(crate) mod runs;
mod spearman;
mod tone;
mod vader;
mod word_map;
mod words;

pub use bleu::{Bleu, CorpusBleu, SentenceBleu, Smoothing};
pub use catalog::{by_name, names};
pub use chrf::ChrF;
pub use contains::Contains;
pub use degeneration::ConversationDegeneration;
pub use divergence::{Direction, JsDistance, JsDivergence, KlDivergence};
pub use equals::Equals;
pub use gleu::Gleu;
pub use is_json::IsJson;
pub use levenshtein::LevenshteinRatio;
pub use meteor::Meteor;
pub use prompt_injection::PromptInjection;
pub use readability::Readability;
pub use regex_match::RegexMatch;
pub use retention::KnowledgeRetention;
pub use rouge::{Rouge, RougeKind};
pub use spearman::SpearmanRanking;
pub use tone::Tone;
pub use vader::VaderSentiment;
