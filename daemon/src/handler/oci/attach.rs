//! The streams of a container's own program, which its conmon holds.
//!
//! conmon listens on a socket of packets: what comes on it is the program's input, each packet
//! that it sends begins with the stream's number. It says nothing of what was written before, and
//! a client that does not read holds it up, and the program with it.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::conmon::{Conmon, ConmonError, tell};
use crate::handler::HandlerError;
use crate::handler::streams::{Attached, Output, Program, Size, Streams};
use crate::proto::ContainerConfig;

/// How long conmon may take to have room for one more client.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const CONNECT_PAUSE: Duration = Duration::from_millis(10);
/// The largest terminal that conmon knows.
const SIZE_MAX: u16 = 1000;

/// Connects to the conmon of a container with this configuration.
pub(super) fn attach(
    conmon: &Conmon<'_>,
    config: &ContainerConfig,
    streams: Streams,
) -> Result<Attached, ConmonError> {
    let bundle = conmon.bundle();
    let failed = |source| ConmonError::Attach {
        path: bundle.join("attach"),
        source,
    };
    let socket = open(&bundle).map_err(failed)?;
    // A program without an input would never take it, and hold up what comes next.
    let stdin = (streams.stdin && config.stdin).then(|| socket.try_clone());
    Ok(Attached {
        stdin: stdin.transpose().map_err(failed)?,
        output: Output::Packets(socket),
        ended: None,
        program: Box::new(Held {
            has_terminal: config.tty,
            bundle,
        }),
    })
}

/// A connection to the socket in a bundle.
fn open(bundle: &Path) -> io::Result<OwnedFd> {
    // A socket's path is short; that of a descriptor is.
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let directory = File::options()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(bundle)?;
    let path = format!("/proc/self/fd/{}/attach", directory.as_raw_fd());
    let address = SocketAddrUnix::new(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    let deadline = Instant::now() + CONNECT_LIMIT;
    loop {
        match connect(&socket, &address) {
            // Others wait to be accepted.
            Err(Errno::AGAIN) if Instant::now() < deadline => std::thread::sleep(CONNECT_PAUSE),
            connected => return Ok(connected.map(|()| socket)?),
        }
    }
}

/// A program that others started.
#[derive(Debug)]
struct Held {
    has_terminal: bool,
    bundle: PathBuf,
}

impl Program for Held {
    fn resize(&self, size: Size) -> io::Result<()> {
        if !self.has_terminal {
            return Ok(());
        }
        let (rows, columns) = (size.rows.min(SIZE_MAX), size.columns.min(SIZE_MAX));
        tell(&self.bundle, format!("1 {rows} {columns}\n").as_bytes())
    }

    fn exit_code(&self) -> Result<i32, HandlerError> {
        // The container's status has it.
        Ok(0)
    }

    fn leave(self: Box<Self>) {
        // It goes on.
    }
}
