//! Telling watches (`inotify`) what happens to files.
//!
//! Whoever changes something calls one of the functions here after the change.
//! While nothing is watched that is one load. A file is watched by its identity,
//! so neither copying up nor another name matters; a watched directory is told
//! of its files too, by the place where each was opened or found.
//!
//! Locks: the table's, then an instance's; both are leaves and may be taken
//! under the tree lock.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use hashbrown::HashMap;
use linux_raw_sys::general::{
    IN_ACCESS, IN_ATTRIB, IN_CLOSE_NOWRITE, IN_CREATE, IN_DELETE, IN_DELETE_SELF, IN_EXCL_UNLINK,
    IN_ISDIR, IN_MOVE_SELF, IN_MOVED_FROM, IN_MOVED_TO, IN_OPEN,
};
use spin::{LazyLock, Mutex};

use super::attributes::FileType;
use super::inotify::{Core, Watch};
use super::node::{Identity, Node};
use super::open_file::Origin;
use super::place::name_in;

/// What opening, listing and closing a directory tells.
pub const LISTING: u32 = IN_OPEN | IN_ACCESS | IN_CLOSE_NOWRITE;

/// Watches in all: nothing is told while there are none.
static COUNT: AtomicUsize = AtomicUsize::new(0);
static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(Mutex::default);
static NEXT_COOKIE: AtomicU32 = AtomicU32::new(1);

/// All watches, by file.
#[derive(Default)]
pub struct Table {
    watches: HashMap<Identity, Vec<Arc<Watch>>>,
    /// Files that lost their last name and may still be open: directory and name.
    lost: HashMap<Identity, (Identity, Box<[u8]>)>,
}

impl Table {
    /// How many there are.
    pub fn count(&self) -> usize {
        COUNT.load(Ordering::Relaxed)
    }

    /// The watch of `file` that is one of `core`'s.
    pub fn find(&self, file: Identity, core: &Arc<Core>) -> Option<Arc<Watch>> {
        let mut watches = self.watches.get(&file)?.iter();
        watches.find(|watch| watch.belongs_to(core)).cloned()
    }

    /// Adds a watch.
    pub fn insert(&mut self, watch: Arc<Watch>) {
        COUNT.fetch_add(1, Ordering::Relaxed);
        self.watches.entry(watch.file()).or_default().push(watch);
    }

    /// Takes a watch out, if it is still in.
    pub fn remove(&mut self, watch: &Arc<Watch>) {
        let file = watch.file();
        let Some(watches) = self.watches.get_mut(&file) else {
            return;
        };
        let before = watches.len();
        watches.retain(|other| !Arc::ptr_eq(other, watch));
        COUNT.fetch_sub(before - watches.len(), Ordering::Relaxed);
        if watches.is_empty() {
            self.watches.remove(&file);
        }
        if self.watches.is_empty() {
            self.lost.clear();
        }
    }

    fn lost_name(&self, file: Identity, directory: Identity) -> Option<Vec<u8>> {
        let (at, name) = self.lost.get(&file)?;
        (*at == directory).then(|| name.to_vec())
    }

    fn take(&mut self, file: Identity) -> Vec<Arc<Watch>> {
        self.lost.remove(&file);
        let watches = self.watches.remove(&file).unwrap_or_default();
        COUNT.fetch_sub(watches.len(), Ordering::Relaxed);
        if self.watches.is_empty() {
            self.lost.clear();
        }
        watches
    }
}

/// Runs `with` on the table.
pub fn with_table<T>(with: impl FnOnce(&mut Table) -> T) -> T {
    with(&mut TABLE.lock())
}

/// Whether anything is watched.
#[inline]
pub fn is_active() -> bool {
    COUNT.load(Ordering::Relaxed) != 0
}

fn watches_of(file: Identity) -> Vec<Arc<Watch>> {
    with_table(|table| table.watches.get(&file).cloned().unwrap_or_default())
}

fn tell(watches: &[Arc<Watch>], mask: u32, cookie: u32, name: &[u8]) {
    for watch in watches {
        if watch.tell(mask, cookie, name) {
            with_table(|table| table.remove(watch));
        }
    }
}

/// What the watches of `file` ask for together; 0 without any. Files without a name
/// are left out only where all of them want that.
pub fn mask_of(file: Identity) -> u32 {
    let watches = watches_of(file);
    let mask = watches.iter().fold(0, |mask, watch| mask | watch.mask());
    if watches.iter().any(|watch| watch.wants_unlinked()) {
        mask & !IN_EXCL_UNLINK
    } else {
        mask
    }
}

/// The host tells what happened to `file`, or to `name` in it.
pub fn told(file: Identity, mask: u32, cookie: u32, name: &[u8]) {
    tell(&watches_of(file), mask, cookie, name);
}

