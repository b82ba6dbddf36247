//! `opik-rs stack`, with a double of the docker command and without any.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::Value;

use crate::command::{Run, Scratch};

/// A folder with a docker command of its own, and ports that are free.
struct Machine {
    scratch: Scratch,
    api: u16,
    postgres: u16,
}

/// A port that is free, below those that the system hands out: no test that asks it for one gets this
/// one in the meantime.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + 100 * u16::try_from(std::process::id() % 100).unwrap();
    let mut ports = std::iter::from_fn(|| Some(first + NEXT.fetch_add(1, Ordering::Relaxed)));
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.find(is_free).unwrap()
}

impl Machine {
    fn new() -> Self {
        let scratch = Scratch::new();
        std::fs::create_dir(scratch.path("bin")).unwrap();
        std::fs::create_dir(scratch.path("double")).unwrap();
        Self {
            scratch,
            api: free_port(),
            postgres: free_port(),
        }
    }

    fn with_docker() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let machine = Self::new();
        let docker = machine
            .scratch
            .file("bin/docker", include_str!("docker.sh"));
        std::fs::set_permissions(docker, std::fs::Permissions::from_mode(0o755)).unwrap();
        machine
    }

    fn data(&self, name: &str) -> PathBuf {
        self.scratch.path("data").join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.scratch.command(args);
        // The system's programs, and no docker command but ours.
        let path = format!("{}:/usr/bin:/bin", self.scratch.path("bin").display());
        command
            .env("PATH", path)
            .env("DOUBLE", self.scratch.path("double"))
            .env("OPIK_RS", env!("CARGO_BIN_EXE_opik-rs"))
            .env("OPIK_STACK_DATA", self.scratch.path("data"))
            .env("OPIK_API_PORT", self.api.to_string())
            .env("OPIK_POSTGRES_PORT", self.postgres.to_string())
            .env("DRAFTER_PORT", free_port().to_string())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Run {
        Run::of(self.command(args).output().unwrap())
    }

    fn ok(&self, args: &[&str]) -> String {
        let run = self.run(args);
        assert_eq!(run.code, 0, "{args:?}: {} {}", run.stderr, run.stdout);
        run.stdout
    }

    fn json(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        serde_json::from_str(&self.ok(&args)).unwrap()
    }

    /// What docker was asked, without the names of files.
    fn asked(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.scratch.path("double/asked")).unwrap_or_default();
        let short = |line: &str| {
            let words: Vec<&str> = line
                .split(' ')
                .map(|word| word.rsplit('/').next().unwrap_or(word))
                .collect();
            words.join(" ")
        };
        text.lines().map(short).collect()
    }

    fn get(&self, path: &str, key: &str) -> Option<String> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.api)).ok()?;
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nConnection: close\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    fn secret(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.data("secrets.env")).unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}=")));
        line.unwrap().to_owned()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Whatever a test left running; it may have stopped already.
        self.command(&["stack", "stop", "--opik"]).output().ok();
    }
}

