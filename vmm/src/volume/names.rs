//! Messages about names: looking up, making, linking, renaming, removing, listing.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RawDir, RenameFlags, SeekFrom, Stat, Uid, chmodat,
    chownat, fchmod, fchown, fstat, linkat, mkdirat, mknodat, openat, openat2, readlinkat,
    renameat_with, seek, symlinkat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;
use unikiln_abi::volume::{DIRENT_BYTES, InHeader};

use super::node::Node;
use super::server::{CONFINED, Message, Server};

/// Bytes of names asked of the host at once.
const LISTING_BYTES: usize = 32 << 10;
/// Tries to create a file that others make and remove meanwhile.
const CREATE_TRIES: u32 = 8;
const SET_GROUP_ID: u32 = 0o2000;

impl Server {
    pub(super) fn look_up(
        &self,
        message: &mut Message<'_>,
        out: &mut Vec<u8>,
    ) -> Result<u64, Errno> {
        let directory = self.node(message.header.node)?;
        let name = message.name()?;
        self.tell_name(&directory, name, out)
    }

    fn tell_name(&self, directory: &Node, name: &[u8], out: &mut Vec<u8>) -> Result<u64, Errno> {
        let slot = self.limit.take()?;
        let (fd, stat) = self.place(directory, name)?;
        Ok(self.tell(fd, &stat, slot, out))
    }

    pub(super) fn symlink(
        &self,
        message: &mut Message<'_>,
        out: &mut Vec<u8>,
    ) -> Result<u64, Errno> {
        let directory = self.node(message.header.node)?;
        let name = message.name()?;
        let target = message.text()?;
        symlinkat(target, directory.directory()?, name)?;
        self.give_new(&directory, name, None, &message.header)?;
        self.tell_name(&directory, name, out)
    }

    pub(super) fn make_node(
        &self,
        message: &mut Message<'_>,
        out: &mut Vec<u8>,
    ) -> Result<u64, Errno> {
        let directory = self.node(message.header.node)?;
        let (mode, _rdev) = (message.u32()?, message.u32()?);
        message.u64()?;
        let name = message.name()?;
        let kind = FileType::from_raw_mode(mode);
        match kind {
            FileType::RegularFile | FileType::Fifo | FileType::Socket => {}
            // No guest makes devices of the host.
            _ => return Err(Errno::PERM),
        }
        let bits = permissions(mode);
        mknodat(directory.directory()?, name, kind, bits, 0)?;
        self.give_new(&directory, name, Some(bits), &message.header)?;
        self.tell_name(&directory, name, out)
    }

    pub(super) fn make_directory(
        &self,
        message: &mut Message<'_>,
        out: &mut Vec<u8>,
    ) -> Result<u64, Errno> {
        let directory = self.node(message.header.node)?;
        let bits = permissions(message.u32()?);
        message.u32()?;
        let name = message.name()?;
        mkdirat(directory.directory()?, name, bits)?;
        self.give_new(&directory, name, Some(bits), &message.header)?;
        self.tell_name(&directory, name, out)
    }

    /// Gives a file that was just made, and is not open, to who asked for it.
    fn give_new(
        &self,
        directory: &Node,
        name: &[u8],
        bits: Option<Mode>,
        asker: &InHeader,
    ) -> Result<(), Errno> {
        let (fd, stat) = self.place(directory, name)?;
        // Somebody on the host may have put another file in its place meanwhile:
        // that one is neither given away nor made more open.
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if stat.st_uid != geteuid().as_raw() || !is_directory && stat.st_nlink != 1 {
            return Ok(());
        }
        if let Some((user, group)) = self.owner(directory, &stat, asker)? {
            refused_is_fine(chownat(
                &fd,
                "",
                Some(user),
                Some(group),
                AtFlags::EMPTY_PATH,
            ))?;
        }
        // Last: changing the owner takes set-ID bits away.
        if let Some(bits) = bits.and_then(|bits| missing(bits, &stat)) {
            chmodat(
                &*self.own,
                fd.as_raw_fd().to_string(),
                bits,
                AtFlags::empty(),
            )?;
        }
        Ok(())
    }

