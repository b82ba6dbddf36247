//! Reports.

use std::time::Duration;

use opik_core::TraceTree;
use opik_evals::compare::{CompareOptions, Comparison};
use opik_evals::dataset::Item;
use opik_evals::experiment::{Experiment, FnTask, Run, TaskError, TaskOutput};
use opik_evals::gate::{GateInput, GateReport, Gates};
use opik_evals::heuristics::{Equals, LevenshteinRatio};
use opik_evals::report::{Report, comparison_markdown, comparison_text, gate_text};
use opik_testkit::records;
use serde_json::{Value, json};

const TONES: [&str; 3] = ["neutral", "sensational", "urgent"];

/// A run of a classifier that is right as often as it is told to be, and fails now and then.
async fn classifier(name: &str, wrong: u64, hostile: &str) -> Run {
    let items: Vec<Item> = (0..80_u64)
        .map(|n| {
            let tone = TONES[usize::try_from(n * 7 % 3).unwrap()];
            let rigor = if n % 4 == 0 { "conservative" } else { "exploratory" };
            let text = format!("A sentence, the {n}th of them. {}", if n == 3 { hostile } else { "" });
            Item::from_value(json!({ "id": format!("block-{n}"), "text": text, "rigor": rigor, "n": n, "expected_output": tone })).unwrap()
        })
        .collect();
    let hostile = hostile.to_owned();
    let task = FnTask::new(move |call| {
        let hostile = hostile.clone();
        async move {
            let n = call.get("n").and_then(Value::as_u64).unwrap();
            let tone = usize::try_from(n * 7 % 3 + u64::from(n * 13 % 80 < wrong)).unwrap() % 3;
            match n {
                11 => Err(TaskError::new(format!("the model said {hostile}"))),
                12 if wrong > 10 => Err(TaskError::new("no answer from the model")),
                _ => Ok(TaskOutput::new(TONES[tone])
                    .cost(0.0004 + 0.00001 * n as f64)
                    .tokens(100 + n)
                    .trace(records::trace_id(u32::try_from(n).unwrap() + 1))
                    .took(Duration::from_millis(80 + n * n % 170))),
            }
        }
    });
    Experiment::new(name, items)
        .dataset_name("tone")
        .task(task)
        .metric(Equals::new())
        .metric(LevenshteinRatio::new())
        .run()
        .await
        .unwrap()
}

fn gate(run: &Run, baseline: &Run) -> GateReport {
    let text = "[metrics.equals_metric]\nmin_pass_rate = 0.9\nsure = true\nmax_drop = 0.05\n[cases]\nmax_failed = 0\nmax_p95_ms = 500";
    Gates::from_toml(text)
        .unwrap()
        .check(GateInput::new().run(run).baseline(baseline))
}

const HOSTILE: &str =
    "</pre><script>alert('x')</script> \u{1b}[31m | @all `code` \u{202e} ]]> \u{0}";

#[tokio::test]
async fn what_a_model_wrote_is_never_markup() {
    let run = classifier("<b>nightly</b> \u{1b}[2J", 20, HOSTILE).await;
    let before = classifier("old | \"quoted\"", 5, HOSTILE).await;
    let comparison = Comparison::of(&before, &run, &CompareOptions::default().slice("text"));
    let gate = gate(&run, &before);
    let tree = TraceTree::build(records::trace(4), vec![records::span(4, 1)]);
    let report = Report::new(&run)
        .comparison(&comparison)
        .gate(&gate)
        .slice("text")
        .earlier(&before)
        .worst(100)
        .trace(records::trace_id(4), &tree)
        .trace_link("https://opik.example/trace/{trace}?\"><script>");
    let html = report.html();
    assert!(!html.contains("<script") && !html.contains("<b>") && !html.contains('\u{1b}'));
    assert!(html.contains("&lt;script&gt;alert(&#39;x&#39;)"));
    // Nothing is loaded from anywhere, and nothing can be.
    assert!(html.contains("default-src 'none'"));
    for reach in ["src=", "url(", "@import", "<link", "<iframe"] {
        assert!(!html.contains(reach), "{reach}");
    }
    for text in [
        report.text(),
        comparison_text(&comparison),
        gate_text(&gate),
    ] {
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
    }
    for text in [report.markdown(), comparison_markdown(&comparison)] {
        assert!(
            !text.contains("<script") && !text.contains("@all") && !text.contains('\u{202e}'),
            "{text}"
        );
    }
    let junit = report.junit();
    assert!(!junit.contains('\u{0}') && !junit.contains('\u{1b}') && !junit.contains("<script"));
}

