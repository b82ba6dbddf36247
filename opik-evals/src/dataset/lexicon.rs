//! Words that make a text sensational: where they are read from, and what they are called.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use sha2::{Digest, Sha256};

use super::{DatasetError, Node};

/// The largest lexicon: 4 MiB.
const LIMIT: u64 = 4 * 1024 * 1024;
/// Deepest nesting of a lexicon; two levels are in use.
const DEPTH: usize = 32;

/// How much a word weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Worth a look; the text stays neutral.
    Soft,
    /// It makes the text sensational.
    Hard,
}

impl Severity {
    /// `soft` or `hard`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Soft => "soft",
            Self::Hard => "hard",
        }
    }

    /// The words that lexicons and recorded flags use.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        match word.trim().to_lowercase().as_str() {
            "hard" | "fail" | "error" => Some(Self::Hard),
            "soft" | "warn" | "warning" => Some(Self::Soft),
            _ => None,
        }
    }
}

/// A word or phrase of a lexicon.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Term {
    /// The word or phrase, without white space around it.
    pub word: String,
    /// How much it weighs.
    pub severity: Severity,
    /// What to write instead.
    pub suggestion: Option<String>,
    /// What kind of word it is, for example `hype`.
    pub category: Option<String>,
}

impl Term {
    /// A word with a weight.
    #[must_use]
    pub fn new(word: &str, severity: Severity) -> Self {
        Self {
            word: word.trim().to_owned(),
            severity,
            suggestion: None,
            category: None,
        }
    }
}

/// A list of words that make a text sensational.
///
/// Files are YAML or JSON in one of two shapes, or both: `terms`, a list of `{word, severity,
/// replacement, category}` with the severities `fail` and `warn` (default); and the lists `hard_ban`
/// and `soft_ban` with the object `suggestions`. Of a word that comes twice the heavier weight counts.
///
/// ```
/// use opik_evals::dataset::Lexicon;
///
/// let lexicon = Lexicon::parse("mine", "terms:\n  - {word: jaw-dropping, severity: fail}\n")?;
/// assert_eq!(lexicon.terms().len(), 1);
/// assert!(!Lexicon::builtin().is_empty());
/// # Ok::<(), opik_evals::dataset::DatasetError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Lexicon {
    name: String,
    terms: Vec<Term>,
    document: Node,
}

impl Lexicon {
    /// A short English list of this library: words of hype, of certainty and of urgency.
    #[must_use]
    pub fn builtin() -> Self {
        let term = |(word, severity, category): &(&str, Severity, &str)| Term {
            category: Some((*category).to_owned()),
            ..Term::new(word, *severity)
        };
        Self {
            name: "built-in".to_owned(),
            terms: BUILTIN.iter().map(term).collect(),
            document: Node::Null,
        }
    }

