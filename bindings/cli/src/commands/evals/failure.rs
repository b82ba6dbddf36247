//! From errors of the library to failures with an exit code.

use opik_evals::dataset::DatasetError;

use crate::exit::{Code, Failure, Verdict};

/// What went wrong with a dataset, as the shell sees it.
pub(super) fn failure(error: DatasetError) -> Failure {
    let (verdict, hint) = match &error {
        DatasetError::Unusable { .. } => (
            Verdict::Strict,
            Some("without --strict it is counted and left out"),
        ),
        DatasetError::EmptyLexicon { .. } => (
            Verdict::Unusable,
            Some("--allow-empty-lexicon, if that is what you want"),
        ),
        DatasetError::Lexicon { .. } => (Verdict::Unusable, None),
        DatasetError::SameFile { .. } => {
            (Verdict::Input, Some("give --output another name or folder"))
        }
        DatasetError::Source(_) => {
            let failure = Failure::new(Code::Store, "cannot read the recorded traces");
            return failure.hint("opik-rs doctor").cause(error);
        }
        _ => (Verdict::Input, None),
    };
    let failure = Failure::new(Code::Evals(verdict), error.to_string()).cause(error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
