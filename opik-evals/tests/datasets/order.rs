//! Large inputs are worked on by several threads; what comes out is what the same records give one
//! after the other.

use std::io::Cursor;

use opik_evals::dataset::{
    BuildReport, DatasetError, Input, ItemBuilder, ItemReader, Lexicon, PrecisionBuilder,
    ReadOptions, ToneBuilder, vyasa,
};
use proptest::prelude::*;

/// Lines of one input, by its number; some of them cannot be used.
fn lines(count: usize) -> Vec<String> {
    (0..count)
        .map(|n| match n % 97 {
            13 => "{\"content\": \"torn".to_owned(),
            40 => "\"a text\"".to_owned(),
            41 => format!("{{\"content\": {n}, \"rows\": null}}"),
            _ => format!(
                "{{\"block_id\": \"b{n}\", \"rigor_level\": \"level {}\", \"content\": \"{} shocking {}\", \
                 \"precision_flags\": [{{\"column\": \"c{}\", \"issue\": \"I{}\"}}], \"rows\": [{{\"c{}\": \"{n}.5\"}}]}}",
                n % 230, "word ".repeat(n % 7), "x".repeat(n % 50), n % 450, n % 3, n % 450
            ),
        })
        .collect()
}

type Build<'a> = &'a dyn Fn(Vec<Input>, &mut Vec<u8>, bool) -> Result<BuildReport, DatasetError>;

fn builders(check: impl Fn(&str, Build<'_>)) {
    let lexicon = Lexicon::parse("l", "hard_ban: [shocking]").unwrap();
    let options = |strict| ReadOptions::new().strict(strict);
    let tone = ToneBuilder::new(lexicon).unwrap();
    check("tone", &|inputs, output, strict| {
        tone.clone().options(options(strict)).build(inputs, output)
    });
    check("precision", &|inputs, output, strict| {
        let builder = PrecisionBuilder::new().options(options(strict));
        builder.build(inputs, output)
    });
    check("items", &|inputs, output, strict| {
        let builder = ItemBuilder::new().options(options(strict));
        builder.build(inputs, output)
    });
}

fn input(name: &str, lines: &[String]) -> Input {
    Input::reader(name, Cursor::new(lines.join("\n")))
}

#[test]
fn a_large_input_becomes_what_its_lines_become_one_by_one() {
    let all = lines(40_000);
    let (one, other) = all.split_at(25_000);
    builders(|name, build| {
        let (mut whole, mut expected) = (Vec::new(), Vec::new());
        let report = build(
            vec![input("one", one), input("other", other)],
            &mut whole,
            false,
        );
        let report = report.unwrap();
        let (mut skips, mut written) = (Vec::new(), 0);
        for (file, lines) in [("one", one), ("other", other)] {
            // Few enough that no second thread is asked.
            for (at, part) in lines.chunks(100).enumerate() {
                let report = build(vec![input(file, part)], &mut expected, false).unwrap();
                written += report.written();
                let first = report.skipped().first().iter();
                skips.extend(first.map(|skip| {
                    let line = skip.place.line() + 100 * at as u64;
                    (format!("{file}:{line}"), skip.reason.clone())
                }));
            }
        }
        assert!(whole == expected, "{name}: other bytes");
        assert_eq!(report.written(), written, "{name}");
        assert_eq!(report.skipped().count(), skips.len() as u64, "{name}");
        let first = report.skipped().first().iter();
        let first: Vec<_> = first
            .map(|skip| (skip.place.to_string(), skip.reason.clone()))
            .collect();
        assert_eq!(first, skips[..first.len()], "{name}");
    });
}

#[test]
fn the_groups_of_a_report_are_those_that_came_first() {
    let all = lines(40_000);
    builders(|name, build| {
        let report = build(vec![input("in", &all)], &mut Vec::new(), false).unwrap();
        let labels: Vec<_> = report.labels().collect();
        let counted: u64 = labels.iter().map(|(_, _, count)| count).sum();
        if name == "items" {
            assert_eq!((labels.len(), report.columns().count()), (0, 0));
            return;
        }
        assert_eq!(counted, report.written(), "{name}");
        // All that came first are counted to the end, with their own names.
        let levels = |label: &str| labels.iter().filter(|(own, _, _)| *own == label).count();
        assert!(labels.len() <= 200 + 3, "{name}: {}", labels.len());
        if name == "tone" {
            assert_eq!(levels("sensational"), 201, "200 levels and the others");
            let first = labels
                .iter()
                .find(|(_, rigor, _)| *rigor == "level 0")
                .unwrap();
            assert!(first.2 > 160, "level 0 comes again and again: {}", first.2);
            assert!(labels.iter().any(|(_, rigor, _)| *rigor == "(other)"));
        } else {
            let columns: Vec<_> = report.columns().collect();
            assert_eq!(columns.len(), 201);
            let first = columns.iter().find(|(column, _)| *column == "c0").unwrap();
            assert!(first.1 > 80, "c0 comes again and again: {}", first.1);
        }
    });
}

#[test]
fn strict_reading_stops_at_the_first_line_that_cannot_be_used_and_keeps_what_was_before() {
    let mut all = lines(30_000);
    all.retain(|line| line.ends_with("}]}"));
    let good = all.len();
    assert!(good > 20_000);
    all.insert(20_000, "nothing".to_owned());
    all.insert(20_002, "nothing".to_owned());
    builders(|name, build| {
        let mut output = Vec::new();
        let error = build(vec![input("in", &all)], &mut output, true).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("in:20001"), "{name}: {error}");
        let mut expected = Vec::new();
        build(vec![input("in", &all[..20_000])], &mut expected, true).unwrap();
        assert!(output == expected, "{name}");
    });
}

