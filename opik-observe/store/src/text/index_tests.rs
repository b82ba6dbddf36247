use std::collections::BTreeMap;

use proptest::prelude::*;
use rusqlite::Connection;

use super::*;
use crate::facet::Entity;

fn index() -> Connection {
    let mut conn = Connection::open_in_memory().unwrap();
    index::make(&mut conn).unwrap();
    conn
}

/// What is in the index: bound and words by key.
type Model = BTreeMap<i64, (i64, Vec<String>)>;

/// A word for a number. A third of them are longer than what the builder compares as a number, and
/// alike for that long.
fn spelled(word: u8) -> String {
    if word.is_multiple_of(3) {
        format!("a-very-long-beginning{word}").replace('-', "")
    } else {
        format!("word{word}")
    }
}

fn step(text: &Connection, model: &mut Model, docs: &[(i64, i64, Vec<u8>)]) {
    let mut builder = Builder::default();
    let latest: BTreeMap<i64, _> = docs.iter().map(|doc| (doc.0, doc)).collect();
    for (key, bound, words) in latest.into_values() {
        // The bound of a key never changes.
        let bound = model.get(key).map_or(*bound, |known| known.0);
        builder.begin(bound, *key);
        let words: Vec<String> = words.iter().map(|word| spelled(*word)).collect();
        for word in &words {
            builder.add(word.as_bytes());
        }
        // Old words of a key may still be found, so the model collects them.
        let known = model.entry(*key).or_insert((bound, Vec::new()));
        known.1.extend(words);
    }
    builder.store(text, Entity::Trace).unwrap();
}

fn found(text: &Connection, question: &str, highest: i64) -> Vec<(i64, i64)> {
    let mut matches = Matches::new(Entity::Trace, &Words::of(question), highest);
    std::iter::from_fn(|| matches.next(text).unwrap()).collect()
}

fn expected(model: &Model, words: &[&str], highest: i64) -> Vec<(i64, i64)> {
    let mut all: Vec<(i64, i64)> = model
        .iter()
        .filter(|(_, (bound, has))| {
            *bound <= highest && words.iter().all(|word| has.iter().any(|own| own == word))
        })
        .map(|(key, (bound, _))| (*bound, *key))
        .collect();
    all.sort_unstable_by(|a, b| b.cmp(a));
    all
}

fn tidy(text: &Connection) {
    while merge::merge_some(text).unwrap() {}
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_document_is_found_by_its_words_newest_first(
        steps in prop::collection::vec(
            prop::collection::vec((0i64..5_000, -40i64..40, prop::collection::vec(0u8..30, 0..12)), 0..30),
            1..24,
        ),
        tidy_after in 0i64..24,
        highest in -40i64..40,
    ) {
        let text = index();
        let mut model = Model::new();
        for (number, docs) in (0i64..).zip(&steps) {
            // Keys of a step are its own, as those of new rows are.
            let own: Vec<_> = docs
                .iter()
                .map(|(key, bound, words)| (key + 5_000 * number, *bound, words.clone()))
                .collect();
            step(&text, &mut model, &own);
            if number == tidy_after {
                tidy(&text);
            }
        }
        for merged in [false, true] {
            if merged {
                tidy(&text);
            }
            for (a, b) in [(0, 1), (7, 7), (29, 3)] {
                let (a, b) = (spelled(a), spelled(b));
                prop_assert_eq!(
                    found(&text, &format!("{a} {b}"), highest),
                    expected(&model, &[&a, &b], highest)
                );
                prop_assert_eq!(found(&text, &a, i64::MAX), expected(&model, &[&a], i64::MAX));
            }
        }
    }
}

#[test]
fn a_document_that_changed_comes_once_and_its_old_words_go_with_a_merge() {
    let text = index();
    let mut model = Model::new();
    for word in 0..8u8 {
        step(
            &text,
            &mut model,
            &[
                (1, 10, vec![3 * word + 1, 100]),
                (2 + i64::from(word), 5, vec![200]),
            ],
        );
    }
    assert_eq!(found(&text, "word100", i64::MAX), [(10, 1)]);
    assert_eq!(found(&text, "word1", i64::MAX), [(10, 1)]);
    tidy(&text);
    assert_eq!(found(&text, "word100", i64::MAX), [(10, 1)]);
    assert_eq!(found(&text, "word1", i64::MAX), []);
    assert_eq!(found(&text, "word22", i64::MAX), [(10, 1)]);
    assert_eq!(found(&text, "word200", i64::MAX).len(), 8);
}

#[test]
fn removed_words_leave_the_file() {
    let text = index();
    let mut model = Model::new();
    let docs: Vec<_> = (0..6).map(|key| (key, key, vec![1])).collect();
    step(&text, &mut model, &docs);
    let mut secret = Builder::default();
    secret.begin(50, 99);
    secret.add(b"secretword");
    secret.add(b"word1");
    secret.store(&text, Entity::Trace).unwrap();
    text.execute("INSERT INTO removed VALUES (1, 99)", [])
        .unwrap();
    tidy(&text);
    assert_eq!(found(&text, "secretword", i64::MAX), []);
    assert_eq!(found(&text, "word1", i64::MAX).len(), 6);
    let pages: i64 = text
        .query_row(
            "SELECT count(*) FROM page WHERE instr(data, CAST('secretword' AS BLOB))",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(pages, 0);
}

#[test]
fn long_lists_and_many_words_span_pages() {
    let text = index();
    let mut builder = Builder::default();
    for doc in 0..3_000i64 {
        builder.begin(doc % 977, doc);
        builder.add(b"everywhere");
        builder.add(format!("only{doc}").as_bytes());
    }
    builder.store(&text, Entity::Part).unwrap();
    let mut matches = Matches::new(Entity::Part, &Words::of("everywhere"), i64::MAX);
    let all: Vec<_> = std::iter::from_fn(|| matches.next(&text).unwrap()).collect();
    assert_eq!(all.len(), 3_000);
    assert!(all.is_sorted_by(|a, b| a > b));
    for doc in [0, 1, 976, 977, 2_999] {
        let words = Words::of(&format!("only{doc} everywhere"));
        let mut matches = Matches::new(Entity::Part, &words, i64::MAX);
        assert_eq!(matches.next(&text).unwrap(), Some((doc % 977, doc)));
        assert_eq!(matches.next(&text).unwrap(), None);
    }
}
