//! A failure in one block: what failed, why, and what to try next.

use serde::Serialize;

use crate::context::Context;
use crate::exit::Failure;
use crate::render::style::{BAD, DIM, STRONG};
use crate::render::text::wrap;

/// A failure under `--json`, on standard error.
#[derive(Debug, Serialize)]
struct Report<'a> {
    error: Body<'a>,
}

#[derive(Debug, Serialize)]
struct Body<'a> {
    /// The exit code.
    code: u8,
    /// `failed`, `usage`, `not_found`, `input` or `store`.
    kind: &'static str,
    message: String,
    /// The nearest cause first.
    causes: Vec<String>,
    #[serde(rename = "try", skip_serializing_if = "Option::is_none")]
    next_step: Option<&'a str>,
}

/// Prints a failure to standard error.
pub(crate) fn print(failure: &Failure, ctx: &Context) {
    let text = if ctx.out.is_json() {
        json(failure)
    } else {
        text(failure, ctx.width)
    };
    ctx.out.notice(&text);
}

/// A failure as one line of JSON.
pub(crate) fn json(failure: &Failure) -> String {
    let body = Body {
        code: failure.code().number(),
        kind: failure.code().word(),
        message: failure.to_string(),
        causes: failure.causes(),
        next_step: failure.next_step(),
    };
    serde_json::to_string(&Report { error: body }).unwrap_or_default() + "\n"
}

fn text(failure: &Failure, columns: usize) -> String {
    let mut text = format!("{BAD}error:{BAD:#} {STRONG}{failure}{STRONG:#}\n");
    for cause in failure.causes() {
        // A cause of several lines stays one block.
        let cause = wrap(cause.trim_end(), columns.saturating_sub(11));
        let cause = cause.trim_end().replace('\n', "\n           ");
        text.push_str(&format!("  {DIM}because:{DIM:#} {cause}\n"));
    }
    if let Some(next) = failure.next_step() {
        text.push_str(&format!("  {DIM}try:{DIM:#}     {next}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::exit::Code;

    #[test]
    fn a_failure_is_one_block_with_its_causes_and_a_next_step() {
        let failure = Failure::new(Code::Store, "cannot open /data/traces.db")
            .cause(io::Error::other("the disk is full\nreally"))
            .hint("opik-rs doctor");
        let plain = anstream::adapter::strip_str(&text(&failure, 80)).to_string();
        insta::assert_snapshot!(plain, @r"
        error: cannot open /data/traces.db
          because: the disk is full
                   really
          try:     opik-rs doctor
        ");
    }
}
