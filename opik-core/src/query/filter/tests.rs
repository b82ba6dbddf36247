use super::*;

#[test]
fn the_wire_form_is_read_leniently_where_opik_does() {
    let text = r#"[
            {"field": "metadata", "operator": "=", "key": "n", "value": 2, "type": "dictionary"},
            {"field": "error_info", "operator": "is_empty", "key": "", "value": null},
            {"field": "name", "operator": "contains", "key": "ignored", "value": "x", "new": []}
        ]"#;
    let filters = Filter::parse_list(Entity::Trace, text).unwrap();
    let parts: Vec<_> = filters.iter().map(|it| (it.key(), it.value())).collect();
    assert_eq!(parts, [(Some("n"), "2"), (None, ""), (None, "x")]);
    for none in ["", " ", "null", "\"\"", "[]"] {
        assert_eq!(Filter::parse_list(Entity::Trace, none), Ok(Vec::new()));
    }
}

#[test]
fn a_custom_condition_is_one_on_the_field_that_its_key_begins_with() {
    let custom = |key, operator| Filter::new(Entity::Trace, "custom", operator, Some(key), "x");
    let path = custom("input.a.b", Operator::Equal).unwrap();
    let plain = Filter::new(
        Entity::Trace,
        "input_json",
        Operator::Equal,
        Some("a.b"),
        "x",
    );
    assert_eq!(Ok(path), plain);
    let whole = custom("output", Operator::Contains).unwrap();
    let plain = Filter::new(Entity::Trace, "output", Operator::Contains, None, "x");
    assert_eq!(Ok(whole), plain);
    assert!(custom("nothing.a", Operator::Equal).is_err());
    assert!(custom("", Operator::Equal).is_err());
    assert!(custom("custom", Operator::Equal).is_err());
}

#[test]
fn errors_have_opiks_texts() {
    let error = |text: &str| {
        Filter::parse_list(Entity::Span, text)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error(r#"[{"field": "duration", "operator": "=", "value": "x"}]"#),
        "Invalid value 'x' or key '' for field 'duration' of type 'number'"
    );
    assert_eq!(
        error(r#"[{"field": "metadata", "operator": "contains", "key": "a", "value": null}]"#),
        "Invalid value '' or key 'a' for field 'metadata' of type 'dictionary'"
    );
    assert_eq!(
        error(r#"[{"field": "tags", "operator": "starts_with", "value": "x"}]"#),
        "Invalid operator 'starts_with' for field 'tags' of type 'list'"
    );
    assert_eq!(
        error(r#"[{"field": "colour", "operator": "=", "value": "x"}]"#),
        "unknown field 'colour'"
    );
    assert_eq!(
        error(r#"[{"field": "name", "operator": "~", "value": "x"}]"#),
        "unknown operator '~'"
    );
    for syntax in ["{}", "[", "[1]", "x", r#"[{"operator": "="}]"#] {
        assert!(
            error(syntax).contains("not a JSON list of conditions: line 1"),
            "{syntax}"
        );
    }
}
