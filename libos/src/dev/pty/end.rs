//! The open files of a pseudo-terminal.

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, SIGTTIN, SIGTTOU, TOSTOP};
use linux_raw_sys::ioctl::{
    TCFLSH, TCSBRK, TCSBRKP, TCSETS, TCSETS2, TCSETSF, TCSETSF2, TCSETSW, TCSETSW2, TCXONC,
};

use super::{Controlling, State, Terminal};
use crate::errno::{Errno, SysResult};
use crate::fs::attributes::Attributes;
use crate::fs::node::Node;
use crate::fs::open_file::{File, OpenFile, Readiness};
use crate::fs::readiness::Watchers;
use crate::fs::transfer::{Sink, Source};
use crate::{sched, time};

/// Bytes moved at once.
const CHUNK_BYTES: usize = 1024;
/// Requests that change a terminal for all who use it.
const CHANGES: [u32; 10] = [
    TCSETS, TCSETSW, TCSETSF, TCSETS2, TCSETSW2, TCSETSF2, TCXONC, TCFLSH, TCSBRK, TCSBRKP,
];
/// VTIME's unit.
const TENTH_NS: u64 = 100_000_000;

/// The end that a terminal emulator holds.
pub(super) struct Master {
    terminal: Arc<Terminal>,
    node: Node,
}

impl Master {
    pub(super) fn new(terminal: Arc<Terminal>, node: Node) -> Master {
        Master { terminal, node }
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.terminal.hang_up();
    }
}

/// Waits for `poll` to give something, or says EAGAIN at once.
fn wait<T>(
    terminal: &Terminal,
    nonblocking: bool,
    mut poll: impl FnMut(&mut State) -> Option<Result<T, Errno>>,
) -> Result<T, Errno> {
    let mut poll = || poll(&mut terminal.state.lock());
    match poll() {
        Some(result) => result,
        None if nonblocking => Err(Errno::EAGAIN),
        None => sched::wait(&terminal.changed, None, poll).and_then(|result| result),
    }
}

/// Writes all of `source` by `step`, which says how much of a chunk it took: an
/// error after the first byte ends the write there.
fn write_all(source: &mut dyn Source, mut step: impl FnMut(&[u8]) -> SysResult) -> SysResult {
    let mut done = 0;
    let mut chunk = [0; CHUNK_BYTES];
    while source.remaining() > 0 {
        let len = source.remaining().min(CHUNK_BYTES);
        let bytes = chunk.get_mut(..len).ok_or(Errno::EIO)?;
        if let Err(errno) = source.take(bytes) {
            return if done > 0 { Ok(done) } else { Err(errno) };
        }
        let mut rest: &[u8] = bytes;
        while !rest.is_empty() {
            match step(rest) {
                Ok(count) => {
                    done += count;
                    rest = rest.get(count..).unwrap_or(&[]);
                }
                Err(_) if done > 0 => return Ok(done),
                Err(errno) => return Err(errno),
            }
        }
    }
    Ok(done)
}

impl File for Master {
    fn attributes(&self) -> Result<Attributes, Errno> {
        self.node.attributes()
    }

    fn node(&self) -> Option<Node> {
        Some(self.node.clone())
    }

    fn read(&self, _offset: u64, nonblocking: bool, sink: &mut dyn Sink) -> SysResult {
        let most = sink.remaining();
        if most == 0 {
            return Ok(0);
        }
        let bytes = wait(&self.terminal, nonblocking, |state| {
            match state.line.take_output(most) {
                Some(bytes) => Some(Ok(bytes)),
                None if state.slaves == Some(0) => Some(Err(Errno::EIO)),
                None => None,
            }
        })?;
        // There may be room for the slave to write now.
        self.terminal.change(|_| ());
        sink.put(&bytes)?;
        Ok(bytes.len())
    }

    fn write(&self, _offset: u64, nonblocking: bool, source: &mut dyn Source) -> SysResult {
        write_all(source, |bytes| {
            let mut signals = Vec::new();
            let count = wait(&self.terminal, nonblocking, |state| {
                let mut count = 0;
                for &byte in bytes {
                    if state.line.is_full() {
                        break;
                    }
                    signals.extend(state.line.receive(byte));
                    count += 1;
                }
                (count > 0).then_some(Ok(count))
            })?;
            self.terminal.change(|_| ());
            for signal in signals {
                self.terminal.signal(signal);
            }
            Ok(count)
        })
    }

    fn readiness(&self) -> Readiness {
        let state = self.terminal.state.lock();
        let mut events = 0;
        if state.line.output_len() > 0 {
            events |= EPOLLIN;
        }
        if !state.line.is_full() {
            events |= EPOLLOUT;
        }
        if state.slaves == Some(0) {
            events |= EPOLLHUP;
        }
        Readiness::of(events)
    }

    fn watchers(&self) -> [Option<&Watchers>; 2] {
        [Some(&self.terminal.watchers), None]
    }

    fn ioctl(&self, request: u32, argument: u64) -> SysResult {
        self.terminal.control_master(request, argument)
    }

    fn info(&self) -> Vec<u8> {
        alloc::format!("tty-index:\t{}\n", self.terminal.number).into_bytes()
    }

    fn reopen(&self, _flags: u32) -> Result<Arc<OpenFile>, Errno> {
        Err(Errno::EIO)
    }
}

/// The end that a program holds as its terminal.
pub(super) struct Slave {
    terminal: Arc<Terminal>,
    node: Node,
}

