//! Pseudo-terminals: `/dev/ptmx`, and a terminal in `/dev/pts` for each open of it.
//!
//! | module | what it owns |
//! |---|---|
//! | `settings` | `struct termios`, `struct winsize` |
//! | `line` | the line discipline |
//! | `end` | the open files: master and slave |
//! | `control` | what ioctl does to either |
//!
//! A terminal lives from the open of its master to its close, which hangs up:
//! reads of the slave that wait are EIO, later ones 0, writes EIO, and its name
//! in `/dev/pts` is gone. Whose terminal it is, is `terminal.rs`'s.

mod control;
mod end;
mod line;
pub mod settings;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general::{
    EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLPRI, O_ACCMODE, O_NOCTTY, O_WRONLY,
};
use spin::{Mutex, Once};

use super::terminal::{self, Controlling, Tie};
use super::{TTY_GROUP, number};
use crate::errno::Errno;
use crate::fs::access::Caller;
use crate::fs::attributes::PTS_DEVICE;
use crate::fs::memory::{Body, Directory, Entry, MemoryInode};
use crate::fs::node::Node;
use crate::fs::open_file::{OpenFile, Origin};
use crate::fs::readiness::Watchers;
use crate::sched::WaitQueue;
use crate::sorted::SortedMap;
use end::{Master, Slave};
use line::Line;
use settings::WindowSize;

/// Most terminals: the minor numbers of one major number.
const TERMINALS_MAX: u32 = 256;
/// Major number of slaves.
pub(super) const SLAVE_MAJOR: u32 = 136;

/// `/dev/pts`.
static DIRECTORY: Once<Arc<MemoryInode>> = Once::new();
/// The terminals that there are. Taken before a terminal's own lock.
static TERMINALS: Mutex<SortedMap<u32, Arc<Terminal>>> = Mutex::new(SortedMap::new());

/// A pseudo-terminal.
pub struct Terminal {
    number: u32,
    state: Mutex<State>,
    /// Woken when either end may find something new.
    changed: WaitQueue,
    /// Who watches the readiness of either end.
    watchers: Watchers,
}

struct State {
    line: Line,
    size: WindowSize,
    locked: bool,
    /// The master is closed.
    hung_up: bool,
    /// Open slaves; none yet is not the same as none any more.
    slaves: Option<usize>,
    /// The session that it is the terminal of.
    tie: Option<Tie>,
}

/// `/dev/pts` as a directory with `ptmx` alone.
pub fn directory(parent: Node) -> Arc<MemoryInode> {
    let body = Body::Directory(Mutex::new(Directory::inside(parent)));
    let directory = MemoryInode::new(PTS_DEVICE, 0o755, 0, 0, body);
    let ptmx = MemoryInode::new(PTS_DEVICE, 0o666, 0, 0, Body::CharDevice(super::PTMX));
    put_name(&directory, b"ptmx", Some(ptmx));
    DIRECTORY.call_once(|| directory.clone());
    directory
}

/// Gives or takes a name of `/dev/pts`.
fn put_name(directory: &MemoryInode, name: &[u8], inode: Option<Arc<MemoryInode>>) {
    let Ok(names) = directory.directory() else {
        return;
    };
    let mut names = names.lock();
    match inode {
        Some(inode) => names
            .entries
            .insert(Box::from(name), Entry::Node(Node::Memory(inode))),
        None => names.entries.remove(name),
    };
}

fn name_of(number: u32) -> Vec<u8> {
    alloc::format!("{number}").into_bytes()
}

