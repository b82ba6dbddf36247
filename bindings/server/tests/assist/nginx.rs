//! The web server in front of the assistant, with the location that is shipped for it.
//!
//! Needs nginx, named by `OPIK_NGINX`; `.ci/run` sets it up. Times are those of the location in
//! proportion: 300 s of its read timeout are 2 s here, 15 s between heartbeats 100 ms.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream;
use opik_core::ChatModel;
use opik_core::chat::{ChatEvent, ChatRequest, ChatStream, FinishReason, ModelError};
use opik_sessions::MemorySessions;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::exchange::request;
use crate::tools::named;
use crate::world::World;

const LOCATION: &str = include_str!("../../deploy/nginx-opik-ai.conf");
const PATH: &str = "/opik-ai/trace-analyzer/session/0198ec6e-2222-7000-8000-000000000008";
const QUESTION: &str = "{\"message\": \"Why?\", \"streaming\": true}";
const PATIENCE: Duration = Duration::from_secs(30);

/// Says what it is told to say, when it is told to.
#[derive(Debug)]
struct Told(Mutex<Option<mpsc::Receiver<String>>>);

#[async_trait]
impl ChatModel for Told {
    fn name(&self) -> &str {
        "openai/told"
    }

    async fn stream(&self, _: &ChatRequest) -> Result<ChatStream, ModelError> {
        let words = self.0.lock().unwrap().take().unwrap();
        let said = stream::unfold(Some(words), |words| async {
            let mut words = words?;
            Some(match words.recv().await {
                Some(text) => (Ok(ChatEvent::Text(text)), Some(words)),
                None => (Ok(ChatEvent::Finish(FinishReason::Stop)), None),
            })
        });
        Ok(Box::pin(said))
    }
}

/// The assistant with a model that is told what to say, behind nginx.
struct Behind {
    nginx: Child,
    address: SocketAddr,
    words: mpsc::Sender<String>,
    _world: World,
    _folder: tempfile::TempDir,
}

impl Drop for Behind {
    fn drop(&mut self) {
        // It may have ended before.
        self.nginx.kill().ok();
        self.nginx.wait().ok();
    }
}

impl Behind {
    async fn start(program: &str, heartbeat: &str) -> Self {
        let (words, told) = mpsc::channel(1);
        let model: Arc<dyn ChatModel> = Arc::new(Told(Mutex::new(Some(told))));
        let variables = [
            ("URL_PREFIX", "/opik-ai"),
            ("ASSIST_HEARTBEAT_SECONDS", heartbeat),
        ];
        let sessions = Arc::new(MemorySessions::new());
        let world = World::with(&variables, Some(model), sessions).await;
        let folder = tempfile::tempdir().unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        assert!(
            LOCATION.contains("opik-ai-backend:8081")
                && LOCATION.contains("proxy_read_timeout 300s")
        );
        let location = LOCATION
            .replace("opik-ai-backend:8081", &world.address().to_string())
            .replace("300s", "2s");
        let inside = folder.path().display();
        let config = format!(
            "daemon off;\nmaster_process off;\npid {inside}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n\
             access_log off;\nclient_body_temp_path {inside}/b;\nproxy_temp_path {inside}/p;\n\
             fastcgi_temp_path {inside}/f;\nuwsgi_temp_path {inside}/u;\nscgi_temp_path {inside}/s;\n\
             server {{\nlisten {address};\n{location}\n}}\n}}\n"
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, config).unwrap();
        let nginx = Command::new(program)
            .arg("-p")
            .arg(folder.path())
            .arg("-e")
            .arg("stderr")
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let behind = Self {
            nginx,
            address,
            words,
            _world: world,
            _folder: folder,
        };
        let listens = async {
            while TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, listens).await.unwrap();
        behind
    }

    async fn open(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reading {
        let mut all = vec![("Cookie", "sessionToken=tok-1")];
        all.extend_from_slice(headers);
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket
            .write_all(&request(method, path, &all, body))
            .await
            .unwrap();
        Reading {
            socket,
            seen: String::new(),
        }
    }

    async fn says(&self, text: &str) {
        self.words.send(text.to_owned()).await.unwrap();
    }
}

/// What has arrived.
struct Reading {
    socket: TcpStream,
    seen: String,
}

impl Reading {
    /// Reads until a text has arrived.
    async fn until(&mut self, text: &str) {
        let arrives = async {
            while !self.seen.contains(text) {
                assert!(self.more().await, "it ended: {}", self.seen);
            }
        };
        tokio::time::timeout(PATIENCE, arrives).await.unwrap();
    }

