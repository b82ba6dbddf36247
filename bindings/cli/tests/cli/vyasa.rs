//! The scripts of Vyasa's page: to the byte with `--compat vyasa`, and what takes their place.

use std::io::Read as _;
use std::path::Path;

use opik_testkit::StubServer;
use serde_json::Value;

use crate::command::{Run, Scratch};
use crate::server::Server;

/// Recorded runs of Vyasa's scripts; bytes are kept as code points.
fn recorded_runs(name: &str) -> Vec<Value> {
    let folder = "../../opik-evals/tests/fixtures/vyasa";
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let packed = std::fs::File::open(folder.join(name)).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed)
        .read_to_string(&mut text)
        .unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    text.chars().map(|c| u8::try_from(c).unwrap()).collect()
}

#[test]
fn the_vyasa_mode_has_the_output_the_records_and_the_exit_codes_of_the_scripts() {
    let mut followed = 0;
    for case in recorded_runs("builders.jsonl.gz") {
        let name = case["name"].as_str().unwrap();
        if name == "tone_as_documented_no_pythonpath" {
            continue; // The script does not find its modules; there are none here.
        }
        let scratch = Scratch::new();
        let argv: Vec<_> = case["argv"].as_array().unwrap().iter().collect();
        let argv: Vec<&str> = argv.iter().map(|arg| arg.as_str().unwrap()).collect();
        let files = case["files"].as_object().unwrap();
        let in_place = name == "tone_in_eq_out";
        for (file, content) in files {
            // What the script wrote is not there before.
            if argv.get(1) != Some(&file.as_str()) || in_place {
                let file = file.trim_end_matches(".before");
                scratch.file(file, bytes(content));
            }
        }
        let command = if name.starts_with("tone") {
            "tone"
        } else {
            "precision"
        };
        let mut args = vec!["evals", command, "--compat", "vyasa"];
        args.extend(&argv);
        match case["lexicon"].as_str().unwrap() {
            _ if command == "precision" => {}
            "<shipped>" => {
                scratch.file(
                    "shipped.yaml",
                    "terms: [{word: revolutionary, severity: fail}]",
                );
                args.extend(["--lexicon", "shipped.yaml"]);
            }
            "<absent>" => args.extend(["--lexicon", "absent.yaml"]),
            file => args.extend(["--lexicon", file]),
        }
        let run = scratch.run(&args);
        followed += 1;
        if in_place {
            // The script empties its input and says that all is well; this is refused.
            assert_eq!(run.code, 1, "{name}");
            let kept = std::fs::read(scratch.path("in.jsonl")).unwrap();
            assert_eq!(kept, bytes(&files["in.jsonl.before"]));
            continue;
        }
        assert_eq!(
            i64::from(run.code),
            case["code"].as_i64().unwrap(),
            "{name}"
        );
        assert_eq!(run.stdout, case["stdout"].as_str().unwrap(), "{name}");
        let Some(target) = argv.get(1).filter(|_| argv.len() == 2) else {
            continue;
        };
        let written = std::fs::read(scratch.path(target)).ok();
        if run.code == 0 {
            assert_eq!(written, Some(bytes(&files[*target])), "{name}");
        } else {
            assert_eq!(written, None, "{name}: no half of a file");
        }
        if name == "tone_missing_input" {
            assert!(scratch.path("outdir").is_dir(), "the folder is made first");
            assert!(run.stderr.contains("Input file not found: nope.jsonl"));
        }
    }
    assert_eq!(followed, 20);
}

/// Runs of `run_evals.py` that are not followed, and why.
const NOT_FOLLOWED: &[(&str, &str)] = &[(
    "eval_timeout_float",
    "a timeout that is no whole number kills the script before it does anything",
)];

