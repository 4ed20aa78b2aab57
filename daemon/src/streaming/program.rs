//! One program of a container: its streams carried between it and a client.
//!
//! | what happens | what follows |
//! |---|---|
//! | the client ends stdin | the program's input ends; a terminal has no such end |
//! | the client leaves | its streams are closed; a command is killed unless it ends soon, an attached program goes on |
//! | a command ends | what it wrote is sent, then how it ended; what a child of its still holds open is waited for as long as something comes |
//! | an attached program ends | the same, without an exit code: the container's status has it |

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use tokio::io::Interest;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use super::file::{File, watch, watch_data};
use super::session::{Incoming, Outgoing};
use super::status;
use crate::handler::HandlerError;
use crate::handler::streams::{
    Attached, Output, Program, STDERR_PACKET, STDOUT_PACKET, Size, Streams,
};

/// How long output is waited for that comes from who outlives the command.
const DRAIN: Duration = Duration::from_secs(2);
/// Bytes of a packet of a program's output, and more.
const OUTPUT_BYTES: usize = 64 << 10;
/// Bytes of one write to a program: no more than conmon takes of a packet.
const INPUT_BYTES: usize = 8 << 10;
/// Bytes of sizes that are not whole yet.
const SIZES_MAX_BYTES: usize = 4 << 10;

/// Opens a program's streams. It blocks.
pub type Open = Box<dyn FnOnce() -> Result<Attached, HandlerError> + Send>;

/// What a client may have of a program.
pub(super) struct Asked {
    pub(super) streams: Streams,
    pub(super) open: Open,
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Asked");
        shown
            .field("streams", &self.streams)
            .finish_non_exhaustive()
    }
}

/// What comes from the client.
#[derive(Debug)]
pub(super) struct FromClient {
    pub(super) stdin: mpsc::Receiver<Incoming>,
    /// Sizes of its terminal, as JSON.
    pub(super) sizes: mpsc::Receiver<Incoming>,
}

/// Streams, by their numbers, that go to the client.
#[derive(Debug)]
pub(super) struct ToClient {
    pub(super) queue: mpsc::Sender<Outgoing>,
    pub(super) stdout: Option<u32>,
    pub(super) stderr: Option<u32>,
    pub(super) error: u32,
    /// Whether the end is told as a `Status`; else as a text, where it is an error.
    pub(super) has_status: bool,
}

impl ToClient {
    /// False: the client is gone. Nobody wants what has no stream.
    async fn data(&self, stream: Option<u32>, bytes: &[u8]) -> bool {
        let Some(stream) = stream.filter(|_| !bytes.is_empty()) else {
            return true;
        };
        let bytes = bytes.to_vec();
        let sent = self.queue.send(Outgoing::Data { stream, bytes });
        sent.await.is_ok()
    }

    /// Ends all streams, that of errors last, and the connection.
    async fn end(&self, ended: Result<i32, String>) {
        let text = if self.has_status {
            status::json(&ended)
        } else {
            status::text(&ended)
        };
        for stream in self.stdout.into_iter().chain(self.stderr) {
            let _ = self.queue.send(Outgoing::End { stream }).await;
        }
        let stream = self.error;
        self.data(Some(stream), text.as_bytes()).await;
        let _ = self.queue.send(Outgoing::End { stream }).await;
        // A client that is gone needs no end.
        let _ = self.queue.send(Outgoing::Close).await;
    }
}

