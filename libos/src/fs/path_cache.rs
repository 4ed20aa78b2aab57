//! Where whole paths lead, remembered while that cannot have changed.
//!
//! Only walks through directories of the image are remembered (and the root,
//! which is always in memory): such a directory cannot change without being
//! copied up first, and that, like a change of the root's names, begins a new
//! [`epoch`](begin_epoch) in which nothing is remembered. Directories that were
//! copied up before, `/tmp` for one, are walked each time, so that a program
//! that makes files there forgets nothing. A path that leads nowhere is
//! remembered too: loaders and interpreters ask for many.
//!
//! Permissions: walks of user 0 are remembered for user 0; walks of others only
//! where everybody may search every directory on the way, for all others.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use spin::Mutex;

use super::node::{Lower, Node};
use super::overlay::overlay;

/// Remembered paths at most; a power of two.
const SLOTS: usize = 1024;
/// Longer paths are walked each time.
const PATH_MAX_BYTES: usize = 128;

static EPOCH: AtomicU64 = AtomicU64::new(0);
/// Empty until the first path is remembered.
static SLOT_TABLE: Mutex<Vec<Option<Slot>>> = Mutex::new(Vec::new());

/// What a path is looked up by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Key<'a> {
    /// Node number of the image's directory that it starts from.
    pub start: u64,
    /// The path.
    pub path: &'a [u8],
    /// A symlink at the end is followed.
    pub follow: bool,
    /// User 0 asks.
    pub is_root: bool,
}

struct Slot {
    epoch: u64,
    hash: u64,
    start: u64,
    path: Box<[u8]>,
    flags: (bool, bool),
    place: Place,
}

/// Where a path leads.
#[derive(Clone, Copy)]
pub struct Place {
    /// The directory of its last component.
    pub directory: Lower,
    /// Hash of the name there.
    pub name_hash: u32,
    /// What is there, if anything.
    pub node: Option<Lower>,
    /// It ended with a slash.
    pub slash: bool,
}

impl Place {
    /// The node as it is now.
    #[inline]
    pub fn current_node(&self) -> Option<Node> {
        let lower = self.node?;
        Some(overlay().ok()?.node(lower.nid, lower.kind))
    }
}

/// Forgets everything: a directory of the image, or the root, changed.
pub(super) fn begin_epoch() {
    EPOCH.fetch_add(1, Ordering::Relaxed);
}

/// The epoch: a walk that began in it is remembered in it.
#[inline]
pub(super) fn epoch() -> u64 {
    EPOCH.load(Ordering::Relaxed)
}

/// Eight bytes at a time; the end is read as zeros.
#[inline]
fn hash(key: &Key<'_>) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(FACTOR).rotate_left(29);
    let flags = u64::from(key.follow) | u64::from(key.is_root) << 1 | (key.path.len() as u64) << 2;
    let (words, rest) = key.path.as_chunks::<8>();
    let whole = words.iter().fold(mix(key.start, flags), |hash, word| {
        mix(hash, u64::from_le_bytes(*word))
    });
    let last = rest
        .iter()
        .fold(0, |word, &byte| word << 8 | u64::from(byte));
    mix(whole, last)
}

/// Equality by words: `memcmp` is slow in a freestanding build.
#[inline]
fn same_bytes(left: &[u8], right: &[u8]) -> bool {
    let ((words, rest), (other_words, other_rest)) =
        (left.as_chunks::<8>(), right.as_chunks::<8>());
    left.len() == right.len()
        && words
            .iter()
            .zip(other_words)
            .all(|(a, b)| u64::from_le_bytes(*a) == u64::from_le_bytes(*b))
        && rest.iter().zip(other_rest).all(|(a, b)| a == b)
}

/// Where the path leads, if that is remembered.
#[inline]
pub(super) fn get(key: &Key<'_>) -> Option<Place> {
    let hash = hash(key);
    let table = SLOT_TABLE.lock();
    let slot = table.get(hash as usize % SLOTS)?.as_ref()?;
    let hit = slot.hash == hash
        && slot.epoch == epoch()
        && slot.start == key.start
        && slot.flags == (key.follow, key.is_root)
        && same_bytes(&slot.path, key.path);
    hit.then_some(slot.place)
}

/// Remembers a walk that began in `epoch`.
pub(super) fn put(key: &Key<'_>, epoch: u64, place: Place) {
    if key.path.len() > PATH_MAX_BYTES {
        return;
    }
    let hash = hash(key);
    let slot = Slot {
        epoch,
        hash,
        start: key.start,
        path: Box::from(key.path),
        flags: (key.follow, key.is_root),
        place,
    };
    let mut table = SLOT_TABLE.lock();
    if table.is_empty() {
        table.resize_with(SLOTS, || None);
    }
    if let Some(place) = table.get_mut(hash as usize % SLOTS) {
        *place = Some(slot);
    }
}
