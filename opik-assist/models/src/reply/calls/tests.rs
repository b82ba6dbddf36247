use super::*;

type Said = (Option<u64>, &'static str, &'static str, &'static str);

fn calls(pieces: &[Said]) -> Vec<String> {
    let mut calls = Calls::default();
    for &(index, id, name, arguments) in pieces {
        calls.add(&Piece {
            index,
            id,
            name,
            arguments,
        });
    }
    let (whole, _) = calls.finish(&FinishReason::ToolCalls, 1).unwrap();
    let shown = whole.iter().map(|call| {
        let id = if call.id.starts_with("call_0") {
            "made"
        } else {
            &call.id
        };
        format!("{id} {} {}", call.name, call.arguments.as_str())
    });
    shown.collect()
}

#[test]
fn pieces_are_joined_whatever_joins_them() {
    let both = ["a f {\"x\":1}", "b g {\"y\":2}"];
    for (what, pieces, expected) in [
        (
            "interleaved",
            vec![
                (Some(0), "a", "f", ""),
                (Some(1), "b", "g", ""),
                (Some(0), "", "", "{\"x\""),
                (Some(1), "", "", "{\"y\":"),
                (Some(0), "", "", ":1}"),
                (Some(1), "", "", "2}"),
            ],
            both.to_vec(),
        ),
        (
            "from one",
            vec![
                (Some(1), "a", "f", "{\"x\":1}"),
                (Some(2), "b", "g", "{\"y\":2}"),
            ],
            both.to_vec(),
        ),
        (
            "all index 0",
            vec![
                (Some(0), "a", "f", "{\"x\":1}"),
                (Some(0), "b", "g", "{\"y\":2}"),
            ],
            both.to_vec(),
        ),
        (
            "no index",
            vec![
                (None, "a", "f", "{\"x\""),
                (None, "", "", ":1}"),
                (None, "b", "g", ""),
                (None, "", "", "{\"y\":2}"),
            ],
            both.to_vec(),
        ),
        (
            "no index, id each time",
            vec![
                (None, "a", "f", "{\"x\""),
                (None, "b", "g", "{\"y\":2}"),
                (None, "a", "", ":1}"),
            ],
            both.to_vec(),
        ),
        (
            "all repeated",
            vec![
                (Some(0), "a", "f", "{\"x\""),
                (Some(0), "a", "f", ":1}"),
                (Some(1), "b", "g", "{\"y\":2}"),
            ],
            both.to_vec(),
        ),
        (
            "empty repeated",
            vec![
                (Some(0), "a", "f", ""),
                (Some(0), "", "", "{\"x\":1}"),
                (Some(1), "b", "g", "{\"y\":2}"),
            ],
            both.to_vec(),
        ),
        (
            "late id and name",
            vec![(Some(0), "", "", "{\"x\":"), (Some(0), "a", "f", "1}")],
            vec![both[0]],
        ),
        (
            "no id, index 0, two names",
            vec![(Some(0), "", "f", "{}"), (Some(0), "", "g", "{}")],
            vec!["made f {}", "made g {}"],
        ),
        (
            "no id, index 0, one name",
            vec![
                (Some(0), "", "f", "{\"x\":1}"),
                (Some(0), "", "f", "{\"x\":2}"),
            ],
            vec!["made f {\"x\":1}", "made f {\"x\":2}"],
        ),
        (
            "nothing but names",
            vec![
                (None, "", "f", "{\"x\""),
                (None, "", "f", ":1}"),
                (None, "", "f", "{}"),
            ],
            vec!["made f {\"x\":1}", "made f {}"],
        ),
        (
            "one id twice",
            vec![(Some(0), "a", "f", "{}"), (Some(1), "a", "g", "{}")],
            vec!["a f {}", "made g {}"],
        ),
        (
            "not JSON",
            vec![(Some(0), "a", "f", "{'x'}")],
            vec!["a f \"{'x'}\""],
        ),
        ("nothing", vec![(None, "", "", "")], vec![]),
    ] {
        assert_eq!(calls(&pieces), expected, "{what}");
    }
}

#[test]
fn a_call_without_a_name_is_none_and_the_limit_takes_the_last_one() {
    let mut calls = Calls::default();
    calls.add(&Piece {
        arguments: "{}",
        ..Piece::default()
    });
    assert!(calls.finish(&FinishReason::ToolCalls, 1).is_none());
    for arguments in ["{}", "{\"x\": "] {
        calls.add(&Piece {
            index: Some(arguments.len() as u64),
            name: "f",
            arguments,
            ..Piece::default()
        });
    }
    let (whole, _) = calls.finish(&FinishReason::Length, 1).unwrap();
    assert_eq!(whole.len(), 1);
}
