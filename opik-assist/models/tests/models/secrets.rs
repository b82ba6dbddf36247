//! Keys, questions and answers are nowhere where they do not belong.

use std::error::Error;

use futures_util::StreamExt as _;
use opik_core::ModelError;

use crate::fake::{Act, Fake, answer, stream_head};
use crate::hostile::question;
use crate::in_time;
use crate::wire::{CLIENTS, KEY, http};

/// Everything that an error shows, its causes included.
fn shown(error: &ModelError) -> String {
    let mut shown = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        shown.push_str(&format!(" {error} {error:?}"));
        cause = error.source();
    }
    shown
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_repeats_the_key_cannot_make_it_seen() {
    let spread: String = KEY.chars().flat_map(|c| [c, '\u{200b}']).collect();
    let bodies = [
        format!(
            r#"{{"error":{{"message":"bad key {KEY} <script>","type":"{KEY}","code":"{KEY}"}}}}"#
        ),
        format!(r#"{{"code":500,"message":"{spread} \u001b[2J"}}"#),
        format!("plain {KEY} text"),
        format!("{{\"half\": \"{KEY}"),
    ];
    for client in CLIENTS {
        let http = http();
        for body in &bodies {
            let inside = vec![
                stream_head(),
                Act::Send(format!("data: {body}\n\n").into_bytes()),
                Act::End,
            ];
            for acts in [
                answer(401, "application/json", body),
                answer(200, "application/json", body),
                inside,
            ] {
                let fake = Fake::always(acts).await;
                let model = client.model(&http, &fake.url);
                let mut text = format!("{model:?} {http:?}");
                match in_time(model.stream(&question())).await {
                    Ok(mut stream) => {
                        while let Some(event) = in_time(stream.next()).await {
                            text.push_str(&event.as_ref().err().map(shown).unwrap_or_default());
                        }
                    }
                    Err(error) => text.push_str(&shown(&error)),
                }
                assert!(!text.contains(KEY), "{client:?} {body}: {text}");
                assert!(!text.contains("zq-question"), "{client:?} {body}: {text}");
                assert!(!text.contains('<') && !text.contains('\u{1b}'), "{text}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_words_of_a_server_are_shortened() {
    for client in CLIENTS {
        let body = format!(
            r#"{{"error":{{"message":"{}"}}}}"#,
            "a bad day ".repeat(90_000)
        );
        let fake = Fake::always(answer(500, "application/json", &body)).await;
        let error = in_time(client.model(&http(), &fake.url).stream(&question()))
            .await
            .err()
            .unwrap();
        let words = error.source().map(ToString::to_string).unwrap_or_default();
        assert!(words.chars().count() <= 300, "{}", words.len());
        assert!(error.to_string().len() < 200);
    }
}
