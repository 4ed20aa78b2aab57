//! Open regular files: of the image ([`ImageFile`]) and in memory ([`MemoryFile`]).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use linux_raw_sys::general::{
    F_SEAL_FUTURE_WRITE, F_SEAL_GROW, F_SEAL_SHRINK, F_SEAL_WRITE, SIGXFSZ,
};
use spin::Mutex;

use super::PAGE_BYTES;
use super::attributes::Attributes;
use super::erofs::Inode;
use super::limits;
use super::memory::data::SIZE_MAX_BYTES;
use super::memory::{MemoryInode, Piece};
use super::node::{Lower, Node};
use super::open_file::{File, Page};
use super::overlay::{Replacement, overlay};
use super::transfer::{Sink, Source};
use crate::errno::{Errno, SysResult};
use crate::mm::{FilePages, Frame};
use crate::signal;
use crate::sorted::SortedMap;

/// Seals that forbid writing.
pub(super) const SEALS_OF_WRITES: u32 = F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;
/// Bytes copied at once between program memory and frames.
const BOUNCE_BYTES: usize = PAGE_BYTES as usize;
/// Most bytes asked of the image at once; it is mapped in windows of many MiB.
const IMAGE_PIECE_BYTES: u64 = 1 << 20;

/// Pages of image files that cannot be mapped as they are (inline tails), by
/// node number and index. Few: files below a page.
static TAILS: Mutex<SortedMap<(u64, u64), Frame>> = Mutex::new(SortedMap::new());

/// The tail of `key`, which is `frame` unless somebody was first.
fn keep_tail(key: (u64, u64), frame: Frame) -> Frame {
    let mut tails = TAILS.lock();
    if let Some(first) = tails.get(&key) {
        return first.clone();
    }
    tails.insert(key, frame.clone());
    frame
}

/// A file of the image, open for reading.
pub(super) struct ImageFile {
    lower: Lower,
    inode: Inode,
}

impl ImageFile {
    /// Opens the image's inode.
    #[inline]
    pub(super) fn new(lower: Lower) -> Result<ImageFile, Errno> {
        Ok(ImageFile {
            lower,
            inode: overlay()?.image.inode(lower.nid)?,
        })
    }

    /// The memory inode, where the file was copied up since.
    #[inline]
    fn replacement(&self) -> Option<Arc<MemoryInode>> {
        match overlay().ok()?.replacement(self.lower.nid) {
            Some(Replacement::Inode(inode)) => Some(inode),
            _ => None,
        }
    }
}

impl File for ImageFile {
    fn attributes(&self) -> Result<Attributes, Errno> {
        Node::Lower(self.lower).attributes()
    }

    fn node(&self) -> Option<Node> {
        Some(Node::Lower(self.lower))
    }

    fn seekable(&self) -> bool {
        true
    }

    fn pollable(&self) -> bool {
        false
    }

    #[inline]
    fn read(&self, offset: u64, _nonblocking: bool, sink: &mut dyn Sink) -> SysResult {
        if let Some(inode) = self.replacement() {
            return read_memory(&inode, offset, sink);
        }
        let image = &overlay()?.image;
        let mut done = 0;
        while sink.remaining() > 0 {
            let want = (sink.remaining() as u64).min(IMAGE_PIECE_BYTES);
            let piece = self.inode.data(image, offset.saturating_add(done), want)?;
            if piece.is_empty() {
                break;
            }
            let put = sink.put_part(piece);
            done += put as u64;
            if put < piece.len() {
                return if done == 0 {
                    Err(Errno::EFAULT)
                } else {
                    Ok(done as usize)
                };
            }
        }
        Ok(done as usize)
    }

    fn mappable(&self) -> bool {
        true
    }

    fn page(&self, index: u64, writable: bool) -> Result<Page, Errno> {
        if let Some(inode) = self.replacement() {
            return memory_page(&inode, index, writable);
        }
        let image = &overlay()?.image;
        if let Some(gpa) = self.inode.whole_page_gpa(image, index) {
            return Ok(Page::Rootfs { gpa });
        }
        let start = index.checked_mul(PAGE_BYTES).ok_or(Errno::ENXIO)?;
        if start >= self.inode.size {
            return Err(Errno::ENXIO);
        }
        let key = (self.inode.nid, index);
        if let Some(frame) = TAILS.lock().get(&key) {
            return Ok(Page::Frame(frame.clone()));
        }
        let frame = Frame::zeroed()?;
        let end = self.inode.size.min(start + PAGE_BYTES);
        let mut at = start;
        while at < end {
            let bytes = self.inode.data(image, at, end - at)?;
            if bytes.is_empty() {
                return Err(Errno::EIO);
            }
            frame.write((at - start) as usize, bytes);
            at += bytes.len() as u64;
        }
        Ok(Page::Frame(keep_tail(key, frame)))
    }
}

