//! All address spaces: made, shared, ended, and told of changes of files.
//!
//! The structures are never freed, only used again, with their root: a vCPU may go on
//! with the root of a space that has ended, in which nothing but the libOS is left.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use spin::{Mutex, Once};
use unikiln_abi::layout::APP_END;

use super::file_change::FilePages;
use super::pagetable::Root;
use super::space::{AddressSpace, LOWEST, Space};
use crate::errno::Errno;
use crate::sched;

/// Every space that was ever made.
static ALL: Mutex<Vec<&'static AddressSpace>> = Mutex::new(Vec::new());
/// How many, to know without the lock that there is one.
static COUNT: AtomicUsize = AtomicUsize::new(1);
/// Changes of files that other spaces have not heard of.
static OWED: Mutex<Vec<(FilePages, Root)>> = Mutex::new(Vec::new());
/// Whether there are any.
static IS_OWED: AtomicBool = AtomicBool::new(false);

/// The space of the first process, in the table that the monitor built.
pub fn first() -> &'static AddressSpace {
    static FIRST: Once<&'static AddressSpace> = Once::new();
    FIRST.call_once(|| {
        let space = Box::leak(Box::new(AddressSpace::new(Root::first())));
        ALL.lock().push(space);
        space
    })
}

/// An empty space, with one user.
///
/// # Errors
/// ENOMEM.
pub fn make() -> Result<&'static AddressSpace, Errno> {
    let mut all = ALL.lock();
    if let Some(unused) = all.iter().find(|space| space.is_free.swap(false, SeqCst)) {
        unused.users.store(1, SeqCst);
        return Ok(unused);
    }
    all.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
    let mut made = Vec::new();
    made.try_reserve_exact(1).map_err(|_| Errno::ENOMEM)?;
    made.push(AddressSpace::new(Root::new().ok_or(Errno::ENOMEM)?));
    let slice: &'static [AddressSpace] = Box::leak(made.into_boxed_slice());
    let space = slice.first().ok_or(Errno::ENOMEM)?;
    all.push(space);
    COUNT.store(all.len(), SeqCst);
    Ok(space)
}

impl AddressSpace {
    /// One more process runs in it.
    pub fn share(&self) {
        self.users.fetch_add(1, SeqCst);
    }

    /// Whether another process runs in it, too.
    pub fn is_shared(&self) -> bool {
        self.users.load(SeqCst) > 1
    }

    /// Takes all that is mapped away, for another program of the same process.
    pub fn renew(&self) {
        let files = self.shared_files(LOWEST, APP_END);
        self.lock().clear();
        for (file, first, last) in files {
            // Nobody is told what went wrong, as in Linux.
            let _ = file.file().write_back(first, last);
        }
    }

    /// Keeps it from being used for another program while the result lives; none where
    /// nobody runs in it.
    pub fn hold(&'static self) -> Option<Held> {
        let held =
            (self.users).fetch_update(SeqCst, SeqCst, |users| (users > 0).then_some(users + 1));
        held.is_ok().then_some(Held(self))
    }

    /// A process leaves it; with the last one, all that it holds is freed.
    pub fn leave(&self) {
        if self.users.fetch_sub(1, SeqCst) == 1 {
            if sched::uses_root(self.root()) {
                // What a flush costs, too, and the next process enters its own anyway.
                sched::enter_first_root();
            }
            self.renew();
            self.is_free.store(true, SeqCst);
        }
    }
}

/// Somebody looks at a space: see [`AddressSpace::hold`].
pub struct Held(&'static AddressSpace);

impl core::ops::Deref for Held {
    type Target = AddressSpace;
    fn deref(&self) -> &AddressSpace {
        self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// Pages of a file went away, or became others: every space forgets them.
/// See [`AddressSpace::forget`].
pub fn forget(pages: FilePages, copies: bool) {
    if COUNT.load(SeqCst) == 1 {
        return first().forget(pages, copies);
    }
    for index in 0.. {
        let Some(space) = ALL.lock().get(index).copied() else {
            return;
        };
        space.forget(pages, copies);
    }
}

/// Runs `with` on every space, locked.
pub(super) fn each(mut with: impl FnMut(&Space)) {
    for index in 0.. {
        let Some(space) = ALL.lock().get(index).copied() else {
            return;
        };
        with(&space.lock());
    }
}

/// The holder of the lock of `root`'s space has forgotten pages of a file that became others:
/// the other spaces follow once the lock is let go.
pub(super) fn owe(pages: FilePages, root: Root) {
    if COUNT.load(SeqCst) > 1 {
        OWED.lock().push((pages, root));
        IS_OWED.store(true, SeqCst);
    }
}

/// Whether this vCPU holds the lock of any space, as fork does of two.
fn holds_any() -> bool {
    ALL.lock().iter().any(|space| space.is_held_here())
}

/// Part of a space's guard: pays what is owed when the last one is dropped.
pub(super) struct Owed;

impl Drop for Owed {
    fn drop(&mut self) {
        if !IS_OWED.load(SeqCst) || holds_any() {
            return;
        }
        let owed = {
            let mut owed = OWED.lock();
            IS_OWED.store(false, SeqCst);
            core::mem::take(&mut *owed)
        };
        for (pages, root) in owed {
            for index in 0.. {
                let Some(space) = ALL.lock().get(index).copied() else {
                    break;
                };
                if space.root() != root {
                    space.forget(pages, false);
                }
            }
        }
    }
}
