use opik_core::SpanType;

use super::*;

#[test]
fn names_pass_as_the_policy_says_and_equal_ones_stay_equal() {
    let strict = Policy::default().allow_name("search web");
    assert!(strict.passes_name("lookup", true) && strict.passes_name("search web", false));
    assert!(!strict.passes_name("lookup", false));
    let hidden = strict.stand_in(Field::Name, Some("tool"), "lookup");
    assert!(
        hidden.starts_with("tool#") && hidden.len() == 13,
        "{hidden}"
    );
    assert_eq!(hidden, strict.stand_in(Field::Name, Some("tool"), "lookup"));

    let words = Policy::default().names(Names::Identifiers);
    assert!(words.passes_name("web.search-1", false));
    assert!(!words.passes_name("web search", false));
    assert!(!words.passes_name(&"a".repeat(65), false));
}

#[test]
fn labels_are_what_programs_call_things() {
    for text in [
        "gpt-5-mini",
        "us.anthropic.claude:0",
        "node=draft",
        "a",
        "chat#7",
    ] {
        assert!(Policy::passes_label(text), "{text}");
    }
    for text in [
        "",
        "Ann Lee",
        "ann@example.com",
        "größe",
        "a\n",
        &"a".repeat(129),
    ] {
        assert!(!Policy::passes_label(text), "{text}");
    }
}

#[test]
fn the_later_of_allow_and_deny_stays_and_only_for_its_kinds() {
    let policy = Policy::metadata_only()
        .allow(Field::Output, SpanType::Tool)
        .deny(Field::Tags, Kinds::TRACE)
        .deny(Field::Output, SpanType::Llm)
        .allow(Field::Output, Kinds::LLM | Kinds::TRACE);
    assert_eq!(policy.rule(Field::Output, Kinds::TOOL), Rule::Keep);
    assert_eq!(policy.rule(Field::Output, Kinds::LLM), Rule::Keep);
    assert_eq!(policy.rule(Field::Output, Kinds::GENERAL), Rule::Hide);
    assert_eq!(policy.rule(Field::Tags, Kinds::TRACE), Rule::Hide);
    assert_eq!(policy.rule(Field::Tags, Kinds::TOOL), Rule::Label);
    // What may be of several kinds needs the leave of all.
    assert_eq!(policy.rule(Field::Output, Kinds::SPANS), Rule::Hide);
    let all = policy.allow(Field::Output, Kinds::SPANS);
    assert_eq!(all.rule(Field::Output, Kinds::SPANS), Rule::Keep);
    let one_denied = Policy::full_content().deny(Field::ScoreReason, SpanType::Llm);
    assert_eq!(
        one_denied.rule(Field::ScoreReason, Kinds::SPANS),
        Rule::Hide
    );
    assert_eq!(
        one_denied.rule(Field::ScoreReason, Kinds::TRACE),
        Rule::Keep
    );
}

#[test]
fn only_a_policy_that_hides_nothing_passes_content() {
    assert!(Policy::full_content().passes_content());
    assert!(
        !Policy::full_content()
            .deny(Field::Output, SpanType::Guardrail)
            .passes_content()
    );
    assert!(
        !Policy::metadata_only()
            .allow(Field::Output, Kinds::ALL)
            .passes_content()
    );
}

#[test]
fn a_key_also_covers_the_stand_ins() {
    let key = |key| Policy::default().prompt_hash(PromptHash::Keyed(Secret::new(key)));
    let hidden = |policy: &Policy| policy.stand_in(Field::Tags, None, "Ann Lee");
    assert_ne!(hidden(&key("a")), hidden(&key("b")));
    assert_ne!(hidden(&key("a")), hidden(&Policy::default()));
    assert_eq!(hidden(&key("a")), hidden(&key("a")));
    assert!(!format!("{:?}", key("hunter2hunter2")).contains("hunter2"));
}

#[test]
fn fingerprints_are_those_that_were_asked_for() {
    let keys = |which: PromptHash, input: &str| {
        let found = Policy::default()
            .prompt_hash(which)
            .fingerprints(Prompt::Json(input));
        let found = found.into_iter().flatten();
        found
            .map(|(key, hash)| (key, hash.len()))
            .collect::<Vec<_>>()
    };
    let (messages, text) = (r#"[{"role": "user", "content": "u"}]"#, "\"u\"");
    assert_eq!(keys(PromptHash::Off, messages), []);
    assert_eq!(keys(PromptHash::V1, messages), [("prompt_hash", 64)]);
    assert_eq!(keys(PromptHash::V1, text), []);
    assert_eq!(keys(PromptHash::V2, text), [("prompt_hash", 67)]);
    assert_eq!(
        keys(PromptHash::Both, messages),
        [("prompt_hash", 67), ("prompt_hash_v1", 64)]
    );
    let keyed = PromptHash::Keyed(Secret::new("k"));
    assert_eq!(keys(keyed, text), [("prompt_hash", 68)]);
}
