//! Streams of a program: what Exec and Attach give to a client.
//!
//! Handlers open them and block; who carries the bytes ([`crate::streaming`]) does not: files
//! need not be non-blocking yet, and are watched with `epoll`.

use std::io;
use std::os::fd::OwnedFd;

use super::HandlerError;

/// Which streams a client wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streams {
    /// It writes to the program.
    pub stdin: bool,
    /// It reads what the program writes.
    pub stdout: bool,
    /// It reads the program's errors; not with a terminal, which has one stream for both.
    pub stderr: bool,
    /// The program has a terminal.
    pub tty: bool,
}

impl Streams {
    /// What is wrong with the combination, as the API has it.
    pub fn check(self) -> Result<(), &'static str> {
        if self.tty && self.stderr {
            return Err("a terminal has no stderr of its own; ask for tty or for stderr");
        }
        if !self.stdin && !self.stdout && !self.stderr {
            return Err("one of stdin, stdout and stderr has to be asked for");
        }
        Ok(())
    }
}

/// Columns and rows of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Characters of a row.
    pub columns: u16,
    /// Rows.
    pub rows: u16,
}

/// A program's open streams.
#[derive(Debug)]
pub struct Attached {
    /// What the client writes goes here; none: the program is not given it. A socket is shut
    /// down at the end of input, anything else closed.
    pub stdin: Option<OwnedFd>,
    /// Where the program's output comes from.
    pub output: Output,
    /// Readable once the program has ended; none: the end of its output is the end.
    pub ended: Option<OwnedFd>,
    /// The rest of what can be done with it.
    pub program: Box<dyn Program>,
}

/// Where a program's output comes from.
#[derive(Debug)]
pub enum Output {
    /// A file for each stream; none: nobody wants it. The end of a terminal may be `EIO`.
    Files {
        /// Standard output, or a terminal.
        stdout: Option<OwnedFd>,
        /// Standard error.
        stderr: Option<OwnedFd>,
    },
    /// Packets, of 64 KiB at most, that begin with [`STDOUT_PACKET`] or [`STDERR_PACKET`].
    Packets(OwnedFd),
}

/// The first byte of a packet of standard output.
pub const STDOUT_PACKET: u8 = 2;
/// The first byte of a packet of standard error.
pub const STDERR_PACKET: u8 = 3;

/// A program whose streams somebody has. Dropping it ends one that was started for them.
pub trait Program: Send + Sync + std::fmt::Debug {
    /// Gives its terminal another size. Does not wait.
    fn resize(&self, size: Size) -> io::Result<()>;

    /// How it ended, once [`Attached::ended`] says that it has. Does not wait.
    fn exit_code(&self) -> Result<i32, HandlerError>;

    /// The client is gone, and the streams are closed: a program that was started for them gets
    /// a moment to end, then it is killed. Blocks that long.
    fn leave(self: Box<Self>);
}