/// Opens `/dev/ptmx`: a new terminal, locked.
///
/// # Errors
/// ENOSPC when there are too many.
pub fn open_master(node: Node, flags: u32, origin: Option<Origin>) -> Result<Arc<OpenFile>, Errno> {
    let directory = DIRECTORY.get().ok_or(Errno::ENXIO)?;
    let terminal = {
        let mut terminals = TERMINALS.lock();
        let number = (0..TERMINALS_MAX)
            .find(|number| !terminals.contains_key(number))
            .ok_or(Errno::ENOSPC)?;
        let terminal = Arc::new(Terminal::new(number));
        terminals.insert(number, terminal.clone());
        terminal
    };
    let device = Body::CharDevice(number(SLAVE_MAJOR, terminal.number));
    let slave = MemoryInode::new(PTS_DEVICE, 0o620, Caller::current().uid, TTY_GROUP, device);
    put_name(directory, &name_of(terminal.number), Some(slave));
    Ok(OpenFile::new(Master::new(terminal, node), flags, origin))
}

/// Opens slave `number`.
///
/// # Errors
/// EIO while it is locked or when it is hung up, ENXIO where there is none.
pub fn open_slave(
    number: u32,
    node: Node,
    flags: u32,
    origin: Option<Origin>,
) -> Result<Arc<OpenFile>, Errno> {
    let terminal = (TERMINALS.lock().get(&number).cloned()).ok_or(Errno::ENXIO)?;
    if terminal.state.lock().locked {
        return Err(Errno::EIO);
    }
    terminal.open(node, flags, origin)
}

impl Terminal {
    fn new(number: u32) -> Terminal {
        Terminal {
            number,
            state: Mutex::new(State {
                line: Line::new(),
                size: WindowSize::default(),
                locked: true,
                hung_up: false,
                slaves: None,
                tie: None,
            }),
            changed: WaitQueue::new(),
            watchers: Watchers::new(),
        }
    }

    /// Device number of the slave.
    pub fn device(&self) -> u32 {
        number(SLAVE_MAJOR, self.number)
    }

    /// Runs `with` on the state, then wakes whoever waits for a change of it.
    fn change<R>(&self, with: impl FnOnce(&mut State) -> R) -> R {
        let result = {
            let mut state = self.state.lock();
            with(&mut state)
        };
        self.changed.wake_all();
        // What one end does changes either: no event can be told apart here.
        self.watchers
            .notify(EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLERR | EPOLLHUP);
        result
    }

    /// Opens the slave. The first terminal that a session's leader opens without
    /// O_NOCTTY becomes the session's.
    pub(super) fn open(
        self: &Arc<Self>,
        node: Node,
        flags: u32,
        origin: Option<Origin>,
    ) -> Result<Arc<OpenFile>, Errno> {
        let slave = Slave::new(self, node)?;
        if flags & O_NOCTTY == 0 && flags & O_ACCMODE != O_WRONLY {
            // One that has a terminal already keeps it.
            let _ = Controlling::Pty(self.clone()).take();
        }
        Ok(OpenFile::new(slave, flags & !O_NOCTTY, origin))
    }

    /// The slave's node and where it is.
    fn place(&self) -> Option<(Node, Origin)> {
        let directory = DIRECTORY.get()?;
        let parent = Node::Memory(directory.clone());
        let name = name_of(self.number);
        let node = parent.lookup(&name).ok()??;
        Some((node, Origin::new(parent, &name)))
    }

    /// Runs `with` on what says whose terminal it is.
    pub(super) fn with_tie<R>(&self, with: impl FnOnce(&mut Option<Tie>) -> R) -> R {
        with(&mut self.state.lock().tie)
    }

    /// Sends a signal to the group in the foreground, if there is one.
    fn signal(&self, signal: u32) {
        if let Some(tie) = self.with_tie(|tie| *tie) {
            terminal::signal_group(tie.foreground, &[signal]);
        }
    }

    /// The master is closed.
    fn hang_up(self: &Arc<Self>) {
        // The name goes before the number is free for another.
        if let Some(directory) = DIRECTORY.get() {
            put_name(directory, &name_of(self.number), None);
        }
        TERMINALS.lock().remove(&self.number);
        let tie = self.change(|state| {
            state.hung_up = true;
            state.tie.take()
        });
        if let Some(tie) = tie {
            terminal::hung_up(tie);
        }
    }
}