#[tokio::test]
async fn the_reports_agree_with_the_run() {
    let (before, run) = (
        classifier("old", 5, "nothing bad").await,
        classifier("new", 20, "nothing bad").await,
    );
    let comparison = Comparison::of(&before, &run, &CompareOptions::default());
    let gate = gate(&run, &before);
    let report = Report::new(&run)
        .comparison(&comparison)
        .gate(&gate)
        .slice("rigor")
        .earlier(&before);
    let json = report.json();
    assert_eq!(json["summary"]["failed"], 2);
    assert_eq!(json["gate"]["passed"], false);
    let confusion = &json["confusion"];
    assert_eq!(confusion["labels"], json!(TONES));
    let cells: Vec<u64> = confusion["counts"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row.as_array().unwrap())
        .map(|cell| cell.as_u64().unwrap())
        .collect();
    assert_eq!(cells.iter().sum::<u64>(), 78);
    assert_eq!(confusion["left_out"], 2);
    let right = cells[0] + cells[4] + cells[8];
    assert_eq!(
        right as f64,
        run.scores("equals_metric").iter().sum::<f64>()
    );
    // The worst come first: failures, then wrong answers.
    let worst = json["worst"].as_array().unwrap();
    assert_eq!(
        (worst.len(), worst[0]["item"].as_str()),
        (20, Some("block-11"))
    );
    assert!(worst[1]["error"].is_string() && worst[2]["error"].is_null());
    assert_eq!(worst[2]["scores"][0]["value"], 0.0);
    let text = report.text();
    for part in [
        "80 trials, 2 failed;",
        "rigor = conservative",
        "FAILED",
        "old -> new",
        "block-11: the model said nothing bad",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(report.markdown().contains("**Gate failed**"));
    assert_eq!(
        report.html().matches("<svg").count(),
        report.html().matches("</svg>").count()
    );
}

#[tokio::test]
async fn junit_counts_what_failed_and_what_could_not_be_told() {
    let run = classifier("new", 20, "x").await;
    let gate = gate(&run, &run);
    let junit = Report::new(&run).gate(&gate).junit();
    let wrong = run
        .scores("equals_metric")
        .iter()
        .filter(|score| **score == 0.0)
        .count();
    let failed_gates = gate.failures().count();
    let head = format!(
        "tests=\"84\" failures=\"{}\" errors=\"2\"",
        wrong + failed_gates
    );
    assert!(junit.contains(&head), "{head}\n{junit}");
    assert_eq!(junit.matches("<testcase ").count(), 84);
    assert_eq!(junit.matches("<failure ").count(), wrong + failed_gates);
    assert_eq!(junit.matches("<error ").count(), 2);
}

#[tokio::test]
async fn an_empty_and_a_bare_run_have_reports_too() {
    let task = || FnTask::new(|_| async { Err(TaskError::new("never")) });
    let item = || [Item::from_value(json!({ "x": 1 })).unwrap()];
    let bare = Experiment::new("bare", item())
        .task(task())
        .run()
        .await
        .unwrap();
    let scored = Experiment::new("scored", item())
        .task(task())
        .metric(Equals::new())
        .run()
        .await
        .unwrap();
    for run in [&bare, &scored] {
        let comparison = Comparison::of(&bare, run, &CompareOptions::default().slice("x"));
        let report = Report::new(run)
            .comparison(&comparison)
            .earlier(&bare)
            .slice("x");
        assert!(report.text().contains("1 trial, 1 failed"));
        for text in [
            report.html(),
            report.markdown(),
            report.junit(),
            report.text(),
        ] {
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        }
    }
}

/// Writes the sample of the documentation: `OPIK_EVALS_SAMPLE=folder cargo test ... -- --ignored`.
#[tokio::test]
#[ignore = "writes files"]
#[expect(
    clippy::disallowed_methods,
    reason = "whoever wants the files says where"
)]
async fn sample() {
    let Some(folder) = std::env::var_os("OPIK_EVALS_SAMPLE").map(std::path::PathBuf::from) else {
        return;
    };
    let (first, before, run) = (
        classifier("week 46", 9, "x").await,
        classifier("week 47", 5, "x").await,
        classifier("week 48", 20, HOSTILE).await,
    );
    let comparison = Comparison::of(&before, &run, &CompareOptions::default().slice("rigor"));
    let gate = gate(&run, &before);
    let mut report = Report::new(&run)
        .comparison(&comparison)
        .gate(&gate)
        .slice("rigor")
        .earlier(&first)
        .earlier(&before);
    for n in 0..80 {
        let spans = (1..5).map(|s| records::span(n + 1, s)).collect();
        report = report.trace(
            records::trace_id(n + 1),
            &TraceTree::build(records::trace(n + 1), spans),
        );
    }
    std::fs::write(folder.join("report.html"), report.html()).unwrap();
    std::fs::write(folder.join("report.md"), report.markdown()).unwrap();
    std::fs::write(folder.join("report.xml"), report.junit()).unwrap();
    std::fs::write(folder.join("report.txt"), report.text()).unwrap();
}
