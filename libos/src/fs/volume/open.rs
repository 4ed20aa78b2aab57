//! Opening files of a volume, those that are there and new ones; copies by the host.

use alloc::sync::Arc;

use linux_raw_sys::general::{O_ACCMODE, O_CREAT, O_EXCL, O_RDONLY, O_TRUNC};
use unikiln_abi::volume::opcode;

use super::exchange::Question;
use super::file::VolumeFile;
use super::inode::{Entry, VolumeInode};
use super::names::check_new;
use super::watch;
use crate::errno::Errno;
use crate::fs::access::Caller;
use crate::fs::attributes::FileType;
use crate::fs::directory::DirectoryFile;
use crate::fs::limits;
use crate::fs::memory::Body;
use crate::fs::node::Node;
use crate::fs::open_file::{OpenFile, Origin};
use crate::fs::path::Found;

/// Opens what is there. `kept` are the flags that the open file keeps.
pub fn open(
    inode: &Arc<VolumeInode>,
    flags: u32,
    kept: u32,
    origin: Option<Origin>,
) -> Result<Arc<OpenFile>, Errno> {
    match inode.file_type() {
        FileType::Regular => {
            let parts: [&[u8]; 2] = [&(flags & !(O_CREAT | O_EXCL)).to_le_bytes(), &[0; 4]];
            let handle = match inode.take_ready(flags) {
                Some(handle) => handle,
                None => inode.ask(opcode::OPEN, &parts, |it| it.u64())?,
            };
            if flags & O_TRUNC != 0 {
                inode.changed();
                inode.pages.lock().cut(0);
            }
            Ok(opened(inode.clone(), handle, kept, origin))
        }
        FileType::Directory => {
            let file = DirectoryFile::new(Node::Volume(inode.clone()));
            Ok(OpenFile::new(file, kept, origin))
        }
        FileType::Fifo => {
            let pipe = inode.pipe()?;
            match &pipe.body {
                Body::Fifo(queue) => queue.open_named(&pipe, kept, origin),
                _ => Err(Errno::EIO),
            }
        }
        FileType::Symlink => Err(Errno::ELOOP),
        // As on a mount with nodev.
        FileType::CharDevice | FileType::BlockDevice => Err(Errno::EACCES),
        FileType::Socket => Err(Errno::ENXIO),
    }
}

fn opened(
    inode: Arc<VolumeInode>,
    handle: u64,
    kept: u32,
    origin: Option<Origin>,
) -> Arc<OpenFile> {
    inode.pages.lock().opened();
    watch::look();
    let file = VolumeFile {
        inode,
        handle,
        writes: kept & O_ACCMODE != O_RDONLY,
    };
    OpenFile::new(file, kept, origin)
}

/// Makes and opens a file in one step; `mode` has the creation mask applied.
pub fn open_new(
    caller: &Caller,
    directory: &Arc<VolumeInode>,
    found: &Found,
    flags: u32,
    mode: u32,
    kept: u32,
) -> Result<Arc<OpenFile>, Errno> {
    let name = check_new(caller, directory, found, false)?;
    let parts: [&[u8]; 5] = [
        &flags.to_le_bytes(),
        &mode.to_le_bytes(),
        &[0; 8],
        name,
        &[0],
    ];
    let (entry, handle) = directory.ask(opcode::CREATE, &parts, |fields| {
        Some((Entry::read(fields)?, fields.u64()?))
    })?;
    directory.changed();
    let parent = Node::Volume(directory.clone());
    let origin = Origin::new(parent.clone(), name);
    let inode = directory.volume.inode(&entry, Some(parent));
    Ok(opened(inode, handle, kept, Some(origin)))
}

/// Copies bytes inside a volume, by the host: how many; none where it cannot.
pub fn copy_range(
    from: &OpenFile,
    from_at: u64,
    to: &OpenFile,
    to_at: u64,
    len: u64,
) -> Result<Option<usize>, Errno> {
    let handles = (from.file().volume_handle(), to.file().volume_handle());
    let (Some((device, node, handle)), Some((to_device, to_node, to_handle))) = handles else {
        return Ok(None);
    };
    let (Some(Node::Volume(source)), Some(Node::Volume(target))) = (from.node(), to.node()) else {
        return Ok(None);
    };
    if device != to_device || limits::file_size() < i64::MAX as u64 {
        return Ok(None);
    }
    source.write_back_for(0, usize::MAX)?;
    target.write_back_for(0, usize::MAX)?;
    let fields = [handle, from_at, to_node, to_handle, to_at, len, 0].map(u64::to_le_bytes);
    let question = Question {
        opcode: opcode::COPY_FILE_RANGE,
        node,
        parts: &[fields.as_flattened()],
    };
    let copied = source.volume.ask(&question, 0, |it| it.u32());
    target.changed();
    target.refresh_pages();
    watch::look();
    match copied {
        Ok(count) => Ok(Some(count as usize)),
        // The host's file systems cannot: byte by byte then.
        Err(Errno::EXDEV | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINVAL) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// O_TMPFILE: makes and opens a file without a name.
pub fn open_unnamed(
    directory: &Arc<VolumeInode>,
    flags: u32,
    mode: u32,
    kept: u32,
) -> Result<Arc<OpenFile>, Errno> {
    let parts: [&[u8]; 3] = [&flags.to_le_bytes(), &mode.to_le_bytes(), &[0; 8]];
    let (entry, handle) = directory.ask(opcode::TMPFILE, &parts, |fields| {
        Some((Entry::read(fields)?, fields.u64()?))
    })?;
    let inode = directory.volume.inode(&entry, None);
    Ok(opened(inode, handle, kept, None))
}
