//! Page faults at program addresses: find the area, give the page.
//!
//! | area | first touch | write to a page that is not its own |
//! |---|---|---|
//! | anonymous, a whole 2 MiB slot inside it | one large page | — |
//! | anonymous, else | up to 16 zeroed frames around | copy |
//! | file, private | the page of the root file system or of the inode, read-only | copy |
//! | file, shared | the page of the inode | — |

mod file;

use alloc::sync::Arc;

pub(super) use file::populate_around;
pub use file::{populate_file, populate_there};

use super::pagetable::{self, COUNTED, Entry};
use super::space::{Space, access_of};
use super::vma::{Area, Backing, PROT_EXEC, PROT_READ, PROT_WRITE};
use super::{Frame, LARGE_PAGE, PAGE, arena, phys, round_down};
use crate::fs::OpenFile;

/// Pages mapped around a first touch of anonymous memory.
const AROUND_ANONYMOUS: u64 = 16;

/// Why a fault cannot be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No area: SIGSEGV, SEGV_MAPERR.
    NotMapped,
    /// The area forbids it: SIGSEGV, SEGV_ACCERR.
    Denied,
    /// Past the end of the file: SIGBUS, BUS_ADRERR.
    PastEnd,
    /// The memory limit.
    OutOfMemory,
}

/// What the program did.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// Address that it touched.
    pub address: u64,
    /// A write.
    pub write: bool,
    /// An instruction fetch.
    pub execute: bool,
}

/// Serves one fault.
///
/// # Errors
/// See [`Fault`].
pub fn serve(space: &mut Space, attempt: Attempt) -> Result<(), Fault> {
    if space.is_reaped {
        return Err(Fault::OutOfMemory);
    }
    let page = round_down(attempt.address, PAGE);
    let area = match space.areas.find(page) {
        Some(area) => area.clone(),
        None => space.grow_down(page).ok_or(Fault::NotMapped)?,
    };
    let wanted = match (attempt.write, attempt.execute) {
        (true, _) => PROT_WRITE,
        (_, true) => PROT_EXEC,
        // x86 has no write-only and no execute-only pages.
        _ => PROT_READ | PROT_WRITE | PROT_EXEC,
    };
    if area.protection & wanted == 0 {
        return Err(Fault::Denied);
    }
    let (entry, large) = space.root.lookup(page);
    if entry.is_present() {
        if attempt.write && large && entry.is_copy_on_write() {
            if arena::large_references(entry.gpa()) == 1 {
                let own = Entry::new(entry.gpa(), access_of(area.protection), COUNTED);
                space.root.replace(page, own.large(), true);
                return Ok(());
            }
            if !space.root.split(page) {
                return Err(Fault::OutOfMemory);
            }
            space.owe_flush(page, entry);
            return serve(space, attempt);
        }
        let copy = attempt.write && !entry.is_writable() && entry.is_copy_on_write();
        if copy {
            if entry.is_forked() {
                space.note_for_family(page);
            }
            copy_page(space, &area, page, entry)?;
            copy_around(space, &area, page);
            return Ok(());
        }
        let refused =
            (attempt.write && !entry.is_writable()) || (attempt.execute && !entry.is_executable());
        if refused && entry.with_access(access_of(area.protection)) != entry {
            space
                .root
                .replace(page, entry.with_access(access_of(area.protection)), large);
        }
        space.owe_flush(page, entry);
        return Ok(());
    }
    match &area.backing {
        Backing::Anonymous => give_anonymous(space, &area, page),
        Backing::File { file, offset } => {
            if area.shared || !attempt.write {
                space.note_for_family(page);
            }
            file::give(space, &area, file, *offset, page, attempt.write)
        }
    }
}

/// Gives the pages of `start..end` as touching each would.
///
/// # Errors
/// The first fault that cannot be served.
pub fn populate(space: &mut Space, start: u64, end: u64, write: bool) -> Result<(), Fault> {
    let mut at = start;
    while at < end {
        let (entry, large) = space.root.lookup(at);
        if entry.is_present() && (entry.is_writable() || !write) {
            at = round_down(at, pagetable::entry_bytes(large)) + pagetable::entry_bytes(large);
            continue;
        }
        let attempt = Attempt {
            address: at,
            write,
            execute: false,
        };
        serve(space, attempt)?;
        // No fault dropped the translation to what was there.
        space.owe_flush(at, entry);
        at += PAGE;
    }
    Ok(())
}

fn give_anonymous(space: &Space, area: &Area, page: u64) -> Result<(), Fault> {
    let access = access_of(area.protection);
    let slot = round_down(page, LARGE_PAGE);
    if !area.traits.small_pages
        && slot >= area.start
        && slot + LARGE_PAGE <= area.end
        && space.root.large_slot_is_empty(slot)
        && let Some(gpa) = arena::allocate_large()
    {
        if space.root.set_large(slot, Entry::new(gpa, access, COUNTED)) {
            return Ok(());
        }
        arena::release_large(gpa);
    }
    let (first, last) = around(area, page, AROUND_ANONYMOUS);
    populate_anonymous(space, area, first, last, page)
}