#[test]
fn a_dataset_is_described_and_sent_as_the_script_does_it() {
    let (mut followed, mut sent) = (0, 0);
    for case in recorded_runs("run_evals.jsonl.gz") {
        let name = case["name"].as_str().unwrap();
        if NOT_FOLLOWED.iter().any(|(own, _)| *own == name) {
            continue;
        }
        let status = match case["status"].as_u64() {
            Some(500) => "500 Internal Server Error",
            _ => "200 OK",
        };
        let server = Server::start(move |_| (status, "application/json", "{}".to_owned()));
        let port = server.address.rsplit(':').next().unwrap();
        let scratch = Scratch::new();
        if !case["dataset"].is_null() {
            scratch.file("ds.jsonl", bytes(&case["dataset"]));
        }
        let argv = case["argv"][0].as_str().unwrap();
        let mut command = scratch.command(&["evals", "describe", "--compat", "vyasa", argv]);
        for (key, value) in case["env"].as_object().unwrap() {
            command.env(key, value.as_str().unwrap().replace("{PORT}", port));
        }
        let run = Run::of(command.output().unwrap());
        followed += 1;
        assert_eq!(run.stdout, case["stdout"].as_str().unwrap(), "{name}");
        let code = case["code"].as_i64().unwrap();
        assert_eq!(i64::from(run.code), code, "{name}");
        // The words of Python's library about a connection are its own.
        if let Some(said) = case["stderr"].as_str().filter(|_| code == 0) {
            let said = said.replace("<PORT>", port);
            let said = said.split("HTTPConnectionPool").next().unwrap();
            assert!(run.stderr.starts_with(said), "{name}: {}", run.stderr);
            assert_eq!(
                run.stderr.is_empty(),
                said.is_empty(),
                "{name}: {}",
                run.stderr
            );
        }
        let requests = server.requests();
        if case["request"].is_null() {
            assert!(requests.is_empty(), "{name}");
            continue;
        }
        sent += 1;
        assert_eq!(requests.len(), 1, "{name}: nothing is repeated");
        let request = &requests[0];
        for (field, own) in [
            ("method", Some(request.method.as_str())),
            ("path", Some(request.path.as_str())),
            ("authorization", request.header("authorization")),
            ("content_type", request.header("content-type")),
            ("body", Some(request.body.as_str())),
        ] {
            assert_eq!(own, case["request"][field].as_str(), "{name}: {field}");
        }
    }
    assert_eq!((followed, sent), (15, 3));
}

#[test]
fn a_timeout_that_is_none_is_said_and_keys_in_addresses_are_not() {
    let scratch = Scratch::new();
    scratch.file("ds.jsonl", "{\"label\": \"a\"}\n");
    let server = Server::start(|_| ("403 Forbidden", "text/plain", String::new()));
    let with = |timeout: &str| {
        let mut command = scratch.command(&["evals", "describe", "--compat", "vyasa", "ds.jsonl"]);
        command
            .env("OPIK_ENABLED", "true")
            .env(
                "OPIK_BASE_URL",
                server.address.replace("//", "//me:s3cr3t@"),
            )
            .env("OPIK_TIMEOUT_SECONDS", timeout);
        let run = Run::of(command.output().unwrap());
        assert_eq!(run.code, 0);
        assert!(
            run.stderr
                .contains("403 Client Error: Forbidden for url: http://127"),
            "{}",
            run.stderr
        );
        assert!(!run.stderr.contains("s3cr3t"), "{}", run.stderr);
        run.stderr
    };
    assert!(with("soon").contains("OPIK_TIMEOUT_SECONDS is no number of seconds"));
    assert!(!with("2.5").contains("OPIK_TIMEOUT_SECONDS"));
    assert!(!with("").contains("OPIK_TIMEOUT_SECONDS"));
}

const BLOCKS: &str = "{\"block_id\": \"b1\", \"job_id\": \"j\", \"content\": \"A jaw-dropping result.\"}\n\
    {\"block_id\": \"b2\", \"job_id\": \"j\", \"content\": \"Throughput rose by 4 percent.\"}\n";
const TABLES: &str =
    "{\"table_id\": \"t1\", \"rows\": [{\"ms\": \"1.2345\"}, {\"ms\": \"2.3456\"}]}\n";
const LEXICON: &str = "hard_ban: [jaw-dropping]\nsoft_ban: [clearly]\n";

/// Whether Opik is there.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Opik {
    Off,
    On,
    Down,
}

fn sample() -> Scratch {
    let scratch = Scratch::new();
    scratch.file("blocks.jsonl", BLOCKS);
    scratch.file("tables.jsonl", TABLES);
    scratch.file("tone.yaml", LEXICON);
    scratch
}

