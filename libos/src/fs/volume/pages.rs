//! What is mapped of a file: its pages, read when they are touched, and what was
//! written to them.
//!
//! A page that a shared mapping may write has its original beside it. Writing back
//! compares the two and writes what differs, so that nothing else is overwritten that
//! the host changed meanwhile. `write` changes both, so mappings show it.
//!
//! The lock is held while the monitor reads a page: a `write` at the same time is in
//! the page or comes to it afterwards. Frames are let go of with the last open file.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use spin::Mutex;
use unikiln_abi::volume::opcode;

use super::exchange::{Buffer, Question};
use super::file::VolumeFile;
use super::inode::VolumeInode;
use crate::errno::Errno;
use crate::fs::PAGE_BYTES;
use crate::fs::node::Identity;
use crate::fs::open_file::Page;
use crate::mm::{FilePages, Frame};

const PAGE: usize = PAGE_BYTES as usize;
/// Pages read at once.
const AHEAD_PAGES: u64 = 16;
/// Equal bytes between two changes that are written with them.
const GAP_BYTES: usize = 32;

/// Inodes with pages that may have been written.
static WRITTEN: Mutex<Vec<Weak<VolumeInode>>> = Mutex::new(Vec::new());

struct Cached {
    frame: Frame,
    /// As it was when it was last the host's.
    original: Option<Frame>,
}

/// See the module documentation.
#[derive(Default)]
pub struct Pages {
    frames: BTreeMap<u64, Cached>,
    /// Open files.
    openers: usize,
    /// Handles of those that map for writing.
    writers: Vec<u64>,
    /// Bytes of the file, while there are frames.
    size: u64,
}

impl Pages {
    /// Whether nothing is mapped.
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// One more open file; pages that nobody maps are read anew.
    pub(super) fn opened(&mut self) {
        self.openers += 1;
        self.frames
            .retain(|_, cached| cached.original.is_some() || cached.frame.is_shared());
    }

    /// The open file with this handle is closed.
    pub(super) fn closed(&mut self, handle: u64) {
        self.openers = self.openers.saturating_sub(1);
        self.writers.retain(|&other| other != handle);
        if self.openers == 0 {
            self.frames.clear();
        }
    }

    /// Whether a page is here.
    pub(super) fn has(&self, index: u64) -> bool {
        self.frames.contains_key(&index)
    }

    /// Bytes of the file, where a page is here.
    pub(super) fn size(&self) -> Option<u64> {
        (!self.frames.is_empty()).then_some(self.size)
    }

    /// The file ends at `size`: the first page that is gone.
    pub(super) fn cut(&mut self, size: u64) -> u64 {
        let first = size.div_ceil(PAGE_BYTES);
        let _gone = self.frames.split_off(&first);
        let in_page = (size % PAGE_BYTES) as usize;
        if let Some(cached) = self.frames.get(&(size / PAGE_BYTES)) {
            cached.frame.clear(in_page, PAGE - in_page);
            if let Some(original) = &cached.original {
                original.clear(in_page, PAGE - in_page);
            }
        }
        self.size = size;
        first
    }

    /// Bytes were written at `start`.
    pub(super) fn wrote(&mut self, start: u64, bytes: &[u8]) {
        if self.frames.is_empty() {
            return;
        }
        let end = start + bytes.len() as u64;
        self.size = self.size.max(end);
        for (&index, cached) in self
            .frames
            .range(start / PAGE_BYTES..end.div_ceil(PAGE_BYTES))
        {
            let page = index * PAGE_BYTES;
            let from = start.max(page);
            let to = end.min(page + PAGE_BYTES);
            let Some(part) = bytes.get((from - start) as usize..(to - start) as usize) else {
                continue;
            };
            let in_page = (from - page) as usize;
            cached.frame.write(in_page, part);
            if let Some(original) = &cached.original {
                original.write(in_page, part);
            }
        }
    }

    fn has_written(&self) -> bool {
        !self.writers.is_empty()
    }
}

fn copy_of(frame: &Frame) -> Result<Frame, Errno> {
    let copy = Frame::zeroed()?;
    let mut part = [0; 256];
    for at in (0..PAGE).step_by(part.len()) {
        frame.read(at, &mut part);
        copy.write(at, &part);
    }
    Ok(copy)
}

impl VolumeFile {
    /// Page `index`, read with those after it where it is not here.
    pub(super) fn mapped_page(&self, index: u64, writable: bool) -> Result<Page, Errno> {
        let mut pages = self.inode.pages.lock();
        if !pages.has(index) {
            self.read_pages(&mut pages, index)?;
        }
        let cached = pages.frames.get_mut(&index).ok_or(Errno::ENXIO)?;
        let frame = cached.frame.clone();
        if writable {
            if cached.original.is_none() {
                cached.original = Some(copy_of(&frame)?);
            }
            if !pages.writers.contains(&self.handle) {
                pages.writers.push(self.handle);
                drop(pages);
                remember(&self.inode);
            }
        }
        Ok(Page::Frame(frame))
    }

