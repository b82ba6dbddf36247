//! The server that is measured, in a process of its own.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use opik_server::{Server, ServerConfig};
use opik_store::{Store, StoreOptions};

use crate::connection::Http;

/// The program that is measured, when one is named: from the workspace's folder, as cargo runs benches
/// in that of their package.
fn program() -> Option<PathBuf> {
    let named = std::env::args()
        .skip(1)
        .find(|word| !word.starts_with('-'))?;
    Some(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .join(named),
    )
}

/// The server in a process of its own.
pub(crate) struct Served {
    child: Child,
    pub(crate) address: String,
}

/// Starts the server in this program, or the one that is named, and tells its address.
fn spawn(store: &Path) -> (Child, String) {
    let named = program();
    let mut command = match &named {
        None => Command::new(std::env::current_exe().unwrap()),
        Some(program) => Command::new(program),
    };
    if named.is_some() {
        command
            .args(["--json", "serve", "--port", "0", "--host", "127.0.0.1"])
            .env("OPIK_DB", store)
            .env("OPIK_SERVER_LOG", "warn");
    }
    let mut child = command
        .env("OPIK_BENCH_SERVE", store)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    if named.is_none() {
        return (child, line.trim().to_owned());
    }
    let told: serde_json::Value = serde_json::from_str(&line).unwrap();
    let url = told["url"].as_str().unwrap().trim_start_matches("http://");
    (child, url.split('/').next().unwrap().to_owned())
}

impl Served {
    pub(crate) fn start(store: &Path) -> (Self, Duration) {
        let begin = Instant::now();
        let (child, address) = spawn(store);
        let served = Self { child, address };
        let mut http = Http::new(&served.address);
        assert_eq!(http.send("GET", "/is-alive/ready", "", b""), 200);
        (served, begin.elapsed())
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).unwrap_or_default()
    }

    /// Resident memory in MiB, now and at its highest.
    pub(crate) fn memory(&self) -> (f64, f64) {
        let status = self.file("status");
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
            number.unwrap_or(0.0) / 1_024.0
        };
        (of("VmRSS:"), of("VmHWM:"))
    }

    /// CPU time in seconds: of everything, and of the thread that fills the text index.
    pub(crate) fn cpu(&self) -> (f64, f64) {
        let ticks = |stat: &str| {
            let (_, after) = stat.rsplit_once(')').unwrap_or_default();
            let fields: Vec<&str> = after.split_whitespace().collect();
            let number = |at: usize| {
                fields
                    .get(at)
                    .and_then(|it| it.parse::<f64>().ok())
                    .unwrap_or(0.0)
            };
            (number(11) + number(12)) / 100.0
        };
        let mut index = 0.0;
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        for task in tasks.flatten() {
            let path = task.path();
            let name = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
            if name.starts_with("opik-store-inde") {
                index += ticks(&std::fs::read_to_string(path.join("stat")).unwrap_or_default());
            }
        }
        (ticks(&self.file("stat")), index)
    }

    pub(crate) fn stop(mut self) {
        drop(self.child.stdin.take());
        if program().is_some() {
            // It ends as its users end it.
            let id = self.child.id().to_string();
            Command::new("kill").arg(id).status().unwrap();
        }
        self.child.wait().unwrap();
    }
}

/// Serves a store until the standard input ends.
pub(crate) fn serve(path: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = Store::open(path, StoreOptions::default()).unwrap();
        let server = Server::bind(ServerConfig::default().port(0), store)
            .await
            .unwrap();
        println!("{}", server.local_addr());
        let end = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        end.await.unwrap().unwrap();
        server.shutdown(Duration::from_secs(30)).await;
    });
}
