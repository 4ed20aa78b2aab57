//! Memory files without a name: of memfd_create, behind shared anonymous
//! mappings and System V's segments. The memory limit alone bounds them.

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general::{F_SEAL_EXEC, F_SEAL_SEAL, O_LARGEFILE, O_RDWR};
use spin::Mutex;

use super::OpenFile;
use super::access::Caller;
use super::attributes::SHM_DEVICE;
use super::memory::{Body, Data, MemoryInode};
use super::regular::MemoryFile;

fn make(mode: u32, size: u64, seals: u32) -> Arc<MemoryInode> {
    let caller = Caller::current();
    let mut data = Data::unnamed(size);
    data.seals = seals;
    let body = Body::Regular(Mutex::new(data));
    let inode = MemoryInode::new(SHM_DEVICE, mode, caller.uid, caller.gid, body);
    inode.meta.lock().nlink = 0;
    inode
}

/// A memory file that shows as `name`. One that takes no seals is sealed
/// against them; one that is never executed cannot be made executable either.
pub fn open_memory(name: &[u8], sealable: bool, executable: bool) -> Arc<OpenFile> {
    let mut seals = if sealable { 0 } else { F_SEAL_SEAL };
    if !executable {
        seals |= F_SEAL_EXEC;
    }
    let inode = make(if executable { 0o777 } else { 0o666 }, 0, seals);
    let label = [b"/memfd:", name, b" (deleted)"].concat();
    OpenFile::new(
        MemoryFile::unnamed(inode, label),
        O_RDWR | O_LARGEFILE,
        None,
    )
}

/// Shared memory of `bytes` that shows as `label`.
pub fn open_shared_memory(bytes: u64, label: Vec<u8>) -> Arc<OpenFile> {
    let inode = make(0o777, bytes, F_SEAL_SEAL);
    OpenFile::new(MemoryFile::unnamed(inode, label), O_RDWR, None)
}
