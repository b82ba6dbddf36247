//! The Vyasa mode makes what Vyasa's own scripts made: 37 runs of the scripts and 475 calls of the
//! functions below them, recorded from Vyasa at commit 8764bef under Python 3.11.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use opik_evals::dataset::vyasa::{
    Contract, Numeric, PrecisionFlag, Raised, Rounding, VyasaSummary, VyasaTerms, build_precision,
    build_tone, check_table_precision, format_number, scan_text, validate_table_precision,
};
use opik_evals::dataset::{
    DatasetError, Input, Lexicon, Manifests, Node, PrecisionBuilder, ReadOptions, Severity,
    ToneScanner,
};
use serde_json::Value;

/// Runs that are not followed, and why.
const NOT_FOLLOWED: &[(&str, &str)] = &[
    (
        "tone_as_documented_no_pythonpath",
        "the script cannot find its own modules; there are none here",
    ),
    (
        "tone_in_eq_out",
        "the script empties its own input; the command refuses",
    ),
];

/// Runs that are about the command line alone; the tests of the command have them.
const COMMAND_LINE: &[&str] = &[
    "prec_missing",
    "prec_no_args",
    "prec_one_arg",
    "tone_four_args",
    "tone_missing_input",
];

fn lines(name: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/vyasa");
    let packed = std::fs::File::open(path.join(name)).unwrap();
    let mut text = String::new();
    GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Bytes that the fixture keeps as code points.
fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    text.chars().map(|c| u8::try_from(c).unwrap()).collect()
}

/// Runs a case; gives the records, or the line at fault.
fn run(case: &Value) -> Result<(u64, Vec<u8>), DatasetError> {
    let files = case["files"].as_object().unwrap();
    let input = bytes(&files[case["argv"][0].as_str().unwrap()]);
    let mut output = Vec::new();
    if case["script"] == "build_precision_dataset.py" {
        let count = build_precision("in.jsonl", &input[..], &mut output)?;
        return Ok((count, output));
    }
    // The shipped lexicon has the shape that the script does not read.
    let lexicon = match case["lexicon"].as_str().unwrap() {
        "<absent>" => None,
        "<shipped>" => Some("terms: [{word: revolutionary, severity: fail}]".to_owned()),
        file => Some(String::from_utf8(bytes(&files[file])).unwrap()),
    };
    let lexicon = lexicon.map(|text| Lexicon::parse("lexicon", &text));
    let lexicon = match lexicon {
        // What the script only finds out at the first block is refused at once.
        Some(Err(error)) => return Err(error),
        Some(Ok(lexicon)) => Some(lexicon),
        None => None,
    };
    let count = build_tone("in.jsonl", &input[..], lexicon.as_ref(), &mut output)?;
    Ok((count, output))
}

#[test]
fn the_builders_write_the_same_bytes_and_stop_where_the_scripts_stop() {
    let mut followed = 0;
    for case in lines("builders.jsonl.gz") {
        let case: Value = serde_json::from_str(&case).unwrap();
        let name = case["name"].as_str().unwrap();
        if NOT_FOLLOWED.iter().any(|(own, _)| *own == name) || COMMAND_LINE.contains(&name) {
            continue;
        }
        followed += 1;
        let outcome = run(&case);
        if case["code"] != 0 {
            assert!(outcome.is_err(), "{name} stops with a traceback");
            continue;
        }
        let (count, records) = outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
        let target = case["argv"][1].as_str().unwrap();
        let expected = bytes(&case["files"][target]);
        assert_eq!(
            String::from_utf8(records).unwrap(),
            String::from_utf8(expected).unwrap(),
            "{name}"
        );
        let kind = if name.starts_with("tone") {
            "tone"
        } else {
            "precision"
        };
        let said = format!("Wrote {count} {kind} records to {target}\n");
        assert_eq!(said, case["stdout"].as_str().unwrap(), "{name}");
    }
    assert_eq!(followed, 14);
}

#[test]
fn a_line_at_fault_is_named_and_not_quoted() {
    let input = "{\"content\": \"fine\"}\n\n{\"content\": [\"secret\"]}\n";
    let lexicon = Lexicon::parse("l", "hard_ban: [x]").unwrap();
    let mut output = Vec::new();
    let error = build_tone("in", input.as_bytes(), Some(&lexicon), &mut output).unwrap_err();
    assert_eq!(error.to_string(), "in:3: TypeError: `content` is no text");
}

