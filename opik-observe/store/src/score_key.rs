//! How the target of a score is named in its table.

use opik_core::model::ScoreTarget;

/// Kind and target of a score.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScoreKey {
    pub(crate) kind: i64,
    pub(crate) target: Vec<u8>,
}

impl ScoreKey {
    /// The key of a target; a thread's name is unique in its project only.
    pub(crate) fn of(target: &ScoreTarget, project: i64) -> Self {
        match target {
            ScoreTarget::Trace(id) => Self {
                kind: 0,
                target: id.as_bytes().to_vec(),
            },
            ScoreTarget::Span(id) => Self {
                kind: 1,
                target: id.as_bytes().to_vec(),
            },
            ScoreTarget::Thread(name) => Self::thread(name, project),
            other => Self {
                kind: 3,
                target: format!("{other:?}").into_bytes(),
            },
        }
    }

    fn thread(name: &str, project: i64) -> Self {
        let mut target = project.to_be_bytes().to_vec();
        target.extend_from_slice(name.as_bytes());
        Self { kind: 2, target }
    }
}
