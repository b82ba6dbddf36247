//! `opik-rs ask`: a question, answered from computed evidence.

use std::sync::Arc;

use opik_assist::assistant::{self, Ask, WholeMessage};
use opik_assist::{Answer, AnswerContext, Evidence, Finding, analyse, answer};
use opik_core::{ChatModel, SpanId, TraceId, TraceTree};
use opik_sessions::SessionOptions;
use opik_store::Store;
use serde::Serialize;

use crate::context::Context;
use crate::exit::{Code, Failure, Outcome};
use crate::reference;
use crate::render::numbers::things;
use crate::render::style::{DIM, ID};
use crate::render::text::{clean, clean_lines, short_id, wrap};
use crate::talk::model::ModelArgs;
use crate::talk::{setup, show};

/// What is asked when nothing is.
const DEFAULT_QUESTION: &str = "Give a summary";

/// Arguments of `opik-rs ask`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs ask last                                       a summary
  opik-rs ask last \"what caused this error?\"
  opik-rs ask last \"why is this trace slow?\" --evidence
  opik-rs ask last \"how can I reduce the cost?\"
  opik-rs ask last \"is anything unusual?\"
  opik-rs ask last \"what is different?\" --with last~1    two traces
  opik-rs ask last \"what is different?\" --span 34cc45 --span 8d7f8e

Answers are computed from the trace: no model is asked, nothing leaves the machine. Every \
answer cites spans, and says so when the evidence is not enough. With --model a language model \
explains the evidence; what it is given goes to its provider. opik-rs chat asks on.

JSON: {\"trace_id\", \"with_trace_id\", \"question\", \"answer\": {\"intent\", \"text\", \"findings\", \
\"evidence\": [{\"id\", \"kind\", \"claim\", \"numbers\", \"spans\", \"confidence\", \"method\"}], \
\"citations\", \"computed\", \"sufficient\"}}; with a model: {.., \"answer\": {\"text\", \
\"spans\", \"findings\", \"check\", ..}, \"outcome\": {\"end\", \"spent\", ..}}")]
pub(crate) struct Args {
    /// The trace
    #[arg(value_name = "TRACE")]
    trace: String,

    /// The question; a summary where there is none
    #[arg(value_name = "QUESTION")]
    question: Vec<String>,

    /// A second trace, for questions about differences
    #[arg(long, value_name = "TRACE")]
    with: Option<String>,

    /// Two spans, for questions about differences (give it twice)
    #[arg(long, value_name = "SPAN")]
    span: Vec<String>,

    /// List the findings that the answer is made of
    #[arg(long, conflicts_with = "model")]
    evidence: bool,

    #[command(flatten)]
    model: ModelArgs,
}

/// The result of a model in JSON.
#[derive(Debug, Serialize)]
struct Explained<'a> {
    trace_id: TraceId,
    #[serde(skip_serializing_if = "Option::is_none")]
    with_trace_id: Option<TraceId>,
    question: &'a str,
    answer: Option<&'a WholeMessage>,
    outcome: &'a assistant::Outcome,
}

/// The result in JSON.
#[derive(Debug, Serialize)]
struct Reply<'a> {
    trace_id: TraceId,
    #[serde(skip_serializing_if = "Option::is_none")]
    with_trace_id: Option<TraceId>,
    question: &'a str,
    answer: &'a Answer,
}

/// Answers a question.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    let question = match args.question.join(" ") {
        blank if blank.trim().is_empty() => DEFAULT_QUESTION.to_owned(),
        question => question,
    };
    let model = args.model.find()?;
    let store = ctx.existing_store()?;
    let tree = reference::tree(&store, reference::trace(&store, &args.trace)?)?;
    if let Some(model) = model {
        return explain(args, ctx, store, &tree, &question, model);
    }
    let evidence = analyse(&tree);
    let other = match &args.with {
        Some(text) => {
            let other = reference::tree(&store, reference::trace(&store, text)?)?;
            let evidence = analyse(&other);
            Some((other, evidence))
        }
        None => None,
    };
    let mut context = AnswerContext::new(&tree, &evidence);
    if let Some((other, evidence)) = &other {
        context = context.compared_with(other, evidence);
    }
    if let Some((first, second)) = spans(&args.span, &tree, other.as_ref())? {
        context = context.between(first, second);
    }
    let answer = answer(&question, &context);
    if ctx.out.is_json() {
        return Ok(ctx.out.json(&Reply {
            trace_id: tree.id(),
            with_trace_id: other.as_ref().map(|(other, _)| other.id()),
            question: &question,
            answer: &answer,
        })?);
    }
    let mut text = wrap(&clean_lines(answer.text.trim_end()), ctx.width);
    text.push_str(&cited(
        &answer,
        &tree,
        other.as_ref().map(|(other, _)| other),
    ));
    if args.evidence {
        text.push_str(&evidence_lines(&answer.evidence, ctx.width));
    } else if !answer.evidence.is_empty() {
        let basis = things(answer.evidence.len() as u64, "finding");
        text.push_str(&format!("{DIM}{basis}; --evidence lists them{DIM:#}\n"));
    }
    Ok(ctx.out.text(&text)?)
}

