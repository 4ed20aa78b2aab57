//! Writes a tree as the tar stream of a layer, names in byte order.

use std::io::{self, Read, Write};

use tar::{Builder, EntryType, Header};

use crate::rootfs::RootFs;
use crate::rootfs::storage::{Contents, StorageError};
use crate::rootfs::tree::{InodeId, Kind, Tree};

/// What keeps a layer from being written.
#[derive(Debug, thiserror::Error)]
pub enum WriteLayerError {
    /// A file's contents cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A member cannot be written.
    #[error("cannot write {path:?}")]
    Write {
        /// The member.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Writes all of `rootfs`, in which every inode has one name.
pub(super) fn write<W: Write>(rootfs: &RootFs, output: W) -> Result<W, WriteLayerError> {
    let mut builder = Builder::new(output);
    directory(rootfs, &mut builder, InodeId::ROOT, "")?;
    builder
        .into_inner()
        .map_err(|source| WriteLayerError::Write {
            path: "/".to_owned(),
            source,
        })
}

fn directory(
    rootfs: &RootFs,
    builder: &mut Builder<impl Write>,
    id: InodeId,
    path: &str,
) -> Result<(), WriteLayerError> {
    let Some(names) = rootfs.tree.names(id) else {
        return Ok(());
    };
    for (name, dentry) in names {
        // Names of this machine that are not UTF-8 do not occur in programs' files.
        let path = format!("{path}{}", String::from_utf8_lossy(name));
        member(rootfs, builder, dentry.inode, &path)?;
        directory(rootfs, builder, dentry.inode, &format!("{path}/"))?;
    }
    Ok(())
}

fn member(
    rootfs: &RootFs,
    builder: &mut Builder<impl Write>,
    id: InodeId,
    path: &str,
) -> Result<(), WriteLayerError> {
    let failed = |source| WriteLayerError::Write {
        path: path.to_owned(),
        source,
    };
    let mut header = header(&rootfs.tree, id);
    match &rootfs.tree.inode(id).kind {
        Kind::File(data) => {
            let contents = rootfs.storage.open(data)?;
            let reader = ContentsReader {
                contents,
                position: 0,
                len_bytes: data.len_bytes(),
            };
            header.set_size(data.len_bytes());
            builder
                .append_data(&mut header, path, reader)
                .map_err(failed)
        }
        Kind::Symlink(target) => {
            let target = String::from_utf8_lossy(target).into_owned();
            builder
                .append_link(&mut header, path, target)
                .map_err(failed)
        }
        Kind::Directory(_) => builder
            .append_data(&mut header, format!("{path}/"), io::empty())
            .map_err(failed),
        Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => {
            header.set_device_major(*major).map_err(failed)?;
            header.set_device_minor(*minor).map_err(failed)?;
            builder
                .append_data(&mut header, path, io::empty())
                .map_err(failed)
        }
        Kind::Fifo => builder
            .append_data(&mut header, path, io::empty())
            .map_err(failed),
    }
}

fn header(tree: &Tree, id: InodeId) -> Header {
    let inode = tree.inode(id);
    let mut header = Header::new_gnu();
    header.set_entry_type(match inode.kind {
        Kind::Directory(_) => EntryType::Directory,
        Kind::File(_) => EntryType::Regular,
        Kind::Symlink(_) => EntryType::Symlink,
        Kind::CharDevice { .. } => EntryType::Char,
        Kind::BlockDevice { .. } => EntryType::Block,
        Kind::Fifo => EntryType::Fifo,
    });
    header.set_mode(u32::from(inode.attributes.mode));
    header.set_uid(u64::from(inode.attributes.uid));
    header.set_gid(u64::from(inode.attributes.gid));
    header.set_mtime(inode.attributes.mtime_s);
    header.set_size(0);
    header
}

/// Contents as a stream.
struct ContentsReader<'a> {
    contents: Contents<'a>,
    position: u64,
    len_bytes: u64,
}

impl Read for ContentsReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.len_bytes - self.position).unwrap_or(usize::MAX);
        let len = buffer.len().min(left);
        self.contents
            .read_exact_at(&mut buffer[..len], self.position)
            .map_err(io::Error::other)?;
        self.position += len as u64;
        Ok(len)
    }
}
