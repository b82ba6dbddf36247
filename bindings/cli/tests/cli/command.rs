//! Runs the built `opik-rs` in a scratch folder of its own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A folder with a store, thrown away at the end.
pub(crate) struct Scratch {
    dir: tempfile::TempDir,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file and returns its path.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    /// The command with nothing of the caller's environment that matters.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_opik-rs"));
        command
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("HOME", self.dir.path())
            .env("LANG", "C.UTF-8")
            .env("OPIK_DB", self.path("traces.db"));
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Run {
        Run::of(self.command(args).stdin(Stdio::null()).output().unwrap())
    }

    /// Runs with the caller's search path, for commands that start other programs.
    #[expect(
        clippy::disallowed_methods,
        reason = "the machine says where its programs are"
    )]
    pub(crate) fn run_with_path(&self, args: &[&str]) -> Run {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut command = self.command(args);
        Run::of(
            command
                .env("PATH", path)
                .stdin(Stdio::null())
                .output()
                .unwrap(),
        )
    }

    pub(crate) fn run_with_input(&self, args: &[&str], input: &[u8]) -> Run {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::Builder::new()
            .name("stdin".to_owned())
            // The command may stop reading before the end.
            .spawn(move || drop(stdin.write_all(&input)))
            .unwrap();
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        Run::of(output)
    }

    /// Runs and expects success.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let run = self.run(args);
        assert_eq!(run.code, 0, "{args:?}: {}", run.stderr);
        run.stdout
    }

    /// Runs with `--json`, expects success, and parses what comes out.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        serde_json::from_str(&self.ok(&args)).unwrap()
    }

    /// Whether there is a store, or anything of one.
    pub(crate) fn has_store(&self) -> bool {
        let mut entries = std::fs::read_dir(self.dir.path()).unwrap();
        entries.any(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_string_lossy()
                .starts_with("traces.db")
        })
    }
}

/// What a run printed and ended with.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(output: Output) -> Self {
        let run = Self {
            // No code means a signal, which is what a crash is.
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
        run
    }
}

/// A file of the shared fixtures.
pub(crate) fn fixture(path: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../opik-core/testkit/fixtures");
    folder.join(path).to_str().unwrap().to_owned()
}

/// One line of Opik JSONL: a trace `n` with two spans, the second of which failed.
pub(crate) fn line(n: u32, name: &str) -> String {
    let trace = format!("01941f29-7c00-7000-8000-0000000000{n:02x}");
    let (root, child) = (
        format!("01941f29-7c00-7000-9000-00000000{n:02x}aa"),
        format!("01941f29-7c00-7000-9000-00000000{n:02x}bb"),
    );
    format!(
        concat!(
            r#"{{"trace":{{"id":"{trace}","project_name":"shop","name":"{name}","#,
            r#""start_time":"2025-01-01T00:00:00Z","end_time":"2025-01-01T00:00:0{s}Z","#,
            r#""error_info":{{"exception_type":"ToolError","message":"no luck","traceback":"no luck"}}}},"#,
            r#""spans":[{{"id":"{root}","trace_id":"{trace}","name":"agent","type":"general","#,
            r#""start_time":"2025-01-01T00:00:00Z","end_time":"2025-01-01T00:00:0{s}Z","#,
            r#""input":{{"question":"why {n}?"}}}},"#,
            r#"{{"id":"{child}","trace_id":"{trace}","parent_span_id":"{root}","name":"lookup","type":"tool","#,
            r#""start_time":"2025-01-01T00:00:01Z","end_time":"2025-01-01T00:00:02Z","#,
            r#""error_info":{{"exception_type":"ToolError","message":"no luck","traceback":"no luck"}}}}]}}"#,
            "\n"
        ),
        trace = trace,
        root = root,
        child = child,
        name = name,
        s = 3 + n % 6,
        n = n,
    )
}
