//! How connections are taken in.

use std::net::SocketAddr;

use axum::serve::{Listener, ListenerExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Connections that may wait to be taken in; the system may allow fewer. With the usual 128, clients of a
/// busy moment are made to wait for a second, or are cut off.
const WAITING: u32 = 4_096;

/// Listens on an address.
///
/// # Errors
/// When the address is taken, not of this machine, or not allowed.
pub(crate) fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A server that begins again takes its address over from connections that are still ending. On Windows
    // the same word would let two servers share it.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)
}

/// Takes connections in whose answers leave at once.
///
/// An answer that is streamed is written piece by piece. Without this the system holds a small piece
/// back until the client has acknowledged the one before, which clients delay by 40 ms.
pub(crate) fn without_delay(
    listener: TcpListener,
) -> impl Listener<Io = TcpStream, Addr = SocketAddr> {
    listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            // It is gone already, or slow and otherwise well.
            tracing::debug!(target: "opik_server", %error, "a connection keeps its delay");
        }
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn many_clients_wait_to_be_taken_in_and_an_address_that_is_taken_is_refused() {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = Listener::local_addr(&listener).unwrap();
        // Nobody is taken in meanwhile. The system's own limit may be lower than ours.
        let limit = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap_or_default();
        let clients = limit.trim().parse().unwrap_or(128).min(500);
        let mut waiting = Vec::new();
        for _ in 0..clients {
            let connect = TcpStream::connect(address);
            let connected = tokio::time::timeout(Duration::from_secs(60), connect).await;
            waiting.push(connected.unwrap().unwrap());
        }
        for _ in 0..clients {
            let accept = tokio::time::timeout(Duration::from_secs(60), listener.accept());
            accept.await.unwrap().unwrap();
        }
        let taken = listen(address).unwrap_err();
        assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn small_pieces_of_an_answer_are_not_held_back() {
        async fn accepted<L: Listener<Io = TcpStream>>(listener: &mut L) -> TcpStream {
            let accept = tokio::time::timeout(Duration::from_secs(60), listener.accept());
            accept.await.unwrap().0
        }
        let mut plain = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = Listener::local_addr(&plain).unwrap();
        let _client = TcpStream::connect(address).await.unwrap();
        assert!(!accepted(&mut plain).await.nodelay().unwrap());
        let mut prompt = without_delay(plain);
        let _client = TcpStream::connect(address).await.unwrap();
        assert!(accepted(&mut prompt).await.nodelay().unwrap());
    }
}