#[test]
fn docker_compose_is_driven_from_start_to_stop() {
    let machine = Machine::with_docker();
    let said = machine.ok(&["stack", "start"]);
    assert!(
        said.contains(&format!("http://127.0.0.1:{}/api/", machine.api)),
        "{said}"
    );
    assert!(said.contains("engine: docker"), "{said}");
    assert_eq!(
        machine.asked(),
        [
            "version --format {{.Server.Version}}",
            "compose version",
            "network inspect vyasa-net",
            "network create vyasa-net",
            "compose -f compose.opik.yaml -f compose.build.yaml -p opik-rs config --format json",
            "compose -f compose.opik.yaml -f compose.build.yaml -p opik-rs ps --all --format json",
            "compose -f compose.opik.yaml -f compose.build.yaml -p opik-rs up --detach --build",
            "compose -f compose.opik.yaml -f compose.build.yaml -p opik-rs ps --all --format json",
        ]
    );
    // What the containers were given: secrets that stay, and the owner of the folder.
    let given = std::fs::read_to_string(machine.scratch.path("double/secrets")).unwrap();
    let (key, password) = (
        machine.secret("OPIK_SERVER_API_KEY"),
        machine.secret("OPIK_POSTGRES_PASSWORD"),
    );
    assert!(given.starts_with(&format!("{key} {password} ")), "{given}");
    assert!(!said.contains(&key), "the key is not shown");
    for folder in ["opik", "postgres", "image/opik-rs", "image/Dockerfile"] {
        assert!(machine.data(folder).exists(), "{folder}");
    }

    let status = machine.json(&["stack", "status", "--opik"]);
    assert_eq!(
        (&status["engine"], &status["ready"]),
        (&"docker".into(), &true.into())
    );
    assert_eq!(
        status["services"][0]["ports"][0],
        format!("127.0.0.1:{}", machine.api)
    );
    assert!(status["notes"].as_array().unwrap().is_empty(), "{status}");
    let logs = machine.ok(&["stack", "logs", "--opik", "opik-api"]);
    assert!(logs.contains("recording at"), "{logs}");

    // Started again, its own port is no conflict, nor is the network made again.
    machine.ok(&["stack", "start", "--opik"]);
    let created = machine
        .asked()
        .iter()
        .filter(|line| line.contains("network create"))
        .count();
    assert_eq!(created, 1);
    assert_eq!(machine.secret("OPIK_SERVER_API_KEY"), key);

    machine.ok(&["stack", "restart", "--opik", "opik-api"]);
    let asked = machine.asked();
    assert!(
        asked.iter().any(|line| line.ends_with("stop opik-api")),
        "{asked:?}"
    );
    assert!(
        asked
            .iter()
            .any(|line| line.ends_with("up --detach --build opik-api")),
        "{asked:?}"
    );

    machine.ok(&["stack", "stop", "--opik"]);
    assert!(machine.asked().last().unwrap().ends_with("down"));
    let status = machine.run(&["stack", "status", "--opik"]);
    assert_eq!(status.code, 1);
    assert!(status.stdout.contains("not there"), "{}", status.stdout);
    assert!(machine.data("opik/traces.db").exists(), "data stays");
}

#[test]
fn opik_joins_the_application_and_tells_it_where_it_is() {
    let machine = Machine::with_docker();
    let file = machine.scratch.file("application.yml", "services: {}\n");
    machine.ok(&["stack", "start", "--opik", "--compose", &file]);
    let up = machine
        .asked()
        .into_iter()
        .find(|line| line.contains(" up "))
        .unwrap();
    assert_eq!(
        up,
        "compose -f application.yml -f compose.opik.yaml -f compose.build.yaml \
         -f compose.vyasa.yaml up --detach --build",
        "the project keeps the application's own name"
    );
    let told = std::fs::read_to_string(machine.data("compose.vyasa.yaml")).unwrap();
    assert!(
        told.contains("OPIK_BASE_URL: http://opik-api:5000"),
        "{told}"
    );

    // Without --opik only the application is meant.
    machine.ok(&["stack", "stop", "--compose", &file]);
    assert_eq!(
        machine.asked().last().unwrap(),
        "compose -f application.yml down"
    );
}

