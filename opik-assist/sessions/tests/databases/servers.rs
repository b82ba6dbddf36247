//! The servers of the tests themselves.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use opik_testkit::databases::{DatabaseServer, Engine};

#[test]
#[ignore = "a child process of the other tests"]
fn child_with_servers() {
    for engine in [Engine::MariaDb, Engine::Postgres] {
        if let Some(server) = DatabaseServer::shared(engine, "child_with_servers").unwrap() {
            println!("\nport {}", server.port());
        }
    }
    println!("\nready");
    loop {
        std::thread::park();
    }
}

#[test]
fn servers_end_with_a_test_process_that_is_killed() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "--nocapture",
            "servers::child_with_servers",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut ports: Vec<u16> = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(port) = line.strip_prefix("port ") {
            ports.push(port.parse().unwrap());
        }
        if line == "ready" {
            break;
        }
    }
    let is_up = |port: u16| TcpStream::connect(("127.0.0.1", port)).is_ok();
    assert!(ports.iter().all(|port| is_up(*port)), "{ports:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    let begin = Instant::now();
    while ports.iter().any(|port| is_up(*port)) {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "{ports:?} are still up"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
