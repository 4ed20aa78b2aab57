//! Mounting: the image, and the directories that every program expects.

use alloc::boxed::Box;
use alloc::sync::Arc;

use spin::Mutex;

use super::access::Caller;
use super::attributes::{DEV_DEVICE, SHM_DEVICE};
use super::memory::{Body, Directory, Entry, MemoryInode};
use super::node::Node;
use super::overlay;
use super::path::Resolver;
use super::pseudo::Pseudo;
use super::tree::{self, NewFile};
use crate::boot;
use crate::dev;
use crate::errno::Errno;
use crate::process;

/// Descriptors of the standard streams are below this.
const STANDARD_STREAMS: u32 = 3;

/// Mounts the root file system, `/dev`, `/proc` and `/sys`. Once, at boot.
pub fn init() -> Result<(), Errno> {
    let root = overlay::mount()?.root();
    let top = root.writable()?;
    let device_directory = device_directory(&Node::Memory(top.clone()))?;
    mount_at(&top, b"dev", Node::Memory(device_directory))?;
    mount_at(&top, b"proc", Node::Pseudo(Pseudo::proc_root()))?;
    mount_at(&top, b"sys", Node::Pseudo(Pseudo::sys_root()))?;
    ensure_directory(&root, b"/tmp", 0o1777)?;
    open_standard_streams()
}

/// Gives the first process its descriptors 0, 1 and 2.
fn open_standard_streams() -> Result<(), Errno> {
    let mut files = process::current().files.lock();
    for (fd, file) in (0..).zip(dev::stream::open_standard()) {
        files.replace(fd, file, false, STANDARD_STREAMS)?;
    }
    Ok(())
}

/// Puts `node` over whatever the image has at `name`.
fn mount_at(top: &Arc<MemoryInode>, name: &[u8], node: Node) -> Result<(), Errno> {
    top.directory()?
        .lock()
        .entries
        .insert(Box::from(name), Entry::Node(node));
    Ok(())
}

/// Makes a directory where the image has nothing.
fn ensure_directory(root: &Node, path: &[u8], mode: u32) -> Result<(), Errno> {
    let caller = Caller::default();
    let found = Resolver::new(&caller, root).find(root, path, true)?;
    if found.node.is_none() {
        tree::create(&caller, &found, &NewFile::Directory, mode)?;
    }
    Ok(())
}

fn device_directory(root: &Node) -> Result<Arc<MemoryInode>, Errno> {
    let directory = |device, mode, parent: &Node| {
        MemoryInode::new(
            device,
            mode,
            0,
            0,
            Body::Directory(Mutex::new(Directory::inside(parent.clone()))),
        )
    };
    let top = directory(DEV_DEVICE, 0o755, root);
    let parent = Node::Memory(top.clone());
    let put = |name: &[u8], inode: Arc<MemoryInode>| mount_at(&top, name, Node::Memory(inode));
    for node in dev::NODES {
        let body = Body::CharDevice(node.rdev);
        let is_console = node.name == b"console";
        // A terminal that is passed on belongs to the user of the image.
        let uid = boot::info().map_or(0, |info| if is_console { info.uid } else { 0 });
        let inode = MemoryInode::new(DEV_DEVICE, node.mode, uid, node.gid, body);
        if is_console {
            dev::stream::set_console(Node::Memory(inode.clone()));
        }
        put(node.name, inode)?;
    }
    for (name, target) in dev::LINKS {
        put(
            name,
            MemoryInode::new(DEV_DEVICE, 0o777, 0, 0, Body::Symlink(Box::from(*target))),
        )?;
    }
    put(b"shm", directory(SHM_DEVICE, 0o1777, &parent))?;
    put(b"pts", dev::pty::directory(parent.clone()))?;
    top.meta.lock().nlink += 2;
    Ok(top)
}
