//! `/proc` and `/sys`: files whose content is made when they are opened.
//!
//! Both are static tables of [`Item`]s (`item`): a directory is a slice of
//! items, a text is a function. An item and the numbers on the way to it (a
//! thread, a descriptor, a processor) are a place: [`Pseudo`].
//!
//! | module | what it owns |
//! |---|---|
//! | `item`, `file` | the vocabulary of the tables; an open text |
//! | `root`, `machine`, `cpuinfo`, `net` | `/proc` itself |
//! | `sysctl` | `/proc/sys` |
//! | `task`, `status`, `limits`, `maps`, `namespace` | `/proc/PID` and `/proc/PID/task/TID` |
//! | `mounts` | what is mounted |
//! | `system`, `cpu`, `cgroup` | `/sys` |
//! | `processor` | what CPUID says |
//! | `source` | what other subsystems say |

mod cgroup;
mod cpu;
mod cpuinfo;
mod file;
mod item;
mod limits;
mod machine;
mod maps;
mod mounts;
mod namespace;
mod net;
mod processor;
mod root;
mod source;
mod status;
mod sysctl;
mod system;
mod sysvipc;
mod task;

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general::{O_ACCMODE, O_RDONLY};

use super::attributes::{Attributes, FileType, PROC_DEVICE, SYS_DEVICE};
use super::directory::DirectoryFile;
use super::node::{Identity, Node, Target, Visitor};
use super::open_file::{OpenFile, Origin};
use super::overlay::overlay;
use crate::errno::Errno;
use crate::process::inspect;
use file::GeneratedFile;
use item::{Item, Kind, Numbers};

/// A place in `/proc` or `/sys`.
#[derive(Clone, Copy)]
pub struct Pseudo {
    device: u64,
    read_only: bool,
    item: &'static Item,
    numbers: Numbers,
}

impl Pseudo {
    /// The top of `/proc`.
    pub fn proc_root() -> Pseudo {
        Pseudo {
            device: PROC_DEVICE,
            read_only: false,
            item: &root::ROOT,
            numbers: Numbers::default(),
        }
    }

    /// The top of `/sys`.
    pub fn sys_root() -> Pseudo {
        Pseudo {
            device: SYS_DEVICE,
            read_only: true,
            item: &system::ROOT,
            numbers: Numbers::default(),
        }
    }

    /// The process that this is the directory of.
    pub fn process(&self) -> Option<u32> {
        let process = self.numbers.process();
        process.filter(|_| core::ptr::eq(self.item, &raw const task::PROCESS))
    }

    fn child(&self, item: &'static Item, numbers: Numbers) -> Pseudo {
        Pseudo {
            device: item.mounted.map_or(self.device, |mounted| mounted.device),
            read_only: item
                .mounted
                .map_or(self.read_only, |mounted| mounted.read_only),
            item,
            numbers,
        }
    }

    /// Whether nothing can be written here, whoever asks: EROFS.
    pub fn read_only(&self) -> bool {
        self.read_only
    }

    /// Kind of the file.
    pub fn file_type(&self) -> FileType {
        match self.item.kind {
            Kind::Directory(_) | Kind::Numbered { .. } => FileType::Directory,
            Kind::Text(_) | Kind::Setting { .. } => FileType::Regular,
            Kind::Link(_) | Kind::Magic { .. } => FileType::Symlink,
        }
    }

    /// Device and inode number: where the item is in the libOS, and the numbers.
    pub fn identity(&self) -> Identity {
        let place = core::ptr::from_ref(self.item).addr() as u64 & 0xffff_ffff;
        Identity {
            device: self.device,
            ino: place | u64::from(self.numbers.mixed()) << 32,
        }
    }

    /// What `stat` shows.
    pub fn attributes(&self) -> Result<Attributes, Errno> {
        let kind = self.file_type();
        let identity = self.identity();
        let mode = match self.item.kind {
            Kind::Magic {
                mode: Some(mode), ..
            } => mode(self.numbers),
            _ => self.item.mode,
        };
        let mode = mode | kind.mode_bits();
        let mut attributes = Attributes::generated(identity.device, identity.ino, mode);
        if kind == FileType::Directory {
            attributes.nlink = 2;
        }
        // What was a process's is user 0's once that is gone.
        if self.item.owned
            && let Ok(seen) = source::seen(self.numbers)
        {
            let credentials = seen.process.credentials.lock();
            (attributes.uid, attributes.gid) = (credentials.euid, credentials.egid);
        }
        Ok(attributes)
    }

    /// ESRCH below a process that is gone.
    fn check_there(&self) -> Result<(), Errno> {
        if self.device == PROC_DEVICE && self.numbers.process().is_some() {
            source::seen(self.numbers)?;
        }
        Ok(())
    }