#[test]
fn lines_end_as_python_ends_them_and_what_is_no_json_is_passed_over() {
    let input = "\u{feff}{\"content\": \"bom\"}\r{\"content\": \"a\"}\r\n{\"content\": \"b\u{2028}c\"}\n\
                 {\"content\": 01}\n{\"content\": \"d\"} {}\n{\"content\": \"e\"}";
    let mut output = Vec::new();
    let count = build_tone("in", input.as_bytes(), None, &mut output).unwrap();
    let texts: Vec<_> = String::from_utf8(output)
        .unwrap()
        .lines()
        .map(|line| Node::parse(line).unwrap().get("text").unwrap().to_python())
        .collect();
    assert_eq!(count, 3);
    assert_eq!(texts, ["a", "b\u{2028}c", "e"]);
}

struct Functions {
    rows: BTreeMap<String, Vec<Node>>,
}

fn functions() -> Functions {
    let mut rows: BTreeMap<String, Vec<Node>> = BTreeMap::new();
    for line in lines("functions.jsonl.gz") {
        let row = Node::parse_python(&line).unwrap();
        let name = row.get("fn").unwrap().to_python();
        rows.entry(name).or_default().push(row);
    }
    Functions { rows }
}

fn number(row: &Node, name: &str) -> usize {
    row.get(name).unwrap().to_python().parse().unwrap()
}

/// Compares an outcome with a row's `result` or `error`.
fn agree(row: &Node, outcome: Result<String, Raised>) {
    match (row.get("error"), outcome) {
        (None, Ok(found)) => assert_eq!(
            found,
            row.get("result").unwrap().to_json(),
            "{}",
            row.to_json()
        ),
        (Some(kind), Err(raised)) => assert_eq!(kind.text(), Some(raised.kind)),
        (_, outcome) => panic!("{}: {outcome:?}", row.to_json()),
    }
}

#[test]
fn scan_text_finds_the_same_words() {
    let rows = &functions().rows["scan_text"];
    for row in rows {
        let config = match row.get("config").unwrap() {
            // The shipped lexicon, whose shape is not read.
            Node::Text(_) => Node::parse("{\"terms\": []}").unwrap(),
            config => config.clone(),
        };
        let terms = VyasaTerms::from_config(&config);
        let found = terms
            .and_then(|terms| scan_text(&terms, row.get("text").unwrap().text().unwrap()))
            .map(|flags| {
                let flags: Vec<_> = flags
                    .iter()
                    .map(|flag| {
                        format!(
                            "{{\"word\": {}, \"severity\": \"{}\", \"locations\": [{}], \"suggestion\": {}}}",
                            Node::from(flag.word.as_str()).to_json(),
                            flag.severity.as_str(),
                            flag.location,
                            flag.suggestion
                                .as_deref()
                                .map_or(Node::Null, Node::from)
                                .to_json(),
                        )
                    })
                    .collect();
                format!("[{}]", flags.join(", "))
            });
        agree(row, found);
    }
    assert_eq!(rows.len(), 65);
}

#[test]
fn numbers_are_seen_and_written_alike() {
    let functions = functions();
    for row in &functions.rows["numeric"] {
        let found = Numeric::of(row.get("value").unwrap());
        let result = |name: &str| row.get(name).unwrap().get("result").unwrap().clone();
        assert_eq!(
            result("normalize"),
            found.normalized().map_or(Node::Null, Node::from),
            "{}",
            row.to_json()
        );
        assert_eq!(
            result("infer_decimal_places").to_python(),
            found.decimals().to_string(),
            "{}",
            row.to_json()
        );
        assert_eq!(
            result("is_numeric"),
            Node::Bool(found.is_numeric()),
            "{}",
            row.to_json()
        );
    }
    for row in &functions.rows["format_number"] {
        let rounding = Rounding::from_word(row.get("rounding_rule").unwrap().text().unwrap());
        let text = format_number(
            row.get("value").unwrap(),
            number(row, "max_decimals"),
            number(row, "max_sig_figs"),
            rounding.unwrap(),
        );
        agree(row, text.map(|text| Node::Text(text).to_json()));
    }
    assert_eq!(functions.rows["numeric"].len(), 36);
    assert_eq!(functions.rows["format_number"].len(), 246);
}

