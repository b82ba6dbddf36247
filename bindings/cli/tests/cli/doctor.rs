//! `doctor --deep` finds what a look at the structure cannot.

use serde_json::Value;

use crate::command::Scratch;

const TRACE: &str = r#"{"id":"01989681-0000-7000-8000-000000000001","name":"t","start_time":"2026-11-20T10:00:00Z","end_time":"2026-11-20T10:00:01Z"}"#;

/// A span whose text does not compress away.
fn span() -> String {
    let words: Vec<String> = (0..4_000_u64)
        .map(|n| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    format!(
        r#"{{"id":"01989681-0000-7000-8000-000000000002","trace_id":"01989681-0000-7000-8000-000000000001","name":"s","type":"tool","start_time":"2026-11-20T10:00:00Z","end_time":"2026-11-20T10:00:01Z","input":{{"text":"{}"}}}}"#,
        words.join(" ")
    )
}

fn integrity(report: &Value) -> &Value {
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "integrity");
    &check.unwrap()["status"]
}

#[test]
fn damage_inside_content_is_found_by_a_deep_check() {
    let scratch = Scratch::new();
    let line = format!("{{\"trace\":{TRACE},\"spans\":[{}]}}\n", span());
    let file = scratch.file("one.jsonl", line);
    scratch.ok(&["import", &file]);
    let report = scratch.json(&["doctor", "--deep"]);
    assert_eq!(integrity(&report), "ok", "{report}");

    // One bit in the middle of the file's largest run of bytes that look compressed.
    let path = scratch.path("traces.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let magic = [0x28, 0xb5, 0x2f, 0xfd];
    let frame = bytes.windows(4).rposition(|window| window == magic);
    let place = frame.unwrap() + 2_000;
    bytes[place] ^= 0x10;
    std::fs::write(&path, bytes).unwrap();

    let shallow = scratch.json(&["doctor"]);
    assert_eq!(
        integrity(&shallow),
        "ok",
        "the structure is whole: {shallow}"
    );
    let deep = scratch.run(&["doctor", "--deep", "--json"]);
    let report: Value = serde_json::from_str(&deep.stdout).unwrap();
    assert_eq!(integrity(&report), "fail", "{report}");
    assert_eq!(deep.code, 5);
}

#[test]
fn variables_of_the_server_and_the_stack_are_known_and_looked_at() {
    let scratch = Scratch::new();
    let doctor = |pairs: &[(&str, &str)]| -> Value {
        let mut command = scratch.command(&["doctor", "--json"]);
        let output = command.envs(pairs.iter().copied()).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let find = |report: &Value, name: &str| -> Vec<Value> {
        let checks = report["checks"].as_array().unwrap();
        checks
            .iter()
            .filter(|check| check["name"] == name)
            .cloned()
            .collect()
    };
    let report = doctor(&[
        ("OPIK_SERVER_RETENTION_DAYS", "30"),
        ("OPIK_API_PORT", "56500"),
    ]);
    assert_eq!(find(&report, "serve")[0]["status"], "ok", "{report}");
    let said = find(&report, "configuration");
    assert!(said.iter().all(|check| check["status"] == "ok"), "{report}");
    let report = doctor(&[
        ("OPIK_SERVER_RETENTION_DAYS", "long"),
        ("OPIK_SERVER_RETENTION", "3"),
    ]);
    let serve = &find(&report, "serve")[0];
    assert_eq!(serve["status"], "warn");
    assert!(
        serve["text"]
            .as_str()
            .unwrap()
            .contains("OPIK_SERVER_RETENTION_DAYS"),
        "{serve}"
    );
    let said = find(&report, "configuration");
    assert!(
        said.iter().any(|check| check["status"] == "warn"),
        "{report}"
    );
    let open = doctor(&[("HOST", "0.0.0.0")]);
    assert_eq!(find(&open, "serve")[0]["status"], "warn");
}
