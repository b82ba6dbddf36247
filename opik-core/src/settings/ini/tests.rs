use proptest::prelude::*;

use super::*;

fn get(text: &str, key: &str) -> Option<String> {
    let contents = Document::parse(text.as_bytes()).contents();
    contents.get(key).map(|(value, _)| value.unwrap())
}

fn edited(text: &str, edit: impl Fn(&mut Document)) -> String {
    let mut document = Document::parse(text.as_bytes());
    edit(&mut document);
    String::from_utf8(document.to_bytes()).unwrap()
}

#[test]
fn values_are_read_as_python_reads_them() {
    let text = "\u{feff}# top\n[other]\nkey = no\n[DEFAULT]\nboth = default\nlast = fallback\n\
                    [opik]\n; comment\nKEY = a#b;c \nColon: x = y\nempty =\nPERCENT = 10%%\n\
                    long = one\n  two\n\n  three\n both = own\n";
    for (key, value) in [
        ("key", Some("a#b;c")),
        ("colon", Some("x = y")),
        ("empty", Some("")),
        ("percent", Some("10%%")),
        ("long", Some("one\ntwo\nthree\nboth = own")),
        ("both", Some("default")),
        ("last", Some("fallback")),
        ("none", None),
    ] {
        assert_eq!(get(text, key).as_deref(), value, "{key}");
    }
    // Without its section there is nothing, and other cases are other sections.
    assert_eq!(get("[DEFAULT]\nkey = a\n[Opik]\nkey = b\n", "key"), None);
}

#[test]
fn flaws_are_named_and_bounded_and_the_rest_counts() {
    let text = "stray\n[opik]\nkey = a\nnonsense\nkey = b\n= c\n";
    let document = Document::parse(text.as_bytes());
    let contents = document.contents();
    let lines: Vec<usize> = contents.flaws().iter().map(|flaw| flaw.line).collect();
    assert_eq!(lines, [1, 4, 5, 6]);
    assert_eq!(contents.get("key"), Some((Ok("b".to_owned()), 5)));
    let garbage = Document::parse("?\n".repeat(9_999).as_bytes());
    assert_eq!(garbage.contents().flaws().len(), MAX_FLAWS);
}

#[test]
fn an_edit_keeps_everything_else() {
    let text = "# mine\n[other]\nx = 1\n[opik]\n; why\napi_key = old\n  rest\nunknown = 2\n\n[z]\n";
    assert_eq!(
        edited(text, |document| document.set("api_key", "50%")),
        "# mine\n[other]\nx = 1\n[opik]\n; why\napi_key = 50%\nunknown = 2\n\n[z]\n"
    );
    assert_eq!(
        edited(text, |document| document.set("workspace", "w")),
        text.replace("unknown = 2\n", "unknown = 2\nworkspace = w\n")
    );
    assert_eq!(
        edited(text, |document| document.remove("api_key")),
        text.replace("api_key = old\n  rest\n", "")
    );
    assert_eq!(
        edited("[z]\r\n", |document| document.set("a", "b")),
        "[z]\r\n\r\n[opik]\r\na = b\r\n"
    );
    assert_eq!(
        edited("", |document| document.set("a", "b")),
        "[opik]\na = b\n"
    );
    assert_eq!(
        edited("[opik]\na = 1\nA = 2", |document| document.set("a", "3")),
        "[opik]\na = 3\n"
    );
}

proptest! {
    #[test]
    fn what_is_set_is_read_back_from_any_file(
        bytes in proptest::collection::vec(
            prop_oneof![
                any::<u8>(), Just(b'\n'), Just(b'['), Just(b']'), Just(b'='), Just(b' '),
            ],
            0..200,
        ),
        prefix in prop_oneof![Just(""), Just("[opik]\n"), Just("[opik]\nkey = 1\n  2\n"), Just(" [opik]\n")],
        value in "[!-~]([ -~]{0,20}[!-~])?",
    ) {
        let bytes = [prefix.as_bytes(), &bytes].concat();
        let mut document = Document::parse(&bytes);
        document.set("key", &value);
        let again = Document::parse(&document.to_bytes());
        let (read, _) = again.contents().get("key").expect("it was set");
        prop_assert_eq!(read, Ok(value));
        document.remove("key");
        prop_assert!(document.contents().of_key("key").next().is_none());
    }
}
