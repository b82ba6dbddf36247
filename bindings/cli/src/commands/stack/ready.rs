//! Waiting until the recorder answers.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::{Stack, embedded};
use crate::exit::{Code, Failure, Outcome};

/// How long one question may take.
const QUESTION: Duration = Duration::from_secs(2);
/// How often it is asked.
const INTERVAL: Duration = Duration::from_millis(100);

/// Whether the recorder's store answers at a port of this machine.
pub(super) fn is_ready(port: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut socket = TcpStream::connect_timeout(&address, QUESTION)?;
        socket.set_read_timeout(Some(QUESTION))?;
        socket.set_write_timeout(Some(QUESTION))?;
        let request =
            format!("GET /is-alive/ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes())?;
        let mut head = [0; 12];
        socket.read_exact(&mut head)?;
        Ok(head.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}

/// Waits until it does.
pub(super) fn wait(stack: &Stack, is_embedded: bool) -> Outcome {
    let end = Instant::now() + stack.patience;
    while !is_ready(stack.api_port) {
        let ended = is_embedded && !embedded::runs(stack)?;
        if ended || Instant::now() >= end {
            let text = if ended {
                "the recorder ended at once".to_owned()
            } else {
                format!(
                    "the recorder is not ready after {} s",
                    stack.patience.as_secs()
                )
            };
            return Err(Failure::new(Code::Failed, text)
                .hint("opik-rs stack logs --opik opik-api tells why"));
        }
        std::thread::sleep(INTERVAL);
    }
    Ok(())
}
