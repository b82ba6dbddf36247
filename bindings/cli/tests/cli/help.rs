//! The help, the manual and the completions.

use crate::command::Scratch;

const COMMANDS: [&str; 21] = [
    "demo",
    "import",
    "export",
    "traces",
    "show",
    "ask",
    "chat",
    "diff",
    "stats",
    "tail",
    "serve",
    "stack",
    "evals",
    "configure",
    "backup",
    "restore",
    "prune",
    "vacuum",
    "doctor",
    "completions",
    "man",
];

#[test]
fn the_help_lists_commands_examples_and_exit_codes() {
    let help = Scratch::new().ok(&["--help"]);
    insta::assert_snapshot!(help);
}

#[test]
fn every_command_teaches_with_examples() {
    let scratch = Scratch::new();
    for command in COMMANDS {
        let help = scratch.ok(&[command, "--help"]);
        assert!(help.contains("Examples:"), "{command}");
        assert!(help.contains(&format!("opik-rs {command}")), "{command}");
        assert!(
            help.lines().all(|line| line.chars().count() <= 100),
            "{command}: {help}"
        );
    }
}

#[test]
fn examples_are_not_broken_at_eighty_columns() {
    let scratch = Scratch::new();
    for command in COMMANDS.iter().copied().chain([""]) {
        let args: Vec<&str> = [command, "--help"]
            .into_iter()
            .filter(|arg| !arg.is_empty())
            .collect();
        let output = scratch
            .command(&args)
            .env("COLUMNS", "80")
            .output()
            .unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        let heading = if command.is_empty() {
            "Start here:"
        } else {
            "Examples:"
        };
        let examples = help.lines().skip_while(|line| *line != heading).skip(1);
        let examples: Vec<&str> = examples.take_while(|line| !line.is_empty()).collect();
        assert!(!examples.is_empty(), "{command}");
        for line in examples {
            let whole = ["  opik-rs ", "  curl ", "            "]
                .iter()
                .any(|start| line.starts_with(start));
            assert!(whole, "{command}: {line}");
        }
    }
}

#[test]
fn the_manual_keeps_the_lines_of_examples() {
    let scratch = Scratch::new();
    let page = scratch.ok(&["man", "show"]);
    let (_, section) = page.split_once(".SH EXAMPLES\n").unwrap();
    let (_, lines) = section.split_once(".nf\n").unwrap();
    let (lines, rest) = lines.split_once(".fi\n").unwrap();
    assert!(lines.lines().count() >= 5, "{lines}");
    assert!(
        lines.lines().all(|line| line.starts_with("  opik")),
        "{lines}"
    );
    assert!(rest.starts_with(".PP\n"), "{rest}");
    scratch.ok(&["man", "--dir", "pages"]);
    let written = std::fs::read_to_string(scratch.path("pages/opik-rs-show.1")).unwrap();
    assert_eq!(written, page);
}

#[test]
fn without_a_command_the_help_is_shown() {
    let run = Scratch::new().run(&[]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("Start here:"), "{}", run.stderr);
}

#[test]
fn a_misspelt_command_is_a_usage_error_with_a_suggestion() {
    let run = Scratch::new().run(&["trace"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("'traces'"), "{}", run.stderr);
}

#[test]
fn completions_know_the_commands_of_every_shell() {
    let scratch = Scratch::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = scratch.ok(&["completions", shell]);
        for command in COMMANDS {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
    assert_eq!(scratch.run(&["completions", "tcsh"]).code, 2);
}

#[test]
fn the_manual_has_a_page_per_command() {
    let scratch = Scratch::new();
    let page = scratch.ok(&["man"]);
    assert!(page.contains(".TH opik-rs 1"), "{page}");
    assert!(scratch.ok(&["man", "import"]).contains("strict"));
    assert_eq!(scratch.run(&["man", "nothing"]).code, 2);
    scratch.ok(&["man", "--dir", "pages"]);
    for command in COMMANDS {
        assert!(
            scratch.path(&format!("pages/opik-rs-{command}.1")).exists(),
            "{command}"
        );
    }
    assert!(scratch.path("pages/opik-rs.1").exists());
}

#[test]
fn a_wrong_command_line_is_json_where_json_is_asked_for() {
    let run = Scratch::new().run(&["traces", "--limit", "many", "--json"]);
    assert_eq!(run.code, 2);
    let error: serde_json::Value = serde_json::from_str(&run.stderr).unwrap();
    assert_eq!(error["error"]["kind"], "usage");
    assert!(
        error["error"]["message"].as_str().unwrap().contains("many"),
        "{error}"
    );
    let run = Scratch::new().run(&["--version", "--json"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert!(run.stdout.starts_with("opik-rs "), "{}", run.stdout);
}

#[test]
fn the_help_of_serve_and_the_guide_know_the_same_variables() {
    let help = Scratch::new().ok(&["serve", "--help"]);
    let guide = include_str!("../../../../docs/src/assist-server.md");
    // First cells of the tables that tell variables, their defaults and what they mean.
    let configure = guide.split("## Configure").nth(1).unwrap();
    let configure = configure.split("## Upgrade").next().unwrap();
    let cells = configure
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let names: Vec<&str> = cells
        .flat_map(|cell| cell.split(['`', ',', ' ']))
        .filter(|name| !name.is_empty())
        .collect();
    assert!(names.len() > 40, "{names:?}");
    for name in &names {
        assert!(help.contains(name), "{name} is not in the help");
    }
    let own = help.split("Variables of the assistant").nth(1).unwrap();
    let words = own.split_whitespace().map(|word| word.trim_matches(','));
    let told = words.filter(|word| {
        let is_name = |letter: char| letter.is_ascii_uppercase() || letter == '_';
        word.contains('_') && word.chars().all(is_name)
    });
    for name in told {
        assert!(names.contains(&name), "{name} is not in the guide");
    }
}
