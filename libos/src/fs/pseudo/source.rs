//! What `/proc` tells of other subsystems, asked through the few functions here.
//!
//! Built for the host, where there is neither address space nor program, they
//! answer with nothing.

use alloc::vec::Vec;

use linux_raw_sys::general::RLIMIT_RSS;

use super::item::Numbers;
use crate::errno::Errno;
use crate::mm::pagetable;
use crate::mm::space::AddressSpace;
use crate::mm::vma::{Area, Backing, PROT_EXEC, PROT_READ};
use crate::process::table::{self, Seen};
use crate::process::{self, Listed, Process};
use crate::time;

/// Nanoseconds of a clock tick, 1/100 s.
pub(super) const TICK_NS: u64 = 10_000_000;
/// Longer argument areas are cut.
const AREA_MAX_BYTES: u64 = 2 << 20;

/// One mapping of the program.
pub(super) struct Mapping {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) protection: u32,
    pub(super) shared: bool,
    pub(super) offset: u64,
    /// Device and inode number of its file.
    pub(super) file: (u64, u64),
    /// Path of its file, or a name such as `[heap]`.
    pub(super) name: Vec<u8>,
}

impl Mapping {
    pub(super) fn bytes(&self) -> u64 {
        self.end - self.start
    }
}

/// The process that a place is about; ESRCH where it is gone.
pub(super) fn seen(numbers: Numbers) -> Result<Seen, Errno> {
    let pid = numbers.process().ok_or(Errno::ESRCH)?;
    table::look(pid).ok_or(Errno::ESRCH)
}

/// What is mapped in a space, by address.
pub(super) fn mappings(space: &AddressSpace) -> Vec<Mapping> {
    // Paths are looked up with the address space unlocked.
    let areas: Vec<_> = space.lock().areas.iter().cloned().collect();
    let mut mappings: Vec<Mapping> = areas.into_iter().map(describe).collect();
    // The vDSO is a part of the libOS image, not of the areas.
    let vdso = crate::time::vdso_address();
    if vdso != 0 {
        let at = mappings.partition_point(|mapping| mapping.start < vdso);
        mappings.insert(
            at,
            Mapping {
                start: vdso,
                end: vdso + crate::fs::PAGE_BYTES,
                protection: PROT_READ | PROT_EXEC,
                shared: false,
                offset: 0,
                file: (0, 0),
                name: b"[vdso]".to_vec(),
            },
        );
    }
    mappings
}

fn describe(area: Area) -> Mapping {
    let (file, offset, name) = match &area.backing {
        Backing::File { file, offset } => (file.inode_id(), *offset, file.path()),
        Backing::Anonymous => ((0, 0), 0, Vec::new()),
    };
    let name = if area.name.is_empty() {
        name
    } else {
        area.name.as_bytes().to_vec()
    };
    Mapping {
        start: area.start,
        end: area.end,
        protection: area.protection,
        shared: area.shared,
        offset,
        file,
        name,
    }
}

/// Bytes of program memory that are in use, as near as frames in use tell.
pub(super) fn used_bytes() -> u64 {
    let files = crate::fs::memory::used_pages() * crate::fs::PAGE_BYTES;
    crate::mm::used_bytes().saturating_sub(files)
}

/// Bytes of a mapping that have memory: of its own, of the image, and how much
/// of its own is in large pages.
#[derive(Clone, Copy, Default)]
pub(super) struct Resident {
    pub(super) own: u64,
    pub(super) shared: u64,
    pub(super) large: u64,
}

impl Resident {
    /// Both kinds.
    pub(super) fn bytes(self) -> u64 {
        self.own + self.shared
    }

    /// That of several mappings.
    pub(super) fn of(space: &AddressSpace, mappings: &[Mapping]) -> Resident {
        let each = mappings.iter().map(|mapping| resident(space, mapping));
        each.fold(Resident::default(), |all, one| Resident {
            own: all.own + one.own,
            shared: all.shared + one.shared,
            large: all.large + one.large,
        })
    }
}

