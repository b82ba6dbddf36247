//! The program under test, and what the system says about its process.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::client::get;

pub(crate) struct Program {
    child: Child,
    pub(crate) address: String,
    /// From the start of the process to the first answer.
    pub(crate) started: Duration,
    _folder: tempfile::TempDir,
}

impl Program {
    pub(crate) async fn start(binary: &str, opik: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let begin = Instant::now();
        // Cargo runs benches in the folder of their package.
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut child = Command::new(workspace.join(binary))
            .args(["--json", "serve", "--port", "0", "--host", "127.0.0.1"])
            .env("AGENT_OPIK_URL", opik)
            .env("OPIK_DB", folder.path().join("traces.db"))
            .env("ASSIST_TURNS_PER_MINUTE", "100000000")
            .env("ASSIST_MAX_TURNS", "4096")
            .env("ASSIST_GRACE_SECONDS", "1")
            .env("OPIK_SERVER_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let told: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = told["url"].as_str().unwrap().replace("http://", "");
        assert!(get(&address, "/healthz").await.text.contains("healthy"));
        Self {
            child,
            address,
            started: begin.elapsed(),
            _folder: folder,
        }
    }

    fn of_system(&self, name: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).unwrap()
    }

    /// MiB that are resident.
    pub(crate) fn memory(&self) -> f64 {
        let status = self.of_system("status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib: f64 = line
            .unwrap()
            .split_whitespace()
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        kib / 1024.0
    }

    /// Time that all processors spent on it.
    pub(crate) fn processor(&self) -> Duration {
        let stat = self.of_system("stat");
        let (_, after) = stat.rsplit_once(')').unwrap();
        let fields: Vec<&str> = after.split_whitespace().collect();
        let ticks: u64 = [11, 12]
            .iter()
            .map(|place: &usize| fields[*place].parse::<u64>().unwrap())
            .sum();
        // A hundred ticks a second, on every Linux there is.
        Duration::from_millis(ticks * 10)
    }

    /// How many files and sockets it has open.
    pub(crate) fn files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id()))
            .unwrap()
            .count()
    }
}

/// Also when a measurement fails: nothing stays behind.
impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
