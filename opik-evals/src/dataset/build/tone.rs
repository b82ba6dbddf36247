//! Tone: is a block of text sensational or neutral?

use std::io::Write;

use super::batch::Made;
use super::{BuildReport, Make, run};
use crate::dataset::manifest::{Manifests, Origin};
use crate::dataset::node::{Items, View};
use crate::dataset::records::Records;
use crate::dataset::{DatasetError, Input, Lexicon, ReadOptions, Severity, ToneFlag, ToneScanner};

/// Builds a dataset of texts labelled `sensational` or `neutral`.
///
/// A block has its text in `content`, else in `text`. It is sensational when a word of the lexicon
/// that weighs heavily is in it, or a recorded flag of that weight. Job, project and rigour come
/// from the block, else from the manifest around it, else from [`manifests`](Self::manifests).
///
/// ```
/// use opik_evals::dataset::{Input, Lexicon, ToneBuilder};
///
/// let lexicon = Lexicon::parse("mine", "hard_ban: [shocking]")?;
/// let input = r#"{"job_id": "j", "blocks": [{"block_id": "b", "content": "A shocking find."}]}"#;
/// let mut output = Vec::new();
/// let report = ToneBuilder::new(lexicon)?
///     .build([Input::reader("lines", input.as_bytes())], &mut output)?;
/// assert_eq!(report.written(), 1);
/// assert!(String::from_utf8(output)?.contains(r#""label": "sensational", "job_id": "j""#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct ToneBuilder {
    scanner: ToneScanner,
    options: ReadOptions,
    manifests: Manifests,
}

impl ToneBuilder {
    /// A builder with a lexicon.
    ///
    /// # Errors
    ///
    /// When the lexicon is empty: every text would be neutral. Use [`allow_empty`](Self::allow_empty)
    /// where that is meant.
    pub fn new(lexicon: Lexicon) -> Result<Self, DatasetError> {
        if lexicon.is_empty() {
            return Err(DatasetError::EmptyLexicon {
                file: lexicon.name().to_owned(),
            });
        }
        Self::allow_empty(lexicon)
    }

    /// A builder with a lexicon that may be empty.
    ///
    /// # Errors
    ///
    /// When the lexicon is too large to search for.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "as `new`, which keeps the choice of holding on to it"
    )]
    pub fn allow_empty(lexicon: Lexicon) -> Result<Self, DatasetError> {
        Ok(Self {
            scanner: ToneScanner::new(&lexicon)?,
            options: ReadOptions::new(),
            manifests: Manifests::default(),
        })
    }

    /// How records are read.
    #[must_use]
    pub fn options(mut self, options: ReadOptions) -> Self {
        self.options = options;
        self
    }

    /// Manifests that say of which job a block is, and which flags it has.
    #[must_use]
    pub fn manifests(mut self, manifests: Manifests) -> Self {
        self.manifests = manifests;
        self
    }

    /// Reads blocks and manifests, writes one record a line.
    ///
    /// # Errors
    ///
    /// When reading or writing fails, or at the first unusable record when reading is strict.
    pub fn build(
        &self,
        inputs: impl IntoIterator<Item = Input>,
        output: &mut dyn Write,
    ) -> Result<BuildReport, DatasetError> {
        run(self, Records::new(inputs, self.options), output)
    }

    /// Whether a text is sensational, or a recorded flag says so; and the flags of the text.
    fn label(&self, text: &str, mut recorded: Items<'_>) -> (&'static str, Vec<ToneFlag>) {
        let flags = self.scanner.scan(text);
        let heavy = |flag: View<'_>| {
            let severity = flag.get("severity").and_then(View::text);
            severity.and_then(Severity::from_word) == Some(Severity::Hard)
        };
        let hard = flags.iter().any(|flag| flag.severity == Severity::Hard);
        let label = if hard || recorded.any(heavy) {
            "sensational"
        } else {
            "neutral"
        };
        (label, flags)
    }
}

impl Make for ToneBuilder {
    const LISTS: &'static [&'static str] = &["blocks", "manuscript_blocks"];
    const OWN: &'static [&'static str] = &["content", "text", "block_id"];

    fn make(&self, block: View<'_>, origin: Origin<'_>, made: &mut Made) -> Result<(), String> {
        let known = self.manifests.block(block, origin);
        let origin = known.map_or(origin, |(other, _)| origin.or(other));
        let own = |name| block.get(name).filter(|value| !value.is_null());
        let content = own("content").or_else(|| own("text"));
        let text = match content {
            Some(View::Text(text)) => text,
            Some(other) => return Err(format!("its text is {}", other.kind())),
            None => {
                let reason = "a block without `content` and `text`, as manifests have them: \
                              read the blocks and give the manifest beside them";
                return Err(reason.to_owned());
            }
        };
        let recorded = own("tone_flags")
            .or_else(|| known.and_then(|(_, entry)| entry.get("tone_flags")))
            .and_then(View::list)
            .unwrap_or(Items::NONE);
        let (label, flags) = self.label(text, recorded);
        let rigor = origin.rigor_text();
        made.record(|record| {
            record
                .text("text", text)
                .text("label", label)
                .value("job_id", origin.job)
                .value("block_id", block.get("block_id"))
                .text("rigor_level", &rigor)
                .value("project_id", origin.project)
                .objects("flags", &flags, |record, flag| flag.write(record))
                .value("recorded_flags", View::List(recorded))
                .text("expected_output", label)
        });
        made.tally.add(label, &rigor, None);
        Ok(())
    }
}