    fn read_pages(&self, pages: &mut Pages, index: u64) -> Result<(), Errno> {
        if pages.is_empty() {
            pages.size = self.inode.attributes()?.size;
        }
        let start = index.checked_mul(PAGE_BYTES).ok_or(Errno::ENXIO)?;
        let next = pages.frames.range(index..).next().map(|(&next, _)| next);
        let end = next.unwrap_or(u64::MAX).min(index + AHEAD_PAGES);
        let buffer = Buffer::for_data(0)?;
        let len = ((end - index) as usize * PAGE).min(buffer.bytes().len());
        let got = self.read_into(start, len, buffer.gpa())?;
        let bytes = buffer.bytes().get(..got).ok_or(Errno::EIO)?;
        if bytes.is_empty() {
            return Err(Errno::ENXIO);
        }
        for (index, part) in (index..).zip(bytes.chunks(PAGE)) {
            let frame = Frame::zeroed()?;
            frame.write(0, part);
            let cached = Cached {
                frame,
                original: None,
            };
            pages.frames.insert(index, cached);
        }
        Ok(())
    }

    /// Writes back what was written to pages `first..end`, by this file's handle.
    pub(super) fn write_back_pages(&self, first: u64, end: u64) -> Result<(), Errno> {
        if self.writes {
            self.inode.write_back(first, end, self.handle)
        } else {
            self.inode.write_back_any(first, end)
        }
    }
}

/// Pages whose bytes may differ are written back when the program ends.
fn remember(inode: &Arc<VolumeInode>) {
    let mut written = WRITTEN.lock();
    written.retain(|known| known.strong_count() > 0 && !core::ptr::eq(known.as_ptr(), &**inode));
    written.push(Arc::downgrade(inode));
}

/// Writes back all that was written to mappings.
pub fn write_back_all() {
    let inodes: Vec<_> = WRITTEN.lock().iter().filter_map(Weak::upgrade).collect();
    for inode in inodes {
        // Nobody is left to be told.
        let _ = inode.write_back_any(0, u64::MAX);
    }
}

impl VolumeInode {
    /// Writes back what was written to mappings of these bytes.
    pub(super) fn write_back_for(&self, offset: u64, len: usize) -> Result<(), Errno> {
        let end = offset.saturating_add(len as u64).div_ceil(PAGE_BYTES);
        self.write_back_any(offset / PAGE_BYTES, end)
    }

    fn write_back_any(&self, first: u64, end: u64) -> Result<(), Errno> {
        let handle = self.pages.lock().writers.first().copied();
        match handle {
            Some(handle) => self.write_back(first, end, handle),
            None => Ok(()),
        }
    }

    /// Writes back what differs in pages `first..end`.
    fn write_back(&self, first: u64, end: u64, handle: u64) -> Result<(), Errno> {
        let pages = self.pages.lock();
        if !pages.has_written() {
            return Ok(());
        }
        // Bytes past the end are nobody's.
        self.changed();
        let size = self.attributes()?.size;
        let mut buffer = Buffer::for_data(2 * PAGE)?;
        let gpa = buffer.gpa();
        let mut outcome = Ok(());
        for (&index, cached) in pages.frames.range(first..end) {
            let Some(original) = &cached.original else {
                continue;
            };
            let start = index * PAGE_BYTES;
            let len = size.saturating_sub(start).min(PAGE_BYTES) as usize;
            let (now, before) = buffer.bytes_mut().split_at_mut(PAGE);
            let before = before.get_mut(..PAGE).ok_or(Errno::EIO)?;
            cached.frame.read(0, now);
            original.read(0, before);
            for (from, to) in changes(now, before, len) {
                let written =
                    self.write_part(handle, start + from as u64, to - from, gpa + from as u64);
                match written {
                    Ok(()) => original.write(from, now.get(from..to).ok_or(Errno::EIO)?),
                    Err(errno) => outcome = Err(errno),
                }
            }
        }
        self.changed();
        outcome
    }

    fn write_part(&self, handle: u64, offset: u64, len: usize, gpa: u64) -> Result<(), Errno> {
        let question = Question {
            opcode: opcode::WRITE,
            node: self.node,
            parts: &[
                &handle.to_le_bytes(),
                &offset.to_le_bytes(),
                &(len as u32).to_le_bytes(),
                &[0; 20],
            ],
        };
        let count = self.volume.ask(&question, gpa, |it| it.u32())?;
        if count as usize == len {
            Ok(())
        } else {
            Err(Errno::ENOSPC)
        }
    }

    /// Pages became others: mappings ask again.
    pub(super) fn refresh_pages(&self) {
        {
            let mut pages = self.pages.lock();
            if pages.is_empty() {
                return;
            }
            pages.frames.clear();
        }
        let Identity { device, ino } = self.identity();
        let gone = FilePages {
            file: (device, ino),
            first: 0,
            end: u64::MAX,
        };
        crate::mm::spaces::forget(gone, false);
    }
}

/// Ranges of the first `len` bytes that differ, near ones joined.
fn changes(now: &[u8], before: &[u8], len: usize) -> Vec<(usize, usize)> {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    let pairs = now.iter().zip(before).take(len).enumerate();
    for (at, _) in pairs.filter(|(_, (now, before))| now != before) {
        match ranges.last_mut() {
            Some((_, end)) if at - *end <= GAP_BYTES => *end = at + 1,
            _ => ranges.push((at, at + 1)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_written() {
        let before = [0u8; 4096];
        let mut now = before;
        assert!(changes(&now, &before, 4096).is_empty());
        now[0] = 1;
        now[20] = 1;
        now[100] = 1;
        now[4095] = 1;
        assert_eq!(
            changes(&now, &before, 4096),
            [(0, 21), (100, 101), (4095, 4096)]
        );
        assert_eq!(changes(&now, &before, 100), [(0, 21)]);
    }
}
