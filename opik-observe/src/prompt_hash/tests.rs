use serde_json::value::RawValue;

use super::*;

fn form(text: &str) -> String {
    let mut out = Vec::new();
    write_prompt(&serde_json::from_str(text).unwrap(), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn any_input_is_hashed_over_its_canonical_form() {
    assert_eq!(
        form(r#"{ "b": [1, 2.0, null], "a": {"z": "é\n", "y": true} }"#),
        "{\"a\":{\"y\":true,\"z\":\"é\\n\"},\"b\":[1,2.0,null]}"
    );
    // `printf '{"a":1}' | sha256sum`
    assert_eq!(
        v2(r#"{ "a" : 1 }"#),
        "v2:015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
    );
}

#[test]
fn every_role_and_the_order_count_and_nothing_else_of_a_message() {
    let prompt = form(
        r#"{"model": "m", "messages": [
            {"role": "system", "content": "s"},
            {"role": "assistant", "content": null, "tool_calls": [1]},
            {"content": [{"type": "text", "text": "u"}], "role": "user", "id": 3}],
          "tools": [{"name": "t"}]}"#,
    );
    assert_eq!(
        prompt,
        "{\"messages\":[[\"system\",\"s\"],[\"assistant\",null],\
         [\"user\",[{\"text\":\"u\",\"type\":\"text\"}]]],\"tools\":[{\"name\":\"t\"}]}"
    );
    let pair = |a: &str, b: &str| {
        v2(&format!(
            r#"[{{"role":"user","content":"{a}"}},{{"role":"user","content":"{b}"}}]"#
        ))
    };
    assert_ne!(pair("a", "b"), pair("b", "a"));
    assert_ne!(pair("a|b", ""), pair("a", "b"));
}

#[test]
fn what_is_no_json_is_hashed_as_text() {
    assert_ne!(v2("{\"a"), v2("{\"b"));
    assert!(v2(&"[".repeat(100_000)).starts_with("v2:"));
}

/// One row of what Vyasa's own function printed.
#[derive(serde::Deserialize)]
struct Golden<'a> {
    #[serde(borrow)]
    messages: &'a RawValue,
    #[serde(borrow)]
    tool_signature: &'a RawValue,
    result: &'a str,
}

#[test]
fn version_1_is_that_of_vyasa() {
    let rows = include_str!("../../tests/fixtures/prompt_hash_v1.jsonl");
    assert_eq!(rows.lines().count(), 10);
    for row in rows.lines() {
        let golden: Golden<'_> = serde_json::from_str(row).unwrap();
        let (messages, tools) = (golden.messages, golden.tool_signature);
        let input = format!(r#"{{"tools": {tools}, "messages": {messages}}}"#);
        assert_eq!(v1(&input).as_deref(), Some(golden.result), "{row}");
        if tools.get() == "[]" {
            assert_eq!(v1(messages.get()).as_deref(), Some(golden.result), "{row}");
        }
    }
}

#[test]
fn version_1_needs_messages() {
    for input in ["\"text\"", "{}", r#"{"messages": "text"}"#, "no JSON", "7"] {
        assert_eq!(v1(input), None, "{input}");
    }
}

#[test]
fn the_keyed_form_is_hmac_over_the_same_text() {
    // `hmac.new(b"key", b'{"a":1}', hashlib.sha256).hexdigest()`
    assert_eq!(
        keyed(r#"{ "a" : 1 }"#, &Secret::new("key")),
        "v2k:88a67f24bbcdaed0e6c997404bb79a743baf44c6bab2f4c27328e3009d22e342"
    );
}

/// The canonical forms were written by hand and hashed by Python's `hashlib`.
#[test]
fn version_2_stays_what_it_is() {
    for (input, hash) in [
        (
            r#""plain text""#,
            "86696ae0a7dd4789bb5a8256f0a58a13243fe65bafb37c44f3c73e2228fd78b7",
        ),
        (
            r#""a \"quote\", a \\ and a line\n\u0001\u00e9\u2028""#,
            "e8d3658461387583b40d2a35c108abeeef5d933a1c7ee1768ef37365eb36473a",
        ),
        (
            r#""""#,
            "12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126",
        ),
        (
            r#"[{"role":"user","content":"hi","name":"ann"}]"#,
            "897be8e1f0370e7f41788b5b5337627e27486af82d28479ccfbe509c847683b9",
        ),
        (
            r#"{"messages":[{"content":[{"type":"text","text":"u"}],"role":"user"},{"role":"tool"}],"tools":[{"name":"t","a":1}]}"#,
            "4f8176d293ee74ddf39f72d830c2b09620595b938451168f9de5744940456a3e",
        ),
        (
            r#"{"messages":[],"b":1}"#,
            "4dd61e6335c2c2e90dd2e52385adcfa4e3cd391c6ea4200059847776c0bfd392",
        ),
        (
            r#"[{"role":1}, 1.50, -0.0, 1e3, 18446744073709551615]"#,
            "657b4efa6a523e59554542398b0b0c6b3cd7a313c30835c344dbd46358d502d5",
        ),
        (
            r#"{"a":1,"a":2}"#,
            "7e8059f495589fcd981232cc11d00b00da3802c01d688fa1cf1f6bed6e5bb33c",
        ),
        (
            r#"{"cut":"#,
            "81999f246317e67c9e0d72db1ce4b6a2febdb4de8ec7421f817768da9f7d3fc0",
        ),
    ] {
        assert_eq!(v2(input), format!("v2:{hash}"), "{input}");
    }
}

proptest::proptest! {
    #[test]
    fn a_text_has_the_hash_of_its_json(
        text in proptest::prelude::any::<String>(), mixed in r#"[a-z"\\\n\u{1}é]{0,300}"#,
    ) {
        let key = Secret::new("key");
        for text in [text, mixed] {
            let json = serde_json::to_string(&text).unwrap();
            proptest::prop_assert_eq!(Prompt::Text(&text).v2(), v2(&json));
            proptest::prop_assert_eq!(Prompt::Text(&text).keyed(&key), keyed(&json, &key));
        }
    }
}
