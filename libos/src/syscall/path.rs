//! Paths as system calls name them, and the calls about the working directory.
//!
//! [`PathArgument`] is a path copied from the program; [`place`] resolves
//! it from a directory descriptor, as all `*at` calls do.

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW};

use crate::errno::{Errno, SysResult};
use crate::fs::node::{Node, Target};
use crate::fs::open_file::Origin;
use crate::fs::path::PATH_MAX;
use crate::fs::place::directory_path;
use crate::fs::{self, Caller, OpenFile};
use crate::mm::user;
use crate::process;
use crate::process::capabilities::SYS_CHROOT;

/// Paths up to this are kept without an allocation.
const SHORT_BYTES: usize = 128;

/// A path of the program, without its NUL.
pub(super) enum PathArgument {
    /// A short one: buffer and length.
    Short([u8; SHORT_BYTES], usize),
    /// A long one.
    Long(Vec<u8>),
}

impl PathArgument {
    /// Copies the path at `addr`; ENAMETOOLONG, EFAULT.
    #[inline]
    pub(super) fn read(addr: u64) -> Result<PathArgument, Errno> {
        let mut short = [0; SHORT_BYTES];
        // Not past the end of the page: the next one may not be there.
        let in_page = (4096 - (addr & 4095)) as usize;
        let first = short
            .get_mut(..in_page.min(SHORT_BYTES))
            .ok_or(Errno::EFAULT)?;
        user::copy_in(addr, first)?;
        match first.iter().position(|&byte| byte == 0) {
            Some(len) => Ok(PathArgument::Short(short, len)),
            None => user::read_cstr(addr, PATH_MAX).map(PathArgument::Long),
        }
    }

    /// Its bytes.
    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            PathArgument::Short(bytes, len) => bytes.get(..*len).unwrap_or(&[]),
            PathArgument::Long(bytes) => bytes,
        }
    }
}

/// The node that a directory descriptor stands for; none for AT_FDCWD.
#[inline]
pub(super) fn start_of(fd: u64, path: &[u8]) -> Result<Option<Node>, Errno> {
    // An absolute path does not look at the descriptor.
    if fd as i32 == AT_FDCWD || path.first() == Some(&b'/') {
        return Ok(None);
    }
    let file = process::current().files.lock().get(fd as i32)?;
    match file.node() {
        Some(node) => Ok(Some(node)),
        None if path.is_empty() => Ok(Some(Node::Open(file))),
        None => Err(Errno::ENOTDIR),
    }
}

/// A node that was found, and where.
pub(super) struct Reached {
    /// The node.
    pub node: Node,
    /// The place; none for one without a name.
    pub origin: Option<Origin>,
}

impl Reached {
    /// The node behind an open file.
    pub(super) fn of_file(file: Arc<OpenFile>) -> Reached {
        let origin = file.origin().cloned();
        let node = file.node().unwrap_or(Node::Open(file));
        Reached { node, origin }
    }

    /// Tells watches what happened to it.
    pub(super) fn notify(&self, mask: u32) {
        fs::notify::happened(&self.node, self.origin.as_ref(), mask);
    }
}

/// The existing node at `path` from `fd`, by `AT_EMPTY_PATH` and `AT_SYMLINK_NOFOLLOW`.
#[inline]
pub(super) fn place(caller: &Caller, fd: u64, path: &[u8], flags: u32) -> Result<Node, Errno> {
    reach(caller, fd, path, flags).map(|reached| reached.node)
}

/// [`place`], with where it is.
#[inline]
pub(super) fn reach(caller: &Caller, fd: u64, path: &[u8], flags: u32) -> Result<Reached, Errno> {
    if path.is_empty() {
        if flags & AT_EMPTY_PATH == 0 {
            return Err(Errno::ENOENT);
        }
        if fd as i32 != AT_FDCWD {
            let file = process::current().files.lock().get(fd as i32)?;
            return Ok(Reached::of_file(file));
        }
        let node = process::current().fs.lock().directory()?;
        return Ok(Reached { node, origin: None });
    }
    let start = start_of(fd, path)?;
    let follow = flags & AT_SYMLINK_NOFOLLOW == 0;
    let mut spot = fs::look_up(caller, start.as_ref(), path, follow)?;
    let origin = spot.origin.take();
    Ok(Reached {
        node: spot.existing()?,
        origin,
    })
}

/// getcwd(2).
pub(super) fn getcwd(args: &[u64; 6]) -> SysResult {
    let [buffer, size, ..] = *args;
    let (directory, root) = {
        let fs = process::current().fs.lock();
        (fs.directory()?, fs.root()?)
    };
    let mut path = directory_path(&directory, &root)?;
    path.push(0);
    if path.len() as u64 > size {
        return Err(Errno::ERANGE);
    }
    user::copy_out(buffer, &path)?;
    Ok(path.len())
}

/// chdir(2).
pub(super) fn chdir(args: &[u64; 6]) -> SysResult {
    fs::change_directory(PathArgument::read(args[0])?.as_bytes())?;
    Ok(0)
}

/// fchdir(2).
pub(super) fn fchdir(args: &[u64; 6]) -> SysResult {
    let file = process::current().files.lock().get(args[0] as i32)?;
    let node = file.node().ok_or(Errno::ENOTDIR)?;
    fs::enter_directory(&Caller::current(), node)?;
    Ok(0)
}

/// chroot(2): with CAP_SYS_CHROOT only.
pub(super) fn chroot(args: &[u64; 6]) -> SysResult {
    let path = PathArgument::read(args[0])?;
    let caller = Caller::current();
    let node = place(&caller, AT_FDCWD as u64, path.as_bytes(), 0)?;
    if !node.is_directory() {
        return Err(Errno::ENOTDIR);
    }
    if !caller.can(SYS_CHROOT) {
        return Err(Errno::EPERM);
    }
    process::current().fs.lock().set_root(node);
    Ok(0)
}

/// readlink(2).
pub(super) fn readlink(args: &[u64; 6]) -> SysResult {
    read_link(AT_FDCWD as u64, args[0], args[1], args[2])
}

/// readlinkat(2).
pub(super) fn readlinkat(args: &[u64; 6]) -> SysResult {
    read_link(args[0], args[1], args[2], args[3])
}

fn read_link(fd: u64, path: u64, buffer: u64, size: u64) -> SysResult {
    let path = PathArgument::read(path)?;
    if size as i32 <= 0 {
        return Err(Errno::EINVAL);
    }
    let caller = Caller::current();
    let node = place(
        &caller,
        fd,
        path.as_bytes(),
        AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH,
    )?;
    let copy = |text: &[u8]| {
        let text = text.get(..size as usize).unwrap_or(text);
        user::copy_out(buffer, text).map(|()| text.len())
    };
    if let Node::Pseudo(pseudo) = &node {
        return copy(&pseudo.link_text()?);
    }
    match node.link_target() {
        Ok(Target::Node(..)) => Err(Errno::EINVAL),
        Ok(target) => copy(target.path().ok_or(Errno::EINVAL)?),
        Err(errno) if path.as_bytes().is_empty() && errno == Errno::EINVAL => Err(Errno::ENOENT),
        Err(errno) => Err(errno),
    }
}
