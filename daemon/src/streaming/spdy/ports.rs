//! Forwarded ports: a client opens streams in pairs, one for data and one for errors, by headers
//! `streamtype`, `port` and `requestid`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{FromClient, Opened, PROTOCOL_ERROR, REFUSED_STREAM, Service, serve};
use crate::streaming::forward::forward;
use crate::streaming::session::{Activity, IN_QUEUE, Incoming, Outgoing, ToClient};

/// Forwards of one connection at once.
const FORWARDS_MAX: usize = 1024;
/// Halves of pairs that wait for the other.
const HALVES_MAX: usize = 256;
/// How long one waits.
const HALF_LIFE: Duration = Duration::from_secs(30);

/// Forwards ports until the client leaves.
pub(in crate::streaming) async fn ports(
    io: impl AsyncRead + AsyncWrite + Unpin,
    netns: Option<PathBuf>,
    activity: &Activity,
) {
    let service = |queue| Ports {
        netns,
        queue,
        halves: HashMap::new(),
        forwards: JoinSet::new(),
    };
    serve(io, service, activity).await;
}

/// One of a pair of streams.
#[derive(Debug, Default)]
struct Half {
    since: Option<Instant>,
    error: Option<u32>,
    data: Option<(u32, mpsc::Receiver<Incoming>)>,
}

struct Ports {
    netns: Option<PathBuf>,
    queue: mpsc::Sender<Outgoing>,
    halves: HashMap<String, Half>,
    forwards: JoinSet<()>,
}

impl Service for Ports {
    /// Both of a pair start their forward.
    async fn open(&mut self, streams: &mut FromClient, opened: Opened<'_>) -> Result<(), u32> {
        let stream = opened.stream;
        let port = opened.header("port").and_then(|port| port.parse().ok());
        let port = port.filter(|port| *port > 0_u16).ok_or(PROTOCOL_ERROR)?;
        let is_data = match opened.header("streamtype") {
            Some("data") => true,
            Some("error") => false,
            _ => return Err(PROTOCOL_ERROR),
        };
        // Clients of before request ids open the error stream first and the data stream next.
        let request = match opened.header("requestid") {
            Some(request) => request.to_owned(),
            None => format!(
                "stream {}",
                if is_data {
                    stream.saturating_sub(2)
                } else {
                    stream
                }
            ),
        };
        let now = Instant::now();
        self.expire(streams, now).await;
        while self.forwards.try_join_next().is_some() {}
        if self.forwards.len() >= FORWARDS_MAX || self.halves.len() >= HALVES_MAX {
            return Err(REFUSED_STREAM);
        }
        let half = self.halves.entry(request.clone()).or_default();
        half.since.get_or_insert(now);
        let is_taken = if is_data {
            half.data.is_some()
        } else {
            half.error.is_some()
        };
        if is_taken {
            return Err(PROTOCOL_ERROR);
        }
        if is_data {
            let (sender, receiver) = mpsc::channel(IN_QUEUE);
            half.data = Some((stream, receiver));
            if opened.is_last {
                let _ = sender.try_send(Incoming::End);
            } else {
                streams.insert(stream, sender);
            }
        } else {
            half.error = Some(stream);
        }
        // Before anything that the forward sends: one queue keeps the order.
        let accepted = self.queue.send(Outgoing::Accept { stream }).await;
        accepted.map_err(|_| REFUSED_STREAM)?;
        if let Some(Half {
            error: Some(_),
            data: Some(_),
            ..
        }) = self.halves.get(&request)
            && let Some(Half {
                error: Some(error),
                data: Some((data, receiver)),
                ..
            }) = self.halves.remove(&request)
        {
            let to_client = ToClient {
                queue: self.queue.clone(),
                data,
                error,
            };
            self.forwards
                .spawn(forward(self.netns.clone(), port, receiver, to_client));
        }
        Ok(())
    }

    fn reset(&mut self, stream: u32) {
        self.halves
            .retain(|_, half| half.data.as_ref().is_none_or(|(data, _)| *data != stream));
    }
}

impl Ports {
    /// Resets halves whose other half never came.
    async fn expire(&mut self, streams: &mut FromClient, now: Instant) {
        let old = |half: &Half| {
            half.since
                .is_some_and(|since| now.duration_since(since) > HALF_LIFE)
        };
        let expired: Vec<_> = self.halves.extract_if(|_, half| old(half)).collect();
        for (_, half) in expired {
            for stream in half
                .error
                .into_iter()
                .chain(half.data.map(|(data, _)| data))
            {
                streams.remove(&stream);
                let status = REFUSED_STREAM;
                let _ = self.queue.send(Outgoing::Reset { stream, status }).await;
            }
        }
    }
}
