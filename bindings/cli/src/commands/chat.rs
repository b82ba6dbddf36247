//! `opik-rs chat`: a conversation about a trace that goes on from run to run.

use std::io::{BufRead as _, IsTerminal as _};

use opik_assist::assistant::{Ask, Assistant};
use opik_assist::context::SpanLabel;
use opik_assist::{Evidence, analyse};
use opik_core::{Event, Role, SessionKey, TraceTree};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::context::Context;
use crate::exit::{Code, Failure, Outcome};
use crate::reference;
use crate::render::span;
use crate::render::style::{DIM, ID, STRONG};
use crate::render::text::{clean, clean_lines, short_id, wrap};
use crate::talk::model::ModelArgs;
use crate::talk::{setup, show};

/// What the conversation understands beside questions.
const HELP: &str = "  /span s12      show a span: by its label, the end of its id, or its name
  /evidence      list the findings
  /history       show the conversation so far
  /usage         what each question used up
  /new           forget the conversation and begin again
  /help          this list
  /quit          leave; the conversation is kept
";

/// Arguments of `opik-rs chat`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs chat last                          computed answers
  opik-rs chat last --model openai/gpt-4.1   a model explains the evidence
  opik-rs chat last < questions.txt
  opik-rs chat last --sessions mysql://opik@localhost/opik

Conversations are kept, one a trace, in a file beside the store: the next run goes on \
where the last one stopped. Ctrl-C stops an answer, and between answers the program. With a \
model, the packed evidence and what its tools read are sent to its provider; without one nothing \
leaves the machine.

JSON: each event of each turn on a line of its own: {\"position\", \"at\", \"type\": \"started\" | \
\"text\" | \"message\" | \"tool_started\" | \"tool_finished\" | \"usage\" | \"failed\" | \"done\", ..}")]
pub(crate) struct Args {
    /// The trace
    #[arg(value_name = "TRACE")]
    trace: String,

    #[command(flatten)]
    model: ModelArgs,

    /// A second trace, for questions about differences
    #[arg(long, value_name = "TRACE")]
    with: Option<String>,

    /// Database of the conversations: sqlite:, mysql: or postgresql: [default: a file beside the
    /// store]
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "OPIK_ASSIST_SESSIONS",
        hide_env_values = true
    )]
    sessions: Option<String>,

    /// Name of the conversation [default: one for each trace]
    #[arg(long, value_name = "NAME")]
    session: Option<String>,

    /// Forget what was said before
    #[arg(long)]
    new: bool,
}

/// A conversation in JSON.
#[derive(Debug, Serialize)]
struct Said<'a> {
    role: &'static str,
    text: &'a str,
}

/// What the conversation is about.
struct Subject {
    tree: TraceTree,
    evidence: Evidence,
    other: Option<opik_core::TraceId>,
    key: SessionKey,
}

/// Talks until the input ends.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    let model = args.model.find()?;
    let store = ctx.existing_store()?;
    let tree = reference::tree(&store, reference::trace(&store, &args.trace)?)?;
    let other = match &args.with {
        Some(text) => Some(reference::trace(&store, text)?),
        None => None,
    };
    let path = ctx.store_path()?;
    let runtime = setup::runtime()?;
    runtime.block_on(async {
        let sessions = setup::sessions(args.sessions.as_deref(), &path).await?;
        let mut builder = setup::assistant(store, sessions.clone(), &args.model);
        let name = model.as_ref().map(|model| model.name().to_owned());
        if let Some(model) = model {
            builder = builder.model(model);
        }
        let assistant = builder.build();
        let id = match &args.session {
            Some(name) => name.clone(),
            None => format!("opik-ai-trace-analyzer-{}", tree.id()),
        };
        let subject = Subject {
            evidence: analyse(&tree),
            key: assistant.session_key(setup::USER, id),
            tree,
            other,
        };
        let talked = talk(args, ctx, &assistant, &subject, name.as_deref()).await;
        assistant.shutdown(setup::ENDING).await;
        sessions.close().await;
        talked
    })
}