    /// Whose a new file is to be, where it is not. Directories with set-group-ID
    /// hand their group down, as the host did already.
    fn owner(
        &self,
        directory: &Node,
        stat: &Stat,
        asker: &InHeader,
    ) -> Result<Option<(Uid, Gid)>, Errno> {
        let mut gid = asker.gid;
        if (stat.st_uid, stat.st_gid) == (asker.uid, gid) {
            return Ok(None);
        }
        if fstat(&directory.fd)?.st_mode & SET_GROUP_ID != 0 {
            gid = stat.st_gid;
        }
        let wanted = (stat.st_uid, stat.st_gid) != (asker.uid, gid);
        let valid = asker.uid != u32::MAX && gid != u32::MAX;
        Ok((wanted && valid).then(|| (Uid::from_raw(asker.uid), Gid::from_raw(gid))))
    }

    /// Makes and opens a file; one that others made meanwhile is opened, unless
    /// O_EXCL asks for a new one.
    pub(super) fn create(
        &self,
        message: &mut Message<'_>,
        out: &mut Vec<u8>,
    ) -> Result<u64, Errno> {
        let directory = self.node(message.header.node)?;
        let (flags, mode) = (message.u32()?, message.u32()?);
        message.u64()?;
        let name = message.name()?;
        let bits = permissions(mode);
        let exclusive = flags & OFlags::EXCL.bits() != 0;
        // A pipe that somebody puts there does not stop the monitor.
        let flags = open_flags(flags) | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let (slot, node_slot) = (self.limit.take()?, self.limit.take()?);
        let mut opened = Err(Errno::AGAIN);
        for _ in 0..CREATE_TRIES {
            let new = flags | OFlags::CREATE | OFlags::EXCL;
            opened =
                openat2(directory.directory()?, name, new, bits, CONFINED).map(|fd| (fd, true));
            if exclusive || !matches!(opened, Err(Errno::EXIST)) {
                break;
            }
            opened = openat2(directory.directory()?, name, flags, Mode::empty(), CONFINED)
                .map(|fd| (fd, false));
            if !matches!(opened, Err(Errno::NOENT)) {
                break;
            }
        }
        let (fd, is_new) = opened?;
        if is_new {
            self.give_open(&directory, &fd, bits, &message.header)?;
        }
        self.tell_open(fd, slot, node_slot, out)
    }

    pub(super) fn create_unnamed(
        &self,
        message: &mut Message<'_>,
        out: &mut Vec<u8>,
    ) -> Result<u64, Errno> {
        let directory = self.node(message.header.node)?;
        directory.directory()?;
        let (flags, mode) = (message.u32()?, message.u32()?);
        let bits = permissions(mode);
        let exclusive = OFlags::from_bits_retain(flags) & OFlags::EXCL;
        let flags = open_flags(flags) | OFlags::TMPFILE | exclusive;
        let (slot, node_slot) = (self.limit.take()?, self.limit.take()?);
        let fd = self.reopen_descriptor(&directory.fd, flags, bits)?;
        self.give_open(&directory, &fd, bits, &message.header)?;
        self.tell_open(fd, slot, node_slot, out)
    }

    fn give_open(
        &self,
        directory: &Node,
        fd: &OwnedFd,
        bits: Mode,
        asker: &InHeader,
    ) -> Result<(), Errno> {
        let stat = fstat(fd)?;
        if let Some((user, group)) = self.owner(directory, &stat, asker)? {
            refused_is_fine(fchown(fd, Some(user), Some(group)))?;
        }
        match missing(bits, &stat) {
            Some(bits) => fchmod(fd, bits),
            None => Ok(()),
        }
    }

