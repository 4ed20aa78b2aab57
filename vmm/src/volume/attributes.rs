//! Messages about attributes, and about the file system behind a volume.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, Stat, Timespec, Timestamps, Uid, chmodat, chownat, fstat,
    fstatvfs, ftruncate, utimensat,
};
use rustix::io::Errno;
use unikiln_abi::volume::{
    FATTR_ATIME, FATTR_ATIME_NOW, FATTR_FH, FATTR_GID, FATTR_KILL_SUIDGID, FATTR_MODE, FATTR_MTIME,
    FATTR_MTIME_NOW, FATTR_SIZE, FATTR_UID, GETATTR_FH, SetAttr,
};

use super::node::Node;
use super::server::{Message, Server, path_of};

const UTIME_NOW: i64 = 0x3fff_ffff;
const UTIME_OMIT: i64 = 0x3fff_fffe;
const SET_USER_ID: u32 = 0o4000;
const SET_GROUP_ID: u32 = 0o2000;
const EXECUTE_BY_GROUP: u32 = 0o010;

impl Server {
    pub(super) fn get_attributes(
        &self,
        message: &mut Message<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Errno> {
        let flags = message.u32()?;
        message.u32()?;
        let stat = if flags & GETATTR_FH != 0 {
            let handle = message.u64()?;
            fstat(&self.handle(handle)?.fd)?
        } else {
            fstat(&self.node(message.header.node)?.fd)?
        };
        self.put_attributes(&stat, out);
        Ok(())
    }

    fn put_attributes(&self, stat: &Stat, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0; 16]);
        out.extend_from_slice(&self.attr(stat).to_bytes());
    }

    pub(super) fn set_attributes(
        &self,
        message: &mut Message<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Errno> {
        let set = SetAttr::read(&mut message.body).ok_or(Errno::INVAL)?;
        let node = self.node(message.header.node)?;
        if set.valid & FATTR_SIZE != 0 {
            self.resize(&node, &set)?;
        }
        if set.valid & (FATTR_UID | FATTR_GID) != 0 {
            let user =
                (set.valid & FATTR_UID != 0 && set.uid != u32::MAX).then(|| Uid::from_raw(set.uid));
            let group =
                (set.valid & FATTR_GID != 0 && set.gid != u32::MAX).then(|| Gid::from_raw(set.gid));
            chownat(&node.fd, "", user, group, AtFlags::EMPTY_PATH)?;
        }
        if set.valid & FATTR_MODE != 0 {
            self.change_mode(&node, set.mode)?;
        }
        self.set_times(&node, &set)?;
        self.put_attributes(&fstat(&node.fd)?, out);
        Ok(())
    }

    fn change_mode(&self, node: &Node, mode: u32) -> Result<(), Errno> {
        if node.kind == FileType::Symlink {
            return Err(Errno::OPNOTSUPP);
        }
        let bits = Mode::from_raw_mode(mode & 0o7777);
        let number = node.fd.as_raw_fd().to_string();
        chmodat(&*self.own, number, bits, AtFlags::empty())
    }

    fn resize(&self, node: &Node, set: &SetAttr) -> Result<(), Errno> {
        let size = i64::try_from(set.size).map_err(|_| Errno::INVAL)? as u64;
        if set.valid & FATTR_FH != 0 {
            ftruncate(&self.handle(set.handle)?.fd, size)?;
        } else {
            if node.kind != FileType::RegularFile {
                return Err(Errno::INVAL);
            }
            truncate(&node.fd, size)?;
        }
        if set.valid & FATTR_KILL_SUIDGID != 0 {
            self.drop_set_id(&node.fd)?;
        }
        Ok(())
    }

    /// Takes away what would make a program run as its owner.
    pub(super) fn drop_set_id(&self, fd: &OwnedFd) -> Result<(), Errno> {
        let mode = fstat(fd)?.st_mode;
        let group = if mode & EXECUTE_BY_GROUP != 0 {
            SET_GROUP_ID
        } else {
            0
        };
        let kept = mode & !(SET_USER_ID | group);
        if kept == mode {
            return Ok(());
        }
        let bits = Mode::from_raw_mode(kept & 0o7777);
        let number = fd.as_raw_fd().to_string();
        chmodat(&*self.own, number, bits, AtFlags::empty())
    }

    fn set_times(&self, node: &Node, set: &SetAttr) -> Result<(), Errno> {
        let time = |at: usize, plain: u32, now: u32| -> Result<Timespec, Errno> {
            let (Some(&tv_sec), Some(&nanoseconds)) =
                (set.seconds.get(at), set.nanoseconds.get(at))
            else {
                return Err(Errno::INVAL);
            };
            let tv_nsec = match set.valid {
                valid if valid & now != 0 => UTIME_NOW,
                valid if valid & plain == 0 => UTIME_OMIT,
                _ if nanoseconds >= 1_000_000_000 => return Err(Errno::INVAL),
                _ => i64::from(nanoseconds),
            };
            Ok(Timespec { tv_sec, tv_nsec })
        };
        let times = Timestamps {
            last_access: time(0, FATTR_ATIME, FATTR_ATIME_NOW)?,
            last_modification: time(1, FATTR_MTIME, FATTR_MTIME_NOW)?,
        };
        let changes = FATTR_ATIME | FATTR_ATIME_NOW | FATTR_MTIME | FATTR_MTIME_NOW;
        if set.valid & changes == 0 {
            return Ok(());
        }
        utimensat(&node.fd, "", &times, AtFlags::EMPTY_PATH)
    }

    pub(super) fn statfs(&self, message: &mut Message<'_>, out: &mut Vec<u8>) -> Result<(), Errno> {
        let stat = fstatvfs(&self.node(message.header.node)?.fd)?;
        for count in [
            stat.f_blocks,
            stat.f_bfree,
            stat.f_bavail,
            stat.f_files,
            stat.f_ffree,
        ] {
            out.extend_from_slice(&count.to_le_bytes());
        }
        for field in [stat.f_bsize, stat.f_namemax, stat.f_frsize] {
            out.extend_from_slice(&(field as u32).to_le_bytes());
        }
        // Padding and spare.
        out.extend_from_slice(&[0; 28]);
        Ok(())
    }
}

/// Sets the size of a file that is not open.
#[expect(unsafe_code, reason = "truncate takes a pointer to a path")]
fn truncate(fd: &OwnedFd, size: u64) -> Result<(), Errno> {
    let path = CString::new(path_of(fd)).map_err(|_| Errno::INVAL)?;
    let size = i64::try_from(size).map_err(|_| Errno::INVAL)?;
    // SAFETY: the path lives until the call returns.
    if unsafe { libc::truncate(path.as_ptr(), size) } == 0 {
        return Ok(());
    }
    let code = std::io::Error::last_os_error().raw_os_error();
    Err(Errno::from_raw_os_error(code.unwrap_or(libc::EIO)))
}
