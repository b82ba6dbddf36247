//! What the dataset commands read and where they write.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use opik_core::query::TraceQuery;
use opik_evals::dataset::{AtomicFile, DatasetError, Input, Manifests, ReadOptions};
use opik_store::Store;

use super::failure::failure;
use crate::commands::selection::Selection;
use crate::context::Context;
use crate::exit::{Code, Failure, Verdict};

/// Options that every dataset command has.
#[derive(Debug, clap::Args)]
pub(super) struct Inputs {
    /// Files or folders to read; `-` is standard input
    #[arg(value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,

    /// Where to write; `.gz` compresses [default: standard output]
    #[arg(long, short = 'o', value_name = "FILE")]
    pub(super) output: Option<PathBuf>,

    /// Write nothing if any record cannot be used
    #[arg(long)]
    pub(super) strict: bool,

    /// Read the recorded traces of the store instead of files
    #[arg(long, conflicts_with = "files")]
    pub(super) traces: bool,

    #[command(flatten)]
    selection: Selection,
}

impl Inputs {
    /// The files, of which there has to be one.
    pub(super) fn inputs(&self) -> Result<Vec<Input>, Failure> {
        if self.files.is_empty() {
            return Err(
                Failure::new(Code::Evals(Verdict::Input), "there is nothing to read")
                    .hint("name files or folders, - for standard input, or --traces"),
            );
        }
        if !self.selection.is_empty() {
            return Err(
                Failure::new(Code::Usage, "a filter chooses recorded traces").hint("add --traces"),
            );
        }
        Ok(self.files.iter().map(Input::path).collect())
    }

    pub(super) fn options(&self) -> ReadOptions {
        ReadOptions::new().strict(self.strict)
    }

    /// The store and the search in it.
    pub(super) fn recorded(&self, ctx: &Context) -> Result<(Store, TraceQuery), Failure> {
        let query = self.selection.query()?;
        let store = if query.text.is_some() {
            ctx.existing_store_with_text()?
        } else {
            ctx.existing_store()?
        };
        Ok((store, query))
    }

    /// Where the records go.
    pub(super) fn target(&self, ctx: &Context, also: &[PathBuf]) -> Result<Target, Failure> {
        let inputs: Vec<&Path> = self
            .files
            .iter()
            .chain(also)
            .map(PathBuf::as_path)
            .collect();
        match self
            .output
            .as_deref()
            .filter(|path| path.as_os_str() != "-")
        {
            Some(path) => Ok(Target::File(
                AtomicFile::create(path, &inputs).map_err(failure)?,
            )),
            None if ctx.out.is_json() => Err(Failure::new(
                Code::Usage,
                "with --json, standard output is for the report",
            )
            .hint("give --output a file")),
            None => Ok(Target::Standard(io::BufWriter::new(io::stdout()))),
        }
    }

    /// Whether the records go to standard output, so that the report has to go elsewhere.
    pub(super) fn to_standard_output(&self) -> bool {
        self.output
            .as_deref()
            .is_none_or(|path| path.as_os_str() == "-")
    }

    /// What the output is called in the report.
    pub(super) fn output_name(&self) -> String {
        match &self.output {
            Some(path) if !self.to_standard_output() => path.display().to_string(),
            _ => "standard output".to_owned(),
        }
    }
}

/// Manifests beside the input.
pub(super) fn manifests(paths: &[PathBuf], options: ReadOptions) -> Result<Manifests, Failure> {
    Manifests::read(paths.iter().map(Input::path), options).map_err(failure)
}

/// A file that appears when it is finished, or standard output.
#[derive(Debug)]
pub(super) enum Target {
    File(AtomicFile),
    Standard(io::BufWriter<io::Stdout>),
}

impl Target {
    pub(super) fn writer(&mut self) -> &mut (dyn Write + Send) {
        match self {
            Self::File(file) => file,
            Self::Standard(out) => out,
        }
    }

    /// Keeps what was written. Without this a file does not appear.
    pub(super) fn finish(self) -> Result<(), Failure> {
        match self {
            Self::File(file) => file.finish().map_err(failure),
            Self::Standard(mut out) => out.flush().map_err(|source| {
                failure(DatasetError::Write {
                    path: "standard output".into(),
                    source,
                })
            }),
        }
    }
}
