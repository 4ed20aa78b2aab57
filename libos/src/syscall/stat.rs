//! What files are: the `stat` family, `access`, `statfs`.

use linux_raw_sys::general::{
    AT_EACCESS, AT_EMPTY_PATH, AT_FDCWD, AT_NO_AUTOMOUNT, AT_STATX_SYNC_TYPE, AT_SYMLINK_NOFOLLOW,
    STATX__RESERVED, STATX_BASIC_STATS, STATX_BTIME,
};

use super::file::descriptor;
use super::path::{PathArgument, place};
use crate::errno::{Errno, SysResult};
use crate::fs::access::{EXECUTE, WRITE, is_no_exec};
use crate::fs::attributes::{
    ANONYMOUS_DEVICE, Attributes, CGROUP_DEVICE, DEV_DEVICE, FileType, NAMESPACE_DEVICE,
    PROC_DEVICE, PTS_DEVICE, ROOT_DEVICE, SHM_DEVICE, SYS_DEVICE, Timestamp,
};
use crate::fs::memory::{limit_pages, used_pages};
use crate::fs::node::Node;
use crate::fs::overlay::overlay;
use crate::fs::volume::VolumeInode;
use crate::fs::{self, Caller, PAGE_BYTES};
use crate::mm::user;

const HERE: u64 = AT_FDCWD as u64;
/// Mount flags of statfs(2), as the kernel numbers them.
const ST_RDONLY: u32 = 1;
/// See [`ST_RDONLY`].
const ST_NOSUID: u32 = 2;
/// See [`ST_RDONLY`].
const ST_NODEV: u32 = 4;
/// See [`ST_RDONLY`].
const ST_NOEXEC: u32 = 8;
/// The flags are filled in.
const ST_VALID: u32 = 0x20;
/// See [`ST_RDONLY`].
const ST_NOATIME: u32 = 0x400;

/// A structure of little-endian fields, built at fixed offsets.
struct Fields<const BYTES: usize>([u8; BYTES]);

impl<const BYTES: usize> Fields<BYTES> {
    fn new() -> Fields<BYTES> {
        Fields([0; BYTES])
    }

    /// Puts a field; one past the end is left out, which no layout here has.
    fn put<const N: usize>(&mut self, offset: usize, field: [u8; N]) {
        if let Some(place) = self.0.get_mut(offset..offset + N) {
            place.copy_from_slice(&field);
        }
    }

    fn put_u64(&mut self, offset: usize, value: u64) {
        self.put(offset, value.to_le_bytes());
    }

    fn put_u32(&mut self, offset: usize, value: u32) {
        self.put(offset, value.to_le_bytes());
    }
}

/// Writes `struct stat`.
#[inline]
fn write_stat(addr: u64, attributes: &Attributes) -> SysResult {
    let mut stat = Fields::<144>::new();
    stat.put_u64(0, attributes.device);
    stat.put_u64(8, attributes.ino);
    stat.put_u64(16, u64::from(attributes.nlink));
    stat.put_u32(24, attributes.mode);
    stat.put_u32(28, attributes.uid);
    stat.put_u32(32, attributes.gid);
    stat.put_u64(40, u64::from(attributes.rdev));
    stat.put_u64(48, attributes.size);
    stat.put_u64(56, PAGE_BYTES);
    stat.put_u64(64, attributes.blocks);
    for (offset, time) in [
        (72, attributes.atime),
        (88, attributes.mtime),
        (104, attributes.ctime),
    ] {
        stat.put_u64(offset, time.sec as u64);
        stat.put_u64(offset + 8, u64::from(time.nsec));
    }
    user::copy_out(addr, &stat.0)?;
    Ok(0)
}

fn stat_at(fd: u64, path: u64, out: u64, flags: u32) -> SysResult {
    let path = PathArgument::read(path)?;
    let attributes = place(&Caller::current(), fd, path.as_bytes(), flags)?.attributes()?;
    write_stat(out, &attributes)
}

/// stat(2).
pub(super) fn stat(args: &[u64; 6]) -> SysResult {
    stat_at(HERE, args[0], args[1], 0)
}

/// lstat(2).
pub(super) fn lstat(args: &[u64; 6]) -> SysResult {
    stat_at(HERE, args[0], args[1], AT_SYMLINK_NOFOLLOW)
}

/// fstat(2).
pub(super) fn fstat(args: &[u64; 6]) -> SysResult {
    write_stat(args[1], &descriptor(args[0])?.attributes()?)
}

/// newfstatat(2).
pub(super) fn newfstatat(args: &[u64; 6]) -> SysResult {
    let [fd, path, out, flags, ..] = *args;
    let flags = flags as u32;
    let known = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE;
    if flags & !known != 0 {
        return Err(Errno::EINVAL);
    }
    stat_at(fd, path, out, flags)
}

