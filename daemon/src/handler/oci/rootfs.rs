//! A container's root file system: its image's layers below, a directory of its own above,
//! put together by overlayfs.
//!
//! ```text
//! DIRECTORY/overlay/{upper,work}   what the container writes
//! DIRECTORY/bundle/rootfs          the mount
//! ```

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, XattrFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};
use unikiln_builder::LayerTree;

/// What the kernel takes of options, with the NUL.
const OPTIONS_MAX_BYTES: usize = 4096;
const OPAQUE: &str = "trusted.overlay.opaque";

/// What goes wrong with a root file system.
#[derive(Debug, thiserror::Error)]
pub(super) enum RootfsError {
    /// A directory cannot be made, or something be removed.
    #[error("cannot {operation} {}: {source}", path.display())]
    File {
        operation: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// More layers than fit into the options of a mount.
    #[error("an image of {count} layers cannot be mounted; squash it")]
    TooManyLayers { count: usize },
    /// The kernel does not mount it.
    #[error(
        "cannot mount overlayfs on {}: {source}; overlayfs needs root, and a state directory \
         on a file system that it can write to (not on another overlayfs)",
        path.display()
    )]
    Mount { path: PathBuf, source: io::Error },
    /// A directory of a layer is not what it should be.
    #[error("cannot take over the attributes of {path:?}: {source}")]
    Implied { path: String, source: io::Error },
}

/// A container's root file system, mounted or not.
#[derive(Debug)]
pub(super) struct Rootfs {
    directory: PathBuf,
}

