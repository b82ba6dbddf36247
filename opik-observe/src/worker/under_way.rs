//! The batch that is being delivered while the next one is made.
//!
//! Batches go out one after the other. While a server reads one and thinks about it, the branch's thread
//! has nothing else to do than to make the next one.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use super::delivery::Delivery;
use super::shipment::Shipment;

type Delivering = Pin<Box<dyn Future<Output = Shipment> + Send>>;

/// At most one batch on its way, and the memory of the one before.
pub(super) struct UnderWay {
    delivery: Arc<Delivery>,
    /// Size of batches in bytes, above twice of which memory is not kept.
    usual: usize,
    running: Option<Delivering>,
    free: Option<Shipment>,
}

impl UnderWay {
    pub(super) fn new(delivery: Delivery, usual: usize) -> Self {
        Self {
            delivery: Arc::new(delivery),
            usual,
            running: None,
            free: None,
        }
    }

    pub(super) fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// Waits for the batch before, sends this one off and leaves an empty one in its place.
    pub(super) async fn send(&mut self, batch: &mut Shipment) {
        self.finish().await;
        let empty = self.free.take().unwrap_or_else(|| batch.another());
        let mut full = std::mem::replace(batch, empty);
        let (delivery, usual) = (Arc::clone(&self.delivery), self.usual);
        self.running = Some(Box::pin(async move {
            delivery.deliver(&full).await;
            full.clear(usual);
            full
        }));
        poll_fn(|cx| {
            self.poll(cx);
            Poll::Ready(())
        })
        .await;
    }

    /// Waits until the batch is delivered or lost.
    pub(super) async fn finish(&mut self) {
        poll_fn(|cx| {
            self.poll(cx);
            if self.running.is_some() {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
    }

    /// Waits for something else and lets the batch get on meanwhile, also when that has come already.
    pub(super) async fn beside<T>(&mut self, other: impl Future<Output = T>) -> T {
        if self.running.is_some() {
            // Connections are tasks of the runtime and want their turn.
            tokio::task::yield_now().await;
        }
        let mut other = pin!(other);
        poll_fn(|cx| {
            self.poll(cx);
            other.as_mut().poll(cx)
        })
        .await
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        if let Some(running) = &mut self.running
            && let Poll::Ready(empty) = running.as_mut().poll(cx)
        {
            self.running = None;
            self.free = Some(empty);
        }
    }
}
