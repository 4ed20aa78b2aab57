//! The control socket of a container: how the daemon reaches its monitor.
//!
//! A Unix stream socket in the container's directory, mode 0600. A request is one line of
//! JSON, a [`Request`]; its answer is one line, a [`Reply`]. A connection may ask as often
//! as it likes. What is no request gets [`Reply::Refused`] with the reason in words. It is
//! served from the start of the program on.
//!
//! ```text
//! thread "control": poll(listener, connections) ─ line ─> answer(request) ─ Remote ─> guest
//! ```
//!
//! The path may be longer than a socket's address can be: both sides go through their own
//! `/proc/self/fd`.

mod server;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::machine::{Remote, Usage};

pub use server::Server;

/// Longest line of either side.
pub const LINE_MAX_BYTES: usize = 64 << 10;

/// What may be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Request {
    /// Who is there?
    Ping,
    /// Send the program this signal; 9 ends the guest whatever it does.
    Signal(u32),
    /// Open the log file anew: it was renamed.
    ReopenLog,
    /// What does it use?
    Stats,
    /// Take other limits.
    Update(Update),
}

/// Limits; none: as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Update {
    /// Memory limit: MemTotal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// vCPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Reply {
    /// To [`Request::Ping`].
    Pong {
        /// The monitor's version.
        version: String,
        /// [`unikiln_abi::ABI_VERSION`].
        abi: u32,
        /// Its process.
        pid: u32,
    },
    /// It is done.
    Done,
    /// To [`Request::Stats`].
    Stats(Usage),
    /// It is not, for this reason.
    Refused(String),
}

/// Does what a line asks for.
fn answer(line: &[u8], guest: Option<&Remote>) -> Reply {
    let request = match serde_json::from_slice(line) {
        Ok(request) => request,
        Err(error) => return Reply::Refused(format!("this is no request: {error}")),
    };
    if request == Request::Ping {
        return Reply::Pong {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            abi: unikiln_abi::ABI_VERSION,
            pid: std::process::id(),
        };
    }
    let Some(guest) = guest else {
        return Reply::Refused("the guest is not built yet".to_owned());
    };
    match request {
        Request::Ping => Reply::Done,
        Request::Signal(signal @ 1..=64) => {
            guest.signal(signal);
            Reply::Done
        }
        Request::Signal(signal) => Reply::Refused(format!("{signal} is no signal")),
        Request::ReopenLog => match guest.log() {
            None => Reply::Done,
            Some(log) => done(log.reopen()),
        },
        Request::Stats => match guest.usage() {
            Some(usage) => Reply::Stats(usage),
            None => Reply::Refused("the guest has ended".to_owned()),
        },
        Request::Update(Update { cpus: Some(_), .. }) => Reply::Refused(
            "the number of vCPUs is fixed when a guest starts; its cgroup limits their time"
                .to_owned(),
        ),
        Request::Update(Update { memory_bytes, .. }) => match memory_bytes {
            Some(bytes) => done(guest.set_memory(bytes)),
            None => Reply::Done,
        },
    }
}

fn done<E: std::error::Error>(result: Result<(), E>) -> Reply {
    match result {
        Ok(()) => Reply::Done,
        Err(error) => Reply::Refused(crate::error::in_full(&error)),
    }
}

/// Asks the monitor whose control socket is at `socket`.
///
/// # Errors
/// ECONNREFUSED or ENOENT where there is none (any more); TimedOut and WouldBlock where it
/// does not answer in `timeout`.
pub fn ask(socket: &Path, request: &Request, timeout: Duration) -> io::Result<Reply> {
    let (_directory, address) = short_address(socket)?;
    let stream = UnixStream::connect(address)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    (&stream).write_all(&line)?;
    let mut answer = Vec::new();
    BufReader::new(&stream)
        .take(LINE_MAX_BYTES as u64)
        .read_until(b'\n', &mut answer)?;
    if answer.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&answer)?)
}

/// A path to the same socket that a socket's address has room for. It holds while the
/// directory is open.
fn short_address(socket: &Path) -> io::Result<(File, PathBuf)> {
    let no_name = || io::Error::from(io::ErrorKind::InvalidInput);
    let directory = File::open(socket.parent().ok_or_else(no_name)?)?;
    let name = socket.file_name().ok_or_else(no_name)?;
    let address = Path::new("/proc/self/fd")
        .join(directory.as_raw_fd().to_string())
        .join(name);
    Ok((directory, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_a_form() {
        for (text, request) in [
            ("\"ping\"", Request::Ping),
            ("{\"signal\":15}", Request::Signal(15)),
            ("\"reopenLog\"", Request::ReopenLog),
            ("\"stats\"", Request::Stats),
            (
                "{\"update\":{\"memoryBytes\":5}}",
                Request::Update(Update {
                    memory_bytes: Some(5),
                    cpus: None,
                }),
            ),
        ] {
            assert_eq!(serde_json::to_string(&request).unwrap(), text);
            assert_eq!(serde_json::from_str::<Request>(text).unwrap(), request);
        }
    }

    #[test]
    fn what_is_no_request_is_refused_in_words() {
        for line in [
            &b""[..],
            b"{",
            b"null",
            b"\"pong\"",
            b"{\"signal\":-1}",
            b"{\"signal\":1,\"stats\":2}",
            b"{\"update\":{\"x\":1}}",
            b"\xff\xfe",
            b"[[[[[[[[",
        ] {
            assert!(matches!(answer(line, None), Reply::Refused(_)), "{line:?}");
        }
        assert!(matches!(answer(b"\"ping\"", None), Reply::Pong { .. }));
        assert!(matches!(answer(b"\"stats\"", None), Reply::Refused(_)));
    }
}
