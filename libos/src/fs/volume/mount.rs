//! Mounting volumes where the command line wants them.
//!
//! The place is made where it is missing, in the guest's own memory. A volume
//! inside another one covers a name there, and nothing is made on the host for it,
//! but for directories between the two.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use spin::Mutex;
use unikiln_abi::volume::VOLUME_FILE;

use super::{VOLUMES, Volume, VolumeInode};
use crate::errno::Errno;
use crate::fs::access::Caller;
use crate::fs::memory::Entry;
use crate::fs::node::{Identity, Node};
use crate::fs::overlay::overlay;
use crate::fs::path::{Last, Resolver};
use crate::fs::path_cache;
use crate::fs::tree::{self, NewFile};
use crate::sorted::sort_by_key;

/// A name in a volume's directory that another volume covers.
struct Cover {
    directory: Identity,
    name: Box<[u8]>,
    root: Arc<VolumeInode>,
}

static COVERS: Mutex<Vec<Cover>> = Mutex::new(Vec::new());
/// How many, to look at without the lock.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The volume that covers `name` in a directory of another one.
pub(in crate::fs) fn covered(directory: Identity, name: &[u8]) -> Option<Node> {
    if COUNT.load(Ordering::Relaxed) == 0 {
        return None;
    }
    let covers = COVERS.lock();
    let found = covers
        .iter()
        .find(|cover| cover.directory == directory && *cover.name == *name)?;
    Some(Node::Volume(found.root.clone()))
}

/// Calls `visit` with each name in a directory that is covered.
pub(in crate::fs) fn visit_covered(
    directory: Identity,
    visit: &mut dyn FnMut(&[u8], &Node) -> bool,
) {
    if COUNT.load(Ordering::Relaxed) == 0 {
        return;
    }
    let covers = COVERS.lock();
    let here = covers.iter().filter(|cover| cover.directory == directory);
    for cover in here {
        if !visit(&cover.name, &Node::Volume(cover.root.clone())) {
            return;
        }
    }
}

/// Mounts all volumes: `FLAGS PLACE` each. Once, at boot.
///
/// # Errors
/// Which one cannot be mounted, and why.
pub fn mount_all(volumes: Vec<Vec<u8>>) -> Result<(), String> {
    if volumes.is_empty() {
        return Ok(());
    }
    let volumes = VOLUMES.call_once(|| {
        let parsed = (0..).zip(volumes).map(|(index, text)| parse(index, &text));
        parsed.collect()
    });
    let mut by_depth: Vec<&'static Volume> = volumes.iter().collect();
    sort_by_key(&mut by_depth, |volume| {
        volume.place.iter().filter(|&&byte| byte == b'/').count()
    });
    for volume in by_depth {
        volume.mount().map_err(|errno| {
            let place = String::from_utf8_lossy(&volume.place);
            alloc::format!("volume at {place}: {}", describe(errno, volume))
        })?;
    }
    Ok(())
}

fn describe(errno: Errno, volume: &Volume) -> &'static str {
    let is_file = volume.flags & VOLUME_FILE != 0;
    match errno {
        Errno::EISDIR if is_file => "it is a file, and the image has a directory there",
        Errno::ENOTDIR => "it is a directory, and the image has a file there or above",
        Errno::EROFS => "a directory above it is missing in a volume that is read-only",
        Errno::EBUSY => "nothing can be mounted there",
        other => other.name(),
    }
}

fn parse(index: u64, text: &[u8]) -> Volume {
    let mut parts = text.splitn(2, |&byte| byte == b' ');
    let digits = parts.next().unwrap_or_default();
    let flags = digits.iter().fold(0u32, |flags, digit| {
        flags * 10 + u32::from(digit.wrapping_sub(b'0'))
    });
    Volume {
        index,
        flags,
        place: parts.next().unwrap_or_default().to_vec(),
        inodes: Mutex::default(),
        pipes: Mutex::default(),
        pending: Mutex::default(),
    }
}

impl Volume {
    fn mount(&'static self) -> Result<(), Errno> {
        let caller = Caller::default();
        let root = overlay()?.root();
        let ends = self.place.iter().enumerate().skip(1);
        for (end, _) in ends.filter(|(_, byte)| **byte == b'/') {
            let above = self.place.get(..end).ok_or(Errno::EIO)?;
            let found = Resolver::new(&caller, &root).find(&root, above, true)?;
            if found.node.is_none() {
                tree::create(&caller, &found, &NewFile::Directory, 0o755)?;
            }
        }
        let found = Resolver::new(&caller, &root).find(&root, &self.place, true)?;
        if found.last != Last::Name {
            return Err(Errno::EBUSY);
        }
        let is_file = self.flags & VOLUME_FILE != 0;
        match &found.node {
            Some(node) if node.is_directory() && is_file => return Err(Errno::EISDIR),
            Some(node) if !node.is_directory() && !is_file => return Err(Errno::ENOTDIR),
            _ => {}
        }
        let name = Box::from(found.name.as_bytes());
        match found.directory.current() {
            Node::Pseudo(_) | Node::Open(_) => Err(Errno::EBUSY),
            Node::Volume(directory) => {
                let cover = Cover {
                    directory: directory.identity(),
                    name,
                    root: self.root(Node::Volume(directory))?,
                };
                COVERS.lock().push(cover);
                COUNT.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            node => {
                let directory = node.writable()?;
                let top = Node::Volume(self.root(Node::Memory(directory.clone()))?);
                (directory.directory()?.lock().entries).insert(name, Entry::Node(top));
                path_cache::begin_epoch();
                Ok(())
            }
        }
    }
}