/// The host lost events of `file`.
pub fn overflowed(file: Identity) {
    for watch in watches_of(file) {
        watch.overflow();
    }
}

fn kind_bit(is_directory: bool) -> u32 {
    if is_directory { IN_ISDIR } else { 0 }
}

/// `mask` happened to `node`, which was opened or found at `origin`.
#[inline]
pub fn happened(node: &Node, origin: Option<&Origin>, mask: u32) {
    // The host tells of files in volumes, whoever used them, but for listings.
    let by_host = matches!(node, Node::Volume(inode)
        if inode.file_type() != FileType::Directory || mask & LISTING == 0);
    if is_active() && !by_host {
        tell_all(node, origin, mask);
    }
}

fn tell_all(node: &Node, origin: Option<&Origin>, mask: u32) {
    let is_directory = node.is_directory();
    let mask = mask | kind_bit(is_directory);
    let parent = if is_directory {
        node.parent().ok()
    } else {
        origin.map(|origin| origin.directory.clone())
    };
    if let Some(parent) = parent.filter(|parent| parent.identity() != node.identity()) {
        let mut watches = watches_of(parent.identity());
        if !watches.is_empty()
            && let Some((name, is_linked)) = name_of(node, &parent, origin)
        {
            watches.retain(|watch| is_linked || watch.wants_unlinked());
            tell(&watches, mask, 0, &name);
        }
    }
    tell(&watches_of(node.identity()), mask, 0, &[]);
}

/// The name of `node` in its directory, and whether it still has it. None for
/// one that was moved elsewhere.
fn name_of(node: &Node, parent: &Node, origin: Option<&Origin>) -> Option<(Vec<u8>, bool)> {
    let kept = origin.and_then(|origin| origin.name.as_deref());
    let is_there = |name: &&[u8]| {
        let found = parent.lookup(name).ok().flatten();
        found.is_some_and(|found| found.identity() == node.identity())
    };
    if let Some(name) = kept.filter(is_there) {
        return Some((name.to_vec(), true));
    }
    let hash = origin.map(|origin| origin.name_hash);
    if let Ok(name) = name_in(parent, node, hash) {
        return Some((name, true));
    }
    let lost = with_table(|table| table.lost_name(node.identity(), parent.identity()));
    lost.map(|name| (name, false))
}

/// `directory` has a new name, `name`.
#[inline]
pub fn created(directory: &Node, name: &[u8], is_directory: bool) {
    if is_active() {
        let mask = IN_CREATE | kind_bit(is_directory);
        tell(&watches_of(directory.identity()), mask, 0, name);
    }
}

/// `node` is about to be let go of, without its last name, `name`.
#[inline]
pub fn lost(node: &Node, directory: &Node, name: &[u8]) {
    if is_active() && node.attributes().is_ok_and(|it| it.nlink == 0) {
        let place = (directory.identity(), Box::from(name));
        with_table(|table| table.lost.insert(node.identity(), place));
    }
}

/// `directory` has lost `name`.
#[inline]
pub fn deleted(directory: &Node, name: &[u8], is_directory: bool) {
    if is_active() {
        let mask = IN_DELETE | kind_bit(is_directory);
        tell(&watches_of(directory.identity()), mask, 0, name);
    }
}

/// `node` has one name more or less.
#[inline]
pub fn link_count_changed(node: &Node) {
    if is_active() {
        let mask = IN_ATTRIB | kind_bit(node.is_directory());
        tell(&watches_of(node.identity()), mask, 0, &[]);
    }
}

/// `node` went from one name to another, in place of `target`.
#[inline]
pub fn moved(node: &Node, from: (&Node, &[u8]), to: (&Node, &[u8]), target: Option<&Node>) {
    if is_active() {
        tell_moved(node, from, to, target);
    }
}

fn tell_moved(node: &Node, from: (&Node, &[u8]), to: (&Node, &[u8]), target: Option<&Node>) {
    let kind = kind_bit(node.is_directory());
    let cookie = NEXT_COOKIE.fetch_add(1, Ordering::Relaxed);
    let (directory, name) = from;
    let watches = watches_of(directory.identity());
    tell(&watches, IN_MOVED_FROM | kind, cookie, name);
    let (directory, name) = to;
    let watches = watches_of(directory.identity());
    tell(&watches, IN_MOVED_TO | kind, cookie, name);
    if let Some(target) = target {
        link_count_changed(target);
    }
    // Without IN_ISDIR, as in Linux.
    tell(&watches_of(node.identity()), IN_MOVE_SELF, 0, &[]);
}

/// A file without names is no longer used by anybody.
#[inline]
pub fn gone(file: Identity) {
    if is_active() {
        let watches = with_table(|table| table.take(file));
        for watch in watches {
            watch.tell(IN_DELETE_SELF, 0, &[]);
            watch.ignore();
        }
    }
}
