//! The report for programs that read the results of tests.

use super::escape::xml;
use crate::experiment::{Run, Trial};
use crate::gate::GateReport;

/// A test suite of the trials, and one of the thresholds. A trial fails when a metric is not passed,
/// and is an error when the task failed or a metric could not score it.
pub(super) fn junit(run: &Run, gate: Option<&GateReport>) -> String {
    let cases: Vec<(String, Kind)> = run
        .trials()
        .iter()
        .map(|trial| trial_case(run, trial))
        .collect();
    let count = |kind: Kind| cases.iter().filter(|(_, of)| *of == kind).count();
    let (failures, errors) = (count(Kind::Failure), count(Kind::Error));
    let time: f64 = run.trials().iter().map(seconds).sum();
    let of_gate = gate.map_or(0, |gate| gate.checks.len());
    let gate_failures = gate.map_or(0, |gate| gate.failures().count());
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    text.push_str(&format!(
        "<testsuites name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{errors}\" time=\"{time:.3}\">\n",
        xml(&run.info().name),
        cases.len() + of_gate,
        failures + gate_failures,
    ));
    text.push_str(&format!(
        "<testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"0\" timestamp=\"{}\" time=\"{time:.3}\">\n",
        xml(&run.info().name),
        cases.len(),
        xml(&run.info().started_at.to_string()),
    ));
    for (case, _) in &cases {
        text.push_str(case);
    }
    text.push_str("</testsuite>\n");
    if let Some(gate) = gate {
        text.push_str(&format!(
            "<testsuite name=\"gate\" tests=\"{of_gate}\" failures=\"{gate_failures}\" errors=\"0\" skipped=\"0\">\n"
        ));
        for check in &gate.checks {
            let name = xml(&check.name);
            if check.passed {
                text.push_str(&format!("<testcase classname=\"gate\" name=\"{name}\"/>\n"));
                continue;
            }
            let found = check
                .found
                .map_or_else(|| "nothing".to_owned(), |found| found.to_string());
            text.push_str(&format!(
                "<testcase classname=\"gate\" name=\"{name}\"><failure type=\"gate\" message=\"found {found}, the limit is {}\">{}</failure></testcase>\n",
                check.limit,
                xml(&check.detail),
            ));
        }
        text.push_str("</testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Passed,
    Failure,
    Error,
}

fn seconds(trial: &Trial) -> f64 {
    trial.duration_us as f64 / 1e6
}

fn trial_case(run: &Run, trial: &Trial) -> (String, Kind) {
    let name = if run.info().repeats > 1 {
        format!("{} #{}", trial.item_id, trial.repeat + 1)
    } else {
        trial.item_id.clone()
    };
    let open = format!(
        "<testcase classname=\"{}\" name=\"{}\" time=\"{:.6}\">",
        xml(&run.info().name),
        xml(&name),
        seconds(trial)
    );
    if let Some(error) = &trial.error {
        let kind = format!("{:?}", error.kind).to_lowercase();
        let body = format!(
            "<error type=\"{kind}\" message=\"{}\"/>",
            xml(&error.message)
        );
        return (format!("{open}{body}</testcase>\n"), Kind::Error);
    }
    if let Some(failed) = trial.failed_scores.first() {
        let message = format!("{}: {}", failed.name, failed.message);
        let body = format!("<error type=\"metric\" message=\"{}\"/>", xml(&message));
        return (format!("{open}{body}</testcase>\n"), Kind::Error);
    }
    let missed: Vec<String> = trial
        .scores
        .iter()
        .filter_map(|score| {
            let at = run.pass_at(&score.name)?;
            let missed = !run.passes(&score.name, score.value, at);
            let reason = score.reason.as_deref().unwrap_or_default();
            missed.then(|| format!("{} is {}, {at} passes. {reason}", score.name, score.value))
        })
        .collect();
    match missed.first() {
        None => (format!("{open}</testcase>\n"), Kind::Passed),
        Some(first) => {
            let body = format!(
                "<failure type=\"metric\" message=\"{}\">{}</failure>",
                xml(first),
                xml(&missed.join("\n"))
            );
            (format!("{open}{body}</testcase>\n"), Kind::Failure)
        }
    }
}
