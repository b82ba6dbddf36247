//! What every way sends: spans of a model call with a prompt of about 900 bytes.

/// Spans of one trace.
pub const PER_TRACE: usize = 100;

pub const MODEL: &str = "gpt-4.1-mini";
pub const PROVIDER: &str = "openai";
pub const INPUT_TOKENS: i64 = 310;
pub const OUTPUT_TOKENS: i64 = 42;

/// Prompts that repeat words about as often as prose does: rows of them shrink to a quarter.
pub fn prompts() -> Vec<String> {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let words: Vec<String> = (0..1_200)
        .map(|_| {
            let length = 2 + next() % 9;
            (0..length)
                .map(|_| char::from(b'a' + (next() % 26) as u8))
                .collect()
        })
        .collect();
    let mut prompt = || {
        let mut text = String::with_capacity(920);
        while text.len() < 900 {
            // The n-th word is about 1/n as frequent as the first.
            let share = (next() % 1_000_000) as f64 / 1_000_000.0;
            let rank = (words.len() as f64).powf(share) as usize - 1;
            text.push_str(&words[rank.min(words.len() - 1)]);
            text.push(' ');
        }
        text
    };
    (0..4_096).map(|_| prompt()).collect()
}
