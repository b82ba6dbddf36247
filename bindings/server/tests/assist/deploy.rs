//! The templates of deployment, checked by the programs that they are for.
//!
//! Needs a Python with Helm's library, the schemas of Kubernetes and compose files, and hadolint, named by
//! `OPIK_DEPLOY_PYTHON`; `.ci/run` sets it up. The unit is checked where there is `systemd-analyze`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tools::named;

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn helm_kubernetes_docker_and_compose_take_the_templates() {
    let test = "helm_kubernetes_docker_and_compose_take_the_templates";
    let Some(python) = named("OPIK_DEPLOY_PYTHON", test) else {
        return;
    };
    let output = Command::new(python)
        .arg(folder("tests/assist/deploy_check.py"))
        .arg(folder("deploy"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    // Three sets of values, each with what there is to see.
    assert!(
        text.lines().filter(|line| line.starts_with("ok ")).count() > 30,
        "{text}"
    );
}

#[test]
fn systemd_takes_the_unit() {
    let unit = std::fs::read_to_string(folder("deploy/opik-assist.service")).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("opik-assist.service");
    // The program is not installed here, and its variables are not either.
    let program = std::env::current_exe().unwrap();
    let unit = unit.replace("/usr/local/bin/opik-rs", program.to_str().unwrap());
    std::fs::write(&file, unit).unwrap();
    let verified = Command::new("systemd-analyze")
        .arg("verify")
        .arg(&file)
        .output();
    let Ok(output) = verified else {
        let line = "SKIPPED systemd_takes_the_unit: there is no systemd-analyze\n";
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    // Other units of the machine may have their own troubles.
    let ours: Vec<_> = errors
        .lines()
        .filter(|line| line.contains("opik-assist"))
        .collect();
    assert!(ours.is_empty(), "{errors}");
}