fn flags_json(flags: &[PrecisionFlag]) -> String {
    let flags: Vec<_> = flags
        .iter()
        .map(|flag| {
            let fields = [
                ("table_id", flag.table_id.as_str()),
                ("column", &flag.column),
                ("issue", flag.issue),
                ("details", &flag.details),
            ];
            let fields = fields.map(|(name, value)| (name.to_owned(), Node::from(value)));
            Node::Object(fields.into()).to_json()
        })
        .collect();
    format!("[{}]", flags.join(", "))
}

#[test]
fn tables_are_judged_and_rewritten_alike() {
    let functions = functions();
    for row in &functions.rows["check_table_precision"] {
        let limit = number(row, "max_decimals_default");
        let flags = check_table_precision(row.get("table").unwrap(), limit);
        agree(row, flags.map(|flags| flags_json(&flags)));
    }
    for row in &functions.rows["validate_table_precision"] {
        let contract = row.get("contract").unwrap();
        let rounding = contract.get("rounding_rule").and_then(Node::text);
        let contract = Contract {
            max_decimals: number(contract, "max_decimals"),
            max_sig_figs: number(contract, "max_sig_figs"),
            rounding: rounding.map_or(Rounding::HalfUp, |word| Rounding::from_word(word).unwrap()),
        };
        let conservative = row.get("rigor").unwrap().text() == Some("conservative");
        let outcome = validate_table_precision(row.get("table").unwrap(), contract, conservative);
        let found = outcome.map(|outcome| {
            let warnings = outcome
                .warnings
                .iter()
                .map(|text| Node::from(text.as_str()));
            format!(
                "{{\"table\": {}, \"flags\": {}, \"warnings\": {}}}",
                outcome.table.to_json(),
                flags_json(&outcome.flags),
                Node::List(warnings.collect()).to_json(),
            )
        });
        agree(row, found);
    }
    assert_eq!(functions.rows["check_table_precision"].len(), 42);
    assert_eq!(functions.rows["validate_table_precision"].len(), 52);
}

#[test]
fn words_are_rewritten_where_the_script_rewrites_nothing() {
    let rows = &functions().rows["rewrite_to_neutral"];
    let lexicon = "terms: [{word: revolutionary, severity: fail, replacement: notable}]";
    let scanner = ToneScanner::new(&Lexicon::parse("l", lexicon).unwrap()).unwrap();
    let mut rewritten = Vec::new();
    for row in rows {
        let text = row.get("text").unwrap().text().unwrap();
        // Its pattern looks for a backslash, so it gives back what it was given.
        assert_eq!(row.get("result").unwrap().text(), Some(text));
        let neutral = scanner.neutralise(text);
        if neutral != text {
            rewritten.push(neutral);
        }
    }
    assert_eq!(rows.len(), 8);
    assert_eq!(
        rewritten,
        [
            "non-notable counterrevolutionary revolutionary_x notable's",
            "😀 notable",
            // What is cited is no prose.
            "notable [revolutionary2020] notable notable [a b]",
        ]
    );
}

/// Runs of `run_evals.py` that are not followed, and why.
const NOT_SUMMARISED: &[(&str, &str)] = &[(
    "eval_timeout_float",
    "a wrong timeout kills the script before it does anything",
)];

#[test]
fn a_dataset_is_summarised_in_the_same_words() {
    let mut followed = 0;
    for case in lines("run_evals.jsonl.gz") {
        let case: Value = serde_json::from_str(&case).unwrap();
        let name = case["name"].as_str().unwrap();
        if case["dataset"].is_null() || NOT_SUMMARISED.iter().any(|(own, _)| *own == name) {
            continue;
        }
        followed += 1;
        let summary = VyasaSummary::read("ds", &bytes(&case["dataset"])[..]).unwrap();
        let expected = case["stdout"].as_str().unwrap();
        match summary.text() {
            // What follows is about sending.
            Ok(text) => assert_eq!(
                expected
                    .split_inclusive('\n')
                    .take(text.lines().count())
                    .collect::<String>(),
                text,
                "{name}"
            ),
            Err((text, raised)) => {
                assert_eq!((text.as_str(), raised.kind), (expected, "AttributeError"));
                assert_eq!(case["code"], 1, "{name}");
            }
        }
    }
    assert_eq!(followed, 14);
}

