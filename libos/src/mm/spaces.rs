//! All address spaces: made, shared, ended, and told of changes of files.
//!
//! The structures are never freed, only used again, with their root: a vCPU may go on
//! with the root of a space that has ended, in which nothing but the libOS is left.
//!
//! A host that shadows page tables learns each new one by faults of its own, and remembers
//! what it learned for as long as the same table says the same. So:
//!
//! - The copies that fork makes keep their tables when they end, up to [`KEPT_SHARE`] of the
//!   memory. The next child of the same parent has the same pages at the same addresses, where
//!   the host has nothing to learn: 15 to 900 of its faults less for each.
//! - What runs a new program frees its tables, but a program that follows in the same space
//!   lies at the same addresses ([`AddressSpace::chance`]), and so gets much the same tables
//!   again. Kept, they would be compared while they are still empty, and what the host knew of
//!   them forgotten (measured: 520 µs for posix_spawn of a static program instead of 440).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use spin::{Mutex, Once};
use unikiln_abi::layout::APP_END;

use super::file_change::FilePages;
use super::pagetable::Root;
use super::space::{AddressSpace, LOWEST, Space};
use super::{PAGE, arena};
use crate::errno::Errno;
use crate::{dev, sched};

/// Tables of spaces that are nobody's take at most this part of the memory limit.
const KEPT_SHARE: u64 = 256;

/// Random numbers for where a program's parts lie in a space.
#[derive(Clone, Copy, Debug)]
pub struct Chance {
    /// Of its mappings.
    pub mappings: u64,
    /// Of the program itself.
    pub program: u64,
    /// Of its heap.
    pub heap: u64,
}

/// What a space is made for: it is made of one that was used alike, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// A copy of another one.
    Fork,
    /// A new program.
    Program,
}

/// Every space that was ever made.
static ALL: Mutex<Vec<&'static AddressSpace>> = Mutex::new(Vec::new());
/// How many, to know without the lock that there is one.
static COUNT: AtomicUsize = AtomicUsize::new(1);
/// Tables of spaces that are nobody's.
static KEPT: AtomicUsize = AtomicUsize::new(0);
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
pub fn make(purpose: For) -> Result<&'static AddressSpace, Errno> {
    let is_forked = purpose == For::Fork;
    let is_alike = |space: &AddressSpace| space.was_forked.load(SeqCst) == is_forked;
    let found = take_free(is_alike)
        .or_else(make_new)
        .or_else(|| take_free(|_| true));
    let space = found.ok_or(Errno::ENOMEM)?;
    space.was_forked.store(is_forked, SeqCst);
    space.users.store(1, SeqCst);
    Ok(space)
}

/// One that is nobody's.
fn take_free(is_wanted: impl Fn(&AddressSpace) -> bool) -> Option<&'static AddressSpace> {
    let all = ALL.lock();
    let mut wanted = all.iter().copied().filter(|space| is_wanted(space));
    let space = wanted.find(|space| space.is_free.swap(false, SeqCst))?;
    KEPT.fetch_sub(space.kept.swap(0, SeqCst), SeqCst);
    Some(space)
}

/// Frees the tables of those that are nobody's. False where there were none.
pub fn free_kept_tables() -> bool {
    let mut is_any = false;
    let keeps = |space: &AddressSpace| space.kept.load(SeqCst) > 0;
    while let Some(space) = take_free(keeps) {
        is_any = true;
        space.lock().free_tables();
        space.is_free.store(true, SeqCst);
    }
    is_any
}

/// One more; none without memory.
fn make_new() -> Option<&'static AddressSpace> {
    let mut all = ALL.lock();
    all.try_reserve(1).ok()?;
    let mut made = Vec::new();
    made.try_reserve_exact(1).ok()?;
    made.push(AddressSpace::new(Root::new()?));
    let slice: &'static [AddressSpace] = Box::leak(made.into_boxed_slice());
    let space = slice.first()?;
    all.push(space);
    COUNT.store(all.len(), SeqCst);
    Some(space)
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
        self.clear();
        self.lock().free_tables();
        self.draw_again();
    }

    /// Where things lie in it: for one program after the other the same, so that its tables
    /// fit again. A guess that was wrong crashes: then it is all drawn again.
    pub fn chance(&self) -> Chance {
        *self.chance.lock().get_or_insert_with(|| Chance {
            mappings: dev::random::number(),
            program: dev::random::number(),
            heap: dev::random::number(),
        })
    }

    /// See [`AddressSpace::chance`].
    pub fn draw_again(&self) {
        *self.chance.lock() = None;
    }

    /// Whether it began as a copy of another one.
    pub fn is_forked(&self) -> bool {
        self.was_forked.load(SeqCst)
    }

    fn clear(&self) {
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
            self.clear();
            self.keep_tables();
            self.is_free.store(true, SeqCst);
        }
    }
}

impl AddressSpace {
    /// Keeps its tables for the next copy as far as that is worth their memory.
    fn keep_tables(&self) {
        let most = (arena::limit_bytes() / KEPT_SHARE / PAGE) as usize;
        let tables = match self.is_forked() {
            true => self.root().count_tables(),
            false => most + 1,
        };
        if KEPT.fetch_add(tables, SeqCst) + tables <= most {
            self.kept.store(tables, SeqCst);
        } else {
            KEPT.fetch_sub(tables, SeqCst);
            self.lock().free_tables();
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
