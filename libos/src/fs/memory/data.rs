//! The bytes of a memory file: frames where it was written, the image's bytes
//! where it was not, zeros elsewhere.
//!
//! Frames are kept in chunks of 64 pages, so that a sequential writer touches
//! the tree once per 256 KiB. Frames are the page cache: shared mappings map
//! them, so a byte after the end of the file is cleared whenever the end moves.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use super::quota::{CountedFrame, Quota, limit_pages};
use crate::errno::Errno;
use crate::fs::PAGE_BYTES;
use crate::fs::erofs::{Image, Inode};
use crate::mm::Frame;

const CHUNK_PAGES: u64 = 64;
/// Largest file, Linux's MAX_LFS_FILESIZE.
pub(crate) const SIZE_MAX_BYTES: u64 = i64::MAX as u64;

type Chunk = [Option<CountedFrame>; CHUNK_PAGES as usize];

/// The image's file below.
struct Base {
    image: Image,
    inode: Inode,
    /// Bytes that still show through.
    bytes: u64,
}

/// Where some bytes of a file are.
pub enum Piece {
    /// In a frame, from this offset.
    Frame(Frame, usize, usize),
    /// In the image.
    Image(&'static [u8]),
    /// This many zeros.
    Zeros(usize),
}

impl Piece {
    /// Bytes of it.
    pub fn len(&self) -> usize {
        match self {
            Piece::Frame(_, _, len) | Piece::Zeros(len) => *len,
            Piece::Image(bytes) => bytes.len(),
        }
    }

    /// Whether it is empty: at the end of the file.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// See the module documentation.
#[derive(Default)]
pub struct Data {
    size: u64,
    chunks: BTreeMap<u64, Box<Chunk>>,
    frames: u64,
    base: Option<Base>,
    quota: Quota,
    /// `F_SEAL_*` bits.
    pub seals: u32,
}

impl Data {
    /// An empty file.
    pub fn new() -> Data {
        Data::default()
    }

    /// A file without a name, bound by the memory limit alone.
    pub fn unnamed(size: u64) -> Data {
        Data {
            size,
            quota: Quota::Memory,
            ..Data::default()
        }
    }

    /// A file that shows the image's `inode` until it is written.
    pub fn over(image: Image, inode: Inode) -> Data {
        Data {
            size: inode.size,
            base: Some(Base {
                image,
                inode,
                bytes: inode.size,
            }),
            ..Data::default()
        }
    }

    /// Whether F_ADD_SEALS is for it: only for memory files without a name.
    pub fn takes_seals(&self) -> bool {
        self.quota == Quota::Memory
    }

    /// Bytes of the file.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// 512-byte units in use.
    pub fn blocks(&self) -> u64 {
        let base = self
            .base
            .as_ref()
            .map_or(0, |base| base.bytes.div_ceil(PAGE_BYTES));
        (self.frames + base) * (PAGE_BYTES / 512)
    }

    fn frame(&self, index: u64) -> Option<&CountedFrame> {
        self.chunks
            .get(&(index / CHUNK_PAGES))?
            .get((index % CHUNK_PAGES) as usize)?
            .as_ref()
    }

    /// The bytes from `offset`, at most `len`, as far as they are in one piece.
    pub fn piece(&self, offset: u64, len: usize) -> Result<Piece, Errno> {
        if offset >= self.size {
            return Ok(Piece::Zeros(0));
        }
        let index = offset / PAGE_BYTES;
        let in_page = offset % PAGE_BYTES;
        let len = (len as u64)
            .min(self.size - offset)
            .min(PAGE_BYTES - in_page);
        if let Some(counted) = self.frame(index) {
            return Ok(Piece::Frame(
                counted.frame().clone(),
                in_page as usize,
                len as usize,
            ));
        }
        match &self.base {
            Some(base) if offset < base.bytes => Ok(Piece::Image(base.inode.data(
                &base.image,
                offset,
                len.min(base.bytes - offset),
            )?)),
            _ => Ok(Piece::Zeros(len as usize)),
        }
    }

    /// The guest-physical address of a page that is still exactly the image's.
    pub fn image_page(&self, index: u64) -> Option<u64> {
        let base = self.base.as_ref()?;
        let shows = base.bytes == base.inode.size
            && self.size == base.inode.size
            && self.frame(index).is_none();
        if shows {
            base.inode.whole_page_gpa(&base.image, index)
        } else {
            None
        }
    }

