//! Kinds of failure that have a known remedy.
//!
//! Found by words of the exception type and the message, and by an HTTP status that directly
//! follows `http`, `status`, `code` or `error`. First match in the order of the enum.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use serde::Serialize;

/// Bytes of a message that are looked at.
const LENGTH: usize = 400;

/// A kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureClass {
    /// Too many requests, or no quota left.
    RateLimit,
    /// The prompt does not fit into the model's context.
    ContextOverflow,
    /// The reply was cut at its largest length.
    TruncatedOutput,
    /// A call ended without an error and gave nothing back.
    MissingOutput,
    /// Nothing came in time.
    Timeout,
    /// Not allowed, or not known.
    Access,
    /// No connection.
    Connection,
    /// The other side failed.
    Server,
    /// What was asked for does not exist.
    NotFound,
    /// The arguments or the data do not fit.
    InvalidInput,
}

impl FailureClass {
    /// What happened, as a clause: `the model or service refused because of its rate limit`.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::RateLimit => "the service refused because of its rate limit or quota",
            Self::ContextOverflow => "the prompt was longer than the model's context",
            Self::TruncatedOutput => "the reply was cut at its largest length",
            Self::MissingOutput => "nothing was given back, and no error was reported",
            Self::Timeout => "nothing came in time",
            Self::Access => "access was denied",
            Self::Connection => "there was no connection",
            Self::Server => "the other side failed",
            Self::NotFound => "what was asked for does not exist",
            Self::InvalidInput => "the arguments or the data did not fit",
        }
    }

    /// What helps, as a clause.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::RateLimit => "retry with growing waits, or spread the calls",
            Self::ContextOverflow => "shorten the history or the retrieved text",
            Self::TruncatedOutput => "raise the limit of output tokens, or ask for less",
            Self::MissingOutput => "check how the call ends, and treat an empty result as an error",
            Self::Timeout => "raise the time limit, or make the call smaller",
            Self::Access => "check the key and the permissions",
            Self::Connection => "check the address and the network",
            Self::Server => "retry; it is likely to pass",
            Self::NotFound => "check the name or the path that was asked for",
            Self::InvalidInput => "check the arguments that were passed",
        }
    }
}

const WORDS: [(FailureClass, &[&str]); 8] = [
    (
        FailureClass::RateLimit,
        &[
            "rate limit",
            "rate_limit",
            "ratelimit",
            "too many requests",
            "quota exceeded",
            "insufficient_quota",
            "throttl",
        ],
    ),
    (
        FailureClass::ContextOverflow,
        &[
            "context length",
            "context_length",
            "contextlength",
            "maximum context",
            "context window",
            "contextwindow",
            "prompt is too long",
            "too many tokens",
        ],
    ),
    (
        FailureClass::Timeout,
        &[
            "timeout",
            "timed out",
            "deadline exceeded",
            "deadlineexceeded",
        ],
    ),
    (
        FailureClass::Access,
        &[
            "unauthorized",
            "forbidden",
            "authentication",
            "invalid api key",
            "permission denied",
            "permissionerror",
            "access denied",
        ],
    ),
    (
        FailureClass::Connection,
        &[
            "connection refused",
            "connection reset",
            "connection error",
            "connectionerror",
            "connecterror",
            "name or service not known",
            "network is unreachable",
            "failed to resolve",
        ],
    ),
    (
        FailureClass::Server,
        &[
            "internal server error",
            "service unavailable",
            "bad gateway",
            "overloaded",
        ],
    ),
    (
        FailureClass::NotFound,
        &[
            "not found",
            "notfound",
            "no such file",
            "does not exist",
            "no module named",
        ],
    ),
    (
        FailureClass::InvalidInput,
        &[
            "valueerror",
            "typeerror",
            "keyerror",
            "indexerror",
            "validationerror",
            "syntaxerror",
            "nameerror",
            "attributeerror",
            "jsondecodeerror",
            "invalid argument",
            "invalid json",
            "missing required",
            "bad request",
        ],
    ),
];

/// One search for all the words; the number of a pattern is its place in [`WORDS`], flattened.
static SEARCH: LazyLock<Option<(AhoCorasick, Vec<FailureClass>)>> = LazyLock::new(|| {
    let all = || {
        WORDS
            .iter()
            .flat_map(|(class, words)| words.iter().map(move |word| (*class, word)))
    };
    let search = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .kind(Some(AhoCorasickKind::DFA))
        .build(all().map(|(_, word)| word))
        .ok()?;
    Some((search, all().map(|(class, _)| class).collect()))
});

/// The class of an error by its type and message.
pub(crate) fn classify(exception_type: &str, message: &str) -> Option<FailureClass> {
    let message = message
        .get(..message.floor_char_boundary(LENGTH))
        .unwrap_or(message);
    let by_status = || by_status(exception_type).or_else(|| by_status(message));
    let by_words = || {
        let (search, classes) = SEARCH.as_ref()?;
        let of = |text: &str| {
            let found = search.find_overlapping_iter(text);
            let classes = found.filter_map(|word| classes.get(word.pattern().as_usize()).copied());
            classes.min()
        };
        [of(exception_type), of(message)]
            .into_iter()
            .flatten()
            .min()
    };
    by_status().or_else(by_words)
}

fn by_status(text: &str) -> Option<FailureClass> {
    if !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let is = |word: &str, wanted: &str| word.eq_ignore_ascii_case(wanted);
    let mut since_cue = usize::MAX;
    for word in text.split(|character: char| !character.is_alphanumeric()) {
        if word.is_empty() {
            continue;
        }
        since_cue = since_cue.saturating_add(1);
        let begins = word.get(..4).is_some_and(|begin| is(begin, "http"));
        let end = word.len().checked_sub(5).and_then(|at| word.get(at..));
        if begins
            || end.is_some_and(|end| is(end, "error"))
            || ["status", "code", "statuscode"]
                .iter()
                .any(|cue| is(word, cue))
        {
            since_cue = 0;
        } else if since_cue == 1
            && word.len() == 3
            && let Ok(status) = word.parse::<u16>()
        {
            return match status {
                429 => Some(FailureClass::RateLimit),
                401 | 403 => Some(FailureClass::Access),
                408 | 504 => Some(FailureClass::Timeout),
                404 | 410 => Some(FailureClass::NotFound),
                400 | 422 => None,
                500..=599 => Some(FailureClass::Server),
                _ => None,
            };
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_by_words_and_by_status() {
        for (kind, message, class) in [
            ("RateLimitError", "slow down", Some(FailureClass::RateLimit)),
            (
                "APIError",
                "Error code: 429 - busy",
                Some(FailureClass::RateLimit),
            ),
            ("HTTPError", "status code: 503", Some(FailureClass::Server)),
            (
                "BadRequestError",
                "Error code: 400 - maximum context length is 8192",
                Some(FailureClass::ContextOverflow),
            ),
            ("ReadTimeout", "", Some(FailureClass::Timeout)),
            ("KeyError", "'price'", Some(FailureClass::InvalidInput)),
            ("Error", "found 500 rows too many", None),
            ("Oops", "something", None),
        ] {
            assert_eq!(classify(kind, message), class, "{kind}: {message}");
        }
    }
}
