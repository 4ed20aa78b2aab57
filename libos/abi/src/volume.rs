//! Volumes: directories and files of the host, reached by FUSE messages.
//!
//! [`crate::call::VOLUME_CALL`] carries one request: FUSE messages one after
//! another, each padded to 8 bytes. They are served in order, and their replies
//! follow each other in the same way. What differs from FUSE on a device:
//!
//! - Bytes of files, directories and extended attributes are not in the
//!   messages. READ, READDIR, GETXATTR and LISTXATTR put them into the call's
//!   data range; WRITE and SETXATTR take them from there.
//! - [`NODE_PREVIOUS`] names the node of the reply before, so that looking up and
//!   opening is one call. After an error such a message is not served.
//! - FORGET, BATCH_FORGET and RELEASE have no reply.
//! - READDIR needs no OPENDIR: its handle is 0. Its reply has the bytes of the entries,
//!   then 1 where they are the last.
//! - The reply to WRITE has the offset after the bytes, see [`WRITE_APPEND`].
//! - There is no INIT: [`crate::ABI_VERSION`] stands for it.
//!
//! The strings block names each volume with `FLAGS DST`: decimal `VOLUME_*` bits
//! and the place in the guest. Volumes are numbered from 0 in this order. The
//! root of each is node [`NODE_ROOT`]. Node numbers and handles belong to one volume.
//!
//! Source: the kernel's `linux/fuse.h`, protocol 7.39.

#[cfg(test)]
mod tests;

/// Node of a volume's root.
pub const NODE_ROOT: u64 = 1;
/// The node that the reply before this message tells of.
pub const NODE_PREVIOUS: u64 = u64::MAX;

/// The volume cannot be changed.
pub const VOLUME_READ_ONLY: u32 = 1 << 0;
/// The volume is a single file.
pub const VOLUME_FILE: u32 = 1 << 1;

/// Most bytes of a request's messages, and of the replies to them.
pub const MESSAGES_MAX_BYTES: u64 = 64 << 10;
/// Most bytes of the data range.
pub const DATA_MAX_BYTES: u64 = 1 << 20;
/// Most volumes of a guest.
pub const VOLUMES_MAX: usize = 64;

/// Opcodes.
pub mod opcode {
    #![allow(missing_docs, reason = "names are FUSE's")]
    pub const LOOKUP: u32 = 1;
    pub const FORGET: u32 = 2;
    pub const GETATTR: u32 = 3;
    pub const SETATTR: u32 = 4;
    pub const READLINK: u32 = 5;
    pub const SYMLINK: u32 = 6;
    pub const MKNOD: u32 = 8;
    pub const MKDIR: u32 = 9;
    pub const UNLINK: u32 = 10;
    pub const RMDIR: u32 = 11;
    pub const LINK: u32 = 13;
    pub const OPEN: u32 = 14;
    pub const READ: u32 = 15;
    pub const WRITE: u32 = 16;
    pub const STATFS: u32 = 17;
    pub const RELEASE: u32 = 18;
    pub const FSYNC: u32 = 20;
    pub const SETXATTR: u32 = 21;
    pub const GETXATTR: u32 = 22;
    pub const LISTXATTR: u32 = 23;
    pub const REMOVEXATTR: u32 = 24;
    pub const READDIR: u32 = 28;
    pub const CREATE: u32 = 35;
    pub const BATCH_FORGET: u32 = 42;
    pub const FALLOCATE: u32 = 43;
    pub const RENAME2: u32 = 45;
    pub const LSEEK: u32 = 46;
    pub const COPY_FILE_RANGE: u32 = 47;
    pub const SYNCFS: u32 = 50;
    pub const TMPFILE: u32 = 51;
}