/// Opens a program's streams and carries them until it has ended. Dropped before: the client is
/// gone.
pub(super) async fn run(open: Open, from_client: FromClient, to_client: ToClient) {
    let opened = tokio::task::spawn_blocking(open).await;
    let ended = match opened {
        Ok(Ok(attached)) => carry(attached, from_client, &to_client).await,
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = &ended {
        tracing::debug!(error, "streaming: program");
    }
    to_client.end(ended).await;
}

async fn carry(
    attached: Attached,
    mut from_client: FromClient,
    to_client: &ToClient,
) -> Result<i32, String> {
    let Attached {
        stdin,
        output,
        ended,
        program,
    } = attached;
    // Before the files: it is dropped after them.
    let mut guard = Guard {
        program: Some(program),
        runtime: Handle::current(),
    };
    let failed = |error: io::Error| format!("cannot watch a program's streams: {error}");
    let stdin = stdin.map(|file| watch_data(file, Interest::WRITABLE));
    let stdin = stdin.transpose().map_err(failed)?;
    let ended = ended.map(|file| watch(file, Interest::READABLE));
    let ended = ended.transpose().map_err(failed)?;
    let output = Watched::new(output).map_err(failed)?;
    let (tell_end, has_ended) = watch::channel(false);
    let result = {
        let program = guard.program.as_deref();
        let finished = async {
            let output = output.carry(to_client, &has_ended);
            let Some(ended) = &ended else {
                output.await;
                return Ok(0);
            };
            let ended = async {
                let code = match ended.readable().await {
                    Ok(_) => program.map_or(Ok(0), |program| program.exit_code()),
                    Err(error) => Err(HandlerError::Failed(failed(error))),
                };
                let _ = tell_end.send(true);
                code.map_err(|error| error.to_string())
            };
            tokio::join!(ended, output).0
        };
        let client = async {
            let sizes = resize(program, &mut from_client.sizes);
            tokio::join!(feed(stdin, &mut from_client.stdin), sizes);
            std::future::pending().await
        };
        tokio::select! {
            result = finished => result,
            result = client => result,
        }
    };
    // It has ended, or is not ours to end.
    guard.program = None;
    result
}

/// Leaves the program that it holds: off the threads that carry bytes, for it takes time.
struct Guard {
    program: Option<Box<dyn Program>>,
    runtime: Handle,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(program) = self.program.take() {
            self.runtime.spawn_blocking(move || program.leave());
        }
    }
}

/// Where output comes from, watched.
enum Watched {
    Files {
        stdout: Option<File>,
        stderr: Option<File>,
    },
    Packets(File),
}

impl Watched {
    fn new(output: Output) -> io::Result<Self> {
        let watch = |file| watch_data(file, Interest::READABLE);
        Ok(match output {
            Output::Files { stdout, stderr } => Self::Files {
                stdout: stdout.map(watch).transpose()?,
                stderr: stderr.map(watch).transpose()?,
            },
            Output::Packets(file) => Self::Packets(watch(file)?),
        })
    }

    /// Carries all of it, until it ends or the client is gone.
    async fn carry(&self, to_client: &ToClient, has_ended: &watch::Receiver<bool>) {
        match self {
            Self::Files { stdout, stderr } => {
                let one = async |file: &Option<File>, stream| {
                    let Some(file) = file else { return };
                    let mut piece = vec![0; OUTPUT_BYTES / 2];
                    while let Some(bytes) = next(file, &mut piece, has_ended.clone()).await
                        && to_client.data(stream, bytes).await
                    {}
                };
                tokio::join!(one(stdout, to_client.stdout), one(stderr, to_client.stderr));
            }
            Self::Packets(file) => {
                let mut packet = vec![0; OUTPUT_BYTES + 1];
                while let Some(bytes) = next(file, &mut packet, has_ended.clone()).await {
                    let is_read = match bytes.split_first() {
                        Some((&STDOUT_PACKET, bytes)) => {
                            to_client.data(to_client.stdout, bytes).await
                        }
                        Some((&STDERR_PACKET, bytes)) => {
                            to_client.data(to_client.stderr, bytes).await
                        }
                        _ => true,
                    };
                    if !is_read {
                        return;
                    }
                }
            }
        }
    }
}

/// What comes next from a file; none: its end, or nothing more of a program that has ended.
async fn next<'a>(
    file: &File,
    piece: &'a mut [u8],
    mut has_ended: watch::Receiver<bool>,
) -> Option<&'a [u8]> {
    let silence = async {
        // An error: nobody will say so any more, for it is over.
        let _ = has_ended.wait_for(|has_ended| *has_ended).await;
        tokio::time::sleep(DRAIN).await;
    };
    let read = file.async_io(Interest::READABLE, |file| {
        match rustix::io::retry_on_intr(|| rustix::io::read(file, &mut *piece)) {
            // A terminal whose other side was closed.
            Err(Errno::IO) => Ok(0),
            read => Ok(read?),
        }
    });
    let len = tokio::select! {
        read = read => read.ok()?,
        () = silence => return None,
    };
    piece.get(..len).filter(|bytes| !bytes.is_empty())
}

