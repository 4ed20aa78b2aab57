//! Devices: what is behind `/dev` and the standard streams.
//!
//! | module | what it owns |
//! |---|---|
//! | `memory` | `null`, `zero`, `full`, `random` |
//! | `stream` | standard input, output and error |
//! | `random` | the random number generator |

mod memory;
pub mod random;
pub mod stream;

use alloc::sync::Arc;

use linux_raw_sys::general::O_NONBLOCK;

use crate::errno::Errno;
use crate::fs::OpenFile;
use crate::fs::node::Node;
use crate::fs::open_file::Origin;
use memory::{MemoryDevice, MemoryKind};
use stream::{StreamFile, StreamKind};

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

/// A device node in `/dev`.
pub struct DeviceNode {
    /// Name.
    pub name: &'static [u8],
    /// Device number.
    pub rdev: u32,
    /// Permission bits.
    pub mode: u32,
}

/// The device nodes of `/dev`.
pub const NODES: &[DeviceNode] = &[
    DeviceNode {
        name: b"null",
        rdev: NULL,
        mode: 0o666,
    },
    DeviceNode {
        name: b"zero",
        rdev: ZERO,
        mode: 0o666,
    },
    DeviceNode {
        name: b"full",
        rdev: FULL,
        mode: 0o666,
    },
    DeviceNode {
        name: b"random",
        rdev: RANDOM,
        mode: 0o666,
    },
    DeviceNode {
        name: b"urandom",
        rdev: URANDOM,
        mode: 0o666,
    },
    DeviceNode {
        name: b"tty",
        rdev: TTY,
        mode: 0o666,
    },
    DeviceNode {
        name: b"console",
        rdev: CONSOLE,
        mode: 0o620,
    },
];

/// The symlinks of `/dev`.
pub const LINKS: &[(&[u8], &[u8])] = &[
    (b"fd", b"/proc/self/fd"),
    (b"stdin", b"/proc/self/fd/0"),
    (b"stdout", b"/proc/self/fd/1"),
    (b"stderr", b"/proc/self/fd/2"),
    (b"core", b"/proc/kcore"),
];

/// Opens the character device `rdev`; ENXIO where there is none, as for `tty`,
/// because no program has a controlling terminal.
pub fn open(
    rdev: u32,
    node: Node,
    flags: u32,
    origin: Option<Origin>,
) -> Result<Arc<OpenFile>, Errno> {
    let kind = match rdev {
        NULL => MemoryKind::Null,
        ZERO => MemoryKind::Zero,
        FULL => MemoryKind::Full,
        RANDOM | URANDOM => MemoryKind::Random,
        CONSOLE => {
            let file = StreamFile::new(StreamKind::Stderr);
            return Ok(OpenFile::new(file, flags & !O_NONBLOCK, origin));
        }
        _ => return Err(Errno::ENXIO),
    };
    Ok(OpenFile::new(MemoryDevice::new(kind, node), flags, origin))
}
