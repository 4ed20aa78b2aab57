//! What `stat` shows of a file: [`Attributes`], [`FileType`], [`Timestamp`].

use linux_raw_sys::general::{
    S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK,
};

use crate::{process, time};

/// Device number (`st_dev`) of the root file system.
pub const ROOT_DEVICE: u64 = 29;
/// Device number of `/proc`.
pub const PROC_DEVICE: u64 = 30;
/// Device number of `/dev`.
pub const DEV_DEVICE: u64 = 31;
/// Device number of `/dev/shm` and of memory files without a name.
pub const SHM_DEVICE: u64 = 32;
/// Device number of `/sys`.
pub const SYS_DEVICE: u64 = 33;
/// Device number of `/sys/fs/cgroup`.
pub const CGROUP_DEVICE: u64 = 34;
/// Device number of `/dev/pts`.
pub const PTS_DEVICE: u64 = 35;
/// Device number of namespaces.
pub const NAMESPACE_DEVICE: u64 = 4;
/// Device number of files that are in no directory: pipes, event counters.
pub const ANONYMOUS_DEVICE: u64 = 14;

/// Device number of the first volume; the others follow.
pub const FIRST_VOLUME_DEVICE: u64 = 64;

/// Device number of sockets.
pub const SOCKET_DEVICE: u64 = 8;

/// Kind of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileType {
    /// Bytes.
    Regular,
    /// Names.
    Directory,
    /// A path to go on with.
    Symlink,
    /// Character device.
    CharDevice,
    /// Block device.
    BlockDevice,
    /// Named pipe.
    Fifo,
    /// Socket that was bound to a path.
    Socket,
}

impl FileType {
    /// From the type bits of a mode; unknown bits are a regular file.
    pub fn from_mode(mode: u32) -> FileType {
        match mode & S_IFMT {
            S_IFDIR => FileType::Directory,
            S_IFLNK => FileType::Symlink,
            S_IFCHR => FileType::CharDevice,
            S_IFBLK => FileType::BlockDevice,
            S_IFIFO => FileType::Fifo,
            S_IFSOCK => FileType::Socket,
            _ => FileType::Regular,
        }
    }

    /// From the type number of EROFS directory entries.
    pub fn from_erofs(number: u8) -> Option<FileType> {
        Some(match number {
            1 => FileType::Regular,
            2 => FileType::Directory,
            3 => FileType::CharDevice,
            4 => FileType::BlockDevice,
            5 => FileType::Fifo,
            6 => FileType::Socket,
            7 => FileType::Symlink,
            _ => return None,
        })
    }

    /// The type bits of a mode.
    pub fn mode_bits(self) -> u32 {
        match self {
            FileType::Regular => S_IFREG,
            FileType::Directory => S_IFDIR,
            FileType::Symlink => S_IFLNK,
            FileType::CharDevice => S_IFCHR,
            FileType::BlockDevice => S_IFBLK,
            FileType::Fifo => S_IFIFO,
            FileType::Socket => S_IFSOCK,
        }
    }

    /// `d_type` of directory entries.
    pub fn dirent_type(self) -> u8 {
        (self.mode_bits() >> 12) as u8
    }
}

/// Seconds and nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Seconds.
    pub sec: i64,
    /// Nanoseconds, below 1e9.
    pub nsec: u32,
}

impl Timestamp {
    /// The clock's time.
    pub fn now() -> Timestamp {
        let ns = time::realtime_ns();
        Timestamp {
            sec: (ns / 1_000_000_000) as i64,
            nsec: (ns % 1_000_000_000) as u32,
        }
    }
}

/// Everything that `stat` shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Device that the file is on.
    pub device: u64,
    /// Inode number, unique on its device.
    pub ino: u64,
    /// Type and permission bits.
    pub mode: u32,
    /// Names of the file.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number, of a device node.
    pub rdev: u32,
    /// Bytes.
    pub size: u64,
    /// 512-byte units in use.
    pub blocks: u64,
    /// Last access.
    pub atime: Timestamp,
    /// Last change of the data.
    pub mtime: Timestamp,
    /// Last change of the inode.
    pub ctime: Timestamp,
    /// When it was made, where that is known.
    pub btime: Option<Timestamp>,
}

impl Attributes {
    /// Attributes of something that is made up as it is looked at: user 0's, but
    /// what is in no directory is the process's own.
    pub fn generated(device: u64, ino: u64, mode: u32) -> Attributes {
        let now = Timestamp::now();
        let (uid, gid) = if device == ANONYMOUS_DEVICE {
            let own = process::current().credentials.lock();
            (own.fsuid, own.fsgid)
        } else {
            (0, 0)
        };
        Attributes {
            device,
            ino,
            mode,
            nlink: 1,
            uid,
            gid,
            atime: now,
            mtime: now,
            ctime: now,
            ..Attributes::default()
        }
    }

    /// Kind of the file.
    pub fn file_type(&self) -> FileType {
        FileType::from_mode(self.mode)
    }
}
