//! A reply of Google's Gemini API, whole or in chunks.

use opik_core::Usage;
use opik_core::chat::FinishReason;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::failure::Failure;
use crate::reply::{Draft, Format, Frame, mend, number, parse, text};
use crate::usage;

/// Reads candidates.
#[derive(Debug, Default)]
pub(crate) struct Candidates;

/// The arguments of calls as they were written, beside the lenient reading of everything else.
#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow, default)]
    candidates: Vec<WrittenCandidate<'a>>,
}

#[derive(Deserialize)]
struct WrittenCandidate<'a> {
    #[serde(borrow)]
    content: Option<WrittenContent<'a>>,
}

#[derive(Deserialize)]
struct WrittenContent<'a> {
    #[serde(borrow, default)]
    parts: Vec<WrittenPart<'a>>,
}

#[derive(Deserialize)]
struct WrittenPart<'a> {
    #[serde(borrow, rename = "functionCall")]
    call: Option<WrittenCall<'a>>,
}

#[derive(Deserialize)]
struct WrittenCall<'a> {
    #[serde(borrow)]
    args: Option<&'a RawValue>,
}

impl Format for Candidates {
    fn read(&mut self, frame: &Frame, draft: &mut Draft) -> Result<(), Failure> {
        let data = frame.data.trim();
        if data == "[DONE]" {
            draft.done();
            return Ok(());
        }
        if data.is_empty() {
            return Ok(());
        }
        let value = parse(data)?;
        if let Some(failure) = Failure::in_reply(&value, frame.event == "error") {
            return Err(failure);
        }
        if let Some(counts) = value
            .get("usageMetadata")
            .filter(|counts| counts.is_object())
        {
            draft.count(counted(counts));
        }
        let candidates = value.get("candidates").and_then(Value::as_array);
        let Some(candidate) = candidates.and_then(|candidates| candidates.first()) else {
            if !text(
                value.get("promptFeedback").unwrap_or(&Value::Null),
                "blockReason",
            )
            .is_empty()
            {
                draft.finish(FinishReason::ContentFilter);
            }
            return Ok(());
        };
        let content = candidate.get("content").unwrap_or(&Value::Null);
        let parts = content.get("parts").and_then(Value::as_array);
        for (place, part) in parts.into_iter().flatten().enumerate() {
            if let Some(call) = part.get("functionCall") {
                let args = call.get("args").map(Value::to_string);
                let args = written_args(data, place).or(args).unwrap_or_default();
                let signature = text(part, "thoughtSignature");
                let signature = (!signature.is_empty()).then(|| signature.to_owned());
                draft
                    .calls
                    .add_whole(text(call, "id"), text(call, "name"), &args, signature);
            } else if part.get("thought") == Some(&Value::Bool(true)) {
                draft.reasoning(text(part, "text"));
            } else {
                draft.text(text(part, "text"));
            }
        }
        let reason = text(candidate, "finishReason");
        if !reason.is_empty() {
            draft.finish(finish(reason));
        }
        Ok(())
    }
}

/// Numbers and order of keys as the model wrote them.
fn written_args(data: &str, place: usize) -> Option<String> {
    let mended = mend(data);
    let written: Written<'_> = serde_json::from_str(mended.as_deref().unwrap_or(data)).ok()?;
    let part = written
        .candidates
        .into_iter()
        .next()?
        .content?
        .parts
        .into_iter()
        .nth(place)?;
    Some(part.call?.args?.get().to_owned())
}

fn finish(reason: &str) -> FinishReason {
    match reason {
        "STOP" => FinishReason::Stop,
        "MAX_TOKENS" => FinishReason::Length,
        "SAFETY" | "RECITATION" | "LANGUAGE" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII"
        | "IMAGE_SAFETY" => FinishReason::ContentFilter,
        other => FinishReason::Other(other.chars().filter(|c| !c.is_control()).take(64).collect()),
    }
}

fn counted(counts: &Value) -> Usage {
    let mut counted = Usage::default();
    usage::own(&mut counted, counts);
    usage::set(
        &mut counted,
        "prompt_tokens",
        number(counts, "promptTokenCount"),
    );
    // Thoughts are billed as a part of the reply and counted apart.
    let said = number(counts, "candidatesTokenCount");
    let thought = number(counts, "thoughtsTokenCount");
    let completion = match (said, thought) {
        (None, None) => None,
        (said, thought) => Some(said.unwrap_or(0).saturating_add(thought.unwrap_or(0))),
    };
    usage::set(&mut counted, "completion_tokens", completion);
    usage::total(&mut counted, number(counts, "totalTokenCount"));
    counted
}