impl Slave {
    /// EIO where the terminal is hung up.
    pub(super) fn new(terminal: &Arc<Terminal>, node: Node) -> Result<Slave, Errno> {
        terminal.change(|state| {
            if state.hung_up {
                return Err(Errno::EIO);
            }
            state.slaves = Some(state.slaves.unwrap_or(0) + 1);
            Ok(())
        })?;
        Ok(Slave {
            terminal: terminal.clone(),
            node,
        })
    }

    fn check_foreground(&self, signal: u32) -> Result<(), Errno> {
        Controlling::Pty(self.terminal.clone()).check_foreground(signal)
    }

    fn read_line(&self, most: usize, nonblocking: bool) -> Result<Vec<u8>, Errno> {
        wait(&self.terminal, nonblocking, |state| {
            match state.line.take_input(most, 1) {
                Some(bytes) => Some(Ok(bytes)),
                None if state.hung_up => Some(Err(Errno::EIO)),
                None => None,
            }
        })
    }

    /// VMIN and VTIME (termios(3)): at least `min` bytes, or what there is when
    /// `tenths` have gone by: since the call with a `min` of 0, else since the
    /// last byte.
    fn read_raw(
        &self,
        most: usize,
        nonblocking: bool,
        min: usize,
        tenths: u64,
    ) -> Result<Vec<u8>, Errno> {
        let least = min.min(most);
        let at_once = min == 0 && tenths == 0;
        if nonblocking || at_once {
            let taken = self.terminal.state.lock().line.take_input(most, 1);
            return match taken {
                Some(bytes) => Ok(bytes),
                None if at_once => Ok(Vec::new()),
                None => Err(Errno::EAGAIN),
            };
        }
        let mut seen = 0;
        loop {
            // With a minimum, the clock starts with the first byte.
            let timed = tenths > 0 && (min == 0 || seen > 0);
            let deadline = if min == 0 || timed {
                Some(time::monotonic_ns() + tenths * TENTH_NS)
            } else {
                None
            };
            let watches_each = tenths > 0 && min > 0;
            let waited = sched::wait(&self.terminal.changed, deadline, || {
                let mut state = self.terminal.state.lock();
                if let Some(bytes) = state.line.take_input(most, least.max(1)) {
                    return Some(Ok(Some(bytes)));
                }
                if state.hung_up {
                    return Some(Err(Errno::EIO));
                }
                let here = state.line.input_len();
                if watches_each && here > seen {
                    seen = here;
                    return Some(Ok(None));
                }
                None
            });
            match waited {
                Ok(Ok(Some(bytes))) => return Ok(bytes),
                Ok(Ok(None)) => {}
                Ok(Err(errno)) => return Err(errno),
                Err(Errno::ETIMEDOUT) => {
                    let taken = self.terminal.state.lock().line.take_input(most, 0);
                    return Ok(taken.unwrap_or_default());
                }
                Err(errno) => return Err(errno),
            }
        }
    }
}

impl Drop for Slave {
    fn drop(&mut self) {
        self.terminal.change(|state| {
            state.slaves = state.slaves.map(|count| count.saturating_sub(1));
        });
    }
}

impl File for Slave {
    fn attributes(&self) -> Result<Attributes, Errno> {
        self.node.attributes()
    }

    fn node(&self) -> Option<Node> {
        Some(self.node.clone())
    }

    fn read(&self, _offset: u64, nonblocking: bool, sink: &mut dyn Sink) -> SysResult {
        let most = sink.remaining();
        let (hung_up, pace) = {
            let state = self.terminal.state.lock();
            (state.hung_up, state.line.pace())
        };
        if hung_up || most == 0 {
            return Ok(0);
        }
        self.check_foreground(SIGTTIN)?;
        let bytes = match pace {
            None => self.read_line(most, nonblocking)?,
            Some((min, tenths)) => self.read_raw(most, nonblocking, min, tenths)?,
        };
        // There may be room for the master to write now.
        self.terminal.change(|_| ());
        sink.put(&bytes)?;
        Ok(bytes.len())
    }

    fn write(&self, _offset: u64, nonblocking: bool, source: &mut dyn Source) -> SysResult {
        let (hung_up, stops_others) = {
            let state = self.terminal.state.lock();
            (state.hung_up, state.line.settings().has(TOSTOP))
        };
        if stops_others && !hung_up {
            self.check_foreground(SIGTTOU)?;
        }
        write_all(source, |bytes| {
            let count = wait(&self.terminal, nonblocking, |state| {
                if state.hung_up {
                    return Some(Err(Errno::EIO));
                }
                match state.line.write(bytes) {
                    0 => None,
                    count => Some(Ok(count)),
                }
            })?;
            self.terminal.change(|_| ());
            Ok(count)
        })
    }

    fn readiness(&self) -> Readiness {
        let state = self.terminal.state.lock();
        let mut events = 0;
        if state.hung_up {
            events |= EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP;
        }
        if state.line.is_readable() {
            events |= EPOLLIN;
        }
        if state.line.has_room() {
            events |= EPOLLOUT;
        }
        Readiness::of(events)
    }

    fn watchers(&self) -> [Option<&Watchers>; 2] {
        [Some(&self.terminal.watchers), None]
    }

    fn ioctl(&self, request: u32, argument: u64) -> SysResult {
        if self.terminal.state.lock().hung_up {
            return Err(Errno::EIO);
        }
        if CHANGES.contains(&request) {
            self.check_foreground(SIGTTOU)?;
        }
        self.terminal.control(request, argument)
    }
}
