//! Volumes: directories and files of the host, seen through FUSE messages.
//!
//! ```text
//! path walk ─ Node::Volume(VolumeInode) ─┬─ inode, directory, xattr: asking
//!                                        ├─ names: making, removing, renaming
//!  open ───── VolumeFile ── file ────────┼─ pages: what is mapped
//!                                        └─ exchange ── VOLUME_CALL ── monitor
//! ```
//!
//! The contract with the monitor is `unikiln_abi::volume`. Nothing is kept: each
//! question asks the host, so that its changes are seen at once; only attributes
//! that came with an answer hold until the system call that asked ends. Bytes that
//! `write` took are the host's when it returns. What stays behind is told with
//! the next question: nodes that are no longer used, handles that were only read.
//!
//! A symlink is read here and walked on in the guest's view, so that none leads out of
//! the volume on the host. `..` is kept here too: a directory that the host moves
//! keeps its old parent until it is found again by name.
//!
//! Locks of ranges and of whole files (`fs::lock`) are the guest's own: the host and
//! other guests do not see them. Pipes are the guest's own too, and sockets in a
//! volume are names only. Device nodes cannot be opened.
//!
//! What is mapped shared is written back by msync, munmap, close, fsync, a read of the
//! same bytes and the end of the program, byte by byte where it changed; a mapping
//! shows the host's changes once the file is opened again. A monitor that is
//! killed loses what was written to a mapping and not written back.

mod directory;
mod exchange;
mod file;
mod inode;
mod mount;
mod names;
mod open;
mod pages;
pub mod watch;
mod xattr;

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::fmt;

use hashbrown::HashMap;
use spin::{Mutex, Once};
use unikiln_abi::volume::VOLUME_READ_ONLY;

pub use inode::{Change, VolumeInode};
pub use mount::mount_all;
pub(super) use mount::{covered, visit_covered};
pub use names::{create, link, remove, rename};
pub use open::{copy_range, open, open_new, open_unnamed};
pub use pages::write_back_all;

use super::attributes::FIRST_VOLUME_DEVICE;
use super::memory::MemoryInode;
use exchange::Pending;

static VOLUMES: Once<Vec<Volume>> = Once::new();

/// One volume.
pub struct Volume {
    index: u64,
    flags: u32,
    /// Its place as the command line has it.
    place: Vec<u8>,
    /// Inodes in use, by node.
    inodes: Mutex<HashMap<u64, Weak<VolumeInode>>>,
    /// Pipes in use, by inode number.
    pipes: Mutex<HashMap<u64, Weak<MemoryInode>>>,
    pending: Mutex<Pending>,
}

impl fmt::Debug for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Volume({})", self.index)
    }
}

impl Volume {
    /// Device number of its files.
    pub fn device(&self) -> u64 {
        FIRST_VOLUME_DEVICE + self.index
    }

    /// Where it is mounted.
    pub fn place(&self) -> &[u8] {
        &self.place
    }

    /// Whether it cannot be changed.
    pub fn is_read_only(&self) -> bool {
        self.flags & VOLUME_READ_ONLY != 0
    }
}

/// All volumes.
pub fn all() -> &'static [Volume] {
    VOLUMES.get().map_or(&[], Vec::as_slice)
}

/// The volume whose files have this device number.
pub fn by_device(device: u64) -> Option<&'static Volume> {
    all().get(usize::try_from(device.checked_sub(FIRST_VOLUME_DEVICE)?).ok()?)
}

/// The inode behind a node of a volume.
pub fn inode_of(node: &super::node::Node) -> Option<&Arc<VolumeInode>> {
    match node {
        super::node::Node::Volume(inode) => Some(inode),
        _ => None,
    }
}

/// Writes all that volumes have to the disk.
pub fn sync_all() {
    write_back_all();
    for volume in all() {
        // sync(2) tells nobody what went wrong.
        let _ = volume.sync();
    }
}