/// Carries what the client writes, until it is gone. A program that reads no more does not stop
/// the client, which learns of its end.
async fn feed(mut stdin: Option<File>, from_client: &mut mpsc::Receiver<Incoming>) {
    while let Some(incoming) = from_client.recv().await {
        match incoming {
            Incoming::Data(bytes) => {
                if let Some(file) = &stdin
                    && write(file, &bytes).await.is_err()
                {
                    stdin = None;
                }
            }
            Incoming::End => close(stdin.take()),
        }
    }
    close(stdin);
}

async fn write(file: &File, bytes: &[u8]) -> io::Result<()> {
    for mut piece in bytes.chunks(INPUT_BYTES) {
        while !piece.is_empty() {
            let write = |file: &OwnedFd| {
                let written = rustix::io::retry_on_intr(|| rustix::io::write(file, piece));
                Ok(written?)
            };
            let len = file.async_io(Interest::WRITABLE, write).await?;
            piece = piece.get(len..).unwrap_or_default();
        }
    }
    Ok(())
}

/// Ends a program's input.
fn close(stdin: Option<File>) {
    if let Some(file) = stdin {
        // Fails for what is no socket, and needs none.
        let _ = rustix::net::shutdown(&file, rustix::net::Shutdown::Write);
    }
}

/// Gives the program's terminal the sizes of the client's.
async fn resize(program: Option<&dyn Program>, from_client: &mut mpsc::Receiver<Incoming>) {
    let mut sizes = Sizes::default();
    while let Some(incoming) = from_client.recv().await {
        let Incoming::Data(bytes) = incoming else {
            continue;
        };
        // Only the last one counts by now.
        if let (Some(size), Some(program)) = (sizes.push(&bytes), program)
            && let Err(error) = program.resize(size)
        {
            tracing::debug!(%error, "streaming: terminal size");
        }
    }
}

/// Sizes as they come: JSON, in pieces of any length.
#[derive(Debug, Default)]
struct Sizes {
    bytes: Vec<u8>,
}

#[derive(serde::Deserialize)]
struct Wire {
    #[serde(rename = "Width", alias = "width")]
    width: u16,
    #[serde(rename = "Height", alias = "height")]
    height: u16,
}

impl Sizes {
    /// The last whole size. What is none is dropped, with what came before.
    fn push(&mut self, bytes: &[u8]) -> Option<Size> {
        self.bytes.extend_from_slice(bytes);
        let mut sizes = serde_json::Deserializer::from_slice(&self.bytes).into_iter::<Wire>();
        let mut last = None;
        let is_cut = loop {
            match sizes.next() {
                Some(Ok(size)) => last = Some(size),
                Some(Err(error)) => break error.is_eof(),
                None => break false,
            }
        };
        let read = sizes.byte_offset();
        if is_cut && self.bytes.len() - read <= SIZES_MAX_BYTES {
            self.bytes.drain(..read);
        } else {
            self.bytes.clear();
        }
        last.map(|size| Size {
            columns: size.width,
            rows: size.height,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{SIZES_MAX_BYTES, Size, Sizes};

    #[test]
    fn sizes_come_in_pieces() {
        let mut sizes = Sizes::default();
        let size = |columns, rows| Some(Size { columns, rows });
        assert_eq!(sizes.push(b"{\"Width\":80,\"Height\":24}\n"), size(80, 24));
        assert_eq!(sizes.push(b"{\"Width\":1,\"Hei"), None);
        assert_eq!(
            sizes.push(b"ght\":2}{\"Height\":4,\"Width\":3}"),
            size(3, 4)
        );
        assert_eq!(sizes.push(b"{\"Width\":-1}"), None);
        assert_eq!(sizes.push(b"nonsense"), None);
        assert_eq!(sizes.push(b"{\"width\":5,\"height\":6}"), size(5, 6));
        let blank = vec![b' '; SIZES_MAX_BYTES + 1];
        assert_eq!(sizes.push(&[b"{", &blank[..]].concat()), None);
        assert_eq!(sizes.push(b"{\"Width\":7,\"Height\":8}"), size(7, 8));
    }
}