#[test]
fn the_three_commands_of_the_page_in_compat_mode_with_opik_off_on_and_down() {
    for opik in [Opik::Off, Opik::On, Opik::Down] {
        let scratch = sample();
        let server = Server::start(|_| ("200 OK", "application/json", "{}".to_owned()));
        let down = opik_testkit::doubles::free_port().unwrap();
        let run = |args: &[&str]| {
            let args: Vec<&str> = ["evals"].iter().chain(args).copied().collect();
            let mut command = scratch.command(&args);
            let address = match opik {
                Opik::Off => String::new(),
                Opik::On => server.address.clone(),
                Opik::Down => format!("http://127.0.0.1:{down}"),
            };
            if opik != Opik::Off {
                command
                    .env("OPIK_ENABLED", "true")
                    .env("OPIK_BASE_URL", address);
            }
            let run = Run::of(command.output().unwrap());
            assert_eq!(run.code, 0, "{opik:?} {args:?}: {}", run.stderr);
            run
        };
        let tone = run(&[
            "tone",
            "--compat",
            "vyasa",
            "--lexicon",
            "tone.yaml",
            "blocks.jsonl",
            "out/tone.jsonl",
        ]);
        assert_eq!(tone.stdout, "Wrote 2 tone records to out/tone.jsonl\n");
        assert_eq!(
            std::fs::read_to_string(scratch.path("out/tone.jsonl")).unwrap(),
            "{\"text\": \"A jaw-dropping result.\", \"label\": \"sensational\", \"job_id\": \"j\", \"block_id\": \"b1\", \"rigor_level\": \"exploratory\"}\n\
             {\"text\": \"Throughput rose by 4 percent.\", \"label\": \"neutral\", \"job_id\": \"j\", \"block_id\": \"b2\", \"rigor_level\": \"exploratory\"}\n"
        );
        let precision = run(&[
            "precision",
            "--compat",
            "vyasa",
            "tables.jsonl",
            "out/precision.jsonl",
        ]);
        assert_eq!(
            precision.stdout,
            "Wrote 1 precision records to out/precision.jsonl\n"
        );
        let evals = run(&["describe", "--compat", "vyasa", "out/tone.jsonl"]);
        let last = match opik {
            Opik::Off => "Opik not configured; skipping remote eval submission.\n",
            Opik::On => "Submitted 2 records to Opik evals.\n",
            Opik::Down => "",
        };
        assert_eq!(
            evals.stdout,
            format!(
                "Loaded 2 records.\nLabel/flag distribution:\n  sensational: 1\n  neutral: 1\n{last}"
            )
        );
        let failed = evals
            .stderr
            .starts_with("Opik submission failed (ignored): ");
        assert_eq!(failed, opik == Opik::Down, "{}", evals.stderr);
        let arrived: Vec<usize> = server
            .requests()
            .iter()
            .map(|request| request.json()["records"].as_array().unwrap().len())
            .collect();
        assert_eq!(arrived, if opik == Opik::On { vec![2] } else { vec![] });
    }
}

#[test]
fn what_takes_the_place_of_the_three_commands_with_opik_off_on_and_down() {
    let test = "what_takes_the_place_of_the_three_commands_with_opik_off_on_and_down";
    let Some(stub) = StubServer::start(test).unwrap() else {
        return;
    };
    for opik in [Opik::Off, Opik::On, Opik::Down] {
        let scratch = sample();
        let down = opik_testkit::doubles::free_port().unwrap();
        let run = |args: &[&str]| {
            let args: Vec<&str> = ["evals"].iter().chain(args).copied().collect();
            let mut command = scratch.command(&args);
            let address = match opik {
                Opik::Off => String::new(),
                Opik::On => stub.base_url(),
                Opik::Down => format!("http://127.0.0.1:{down}/api"),
            };
            if opik != Opik::Off {
                command
                    .env("OPIK_ENABLED", "true")
                    .env("OPIK_URL_OVERRIDE", address);
            }
            Run::of(command.output().unwrap())
        };
        let tone = run(&[
            "tone",
            "blocks.jsonl",
            "--lexicon",
            "tone.yaml",
            "-o",
            "out/tone.jsonl",
        ]);
        assert_eq!(tone.code, 0, "{}", tone.stderr);
        assert!(
            tone.stdout.starts_with("2 records to out/tone.jsonl\n"),
            "{}",
            tone.stdout
        );
        let precision = run(&["precision", "tables.jsonl", "-o", "out/precision.jsonl"]);
        assert_eq!(precision.code, 0, "{}", precision.stderr);
        assert!(
            precision.stdout.contains("EXCESSIVE_PRECISION"),
            "{}",
            precision.stdout
        );
        let evals = run(&[
            "run",
            "out/tone.jsonl",
            "-m",
            "Equals",
            "--field",
            "label",
            "--json",
        ]);
        let document: Value = serde_json::from_str(&evals.stdout).unwrap();
        // The result is whole, whatever became of sending it.
        assert_eq!(document["summary"]["trials"], 2, "{opik:?}");
        assert_eq!(document["summary"]["metrics"][0]["mean"]["value"], 1.0);
        assert!(scratch.path("runs/tone.jsonl").exists());
        let (code, state) = match opik {
            Opik::Off => (0, "kept"),
            Opik::On => (0, "sent"),
            Opik::Down => (4, "failed"),
        };
        assert_eq!(
            (evals.code, document["submission"]["state"].as_str()),
            (code, Some(state))
        );
    }
}
