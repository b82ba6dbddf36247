//! Cases that both sides score.

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use opik_evals::Case;
use serde_json::{Map, Value, json};

const WORDS: &[&str] = &[
    "the", "model", "answers", "a", "question", "about", "revenue", "growth", "in", "second",
    "quarter", "and", "margins", "however", "please", "thank", "support", "table", "shows", "data",
];

/// What a case looks like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Shape {
    Texts,
    Lists,
    Json,
    Ranking,
    Conversation,
}

impl Shape {
    pub(crate) fn of(metric: &str) -> Self {
        match metric {
            "CorpusBLEU" => Self::Lists,
            "IsJson" => Self::Json,
            "SpearmanRanking" => Self::Ranking,
            "ConversationDegenerationMetric" | "KnowledgeRetentionMetric" => Self::Conversation,
            _ => Self::Texts,
        }
    }

    fn fields(self, i: u64) -> Map<String, Value> {
        let (shared, own, other) = (text(i, 20), text(i + 1, 10), text(i + 2, 10));
        let (output, reference) = (format!("{shared} {own}."), format!("{shared} {other}."));
        let fields = match self {
            Self::Texts => json!({ "output": output, "reference": reference }),
            Self::Lists => json!({ "output": [output], "reference": [reference] }),
            Self::Json => {
                json!({ "output": json!({ "answer": output, "n": [1, 2.5e3, null] }).to_string() })
            }
            Self::Ranking => {
                let mut items: Vec<String> = (0..20).map(|n| format!("item {n}")).collect();
                let reference = items.clone();
                items.rotate_left(usize::try_from(i % 20).unwrap());
                json!({ "output": items, "reference": reference })
            }
            Self::Conversation => json!({ "conversation": [
                { "role": "user", "content": shared },
                { "role": "assistant", "content": output },
                { "role": "user", "content": own },
                { "role": "assistant", "content": reference },
            ] }),
        };
        fields.as_object().unwrap().clone()
    }

    pub(crate) fn cases(self, count: u64) -> Vec<Case> {
        (0..count).map(|i| Case::from(self.fields(i))).collect()
    }

    /// The cases as lines of a file.
    pub(crate) fn file(self, folder: &Path, count: u64) -> PathBuf {
        let path = folder.join(format!("{self:?}.jsonl"));
        if !path.exists() {
            let mut file = BufWriter::new(std::fs::File::create(&path).unwrap());
            for i in 0..count {
                writeln!(file, "{}", Value::Object(self.fields(i))).unwrap();
            }
        }
        path
    }
}

/// Texts that differ in about a third of their words, always the same ones.
fn text(seed: u64, words: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let picked = (0..words).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let index = usize::try_from(state % 20).unwrap();
        *WORDS.get(index).unwrap()
    });
    picked.collect::<Vec<_>>().join(" ")
}
