//! The agent's tools. They are real: they read and write files in a scratch folder.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// A tool that failed: a kind and a message, like an exception.
#[derive(Debug)]
pub(super) struct ToolError {
    pub(super) kind: &'static str,
    message: String,
}

impl ToolError {
    fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    fn io(path: &str, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => "FileNotFound",
            io::ErrorKind::AlreadyExists => "LockHeld",
            _ => "IoError",
        };
        Self::new(kind, format!("{path}: {error}"))
    }
}

impl fmt::Display for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ToolError {}

/// Size of the archive that the slow step reads, in bytes.
const ARCHIVE_BYTES: usize = 24 << 20;

const LOCK: &str = "report.lock";
const RATES: &str = "rates.json";

/// The folder that the agent works in.
#[derive(Debug, Clone)]
pub(super) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Fills a folder with the shop's files. `with_rates` decides whether the exchange rates are
    /// there, which is what the two runs of the demo differ in.
    pub(super) fn prepare(root: &Path, with_rates: bool) -> io::Result<Self> {
        let put = |name: &str, text: &str| fs::write(root.join(name), text);
        put(
            "orders-2026-10.csv",
            "product,amount,currency\nlamp,420,EUR\nchair,900,USD\n",
        )?;
        put(
            "orders-2026-11.csv",
            "product,amount,currency\nlamp,380,EUR\ndesk,1500,EUR\n",
        )?;
        put(
            "returns.csv",
            "product,amount,currency\nlamp,410,EUR\nchair,450,USD\n",
        )?;
        if with_rates {
            put(RATES, r#"{"EUR": 1.0, "USD": 0.9}"#)?;
        }
        // Someone else is writing a report: their lock is in the way until they are done.
        put(LOCK, "another report")?;
        let line = b"2026-11-20T10:00:00Z warehouse moved a pallet of lamps from A3 to B7\n";
        let mut archive = io::BufWriter::new(fs::File::create(root.join("archive.log"))?);
        for _ in 0..ARCHIVE_BYTES / line.len() {
            archive.write_all(line)?;
        }
        archive.flush()?;
        Ok(Self {
            root: root.to_owned(),
        })
    }

    /// Names of all files, sorted.
    pub(super) fn list_files(&self) -> Result<Value, ToolError> {
        let entries = fs::read_dir(&self.root).map_err(|error| ToolError::io(".", &error))?;
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name != LOCK)
            .collect();
        names.sort();
        Ok(json!({ "files": names }))
    }

    /// Rows of a CSV file as objects.
    pub(super) fn read_csv(&self, name: &str) -> Result<Value, ToolError> {
        let text = self.read(name)?;
        let mut lines = text.lines();
        let columns: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
        let rows: Vec<Value> = lines
            .map(|line| {
                columns
                    .iter()
                    .zip(line.split(','))
                    .map(|(k, v)| ((*k).to_owned(), json!(v)))
                    .collect()
            })
            .collect();
        Ok(json!({ "rows": rows }))
    }

    /// A JSON file.
    pub(super) fn read_json(&self, name: &str) -> Result<Value, ToolError> {
        serde_json::from_str(&self.read(name)?)
            .map_err(|error| ToolError::new("InvalidJson", format!("{name}: {error}")))
    }

    /// Reads all of the archive and counts how often each word occurs: the slow step.
    pub(super) fn index_archive(&self) -> Result<Value, ToolError> {
        let archive = self.read("archive.log")?;
        let mut counts: HashMap<&str, u64> = HashMap::new();
        for word in archive.split_whitespace() {
            *counts.entry(word).or_default() += 1;
        }
        let moved = counts.get("moved").copied().unwrap_or(0);
        Ok(json!({ "bytes": archive.len(), "words": counts.len(), "moved": moved }))
    }

    /// Takes the lock on the report; fails while someone else holds it.
    pub(super) fn take_lock(&self) -> Result<Value, ToolError> {
        fs::File::create_new(self.root.join(LOCK)).map_err(|error| ToolError::io(LOCK, &error))?;
        Ok(json!({ "lock": LOCK }))
    }

    /// What the other writer does when it is done.
    pub(super) fn release_foreign_lock(&self) -> io::Result<()> {
        fs::remove_file(self.root.join(LOCK))
    }

    /// Writes the report.
    pub(super) fn write_report(&self, text: &str) -> Result<Value, ToolError> {
        fs::write(self.root.join("report.md"), text)
            .map_err(|error| ToolError::io("report.md", &error))?;
        Ok(json!({ "bytes": text.len() }))
    }

    /// Reads the report back and refuses amounts that were never converted.
    pub(super) fn check_report(&self) -> Result<Value, ToolError> {
        let report = self.read("report.md")?;
        if report.contains("USD") && report.contains("EUR") {
            return Err(ToolError::new(
                "MixedCurrencies",
                "report.md adds EUR and USD: amounts must be in one currency",
            ));
        }
        Ok(json!({ "checked": true }))
    }

    fn read(&self, name: &str) -> Result<String, ToolError> {
        fs::read_to_string(self.root.join(name)).map_err(|error| ToolError::io(name, &error))
    }
}