/// Lets a model answer.
fn explain(
    args: &Args,
    ctx: &Context,
    store: Store,
    tree: &TraceTree,
    question: &str,
    model: Arc<dyn ChatModel>,
) -> Outcome {
    let other = match &args.with {
        Some(text) => Some((
            reference::tree(&store, reference::trace(&store, text)?)?,
            Evidence::default(),
        )),
        None => None,
    };
    let pair = spans(&args.span, tree, other.as_ref())?;
    let other = other.map(|(other, _)| other.id());
    setup::runtime()?.block_on(async {
        let sessions = opik_sessions::open("memory:", SessionOptions::new()).await;
        let sessions =
            sessions.map_err(|error| setup::unusable(error, "cannot keep the conversation"))?;
        let assistant = setup::assistant(store, sessions, &args.model)
            .model(model)
            .build();
        let key = assistant.session_key(setup::USER, "ask");
        let mut ask = Ask::new(key, tree.id(), question).streaming(!ctx.out.is_json());
        if let Some(other) = other {
            ask = ask.compared_with(other);
        }
        if let Some((first, second)) = pair {
            ask = ask.between(first, second);
        }
        let turn = assistant.ask(ask).await.map_err(setup::refused)?;
        let (last, outcome) = if ctx.out.is_json() {
            show::quiet(&turn).await
        } else {
            show::turn(&turn, ctx).await?
        };
        assistant.shutdown(setup::ENDING).await;
        if ctx.out.is_json() {
            ctx.out.json(&Explained {
                trace_id: tree.id(),
                with_trace_id: other,
                question,
                answer: last.as_ref(),
                outcome: &outcome,
            })?;
        } else if let Some(message) = &last {
            let named = show::spans(message, tree);
            if !named.is_empty() {
                ctx.out.text(&format!("\n{DIM}Spans{DIM:#}\n{named}"))?;
            }
        }
        show::check(&outcome)
    })
}

fn spans(
    texts: &[String],
    tree: &TraceTree,
    other: Option<&(TraceTree, Evidence)>,
) -> Result<Option<(SpanId, SpanId)>, Failure> {
    match texts {
        [] => Ok(None),
        [first, second] => {
            let first = tree.span(reference::span_in(tree, first)?).id;
            let second = match other {
                Some((other, _)) => other.span(reference::span_in(other, second)?).id,
                None => tree.span(reference::span_in(tree, second)?).id,
            };
            Ok(Some((first, second)))
        }
        _ => Err(
            Failure::new(Code::Usage, "--span is needed twice: the spans to compare")
                .hint("opik-rs ask last \"what is different?\" --span <A> --span <B>"),
        ),
    }
}

/// The spans that the answer names, to be looked at.
fn cited(answer: &Answer, tree: &TraceTree, other: Option<&TraceTree>) -> String {
    let mut text = String::new();
    for &id in answer.citations.iter().take(8) {
        let place = tree.find(id).map(|node| (tree, node));
        let place = place.or_else(|| {
            let other = other?;
            Some((other, other.find(id)?))
        });
        let Some((tree, node)) = place else { continue };
        if text.is_empty() {
            text.push_str(&format!("\n{DIM}Spans{DIM:#}\n"));
        }
        let name = clean(tree.span(node).name.as_deref().unwrap_or("(no name)"));
        let name: String = name.chars().take(60).collect();
        text.push_str(&format!(
            "  {ID}{}:{}{ID:#}  {name}\n",
            short_id(tree.id()),
            as_cited(id, &answer.text)
        ));
    }
    text
}

/// The short form by which the answer cites a span (`01a1f953…55b`); the end of the identifier
/// where it does not.
fn as_cited(id: SpanId, text: &str) -> String {
    let digits = id.to_string().replace('-', "");
    let head = digits.get(..8).unwrap_or_default();
    let forms = text.match_indices(head).filter_map(|(at, _)| {
        let tail = text.get(at + head.len()..)?.strip_prefix('…')?;
        let end = tail.find(|char: char| !char.is_ascii_hexdigit());
        tail.get(..end.unwrap_or(tail.len()))
    });
    let mut fitting = forms.filter(|tail| !tail.is_empty() && digits.ends_with(tail));
    fitting
        .next()
        .map_or_else(|| short_id(id), |tail| format!("{head}…{tail}"))
}

fn evidence_lines(findings: &[Finding], columns: usize) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{DIM}Evidence{DIM:#}\n");
    for finding in findings {
        let claim = format!("{} {}", finding.id, clean(&finding.claim));
        text.push_str(&wrap(&claim, columns));
        let method = format!(
            "   {}; {}",
            finding.confidence.as_str(),
            clean(&finding.method)
        );
        text.push_str(&format!(
            "{DIM}{}{DIM:#}\n",
            wrap(&method, columns).trim_end()
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_listed_in_the_form_that_the_answer_cites() {
        let id: SpanId = "01941f29-7c00-7000-9000-0000000001bb".parse().unwrap();
        let cited = |text: &str| as_cited(id, text);
        let other = "tool a (01941f29…1aa) and tool b (01941f29…1bb).";
        assert_eq!(cited(other), "01941f29…1bb");
        assert_eq!(cited("tool a (01941f29…1aa)"), "000001bb");
        assert_eq!(cited("01941f29…"), "000001bb");
    }
}
