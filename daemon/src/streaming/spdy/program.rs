//! The streams of one program: a client opens each that it was granted, by the header
//! `streamtype`: `error`, `stdin`, `stdout`, `stderr`, and `resize` for a terminal's sizes. The
//! program is opened once all of them are there.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::{FromClient, Opened, PROTOCOL_ERROR, REFUSED_STREAM, Service, serve};
use crate::streaming::program::{self, Asked, ToClient};
use crate::streaming::session::{Activity, IN_QUEUE, Incoming, Outgoing};
use crate::streaming::upgrade::Rules;

/// How long a client may take to open its streams.
const OPEN_LIMIT: Duration = Duration::from_secs(30);

/// Carries a program's streams until it has ended or the client leaves.
pub(in crate::streaming) async fn program(
    io: impl AsyncRead + AsyncWrite + Unpin,
    rules: Rules,
    asked: Asked,
    activity: &Activity,
) {
    let service = |queue: mpsc::Sender<Outgoing>| {
        let streams = asked.streams;
        let (begin, begun) = oneshot::channel();
        let mut tasks = JoinSet::new();
        let closing = queue.clone();
        tasks.spawn(async move {
            match tokio::time::timeout(OPEN_LIMIT, begun).await {
                Ok(Ok((from_client, to_client))) => {
                    program::run(asked.open, from_client, to_client).await;
                }
                _ => {
                    let _ = closing.send(Outgoing::Close).await;
                }
            }
        });
        let wanted = [
            ("error", true),
            ("stdin", streams.stdin),
            ("stdout", streams.stdout),
            ("stderr", streams.stderr),
            ("resize", streams.tty && rules.has_sizes),
        ];
        Program {
            queue,
            missing: Vec::from_iter(wanted.iter().filter(|kind| kind.1).map(|kind| kind.0)),
            error: 0,
            stdout: None,
            stderr: None,
            stdin: None,
            sizes: None,
            has_status: rules.has_status,
            begin: Some(begin),
            _tasks: tasks,
        }
    };
    serve(io, service, activity).await;
}

struct Program {
    queue: mpsc::Sender<Outgoing>,
    /// Kinds of streams that the client has not opened yet.
    missing: Vec<&'static str>,
    error: u32,
    stdout: Option<u32>,
    stderr: Option<u32>,
    stdin: Option<mpsc::Receiver<Incoming>>,
    sizes: Option<mpsc::Receiver<Incoming>>,
    has_status: bool,
    begin: Option<oneshot::Sender<(program::FromClient, ToClient)>>,
    /// The program, which ends with the connection.
    _tasks: JoinSet<()>,
}

impl Service for Program {
    async fn open(&mut self, streams: &mut FromClient, opened: Opened<'_>) -> Result<(), u32> {
        let stream = opened.stream;
        let kind = opened.header("streamtype").unwrap_or_default();
        let at = self.missing.iter().position(|missing| *missing == kind);
        let kind = self.missing.swap_remove(at.ok_or(PROTOCOL_ERROR)?);
        let mut receive = || {
            let (sender, receiver) = mpsc::channel(IN_QUEUE);
            if opened.is_last {
                let _ = sender.try_send(Incoming::End);
            } else {
                streams.insert(stream, sender);
            }
            receiver
        };
        match kind {
            "stdin" => self.stdin = Some(receive()),
            "resize" => self.sizes = Some(receive()),
            "stdout" => self.stdout = Some(stream),
            "stderr" => self.stderr = Some(stream),
            _ => self.error = stream,
        }
        // Before anything that the program says: one queue keeps the order.
        let accepted = self.queue.send(Outgoing::Accept { stream }).await;
        accepted.map_err(|_| REFUSED_STREAM)?;
        if self.missing.is_empty()
            && let Some(begin) = self.begin.take()
        {
            // The end of a queue that nobody writes to is the end of that input.
            let none = || mpsc::channel(1).1;
            let from_client = program::FromClient {
                stdin: self.stdin.take().unwrap_or_else(none),
                sizes: self.sizes.take().unwrap_or_else(none),
            };
            let to_client = ToClient {
                queue: self.queue.clone(),
                stdout: self.stdout,
                stderr: self.stderr,
                error: self.error,
                has_status: self.has_status,
            };
            let _ = begin.send((from_client, to_client));
        }
        Ok(())
    }

    fn reset(&mut self, _: u32) {
        // The queue has ended, which ends the program's input.
    }
}
