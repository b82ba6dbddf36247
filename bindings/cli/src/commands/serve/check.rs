//! `opik-rs serve --check`: whether a server runs where this configuration puts one. For images
//! that have no other program to ask with.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::exit::{Code, Failure, Outcome};

const PATIENCE: Duration = Duration::from_secs(2);

/// Asks `path` at an address and expects 200.
pub(super) fn check(address: SocketAddr, path: &str) -> Outcome {
    let failed = |error: std::io::Error| {
        Failure::new(Code::Failed, format!("no server answers at {address}")).cause(error)
    };
    // Nobody can call 0.0.0.0.
    let address = if address.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())
    } else {
        address
    };
    let mut socket = TcpStream::connect_timeout(&address, PATIENCE).map_err(failed)?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).map_err(failed)?;
    let mut head = [0; 12];
    socket.read_exact(&mut head).map_err(failed)?;
    if head.ends_with(b" 200") {
        return Ok(());
    }
    Err(Failure::new(
        Code::Failed,
        format!("the server at {address} is not well"),
    ))
}