    /// EACCES unless the caller may look into the process, where that is asked for.
    fn check_private(&self) -> Result<(), Errno> {
        if self.item.private {
            let process = source::seen(self.numbers)?.process;
            if !inspect::may_inspect(process, inspect::Identity::File) {
                return Err(Errno::EACCES);
            }
        }
        Ok(())
    }

    /// The node called `name` in this directory.
    pub fn lookup(&self, name: &[u8]) -> Result<Option<Node>, Errno> {
        self.check_there()?;
        let items = match &self.item.kind {
            Kind::Directory(items) => *items,
            Kind::Numbered {
                items,
                prefix,
                numbers,
                child,
            } => {
                if let Some(digits) = name.strip_prefix(prefix.as_bytes())
                    && let Some(number) = item::parse_number(digits)
                    && numbers(self.numbers).contains(&number)
                {
                    let numbers = self.numbers.with(number);
                    return Ok(Some(Node::Pseudo(self.child(child, numbers))));
                }
                *items
            }
            _ => return Err(Errno::ENOTDIR),
        };
        let found = items.iter().find(|item| item.name.as_bytes() == name);
        Ok(found.map(|item| Node::Pseudo(self.child(item, self.numbers))))
    }

    /// The directory that holds this directory.
    pub fn parent(&self) -> Result<Node, Errno> {
        let top = if self.device == PROC_DEVICE {
            Pseudo::proc_root()
        } else {
            Pseudo::sys_root()
        };
        match item::holder(top.item, self.item) {
            Some((holder, by_number)) => {
                let numbers = if by_number {
                    self.numbers.without_last()
                } else {
                    self.numbers
                };
                // Above a mount point is what is around it.
                let around = if self.item.mounted.is_some() {
                    &top
                } else {
                    self
                };
                Ok(Node::Pseudo(around.child(holder, numbers)))
            }
            None => Ok(overlay()?.root()),
        }
    }

    /// Calls `visit` with each name in this directory, until it says false.
    pub fn visit(&self, visit: &mut Visitor<'_>) -> Result<(), Errno> {
        self.check_there().map_err(|_| Errno::ENOENT)?;
        let mut show =
            |name: &[u8], pseudo: Pseudo| visit(name, pseudo.identity(), pseudo.file_type());
        let items = match &self.item.kind {
            Kind::Directory(items) => *items,
            Kind::Numbered {
                items,
                prefix,
                numbers,
                child,
            } => {
                for number in numbers(self.numbers) {
                    if !show(
                        alloc::format!("{prefix}{number}").as_bytes(),
                        self.child(child, self.numbers.with(number)),
                    ) {
                        return Ok(());
                    }
                }
                *items
            }
            _ => return Err(Errno::ENOTDIR),
        };
        for item in items {
            if !show(item.name.as_bytes(), self.child(item, self.numbers)) {
                break;
            }
        }
        Ok(())
    }

    /// Where a symlink leads.
    pub fn link_target(&self) -> Result<Target, Errno> {
        self.check_private()?;
        match self.item.kind {
            Kind::Link(text) => Ok(Target::Made(text())),
            Kind::Magic { node, .. } => {
                let (node, origin) = node(self.numbers)?;
                Ok(Target::Node(node, origin))
            }
            _ => Err(Errno::EINVAL),
        }
    }

    /// What `readlink` shows: a magic link has a text too, though it is not what is followed.
    pub fn link_text(&self) -> Result<Vec<u8>, Errno> {
        self.check_private()?;
        match self.item.kind {
            Kind::Link(text) => Ok(text()),
            Kind::Magic { text, .. } => text(self.numbers),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Opens a text or a directory.
    pub fn open(&self, flags: u32, origin: Option<Origin>) -> Result<Arc<OpenFile>, Errno> {
        if self.read_only && flags & O_ACCMODE != O_RDONLY {
            return Err(Errno::EROFS);
        }
        self.check_private()?;
        match self.item.kind {
            Kind::Directory(_) | Kind::Numbered { .. } => Ok(OpenFile::new(
                DirectoryFile::new(Node::Pseudo(*self)),
                flags,
                origin,
            )),
            Kind::Text(_) | Kind::Setting { .. } => {
                Ok(OpenFile::new(GeneratedFile::new(*self), flags, origin))
            }
            Kind::Link(_) | Kind::Magic { .. } => Err(Errno::ELOOP),
        }
    }

    /// The content of a text, now.
    fn content(&self) -> Result<Vec<u8>, Errno> {
        let mut content = Vec::new();
        match self.item.kind {
            Kind::Text(text) | Kind::Setting { text, .. } => text(self.numbers, &mut content)?,
            _ => return Err(Errno::EISDIR),
        }
        Ok(content)
    }

    /// Takes what was written to a setting.
    fn store(&self, bytes: &[u8]) -> Result<(), Errno> {
        match self.item.kind {
            Kind::Setting { store, .. } => store(self.numbers, bytes),
            _ => Err(Errno::EIO),
        }
    }
}
