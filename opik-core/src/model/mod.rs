//! The records of Opik's wire protocol, field by field.
//!
//! Names, types and optional fields are those of Opik's public specification, the union of what
//! is written and what is read. `null` and empty lists are omitted on output and mean "absent" on
//! input. Fields that this version does not know survive a round trip in `extra`, except that
//! numbers beyond 64 bits lose digits there; `input`, `output` and `metadata` are kept as text.
//!
//! `Debug` of a record shows identifiers, times and sizes, never content. Read records with
//! `from_json`: its errors do not quote the text either.

mod decode;
mod error_info;
mod feedback;
mod lenient;
mod project;
mod span;
mod thread;
mod trace;
mod usage;

pub use error_info::ErrorInfo;
pub use feedback::{Comment, FeedbackScore, ScoreRecord, ScoreSource, ScoreTarget, ValueEntry};
pub use project::Project;
pub use span::{Span, SpanType};
pub use thread::{Thread, ThreadStatus};
pub use trace::{
    AnnotationQueueRef, ExperimentRef, GuardrailCheck, GuardrailValidation, RecordSource, Trace,
    VisibilityMode,
};
pub use usage::Usage;

/// Fields that this version does not know, by name.
pub type Extra = serde_json::Map<String, serde_json::Value>;

/// Declares an enum that is a word on the wire; a word of a newer server is kept as it is.
macro_rules! wire_word {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
            /// A word that this version does not know.
            Other(Box<str>),
        }

        impl $name {
            /// The word on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                }
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)+
                    other => Self::Other(other.into()),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Word;
                impl serde::de::Visitor<'_> for Word {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a word")
                    }
                    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<$name, E> {
                        Ok($name::from(word))
                    }
                }
                deserializer.deserialize_str(Word)
            }
        }
    };
}
pub(crate) use wire_word;
