//! Time, size, repetitions, connections.

use std::time::Duration;

use futures_util::StreamExt as _;
use opik_core::ChatEvent;
use opik_core::chat::ModelErrorKind;
use opik_models::{HttpClient, HttpClientBuilder, Retries};

use crate::fake::{Act, Fake, answer, stream_head};
use crate::hostile::{ask, question, refused};
use crate::in_time;
use crate::wire::{CLIENTS, Client, Wire, http};

const OPENAI: Client = Client(Wire::OpenAi, false);
const SHORT: Duration = Duration::from_millis(80);
/// Long enough for the first event to come first on a busy machine.
const ENOUGH: Duration = Duration::from_secs(2);

fn builder() -> HttpClientBuilder {
    HttpClient::builder()
        .retries(Retries::none())
        .proxies(false)
}

/// Repeats at once.
fn eager() -> Retries {
    Retries::default().waits(Duration::ZERO, Duration::ZERO)
}

fn text(words: &str) -> Act {
    let frame = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{words}\"}}}}]}}\n\n");
    Act::Send(frame.into_bytes())
}

fn yes() -> Vec<Act> {
    let end =
        b"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    vec![
        stream_head(),
        text("Yes"),
        Act::Send(end.to_vec()),
        Act::End,
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_is_an_error_before_the_head_before_the_first_event_and_after_it() {
    let silent = Fake::always(vec![Act::Hang]).await;
    let http = builder().first_byte_timeout(SHORT).build().unwrap();
    for client in CLIENTS.iter().filter(|client| !client.1) {
        let error = in_time(refused(&*client.model(&http, &silent.url))).await;
        assert_eq!(error.kind(), ModelErrorKind::Timeout, "{client:?}");
    }
    // A whole reply has the total time, since nothing comes before it is there.
    let total = builder().total_timeout(SHORT).build().unwrap();
    let error = in_time(refused(
        &*Client(Wire::OpenAi, true).model(&total, &silent.url),
    ))
    .await;
    assert_eq!(error.kind(), ModelErrorKind::Timeout);

    let http = builder().idle_timeout(SHORT).build().unwrap();
    let fake = Fake::always(vec![stream_head(), Act::Hang]).await;
    let error = in_time(refused(&*OPENAI.model(&http, &fake.url))).await;
    assert_eq!(error.kind(), ModelErrorKind::Timeout);

    let fake = Fake::always(vec![stream_head(), text("Half"), Act::Hang]).await;
    let http = builder().idle_timeout(ENOUGH).build().unwrap();
    let total = builder().total_timeout(ENOUGH).build().unwrap();
    let lines = in_time(ask(&*OPENAI.model(&http, &fake.url))).await;
    assert_eq!(
        lines,
        ["text \"Half\"", "error Timeout: the reply does not go on"]
    );
    let lines = in_time(ask(&*OPENAI.model(&total, &fake.url))).await;
    assert_eq!(
        lines,
        [
            "text \"Half\"",
            "error Timeout: the reply took longer than allowed"
        ]
    );
    assert!(in_time(fake.let_go()).await, "the connection is kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_whose_end_stays_away_ends_with_its_reason() {
    let end = b"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n".to_vec();
    let fake = Fake::always(vec![stream_head(), text("Yes"), Act::Send(end), Act::Hang]).await;
    let http = builder().idle_timeout(ENOUGH).build().unwrap();
    let lines = in_time(ask(&*OPENAI.model(&http, &fake.url))).await;
    assert_eq!(lines, ["text \"Yes\"", "finish Stop"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_that_is_given_up_lets_go_of_the_server() {
    for client in CLIENTS {
        let fake = Fake::always(vec![Act::Hang]).await;
        let http = http();
        let model = client.model(&http, &fake.url);
        let asked = in_time(async {
            tokio::select! {
                _ = refused(&*model) => false,
                () = async {
                    while fake.requests().is_empty() {
                        tokio::task::yield_now().await;
                    }
                } => true,
            }
        });
        assert!(asked.await);
        assert!(in_time(fake.let_go()).await, "{client:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_and_replies_have_a_size() {
    let big = "x".repeat(4_000);
    let fake = Fake::always(vec![
        stream_head(),
        text("Yes"),
        text(&big),
        text(&big),
        Act::Hang,
    ])
    .await;
    let http = builder().max_event_bytes(2_000).build().unwrap();
    let lines = in_time(ask(&*OPENAI.model(&http, &fake.url))).await;
    assert_eq!(
        lines[1..],
        ["error Protocol: an event of the reply has more than 2000 bytes"]
    );
    let http = builder().max_reply_bytes(6_000).build().unwrap();
    let lines = in_time(ask(&*OPENAI.model(&http, &fake.url))).await;
    let last = lines.last().unwrap();
    assert_eq!(last, "error Protocol: the reply has more than 6000 bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_pass_is_repeated_until_the_first_event() {
    let error_inside = |body: &str| {
        vec![
            stream_head(),
            Act::Send(format!("data: {body}\n\n").into_bytes()),
            Act::End,
        ]
    };
    let limited = error_inside(r#"{"code":429,"message":"slow"}"#);
    let refused_inside = error_inside(r#"{"code":401,"message":"no"}"#);
    let named = vec![
        Act::Head(429, vec![("retry-after", "0".to_owned())]),
        Act::End,
    ];
    let far = vec![
        Act::Head(429, vec![("retry-after", "3600".to_owned())]),
        Act::End,
    ];
    let busy = || answer(503, "text/plain", "busy");
    let half = vec![stream_head(), text("Half"), Act::Cut];
    let done = ["text \"Yes\"", "finish Stop"].as_slice();
    for (what, turns, asked, lines) in [
        ("503 twice", vec![busy(), busy(), yes()], 3, done),
        (
            "503 for ever",
            vec![busy()],
            3,
            &["error Unavailable: status 503 | busy"],
        ),
        ("429 with a short wait", vec![named, yes()], 2, done),
        (
            "429 with a long wait",
            vec![far, yes()],
            1,
            &["error RateLimited: status 429"],
        ),
        ("a failure inside a reply", vec![limited, yes()], 2, done),
        (
            "a lasting one inside a reply",
            vec![refused_inside, yes()],
            1,
            &["error Unauthorized: status 401 inside the reply | no"],
        ),
        ("no answer", vec![vec![Act::Cut], yes()], 2, done),
        (
            "an empty reply",
            vec![vec![stream_head(), Act::End], yes()],
            2,
            done,
        ),
        (
            "401",
            vec![answer(401, "text/plain", ""), yes()],
            1,
            &["error Unauthorized: status 401"],
        ),
    ] {
        let fake = Fake::in_turn(turns).await;
        let http = builder().retries(eager()).build().unwrap();
        assert_eq!(
            in_time(ask(&*OPENAI.model(&http, &fake.url))).await,
            lines,
            "{what}"
        );
        assert_eq!(fake.requests().len(), asked, "{what}");
        let bodies: Vec<String> = fake
            .requests()
            .into_iter()
            .map(|request| request.body)
            .collect();
        assert!(bodies.iter().all(|body| *body == bodies[0]), "{what}");
    }
    let fake = Fake::in_turn(vec![half, yes()]).await;
    let http = builder().retries(eager()).build().unwrap();
    let lines = in_time(ask(&*OPENAI.model(&http, &fake.url))).await;
    assert_eq!(lines[0], "text \"Half\"");
    assert!(
        lines[1].starts_with("error Truncated: the reply broke off"),
        "{lines:?}"
    );
    assert_eq!(fake.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_unavailable() {
    // Bound and not listening: nobody else gets the port, and nobody answers there.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let gone = format!("http://{}", socket.local_addr().unwrap());
    for client in CLIENTS {
        let error = in_time(refused(&*client.model(&http(), &gone))).await;
        assert_eq!(error.kind(), ModelErrorKind::Unavailable, "{client:?}");
        assert!(
            error.to_string().ends_with("cannot connect to the server"),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_used_again_after_a_reply_and_not_after_a_dropped_one() {
    let fake = Fake::always(yes()).await;
    let http = http();
    for _ in 0..20 {
        in_time(ask(&*OPENAI.model(&http, &fake.url))).await;
    }
    // A connection that comes back a moment too late is not waited for, so not always one.
    assert_eq!(fake.requests().len(), 20);
    assert!(fake.connections() < 20, "{}", fake.connections());

    let endless = Fake::always(vec![stream_head(), text("Yes"), Act::Hang]).await;
    let model = OPENAI.model(&http, &endless.url);
    let mut stream = in_time(model.stream(&question())).await.unwrap();
    assert!(matches!(
        in_time(stream.next()).await,
        Some(Ok(ChatEvent::Text(_)))
    ));
    drop(stream);
    assert!(in_time(endless.let_go()).await);
}

/// Where no certificates are.
#[cfg(target_os = "linux")]
const NOWHERE: &str = "/nowhere/certificates.pem";

/// Runs itself again in a process that finds no certificates.
#[cfg(target_os = "linux")]
#[test]
fn without_certificates_plain_servers_are_reached_and_others_explained() {
    #[expect(
        clippy::disallowed_methods,
        reason = "tells the two processes of this test apart"
    )]
    let without = std::env::var_os("SSL_CERT_FILE").is_some_and(|file| file == NOWHERE);
    if without {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        return runtime.block_on(async {
            let fake = Fake::always(yes()).await;
            let http = http();
            assert_eq!(ask(&*OPENAI.model(&http, &fake.url)).await.len(), 2);
            let tls = fake.url.replace("http://", "https://");
            let error = refused(&*OPENAI.model(&http, &tls)).await;
            assert!(error.to_string().contains("ca-certificates"), "{error}");
        });
    }
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "limits::without_certificates_plain_servers_are_reached_and_others_explained",
        ])
        .env("SSL_CERT_FILE", NOWHERE)
        .env("SSL_CERT_DIR", "/nowhere")
        .status();
    assert!(status.unwrap().success());
}
