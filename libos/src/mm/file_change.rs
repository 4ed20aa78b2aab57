//! Mappings of a file whose pages went away or became others: their translations
//! are taken away, so that the next touch asks the file.

use super::PAGE;
use super::space::{AddressSpace, Space};
use super::vma::{Area, Backing};

/// Pages of a file: device and inode number, first page, first page after them.
#[derive(Clone, Copy, Debug)]
pub struct FilePages {
    /// Device and inode number.
    pub file: (u64, u64),
    /// First page.
    pub first: u64,
    /// First page after the last.
    pub end: u64,
}

impl AddressSpace {
    /// Pages of a file went away. `copies` says whether the copies that private
    /// mappings made go too: they do when the file was cut.
    pub fn forget(&self, pages: FilePages, copies: bool) {
        self.lock().forget(pages, copies);
    }
}

impl Space {
    /// See [`AddressSpace::forget`].
    pub(super) fn forget(&mut self, pages: FilePages, copies: bool) {
        let shows = |area: &Area| match &area.backing {
            Backing::File { file, offset } => {
                let first = offset / PAGE;
                pages.first < first + area.len() / PAGE
                    && pages.end > first
                    && file.inode_id() == pages.file
            }
            Backing::Anonymous => false,
        };
        let areas: alloc::vec::Vec<Area> =
            self.areas.iter().filter(|a| shows(a)).cloned().collect();
        for area in areas {
            let Backing::File { offset, .. } = area.backing else {
                continue;
            };
            let address = |page: u64| {
                let in_area = page.saturating_sub(offset / PAGE).saturating_mul(PAGE);
                area.start.saturating_add(in_area).min(area.end)
            };
            let (start, end) = (address(pages.first), address(pages.end));
            if copies || area.shared {
                // File areas have no large page that would need splitting.
                self.clear_pages(start, end);
            } else {
                self.clear_file_pages(start, end);
            }
        }
    }

    /// Takes the pages that are the file's own away, and leaves copies.
    fn clear_file_pages(&mut self, start: u64, end: u64) {
        let mut at = self.root.skip_empty(start, end);
        while at < end {
            let (entry, _) = self.root.lookup(at);
            if !entry.is_empty() && entry.is_of_file() {
                self.root.clear(at, false);
                self.owe_flush(at, entry);
                self.free_later(entry, false);
            }
            at = self.root.skip_empty(at + PAGE, end);
        }
    }
}
