//! Watches (`inotify`) of files in volumes: the host's inotify tells of them, what the
//! guest itself does included, so that nothing is told twice.
//!
//! Events are taken when the monitor calls, and right after changes that the guest
//! makes, so that whoever changes a file and then looks finds the event there.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use linux_raw_sys::general::{
    IN_ALL_EVENTS, IN_ATTRIB, IN_DELETE, IN_DELETE_SELF, IN_EXCL_UNLINK, IN_ISDIR, IN_Q_OVERFLOW,
};
use spin::Mutex;
use unikiln_abi::volume::{Event, Fields};

use super::VolumeInode;
use crate::errno::Errno;
use crate::fs::attributes::FileType;
use crate::fs::node::Identity;
use crate::fs::{PAGE_BYTES, notify};
use crate::{hypercall, time};

/// Bytes of events taken at once.
const ROOM: usize = 4 * PAGE_BYTES as usize;

/// A file that the monitor watches.
struct Watched {
    number: u32,
    inode: Arc<VolumeInode>,
    mask: u32,
    /// It has no name any more: it is gone with its last use.
    lost: bool,
}

static WATCHED: Mutex<Vec<Watched>> = Mutex::new(Vec::new());
/// How many, to look at without the lock.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Whether any file of a volume is watched.
#[inline]
pub fn is_active() -> bool {
    COUNT.load(Ordering::Relaxed) != 0
}

/// Makes the monitor watch what the guest's watches of `inode` ask for.
///
/// # Errors
/// ENOSPC where the host's limit is reached; what it says.
pub fn update(inode: &Arc<VolumeInode>) -> Result<(), Errno> {
    sweep();
    // What one of them does not want is not told to it.
    let mask = notify::mask_of(inode.identity()) & (IN_ALL_EVENTS | IN_EXCL_UNLINK);
    if mask == 0 {
        return Ok(());
    }
    let mut watched = WATCHED.lock();
    let known = watched.iter().position(|it| Arc::ptr_eq(&it.inode, inode));
    if known.is_some_and(|at| watched.get(at).is_some_and(|it| it.mask == mask)) {
        return Ok(());
    }
    let number = hypercall::volume_watch(inode.volume.index, inode.node, mask)?;
    match known.and_then(|at| watched.get_mut(at)) {
        Some(it) => (it.number, it.mask) = (number, mask),
        None => watched.push(Watched {
            number,
            inode: inode.clone(),
            mask,
            lost: false,
        }),
    }
    COUNT.store(watched.len(), Ordering::Relaxed);
    Ok(())
}

/// Ends watching what nobody watches any more.
pub fn sweep() {
    if !is_active() {
        return;
    }
    let ended: Vec<Watched> = {
        let mut watched = WATCHED.lock();
        let unused = |it: &mut Watched| notify::mask_of(it.inode.identity()) == 0;
        let ended = watched.extract_if(.., unused).collect();
        COUNT.store(watched.len(), Ordering::Relaxed);
        ended
    };
    for it in ended {
        // It may have ended by itself.
        let _ = hypercall::volume_watch(it.inode.volume.index, it.inode.node, 0);
    }
}

/// Tells the guest's watches, if the monitor has called. No lock may be held.
#[inline]
pub fn take_announced() {
    if is_active() && time::take_volume_events() {
        take(None);
    }
}

/// Tells the guest's watches what happened just now. No lock may be held.
#[inline]
pub fn look() {
    if is_active() {
        take(None);
    }
}

/// [`look`], where `closing` is about to be let go of by its caller.
#[inline]
pub fn look_closing(closing: &Arc<VolumeInode>) {
    if is_active() {
        take(Some(closing));
    }
}

/// `inode` may have lost its last name.
pub fn lost(inode: &Arc<VolumeInode>) {
    if !is_active() || inode.attributes().is_ok_and(|it| it.nlink > 0) {
        return;
    }
    let mut watched = WATCHED.lock();
    for it in watched
        .iter_mut()
        .filter(|it| Arc::ptr_eq(&it.inode, inode))
    {
        it.lost = true;
    }
}

/// Tells of files that nobody uses any more and that have no name: of the one with this
/// number, or of all.
fn tell_gone(closing: Option<&Arc<VolumeInode>>, number: Option<u32>) {
    let gone: Vec<Identity> = {
        let watched = WATCHED.lock();
        let unused = |it: &&Watched| {
            let own = 1 + usize::from(closing.is_some_and(|other| Arc::ptr_eq(other, &it.inode)));
            let is_meant = number.is_none_or(|number| number == it.number);
            it.lost && is_meant && Arc::strong_count(&it.inode) <= own
        };
        watched
            .iter()
            .filter(unused)
            .map(|it| it.inode.identity())
            .collect()
    };
    gone.into_iter().for_each(notify::gone);
}

/// Looks for watched directories that the host removed: it tells of their names only.
fn look_for_lost_directories() {
    let directories: Vec<Arc<VolumeInode>> = {
        let watched = WATCHED.lock();
        let is_directory = |it: &&Watched| it.inode.file_type() == FileType::Directory;
        watched
            .iter()
            .filter(is_directory)
            .map(|it| it.inode.clone())
            .collect()
    };
    for inode in directories {
        inode.changed();
        lost(&inode);
    }
}

#[cold]
fn take(closing: Option<&Arc<VolumeInode>>) {
    let mut buffer = Vec::new();
    if buffer.try_reserve_exact(ROOM).is_err() {
        return;
    }
    buffer.resize(ROOM, 0);
    while let Ok(got) = hypercall::volume_events(&mut buffer) {
        let mut fields = Fields(buffer.get(..got).unwrap_or_default());
        if got == 0 {
            break;
        }
        while let Some(event) = Event::read(&mut fields) {
            let len = event.name_bytes as usize;
            let Some(name) = fields.bytes(len.next_multiple_of(8)) else {
                break;
            };
            tell(&event, name.get(..len).unwrap_or_default());
            if event.mask & IN_ATTRIB != 0 {
                // Its directory is told after it.
                tell_gone(closing, Some(event.watch));
            }
        }
    }
    tell_gone(closing, None);
    sweep();
}

fn tell(event: &Event, name: &[u8]) {
    if event.mask & IN_Q_OVERFLOW != 0 {
        let watched = WATCHED.lock();
        let files: Vec<Identity> = watched.iter().map(|it| it.inode.identity()).collect();
        drop(watched);
        files.into_iter().for_each(notify::overflowed);
        return;
    }
    let name_end = name.iter().position(|&byte| byte == 0);
    let name = name.get(..name_end.unwrap_or(name.len())).unwrap_or(name);
    let inodes: Vec<Arc<VolumeInode>> = {
        let watched = WATCHED.lock();
        let same = watched.iter().filter(|it| it.number == event.watch);
        same.map(|it| it.inode.clone()).collect()
    };
    let mask = event.mask & (IN_ALL_EVENTS | IN_ISDIR);
    // The monitor opens a directory for each look at its names: what the guest does
    // with its own open directories is told where it does it.
    if mask & IN_ISDIR != 0 && mask & notify::LISTING != 0 {
        return;
    }
    for inode in inodes {
        if mask & IN_DELETE_SELF != 0 {
            notify::gone(inode.identity());
            continue;
        }
        notify::told(inode.identity(), mask, event.cookie, name);
        if mask & IN_ATTRIB != 0 && name.is_empty() {
            inode.changed();
            lost(&inode);
        }
    }
    if mask & IN_DELETE != 0 && mask & IN_ISDIR != 0 {
        look_for_lost_directories();
    }
}