    /// Tells the guest of an open file: node and handle.
    fn tell_open(
        &self,
        fd: OwnedFd,
        slot: super::limit::Slot,
        node_slot: super::limit::Slot,
        out: &mut Vec<u8>,
    ) -> Result<u64, Errno> {
        let stat = fstat(&fd)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Errno::PERM);
        }
        let place = self.reopen_descriptor(&fd, OFlags::PATH, Mode::empty())?;
        let number = self.tell(place, &stat, node_slot, out);
        let handle = self.handles().insert(fd, slot);
        out.extend_from_slice(&handle.to_le_bytes());
        out.extend_from_slice(&[0; 8]);
        Ok(number)
    }

    pub(super) fn link(&self, message: &mut Message<'_>, out: &mut Vec<u8>) -> Result<u64, Errno> {
        let directory = self.node(message.header.node)?;
        let old = message.u64()?;
        let old = self.node(old)?;
        let name = message.name()?;
        if old.kind == FileType::Directory {
            return Err(Errno::PERM);
        }
        let number = old.fd.as_raw_fd().to_string();
        // The link of our own descriptor is followed; what it leads to is not.
        let follow = AtFlags::SYMLINK_FOLLOW;
        linkat(&*self.own, number, directory.directory()?, name, follow)?;
        self.tell_name(&directory, name, out)
    }

    pub(super) fn unlink(
        &self,
        message: &mut Message<'_>,
        is_directory: bool,
    ) -> Result<(), Errno> {
        let directory = self.node(message.header.node)?;
        let name = message.name()?;
        let flags = if is_directory {
            AtFlags::REMOVEDIR
        } else {
            AtFlags::empty()
        };
        unlinkat(directory.directory()?, name, flags)
    }

    pub(super) fn rename(&self, message: &mut Message<'_>) -> Result<(), Errno> {
        let from = self.node(message.header.node)?;
        let to = message.u64()?;
        let to = self.node(to)?;
        let flags = RenameFlags::from_bits_retain(message.u32()?);
        message.u32()?;
        let (old, new) = (message.name()?, message.name()?);
        // A whiteout is a device.
        if flags.contains(RenameFlags::WHITEOUT) {
            return Err(Errno::PERM);
        }
        renameat_with(from.directory()?, old, to.directory()?, new, flags)
    }

    pub(super) fn read_link(
        &self,
        message: &mut Message<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Errno> {
        let node = self.node(message.header.node)?;
        if node.kind != FileType::Symlink {
            return Err(Errno::INVAL);
        }
        let target = readlinkat(&node.fd, "", Vec::new())?;
        out.extend_from_slice(target.as_bytes());
        Ok(())
    }

    /// The names of a directory from an offset on, as many as the data range takes.
    pub(super) fn read_directory(
        &self,
        message: &mut Message<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Errno> {
        let node = self.node(message.header.node)?;
        let (_handle, offset, size) = (message.u64()?, message.u64()?, message.u32()?);
        let data = message.data(size)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let _slot = self.limit.take()?;
        let fd = openat(node.directory()?, ".", flags, Mode::empty())?;
        if offset > 0 {
            seek(&fd, SeekFrom::Start(offset))?;
        }
        let mut listing = Vec::with_capacity(LISTING_BYTES);
        let mut names = RawDir::new(&fd, listing.spare_capacity_mut());
        let mut entries = Vec::new();
        let mut is_end = true;
        while let Some(entry) = names.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let bytes = (DIRENT_BYTES + name.len()).next_multiple_of(8);
            if entries.len() + bytes > data.len() {
                if entries.is_empty() {
                    return Err(Errno::INVAL);
                }
                is_end = false;
                break;
            }
            let start = entries.len();
            let kind = entry.file_type().as_raw_mode() >> 12;
            entries.extend_from_slice(&entry.ino().to_le_bytes());
            entries.extend_from_slice(&entry.next_entry_cookie().to_le_bytes());
            entries.extend_from_slice(&(name.len() as u32).to_le_bytes());
            entries.extend_from_slice(&kind.to_le_bytes());
            entries.extend_from_slice(name);
            entries.resize(start + bytes, 0);
        }
        data.copy_from(&entries);
        out.extend_from_slice(&(entries.len() as u32).to_le_bytes());
        out.extend_from_slice(&u32::from(is_end).to_le_bytes());
        Ok(())
    }
}

fn permissions(mode: u32) -> Mode {
    Mode::from_raw_mode(mode & 0o7777)
}

/// The bits to set where the host's creation mask took some of `bits` away. A
/// directory keeps the set-group-ID bit that it inherits.
fn missing(bits: Mode, stat: &Stat) -> Option<Mode> {
    let has = stat.st_mode & 0o7777;
    let inherited = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => has & SET_GROUP_ID,
        _ => 0,
    };
    let wanted = bits.as_raw_mode() | inherited;
    (wanted != has).then(|| Mode::from_raw_mode(wanted))
}

/// A monitor that may not give files away keeps them.
fn refused_is_fine(outcome: Result<(), Errno>) -> Result<(), Errno> {
    match outcome {
        Err(Errno::PERM | Errno::INVAL) => Ok(()),
        other => other,
    }
}

/// What counts of a guest's `O_*` flags. O_APPEND does not: the guest says with
/// each write where it goes.
pub(super) fn open_flags(flags: u32) -> OFlags {
    let known = OFlags::ACCMODE
        | OFlags::TRUNC
        | OFlags::SYNC
        | OFlags::DSYNC
        | OFlags::NOATIME
        | OFlags::CLOEXEC;
    OFlags::from_bits_retain(flags) & known
}