async fn talk(
    args: &Args,
    ctx: &Context,
    assistant: &Assistant,
    subject: &Subject,
    model: Option<&str>,
) -> Outcome {
    if args.new {
        forget(assistant, subject).await?;
    }
    let is_terminal = std::io::stdin().is_terminal();
    greet(ctx, assistant, subject, model).await?;
    let mut lines = lines()?;
    loop {
        if is_terminal && !ctx.out.is_json() {
            ctx.out.text(&format!("\n{STRONG}>{STRONG:#} "))?;
        }
        let line = tokio::select! {
            line = lines.recv() => line,
            pressed = tokio::signal::ctrl_c() => {
                pressed.map_err(|error| {
                    Failure::new(Code::Failed, "cannot listen for Ctrl-C").cause(error)
                })?;
                None
            }
        };
        let Some(line) = line else { break };
        let line = line.trim();
        if !is_terminal && !ctx.out.is_json() && !line.is_empty() {
            ctx.out
                .text(&format!("\n{STRONG}> {}{STRONG:#}\n", clean(line)))?;
        }
        match line.split_once(char::is_whitespace).unwrap_or((line, "")) {
            ("", _) => {}
            ("/quit" | "/exit" | "/q", _) => break,
            (command, rest) if command.starts_with('/') => {
                // What a command cannot do ends the command, not the conversation.
                if let Err(failure) = obey(command, rest.trim(), ctx, assistant, subject).await {
                    if failure.is_closed_pipe() {
                        return Err(failure);
                    }
                    crate::report::print(&failure, ctx);
                }
            }
            _ => answer(line, ctx, assistant, subject).await?,
        }
    }
    if is_terminal && !ctx.out.is_json() {
        ctx.out.text("\n")?;
    }
    Ok(())
}

/// Asks and shows the answer.
async fn answer(
    question: &str,
    ctx: &Context,
    assistant: &Assistant,
    subject: &Subject,
) -> Outcome {
    let mut ask = Ask::new(subject.key.clone(), subject.tree.id(), question).grace(None);
    if let Some(other) = subject.other {
        ask = ask.compared_with(other);
    }
    let trace = serde_json::Value::from(subject.tree.id().to_string());
    ask = ask.initial_state([("trace_id".to_owned(), trace)].into_iter().collect());
    let turn = match assistant.ask(ask).await {
        Ok(turn) => turn,
        Err(error) => {
            crate::report::print(&setup::refused(error), ctx);
            return Ok(());
        }
    };
    let (last, _) = show::turn(&turn, ctx).await?;
    if let Some(message) = last.filter(|_| !ctx.out.is_json()) {
        let spans = show::spans(&message, &subject.tree);
        if !spans.is_empty() {
            ctx.out
                .text(&format!("{DIM}Spans (/span opens one){DIM:#}\n{spans}"))?;
        }
    }
    Ok(())
}