/// GETATTR: ask the handle.
pub const GETATTR_FH: u32 = 1 << 0;
/// SETATTR: which fields count.
pub const FATTR_MODE: u32 = 1 << 0;
/// See [`FATTR_MODE`].
pub const FATTR_UID: u32 = 1 << 1;
/// See [`FATTR_MODE`].
pub const FATTR_GID: u32 = 1 << 2;
/// See [`FATTR_MODE`].
pub const FATTR_SIZE: u32 = 1 << 3;
/// See [`FATTR_MODE`].
pub const FATTR_ATIME: u32 = 1 << 4;
/// See [`FATTR_MODE`].
pub const FATTR_MTIME: u32 = 1 << 5;
/// See [`FATTR_MODE`].
pub const FATTR_FH: u32 = 1 << 6;
/// See [`FATTR_MODE`].
pub const FATTR_ATIME_NOW: u32 = 1 << 7;
/// See [`FATTR_MODE`].
pub const FATTR_MTIME_NOW: u32 = 1 << 8;
/// SETATTR and WRITE: set-ID bits go, nobody with CAP_FSETID does it.
pub const FATTR_KILL_SUIDGID: u32 = 1 << 11;
/// See [`FATTR_KILL_SUIDGID`].
pub const WRITE_KILL_SUIDGID: u32 = 1 << 2;
/// WRITE: at the end of the file, whatever the offset says. Not FUSE's own.
pub const WRITE_APPEND: u32 = 1 << 16;
/// FSYNC: the data only.
pub const FSYNC_DATA: u32 = 1 << 0;

/// Bytes of a message's header.
pub const IN_HEADER_BYTES: usize = 40;
/// Bytes of a reply's header.
pub const OUT_HEADER_BYTES: usize = 16;
/// Bytes of [`Attr`].
pub const ATTR_BYTES: usize = 88;
/// Bytes of the reply that tells of a node (`fuse_entry_out`).
pub const ENTRY_BYTES: usize = 128;
/// Bytes of a directory entry before its name.
pub const DIRENT_BYTES: usize = 24;

/// `struct fuse_in_header`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InHeader {
    /// Bytes of the message, this header included, padding not.
    pub len: u32,
    /// One of [`opcode`].
    pub opcode: u32,
    /// Told again by the reply.
    pub unique: u64,
    /// The node it is about.
    pub node: u64,
    /// Who asks.
    pub uid: u32,
    /// See `uid`.
    pub gid: u32,
}

impl InHeader {
    /// As the message has it.
    pub fn to_bytes(self) -> [u8; IN_HEADER_BYTES] {
        let mut bytes = [0; IN_HEADER_BYTES];
        let mut at = Put(&mut bytes);
        at.u32(self.len).u32(self.opcode).u64(self.unique);
        at.u64(self.node).u32(self.uid).u32(self.gid);
        bytes
    }

    /// From a message.
    pub fn read(fields: &mut Fields<'_>) -> Option<InHeader> {
        let header = InHeader {
            len: fields.u32()?,
            opcode: fields.u32()?,
            unique: fields.u64()?,
            node: fields.u64()?,
            uid: fields.u32()?,
            gid: fields.u32()?,
        };
        // Process id and padding.
        fields.u64()?;
        Some(header)
    }
}

/// `struct fuse_attr`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "names are stat's")]
pub struct Attr {
    pub ino: u64,
    pub size: u64,
    pub blocks: u64,
    /// Seconds of access, modification, change.
    pub seconds: [i64; 3],
    /// The nanoseconds that go with them.
    pub nanoseconds: [u32; 3],
    pub mode: u32,
    pub nlink: u32,
    pub uid: u32,
    pub gid: u32,
    pub rdev: u32,
    pub block_bytes: u32,
}

impl Attr {
    /// As a reply has it.
    pub fn to_bytes(self) -> [u8; ATTR_BYTES] {
        let mut bytes = [0; ATTR_BYTES];
        let mut at = Put(&mut bytes);
        at.u64(self.ino).u64(self.size).u64(self.blocks);
        for seconds in self.seconds {
            at.u64(seconds as u64);
        }
        for nanoseconds in self.nanoseconds {
            at.u32(nanoseconds);
        }
        at.u32(self.mode).u32(self.nlink).u32(self.uid);
        at.u32(self.gid).u32(self.rdev).u32(self.block_bytes);
        bytes
    }

    /// From a reply.
    pub fn read(fields: &mut Fields<'_>) -> Option<Attr> {
        let attr = Attr {
            ino: fields.u64()?,
            size: fields.u64()?,
            blocks: fields.u64()?,
            seconds: [
                fields.u64()? as i64,
                fields.u64()? as i64,
                fields.u64()? as i64,
            ],
            nanoseconds: [fields.u32()?, fields.u32()?, fields.u32()?],
            mode: fields.u32()?,
            nlink: fields.u32()?,
            uid: fields.u32()?,
            gid: fields.u32()?,
            rdev: fields.u32()?,
            block_bytes: fields.u32()?,
        };
        // Flags.
        fields.u32()?;
        Some(attr)
    }
}

