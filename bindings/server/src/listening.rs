//! How connections are taken in.

use std::net::SocketAddr;

use axum::serve::{Listener, ListenerExt as _};
use tokio::net::{TcpListener, TcpStream};

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
    async fn small_pieces_of_an_answer_are_not_held_back() {
        async fn accepted<L: Listener<Io = TcpStream>>(listener: &mut L) -> TcpStream {
            let accept = tokio::time::timeout(Duration::from_secs(60), listener.accept());
            accept.await.unwrap().0
        }
        let mut plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Listener::local_addr(&plain).unwrap();
        let _client = TcpStream::connect(address).await.unwrap();
        assert!(!accepted(&mut plain).await.nodelay().unwrap());
        let mut prompt = without_delay(plain);
        let _client = TcpStream::connect(address).await.unwrap();
        assert!(accepted(&mut prompt).await.nodelay().unwrap());
    }
}
