//! Conversations of three turns in the terminal, on every database: one is killed in the middle of
//! a turn and goes on, one asks no model.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use opik_testkit::databases::{DatabaseServer, Engine};

use crate::command::{Run, Scratch, line};
use crate::provider::{Asked, KEY, Provider, Say};

const QUESTIONS: [&str; 3] = [
    "What caused the error?",
    "Why is it slow?",
    "Is anything unusual?",
];

/// Runs the test with an address for each kind of database.
fn on_every_database(test: &str, what: impl Fn(&str)) {
    let folder = Scratch::new();
    what(&format!("sqlite:{}", folder.path("talks.db").display()));
    for engine in [Engine::MariaDb, Engine::Postgres] {
        if let Some(server) = DatabaseServer::shared(engine, test).unwrap() {
            what(&server.database().unwrap().uri());
        }
    }
}

/// A store with one failed trace, and the command that talks about it.
struct Desk<'a> {
    scratch: Scratch,
    sessions: &'a str,
    provider: Option<Provider>,
}

impl<'a> Desk<'a> {
    fn new(sessions: &'a str, provider: Option<Provider>) -> Self {
        let scratch = Scratch::new();
        let file = scratch.file("a.jsonl", line(1, "alpha"));
        scratch.ok(&["import", &file]);
        Self {
            scratch,
            sessions,
            provider,
        }
    }

    fn command(&self) -> Command {
        let mut command = self.scratch.command(&["chat", "last"]);
        command.env("OPIK_ASSIST_SESSIONS", self.sessions);
        if let Some(provider) = &self.provider {
            provider.tell(&mut command, "openai/gpt-test");
        }
        command
    }

    /// Runs the command to its end.
    fn run(&self, input: &str) -> Run {
        let input = std::fs::File::open(self.scratch.file("input", input)).unwrap();
        let run = Run::of(self.command().stdin(Stdio::from(input)).output().unwrap());
        assert_eq!(run.code, 0, "{}", run.stderr);
        for secret in [KEY, "opik-secret"] {
            assert!(!run.stdout.contains(secret) && !run.stderr.contains(secret));
        }
        run
    }
}

/// The running command with a person at it.
struct Person {
    child: Child,
    input: ChildStdin,
    output: Receiver<String>,
    seen: String,
}