/// The lexicon that Vyasa ships, as far as its own linter used it on the recorded texts.
fn linted(rows: &[Node]) -> Lexicon {
    let mut terms: BTreeMap<String, String> = BTreeMap::new();
    for finding in rows
        .iter()
        .flat_map(|row| row.get("result").unwrap().list().unwrap())
    {
        let text = |name: &str| finding.get(name).unwrap();
        let word = text("word").to_python().to_lowercase();
        // Python takes these for other ways to write an i, and then finds no suggestion.
        if word.contains(['ı', '\u{307}']) {
            continue;
        }
        let term = format!(
            "{{\"word\": {}, \"severity\": {}, \"replacement\": {}, \"category\": {}}}",
            Node::from(word.as_str()).to_json(),
            text("severity").to_json(),
            text("suggestion").to_json(),
            text("category").to_json(),
        );
        terms.insert(word, term);
    }
    let terms: Vec<_> = terms.into_values().collect();
    Lexicon::parse("linted", &format!("{{\"terms\": [{}]}}", terms.join(", "))).unwrap()
}

#[test]
fn the_scanner_finds_what_the_linter_found() {
    let rows = &functions().rows["lint_tone"];
    let scanner = ToneScanner::new(&linted(rows)).unwrap();
    for row in rows {
        let text = row.get("text").unwrap().text().unwrap();
        // The dotless and the dotted capital I are letters of their own here.
        if text.contains(['ı', 'İ']) {
            continue;
        }
        let found: Vec<_> = scanner
            .scan(text)
            .iter()
            .map(|flag| {
                let severity = if flag.severity == Severity::Hard {
                    "fail"
                } else {
                    "warn"
                };
                format!(
                    "{} {severity} {} {} {:?}",
                    flag.word, flag.start, flag.end, flag.suggestion
                )
            })
            .collect();
        let expected: Vec<_> = row
            .get("result")
            .unwrap()
            .list()
            .unwrap()
            .iter()
            .map(|finding| {
                let text = |name: &str| finding.get(name).unwrap().to_python();
                let place = |name: &str| {
                    finding
                        .get("location")
                        .unwrap()
                        .get(name)
                        .unwrap()
                        .to_python()
                };
                let suggestion = finding.get("suggestion").unwrap().text();
                format!(
                    "{} {} {} {} {suggestion:?}",
                    text("word"),
                    text("severity"),
                    place("start"),
                    place("end")
                )
            })
            .collect();
        assert_eq!(found, expected, "{text}");
    }
    assert_eq!(rows.len(), 18);
}

#[test]
fn manifests_that_vyasa_builds_are_read() {
    let rows = &functions().rows["build_manifest"];
    let mut read = 0;
    for row in rows {
        let Some(manifest) = row.get("result") else {
            continue;
        };
        read += 1;
        let count = |name: &str| manifest.get(name).unwrap().list().unwrap().len();
        let input = || Input::reader("m", std::io::Cursor::new(manifest.to_json()));
        let manifests = Manifests::read([input()], ReadOptions::new()).unwrap();
        assert_eq!(manifests.len(), count("blocks") + count("tables"));

        let mut output = Vec::new();
        let report = PrecisionBuilder::new().build([input()], &mut output);
        let report = report.unwrap();
        assert_eq!(report.skipped().count(), 0);
        let rigor = manifest.get("rigor_level").unwrap().to_python();
        assert!(report.labels().all(|(_, own, _)| own == rigor));
        let tables = manifest.get("tables").unwrap().list().unwrap();
        let issues = |table: &Node| table.get("flags").unwrap().list().unwrap().to_vec();
        let mut expected: Vec<String> = Vec::new();
        for table in tables {
            let mut own: Vec<_> = issues(table).iter().map(Node::to_python).collect();
            let mut seen = std::collections::BTreeSet::new();
            own.retain(|issue| seen.insert(issue.clone()));
            if own.is_empty() {
                own.push("clean".to_owned());
            }
            expected.extend(own);
        }
        let text = String::from_utf8(output).unwrap();
        let labels: Vec<_> = text
            .lines()
            .map(|line| Node::parse(line).unwrap().get("label").unwrap().to_python())
            .collect();
        assert_eq!(labels, expected);
    }
    assert!(read > 0 && rows.len() == 8);
}