/// statx(2).
pub(super) fn statx(args: &[u64; 6]) -> SysResult {
    let [fd, path, flags, mask, out, ..] = *args;
    let flags = flags as u32;
    let known = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE;
    if flags & !known != 0
        || flags & AT_STATX_SYNC_TYPE == AT_STATX_SYNC_TYPE
        || mask as u32 & STATX__RESERVED != 0
    {
        return Err(Errno::EINVAL);
    }
    let path = PathArgument::read(path)?;
    let attributes = place(&Caller::current(), fd, path.as_bytes(), flags)?.attributes()?;
    let mut statx = Fields::<256>::new();
    let birth = attributes.btime.map_or(0, |_| STATX_BTIME);
    statx.put_u32(0, STATX_BASIC_STATS & !STATX_BTIME | birth);
    statx.put_u32(4, PAGE_BYTES as u32);
    statx.put_u32(16, attributes.nlink);
    statx.put_u32(20, attributes.uid);
    statx.put_u32(24, attributes.gid);
    statx.put(28, (attributes.mode as u16).to_le_bytes());
    statx.put_u64(32, attributes.ino);
    statx.put_u64(40, attributes.size);
    statx.put_u64(48, attributes.blocks);
    let mut put_time = |offset: usize, time: Timestamp| {
        statx.put_u64(offset, time.sec as u64);
        statx.put_u32(offset + 8, time.nsec);
    };
    put_time(64, attributes.atime);
    if let Some(btime) = attributes.btime {
        put_time(80, btime);
    }
    put_time(96, attributes.ctime);
    put_time(112, attributes.mtime);
    statx.put_u32(128, attributes.rdev >> 8 & 0xfff);
    statx.put_u32(
        132,
        attributes.rdev & 0xff | attributes.rdev >> 12 & 0xf_ff00,
    );
    statx.put_u32(140, attributes.device as u32);
    user::copy_out(out, &statx.0)?;
    Ok(0)
}

/// access(2).
pub(super) fn access(args: &[u64; 6]) -> SysResult {
    access_at(HERE, args[0], args[1], 0)
}

/// faccessat(2), without flags.
pub(super) fn faccessat(args: &[u64; 6]) -> SysResult {
    access_at(args[0], args[1], args[2], 0)
}

