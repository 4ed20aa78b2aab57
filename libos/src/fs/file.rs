//! What every kind of file implements: the trait [`File`], with the pages and
//! the readiness that it tells of.

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general::{EPOLLIN, EPOLLOUT};

use super::allocate::Change;
use super::attributes::Attributes;
use super::node::{Listed, Node};
use super::open_file::OpenFile;
use super::readiness::Watchers;
use super::transfer::{Sink, Source};
use crate::errno::{Errno, SysResult};
use crate::mm::Frame;

/// One page of a file, for mappings.
pub enum Page {
    /// A page of the root file system that may be mapped read-only as it is.
    Rootfs {
        /// Its guest-physical address.
        gpa: u64,
    },
    /// A page-cache frame: mapped for shared mappings, copied for private ones.
    Frame(Frame),
}

/// Readiness of a file, in `poll` bits (`EPOLLIN` and so on).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// What is ready.
    pub events: u32,
    /// Of a file that changes untold: another number with every new event. 0 of all others.
    pub generation: u64,
}

impl Readiness {
    /// Readiness of a file that tells of every change.
    pub fn of(events: u32) -> Readiness {
        Readiness {
            events,
            generation: 0,
        }
    }
}

/// What a kind of file does. Offsets are ignored by files that are streams.
pub trait File: Send + Sync {
    /// What `fstat` shows.
    fn attributes(&self) -> Result<Attributes, Errno>;

    /// The file's node, where it has one.
    fn node(&self) -> Option<Node> {
        None
    }

    /// Reads at `offset`; 0 at the end.
    fn read(&self, _offset: u64, _nonblocking: bool, _sink: &mut dyn Sink) -> SysResult {
        Err(Errno::EINVAL)
    }

    /// Writes at `offset`.
    fn write(&self, _offset: u64, _nonblocking: bool, _source: &mut dyn Source) -> SysResult {
        Err(Errno::EINVAL)
    }

    /// Writes at the end: where that was, and how many bytes.
    fn append(&self, nonblocking: bool, source: &mut dyn Source) -> Result<(u64, usize), Errno> {
        let end = self.attributes()?.size;
        Ok((end, self.write(end, nonblocking, source)?))
    }

    /// Whether the file has a position; reading and writing never wait then.
    fn seekable(&self) -> bool {
        false
    }

    /// Whether its position is always 0, although `lseek` succeeds.
    fn stays_at_start(&self) -> bool {
        false
    }

    /// The offset of the next data (`true`) or hole from `offset`.
    fn seek_content(&self, offset: u64, data: bool) -> Result<u64, Errno> {
        let size = self.attributes()?.size;
        match (offset < size, data) {
            (false, _) => Err(Errno::ENXIO),
            (true, true) => Ok(offset),
            (true, false) => Ok(size),
        }
    }

    /// What is ready now.
    fn readiness(&self) -> Readiness {
        Readiness::of(EPOLLIN | EPOLLOUT)
    }

    /// Who is told of changes of its readiness: what it owns, to read by and to
    /// write by where these are apart. Without any, it is ready always.
    fn watchers(&self) -> [Option<&Watchers>; 2] {
        [None, None]
    }

    /// Whether its readiness also changes without telling: with time, or by
    /// what the monitor does.
    fn changes_untold(&self) -> bool {
        false
    }

    /// Whether epoll takes it; regular files and directories are refused.
    fn pollable(&self) -> bool {
        true
    }

    /// When its readiness changes by itself, in CLOCK_MONOTONIC ns.
    fn wakes_at_ns(&self) -> Option<u64> {
        None
    }

    /// Whether it is standard input, whose readiness the monitor tells.
    fn is_stdin(&self) -> bool {
        false
    }

    /// Whether it is a socket of the host, or may tell of one: who sleeps for it has
    /// the monitor call.
    fn is_host_socket(&self) -> bool {
        false
    }

    /// Its last descriptor is about to close, and no call uses it; this may wait.
    fn closing(&self) {}

    /// The `O_*` flags of its open file were changed by `fcntl`.
    fn flags_changed(&self, _flags: u32) {}

    /// Page `index`; ENODEV where the file cannot be mapped, ENXIO past its end.
    fn page(&self, _index: u64, _writable: bool) -> Result<Page, Errno> {
        Err(Errno::ENODEV)
    }

    /// Whether it can be mapped.
    fn mappable(&self) -> bool {
        false
    }

    /// `F_SEAL_*` bits of a memory file.
    fn seals(&self) -> u32 {
        0
    }

    /// Whether page `index` is in memory, for mincore.
    fn is_resident(&self, _index: u64) -> bool {
        true
    }

    /// Whether page `index` is still the image's, although the file may be written.
    fn shows_image(&self, _index: u64) -> bool {
        false
    }

    /// Bytes that can be mapped.
    fn size(&self) -> u64 {
        self.attributes().map_or(0, |attributes| attributes.size)
    }

    /// Sets the size.
    fn truncate(&self, _size: u64) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    /// fallocate(2), of files that are not in memory.
    fn allocate(
        &self,
        _change: Change,
        _keeps_size: bool,
        _start: u64,
        _len: u64,
    ) -> Result<(), Errno> {
        Err(Errno::ENODEV)
    }

    /// Writes bytes and attributes to the disk; what is in memory has none.
    fn sync(&self, _data_only: bool) -> Result<(), Errno> {
        Ok(())
    }

    /// Hands what shared mappings of pages `first..end` wrote to the file that they show.
    fn write_back(&self, _first: u64, _end: u64) -> Result<(), Errno> {
        Ok(())
    }

    /// Of a file in a volume: device, node and handle there.
    fn volume_handle(&self) -> Option<(u64, u64, u64)> {
        None
    }

    /// A control request of this kind of file alone.
    fn ioctl(&self, _request: u32, _argument: u64) -> SysResult {
        Err(Errno::ENOTTY)
    }

    /// Visits the names in a directory from `position` on, each with the position
    /// after it, until `visit` says false.
    fn visit(
        &self,
        _position: u64,
        _visit: &mut dyn FnMut(u64, &Listed) -> Result<bool, Errno>,
    ) -> Result<(), Errno> {
        Err(Errno::ENOTDIR)
    }

    /// What `/proc/self/fd/N` shows of a file without a place, such as `pipe:[7]`.
    fn label(&self) -> Option<Vec<u8>> {
        None
    }

    /// Another open of the same thing, through `/proc/self/fd/N`.
    fn reopen(&self, _flags: u32) -> Result<Arc<OpenFile>, Errno> {
        Err(Errno::ENXIO)
    }

    /// The pipe behind it.
    fn as_pipe(&self) -> Option<&Arc<super::pipe::Pipe>> {
        None
    }

    /// The socket behind it.
    fn as_socket(&self) -> Option<&crate::net::Socket> {
        None
    }

    /// The event poll behind it.
    fn as_epoll(&self) -> Option<&super::epoll::Epoll> {
        None
    }

    /// The instance of `inotify` behind it.
    fn as_inotify(&self) -> Option<&super::inotify::Inotify> {
        None
    }

    /// The signals behind it.
    fn as_signal_file(&self) -> Option<&super::signal_file::SignalFile> {
        None
    }

    /// A descriptor of a process.
    fn as_process_file(&self) -> Option<&super::process_file::ProcessFile> {
        None
    }

    /// The timer behind it.
    fn as_timer(&self) -> Option<&super::timer_file::TimerFile> {
        None
    }

    /// More lines of `/proc/self/fdinfo/N`.
    fn info(&self) -> Vec<u8> {
        Vec::new()
    }
}