    /// Whether the page is in memory or in the image, and no hole.
    pub fn has_page(&self, index: u64) -> bool {
        let below = |base: &Base| index * PAGE_BYTES < base.bytes;
        self.frame(index).is_some() || self.base.as_ref().is_some_and(below)
    }

    /// The frame of page `index`, made and filled where there is none.
    pub fn frame_for_write(&mut self, index: u64) -> Result<Frame, Errno> {
        if let Some(counted) = self.frame(index) {
            return Ok(counted.frame().clone());
        }
        let counted = CountedFrame::zeroed(self.quota)?;
        if let Some(base) = &self.base {
            let start = index * PAGE_BYTES;
            let end = base.bytes.min(start.saturating_add(PAGE_BYTES));
            let mut at = start;
            while at < end {
                let bytes = base.inode.data(&base.image, at, end - at)?;
                if bytes.is_empty() {
                    break;
                }
                counted.frame().write((at - start) as usize, bytes);
                at += bytes.len() as u64;
            }
        }
        let frame = counted.frame().clone();
        let chunk = self
            .chunks
            .entry(index / CHUNK_PAGES)
            .or_insert_with(|| Box::new([const { None }; CHUNK_PAGES as usize]));
        if let Some(slot) = chunk.get_mut((index % CHUNK_PAGES) as usize) {
            *slot = Some(counted);
            self.frames += 1;
        }
        Ok(frame)
    }

    /// Writes inside one page; the file grows to hold it.
    pub fn write_in_page(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        let in_page = (offset % PAGE_BYTES) as usize;
        if in_page + bytes.len() > PAGE_BYTES as usize {
            return Err(Errno::EINVAL);
        }
        let end = offset + bytes.len() as u64;
        let frame = self.frame_for_write(offset / PAGE_BYTES)?;
        if end > self.size {
            self.clear_after_end();
            self.size = end;
        }
        frame.write(in_page, bytes);
        Ok(())
    }

    /// Zeros what a shared mapping may have left behind the end in its last page.
    fn clear_after_end(&self) {
        let in_page = (self.size % PAGE_BYTES) as usize;
        if let (true, Some(counted)) = (in_page != 0, self.frame(self.size / PAGE_BYTES)) {
            counted
                .frame()
                .clear(in_page, PAGE_BYTES as usize - in_page);
        }
    }

    /// Sets the size; what is cut off is gone, what is added reads as zero.
    pub fn resize(&mut self, size: u64) -> Result<(), Errno> {
        if size > SIZE_MAX_BYTES {
            return Err(Errno::EFBIG);
        }
        if size < self.size {
            self.drop_pages(size.div_ceil(PAGE_BYTES), u64::MAX);
            if let Some(base) = &mut self.base {
                base.bytes = base.bytes.min(size);
            }
        }
        self.clear_after_end();
        self.size = size;
        self.clear_after_end();
        Ok(())
    }

    /// Drops the frames of pages `first..end`.
    fn drop_pages(&mut self, first: u64, end: u64) {
        let mut emptied = alloc::vec::Vec::new();
        let last_chunk = end.div_ceil(CHUNK_PAGES);
        for (&number, chunk) in self
            .chunks
            .range_mut(first / CHUNK_PAGES..last_chunk.max(first / CHUNK_PAGES))
        {
            let mut left = false;
            for (slot, index) in chunk.iter_mut().zip(number * CHUNK_PAGES..) {
                if index >= first && index < end && slot.take().is_some() {
                    self.frames -= 1;
                }
                left |= slot.is_some();
            }
            if !left {
                emptied.push(number);
            }
        }
        for number in emptied {
            self.chunks.remove(&number);
        }
    }

