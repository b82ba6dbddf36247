//! Runs that are read, and the reports that are made of them.

use std::path::{Path, PathBuf};

use opik_core::source::load_tree;
use opik_evals::compare::{CompareOptions, Comparison};
use opik_evals::experiment::{Run, RunFileError};
use opik_evals::report::Report;
use opik_store::Store;
use pollster::block_on;

use crate::context::Context;
use crate::exit::{Code, Failure, Verdict};

/// What goes into a report, and where reports go.
#[derive(Debug, clap::Args)]
pub(super) struct Outputs {
    /// An earlier run to compare with
    #[arg(long, value_name = "RUN")]
    pub(super) baseline: Option<PathBuf>,

    /// Earlier runs, for the trend over runs (give it several times)
    #[arg(long, value_name = "RUN")]
    history: Vec<PathBuf>,

    /// Also by the values of this field of the items
    #[arg(long, value_name = "FIELD")]
    slice: Vec<String>,

    /// A field that says which items belong together, for comparisons
    #[arg(long, value_name = "FIELD")]
    cluster: Option<String>,

    /// Write a report: .html, .md, .xml (JUnit), .json or .txt by its name
    #[arg(long, value_name = "FILE")]
    report: Vec<PathBuf>,

    /// Where a trace can be looked at; {trace} stands for its identifier
    #[arg(long, value_name = "ADDRESS")]
    trace_link: Option<String>,
}

/// Forms of a report.
#[derive(Debug, Clone, Copy)]
enum Form {
    Html,
    Markdown,
    Junit,
    Json,
    Text,
}

impl Outputs {
    /// The run to compare with, if one is named.
    pub(super) fn baseline(&self) -> Result<Option<Run>, Failure> {
        for path in &self.report {
            form(path)?;
        }
        self.baseline.as_deref().map(read).transpose()
    }

    /// How runs are compared.
    pub(super) fn options(&self) -> CompareOptions {
        let mut options = CompareOptions::default();
        for field in &self.slice {
            options = options.slice(field);
        }
        match &self.cluster {
            Some(field) => options.cluster(field),
            None => options,
        }
    }

    pub(super) fn compare(&self, before: Option<&Run>, after: &Run) -> Option<Comparison> {
        before.map(|before| Comparison::of(before, after, &self.options()))
    }

    /// Adds to a report what was asked for, and the traces of its worst cases where the store has
    /// them.
    pub(super) fn dress<'a>(
        &self,
        mut report: Report<'a>,
        ctx: &Context,
    ) -> Result<Report<'a>, Failure> {
        for field in &self.slice {
            report = report.slice(field);
        }
        for path in &self.history {
            report = report.earlier(&read(path)?);
        }
        if let Some(link) = &self.trace_link {
            report = report.trace_link(link);
        }
        let drawn = self
            .report
            .iter()
            .any(|path| matches!(form(path), Ok(Form::Html)));
        let wanted = report.wanted_traces();
        if drawn && !wanted.is_empty() {
            // Without a store there are no traces to draw, which is no failure.
            if let Ok(store) = ctx.existing_store() {
                report = with_traces(report, &store, &wanted)?;
            }
        }
        Ok(report)
    }

    /// Writes the reports that were asked for.
    pub(super) fn write(&self, report: &Report<'_>) -> Result<(), Failure> {
        for path in &self.report {
            let text = match form(path)? {
                Form::Html => report.html(),
                Form::Markdown => report.markdown(),
                Form::Junit => report.junit(),
                Form::Json => serde_json::to_string_pretty(&report.json()).unwrap_or_default(),
                Form::Text => report.text(),
            };
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            folder
                .map_or(Ok(()), std::fs::create_dir_all)
                .and_then(|()| std::fs::write(path, text))
                .map_err(|error| {
                    let text = format!("cannot write {}", path.display());
                    Failure::new(Code::Failed, text).cause(error)
                })?;
        }
        Ok(())
    }
}

fn with_traces<'a>(
    mut report: Report<'a>,
    store: &Store,
    wanted: &[opik_core::TraceId],
) -> Result<Report<'a>, Failure> {
    for id in wanted {
        if let Some(tree) = block_on(load_tree(store, *id))? {
            report = report.trace(*id, &tree);
        }
    }
    Ok(report)
}

fn form(path: &Path) -> Result<Form, Failure> {
    let end = path
        .extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_ascii_lowercase();
    Ok(match end.as_str() {
        "html" | "htm" => Form::Html,
        "md" => Form::Markdown,
        "xml" => Form::Junit,
        "json" => Form::Json,
        "txt" => Form::Text,
        _ => {
            let text = format!("the name {} says no form of report", path.display());
            return Err(Failure::new(Code::Usage, text)
                .hint("it has to end in .html, .md, .xml (JUnit), .json or .txt"));
        }
    })
}

/// Reads a run.
pub(super) fn read(path: &Path) -> Result<Run, Failure> {
    Run::read(path).map_err(unreadable)
}

/// What is wrong with the file of a run, as the shell sees it.
pub(super) fn unreadable(error: RunFileError) -> Failure {
    let verdict = match &error {
        RunFileError::Format { .. } => Verdict::Unusable,
        _ => Verdict::Input,
    };
    let hint = match &error {
        RunFileError::Busy(_) => "wait for it, or name another file with --output",
        error if error.is_missing() => "opik-rs evals run makes one",
        _ => "opik-rs evals run --help",
    };
    Failure::new(Code::Evals(verdict), error.to_string())
        .cause(error)
        .hint(hint)
}
