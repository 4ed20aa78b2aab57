//! Standard input, output and error: the monitor's log and its standard input.
//!
//! Nothing is buffered: when a write returns, its bytes are in the log, whole
//! and in order.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use linux_raw_sys::general::{
    EPOLLIN, EPOLLOUT, O_ACCMODE, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY, S_IFCHR, S_IFIFO,
    SIGPIPE, SIGTTIN, SIGTTOU,
};
use linux_raw_sys::ioctl::{
    FIONREAD, TCGETS, TCGETS2, TIOCGPGRP, TIOCGSID, TIOCGWINSZ, TIOCNOTTY, TIOCSCTTY, TIOCSPGRP,
};
use spin::Once;
use unikiln_abi::boot::{FLAG_STDERR_TTY, FLAG_STDIN, FLAG_STDIN_TTY, FLAG_STDOUT_TTY};
use unikiln_abi::call::EVENT_STDIN;
use unikiln_abi::log::{STREAM_STDERR, STREAM_STDOUT};

use super::pty::settings::{SETTINGS_BYTES, Settings, WindowSize};
use super::terminal::Controlling;
use crate::boot;
use crate::errno::{Errno, SysResult};
use crate::fs::attributes::{ANONYMOUS_DEVICE, Attributes};
use crate::fs::node::Node;
use crate::fs::open_file::{File, OpenFile, Readiness};
use crate::fs::readiness::Watchers;
use crate::fs::transfer::{Sink, Source};
use crate::hypercall;
use crate::mm::user;
use crate::sched::{self, WaitQueue};
use crate::{signal, stats};

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

/// 24 rows by 80 columns: the size of the host's terminal is not known.
const WINDOW_SIZE: WindowSize = [24, 0, 80, 0, 0, 0, 0, 0];

/// Which stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// Standard input.
    Stdin,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The terminal behind one of them, as `/dev/tty`.
    Terminal,
}

/// A stream is a terminal.
pub const TERMINAL_FLAGS: u32 = FLAG_STDIN_TTY | FLAG_STDOUT_TTY | FLAG_STDERR_TTY;

/// `/dev/console`, which a terminal shows as: `ttyname` finds it by comparing the two.
static CONSOLE: Once<Node> = Once::new();

/// Tells where `/dev/console` is.
pub fn set_console(node: Node) {
    CONSOLE.call_once(|| node);
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
            StreamKind::Terminal => return true,
        };
        boot::has_flag(flag)
    }

    /// Standard input that nobody feeds reads as `/dev/null` does.
    fn has_input(&self) -> bool {
        match self.kind {
            StreamKind::Stdin => boot::has_flag(FLAG_STDIN),
            StreamKind::Terminal => boot::has_flag(FLAG_STDIN) && boot::has_flag(FLAG_STDIN_TTY),
            StreamKind::Stdout | StreamKind::Stderr => false,
        }
    }
}

impl File for StreamFile {
    fn attributes(&self) -> Result<Attributes, Errno> {
        if let (true, Some(console)) = (self.is_terminal(), CONSOLE.get()) {
            return console.attributes();
        }
        let ino = FIRST_INO + self.kind as u64;
        // Empty input is null.
        let (mode, rdev) = if self.kind == StreamKind::Stdin && !self.has_input() {
            (S_IFCHR | 0o666, super::NULL)
        } else {
            (S_IFIFO | 0o600, 0)
        };
        Ok(Attributes {
            rdev,
            // As container engines do it, they belong to the user of the image.
            uid: boot::info().map_or(0, |info| info.uid),
            gid: 0,
            ..Attributes::generated(ANONYMOUS_DEVICE, ino, mode)
        })
    }

    fn read(&self, _offset: u64, nonblocking: bool, sink: &mut dyn Sink) -> SysResult {
        if !self.has_input() || sink.remaining() == 0 {
            return Ok(0);
        }
        if self.is_terminal() {
            Controlling::Console.check_foreground(SIGTTIN)?;
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
        let stream = match self.kind {
            StreamKind::Stdout => STREAM_STDOUT,
            StreamKind::Terminal if boot::has_flag(FLAG_STDOUT_TTY) => STREAM_STDOUT,
            _ => STREAM_STDERR,
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
        let ready = || !self.has_input() || input_waits();
        let readable = |ready: bool| if ready { EPOLLIN } else { 0 };
        let events = match self.kind {
            StreamKind::Stdin => readable(ready()),
            StreamKind::Terminal => EPOLLOUT | readable(ready()),
            StreamKind::Stdout | StreamKind::Stderr => return Readiness::of(EPOLLOUT),
        };
        Readiness {
            events,
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
            TCGETS => {
                let raw = Settings::NEW.to_bytes();
                user::copy_out(argument, raw.get(..SETTINGS_BYTES).ok_or(Errno::EIO)?)?;
            }
            TCGETS2 => user::copy_out(argument, &Settings::NEW.to_bytes())?,
            TIOCGWINSZ => user::copy_out(argument, &WINDOW_SIZE)?,
            TIOCSCTTY | TIOCNOTTY | TIOCGPGRP | TIOCGSID | TIOCSPGRP => {
                return Controlling::Console.control(request, argument);
            }
            // Settings are the host terminal's; they are taken and not applied.
            linux_raw_sys::ioctl::TCSETS
            | linux_raw_sys::ioctl::TCSETSW
            | linux_raw_sys::ioctl::TCSETSF => {
                Controlling::Console.check_foreground(SIGTTOU)?;
            }
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
            StreamKind::Stderr | StreamKind::Terminal => b"pipe:[1048578]".to_vec(),
        })
    }

    fn reopen(&self, flags: u32) -> Result<Arc<OpenFile>, Errno> {
        let wrong = match self.kind {
            StreamKind::Stdin => flags & O_ACCMODE == O_WRONLY,
            StreamKind::Terminal => false,
            StreamKind::Stdout | StreamKind::Stderr => flags & O_ACCMODE == O_RDONLY,
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
