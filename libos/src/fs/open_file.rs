//! An open file description: [`OpenFile`], shared by all descriptors that were
//! duplicated from one. What kind of file it is, is behind the trait [`File`].

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use linux_raw_sys::general::{
    IN_CLOSE_NOWRITE, IN_CLOSE_WRITE, O_ACCMODE, O_APPEND, O_NONBLOCK, O_PATH, O_RDONLY, O_RDWR,
    O_WRONLY, PROT_EXEC, PROT_WRITE,
};

use spin::Mutex;

use super::access::is_no_exec;
use super::attributes::Attributes;
use super::epoll::Watch;
pub use super::file::{File, Page, Readiness};
use super::lock::{self, Owner};
use super::name::name_hash;
use super::node::Node;
use super::notify;
use super::place;
use super::position::Position;
use super::signal_io::{Notice, O_ASYNC};
use super::transfer::{BufferSink, BufferSource};
use crate::errno::{Errno, SysResult};

/// Where an open file was found, for its path.
#[derive(Clone)]
pub struct Origin {
    /// The directory.
    pub directory: Node,
    /// Hash of its name there.
    pub name_hash: u32,
    /// Its name there, kept while anything is watched.
    pub name: Option<Box<[u8]>>,
}

impl Origin {
    /// The place called `name` in `directory`.
    pub fn new(directory: Node, name: &[u8]) -> Origin {
        Origin {
            directory,
            name_hash: name_hash(name),
            name: notify::is_active().then(|| Box::from(name)),
        }
    }

    /// The place at the end of `path`, if that is the name with this hash.
    #[inline]
    pub fn at_end(directory: Node, name_hash: u32, path: &[u8]) -> Origin {
        let name = notify::is_active().then(|| {
            let mut names = path.rsplit(|&byte| byte == b'/');
            names.find(|name| !name.is_empty()).unwrap_or_default()
        });
        Origin {
            directory,
            name_hash,
            name: name
                .filter(|name| super::name::name_hash(name) == name_hash)
                .map(Box::from),
        }
    }
}

/// See the module documentation. Made by [`OpenFile::new`], handed about as `Arc<OpenFile>`.
pub struct OpenFile<F: File + ?Sized = dyn File> {
    flags: AtomicU32,
    /// Who is told of its readiness by a signal, once somebody is.
    notice: Mutex<Option<Arc<Notice>>>,
    /// It may have locks of its own.
    pub locked: AtomicBool,
    /// Event polls that watch it; closing it ends these.
    pub watches: Mutex<Vec<Arc<Watch>>>,
    /// See `position.rs`.
    pub(super) position: Position,
    origin: Option<Origin>,
    file: F,
}

/// Flags that `fcntl(F_SETFL)` changes.
const SETTABLE_FLAGS: u32 =
    O_APPEND | O_NONBLOCK | linux_raw_sys::general::O_DIRECT | linux_raw_sys::general::O_NOATIME;

impl<F: File + 'static> OpenFile<F> {
    /// An open file with `O_*` flags.
    pub fn new(file: F, flags: u32, origin: Option<Origin>) -> Arc<OpenFile> {
        Arc::new(OpenFile {
            flags: AtomicU32::new(flags),
            notice: Mutex::new(None),
            locked: AtomicBool::new(false),
            watches: Mutex::new(Vec::new()),
            position: Position::default(),
            origin,
            file,
        })
    }
}

fn inode_id<F: File + ?Sized>(file: &F) -> (u64, u64) {
    file.attributes()
        .map_or((0, 0), |attributes| (attributes.device, attributes.ino))
}

impl<F: File + ?Sized> OpenFile<F> {
    /// Nobody watches it any more.
    fn end_watches(&self) {
        let watches = core::mem::take(&mut *self.watches.lock());
        for watch in watches {
            for watchers in self.file.watchers().into_iter().flatten() {
                watchers.remove(&*watch);
            }
            watch.file_closed();
        }
        if let Some(notice) = self.notice.lock().take() {
            for watchers in self.file.watchers().into_iter().flatten() {
                watchers.remove(&*notice);
            }
        }
    }

    /// Its last descriptor is about to close: this may wait. Nothing may be locked.
    pub(super) fn closing(&self) {
        self.end_watches();
        self.file.closing();
    }
}

impl<F: File + ?Sized> Drop for OpenFile<F> {
    fn drop(&mut self) {
        if notify::is_active() && *self.flags.get_mut() & O_PATH == 0 {
            let writes = matches!(*self.flags.get_mut() & O_ACCMODE, O_WRONLY | O_RDWR);
            let mask = if writes {
                IN_CLOSE_WRITE
            } else {
                IN_CLOSE_NOWRITE
            };
            if let Some(node) = self.file.node() {
                notify::happened(&node, self.origin.as_ref(), mask);
            }
        }
        self.end_watches();
        if *self.locked.get_mut() {
            lock::file_closed(inode_id(&self.file), Owner::file(self));
        }
    }
}