/// Looks at each page of a mapping.
pub(super) fn resident(space: &AddressSpace, mapping: &Mapping) -> Resident {
    let mut resident = Resident::default();
    // Held, so that no page table goes away under the walk.
    let space = space.lock();
    let mut at = space.root.skip_empty(mapping.start, mapping.end);
    while at < mapping.end {
        let (entry, large) = space.root.lookup(at);
        let bytes = pagetable::entry_bytes(large);
        let next = (at & !(bytes - 1)) + bytes;
        let here = next.min(mapping.end) - at;
        if entry.is_counted() {
            resident.own += here;
            resident.large += if large { here } else { 0 };
        } else if !entry.is_empty() {
            resident.shared += here;
        }
        at = space.root.skip_empty(next, mapping.end);
    }
    resident
}

/// A copy of a process's memory; what cannot be read ends it.
pub(super) fn program_bytes(space: &AddressSpace, (start, end): (u64, u64)) -> Vec<u8> {
    let len = end.saturating_sub(start).min(AREA_MAX_BYTES);
    let mut bytes = alloc::vec![0; len as usize];
    let read = space.read(start, &mut bytes);
    bytes.truncate(read);
    bytes
}

/// The thread that a place is about, or the first of its process; ESRCH where it is gone.
pub(super) fn thread(seen: &Seen, numbers: Numbers) -> Result<Listed, Errno> {
    let tid = numbers.last();
    let mut threads = process::roster(seen.process).into_iter();
    match threads.find(|thread| thread.tid == tid) {
        Some(thread) => Ok(thread),
        // The first one's number stays taken until the parent has waited.
        None if tid == seen.pid => Ok(Listed::ended(seen.process)),
        None => Err(Errno::ESRCH),
    }
}

/// Threads of a process: one that has ended counts as one.
pub(super) fn tids(seen: &Seen) -> Vec<u32> {
    let threads = process::roster(seen.process).into_iter();
    let mut tids: Vec<u32> = threads.map(|thread| thread.tid).collect();
    if tids.first() != Some(&seen.pid) {
        tids.insert(0, seen.pid);
    }
    tids
}

/// CPU time of a process, with that of its ended threads.
pub(super) fn cpu_ns(process: &'static Process) -> u64 {
    time::ticks_to_ns(process::threads::cpu_ticks(process))
}

/// CPU time of all processes.
pub(super) fn all_cpu_ns() -> u64 {
    time::ticks_to_ns(process::threads::all_cpu_ticks())
}

/// A NUL-padded name without its padding.
pub(super) fn text(name: &[u8]) -> &[u8] {
    name.split(|&byte| byte == 0).next().unwrap_or(name)
}

/// Host name.
pub(super) fn hostname() -> Vec<u8> {
    process::HOSTNAME.lock().clone()
}

/// Since the host's boot, which is what programs compare start times with.
pub(super) fn uptime_ns() -> u64 {
    time::now(time::Clock::Boottime)
}

/// Signal sets of the process, in the kernel's representation.
pub(super) struct SignalSets {
    pub(super) pending: u64,
    pub(super) ignored: u64,
    pub(super) caught: u64,
}

/// Signal sets of a process.
pub(super) fn signal_sets(process: &Process) -> SignalSets {
    let signals = process.signals.lock();
    let (ignored, caught) = signals.ignored_and_caught();
    SignalSets {
        pending: signals.pending.set().bits(),
        ignored: ignored.bits(),
        caught: caught.bits(),
    }
}

/// RLIMIT_RSS.
pub(super) fn resident_limit(process: &Process) -> u64 {
    let limits = process.limits.lock();
    let limit = limits.0.get(RLIMIT_RSS as usize);
    limit.map_or(u64::MAX, |(soft, _)| *soft)
}
