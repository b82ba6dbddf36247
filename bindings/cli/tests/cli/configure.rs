//! `configure` and what `doctor` says about a server, against the stub of Opik's server.

use opik_testkit::StubServer;
use opik_testkit::doubles::free_port;
use serde_json::{Value, json};

use crate::command::{Run, Scratch};

impl Scratch {
    fn config(&self) -> String {
        std::fs::read_to_string(self.path(".opik.config")).unwrap_or_default()
    }

    fn run_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Run {
        let mut command = self.command(args);
        command.envs(variables.iter().copied());
        Run::of(command.stdin(std::process::Stdio::null()).output().unwrap())
    }
}

fn stub(test: &str) -> Option<StubServer> {
    StubServer::start(test).unwrap()
}

/// The checks of that name in a doctor's report.
fn checks<'a>(report: &'a Value, name: &str) -> Vec<&'a Value> {
    let checks = report["checks"].as_array().unwrap().iter();
    checks.filter(|check| check["name"] == name).collect()
}

#[test]
fn a_server_is_found_asked_and_written_as_the_official_client_writes_it() {
    let Some(stub) = stub("a_server_is_found_asked_and_written") else {
        return;
    };
    let scratch = Scratch::new();
    // The page that a person has open, not the API.
    let page = format!("127.0.0.1:{}/default/projects?page=1", stub.port());
    let report = scratch.json(&["configure", "--url", &page]);
    let url = format!("http://127.0.0.1:{}/api/", stub.port());
    assert_eq!(
        report,
        json!({
            "path": scratch.path(".opik.config"), "written": true, "checked": true,
            "server_version": "2.2.122", "url_override": url, "workspace": "default",
            "project_name": "Default Project", "api_key": null,
        })
    );
    assert_eq!(
        scratch.config(),
        format!(
            "[opik]\nurl_override = {url}\nworkspace = default\nproject_name = Default Project\n"
        )
    );
    let paths: Vec<String> = stub
        .requests()
        .unwrap()
        .iter()
        .map(|request| request["path"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        paths.contains(&"/api/v1/private/auth".to_owned()),
        "{paths:?}"
    );
    // The same again changes nothing and asks nothing.
    let again = scratch.json(&["configure", "--url", &page]);
    assert_eq!(again["written"], false);
}

#[test]
fn nothing_is_replaced_silently_and_the_rest_of_the_file_stays() {
    let Some(stub) = stub("nothing_is_replaced_silently") else {
        return;
    };
    let scratch = Scratch::new();
    let old = "# mine\n[opik]\nurl_override = http://old.example/api/\napi_key = old\nsentry_enable = false\n";
    scratch.file(".opik.config", old);
    let url = stub.base_url();
    let refused = scratch.run(&["configure", "--url", &url]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    assert_eq!(scratch.config(), old);
    let key = scratch.run_with_input(
        &["configure", "--url", &url, "--api-key", "-", "--yes"],
        b"s3cr3t\n",
    );
    assert_eq!(key.code, 0, "{}", key.stderr);
    assert!(!format!("{}{}", key.stdout, key.stderr).contains("s3cr3t"));
    let config = scratch.config();
    for line in ["# mine", "sentry_enable = false", "api_key = s3cr3t"] {
        assert!(
            config.lines().any(|other| other == line),
            "{line}: {config}"
        );
    }
    // A server of this machine is configured without the key of another one.
    let other = format!("http://localhost:{}/api", stub.port());
    scratch.ok(&["configure", "--url", &other, "--yes"]);
    assert!(
        !scratch.config().contains("api_key"),
        "{}",
        scratch.config()
    );
}

#[test]
fn a_server_that_does_not_answer_or_refuses_is_not_written() {
    let scratch = Scratch::new();
    let nobody = format!("http://127.0.0.1:{}", free_port().unwrap());
    let run = scratch.run(&["configure", "--url", &nobody]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("--no-check"), "{}", run.stderr);
    assert_eq!(scratch.config(), "");
    let unchecked = scratch.json(&["configure", "--url", &nobody, "--no-check"]);
    assert_eq!(unchecked["checked"], false);
    assert!(
        scratch
            .config()
            .contains(&format!("url_override = {nobody}/api/"))
    );

    let Some(stub) = stub("a_server_that_does_not_answer_or_refuses") else {
        return;
    };
    let scratch = Scratch::new();
    let url = stub.base_url();
    let unknown = scratch.run(&["configure", "--url", &url, "--workspace", "none"]);
    assert_eq!((unknown.code, scratch.config().as_str()), (1, ""));
    assert!(
        unknown.stderr.contains("no workspace none"),
        "{}",
        unknown.stderr
    );
    stub.fault(&json!({ "path": "/auth", "method": "POST", "status": 401 }))
        .unwrap();
    let refused = scratch.run_with(&["configure", "--url", &url], &[("OPIK_API_KEY", "s3cr3t")]);
    assert_eq!((refused.code, scratch.config().as_str()), (1, ""));
    assert!(
        refused.stderr.contains("does not accept the key"),
        "{}",
        refused.stderr
    );
    assert!(!refused.stderr.contains("s3cr3t"), "{}", refused.stderr);
}

#[test]
fn what_no_program_could_use_is_not_written_and_a_percent_sign_is_one() {
    let scratch = Scratch::new();
    let base = ["configure", "--url", "http://h", "--no-check", "--yes"];
    for (option, value, word) in [
        ("--api-key", "\"quoted\"", "quotes"),
        ("--api-key", "k\u{e9}y", "header"),
        ("--workspace", "", "empty"),
        ("--workspace", "t\u{e9}am", "header"),
        ("--project", " ", "empty"),
        ("--project", "two\nlines", "control"),
    ] {
        let run = scratch.run(&[&base[..], &[option, value]].concat());
        assert_eq!((run.code, scratch.config().as_str()), (2, ""), "{option}");
        assert!(run.stderr.contains(word), "{option}: {}", run.stderr);
        assert!(!run.stderr.contains("quoted"), "{}", run.stderr);
    }
    let named = ["--workspace", "50%", "--project", "a%b%%(c)s"];
    scratch.ok(&[&base[..], &named].concat());
    // The official client reads and writes the file without interpolation.
    assert!(scratch.config().contains("project_name = a%b%%(c)s\n"));
    let report = scratch.json(&["doctor"]);
    let settings = report["settings"].as_array().unwrap();
    let value = |name: &str| {
        let row = settings.iter().find(|row| row["name"] == name);
        row.unwrap()["value"].clone()
    };
    assert_eq!(value("project_name"), "a%b%%(c)s");
    assert_eq!(value("workspace"), "50%");
}

#[test]
fn a_server_that_answers_with_an_error_is_said_to_be_there() {
    let Some(stub) = stub("a_server_that_answers_with_an_error") else {
        return;
    };
    let scratch = Scratch::new();
    let url = stub.base_url();
    for status in [401, 429, 503] {
        stub.fault(&json!({ "path": "ping", "method": "GET", "status": status }))
            .unwrap();
        let on = [("OPIK_ENABLED", "1"), ("OPIK_URL_OVERRIDE", url.as_str())];
        let run = scratch.run_with(&["doctor", "--json"], &on);
        let report: Value = serde_json::from_str(&run.stdout).unwrap();
        let text = checks(&report, "opik")[0]["text"]
            .as_str()
            .unwrap()
            .to_owned();
        let expected = format!("something answers at {url}");
        assert!(text.starts_with(expected.trim_end_matches('/')), "{text}");
        assert!(text.contains(&format!("status {status}")), "{text}");
        stub.clear_faults().unwrap();
    }
}

#[test]
fn wrong_command_lines_say_what_to_do() {
    let scratch = Scratch::new();
    for (args, word) in [
        (&["configure"][..], "--use-local"),
        (&["configure", "--url", "ftp://h"], "http"),
        (
            &["configure", "--url", "h", "--use-local"],
            "cannot be used with",
        ),
        (
            &[
                "configure",
                "--use-local",
                "--no-check",
                "--api-key",
                "a\nb",
            ],
            "API key",
        ),
    ] {
        let run = scratch.run(args);
        assert_eq!(run.code, 2, "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains(word), "{args:?}: {}", run.stderr);
    }
    let empty = scratch.run(&["configure", "--use-local", "--no-check", "--api-key", "-"]);
    assert_eq!(empty.code, 4, "{}", empty.stderr);
    assert_eq!(scratch.config(), "");
}

#[test]
fn doctor_asks_the_server_and_names_the_origin_of_every_setting() {
    let Some(stub) = stub("doctor_asks_the_server") else {
        return;
    };
    let scratch = Scratch::new();
    scratch.ok(&["configure", "--url", &stub.base_url()]);
    let before = stub.requests().unwrap().len();
    let off = scratch.json(&["doctor"]);
    assert_eq!(checks(&off, "opik")[0]["status"], "ok");
    assert_eq!(
        stub.requests().unwrap().len(),
        before,
        "off means that nobody is asked"
    );
    assert_eq!(
        checks(&scratch.json(&["doctor", "--connect"]), "access").len(),
        1
    );

    let variables = [("OPIK_ENABLED", "true"), ("OPIK_TIMEOUT_SECONDS", "soon")];
    let run = scratch.run_with(&["doctor", "--json"], &variables);
    let on: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(run.code, 0, "{on}");
    for name in ["opik", "access", "server clock"] {
        assert_eq!(checks(&on, name)[0]["status"], "ok", "{name}: {on}");
    }
    let warned = checks(&on, "configuration").into_iter().any(|check| {
        check["status"] == "warn" && check["text"].as_str().unwrap().starts_with("OPIK_TIMEOUT")
    });
    assert!(warned, "{on}");
    let origin = |name: &str| {
        let rows = on["settings"].as_array().unwrap();
        let row = rows.iter().find(|row| row["name"] == name).unwrap();
        row["origin"].as_str().unwrap().to_owned()
    };
    assert_eq!(origin("enabled"), "OPIK_ENABLED");
    assert!(
        origin("base_url").ends_with(".opik.config:2"),
        "{}",
        origin("base_url")
    );
    assert_eq!(origin("timeout"), "default");

    drop(stub);
    let gone = scratch.run_with(&["doctor"], &variables);
    assert_eq!(gone.code, 1, "{}", gone.stdout);
    assert!(
        gone.stdout.contains("no Opik answers at"),
        "{}",
        gone.stdout
    );
}

/// A person at a terminal, with the help of Python's pseudo-terminals.
#[cfg(unix)]
#[test]
fn at_a_terminal_questions_are_asked_and_the_key_is_not_shown() {
    let Some(stub) = stub("at_a_terminal_questions_are_asked") else {
        return;
    };
    let scratch = Scratch::new();
    scratch.file(".opik.config", "[opik]\nproject_name = old\n");
    let url = format!("http://127.0.0.1:{}", stub.port());
    // Answers are typed one by one, each after its question.
    let script = scratch.file(
        "person.py",
        r#"
import os, pty, sys
answers = [b"Address", sys.argv[2].encode(), b"Project", b"new", b"Replace", b"y"]
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[1], [sys.argv[1], "configure"])
seen = b""
while True:
    try:
        data = os.read(terminal, 1024)
    except OSError:
        break
    if not data:
        break
    seen += data
    if answers and answers[0] in seen and seen.endswith(b"]: "):
        seen = b""
        os.write(terminal, answers[1] + b"\n")
        answers = answers[2:]
status = os.waitpid(child, 0)[1]
print(len(answers), os.waitstatus_to_exitcode(status))
"#,
    );
    let mut command = std::process::Command::new("python3");
    command
        .args([&script, env!("CARGO_BIN_EXE_opik-rs"), &url])
        .env_clear()
        .env("HOME", scratch.path(""))
        .env("PATH", "/usr/local/bin:/usr/bin:/bin");
    let run = Run::of(command.output().unwrap());
    assert_eq!(run.stdout.trim(), "0 0", "{}", run.stderr);
    assert!(
        scratch.config().contains("project_name = new"),
        "{}",
        scratch.config()
    );
}
