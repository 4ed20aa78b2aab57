//! Devices: what is behind `/dev` and the standard streams.
//!
//! | module | what it owns |
//! |---|---|
//! | `memory` | `null`, `zero`, `full`, `random` |
//! | `stream` | standard input, output and error |
//! | `pty` | pseudo-terminals: `ptmx`, `pts/` |
//! | `terminal` | the terminals of sessions: `tty` |
//! | `random` | the random number generator |

mod memory;
pub mod pty;
pub mod random;
pub mod stream;
pub mod terminal;

use alloc::sync::Arc;

use linux_raw_sys::general::{O_NOCTTY, O_NONBLOCK};

use crate::boot;
use crate::errno::Errno;
use crate::fs::OpenFile;
use crate::fs::node::Node;
use crate::fs::open_file::Origin;
use memory::{MemoryDevice, MemoryKind};
use stream::{StreamFile, StreamKind};
use terminal::Controlling;

/// Device number of `major:minor` (both below 256).
const fn number(major: u32, minor: u32) -> u32 {
    major << 8 | minor
}

const NULL: u32 = number(1, 3);
const ZERO: u32 = number(1, 5);
const FULL: u32 = number(1, 7);
const RANDOM: u32 = number(1, 8);
const URANDOM: u32 = number(1, 9);
const TTY: u32 = number(5, 0);
const CONSOLE: u32 = number(5, 1);
const PTMX: u32 = number(5, 2);
/// Group `tty`.
const TTY_GROUP: u32 = 5;

/// A device node in `/dev`.
pub struct DeviceNode {
    /// Name.
    pub name: &'static [u8],
    /// Device number.
    pub rdev: u32,
    /// Permission bits.
    pub mode: u32,
    /// Group; the user is 0.
    pub gid: u32,
}

impl DeviceNode {
    /// One that everybody may use.
    const fn open_to_all(name: &'static [u8], rdev: u32) -> DeviceNode {
        DeviceNode {
            name,
            rdev,
            mode: 0o666,
            gid: 0,
        }
    }
}

/// The device nodes of `/dev`.
pub const NODES: &[DeviceNode] = &[
    DeviceNode::open_to_all(b"null", NULL),
    DeviceNode::open_to_all(b"zero", ZERO),
    DeviceNode::open_to_all(b"full", FULL),
    DeviceNode::open_to_all(b"random", RANDOM),
    DeviceNode::open_to_all(b"urandom", URANDOM),
    DeviceNode::open_to_all(b"tty", TTY),
    DeviceNode {
        name: b"console",
        rdev: CONSOLE,
        mode: 0o620,
        gid: TTY_GROUP,
    },
];

/// The symlinks of `/dev`.
pub const LINKS: &[(&[u8], &[u8])] = &[
    (b"fd", b"/proc/self/fd"),
    (b"stdin", b"/proc/self/fd/0"),
    (b"stdout", b"/proc/self/fd/1"),
    (b"stderr", b"/proc/self/fd/2"),
    (b"ptmx", b"pts/ptmx"),
];

/// Opens the character device `rdev`; ENXIO where there is none, as for `tty`
/// without a controlling terminal.
pub fn open(
    rdev: u32,
    node: Node,
    flags: u32,
    origin: Option<Origin>,
) -> Result<Arc<OpenFile>, Errno> {
    // O_NOCTTY says something about the opening alone.
    let kept = flags & !O_NOCTTY;
    let kind = match rdev {
        NULL => MemoryKind::Null,
        ZERO => MemoryKind::Zero,
        FULL => MemoryKind::Full,
        RANDOM | URANDOM => MemoryKind::Random,
        CONSOLE if boot::has_flag(stream::TERMINAL_FLAGS) => {
            let file = StreamFile::new(StreamKind::Terminal);
            return Ok(OpenFile::new(file, kept, origin));
        }
        // Nobody is there to type: it is the log.
        CONSOLE => {
            let file = StreamFile::new(StreamKind::Stderr);
            return Ok(OpenFile::new(file, kept & !O_NONBLOCK, origin));
        }
        TTY => return open_terminal(node, kept, origin),
        PTMX => return pty::open_master(node, kept, origin),
        _ if rdev >> 8 == pty::SLAVE_MAJOR => {
            return pty::open_slave(rdev & 0xff, node, flags, origin);
        }
        _ => return Err(Errno::ENXIO),
    };
    Ok(OpenFile::new(MemoryDevice::new(kind, node), kept, origin))
}

/// `/dev/tty`.
fn open_terminal(node: Node, flags: u32, origin: Option<Origin>) -> Result<Arc<OpenFile>, Errno> {
    match terminal::current() {
        Controlling::None | Controlling::Gone(_) => Err(Errno::ENXIO),
        Controlling::Console => {
            let file = StreamFile::new(StreamKind::Terminal);
            Ok(OpenFile::new(file, flags, origin))
        }
        Controlling::Pty(terminal) => terminal.open(node, flags | O_NOCTTY, origin),
    }
}
