use super::*;

const FIELDS: Fields = &[
    ("id", "id", FieldKind::Exact),
    ("name", "name", FieldKind::Text),
    ("data", "data", FieldKind::Map),
    ("full_data", "data", FieldKind::Whole),
    ("tags", "tags", FieldKind::List),
    ("created_at", "created_at", FieldKind::Moment),
    ("scores", "scores", FieldKind::Scores),
    ("count", "count", FieldKind::Number),
];
const RECORD: &str = r#"{"id":"x","name":"Greet","data":{"q":"What 99?","n":{"a":2}},
        "tags":["prod","b"],"created_at":"2026-11-20T10:25:53Z","count":3,
        "scores":[{"name":"ok","value":0.5}]}"#;

fn holds(text: &str) -> bool {
    let all = Condition::parse_list(FIELDS, text).unwrap();
    Condition::all(&all, RECORD)
}

fn one(field: &str, operator: &str, value: &str) -> bool {
    holds(&format!(
        r#"[{{"field":"{field}","operator":"{operator}","value":"{value}"}}]"#
    ))
}

#[test]
fn each_kind_of_field_compares_as_opik_does() {
    assert!(one("name", "contains", "REE") && !one("id", "=", "X"));
    assert!(one("data.q", "contains", "99") && one("data.n.a", "=", "2"));
    assert!(one("data.n.a", ">", "1") && !one("data.q", ">", "1"));
    assert!(one("full_data", "contains", "what 99"));
    assert!(one("tags", "contains", "PRO") && one("tags", "=", "prod"));
    assert!(!one("tags", "=", "pro") && one("tags", "!=", "pro"));
    assert!(one("created_at", ">=", "2026-11-20T10:25:53Z"));
    assert!(one("count", "<=", "3") && !one("count", ">", "3"));
    assert!(one("scores.OK", ">", "0.4") && !one("scores.none", ">", "0"));
    assert!(one("data.none", "is_empty", "") && one("id", "in", "a,x"));
    assert!(holds(
        r#"[{"field":"data","operator":"=","key":"n.a","value":2,"type":"map"}]"#
    ));
    // Nothing at a key is an empty text.
    assert!(holds(
        r#"[{"field":"data","operator":"contains","key":"n.a","value":""},{"field":"data","operator":"=","key":"zzz","value":""}]"#
    ));
    for none in ["", " ", "null", "[]", "\"\""] {
        assert!(holds(none), "{none}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let error = |text| {
        let error = Condition::parse_list(FIELDS, text).unwrap_err();
        assert_eq!(error.kind(), super::super::CatalogErrorKind::Invalid);
        error.to_string()
    };
    assert_eq!(
        error(r#"[{"field":"tags","operator":">","value":"x"}]"#),
        "Invalid operator '>' for field 'tags' of type 'list'"
    );
    assert_eq!(
        error(r#"[{"field":"count","operator":"=","value":"x"}]"#),
        "Invalid value 'x' or key '' for field 'count' of type 'number'"
    );
    assert!(error(r#"[{"field":"colour","operator":"=","value":"x"}]"#).contains("colour"));
    assert!(error(r#"[{"field":"name","operator":"~","value":"x"}]"#).contains('~'));
    assert!(error(r#"[{"field":"data","operator":"=","value":"x"}]"#).contains("key ''"));
    assert!(error(r#"[{"field":"data","operator":"=","key":"a"}]"#).contains("key 'a'"));
    for bad in ["{", "{}", "[1]", "x"] {
        error(bad);
    }
}

#[test]
fn an_order_puts_what_has_no_value_last() {
    let order = |text| Order::parse(FIELDS, text).unwrap();
    let up = order(r#"[{"field":"count","direction":"ASC"}]"#).unwrap();
    let down = order(r#"[{"field":"count","direction":"DESC"}]"#).unwrap();
    let (two, ten, none) = (r#"{"count":2}"#, r#"{"count":10}"#, "{}");
    assert_eq!(up.compare(two, ten), Ordering::Less);
    assert_eq!(down.compare(two, ten), Ordering::Greater);
    for order in [&up, &down] {
        assert_eq!(order.compare(none, two), Ordering::Greater);
    }
    assert_eq!(order(r#"[{"field":"colour"}]"#), None);
    assert_eq!(order(""), None);
    Order::parse(FIELDS, "{").unwrap_err();
}
