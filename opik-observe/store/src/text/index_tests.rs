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

/// A document of one row.
fn doc(bound: i64, key: i64) -> Doc {
    Doc {
        bound,
        key,
        rows: 1,
        ..Doc::default()
    }
}

fn place(found: Match) -> (i64, i64) {
    (found.doc.bound, found.doc.key)
}

fn step(text: &Connection, model: &mut Model, docs: &[(i64, i64, Vec<u8>)]) {
    let mut builder = Builder::default();
    let latest: BTreeMap<i64, _> = docs.iter().map(|doc| (doc.0, doc)).collect();
    for (key, bound, words) in latest.into_values() {
        // The bound of a key never changes.
        let bound = model.get(key).map_or(*bound, |known| known.0);
        builder.begin(doc(bound, *key));
        builder.row(0);
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
    let mut matches = Matches::new(Entity::Trace, &Words::of(question), None, highest);
    std::iter::from_fn(|| matches.next(text).unwrap().map(place)).collect()
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
    secret.begin(doc(50, 99));
    secret.row(0);
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
    for key in 0..3_000i64 {
        builder.begin(doc(key % 977, key));
        builder.row(0);
        builder.add(b"everywhere");
        builder.add(format!("only{key}").as_bytes());
    }
    builder.store(&text, Entity::Part).unwrap();
    let mut matches = Matches::new(Entity::Part, &Words::of("everywhere"), None, i64::MAX);
    let all: Vec<_> = std::iter::from_fn(|| matches.next(&text).unwrap().map(place)).collect();
    assert_eq!(all.len(), 3_000);
    assert!(all.is_sorted_by(|a, b| a > b));
    for doc in [0, 1, 976, 977, 2_999] {
        let words = Words::of(&format!("only{doc} everywhere"));
        let mut matches = Matches::new(Entity::Part, &words, None, i64::MAX);
        let found = matches.next(&text).unwrap().map(place);
        assert_eq!(found, Some((doc % 977, doc)));
        assert_eq!(matches.next(&text).unwrap(), None);
    }
}

/// Rows by the key of their document: its bound and project, and the words of each row.
type Rows = BTreeMap<i64, (i64, i64, Vec<Vec<u8>>)>;

fn counted(text: &Connection, question: &str, project: Option<i64>) -> Vec<(i64, u64)> {
    let mut matches = Matches::new(Entity::Part, &Words::of(question), project, i64::MAX);
    std::iter::from_fn(|| matches.next(text).unwrap())
        .map(|found| (found.doc.key, found.rows))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn rows_that_have_all_words_are_told_apart_in_one_project_or_all(
        steps in prop::collection::vec(
            prop::collection::vec(
                (-40i64..40, 1i64..4, prop::collection::vec(prop::collection::vec(0u8..9, 0..6), 1..9)),
                0..12,
            ),
            1..20,
        ),
    ) {
        let text = index();
        let mut model = Rows::new();
        for docs in steps {
            let mut builder = Builder::default();
            for (bound, project, rows) in docs {
                let key = i64::try_from(model.len()).unwrap();
                // The last row may be one without words.
                builder.begin(Doc { project, rows: number(rows.len()), ..doc(bound, key) });
                for (number, words) in rows.iter().enumerate().filter(|(_, words)| !words.is_empty()) {
                    builder.row(number);
                    for word in words {
                        builder.add(spelled(*word).as_bytes());
                    }
                }
                model.insert(key, (bound, project, rows));
            }
            builder.store(&text, Entity::Part).unwrap();
        }
        for merged in [false, true] {
            if merged {
                tidy(&text);
            }
            for (a, b, project) in [(0, 1, None), (2, 2, Some(2)), (3, 7, Some(1)), (8, 8, Some(9))] {
                let mut expected: Vec<((i64, i64), u64)> = model
                    .iter()
                    .filter(|(_, (_, of, _))| project.is_none_or(|project| project == *of))
                    .map(|(key, (bound, _, rows))| {
                        let has = |words: &Vec<u8>| words.contains(&a) && words.contains(&b);
                        let bits = rows.iter().enumerate().filter(|(_, words)| has(words));
                        ((*bound, *key), bits.map(|(number, _)| 1 << number).sum())
                    })
                    .filter(|(_, bits)| *bits != 0)
                    .collect();
                expected.sort_unstable_by(|a, b| b.cmp(a));
                let expected: Vec<(i64, u64)> =
                    expected.into_iter().map(|((_, key), bits)| (key, bits)).collect();
                let question = format!("{} {}", spelled(a), spelled(b));
                prop_assert_eq!(counted(&text, &question, project), expected);
            }
        }
    }
}