/// Pages to map around `page`: aligned, inside the area.
fn around(area: &Area, page: u64, pages: u64) -> (u64, u64) {
    let first = round_down(page, pages * PAGE);
    (first.max(area.start), (first + pages * PAGE).min(area.end))
}

/// Gives zeroed frames to the empty pages of `first..last`; only `needed` must succeed.
pub fn populate_anonymous(
    space: &Space,
    area: &Area,
    first: u64,
    last: u64,
    needed: u64,
) -> Result<(), Fault> {
    let access = access_of(area.protection);
    let mut at = first;
    while at < last {
        if space.root.lookup(at).0.is_empty() {
            let given = Frame::zeroed().ok().is_some_and(|frame| {
                let gpa = frame.into_counted();
                let done = space.root.set_small(at, Entry::new(gpa, access, COUNTED));
                if !done {
                    drop(Frame::from_counted(gpa));
                }
                done
            });
            if !given && at <= needed && needed < last {
                return match space.root.lookup(needed).0.is_empty() {
                    false => Ok(()),
                    true if at == needed => Err(Fault::OutOfMemory),
                    true => populate_anonymous(space, area, needed, needed + PAGE, needed),
                };
            }
            if !given {
                return Ok(());
            }
        }
        at += PAGE;
    }
    Ok(())
}

/// Gives a private mapping a page of its own.
fn copy_page(space: &mut Space, area: &Area, page: u64, old: Entry) -> Result<(), Fault> {
    let access = access_of(area.protection);
    if old.is_counted() && arena::frame_references(old.gpa()) == 1 {
        // To allow more needs no flush.
        space
            .root
            .replace(page, Entry::new(old.gpa(), access, COUNTED), false);
        return Ok(());
    }
    let frame = Frame::zeroed().map_err(|_| Fault::OutOfMemory)?;
    phys::copy_page(old.gpa(), frame.gpa());
    space.root.replace(
        page,
        Entry::new(frame.into_counted(), access, COUNTED),
        false,
    );
    // The fault itself dropped this vCPU's translation. Another vCPU would go on reading
    // what was there.
    space.owe_flush_elsewhere(old);
    if old.is_counted() {
        space.free_later(old, false);
    }
    Ok(())
}

/// Copies the pages of the image around a first write too: a program that
/// writes one page of its data writes the next ones, at a fault each.
fn copy_around(space: &mut Space, area: &Area, page: u64) {
    let (first, last) = around(area, page, AROUND_ANONYMOUS);
    take_back(space, area, first, last);
    copy_image_pages(space, area, first, last);
}

/// Makes the pages of `first..last` that fork shared, and that nobody shares any more, their
/// one mapping's own. To allow more needs no flush.
fn take_back(space: &Space, area: &Area, first: u64, last: u64) {
    let mut at = first;
    while at < last {
        let (entry, large) = space.root.lookup(at);
        if !large && entry.is_forked() && arena::frame_references(entry.gpa()) == 1 {
            let own = Entry::new(entry.gpa(), access_of(area.protection), COUNTED);
            space.root.replace(at, own, false);
        }
        at += PAGE;
    }
}

/// Copies the present pages of the image in `first..last`, as far as memory goes.
fn copy_image_pages(space: &mut Space, area: &Area, first: u64, last: u64) {
    let mut at = first;
    while at < last {
        let (entry, _) = space.root.lookup(at);
        let of_image = entry.is_present() && entry.is_copy_on_write() && !entry.is_counted();
        if of_image {
            if copy_unseen(space, area, at, entry).is_err() {
                return;
            }
            space.owe_flush_elsewhere(entry);
        }
        at += PAGE;
    }
}

/// Copies the pages of a writable private file area now: cheaper than a fault
/// for each when the program is about to relocate them. Only pages of the image:
/// those of a memory file may still change, and the mapping has to show it.
pub fn copy_file_ahead(space: &mut Space, area: &Area, file: &Arc<OpenFile>, offset: u64) {
    populate_file(space, area, file, offset, area.start, area.end);
    copy_image_pages(space, area, area.start, area.end);
}

/// [`copy_page`] for a page of the image, where no flush is needed.
fn copy_unseen(space: &Space, area: &Area, page: u64, old: Entry) -> Result<(), Fault> {
    let frame = Frame::zeroed().map_err(|_| Fault::OutOfMemory)?;
    phys::copy_page(old.gpa(), frame.gpa());
    let access = access_of(area.protection);
    space.root.replace(
        page,
        Entry::new(frame.into_counted(), access, COUNTED),
        false,
    );
    Ok(())
}