/// A regular file in memory.
pub(super) struct MemoryFile {
    inode: Arc<MemoryInode>,
    /// What `/proc/self/fd/N` shows of a file that never had a name.
    label: Option<Vec<u8>>,
}

impl MemoryFile {
    /// Opens the inode, which is a regular file.
    pub(super) fn new(inode: Arc<MemoryInode>) -> MemoryFile {
        MemoryFile { inode, label: None }
    }

    /// Opens an inode without a name that shows as `label`.
    pub(super) fn unnamed(inode: Arc<MemoryInode>, label: Vec<u8>) -> MemoryFile {
        let label = Some(label);
        MemoryFile { inode, label }
    }
}

impl File for MemoryFile {
    fn attributes(&self) -> Result<Attributes, Errno> {
        Ok(self.inode.attributes())
    }

    fn node(&self) -> Option<Node> {
        Some(Node::Memory(self.inode.clone()))
    }

    fn seekable(&self) -> bool {
        true
    }

    fn pollable(&self) -> bool {
        false
    }

    fn seek_content(&self, offset: u64, data: bool) -> Result<u64, Errno> {
        self.inode.data()?.lock().seek(offset, data)
    }

    fn read(&self, offset: u64, _nonblocking: bool, sink: &mut dyn Sink) -> SysResult {
        read_memory(&self.inode, offset, sink)
    }

    fn write(&self, offset: u64, _nonblocking: bool, source: &mut dyn Source) -> SysResult {
        let _writing = self.inode.writing.lock();
        write_memory(&self.inode, offset, source)
    }

    fn append(&self, _nonblocking: bool, source: &mut dyn Source) -> Result<(u64, usize), Errno> {
        let _writing = self.inode.writing.lock();
        let end = self.inode.data()?.lock().size();
        Ok((end, write_memory(&self.inode, end, source)?))
    }

    fn mappable(&self) -> bool {
        true
    }

    fn page(&self, index: u64, writable: bool) -> Result<Page, Errno> {
        memory_page(&self.inode, index, writable)
    }

    fn seals(&self) -> u32 {
        self.inode.data().map_or(0, |data| data.lock().seals)
    }

    fn is_resident(&self, index: u64) -> bool {
        let data = self.inode.data();
        data.is_ok_and(|data| data.lock().has_page(index))
    }

    fn shows_image(&self, index: u64) -> bool {
        let data = self.inode.data();
        data.is_ok_and(|data| data.lock().image_page(index).is_some())
    }

    fn label(&self) -> Option<Vec<u8>> {
        self.label.clone()
    }

    fn truncate(&self, size: u64) -> Result<(), Errno> {
        resize(&self.inode, size)
    }
}

/// Reads a memory file.
fn read_memory(inode: &MemoryInode, offset: u64, sink: &mut dyn Sink) -> SysResult {
    let data = inode.data()?;
    let mut bounce = [0; BOUNCE_BYTES];
    let mut done = 0;
    while sink.remaining() > 0 {
        let at = offset.saturating_add(done as u64);
        let piece = data.lock().piece(at, sink.remaining())?;
        let len = piece.len();
        if len == 0 {
            break;
        }
        let put = match piece {
            Piece::Image(bytes) => sink.put_part(bytes),
            Piece::Zeros(len) => sink.put_zeros(len).map_or(0, |()| len),
            Piece::Frame(frame, in_page, len) => {
                let bounce = bounce.get_mut(..len).ok_or(Errno::EIO)?;
                frame.read(in_page, bounce);
                sink.put_part(bounce)
            }
        };
        done += put;
        if put < len {
            return if done == 0 {
                Err(Errno::EFAULT)
            } else {
                Ok(done)
            };
        }
    }
    Ok(done)
}