impl OpenFile {
    /// What kind of file it is.
    #[inline]
    pub fn file(&self) -> &dyn File {
        &self.file
    }

    /// `O_*` flags: access mode and status.
    #[inline]
    pub fn flags(&self) -> u32 {
        self.flags.load(Ordering::Relaxed)
    }

    /// Changes the status flags that can be changed.
    pub fn set_flags(&self, flags: u32) {
        let kept = self.flags() & !SETTABLE_FLAGS;
        let new = kept | flags & SETTABLE_FLAGS;
        self.flags.store(new, Ordering::Relaxed);
        self.file.flags_changed(new);
    }

    /// Turns O_ASYNC on or off: what it was.
    pub(super) fn change_async(&self, on: bool) -> bool {
        let before = if on {
            self.flags.fetch_or(O_ASYNC, Ordering::Relaxed)
        } else {
            self.flags.fetch_and(!O_ASYNC, Ordering::Relaxed)
        };
        before & O_ASYNC != 0
    }

    /// Who is told of its readiness by a signal.
    pub fn notice(&self) -> Arc<Notice> {
        self.notice.lock().get_or_insert_default().clone()
    }

    /// Opened for reading.
    #[inline]
    pub fn readable(&self) -> bool {
        let flags = self.flags();
        flags & O_PATH == 0 && matches!(flags & O_ACCMODE, O_RDONLY | O_RDWR)
    }

    /// Opened for writing.
    #[inline]
    pub fn writable(&self) -> bool {
        let flags = self.flags();
        flags & O_PATH == 0 && matches!(flags & O_ACCMODE, O_WRONLY | O_RDWR)
    }

    /// Opened as a mere place.
    #[inline]
    pub fn is_path(&self) -> bool {
        self.flags() & O_PATH != 0
    }

    #[inline]
    pub(super) fn nonblocking(&self) -> bool {
        self.flags() & O_NONBLOCK != 0
    }

    /// Tells watches of bytes read or written, if there were any.
    #[inline]
    pub(super) fn notify_used(&self, count: usize, mask: u32) {
        if count > 0 {
            self.notify(mask);
        }
    }

    /// Tells watches what happened to the file.
    #[inline]
    pub fn notify(&self, mask: u32) {
        if notify::is_active()
            && let Some(node) = self.file.node()
        {
            notify::happened(&node, self.origin.as_ref(), mask);
        }
    }

    /// Where it was found.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// Reads into kernel memory; short only at the end of the file. For the loader and mappings.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> SysResult {
        self.file
            .read(offset, self.nonblocking(), &mut BufferSink(buffer))
    }

    /// Writes from kernel memory.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> SysResult {
        self.file
            .write(offset, self.nonblocking(), &mut BufferSource(bytes))
    }

    /// Page `index` for reading: ENODEV where the file cannot be mapped, ENXIO past
    /// its end. A file that is open for writing gives frames only, so that shared
    /// mappings and `write` agree.
    pub fn page(&self, index: u64) -> Result<Page, Errno> {
        self.file.page(index, self.writable())
    }

    /// Page `index` for a shared mapping that is written: always a frame.
    pub fn page_for_write(&self, index: u64) -> Result<Page, Errno> {
        self.file.page(index, true)
    }

    /// Whether the file may be mapped so: ENODEV where it cannot be mapped at
    /// all, EACCES where it was not opened for what the mapping does, EPERM for
    /// code where nothing is executed.
    pub fn check_map(&self, protection: u32, shared: bool) -> Result<(), Errno> {
        if self.is_path() {
            return Err(Errno::EBADF);
        }
        if !self.readable() || shared && protection & PROT_WRITE != 0 && !self.writable() {
            return Err(Errno::EACCES);
        }
        if protection & PROT_EXEC != 0 && is_no_exec(&self.file.attributes()?) {
            return Err(Errno::EPERM);
        }
        if self.file.mappable() {
            Ok(())
        } else {
            Err(Errno::ENODEV)
        }
    }

    /// Bytes of the file, as far as mappings and the loader are concerned.
    pub fn size(&self) -> u64 {
        self.file.size()
    }

    /// What `fstat` shows.
    pub fn attributes(&self) -> Result<Attributes, Errno> {
        self.file.attributes()
    }

    /// Device and inode number.
    pub fn inode_id(&self) -> (u64, u64) {
        inode_id(&self.file)
    }

    /// The file's node, where it has one.
    pub fn node(&self) -> Option<Node> {
        self.file.node()
    }

    /// Its path now: what `/proc/self/fd/N` shows, with ` (deleted)` after a lost one.
    pub fn path(&self) -> Vec<u8> {
        if let Some(label) = self.file.label() {
            return label;
        }
        match (self.file.node(), &self.origin) {
            (Some(node), origin) => place::path_of(&node, origin.as_ref()),
            (None, _) => b"anon_inode:[file]".to_vec(),
        }
    }
}