    /// A list from terms.
    #[must_use]
    pub fn new(name: impl Into<String>, terms: impl IntoIterator<Item = Term>) -> Self {
        let mut own = Vec::new();
        for term in terms {
            add(&mut own, term);
        }
        Self {
            name: name.into(),
            terms: own,
            document: Node::Null,
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is larger than 4 MiB or is no lexicon. An empty lexicon is none:
    /// see [`is_empty`](Self::is_empty).
    pub fn load(path: &Path) -> Result<Self, DatasetError> {
        let name = path.display().to_string();
        let size = fs::metadata(path).map_err(|source| {
            if source.kind() == std::io::ErrorKind::NotFound {
                return DatasetError::Missing {
                    path: path.to_owned(),
                };
            }
            DatasetError::Read {
                file: name.clone(),
                source,
            }
        })?;
        if size.len() > LIMIT {
            return Err(refused(name, "it is larger than 4 MiB"));
        }
        let bytes = fs::read(path).map_err(|source| DatasetError::Read {
            file: name.clone(),
            source,
        })?;
        match String::from_utf8(bytes) {
            Ok(text) => Self::parse(name, &text),
            Err(_) => Err(refused(name, "it is not UTF-8")),
        }
    }

    /// Reads a text, under the name by which reports call it.
    ///
    /// # Errors
    ///
    /// When the text is no YAML, or not in one of the two shapes.
    pub fn parse(name: impl Into<String>, text: &str) -> Result<Self, DatasetError> {
        let name = name.into();
        let document = match document(text) {
            Ok(document) => document,
            Err(reason) => return Err(refused(name, &reason)),
        };
        match terms(&document) {
            Ok(terms) => Ok(Self {
                name,
                terms,
                document,
            }),
            Err(reason) => Err(refused(name, &reason)),
        }
    }

    /// The file, or `built-in`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The terms, each word once.
    #[must_use]
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// Whether there is no term, so that every text would be neutral.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// A hash of the terms: the first 16 hexadecimal digits of SHA-256. Equal lexicons have equal
    /// hashes, wherever they were read from.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut hash = Sha256::new();
        for term in &self.terms {
            for part in [
                term.word.as_str(),
                term.severity.as_str(),
                term.suggestion.as_deref().unwrap_or(""),
                term.category.as_deref().unwrap_or(""),
            ] {
                hash.update(part.as_bytes());
                hash.update([0]);
            }
        }
        let mut text = String::with_capacity(16);
        for byte in hash.finalize().iter().take(8) {
            // Writing to a String cannot fail.
            write!(text, "{byte:02x}").unwrap_or_default();
        }
        text
    }

    /// The file as it is, for the scripts that read it in their own way.
    pub(crate) fn document(&self) -> &Node {
        &self.document
    }
}

fn refused(file: String, reason: &str) -> DatasetError {
    DatasetError::Lexicon {
        file,
        reason: reason.to_owned(),
    }
}

/// The first document of a YAML text; null where there is none.
pub(super) fn document(text: &str) -> Result<Node, String> {
    let text = text.trim_start_matches('\u{feff}');
    let documents = Yaml::load_from_str(text)
        .map_err(|error| format!("line {} is no YAML", error.marker().line()))?;
    documents
        .first()
        .map_or(Ok(Node::Null), |yaml| node(yaml, DEPTH))
}

/// Bounded by `depth`.
fn node(yaml: &Yaml<'_>, depth: usize) -> Result<Node, String> {
    let depth = depth
        .checked_sub(1)
        .ok_or_else(|| "it is nested too deeply".to_owned())?;
    Ok(match yaml {
        Yaml::Value(Scalar::Null) => Node::Null,
        Yaml::Value(Scalar::Boolean(truth)) => Node::Bool(*truth),
        Yaml::Value(Scalar::Integer(number)) => Node::Int(number.to_string()),
        Yaml::Value(Scalar::FloatingPoint(number)) => Node::Float(number.into_inner()),
        Yaml::Value(Scalar::String(text)) => Node::Text(text.to_string()),
        Yaml::Representation(text, _, _) => Node::Text(text.to_string()),
        Yaml::Sequence(items) => Node::List(
            items
                .iter()
                .map(|item| node(item, depth))
                .collect::<Result<_, _>>()?,
        ),
        Yaml::Mapping(fields) => Node::Object(
            fields
                .iter()
                .map(|(name, value)| Ok((node(name, depth)?.to_python(), node(value, depth)?)))
                .collect::<Result<_, String>>()?,
        ),
        Yaml::Tagged(_, inner) => node(inner, depth)?,
        Yaml::Alias(_) | Yaml::BadValue => return Err("it has a value that is no YAML".to_owned()),
    })
}

/// The terms of both shapes.
fn terms(document: &Node) -> Result<Vec<Term>, String> {
    if document.is_null() {
        return Ok(Vec::new());
    }
    if document.fields().is_none() {
        return Err(format!(
            "it is {}, not an object with `terms`, `hard_ban` or `soft_ban`",
            document.kind()
        ));
    }
    let list = |name: &str| match document.get(name) {
        None | Some(Node::Null) => Ok(&[][..]),
        Some(Node::List(items)) => Ok(items.as_slice()),
        Some(other) => Err(format!("`{name}` is {}, not a list", other.kind())),
    };
    let mut found = Vec::new();
    for entry in list("terms")? {
        let (word, severity) = match entry {
            Node::Text(word) => (word.as_str(), Severity::Soft),
            Node::Object(_) => {
                let word = entry
                    .get("word")
                    .and_then(Node::text)
                    .ok_or("a term of `terms` has no `word`")?;
                let severity = match entry.get("severity") {
                    None | Some(Node::Null) => Severity::Soft,
                    Some(own) => own
                        .text()
                        .and_then(Severity::from_word)
                        .ok_or("a term of `terms` has an unknown `severity`: use fail or warn")?,
                };
                (word, severity)
            }
            _ => return Err("a term of `terms` is neither an object nor a text".to_owned()),
        };
        let field = |name| entry.get(name).and_then(Node::text).map(str::to_owned);
        add(
            &mut found,
            Term {
                suggestion: field("replacement").or_else(|| field("suggestion")),
                category: field("category"),
                ..Term::new(word, severity)
            },
        );
    }
    for (name, severity) in [("hard_ban", Severity::Hard), ("soft_ban", Severity::Soft)] {
        for word in list(name)? {
            // A number is a word here: who bans 42 means it.
            let (Node::Text(_) | Node::Int(_)) = word else {
                return Err(format!("`{name}` has {}, not a text", word.kind()));
            };
            let word = word.to_python();
            let suggestion = document
                .get("suggestions")
                .and_then(|all| all.get(&word.trim().to_lowercase()))
                .and_then(Node::text);
            add(
                &mut found,
                Term {
                    suggestion: suggestion.map(str::to_owned),
                    ..Term::new(&word, severity)
                },
            );
        }
    }
    Ok(found)
}

/// Adds a term that is not blank; of a word that is there already the heavier weight counts.
fn add(terms: &mut Vec<Term>, term: Term) {
    if term.word.is_empty() {
        return;
    }
    let word = term.word.to_lowercase();
    match terms.iter_mut().find(|own| own.word.to_lowercase() == word) {
        None => terms.push(term),
        Some(own) => {
            own.severity = own.severity.max(term.severity);
            own.suggestion = own.suggestion.take().or(term.suggestion);
            own.category = own.category.take().or(term.category);
        }
    }
}

const BUILTIN: &[(&str, Severity, &str)] = &[
    ("jaw-dropping", Severity::Hard, "hype"),
    ("mind-blowing", Severity::Hard, "hype"),
    ("earth-shattering", Severity::Hard, "hype"),
    ("world-changing", Severity::Hard, "hype"),
    ("once in a lifetime", Severity::Hard, "hype"),
    ("game changer", Severity::Hard, "hype"),
    ("unbelievable", Severity::Hard, "hype"),
    ("magical", Severity::Hard, "hype"),
    ("shocking", Severity::Hard, "alarm"),
    ("horrifying", Severity::Hard, "alarm"),
    ("devastating", Severity::Hard, "alarm"),
    ("doomed", Severity::Hard, "alarm"),
    ("guaranteed", Severity::Hard, "certainty"),
    ("without any doubt", Severity::Hard, "certainty"),
    ("amazing", Severity::Soft, "hype"),
    ("stunning", Severity::Soft, "hype"),
    ("massive", Severity::Soft, "intensity"),
    ("hugely", Severity::Soft, "intensity"),
    ("vastly", Severity::Soft, "intensity"),
    ("totally", Severity::Soft, "intensity"),
    ("clearly", Severity::Soft, "certainty"),
    ("undoubtedly", Severity::Soft, "certainty"),
    ("of course", Severity::Soft, "certainty"),
    ("right now", Severity::Soft, "urgency"),
    ("at all costs", Severity::Soft, "urgency"),
];

#[cfg(test)]
mod tests;
