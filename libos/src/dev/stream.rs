//! Standard input, output and error: the monitor's log and its standard input.
//!
//! Nothing is buffered: when a write returns, its bytes are in the log, whole
//! and in order.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use linux_raw_sys::general::{
    EPOLLIN, EPOLLOUT, O_ACCMODE, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY, S_IFCHR, S_IFIFO, SIGPIPE,
};
use linux_raw_sys::ioctl::{FIONREAD, TCGETS, TIOCGPGRP, TIOCGWINSZ};
use unikiln_abi::boot::{FLAG_STDERR_TTY, FLAG_STDIN, FLAG_STDIN_TTY, FLAG_STDOUT_TTY};
use unikiln_abi::call::EVENT_STDIN;
use unikiln_abi::log::{STREAM_STDERR, STREAM_STDOUT};

use crate::boot;
use crate::errno::{Errno, SysResult};
use crate::fs::attributes::{ANONYMOUS_DEVICE, Attributes};
use crate::fs::open_file::{File, OpenFile, Readiness};
use crate::fs::readiness::Watchers;
use crate::fs::transfer::{Sink, Source};
use crate::hypercall;
use crate::mm::user;
use crate::sched::{self, WaitQueue};
use crate::{process, signal, stats};

/// Most bytes given to the log or asked of standard input at once.
const CHUNK_BYTES: usize = 64 << 10;
/// Writes up to this need no allocation.
const SMALL_BYTES: usize = 512;
/// Inode numbers of the three streams, apart from pipes'.
const FIRST_INO: u64 = 1 << 20;
/// Only standard input itself ends the wait for it.
static NOBODY: WaitQueue = WaitQueue::new();

static STDIN_READS: AtomicU64 = AtomicU64::new(0);
static STDIN_WATCHERS: Watchers = Watchers::new();

/// Which stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// Standard input.
    Stdin,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Opens the three streams.
pub fn open_standard() -> [Arc<OpenFile>; 3] {
    [
        OpenFile::new(StreamFile::new(StreamKind::Stdin), O_RDONLY, None),
        OpenFile::new(StreamFile::new(StreamKind::Stdout), O_WRONLY, None),
        OpenFile::new(StreamFile::new(StreamKind::Stderr), O_WRONLY, None),
    ]
}

/// Writes to the log; SIGPIPE where its reader went away, as with a pipe.
fn log(stream: u64, bytes: &[u8]) -> SysResult {
    hypercall::log(stream, bytes).inspect_err(|errno| {
        if *errno == Errno::EPIPE {
            signal::raise_current(SIGPIPE);
        }
    })?;
    Ok(bytes.len())
}

/// Whether standard input has something, be it its end.
fn input_waits() -> bool {
    hypercall::wait(Some(0), EVENT_STDIN) & EVENT_STDIN != 0
}

/// An open stream.
pub struct StreamFile {
    kind: StreamKind,
}

impl StreamFile {
    /// Opens a stream.
    pub fn new(kind: StreamKind) -> StreamFile {
        StreamFile { kind }
    }

    fn is_terminal(&self) -> bool {
        let flag = match self.kind {
            StreamKind::Stdin => FLAG_STDIN_TTY,
            StreamKind::Stdout => FLAG_STDOUT_TTY,
            StreamKind::Stderr => FLAG_STDERR_TTY,
        };
        boot::has_flag(flag)
    }

    /// Standard input that nobody feeds reads as `/dev/null` does.
    fn has_input(&self) -> bool {
        self.kind == StreamKind::Stdin && boot::has_flag(FLAG_STDIN)
    }
}

impl File for StreamFile {
    fn attributes(&self) -> Result<Attributes, Errno> {
        let ino = FIRST_INO + self.kind as u64;
        // A terminal's number is that of a pseudo-terminal; null's for empty input.
        let (mode, rdev) = if self.is_terminal() {
            (S_IFCHR | 0o620, super::number(136, 0))
        } else if self.kind == StreamKind::Stdin && !self.has_input() {
            (S_IFCHR | 0o666, super::NULL)
        } else {
            (S_IFIFO | 0o600, 0)
        };
        Ok(Attributes {
            rdev,
            ..Attributes::generated(ANONYMOUS_DEVICE, ino, mode)
        })
    }

    fn read(&self, _offset: u64, nonblocking: bool, sink: &mut dyn Sink) -> SysResult {
        if !self.has_input() || sink.remaining() == 0 {
            return Ok(0);
        }
        let mut chunk = vec![0; sink.remaining().min(CHUNK_BYTES)];
        // A call that blocked in the monitor would keep the vCPU from other threads.
        let mut look = || match hypercall::stdin_read(&mut chunk) {
            Err(Errno::EAGAIN) => None,
            result => Some(result),
        };
        let count = match look() {
            Some(result) => result?,
            None if nonblocking => return Err(Errno::EAGAIN),
            None => sched::wait_stdin(&NOBODY, None, look)??,
        };
        // What comes next is news, and those who wait ask the monitor for it.
        STDIN_READS.fetch_add(1, Ordering::Relaxed);
        STDIN_WATCHERS.notify(0);
        sink.put(chunk.get(..count).ok_or(Errno::EIO)?)?;
        Ok(count)
    }