    /// Makes `offset..offset + len` read as zero; the size stays.
    pub fn zero_range(&mut self, offset: u64, len: u64) -> Result<(), Errno> {
        let end = offset.saturating_add(len).min(self.size);
        let mut at = offset;
        while at < end {
            let index = at / PAGE_BYTES;
            let in_page = at % PAGE_BYTES;
            let here = (PAGE_BYTES - in_page).min(end - at);
            let covered = self.base.as_ref().is_some_and(|base| at < base.bytes);
            if here == PAGE_BYTES && !covered {
                // Whole pages with nothing below: up to the end at once.
                let last = end / PAGE_BYTES;
                self.drop_pages(index, last);
                at = last * PAGE_BYTES;
                continue;
            }
            if covered || self.frame(index).is_some() {
                self.frame_for_write(index)?
                    .clear(in_page as usize, here as usize);
            }
            at += here;
        }
        Ok(())
    }

    /// Makes frames for `offset..offset + len`, so that writing there cannot fail.
    pub fn reserve(&mut self, offset: u64, len: u64) -> Result<(), Errno> {
        let pages = offset / PAGE_BYTES..offset.saturating_add(len).div_ceil(PAGE_BYTES);
        // Refuse at once rather than fill the layer first.
        if pages.end - pages.start > limit_pages() {
            return Err(Errno::ENOSPC);
        }
        for index in pages {
            self.frame_for_write(index)?;
        }
        Ok(())
    }

    /// Takes pages `first..end` out; what follows moves down. The size stays.
    pub fn collapse(&mut self, first: u64, end: u64) -> Result<(), Errno> {
        self.own_all()?;
        self.drop_pages(first, end);
        self.move_pages(end, |index| index - (end - first));
        Ok(())
    }

    /// Moves pages from `first` on up by `end - first`. The size stays.
    pub fn insert(&mut self, first: u64, end: u64) -> Result<(), Errno> {
        self.own_all()?;
        // What a shared mapping left behind the end is not to come into sight.
        self.clear_after_end();
        self.size = self.size.saturating_add((end - first) * PAGE_BYTES);
        self.move_pages(first, |index| index + (end - first));
        Ok(())
    }

    /// Makes frames for all that the image still shows.
    fn own_all(&mut self) -> Result<(), Errno> {
        if let Some(bytes) = self.base.as_ref().map(|base| base.bytes) {
            self.reserve(0, bytes)?;
            self.base = None;
        }
        Ok(())
    }

    /// Gives the frames from page `first` on other places.
    fn move_pages(&mut self, first: u64, place: impl Fn(u64) -> u64) {
        let mut moved = alloc::vec::Vec::new();
        for (&number, chunk) in self.chunks.range_mut(first / CHUNK_PAGES..) {
            for (slot, index) in chunk.iter_mut().zip(number * CHUNK_PAGES..) {
                if index >= first
                    && let Some(frame) = slot.take()
                {
                    moved.push((place(index), frame));
                }
            }
        }
        for (index, frame) in moved {
            let chunk = (self.chunks.entry(index / CHUNK_PAGES))
                .or_insert_with(|| Box::new([const { None }; CHUNK_PAGES as usize]));
            if let Some(slot) = chunk.get_mut((index % CHUNK_PAGES) as usize) {
                *slot = Some(frame);
            }
        }
        self.chunks
            .retain(|_, chunk| chunk.iter().any(Option::is_some));
    }

    /// The next offset from `offset` with data (`true`) or in a hole; the end of the file is a hole.
    pub fn seek(&self, offset: u64, data: bool) -> Result<u64, Errno> {
        if offset >= self.size {
            return Err(Errno::ENXIO);
        }
        let is_data = |index: u64| {
            self.frame(index).is_some()
                || self
                    .base
                    .as_ref()
                    .is_some_and(|base| index * PAGE_BYTES < base.bytes)
        };
        let mut index = offset / PAGE_BYTES;
        let end = self.size.div_ceil(PAGE_BYTES);
        while index < end && is_data(index) != data {
            // Skip chunks that are not there, so that a huge hole costs nothing.
            let past_base = self
                .base
                .as_ref()
                .is_none_or(|base| index * PAGE_BYTES >= base.bytes);
            index = if data && past_base && !self.chunks.contains_key(&(index / CHUNK_PAGES)) {
                match self.chunks.range(index / CHUNK_PAGES..).next() {
                    Some((&number, _)) => number * CHUNK_PAGES,
                    None => end,
                }
            } else {
                index + 1
            };
        }
        if index >= end {
            return if data {
                Err(Errno::ENXIO)
            } else {
                Ok(self.size)
            };
        }
        Ok(offset.max(index * PAGE_BYTES))
    }
}