#[test]
fn a_port_that_is_taken_is_refused_or_warned_of_with_advice() {
    let machine = Machine::with_docker();
    let taken = TcpListener::bind(("127.0.0.1", machine.api)).unwrap();
    let run = machine.run(&["stack", "start"]);
    assert_eq!(run.code, 1);
    assert!(
        run.stderr.contains("of opik-api is taken"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("OPIK_API_PORT="), "{}", run.stderr);
    assert!(
        machine.asked().iter().all(|line| !line.contains(" up ")),
        "nothing was started"
    );
    drop(taken);

    let drafter = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = drafter.local_addr().unwrap().port();
    let file = machine.scratch.file("application.yml", "services: {}\n");
    let args = ["stack", "start", "--opik", "--compose", &file];
    let run = Run::of(
        machine
            .command(&args)
            .env("DRAFTER_PORT", port.to_string())
            .output()
            .unwrap(),
    );
    assert_eq!(run.code, 0, "{}", run.stderr);
    let warning = format!("warning: port {port} of drafter is taken");
    assert!(run.stderr.contains(&warning), "{}", run.stderr);
}

#[test]
fn a_recorder_that_does_not_get_ready_is_told_of() {
    let machine = Machine::with_docker();
    std::fs::write(machine.scratch.path("double/broken"), "").unwrap();
    let run = machine.run(&["stack", "start", "--wait", "1"]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("not ready after 1 s"), "{}", run.stderr);
    assert!(run.stderr.contains("stack logs"), "{}", run.stderr);
    let status = machine.run(&["stack", "status", "--opik"]);
    assert!(
        status.stderr.contains("opik-api does not run"),
        "{}",
        status.stderr
    );
}

#[test]
fn without_docker_the_recorder_runs_by_itself_with_the_same_data() {
    let machine = Machine::new();
    let run = machine.run(&["stack", "start", "--opik"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(
        run.stderr.contains("docker command is not installed"),
        "{}",
        run.stderr
    );
    let key = machine.secret("OPIK_SERVER_API_KEY");
    assert!(
        machine
            .get("/api/v1/private/projects", "wrong")
            .unwrap()
            .starts_with("HTTP/1.1 401")
    );
    let projects = machine.get("/api/v1/private/projects", &key).unwrap();
    assert!(projects.starts_with("HTTP/1.1 200"), "{projects}");
    // Vyasa's own endpoints are on.
    let prompt = machine.get("/api/prompts/none", &key).unwrap();
    assert!(prompt.contains("Prompt not found"), "{prompt}");

    let status = machine.json(&["stack", "status"]);
    assert_eq!(status["services"][0]["state"], "running");
    // Starting again changes nothing.
    machine.ok(&["stack", "start"]);
    let logs = machine.ok(&["stack", "logs", "--opik", "opik-api"]);
    assert_eq!(logs.matches("recording at").count(), 1, "{logs}");
    let other = machine.run(&["stack", "logs", "opik-postgres"]);
    assert!(
        other.stderr.contains("needs a Docker engine"),
        "{}",
        other.stderr
    );

    machine.ok(&["stack", "restart", "opik-api"]);
    machine.ok(&["stack", "stop"]);
    assert!(machine.get("/is-alive/ping", "").is_none());
    assert_eq!(machine.run(&["stack", "status"]).code, 1);
    machine.ok(&["stack", "stop"]);
    assert!(machine.data("opik/traces.db").exists());
}

#[test]
fn an_engine_that_does_not_answer_is_no_engine_and_the_application_needs_one() {
    let machine = Machine::with_docker();
    std::fs::write(machine.scratch.path("double/no-engine"), "").unwrap();
    let file = machine.scratch.file("application.yml", "services: {}\n");
    let run = machine.run(&["stack", "start", "--compose", &file]);
    assert_eq!(run.code, 1);
    assert!(
        run.stderr.contains("Cannot connect to the Docker daemon"),
        "{}",
        run.stderr
    );
    let run = machine.run(&["stack", "start", "--opik", "--compose", &file]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    // The engine is back: the recorder that runs by itself is found and stopped all the same.
    std::fs::remove_file(machine.scratch.path("double/no-engine")).unwrap();
    assert_eq!(
        machine.json(&["stack", "status", "--opik"])["services"][0]["name"],
        "opik-api"
    );
    machine.ok(&["stack", "stop", "--opik"]);
    assert!(machine.get("/is-alive/ping", "").is_none());
}

#[test]
fn a_taken_port_and_a_wrong_one_are_refused_without_docker_too() {
    let machine = Machine::new();
    let taken = TcpListener::bind(("127.0.0.1", machine.api)).unwrap();
    let run = machine.run(&["stack", "start"]);
    assert_eq!(run.code, 1);
    assert!(
        run.stderr.contains("is taken") && run.stderr.contains("OPIK_API_PORT="),
        "{}",
        run.stderr
    );
    drop(taken);
    let wrong = Run::of(
        machine
            .command(&["stack", "status"])
            .env("OPIK_API_PORT", "x")
            .output()
            .unwrap(),
    );
    assert_eq!(wrong.code, 2);
    assert_eq!(
        machine
            .run(&["stack", "start", "--compose", "none.yml"])
            .code,
        3
    );
}
