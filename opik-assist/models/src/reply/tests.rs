//! Every recorded reply, read at once, byte by byte and cut anywhere.

use std::error::Error as _;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::failure::About;

#[path = "../../tests/models/fixture.rs"]
mod fixture;

use fixture::{Fixture, line};

/// Reads a reply that arrives in these pieces.
fn read(fixture: &Fixture, pieces: &[&[u8]]) -> Vec<String> {
    let format: Box<dyn Format> = match fixture.format.as_str() {
        "openai" => Box::new(crate::openai::Chunks::default()),
        "anthropic" => Box::new(crate::anthropic::Blocks::default()),
        "gemini" => Box::new(crate::gemini::Candidates),
        other => panic!("no format {other}"),
    };
    let sizes = Sizes {
        event: 1 << 20,
        reply: 1 << 20,
    };
    let mut reply = Reply::new(format, fixture.whole, sizes, 7);
    let mut lines = Vec::new();
    let mut pieces = pieces.iter();
    loop {
        match reply.next() {
            Next::Event(event) => lines.push(line(&event)),
            Next::Over => return lines,
            Next::More => match pieces.next() {
                Some(piece) => reply.push(piece),
                None => reply.end(),
            },
            Next::Failed(failure) => {
                let about = About {
                    model: "m".into(),
                    secrets: Arc::new([]),
                };
                let error = failure.into_error(&about);
                lines.push(fixture::error_line(
                    error.kind(),
                    &error.to_string(),
                    error.source(),
                ));
            }
        }
    }
}

#[test]
fn every_recorded_reply_gives_its_events() {
    for fixture in fixture::all() {
        assert_eq!(
            read(&fixture, &[&fixture.body]),
            fixture.events,
            "{}",
            fixture.name
        );
    }
}

#[test]
fn byte_by_byte_every_recorded_reply_gives_the_same() {
    for fixture in fixture::all() {
        let bytes: Vec<&[u8]> = fixture.body.chunks(1).collect();
        assert_eq!(read(&fixture, &bytes), fixture.events, "{}", fixture.name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn cut_anywhere_every_recorded_reply_gives_the_same(
        cuts in proptest::collection::vec(1_usize..90, 1..40),
    ) {
        for fixture in fixture::all() {
            let mut rest = fixture.body.as_slice();
            let mut pieces = Vec::new();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (piece, other) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece);
                rest = other;
            }
            prop_assert_eq!(&read(&fixture, &pieces), &fixture.events, "{}", fixture.name);
        }
    }
}

#[test]
fn nothing_of_a_reply_is_held_beyond_its_sizes() {
    let read = |sizes, body: &str| {
        let mut reply = Reply::new(Box::new(crate::openai::Chunks::default()), false, sizes, 7);
        reply.push(body.as_bytes());
        loop {
            match reply.next() {
                Next::Failed(failure) => return failure.what,
                Next::Event(_) => {}
                Next::Over | Next::More => return String::new(),
            }
        }
    };
    let chunk = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";
    let small_event = Sizes {
        event: 20,
        reply: 1 << 20,
    };
    assert_eq!(
        read(small_event, chunk),
        "an event of the reply has more than 20 bytes"
    );
    let small_reply = Sizes {
        event: 1 << 10,
        reply: 100,
    };
    assert_eq!(
        read(small_reply, &chunk.repeat(3)),
        "the reply has more than 100 bytes"
    );
    assert_eq!(read(small_reply, &chunk.repeat(2)), "");
}