/// Carries out a command.
async fn obey(
    command: &str,
    rest: &str,
    ctx: &Context,
    assistant: &Assistant,
    subject: &Subject,
) -> Outcome {
    match command {
        "/help" | "/?" => Ok(ctx.out.text(HELP)?),
        "/span" => {
            let text = rest.trim_matches(['[', ']']);
            let node = match SpanLabel::find(text, &subject.tree) {
                Some(node) => node,
                None => reference::span_in(&subject.tree, text)?,
            };
            let found = subject.tree.span(node);
            if ctx.out.is_json() {
                return Ok(ctx.out.json_line(found)?);
            }
            Ok(ctx.out.text(&span::span(found, false, &ctx.glyphs))?)
        }
        "/evidence" => {
            if ctx.out.is_json() {
                return Ok(ctx.out.json_line(&subject.evidence.findings)?);
            }
            let mut text = String::new();
            for finding in &subject.evidence.findings {
                text.push_str(&wrap(
                    &format!("{} {}", finding.id, clean(&finding.claim)),
                    ctx.width,
                ));
            }
            Ok(ctx.out.text(&text)?)
        }
        "/history" => {
            let events = history(assistant, subject).await?;
            for (role, text) in said(&events) {
                if ctx.out.is_json() {
                    ctx.out.json_line(&Said { role, text: &text })?;
                } else if role == "user" {
                    ctx.out
                        .text(&format!("{STRONG}> {}{STRONG:#}\n", clean(&text)))?;
                } else {
                    ctx.out.text(&format!(
                        "{}\n",
                        wrap(&clean_lines(text.trim_end()), ctx.width)
                    ))?;
                }
            }
            Ok(())
        }
        "/usage" => {
            let turns = assistant.turns(&subject.key).await;
            let turns =
                turns.map_err(|error| setup::unusable(error, "cannot read the conversation"))?;
            let turns = turns.unwrap_or_default();
            if ctx.out.is_json() {
                return Ok(ctx.out.json_line(&turns)?);
            }
            Ok(ctx.out.text(&show::usage(&turns))?)
        }
        "/new" => {
            forget(assistant, subject).await?;
            if !ctx.out.is_json() {
                ctx.out
                    .text(&format!("{DIM}the conversation is forgotten{DIM:#}\n"))?;
            }
            Ok(())
        }
        other => Err(
            Failure::new(Code::Usage, format!("there is no command {}", clean(other)))
                .hint("/help"),
        ),
    }
}

async fn greet(
    ctx: &Context,
    assistant: &Assistant,
    subject: &Subject,
    model: Option<&str>,
) -> Outcome {
    if ctx.out.is_json() {
        return Ok(());
    }
    let name = clean(subject.tree.trace().name.as_deref().unwrap_or("(no name)"));
    let name: String = name.chars().take(60).collect();
    let by = match model {
        Some(model) => format!("answers by {}", clean(model)),
        None => "answers are computed; --model asks a language model".to_owned(),
    };
    let before = said(&history(assistant, subject).await?)
        .iter()
        .filter(|(role, _)| *role == "user")
        .count();
    let before = match before {
        0 => String::new(),
        1 => "; 1 question before, /history shows it".to_owned(),
        more => format!("; {more} questions before, /history shows them"),
    };
    let text = format!(
        "{ID}{}{ID:#} {STRONG}{name}{STRONG:#}\n{DIM}{by}{before}; /help{DIM:#}\n",
        short_id(subject.tree.id())
    );
    Ok(ctx.out.text(&text)?)
}

async fn history(assistant: &Assistant, subject: &Subject) -> Result<Vec<Event>, Failure> {
    let events = assistant.history(&subject.key).await;
    let events = events.map_err(|error| setup::unusable(error, "cannot read the conversation"))?;
    Ok(events.unwrap_or_default())
}

async fn forget(assistant: &Assistant, subject: &Subject) -> Outcome {
    let deleted = assistant.delete(&subject.key).await;
    deleted
        .map(drop)
        .map_err(|error| setup::unusable(error, "cannot forget the conversation"))
}

/// What was said, by whom.
fn said(events: &[Event]) -> Vec<(&'static str, String)> {
    let mut said = Vec::new();
    for message in events.iter().filter_map(|event| event.message.as_ref()) {
        let role = match message.role {
            Role::User => "user",
            Role::Assistant => "assistant",
            _ => continue,
        };
        let words = message.words();
        if !words.is_empty() {
            said.push((role, words));
        }
    }
    said
}

/// Lines of standard input. They are read on a thread of their own, which ends with the input or the
/// program: reading a terminal cannot be interrupted.
fn lines() -> Result<mpsc::Receiver<String>, Failure> {
    let (sender, receiver) = mpsc::channel(1);
    let read = move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    };
    std::thread::Builder::new()
        .name("opik-rs-input".to_owned())
        .spawn(read)
        .map_err(|error| Failure::new(Code::Failed, "cannot read the input").cause(error))?;
    Ok(receiver)
}