impl Rootfs {
    /// That of the container with this directory.
    pub(super) fn of(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    /// Where it is mounted.
    pub(super) fn path(&self) -> PathBuf {
        self.directory.join("bundle/rootfs")
    }

    /// What the container wrote.
    pub(super) fn upper(&self) -> PathBuf {
        self.directory.join("overlay/upper")
    }

    fn work(&self) -> PathBuf {
        self.directory.join("overlay/work")
    }

    /// Mounts it over `layers`, lowest first.
    pub(super) fn mount(&self, layers: &[LayerTree]) -> Result<(), RootfsError> {
        let empty = self.directory.join("overlay/empty");
        for directory in [self.path(), self.upper(), self.work(), empty.clone()] {
            fs::create_dir_all(&directory).map_err(failed("make", &directory))?;
        }
        let mut below = Vec::new();
        for layer in stacked(layers) {
            below.push(open_directory(&layer.path)?);
        }
        if below.is_empty() {
            below.push(open_directory(&empty)?);
        }
        let (upper, work) = (
            open_directory(&self.upper())?,
            open_directory(&self.work())?,
        );
        // As descriptors: short, and no path of a user can hold a `:` or `,`.
        let lower: Vec<_> = below.iter().map(in_proc).collect();
        let options = format!(
            "lowerdir={},upperdir={},workdir={},index=off,redirect_dir=nofollow,metacopy=off",
            lower.join(":"),
            in_proc(&upper),
            in_proc(&work)
        );
        let too_many = RootfsError::TooManyLayers {
            count: layers.len(),
        };
        if options.len() >= OPTIONS_MAX_BYTES {
            return Err(too_many);
        }
        let options = CString::new(options).map_err(|_| too_many)?;
        let path = self.path();
        rustix::mount::mount(
            "unikiln",
            &path,
            "overlay",
            MountFlags::empty(),
            options.as_c_str(),
        )
        .map_err(|error| RootfsError::Mount {
            path: path.clone(),
            source: error.into(),
        })?;
        self.settle_root(layers)?;
        self.settle_implied(layers)
    }

    /// The root directory has the attributes of the highest layer that has some.
    fn settle_root(&self, layers: &[LayerTree]) -> Result<(), RootfsError> {
        let describes = |layer: &&LayerTree| !layer.implied.iter().any(|path| path == b".");
        let root = open_directory(&self.path())?;
        let failed = |error: Errno| RootfsError::Implied {
            path: "/".to_owned(),
            source: error.into(),
        };
        match layers.iter().rev().find(describes) {
            Some(layer) => copy_attributes(&open_directory(&layer.path)?, &root).map_err(failed),
            None => rustix::fs::fchmod(&root, Mode::from_raw_mode(0o755)).map_err(failed),
        }
    }

    /// A directory that a layer has only as a part of paths keeps the attributes that a
    /// layer below gave it.
    fn settle_implied(&self, layers: &[LayerTree]) -> Result<(), RootfsError> {
        let stack: Vec<_> = stacked(layers).collect();
        let mut roots = Vec::new();
        for layer in &stack {
            roots.push(open_directory(&layer.path)?);
        }
        for (number, layer) in stack.iter().enumerate() {
            for path in layer.implied.iter().filter(|path| *path != b".") {
                let failed = |error: Errno| RootfsError::Implied {
                    path: String::from_utf8_lossy(path).into_owned(),
                    source: error.into(),
                };
                // One that a higher layer has is looked at there.
                let is_covered = roots[..number]
                    .iter()
                    .any(|root| !matches!(look(root, path), Ok(Seen::Nothing)));
                if is_covered {
                    continue;
                }
                let known = described(&stack[number..], &roots[number..], path);
                if let Some(known) = known.map_err(failed)? {
                    let merged = open_directory(&self.path())?;
                    let merged = open_inside(&merged, path, OFlags::RDONLY | OFlags::DIRECTORY)
                        .map_err(failed)?;
                    copy_attributes(&known, &merged).map_err(failed)?;
                }
            }
        }
        Ok(())
    }

    /// The directory at a path of the container, looked for as after a chroot and made
    /// where it is missing; its path on the host.
    pub(super) fn make_directory(&self, path: &Path) -> Result<PathBuf, RootfsError> {
        let whole = self.path();
        let unusable = |error: Errno| failed("make", &whole.join(path))(error.into());
        let root = open_directory(&whole)?;
        let mut so_far = PathBuf::from(".");
        let mut here = open_in_root(&root, &so_far).map_err(unusable)?;
        for name in path.components() {
            let std::path::Component::Normal(name) = name else {
                continue;
            };
            so_far.push(name);
            here = match open_in_root(&root, &so_far) {
                Err(Errno::NOENT) => rustix::fs::mkdirat(&here, name, Mode::from_raw_mode(0o755))
                    .and_then(|()| open_in_root(&root, &so_far))
                    .map_err(unusable)?,
                opened => opened.map_err(unusable)?,
            };
        }
        fs::read_link(in_proc(&here)).map_err(failed("find", &whole.join(path)))
    }

    /// The text of a small file, looked for as after a chroot; empty where there is none.
    pub(super) fn read(&self, path: &str, limit_bytes: u64) -> Result<String, RootfsError> {
        let unreadable = |source| RootfsError::File {
            operation: "read",
            path: Path::new("/").join(path),
            source,
        };
        let root = open_directory(&self.path())?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let found = rustix::fs::openat2(
            &root,
            path,
            flags,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        );
        let file = match found {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(String::new()),
            file => File::from(file.map_err(|error| unreadable(error.into()))?),
        };
        if !file.metadata().map_err(unreadable)?.is_file() {
            return Ok(String::new());
        }
        let mut bytes = Vec::new();
        file.take(limit_bytes)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Unmounts and removes it. May be called again, and after any failure.
    pub(super) fn remove(&self) -> Result<(), RootfsError> {
        let path = self.path();
        loop {
            // Once for each mount; one of a daemon that was killed may lie below another.
            match rustix::mount::unmount(&path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
                Ok(()) => {}
                Err(Errno::INVAL | Errno::NOENT) => break,
                Err(error) => return Err(failed("unmount", &path)(error.into())),
            }
        }
        remove_directory(&self.directory.join("overlay"))
    }
}

/// Removes a directory with all below, if it is there.
pub(super) fn remove_directory(path: &Path) -> Result<(), RootfsError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Layers as overlayfs is given them, highest first: one that is there twice counts where
/// it is highest, and nothing counts below one that hides all.
fn stacked(layers: &[LayerTree]) -> impl Iterator<Item = &LayerTree> {
    let mut seen = Vec::new();
    let mut is_hidden = false;
    layers.iter().rev().filter(move |layer| {
        let is_taken = !is_hidden && !seen.contains(&&layer.path);
        seen.push(&layer.path);
        is_hidden |= rustix::fs::lgetxattr(&layer.path, OPAQUE, &mut [0; 1]).is_ok();
        is_taken
    })
}

/// What a layer has at a path.
enum Seen {
    Nothing,
    Directory(OwnedFd),
    /// Something that hides what lies below.
    Other,
}

/// The directory that gives `path` its attributes; none where no layer describes it.
fn described(
    stack: &[&LayerTree],
    roots: &[OwnedFd],
    path: &[u8],
) -> Result<Option<OwnedFd>, Errno> {
    for (layer, root) in stack.iter().zip(roots) {
        match look(root, path)? {
            Seen::Directory(found) if !layer.implied.iter().any(|implied| implied == path) => {
                return Ok(Some(found));
            }
            Seen::Other => return Ok(None),
            Seen::Directory(_) | Seen::Nothing => {}
        }
        if hides_below(root, path)? {
            return Ok(None);
        }
    }
    Ok(None)
}

/// Whether a layer hides what lies below at a path or over it.
fn hides_below(root: &OwnedFd, path: &[u8]) -> Result<bool, Errno> {
    let ends = (0..=path.len()).filter(|&end| end == path.len() || path[end] == b'/');
    for end in ends {
        match look(root, &path[..end])? {
            Seen::Other => return Ok(true),
            Seen::Nothing => return Ok(false),
            Seen::Directory(directory) => {
                let directory = open_inside(&directory, b".", OFlags::RDONLY)?;
                if rustix::fs::fgetxattr(&directory, OPAQUE, &mut [0; 1]).is_ok() {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

fn look(root: &OwnedFd, path: &[u8]) -> Result<Seen, Errno> {
    match open_inside(root, path, OFlags::PATH | OFlags::NOFOLLOW) {
        Err(Errno::NOENT) => Ok(Seen::Nothing),
        // A link or a file on the way.
        Err(Errno::LOOP | Errno::NOTDIR) => Ok(Seen::Other),
        Err(error) => Err(error),
        Ok(found) => {
            let stat = rustix::fs::fstat(&found)?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => Ok(Seen::Directory(found)),
                _ => Ok(Seen::Other),
            }
        }
    }
}

fn copy_attributes(from: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
    let from = open_inside(from, b".", OFlags::RDONLY)?;
    let stat = rustix::fs::fstat(&from)?;
    let there = rustix::fs::fstat(to)?;
    let (uid, gid) = (
        rustix::fs::Uid::from_raw(stat.st_uid),
        rustix::fs::Gid::from_raw(stat.st_gid),
    );
    // What is right already is not copied up.
    if (stat.st_uid, stat.st_gid) != (there.st_uid, there.st_gid) {
        rustix::fs::fchown(to, Some(uid), Some(gid))?;
    }
    if stat.st_mode != there.st_mode {
        rustix::fs::fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    }
    let mut names = vec![0; 64 << 10];
    let len = rustix::fs::flistxattr(&from, &mut names[..])?;
    for name in names[..len].split(|&byte| byte == 0) {
        if name.is_empty() || name.starts_with(b"trusted.overlay.") {
            continue;
        }
        let mut value = vec![0; 64 << 10];
        let len = rustix::fs::fgetxattr(&from, name, &mut value[..])?;
        rustix::fs::fsetxattr(to, name, &value[..len], XattrFlags::empty())?;
    }
    Ok(())
}

fn open_inside(root: impl AsFd, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let path: &[u8] = if path.is_empty() { b"." } else { path };
    rustix::fs::openat2(
        root,
        std::ffi::OsStr::from_bytes(path),
        flags | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
    )
}

/// Opens a directory, links followed as after a chroot.
fn open_in_root(root: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::openat2(
        root,
        path,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    )
}

fn open_directory(path: &Path) -> Result<OwnedFd, RootfsError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|error| failed("open", path)(error.into()))
}

fn in_proc(directory: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", directory.as_raw_fd())
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RootfsError {
    let path = path.to_owned();
    move |source| RootfsError::File {
        operation,
        path,
        source,
    }
}