#[test]
fn as_vyasa_a_large_input_becomes_what_its_lines_become_one_by_one() {
    let mut all = lines(40_000);
    all.retain(|line| !line.contains("\"rows\": null"));
    let lexicon = Lexicon::parse("l", "hard_ban: [shocking]").unwrap();
    let tone = |text: &str, output: &mut Vec<u8>| {
        vyasa::build_tone("in", text.as_bytes(), Some(&lexicon), output)
    };
    let precision =
        |text: &str, output: &mut Vec<u8>| vyasa::build_precision("in", text.as_bytes(), output);
    type Script<'a> = &'a dyn Fn(&str, &mut Vec<u8>) -> Result<u64, DatasetError>;
    for (name, build) in [("tone", &tone as Script<'_>), ("precision", &precision)] {
        let (mut whole, mut expected) = (Vec::new(), Vec::new());
        let count = build(&all.join("\n"), &mut whole).unwrap();
        let parts = all
            .chunks(100)
            .map(|part| build(&part.join("\n"), &mut expected).unwrap());
        assert_eq!(count, parts.sum::<u64>(), "{name}");
        assert!(whole == expected, "{name}: other bytes");

        // Where the script stops, what came before is written and the line is named.
        let mut broken = all.clone();
        broken.insert(
            30_000,
            "{\"content\": \"\\ud800\", \"precision_flags\": [7]}".to_owned(),
        );
        let mut output = Vec::new();
        let error = build(&broken.join("\r\n"), &mut output).unwrap_err();
        assert!(error.to_string().contains("in:30001"), "{name}: {error}");
        let mut expected = Vec::new();
        build(&all[..30_000].join("\n"), &mut expected).unwrap();
        assert!(output == expected, "{name}");
    }
}

/// JSON as people write it: keys twice and in any order, numbers of any form, escapes.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("-0".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<u64>().prop_map(|n| n.to_string()),
        "-?[1-9][0-9]{15,25}",
        "-?[0-9]{1,3}\\.[0-9]{1,20}(e[-+]?[0-9]{1,2})?",
        "-?[1-9]e[0-9]{1,3}",
        "\"[a-zé 😀]{0,9}\"",
        Just("\"a\\n\\u00e9\\ud83d\\ude00\\\"\"".to_owned()),
        Just("\" \"".to_owned()),
        Just("\"\\ud83d\"".to_owned()),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let key = prop_oneof![
            Just("id"),
            Just("data"),
            Just("tags"),
            Just("expected_output"),
            Just("a"),
            Just("b"),
            Just("\\u0061"),
            Just("é")
        ];
        let field = (key, inner.clone()).prop_map(|(key, value)| format!("\"{key}\" : {value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec(field, 0..6)
                .prop_map(|fields| format!("{{{}}}", fields.join(","))),
        ]
    })
}

fn fields() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        Just("id"),
        Just("data"),
        Just("tags"),
        Just("expected_output"),
        Just("q"),
        Just("b"),
        Just("z")
    ];
    let tags = prop::collection::vec("\"[a-z]{0,3}\"", 0..3)
        .prop_map(|tags| format!("[{}]", tags.join(",")));
    let field = (key, prop_oneof![3 => json(), 1 => tags]);
    let field = field.prop_map(|(key, value)| format!("\"{key}\":{value}"));
    prop::collection::vec(field, 0..6).prop_map(|fields| format!("{{{}}}", fields.join(", ")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn items_that_are_written_in_place_are_those_that_are_read(text in prop_oneof![4 => fields(), 1 => json()]) {
        let line = format!("{text}\n");
        let mut items = ItemReader::from_reader("in", Cursor::new(line.clone()), ReadOptions::new());
        let expected: String = items
            .by_ref()
            .map(|item| serde_json::to_string(&item.unwrap()).unwrap() + "\n")
            .collect();
        let mut output = Vec::new();
        let report = ItemBuilder::new().build([Input::reader("in", Cursor::new(line))], &mut output).unwrap();
        prop_assert_eq!(String::from_utf8(output).unwrap(), expected);
        prop_assert_eq!(report.skipped(), items.skipped());
    }
}

#[test]
fn what_an_item_does_not_take_up_has_to_be_readable_too() {
    let digits = "1".repeat(400);
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for ignored in ["7", digits.as_str(), deep.as_str(), "1e999"] {
        let line = format!("{{\"data\": {{\"q\": 1}}, \"x\": {ignored}}}");
        let mut items =
            ItemReader::from_reader("in", Cursor::new(line.clone()), ReadOptions::new());
        let expected = items.by_ref().count() as u64;
        let report = ItemBuilder::new()
            .build([Input::reader("in", Cursor::new(line))], &mut Vec::new())
            .unwrap();
        assert_eq!(report.written(), expected);
        assert_eq!(report.skipped().count(), items.skipped().count());
    }
}

#[test]
fn an_item_that_is_nested_too_deeply_is_left_out() {
    for depth in [100, 118, 119, 120, 121, 126, 127, 128, 400, 600] {
        let line = format!("{{\"q\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
        let mut items =
            ItemReader::from_reader("in", Cursor::new(line.clone()), ReadOptions::new());
        let expected = items.by_ref().count() as u64;
        let builder = ItemBuilder::new();
        let report = builder
            .build([Input::reader("in", Cursor::new(line))], &mut Vec::new())
            .unwrap();
        assert_eq!(report.written(), expected, "{depth}");
        assert_eq!(report.skipped(), items.skipped(), "{depth}");
    }
}