    fn write(&self, _offset: u64, _nonblocking: bool, source: &mut dyn Source) -> SysResult {
        let stream = if self.kind == StreamKind::Stdout {
            STREAM_STDOUT
        } else {
            STREAM_STDERR
        };
        let len = source.remaining();
        let mut small = [0; SMALL_BYTES];
        if let Some(bytes) = small.get_mut(..len) {
            source.take(bytes)?;
            stats::note_log();
            return log(stream, bytes);
        }
        stats::note_log();
        let mut large = vec![0; len.min(CHUNK_BYTES)];
        let mut done = 0;
        while source.remaining() > 0 {
            let bytes = large
                .get_mut(..source.remaining().min(CHUNK_BYTES))
                .ok_or(Errno::EIO)?;
            match source.take(bytes).and_then(|()| log(stream, bytes)) {
                Err(errno) if done == 0 => return Err(errno),
                Err(_) => break,
                Ok(_) => {}
            }
            done += bytes.len();
        }
        Ok(done)
    }

    fn readiness(&self) -> Readiness {
        if self.kind != StreamKind::Stdin {
            return Readiness::of(EPOLLOUT);
        }
        let ready = !self.has_input() || input_waits();
        Readiness {
            events: if ready { EPOLLIN } else { 0 },
            generation: STDIN_READS.load(Ordering::Relaxed),
        }
    }

    fn watchers(&self) -> [Option<&Watchers>; 2] {
        let watchers = self.has_input().then_some(&STDIN_WATCHERS);
        [watchers, None]
    }

    fn changes_untold(&self) -> bool {
        self.has_input()
    }

    fn is_stdin(&self) -> bool {
        self.has_input()
    }

    fn ioctl(&self, request: u32, argument: u64) -> SysResult {
        if request == FIONREAD && self.kind == StreamKind::Stdin && !self.has_input() {
            user::write::<u32>(argument, &0)?;
            return Ok(0);
        }
        if !self.is_terminal() {
            return Err(Errno::ENOTTY);
        }
        match request {
            TCGETS => user::copy_out(argument, &terminal_settings())?,
            TIOCGWINSZ => user::copy_out(argument, &window_size())?,
            TIOCGPGRP => user::write::<u32>(argument, &process::current().pid)?,
            // Settings are the host terminal's; they are taken and not applied.
            linux_raw_sys::ioctl::TCSETS
            | linux_raw_sys::ioctl::TCSETSW
            | linux_raw_sys::ioctl::TCSETSF => {}
            _ => return Err(Errno::ENOTTY),
        }
        Ok(0)
    }

    fn label(&self) -> Option<Vec<u8>> {
        Some(match self.kind {
            _ if self.is_terminal() => b"/dev/console".to_vec(),
            StreamKind::Stdin if !self.has_input() => b"/dev/null".to_vec(),
            StreamKind::Stdin => b"pipe:[1048576]".to_vec(),
            StreamKind::Stdout => b"pipe:[1048577]".to_vec(),
            StreamKind::Stderr => b"pipe:[1048578]".to_vec(),
        })
    }

    fn reopen(&self, flags: u32) -> Result<Arc<OpenFile>, Errno> {
        let wrong = match self.kind {
            StreamKind::Stdin => flags & O_ACCMODE == O_WRONLY,
            _ => flags & O_ACCMODE == O_RDONLY,
        };
        // Both ways is for terminals and pipes alike; the other way fails when it is used.
        if wrong && flags & O_ACCMODE != O_RDWR {
            return Err(Errno::EACCES);
        }
        Ok(OpenFile::new(
            StreamFile::new(self.kind),
            flags & (O_ACCMODE | O_NONBLOCK),
            None,
        ))
    }
}

/// `struct termios` of a terminal in its usual cooked state.
fn terminal_settings() -> [u8; 36] {
    const ICRNL_IXON: u32 = 0x500;
    const OPOST_ONLCR: u32 = 0x5;
    const CS8_CREAD_38400: u32 = 0xbf;
    const ISIG_ICANON_ECHO_AND_KIN: u32 = 0x8a3b;
    let mut raw = [0; 36];
    let flags = [
        ICRNL_IXON,
        OPOST_ONLCR,
        CS8_CREAD_38400,
        ISIG_ICANON_ECHO_AND_KIN,
    ];
    for (slot, value) in raw.chunks_exact_mut(4).zip(flags) {
        slot.copy_from_slice(&value.to_le_bytes());
    }
    // VINTR, VQUIT, VERASE, VKILL, VEOF, VTIME, VMIN after the line discipline byte.
    let characters = [3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26];
    for (slot, value) in raw.iter_mut().skip(17).zip(characters) {
        *slot = value;
    }
    raw
}

/// `struct winsize` of 24 rows by 80 columns.
fn window_size() -> [u8; 8] {
    [24, 0, 80, 0, 0, 0, 0, 0]
}
