//! What is asked, and what is proposed.

use std::collections::VecDeque;

use super::*;

/// A person who answers from a list and remembers the questions.
#[derive(Default)]
struct Person {
    answers: VecDeque<&'static str>,
    questions: Vec<String>,
}

impl Person {
    fn answer(&mut self, question: String) -> String {
        self.questions.push(question);
        self.answers.pop_front().unwrap_or_default().to_owned()
    }
}

impl Dialog for Person {
    fn ask(&mut self, question: &str, proposal: &str) -> Result<String, Failure> {
        let answer = self.answer(format!("{question} [{proposal}]"));
        Ok(if answer.is_empty() {
            proposal.to_owned()
        } else {
            answer
        })
    }

    fn ask_secret(&mut self, question: &str) -> Result<String, Failure> {
        Ok(self.answer(question.to_owned()))
    }

    fn confirm(&mut self, question: &str) -> Result<bool, Failure> {
        Ok(self.answer(question.to_owned()) == "y")
    }
}

fn args() -> Args {
    Args {
        url: None,
        use_local: false,
        api_key: None,
        workspace: None,
        project: None,
        file: None,
        yes: false,
        no_check: true,
    }
}

/// What comes of a file, variables and answers; and what was asked.
fn asked(
    text: &str,
    variables: &[(&str, &str)],
    answers: &[&'static str],
) -> (Wanted, Result<(), Code>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    std::fs::write(&path, text).unwrap();
    let file = ConfigFile::open(&path).unwrap();
    let variable = |name: &str| {
        let (_, value) = variables.iter().find(|(other, _)| *other == name)?;
        Some((*value).into())
    };
    let present = OpikSettings::builder()
        .config_path(&path)
        .load_from(&variable);
    let mut person = Person {
        answers: answers.iter().copied().collect(),
        ..Person::default()
    };
    let args = args();
    let mut answers = Answers {
        args: &args,
        file: &file,
        present: &present,
        dialog: Some(&mut person),
    };
    let wanted = answers.wanted().unwrap();
    let allowed = answers.may_replace(&wanted.changes(&file));
    (
        wanted,
        allowed.map_err(|failure| failure.code()),
        person.questions,
    )
}

const FILE: &str = "[opik]\nurl_override = https://old.example/opik/api/\napi_key = k\n\
                    workspace = team\nproject_name = shop\n";

#[test]
fn a_local_server_needs_two_answers() {
    let (wanted, allowed, questions) = asked("", &[], &[]);
    assert_eq!(
        questions,
        [
            "Address of the server [http://localhost:5173/api/]",
            "Project [Default Project]"
        ]
    );
    assert_eq!(wanted.found.base.as_str(), BaseUrl::LOCAL);
    assert_eq!((wanted.workspace.as_str(), wanted.key), ("default", None));
    assert_eq!(allowed, Ok(()));
}

#[test]
fn what_is_configured_is_proposed_and_nothing_is_replaced_unasked() {
    let (wanted, allowed, questions) = asked(FILE, &[], &["", "", "other", "n"]);
    assert_eq!(
        questions[..3],
        [
            "Address of the server [https://old.example/opik/api/]",
            "Workspace [team]",
            "Project [shop]"
        ]
    );
    assert!(
        questions[3].starts_with("Replace project_name in "),
        "{questions:?}"
    );
    assert_eq!(wanted.key, Some(Secret::from("k")));
    assert_eq!(allowed, Err(Code::Failed));
    let (_, allowed, questions) = asked(FILE, &[], &[]);
    assert_eq!((allowed, questions.len()), (Ok(()), 3), "nothing changes");
}

#[test]
fn the_key_of_one_server_does_not_go_to_another() {
    let (wanted, _, questions) = asked(FILE, &[], &["https://new.example", "", "", "", "y"]);
    assert_eq!(
        questions[1..3],
        ["API key (empty for none)", "Workspace [default]"]
    );
    assert_eq!(wanted.key, None);
    let variable = [("OPIK_API_KEY", "v")];
    let (wanted, _, _) = asked(FILE, &variable, &["https://new.example"]);
    assert_eq!(wanted.key, Some(Secret::from("v")));
}
