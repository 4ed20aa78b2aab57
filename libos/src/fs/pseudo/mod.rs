//! `/proc` and `/sys`: files whose content is made when they are opened.
//!
//! Both are static tables of [`Item`]s (`item`): a directory is a slice of
//! items, a text is a function. The tables are in `root` and `sysctl`
//! (`/proc`, `/proc/sys`), `task` and `status` (`/proc/PID`), `mounts` and `system`
//! (`/sys`); what they tell of other subsystems comes through `source`. There is one
//! process, so an item needs no more than the number of a descriptor to be
//! whole: [`Pseudo`] is that pair.

mod file;
mod item;
mod mounts;
mod root;
mod source;
mod status;
mod sysctl;
mod system;
mod task;

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::attributes::{Attributes, FileType, PROC_DEVICE, SYS_DEVICE};
use super::directory::DirectoryFile;
use super::node::{Identity, Node, Target, Visitor};
use super::open_file::{OpenFile, Origin};
use super::overlay::overlay;
use crate::errno::Errno;
use crate::process;
use file::GeneratedFile;
use item::{Item, Kind};

/// A place in `/proc` or `/sys`.
#[derive(Clone, Copy)]
pub struct Pseudo {
    device: u64,
    item: &'static Item,
    /// The number that led here, where the item is one of many (a descriptor).
    number: u32,
}

impl Pseudo {
    /// The top of `/proc`.
    pub fn proc_root() -> Pseudo {
        Pseudo {
            device: PROC_DEVICE,
            item: &root::ROOT,
            number: 0,
        }
    }

    /// The top of `/sys`.
    pub fn sys_root() -> Pseudo {
        Pseudo {
            device: SYS_DEVICE,
            item: &system::ROOT,
            number: 0,
        }
    }

    fn child(&self, item: &'static Item, number: u32) -> Pseudo {
        Pseudo {
            device: self.device,
            item,
            number,
        }
    }

    /// Kind of the file.
    pub fn file_type(&self) -> FileType {
        match self.item.kind {
            Kind::Directory(_) | Kind::Numbered { .. } => FileType::Directory,
            Kind::Text(_) | Kind::Setting { .. } => FileType::Regular,
            Kind::Link(_) | Kind::Magic { .. } => FileType::Symlink,
        }
    }

    /// Device and inode number: where the item is in the libOS, and the number.
    /// A directory is one of a kind, whatever number led to it.
    pub fn identity(&self) -> Identity {
        let place = core::ptr::from_ref(self.item).addr() as u64 & 0xffff_ffff;
        let number = if self.file_type() == FileType::Directory {
            0
        } else {
            self.number
        };
        Identity {
            device: self.device,
            ino: place | u64::from(number) << 32,
        }
    }

    /// What `stat` shows. Everything belongs to the process's user but settings.
    pub fn attributes(&self) -> Result<Attributes, Errno> {
        let kind = self.file_type();
        let identity = self.identity();
        let mode = self.item.mode | kind.mode_bits();
        let mut attributes = Attributes::generated(identity.device, identity.ino, mode);
        if kind == FileType::Directory {
            attributes.nlink = 2;
        }
        if self.item.owned {
            let credentials = process::current().credentials.lock();
            (attributes.uid, attributes.gid) = (credentials.euid, credentials.egid);
        }
        Ok(attributes)
    }

    /// The node called `name` in this directory.
    pub fn lookup(&self, name: &[u8]) -> Result<Option<Node>, Errno> {
        let items = match &self.item.kind {
            Kind::Directory(items) => *items,
            Kind::Numbered {
                items,
                numbers,
                child,
            } => {
                if let Some(number) = item::parse_number(name)
                    && numbers().contains(&number)
                {
                    return Ok(Some(Node::Pseudo(self.child(child, number))));
                }
                *items
            }
            _ => return Err(Errno::ENOTDIR),
        };
        let found = items.iter().find(|item| item.name.as_bytes() == name);
        Ok(found.map(|item| Node::Pseudo(self.child(item, self.number))))
    }

    /// The directory that holds this directory.
    pub fn parent(&self) -> Result<Node, Errno> {
        let top = if self.device == PROC_DEVICE {
            &root::ROOT
        } else {
            &system::ROOT
        };
        match item::holder(top, self.item) {
            Some(holder) => Ok(Node::Pseudo(self.child(holder, 0))),
            None => Ok(overlay()?.root()),
        }
    }

    /// Calls `visit` with each name in this directory, until it says false.
    pub fn visit(&self, visit: &mut Visitor<'_>) -> Result<(), Errno> {
        let mut show =
            |name: &[u8], pseudo: Pseudo| visit(name, pseudo.identity(), pseudo.file_type());
        let items = match &self.item.kind {
            Kind::Directory(items) => *items,
            Kind::Numbered {
                items,
                numbers,
                child,
            } => {
                for number in numbers() {
                    if !show(
                        alloc::format!("{number}").as_bytes(),
                        self.child(child, number),
                    ) {
                        return Ok(());
                    }
                }
                *items
            }
            _ => return Err(Errno::ENOTDIR),
        };
        for item in items {
            if !show(item.name.as_bytes(), self.child(item, self.number)) {
                break;
            }
        }
        Ok(())
    }

    /// Where a symlink leads.
    pub fn link_target(&self) -> Result<Target, Errno> {
        match self.item.kind {
            Kind::Link(text) => Ok(Target::Made(text())),
            Kind::Magic { node, .. } => Ok(Target::Node(node(self.number)?)),
            _ => Err(Errno::EINVAL),
        }
    }

    /// What `readlink` shows: a magic link has a text too, though it is not what is followed.
    pub fn link_text(&self) -> Result<Vec<u8>, Errno> {
        match self.item.kind {
            Kind::Link(text) => Ok(text()),
            Kind::Magic { text, .. } => text(self.number),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Opens a text or a directory.
    pub fn open(&self, flags: u32, origin: Option<Origin>) -> Result<Arc<OpenFile>, Errno> {
        match self.item.kind {
            Kind::Directory(_) | Kind::Numbered { .. } => Ok(OpenFile::new(
                DirectoryFile::new(Node::Pseudo(*self)),
                flags,
                origin,
            )),
            Kind::Text(_) | Kind::Setting { .. } => {
                Ok(OpenFile::new(GeneratedFile::new(*self)?, flags, origin))
            }
            Kind::Link(_) | Kind::Magic { .. } => Err(Errno::ELOOP),
        }
    }

    /// The content of a text, now.
    fn content(&self) -> Result<Vec<u8>, Errno> {
        let mut content = Vec::new();
        match self.item.kind {
            Kind::Text(text) | Kind::Setting { text, .. } => text(self.number, &mut content)?,
            _ => return Err(Errno::EISDIR),
        }
        Ok(content)
    }

    /// Takes what was written to a setting.
    fn store(&self, bytes: &[u8]) -> Result<(), Errno> {
        match self.item.kind {
            Kind::Setting { store, .. } => store(bytes),
            _ => Err(Errno::EIO),
        }
    }
}
