//! Page faults of file mappings: the pages of the root file system or of the inode.

use alloc::sync::Arc;

use super::{AROUND_ANONYMOUS, Fault, around, copy_page};
use crate::errno::Errno;
use crate::fs::{OpenFile, Page};
use crate::mm::file_change::FilePages;
use crate::mm::pagetable::{COPY_ON_WRITE, COUNTED, Entry};
use crate::mm::space::{Space, access_of};
use crate::mm::vma::{Area, PROT_WRITE};
use crate::mm::{Frame, PAGE, spaces};

/// Pages mapped around a first touch of a file.
const AROUND_FILE: u64 = 64;

/// Gives a page of a file, and those around it that can be had.
pub(super) fn give(
    space: &mut Space,
    area: &Area,
    file: &Arc<OpenFile>,
    offset: u64,
    page: u64,
    write: bool,
) -> Result<(), Fault> {
    let end = file_end(file, area, offset);
    if page >= end {
        return Err(Fault::PastEnd);
    }
    map_file_page(space, area, file, offset, page, write)?;
    if write && !area.shared {
        let (entry, _) = space.root.lookup(page);
        if entry.is_present() && !entry.is_writable() {
            return copy_page(space, area, page, entry);
        }
        return Ok(());
    }
    // Frames for holes cost memory: fewer of those, as for anonymous memory.
    let (first, last) = around(area, page, AROUND_ANONYMOUS);
    populate_file(space, area, file, offset, first, last.min(end));
    populate_around(space, area, file, offset, page);
    Ok(())
}

/// Maps the pages around `page` that the file has.
pub(in crate::mm) fn populate_around(
    space: &mut Space,
    area: &Area,
    file: &Arc<OpenFile>,
    offset: u64,
    page: u64,
) {
    let (first, last) = around(area, page, AROUND_FILE);
    populate_there(space, area, file, offset, first, last);
}

/// First address of `area` that is past the file's last page.
fn file_end(file: &OpenFile, area: &Area, offset: u64) -> u64 {
    let pages = file.size().div_ceil(PAGE).saturating_sub(offset / PAGE);
    area.start
        .saturating_add(pages.saturating_mul(PAGE))
        .min(area.end)
}

/// Maps the pages of `first..last` that can be had without trouble.
pub fn populate_file(
    space: &mut Space,
    area: &Area,
    file: &Arc<OpenFile>,
    offset: u64,
    first: u64,
    last: u64,
) {
    populate_pages(space, area, (file, offset), (first, last), |_| true);
}

/// The same for the pages that the file has: no frames for holes.
pub fn populate_there(
    space: &mut Space,
    area: &Area,
    file: &Arc<OpenFile>,
    offset: u64,
    first: u64,
    last: u64,
) {
    let there = |index| file.file().is_resident(index);
    populate_pages(space, area, (file, offset), (first, last), there);
}

fn populate_pages(
    space: &mut Space,
    area: &Area,
    (file, offset): (&Arc<OpenFile>, u64),
    (first, last): (u64, u64),
    wanted: impl Fn(u64) -> bool,
) {
    let last = last.min(file_end(file, area, offset));
    let mut at = first;
    while at < last {
        if space.root.lookup(at).0.is_empty()
            && wanted((offset + (at - area.start)) / PAGE)
            && map_file_page(space, area, file, offset, at, false).is_err()
        {
            return;
        }
        at += PAGE;
    }
}

fn map_file_page(
    space: &mut Space,
    area: &Area,
    file: &Arc<OpenFile>,
    offset: u64,
    page: u64,
    write: bool,
) -> Result<(), Fault> {
    let access = access_of(area.protection);
    let index = (offset + (page - area.start)) / PAGE;
    let to_write = area.shared && (write || area.protection & PROT_WRITE != 0);
    let was_image = file.file().shows_image(index);
    let source = if to_write {
        file.page_for_write(index)
    } else {
        file.page(index)
    };
    let source = source.map_err(|errno| match errno {
        Errno::ENOMEM => Fault::OutOfMemory,
        _ => Fault::PastEnd,
    })?;
    if was_image && matches!(source, Page::Frame(_)) {
        // Other mappings show the image's page, which is the file's no longer.
        let pages = FilePages {
            file: file.inode_id(),
            first: index,
            end: index + 1,
        };
        space.forget(pages, false);
        spaces::owe(pages, space.root);
    }
    let entry = match source {
        Page::Rootfs { gpa } => Entry::new(gpa, access, COPY_ON_WRITE),
        Page::Frame(frame) => {
            let extra = if area.shared {
                COUNTED
            } else {
                COUNTED | COPY_ON_WRITE
            };
            Entry::new(frame.into_counted(), access, extra)
        }
    };
    if space.root.set_small(page, entry) {
        return Ok(());
    }
    if entry.is_counted() {
        drop(Frame::from_counted(entry.gpa()));
    }
    Err(Fault::OutOfMemory)
}