/// `struct fuse_setattr_in`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttr {
    /// `FATTR_*` bits.
    pub valid: u32,
    /// Handle, with [`FATTR_FH`].
    pub handle: u64,
    /// New size.
    pub size: u64,
    /// Access, modification: seconds.
    pub seconds: [i64; 2],
    /// And nanoseconds.
    pub nanoseconds: [u32; 2],
    /// New permission bits.
    pub mode: u32,
    /// New owner.
    pub uid: u32,
    /// New group.
    pub gid: u32,
}

impl SetAttr {
    /// Bytes of it.
    pub const BYTES: usize = 88;

    /// As a message has it.
    pub fn to_bytes(self) -> [u8; SetAttr::BYTES] {
        let mut bytes = [0; SetAttr::BYTES];
        let mut at = Put(&mut bytes);
        at.u32(self.valid).u32(0).u64(self.handle).u64(self.size);
        at.u64(0)
            .u64(self.seconds[0] as u64)
            .u64(self.seconds[1] as u64);
        at.u64(0).u32(self.nanoseconds[0]).u32(self.nanoseconds[1]);
        at.u32(0).u32(self.mode).u32(0).u32(self.uid).u32(self.gid);
        bytes
    }

    /// From a message.
    pub fn read(fields: &mut Fields<'_>) -> Option<SetAttr> {
        let valid = fields.u32()?;
        fields.u32()?;
        let (handle, size) = (fields.u64()?, fields.u64()?);
        fields.u64()?;
        let seconds = [fields.u64()? as i64, fields.u64()? as i64];
        fields.u64()?;
        let nanoseconds = [fields.u32()?, fields.u32()?];
        fields.u32()?;
        let mode = fields.u32()?;
        fields.u32()?;
        let (uid, gid) = (fields.u32()?, fields.u32()?);
        fields.u32()?;
        Some(SetAttr {
            valid,
            handle,
            size,
            seconds,
            nanoseconds,
            mode,
            uid,
            gid,
        })
    }
}

/// Reads little-endian fields one after another; none past the end.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    /// The next 4 bytes.
    pub fn u32(&mut self) -> Option<u32> {
        let (word, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*word))
    }

    /// The next 8 bytes.
    pub fn u64(&mut self) -> Option<u64> {
        let (word, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*word))
    }

    /// The next `len` bytes.
    pub fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    /// The bytes up to the next NUL, which is taken too.
    pub fn name(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|&byte| byte == 0)?;
        let name = self.bytes(end)?;
        self.bytes(1)?;
        Some(name)
    }
}

/// Fills fields one after another; what does not fit is left out, which no layout here has.
struct Put<'a>(&'a mut [u8]);

impl Put<'_> {
    fn bytes(&mut self, field: &[u8]) -> &mut Self {
        if let Some((place, rest)) = core::mem::take(&mut self.0).split_at_mut_checked(field.len())
        {
            place.copy_from_slice(field);
            self.0 = rest;
        }
        self
    }

    fn u32(&mut self, field: u32) -> &mut Self {
        self.bytes(&field.to_le_bytes())
    }

    fn u64(&mut self, field: u64) -> &mut Self {
        self.bytes(&field.to_le_bytes())
    }
}

/// Files that a guest watches on a volume: one event as [`crate::call::VOLUME_EVENTS`] gives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The number that [`crate::call::VOLUME_WATCH`] gave.
    pub watch: u32,
    /// `IN_*` bits.
    pub mask: u32,
    /// Cookie of a move.
    pub cookie: u32,
    /// Bytes of the name that follows, padding to 8 not counted.
    pub name_bytes: u32,
}

impl Event {
    /// Bytes of it.
    pub const BYTES: usize = 16;

    /// As the reply has it.
    pub fn to_bytes(self) -> [u8; Event::BYTES] {
        let mut bytes = [0; Event::BYTES];
        let mut at = Put(&mut bytes);
        at.u32(self.watch).u32(self.mask);
        at.u32(self.cookie).u32(self.name_bytes);
        bytes
    }

    /// From a reply.
    pub fn read(fields: &mut Fields<'_>) -> Option<Event> {
        Some(Event {
            watch: fields.u32()?,
            mask: fields.u32()?,
            cookie: fields.u32()?,
            name_bytes: fields.u32()?,
        })
    }
}
