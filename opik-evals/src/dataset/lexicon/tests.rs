use super::*;

#[test]
fn both_shapes_are_read_and_the_heavier_weight_counts() {
    let lexicon = Lexicon::parse(
        "l",
        "terms:\n - {word: ' Alpha ', replacement: a, category: hype}\n - beta\n\
             hard_ban: [ALPHA, 42, '']\nsoft_ban: [gamma]\nsuggestions: {gamma: g}\n",
    )
    .unwrap();
    let terms: Vec<_> = lexicon
        .terms()
        .iter()
        .map(|term| {
            (
                term.word.as_str(),
                term.severity,
                term.suggestion.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        terms,
        [
            ("Alpha", Severity::Hard, Some("a")),
            ("beta", Severity::Soft, None),
            ("42", Severity::Hard, None),
            ("gamma", Severity::Soft, Some("g")),
        ]
    );
    let json = r#"{"terms": [{"word": "x", "severity": "fail"}]}"#;
    assert_eq!(Lexicon::parse("l", json).unwrap().terms().len(), 1);
}

#[test]
fn what_is_no_lexicon_is_refused_and_an_empty_one_is_seen() {
    for text in [
        "[a, b]",
        "terms: 5",
        "terms: [{severity: fail}]",
        "terms: [{word: a, severity: purple}]",
        "hard_ban: [[a]]",
        "a: [",
        "word",
    ] {
        let error = Lexicon::parse("the file", text).unwrap_err();
        assert!(error.to_string().contains("the file"), "{text}: {error}");
    }
    for text in ["", "# nothing\n", "hard_ban:\nsoft_ban: []\n", "other: 1"] {
        assert!(Lexicon::parse("l", text).unwrap().is_empty(), "{text}");
    }
}

#[test]
fn equal_terms_have_equal_hashes() {
    let a = Lexicon::parse("a", "hard_ban: [x]").unwrap();
    let b = Lexicon::parse("b", "terms: [{word: x, severity: fail}]").unwrap();
    let c = Lexicon::parse("c", "soft_ban: [x]").unwrap();
    assert_eq!(a.hash(), b.hash());
    assert_ne!(a.hash(), c.hash());
}
