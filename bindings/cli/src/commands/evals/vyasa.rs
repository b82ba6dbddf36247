//! `--compat vyasa`: the command line, the output and the exit codes of Vyasa's scripts.

use std::fs::File;
use std::io::BufReader;
use std::path::{Component, Path, PathBuf};

use clap::ValueEnum;
use opik_evals::dataset::{AtomicFile, DatasetError, Lexicon, vyasa};

use super::failure::failure;
use crate::config;
use crate::context::Context;
use crate::exit::{Code, Failure, Outcome, Verdict};

/// Whose script is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Compat {
    /// Vyasa's scripts/opik
    Vyasa,
}

/// Which script is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    Tone,
    Precision,
}

impl Script {
    fn name(self) -> &'static str {
        match self {
            Self::Tone => "tone",
            Self::Precision => "precision",
        }
    }
}

/// Does what the script does with these arguments.
pub(super) fn run(
    script: Script,
    paths: &[PathBuf],
    lexicon: Option<&Path>,
    ctx: &Context,
) -> Outcome {
    let name = script.name();
    let (input, output) = match paths {
        [input, output] => (input, output),
        // One argument means the database, which this program has no part in.
        [_] => {
            ctx.out
                .notice("No input and Arango unavailable; nothing to do.\n");
            return Ok(());
        }
        _ => {
            return Err(plain(format!(
                "Usage: build_{name}_dataset.py [input_jsonl] <output_jsonl>"
            )));
        }
    };
    // The script makes the folder before it looks for its input.
    let mut file = AtomicFile::create(output, &[input]).map_err(first)?;
    let reader = File::open(input)
        .map_err(|_| plain(format!("Input file not found: {}", python_path(input))))?;
    let reader = BufReader::with_capacity(64 * 1024, reader);
    let label = input.display().to_string();
    let count = match script {
        Script::Tone => {
            let lexicon = lexicon
                .map(|path| match Lexicon::load(path) {
                    Err(DatasetError::Missing { path }) => {
                        let path = path.display();
                        ctx.out.notice(&format!("Rigor config missing: {path}\n"));
                        Ok(None)
                    }
                    other => other.map(Some),
                })
                .transpose()
                .map_err(first)?
                .flatten();
            vyasa::build_tone(&label, reader, lexicon.as_ref(), &mut file)
        }
        Script::Precision => vyasa::build_precision(&label, reader, &mut file),
    };
    let count = count.map_err(first)?;
    file.finish().map_err(first)?;
    let path = python_path(output);
    Ok(ctx
        .out
        .plain(&format!("Wrote {count} {name} records to {path}\n"))?)
}

/// Does what `run_evals.py` does with these arguments: says what is in a dataset, and sends it where
/// that is configured. A failure to send is said and does not count.
pub(super) fn describe(paths: &[PathBuf], ctx: &Context) -> Outcome {
    let [path] = paths else {
        return Err(plain("Usage: run_evals.py <dataset_jsonl>".to_owned()));
    };
    let name = path.display().to_string();
    let open = || File::open(path).map(BufReader::new);
    let reader = open().map_err(|_| plain(format!("Dataset not found: {}", python_path(path))))?;
    let summary = vyasa::VyasaSummary::read(&name, reader);
    match summary.map_err(first)?.text() {
        Ok(text) => ctx.out.plain(&text)?,
        Err((text, raised)) => {
            ctx.out.plain(&text)?;
            return Err(plain(raised.to_string()));
        }
    }
    let (server, problem) = config::vyasa_server();
    if let Some(problem) = problem {
        ctx.out.notice(&format!("{problem}\n"));
    }
    let Some(server) = server else {
        return Ok(ctx
            .out
            .plain("Opik not configured; skipping remote eval submission.\n")?);
    };
    let reader = open().map_err(|source| {
        let file = name.clone();
        first(DatasetError::Read { file, source })
    })?;
    match crate::opik_server::talk(server.send(&name, reader))? {
        Ok(count) => Ok(ctx
            .out
            .plain(&format!("Submitted {count} records to Opik evals.\n"))?),
        Err(error) => {
            ctx.out
                .notice(&format!("Opik submission failed (ignored): {error}\n"));
            Ok(())
        }
    }
}

/// Whatever stops the script, it ends with 1.
fn first(error: DatasetError) -> Failure {
    Failure::new(Code::Evals(Verdict::Input), error.to_string()).cause(failure(error))
}

fn plain(text: String) -> Failure {
    Failure::new(Code::Evals(Verdict::Input), text)
}

/// A path as Python's `pathlib` writes it: no `.` and no doubled slashes.
fn python_path(path: &Path) -> String {
    let parts: PathBuf = path
        .components()
        .filter(|part| *part != Component::CurDir)
        .collect();
    if parts.as_os_str().is_empty() {
        return ".".to_owned();
    }
    parts.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_as_python_writes_them() {
        for (path, expected) in [
            ("./out//x", "out/x"),
            ("out/./x/", "out/x"),
            ("../x", "../x"),
            ("/a//b", "/a/b"),
            (".", "."),
        ] {
            assert_eq!(python_path(Path::new(path)), expected);
        }
    }
}
