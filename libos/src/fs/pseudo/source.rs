//! What `/proc` tells of other subsystems, asked through the few functions here.
//!
//! Built for the host, where there is neither address space nor program, they
//! answer with nothing.

use alloc::vec::Vec;

use linux_raw_sys::general::RLIMIT_RSS;

use crate::errno::Errno;
use crate::mm::vma::{Area, Backing, PROT_EXEC, PROT_READ};
use crate::mm::{pagetable, user};
use crate::process::{self, Listed};
use crate::time;

/// Nanoseconds of a clock tick, 1/100 s.
pub(super) const TICK_NS: u64 = 10_000_000;
/// Bytes copied at once from the program.
const CHUNK_BYTES: usize = 4096;
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

/// The program's mappings, by address.
pub(super) fn mappings() -> Vec<Mapping> {
    // Paths are looked up with the address space unlocked.
    let areas: Vec<_> = process::current()
        .space()
        .lock()
        .areas
        .iter()
        .cloned()
        .collect();
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

/// Start and end of the heap.
pub(super) fn heap() -> (u64, u64) {
    let space = process::current().space().lock();
    (space.brk_start, space.brk)
}

/// Bytes that mlock and its relatives hold.
pub(super) fn locked_bytes() -> u64 {
    process::current().space().lock().locked_bytes()
}

/// Bytes of program memory that are in use, as near as frames in use tell.
pub(super) fn resident_bytes() -> u64 {
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

/// Looks at each page of a mapping.
pub(super) fn resident(mapping: &Mapping) -> Resident {
    let mut resident = Resident::default();
    // Held, so that no page table goes away under the walk.
    let space = process::current().space().lock();
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

/// A copy of program memory; what cannot be read ends it.
pub(super) fn program_bytes((start, end): (u64, u64)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let end = end.min(start.saturating_add(AREA_MAX_BYTES));
    let mut at = start;
    while at < end {
        let mut chunk = [0; CHUNK_BYTES];
        let len = (end - at).min(CHUNK_BYTES as u64);
        let Some(part) = chunk.get_mut(..len as usize) else {
            break;
        };
        if user::copy_in(at, part).is_err() {
            break;
        }
        bytes.extend_from_slice(part);
        at += len;
    }
    bytes
}

/// A thread by its id; ESRCH where it is gone.
pub(super) fn thread(tid: u32) -> Result<Listed, Errno> {
    let mut threads = process::roster(process::current()).into_iter();
    threads.find(|thread| thread.tid == tid).ok_or(Errno::ESRCH)
}

/// CPU time of all threads, ended ones included.
pub(super) fn process_cpu_ns() -> u64 {
    time::ticks_to_ns(process::threads::cpu_ticks(process::current()))
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

/// When the program started, on the clock of [`uptime_ns`].
pub(super) fn start_ns() -> u64 {
    process::current().image.lock().start_ns
}

/// Signal sets of the process, in the kernel's representation.
pub(super) struct SignalSets {
    pub(super) pending: u64,
    pub(super) ignored: u64,
    pub(super) caught: u64,
}

/// Signal sets of the process.
pub(super) fn signal_sets() -> SignalSets {
    let signals = process::current().signals.lock();
    let (ignored, caught) = signals.ignored_and_caught();
    SignalSets {
        pending: signals.pending.set().bits(),
        ignored: ignored.bits(),
        caught: caught.bits(),
    }
}

/// RLIMIT_RSS.
pub(super) fn resident_limit() -> u64 {
    let limits = process::current().limits.lock();
    let limit = limits.0.get(RLIMIT_RSS as usize);
    limit.map_or(u64::MAX, |(soft, _)| *soft)
}

/// Device number of the controlling terminal; 0 without one.
pub(super) fn terminal() -> u32 {
    crate::dev::terminal::device()
}

/// What personality(2) set.
pub(super) fn personality() -> u32 {
    crate::syscall::system::current_personality()
}

/// Whether PR_SET_NO_NEW_PRIVS is in force.
pub(super) fn no_new_privileges() -> bool {
    process::current().settings.no_new_privileges.get() != 0
}
