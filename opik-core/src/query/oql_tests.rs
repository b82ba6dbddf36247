use proptest::prelude::*;

use super::*;
use crate::query::FieldType;

fn one(text: &str) -> (String, Operator, Option<String>, String) {
    let filters = parse(Entity::Trace, text).unwrap();
    assert_eq!(filters.len(), 1, "{text}");
    let filter = filters.first().unwrap();
    (
        filter.field().name().to_owned(),
        filter.operator(),
        filter.key().map(str::to_owned),
        filter.value().to_owned(),
    )
}

#[test]
fn every_form_of_the_grammar() {
    let parts = |field: &str, operator, key: Option<&str>, value: &str| {
        (
            field.to_owned(),
            operator,
            key.map(str::to_owned),
            value.to_owned(),
        )
    };
    use Operator::{Contains, Equal, Greater, GreaterEqual, In, IsEmpty, NotEqual};
    for (text, expected) in [
        (r#"name = "x""#, parts("name", Equal, None, "x")),
        (r#"  name="x"  "#, parts("name", Equal, None, "x")),
        (
            r#"name != "say ""hi""""#,
            parts("name", NotEqual, None, r#"say "hi""#),
        ),
        (
            "name contains 'it''s'",
            parts("name", Contains, None, "it's"),
        ),
        ("duration>-1.5", parts("duration", Greater, None, "-1.5")),
        (
            "usage.total_tokens >= 4",
            parts("usage.total_tokens", GreaterEqual, None, "4"),
        ),
        ("metadata.n = 2", parts("metadata", Equal, Some("n"), "2")),
        (
            r#"metadata."a.b" = "c""#,
            parts("metadata", Equal, Some("a.b"), "c"),
        ),
        (
            r#"metadata."say ""x""" = "c""#,
            parts("metadata", Equal, Some("say \"x\""), "c"),
        ),
        (
            "feedback_scores.'my score' > 0.5",
            parts("feedback_scores", Greater, Some("my score"), "0.5"),
        ),
        (
            "error_info is_empty",
            parts("error_info", IsEmpty, None, ""),
        ),
        (
            r#"source in ("sdk", "ui")"#,
            parts("source", In, None, "sdk,ui"),
        ),
        (
            r#"environment in("a")"#,
            parts("environment", In, None, "a"),
        ),
    ] {
        assert_eq!(one(text), expected, "{text}");
    }
    let three = r#"name = "x" AND duration > 1 and error_info is_not_empty"#;
    assert_eq!(parse(Entity::Trace, three).unwrap().len(), 3);
    assert_eq!(parse(Entity::Trace, "  ").unwrap(), []);
}

#[test]
fn errors_name_the_place_and_what_to_do() {
    for (text, position, message) in [
        ("colour = \"red\"", 1, "unknown field 'colour'"),
        ("name = red", 8, "put a text in double quotes"),
        ("name = 3d", 8, "put a text in double quotes"),
        ("name = \"größe", 8, "a quote is not closed"),
        (
            "name = \"ö\" OR name = \"b\"",
            12,
            "run one search for each side",
        ),
        ("name = \"a\" name = \"b\"", 12, "join conditions with AND"),
        ("name = \"a\" AND", 15, "a field was expected"),
        ("name", 5, "an operator was expected"),
        ("name like \"x\"", 6, "contains"),
        (
            "metadata.n >= 2",
            12,
            "Invalid operator '>=' for field 'metadata' of type 'dictionary'",
        ),
        ("metadata = \"x\"", 1, "metadata.name"),
        ("name.x = \"x\"", 1, "field 'name' has no parts"),
        ("duration > \"fast\"", 12, "write a number"),
        ("start_time > \"yesterday\"", 14, "write a moment"),
        ("source in \"sdk\"", 11, "a list was expected"),
        (
            "source in (\"sdk\" \"ui\")",
            18,
            "a comma or ) was expected",
        ),
        ("source in ()", 12, "a text in quotes was expected"),
        ("metadata. = 1", 10, "a key was expected"),
    ] {
        let error = parse(Entity::Trace, text).unwrap_err();
        assert_eq!(error.position(), position, "{text}: {error}");
        assert!(error.to_string().contains(message), "{text}: {error}");
    }
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let entity = prop_oneof![
        Just(Entity::Trace),
        Just(Entity::Span),
        Just(Entity::Thread)
    ];
    let texts = (
        "[a-z\"'. ]{1,8}",
        "\\PC{1,12}",
        any::<i32>(),
        0..50_usize,
        0..14_usize,
    );
    (entity, texts).prop_filter_map("a filter that Opik accepts", |(entity, texts)| {
        let (key, text, number, field, operator) = texts;
        let fields: Vec<_> = Field::all(entity).collect();
        let field = fields.get(field % fields.len())?;
        let (operator, _) = Operator::ALL.get(operator)?;
        let value = match field.kind() {
            FieldType::Number | FieldType::FeedbackScores => format!("{number}.25"),
            FieldType::DateTime => crate::Timestamp::from_micros(number.into()).to_string(),
            _ => text,
        };
        Filter::new(entity, field.name(), *operator, Some(&key), &value).ok()
    })
}

proptest! {
    #[test]
    fn what_is_written_parses_back(filters in prop::collection::vec(any_filter(), 0..4)) {
        let entity = filters.first().map_or(Entity::Trace, |filter| filter.field().entity());
        let filters: Vec<_> = filters
            .into_iter()
            .filter(|filter| filter.field().entity() == entity)
            .collect();
        let text = write(&filters);
        prop_assert_eq!(parse(entity, &text), Ok(filters), "{}", text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(name|duration|metadata|[ .=<>!()\"',]|AND|in|x|1|\\PC){0,12}") {
        if let Err(error) = parse(Entity::Trace, &text) {
            prop_assert!(error.position() <= text.chars().count() + 1);
        }
    }
}
