//! The space that a file takes: what fallocate does to memory files, and
//! madvise(MADV_REMOVE) to those that are mapped.
//!
//! Like ext4, files have blocks of a page; unlike it, none are shared, and
//! UNSHARE_RANGE is refused as ext4 refuses it. Source: fallocate(2).

use alloc::sync::Arc;

use linux_raw_sys::general::{
    F_SEAL_GROW, F_SEAL_SHRINK, FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE,
    FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE,
};

use super::attributes::FileType;
use super::memory::MemoryInode;
use super::memory::data::SIZE_MAX_BYTES;
use super::node::Node;
use super::regular::{SEALS_OF_WRITES, forget_mapped, too_big};
use super::{OpenFile, PAGE_BYTES, limits};
use crate::errno::Errno;
use crate::mm;

/// What happens to the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Memory for it is there.
    Allocate,
    /// It reads as zero and takes no memory.
    Punch,
    /// It reads as zero.
    Zero,
    /// It is taken out, what follows moves down.
    Collapse,
    /// Zeros are put in, what was there moves up.
    Insert,
}

impl Change {
    /// From `FALLOC_FL_*` bits: the change, and whether the file keeps its size.
    ///
    /// # Errors
    /// EOPNOTSUPP.
    pub fn from_mode(mode: u32) -> Result<(Change, bool), Errno> {
        let keeps = mode & FALLOC_FL_KEEP_SIZE != 0;
        match (mode & !FALLOC_FL_KEEP_SIZE, keeps) {
            (0, _) => Ok((Change::Allocate, keeps)),
            (FALLOC_FL_ZERO_RANGE, _) => Ok((Change::Zero, keeps)),
            (FALLOC_FL_PUNCH_HOLE, true) => Ok((Change::Punch, true)),
            (FALLOC_FL_COLLAPSE_RANGE, false) => Ok((Change::Collapse, false)),
            (FALLOC_FL_INSERT_RANGE, false) => Ok((Change::Insert, false)),
            _ => Err(Errno::EOPNOTSUPP),
        }
    }

    /// The `FALLOC_FL_*` bits.
    pub fn to_mode(self, keeps_size: bool) -> u32 {
        let keeps = if keeps_size { FALLOC_FL_KEEP_SIZE } else { 0 };
        keeps
            | match self {
                Change::Allocate => 0,
                Change::Punch => FALLOC_FL_PUNCH_HOLE,
                Change::Zero => FALLOC_FL_ZERO_RANGE,
                Change::Collapse => FALLOC_FL_COLLAPSE_RANGE,
                Change::Insert => FALLOC_FL_INSERT_RANGE,
            }
    }
}

/// fallocate(2), after the checks of its flags.
///
/// # Errors
/// As the man page has them.
pub fn allocate(
    file: &OpenFile,
    change: Change,
    keeps_size: bool,
    start: u64,
    len: u64,
) -> Result<(), Errno> {
    if !file.writable() {
        return Err(Errno::EBADF);
    }
    let inode = match file.node() {
        Some(Node::Volume(inode)) if inode.file_type() == FileType::Regular => {
            return file.file().allocate(change, keeps_size, start, len);
        }
        Some(Node::Memory(inode)) if inode.file_type() == FileType::Regular => inode,
        Some(Node::Memory(inode)) if inode.file_type() == FileType::Fifo => {
            return Err(Errno::ESPIPE);
        }
        Some(node) if node.is_directory() => return Err(Errno::EISDIR),
        Some(_) => return Err(Errno::ENODEV),
        None if file.file().as_pipe().is_some() => return Err(Errno::ESPIPE),
        None => return Err(Errno::ENODEV),
    };
    let end = start
        .checked_add(len)
        .filter(|&end| end <= SIZE_MAX_BYTES)
        .ok_or(Errno::EFBIG)?;
    let writing = inode.writing.lock();
    change_range(&inode, change, keeps_size, start, end)?;
    inode.touch_modified();
    drop(writing);
    if change == Change::Punch {
        mm::give_free_to_host();
    }
    Ok(())
}

/// Makes a hole behind a mapping (MADV_REMOVE).
///
/// # Errors
/// As [`allocate`].
pub fn punch_hole(file: &Arc<OpenFile>, start: u64, len: u64) -> Result<(), Errno> {
    allocate(file, Change::Punch, true, start, len)
}

fn change_range(
    inode: &MemoryInode,
    change: Change,
    keeps_size: bool,
    start: u64,
    end: u64,
) -> Result<(), Errno> {
    let moves = matches!(change, Change::Collapse | Change::Insert);
    {
        let mut data = inode.data()?.lock();
        let old = data.size();
        let size = match change {
            Change::Collapse | Change::Insert
                if !start.is_multiple_of(PAGE_BYTES) || !end.is_multiple_of(PAGE_BYTES) =>
            {
                return Err(Errno::EINVAL);
            }
            Change::Collapse if end >= old => return Err(Errno::EINVAL),
            Change::Collapse => old - (end - start),
            Change::Insert if start >= old => return Err(Errno::EINVAL),
            Change::Insert => old + (end - start),
            _ if keeps_size => old,
            _ => old.max(end),
        };
        if size > SIZE_MAX_BYTES {
            return Err(Errno::EFBIG);
        }
        if size > old && size > limits::file_size() {
            return Err(too_big(size));
        }
        let sealed = data.seals & SEALS_OF_WRITES != 0 && change != Change::Allocate
            || size > old && data.seals & F_SEAL_GROW != 0
            || size < old && data.seals & F_SEAL_SHRINK != 0;
        if sealed {
            return Err(Errno::EPERM);
        }
        match change {
            Change::Allocate => data.reserve(start, end - start)?,
            Change::Punch | Change::Zero => data.zero_range(start, end - start)?,
            Change::Collapse => data.collapse(start / PAGE_BYTES, end / PAGE_BYTES)?,
            Change::Insert => data.insert(start / PAGE_BYTES, end / PAGE_BYTES)?,
        }
        if size != old {
            data.resize(size)?;
        }
    }
    // Copies that private mappings made stay, but where pages moved.
    let last = if moves {
        u64::MAX
    } else {
        end.div_ceil(PAGE_BYTES)
    };
    forget_mapped(inode, start / PAGE_BYTES, last, moves);
    Ok(())
}