    async fn read_out(&mut self) {
        let ends = async { while self.more().await {} };
        tokio::time::timeout(PATIENCE, ends).await.unwrap();
    }

    async fn more(&mut self) -> bool {
        let mut bytes = [0; 4096];
        let count = self.socket.read(&mut bytes).await.unwrap_or(0);
        self.seen
            .push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        count > 0
    }
}

#[tokio::test]
async fn nginx_passes_events_on_one_by_one() {
    let Some(program) = named("OPIK_NGINX", "nginx_passes_events_on_one_by_one") else {
        return;
    };
    let behind = Behind::start(&program, "0.1").await;
    let mut reading = behind.open("POST", PATH, &[], QUESTION).await;
    for number in 0..20 {
        // The next word is only said when this one has arrived.
        let word = format!("word{number} ");
        behind.says(&word).await;
        reading.until(&word).await;
    }
    assert!(reading.seen.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(!reading.seen.contains("\"partial\": false"));
}

/// A silence of three times the read timeout of nginx in mid-answer.
async fn after_a_silence(program: &str, heartbeat: &str) -> String {
    let mut behind = Behind::start(program, heartbeat).await;
    let mut reading = behind.open("POST", PATH, &[], QUESTION).await;
    behind.says("before ").await;
    reading.until("before ").await;
    let (words, _) = mpsc::channel(1);
    let words = std::mem::replace(&mut behind.words, words);
    let speaks = async move {
        tokio::time::sleep(Duration::from_secs(6)).await;
        // Nobody may be there to hear it.
        drop(words.send("after".to_owned()).await);
    };
    tokio::join!(speaks, reading.read_out());
    reading.seen.clone()
}

#[tokio::test]
async fn heartbeats_carry_an_answer_over_a_silence_that_nginx_would_cut() {
    let test = "heartbeats_carry_an_answer_over_a_silence_that_nginx_would_cut";
    let Some(program) = named("OPIK_NGINX", test) else {
        return;
    };
    let seen = after_a_silence(&program, "0.1").await;
    assert!(seen.contains(": still working\n\n"), "{seen}");
    assert!(seen.contains("before after"), "the whole answer: {seen}");
    assert!(seen.ends_with("0\r\n\r\n"), "{seen}");
    // Without them nginx does cut it, so that it was they.
    let seen = after_a_silence(&program, "600").await;
    assert!(!seen.contains("after"), "{seen}");
}

#[tokio::test]
async fn a_stream_that_broke_goes_on_behind_nginx_where_it_was() {
    let test = "a_stream_that_broke_goes_on_behind_nginx_where_it_was";
    let Some(program) = named("OPIK_NGINX", test) else {
        return;
    };
    let mut behind = Behind::start(&program, "0.1").await;
    let accept = ("Accept", "text/event-stream");
    let mut reading = behind.open("POST", PATH, &[accept], QUESTION).await;
    for word in ["one ", "two "] {
        behind.says(word).await;
        reading.until(word).await;
    }
    reading.until("two \"").await;
    reading.until("\n\n").await;
    let ids = |seen: &str| -> Vec<String> {
        let lines = seen.lines().filter_map(|line| line.strip_prefix("id: "));
        lines.map(str::to_owned).collect()
    };
    let last = ids(&reading.seen).pop().unwrap();
    // The connection breaks, and the model goes on.
    drop(reading);
    behind.says("three ").await;
    let path = format!("{PATH}/events");
    let from = ("Last-Event-ID", last.as_str());
    let mut again = behind.open("GET", &path, &[accept, from], "").await;
    again.until("three ").await;
    behind.says("four").await;
    let (words, _) = mpsc::channel(1);
    drop(std::mem::replace(&mut behind.words, words));
    again.read_out().await;
    assert!(
        again.seen.contains("one two three four"),
        "the whole answer"
    );
    let partial: Vec<_> = again
        .seen
        .lines()
        .filter(|line| line.contains("\"partial\": true"))
        .collect();
    assert_eq!(partial.len(), 2, "only what was missed: {partial:?}");
    assert!(!ids(&again.seen).contains(&last));
}