/// faccessat2(2).
pub(super) fn faccessat2(args: &[u64; 6]) -> SysResult {
    let flags = args[3] as u32;
    if flags & !(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    access_at(args[0], args[1], args[2], flags)
}

fn access_at(fd: u64, path: u64, wanted: u64, flags: u32) -> SysResult {
    if wanted & !7 != 0 {
        return Err(Errno::EINVAL);
    }
    let path = PathArgument::read(path)?;
    let caller = if flags & AT_EACCESS != 0 {
        Caller::current()
    } else {
        Caller::real()
    };
    let node = place(&caller, fd, path.as_bytes(), flags)?;
    let wanted = wanted as u32;
    if let Node::Pseudo(pseudo) = &node
        && wanted & WRITE != 0
        && pseudo.read_only()
    {
        return Err(Errno::EROFS);
    }
    if let Node::Volume(inode) = &node
        && wanted & WRITE != 0
        && inode.volume().is_read_only()
        && matches!(
            inode.file_type(),
            FileType::Regular | FileType::Directory | FileType::Symlink
        )
    {
        return Err(Errno::EROFS);
    }
    let attributes = node.attributes()?;
    let runs = attributes.file_type() == FileType::Regular && wanted & EXECUTE != 0;
    if runs && is_no_exec(&attributes) {
        return Err(Errno::EACCES);
    }
    caller.check(&attributes, wanted)?;
    let holds = matches!(
        attributes.file_type(),
        FileType::Regular | FileType::Directory | FileType::Symlink
    );
    if wanted & WRITE != 0 && holds {
        node.check_not_read_only()?;
    }
    Ok(0)
}

/// statfs(2).
pub(super) fn statfs(args: &[u64; 6]) -> SysResult {
    let path = PathArgument::read(args[0])?;
    let node = place(&Caller::current(), HERE, path.as_bytes(), 0)?;
    if let Node::Volume(inode) = &node {
        return write_volume_statfs(args[1], inode);
    }
    write_statfs(args[1], &node.attributes()?)
}

/// fstatfs(2).
pub(super) fn fstatfs(args: &[u64; 6]) -> SysResult {
    let file = descriptor(args[0])?;
    if let Some(Node::Volume(inode)) = file.node() {
        return write_volume_statfs(args[1], &inode);
    }
    write_statfs(args[1], &file.attributes()?)
}

/// The host's numbers; the kind is that of a FUSE mount.
fn write_volume_statfs(addr: u64, inode: &VolumeInode) -> SysResult {
    const FUSE_MAGIC: u64 = 0x6573_5546;
    let (counts, block_bytes) = inode.statfs()?;
    let read_only = if inode.volume().is_read_only() {
        ST_RDONLY
    } else {
        0
    };
    let mut statfs = Fields::<120>::new();
    statfs.put_u64(0, FUSE_MAGIC);
    statfs.put_u64(8, block_bytes);
    for (offset, count) in (16..).step_by(8).zip(counts) {
        statfs.put_u64(offset, count);
    }
    statfs.put_u64(56, inode.volume().device());
    statfs.put_u64(64, 255);
    statfs.put_u64(72, block_bytes);
    let flags = ST_VALID | ST_NOSUID | ST_NODEV | read_only;
    statfs.put_u64(80, u64::from(flags));
    user::copy_out(addr, &statfs.0)?;
    Ok(0)
}

/// Kind of a file system and how it is mounted, by the device number of its files.
fn file_system(attributes: &Attributes) -> (u64, u64) {
    const OVERLAY_MAGIC: u64 = 0x794c_7630;
    const PROC_MAGIC: u64 = 0x9fa0;
    const SYSFS_MAGIC: u64 = 0x6265_6572;
    const CGROUP2_MAGIC: u64 = 0x6367_7270;
    const TMPFS_MAGIC: u64 = 0x0102_1994;
    const DEVPTS_MAGIC: u64 = 0x1cd1;
    const NSFS_MAGIC: u64 = 0x6e73_6673;
    const PIPEFS_MAGIC: u64 = 0x5049_5045;
    const SOCKFS_MAGIC: u64 = 0x534f_434b;
    const ANONYMOUS_MAGIC: u64 = 0x0904_1934;
    let flags = |flags: u32| u64::from(flags | ST_VALID | ST_NOATIME);
    let closed = ST_NOSUID | ST_NODEV | ST_NOEXEC;
    match (attributes.device, attributes.file_type()) {
        (ROOT_DEVICE, _) if fs::is_root_read_only() => (OVERLAY_MAGIC, flags(ST_RDONLY)),
        (ROOT_DEVICE, _) => (OVERLAY_MAGIC, flags(0)),
        (PROC_DEVICE, _) => (PROC_MAGIC, flags(closed)),
        (SYS_DEVICE, _) => (SYSFS_MAGIC, flags(closed | ST_RDONLY)),
        (CGROUP_DEVICE, _) => (CGROUP2_MAGIC, flags(closed | ST_RDONLY)),
        (DEV_DEVICE, _) => (TMPFS_MAGIC, flags(ST_NOSUID)),
        (PTS_DEVICE, _) => (DEVPTS_MAGIC, flags(ST_NOSUID | ST_NOEXEC)),
        (NAMESPACE_DEVICE, _) => (NSFS_MAGIC, flags(0)),
        (SHM_DEVICE, _) => (TMPFS_MAGIC, flags(closed)),
        (ANONYMOUS_DEVICE, FileType::Fifo) => (PIPEFS_MAGIC, flags(0)),
        (_, FileType::Socket) => (SOCKFS_MAGIC, flags(0)),
        _ => (ANONYMOUS_MAGIC, flags(0)),
    }
}

fn write_statfs(addr: u64, attributes: &Attributes) -> SysResult {
    let (magic, flags) = file_system(attributes);
    let mut statfs = Fields::<120>::new();
    statfs.put_u64(0, magic);
    statfs.put_u64(8, PAGE_BYTES);
    if matches!(attributes.device, ROOT_DEVICE | DEV_DEVICE | SHM_DEVICE) {
        let image = &overlay()?.image;
        // Only the root shows the image: all three have their memory in common.
        let (below, inodes) = if attributes.device == ROOT_DEVICE {
            (image.blocks(), image.inode_count())
        } else {
            (0, 0)
        };
        let free = limit_pages().saturating_sub(used_pages());
        for (offset, value) in [
            (16, below + limit_pages()),
            (24, free),
            (32, free),
            (40, inodes + limit_pages()),
            (48, free),
        ] {
            statfs.put_u64(offset, value);
        }
    }
    statfs.put_u64(56, attributes.device);
    statfs.put_u64(64, 255);
    statfs.put_u64(72, PAGE_BYTES);
    statfs.put_u64(80, flags);
    user::copy_out(addr, &statfs.0)?;
    Ok(0)
}