impl Person {
    fn sits_down(desk: &Desk<'_>) -> Self {
        let mut command = desk.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let (sender, output) = channel();
        let mut stdout = child.stdout.take().unwrap();
        let read = move || {
            let mut buffer = [0; 4_096];
            while let Ok(count @ 1..) = stdout.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                if sender.send(text).is_err() {
                    break;
                }
            }
        };
        let thread = std::thread::Builder::new().name("screen".to_owned());
        thread.spawn(read).unwrap();
        Self {
            input: child.stdin.take().unwrap(),
            child,
            output,
            seen: String::new(),
        }
    }

    fn types(&mut self, line: &str) {
        self.input
            .write_all(format!("{line}\n").as_bytes())
            .unwrap();
    }

    /// Waits until this is on the screen.
    fn sees(&mut self, text: &str) {
        while !self.seen.contains(text) {
            let more = self.output.recv_timeout(Duration::from_secs(120));
            assert!(more.is_ok(), "no {text}: {}", self.seen);
            self.seen += &more.unwrap();
        }
    }

    /// Waits for the end of the command.
    fn leaves(mut self) {
        assert!(self.child.wait().unwrap().success(), "{}", self.seen);
    }

    /// `kill` on Unix is SIGKILL.
    fn cut_off(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::mem::take(&mut self.seen)
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        // It may have ended before.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The database goes away while the model thinks about the first question and the second, and is back
/// at once or later.
#[test]
fn a_database_that_restarts_in_mid_turn_is_survived_and_one_that_is_down_is_said() {
    let test = "a_database_that_restarts_in_mid_turn_is_survived_and_one_that_is_down_is_said";
    for engine in [Engine::MariaDb, Engine::Postgres] {
        let Some(server) = DatabaseServer::start(engine, test, &[]).unwrap() else {
            continue;
        };
        let sessions = server.database().unwrap().uri();
        let server = Arc::new(server);
        let database = Arc::clone(&server);
        let provider = Provider::start(move |asked: &Asked| {
            let question = asked.lines().pop().unwrap().1;
            if question != QUESTIONS[2] {
                database.kill().unwrap();
            }
            if question == QUESTIONS[0] {
                database.restart().unwrap();
            }
            Say::Words(format!("That is my answer to {question:?}"))
        });
        let desk = Desk::new(&sessions, Some(provider));
        let mut person = Person::sits_down(&desk);
        person.types(QUESTIONS[0]);
        person.sees(&format!("That is my answer to {:?}", QUESTIONS[0]));
        person.types(QUESTIONS[1]);
        person.sees("The conversation cannot be stored. Try again later.");
        server.restart().unwrap();
        person.types(QUESTIONS[2]);
        person.sees(&format!("That is my answer to {:?}", QUESTIONS[2]));
        person.types("/quit");
        person.leaves();

        // Whole turns, once each; nothing of the answer that could not be stored.
        let screen = desk.run("/history\n").stdout;
        for (place, question) in QUESTIONS.iter().enumerate() {
            assert_eq!(
                screen.matches(&format!("> {question}")).count(),
                1,
                "{screen}"
            );
            let answer = format!("That is my answer to {question:?}");
            assert_eq!(
                screen.matches(&answer).count(),
                usize::from(place != 1),
                "{screen}"
            );
        }
    }
}

/// Looks for the error, never ends what it says about slowness, and has a word for the rest.
fn model(asked: &Asked) -> Say {
    let question = asked.lines();
    let question = question.iter().rev().find(|(role, _)| *role == "user");
    match (question.unwrap().1.as_str(), asked.has_answers()) {
        ("What caused the error?", false) => Say::tool("Let me see.", "error_chain"),
        ("What caused the error?", true) => Say::Words("The look-up failed [s2].".to_owned()),
        ("Why is it slow?", false) => Say::tool("First the path.", "critical_path"),
        ("Why is it slow?", true) => Say::Hang("It waits for"),
        _ => Say::Words("Nothing but that error [s2].".to_owned()),
    }
}

#[test]
fn a_conversation_of_three_turns_is_killed_in_its_second_and_resumed_on_every_database() {
    let test =
        "a_conversation_of_three_turns_is_killed_in_its_second_and_resumed_on_every_database";
    on_every_database(test, |sessions| {
        let desk = Desk::new(sessions, Some(Provider::start(model)));
        let mut person = Person::sits_down(&desk);
        person.sees("answers by openai/gpt-test");
        person.types(QUESTIONS[0]);
        person.sees("The look-up failed [s2].");
        person.sees("Spans (/span opens one)");
        person.types(QUESTIONS[1]);
        person.sees("It waits for");
        let screen = person.cut_off();
        assert!(screen.contains("  error_chain"), "{screen}");

        // What was said whole is there, once; the cut turn is there without an answer.
        let again = desk.run(&format!("/history\n{}\n/history\n", QUESTIONS[2]));
        let screen = &again.stdout;
        assert!(screen.contains("2 questions before"), "{screen}");
        assert!(!screen.contains("It waits for"), "{screen}");
        let (before, after) = screen.split_once("> Is anything unusual?").unwrap();
        let count = |text: &str, what: &str| text.matches(what).count();
        assert_eq!(count(before, "> What caused the error?"), 1, "{before}");
        assert_eq!(count(before, "The look-up failed [s2]."), 1, "{before}");
        assert_eq!(count(before, "> Why is it slow?"), 1, "{before}");
        // The answer, and the same in the history.
        assert_eq!(count(after, "Nothing but that error [s2]."), 2, "{after}");
        assert_eq!(count(after, "> Why is it slow?"), 1, "{after}");

        // The model was told all of it, in turns that every provider takes.
        let asked = desk.provider.as_ref().unwrap().last();
        let said: Vec<(&str, String)> = asked.lines().into_iter().skip(1).collect();
        let roles: Vec<&str> = said.iter().map(|(role, _)| *role).collect();
        let turn = ["user", "assistant", "tool", "assistant"];
        assert_eq!(roles, [&turn[..], &turn, &["user"]].concat(), "{said:?}");
        assert_eq!(said[0].1, QUESTIONS[0]);
        assert!(said[2].1.contains("no luck"), "{said:?}");
        assert_eq!(said[3].1, "The look-up failed [s2].");
        assert_eq!(said[4].1, QUESTIONS[1]);
        assert_eq!(said[5].1, "First the path.");
        assert_eq!(said[7].1, "(This turn ended before an answer.)");
        assert_eq!(said[8].1, QUESTIONS[2]);
    });
}

#[test]
fn the_same_three_questions_are_answered_without_a_model_on_every_database() {
    let test = "the_same_three_questions_are_answered_without_a_model_on_every_database";
    on_every_database(test, |sessions| {
        let desk = Desk::new(sessions, None);
        let first = desk.run(&format!("{}\n{}\n", QUESTIONS[0], QUESTIONS[1]));
        assert!(first.stdout.contains("answers are computed"));
        let last = desk.run(&format!("{}\n", QUESTIONS[2]));
        assert!(
            last.stdout.contains("2 questions before"),
            "{}",
            last.stdout
        );
        let screen = first.stdout + &last.stdout;
        let answers: Vec<&str> = QUESTIONS
            .iter()
            .map(|question| {
                let (_, answer) = screen.split_once(&format!("> {question}")).unwrap();
                answer.split("\n> ").next().unwrap()
            })
            .collect();
        for answer in &answers {
            assert!(answer.contains("no model was asked"), "{answer}");
        }
        // Where it began and what it took, by name and number.
        assert!(
            answers[0].contains("lookup") && answers[0].contains("ToolError"),
            "{}",
            answers[0]
        );
        assert!(
            answers[1].contains("critical path") && answers[1].contains("4.00 s"),
            "{}",
            answers[1]
        );
        assert!(
            answers[2].contains("3.00 s") && answers[2].contains("agent"),
            "{}",
            answers[2]
        );
    });
}