/// Writes a memory file, page by page. The caller holds its lock of writers.
fn write_memory(inode: &MemoryInode, offset: u64, source: &mut dyn Source) -> SysResult {
    let data = inode.data()?;
    if source.remaining() == 0 {
        return Ok(0);
    }
    let limit = SIZE_MAX_BYTES.min(limits::file_size());
    if offset >= limit {
        return Err(too_big(offset));
    }
    {
        let data = data.lock();
        if data.seals & SEALS_OF_WRITES != 0
            || data.seals & F_SEAL_GROW != 0 && offset + source.remaining() as u64 > data.size()
        {
            return Err(Errno::EPERM);
        }
    }
    let mut bounce = [0; BOUNCE_BYTES];
    let mut done = 0;
    let mut failed = None;
    while source.remaining() > 0 {
        let at = offset + done as u64;
        let room = (PAGE_BYTES - at % PAGE_BYTES).min(limit - at) as usize;
        let len = room.min(source.remaining());
        if len == 0 {
            break;
        }
        let chunk = bounce.get_mut(..len).ok_or(Errno::EIO)?;
        let taken = source.take_part(chunk);
        let step = match chunk.get(..taken) {
            Some(bytes) if taken > 0 => write_page(inode, at, bytes),
            _ => Err(Errno::EFAULT),
        };
        if let Err(errno) = step {
            failed = Some(errno);
            break;
        }
        done += taken;
        if taken < len {
            break;
        }
    }
    if done > 0 {
        inode.touch_modified();
    }
    match failed {
        Some(errno) if done == 0 => Err(errno),
        _ => Ok(done),
    }
}

/// Writes inside one page. Mappings that show the image's page get the new one.
fn write_page(inode: &MemoryInode, at: u64, bytes: &[u8]) -> Result<(), Errno> {
    let index = at / PAGE_BYTES;
    let was_image = {
        let mut data = inode.data()?.lock();
        let was_image = data.image_page(index).is_some();
        data.write_in_page(at, bytes)?;
        was_image
    };
    if was_image {
        forget_mapped(inode, index, index + 1, false);
    }
    Ok(())
}

/// Tells mappings that pages `first..end` of the file went away or became others.
pub(super) fn forget_mapped(inode: &MemoryInode, first: u64, end: u64, copies: bool) {
    if inode.mapped.load(Ordering::Relaxed) || inode.replaces.is_some() {
        let pages = FilePages {
            file: (inode.device, inode.ino),
            first,
            end,
        };
        crate::mm::spaces::forget(pages, copies);
    }
}

/// EFBIG, with the signal that comes with it where it is the process's own limit.
pub fn too_big(size: u64) -> Errno {
    if size >= limits::file_size() {
        signal::raise_current(SIGXFSZ);
    }
    Errno::EFBIG
}

fn memory_page(inode: &MemoryInode, index: u64, writable: bool) -> Result<Page, Errno> {
    let mut data = inode.data()?.lock();
    inode.mapped.store(true, Ordering::Relaxed);
    if index
        .checked_mul(PAGE_BYTES)
        .is_none_or(|start| start >= data.size())
    {
        return Err(Errno::ENXIO);
    }
    if !writable && let Some(gpa) = data.image_page(index) {
        return Ok(Page::Rootfs { gpa });
    }
    Ok(Page::Frame(data.frame_for_write(index)?))
}

/// Sets the size of a memory file, as far as its seals allow.
pub fn resize(inode: &MemoryInode, size: u64) -> Result<(), Errno> {
    let _writing = inode.writing.lock();
    let old = {
        let mut data = inode.data()?.lock();
        let old = data.size();
        if size > old && size > limits::file_size() {
            return Err(too_big(size));
        }
        let shrinks = size < old && data.seals & F_SEAL_SHRINK != 0;
        let grows = size > old && data.seals & F_SEAL_GROW != 0;
        if shrinks || grows {
            return Err(Errno::EPERM);
        }
        data.resize(size)?;
        old
    };
    if size < old {
        forget_mapped(inode, size.div_ceil(PAGE_BYTES), u64::MAX, true);
    }
    if size != old && inode.replaces.is_some() {
        // No page of the image is mapped as it is from now on, see `Data::image_page`.
        forget_mapped(inode, 0, u64::MAX, false);
    }
    inode.touch_modified();
    Ok(())
}
