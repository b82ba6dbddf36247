//! Vyasa's two datasets end to end: from what a job leaves behind to a scored experiment.
//!
//! Run it with `cargo run -p opik-examples --example vyasa_datasets`. It writes into a temporary
//! folder and needs neither Vyasa nor Opik.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::fs;
use std::path::Path;

use opik_evals::dataset::{
    AtomicFile, BuildReport, Input, ItemReader, Lexicon, Manifests, PrecisionBuilder, ReadOptions,
    ToneBuilder, vyasa,
};
use opik_evals::experiment::{Experiment, FnTask};
use opik_evals::heuristics::Equals;

/// What a job wrote: a manifest, which knows the job but not the text, and the blocks themselves.
const MANIFEST: &str = r#"{
  "project_id": "demo", "job_id": "job-1", "rigor_level": "conservative",
  "blocks": [{"block_id": "b1", "word_count": 6}, {"block_id": "b2", "word_count": 5}],
  "tables": [{"table_id": "t1", "flags": ["EXCESSIVE_PRECISION"]}]
}"#;
const BLOCKS: &str = r#"{"block_id": "b1", "content": "A jaw-dropping rise in throughput was seen."}
{"block_id": "b2", "content": "Throughput rose by 12 %."}
this line was cut off by a crash
"#;
const TABLES: &str = r#"{"table_id": "t1", "rows": [{"ms": "1.2345", "n": 3}, {"ms": "2.3456", "n": 4}]}
{"table_id": "t2", "rows": [{"ms": "1.20"}, {"ms": "2.35"}]}
"#;

const LEXICON: &str = "
terms:
  - {word: jaw-dropping, severity: fail, replacement: large, category: hype}
  - {word: clearly, severity: warn, category: certainty}
";

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    fs::write(path("artifact_manifest.json"), MANIFEST)?;
    fs::write(path("blocks.jsonl"), BLOCKS)?;
    fs::write(path("tables.jsonl"), TABLES)?;

    // The manifest knows the job, the blocks have the text: one completes the other.
    let options = ReadOptions::new();
    let manifests = || Manifests::read([Input::path(path("artifact_manifest.json"))], options);
    let lexicon = Lexicon::parse("example", LEXICON)?;

    let tone = ToneBuilder::new(lexicon.clone())?.manifests(manifests()?);
    let report = write(
        &path("blocks.jsonl"),
        &path("tone.jsonl"),
        |input, output| tone.build([input], output),
    )?;
    show("tone", &report);

    let precision = PrecisionBuilder::new().manifests(manifests()?);
    let report = write(
        &path("tables.jsonl"),
        &path("precision.jsonl.gz"),
        |input, output| precision.build([input], output),
    )?;
    show("precision", &report);

    // What Vyasa's own script would have written, to the byte: it knows neither the job nor, with
    // this lexicon, any word.
    let mut output = Vec::new();
    let count = vyasa::build_tone("blocks", BLOCKS.as_bytes(), Some(&lexicon), &mut output)?;
    println!("\nVyasa's script: {count} records, the first is");
    println!(
        "{}",
        String::from_utf8(output)?
            .lines()
            .next()
            .unwrap_or_default()
    );

    // The dataset judges a system: here one that calls every short text neutral.
    let items = ItemReader::new([Input::path(path("tone.jsonl"))], options);
    let items = items.collect::<Result<Vec<_>, _>>()?;
    let guess = FnTask::new(|call| async move {
        let short = call.text("text")?.len() < 30;
        Ok(if short { "neutral" } else { "sensational" }.into())
    });
    let experiment = Experiment::new("tone by length", items)
        .task(guess)
        .metric(Equals::new());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let run = runtime.block_on(experiment.run())?;
    let agreement = run.mean("equals_metric").ok_or("nothing was scored")?;
    println!(
        "\ntone by length: {:.0} % agree with the labels",
        agreement * 100.0
    );
    Ok(())
}

/// Builds a file that appears whole or not at all.
fn write(
    input: &Path,
    output: &Path,
    build: impl FnOnce(Input, &mut AtomicFile) -> Result<BuildReport, opik_evals::dataset::DatasetError>,
) -> Result<BuildReport, Box<dyn Error>> {
    let mut file = AtomicFile::create(output, &[input])?;
    let report = build(Input::path(input), &mut file)?;
    file.finish()?;
    Ok(report)
}

fn show(name: &str, report: &BuildReport) {
    println!("{name}: {} records", report.written());
    for (label, rigor, count) in report.labels() {
        println!("  {label:20} {rigor:14} {count}");
    }
    for skip in report.skipped().first() {
        println!("  left out: line {}: {}", skip.place.line(), skip.reason);
    }
}
