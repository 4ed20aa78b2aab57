//! What a connection's streams carry, whatever the protocol: pieces from the client, by stream,
//! and pieces to the client, by one queue for all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

/// Pieces of a stream that wait for the pod.
pub(super) const IN_QUEUE: usize = 16;
/// Pieces of all streams that wait for the client.
pub(super) const OUT_QUEUE: usize = 32;
/// Bytes of a piece; the larger, the fewer turns, the more memory.
pub(super) const PIECE_BYTES: usize = 32 << 10;

/// How long a client may take to close a connection that the server has ended: what is on its
/// way to it would be lost where the server closed first.
pub(super) const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// What comes from a client on a stream. The queue's end without `End`: the stream was reset,
/// or the connection lost.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    Data(Vec<u8>),
    /// Nothing more comes; the other direction goes on.
    End,
}

/// What goes to a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outgoing {
    Data {
        stream: u32,
        bytes: Vec<u8>,
    },
    /// Nothing more goes on this stream.
    End {
        stream: u32,
    },
    /// The stream that the client opened is accepted.
    Accept {
        stream: u32,
    },
    /// The stream is refused or broken.
    Reset {
        stream: u32,
        status: u32,
    },
    /// A sign of life, sent back.
    Pong {
        id: u32,
    },
    /// Nothing more goes on the connection.
    Close,
}

/// Where a forward sends what the pod said.
#[derive(Clone, Debug)]
pub(super) struct ToClient {
    pub(super) queue: mpsc::Sender<Outgoing>,
    pub(super) data: u32,
    pub(super) error: u32,
}

impl ToClient {
    /// False: the client is gone.
    pub(super) async fn data(&self, bytes: Vec<u8>) -> bool {
        let stream = self.data;
        self.queue
            .send(Outgoing::Data { stream, bytes })
            .await
            .is_ok()
    }

    pub(super) async fn end_data(&self) {
        // A client that is gone needs no end.
        let _ = self.queue.send(Outgoing::End { stream: self.data }).await;
    }

    /// Ends the error stream, which is empty where all went well.
    pub(super) async fn end_error(&self, error: Option<String>) {
        let stream = self.error;
        if let Some(error) = error {
            let bytes = error.into_bytes();
            let _ = self.queue.send(Outgoing::Data { stream, bytes }).await;
        }
        let _ = self.queue.send(Outgoing::End { stream }).await;
    }
}

/// When something last went over a connection.
#[derive(Clone, Debug)]
pub(super) struct Activity {
    start: Instant,
    last_ms: Arc<AtomicU64>,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            last_ms: Arc::default(),
        }
    }

    pub(super) fn note(&self) {
        self.last_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// Returns once nothing was noted for as long as `idle`.
    pub(super) async fn ends(&self, idle: Duration) {
        loop {
            let still_ms = self
                .now_ms()
                .saturating_sub(self.last_ms.load(Ordering::Relaxed));
            match idle.checked_sub(Duration::from_millis(still_ms)) {
                None | Some(Duration::ZERO) => return,
                Some(left) => tokio::time::sleep(left).await,
            }
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
