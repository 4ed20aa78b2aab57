//! Counters, handed to the monitor at the end.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use alloc::vec::Vec;
use spin::Mutex;
use unikiln_abi::VCPUS_MAX;
use unikiln_abi::stats::{GuestStats, UNSUPPORTED_MAX, Unsupported};

use crate::mm::user::bytes_of;

crate::pod!(GuestStats);

static ENTRY_TSC: AtomicU64 = AtomicU64::new(0);
static ROOTFS_TSC: AtomicU64 = AtomicU64::new(0);
static PROGRAM_TSC: AtomicU64 = AtomicU64::new(0);
static FIRST_LOG_TSC: AtomicU64 = AtomicU64::new(0);
/// What each vCPU counts for itself, a cache line each.
static COUNTS: [Counts; VCPUS_MAX] = [const { Counts::new() }; VCPUS_MAX];
static UNSUPPORTED: Mutex<([Unsupported; UNSUPPORTED_MAX], usize)> = Mutex::new((
    [Unsupported {
        number: 0,
        count: 0,
    }; UNSUPPORTED_MAX],
    0,
));

/// TSC at the first instruction.
pub fn set_entry(tsc: u64) {
    ENTRY_TSC.store(tsc, Relaxed);
}
/// TSC when the root file system was mounted.
pub fn set_rootfs(tsc: u64) {
    ROOTFS_TSC.store(tsc, Relaxed);
}
/// TSC when the program was loaded.
pub fn set_program(tsc: u64) {
    PROGRAM_TSC.store(tsc, Relaxed);
}
/// The program wrote to the log.
pub fn note_log() {
    if FIRST_LOG_TSC.load(Relaxed) == 0 {
        FIRST_LOG_TSC.store(crate::arch::rdtsc(), Relaxed);
    }
}

/// Counters of one vCPU: only it writes them, so no locked instruction is needed.
#[repr(align(64))]
struct Counts {
    trapped: AtomicU64,
    direct: AtomicU64,
    page_faults: AtomicU64,
    exceptions: AtomicU64,
}

impl Counts {
    const fn new() -> Counts {
        Counts {
            trapped: AtomicU64::new(0),
            direct: AtomicU64::new(0),
            page_faults: AtomicU64::new(0),
            exceptions: AtomicU64::new(0),
        }
    }
}

/// Adds one to a counter of the calling vCPU.
fn bump(counter: fn(&Counts) -> &AtomicU64) {
    if let Some(counts) = COUNTS.get(crate::arch::vcpu_index()) {
        let counter = counter(counts);
        counter.store(counter.load(Relaxed).wrapping_add(1), Relaxed);
    }
}

/// A counter of all vCPUs.
fn total(counter: fn(&Counts) -> &AtomicU64) -> u64 {
    let counters = COUNTS.iter().map(counter);
    counters.map(|counter| counter.load(Relaxed)).sum()
}

/// A system call came in by its `syscall` instruction.
#[inline]
pub fn note_trapped_syscall() {
    bump(|counts| &counts.trapped);
}
/// A system call came in by a jump.
#[inline]
pub fn note_direct_syscall() {
    bump(|counts| &counts.direct);
}
/// The program faulted on a page.
pub fn note_page_fault() {
    bump(|counts| &counts.page_faults);
}
/// The program raised another exception.
pub fn note_exception() {
    bump(|counts| &counts.exceptions);
}

/// A call that is not there was made.
pub fn note_unsupported(number: u64) {
    let mut table = UNSUPPORTED.lock();
    let (rows, used) = &mut *table;
    if let Some(row) = rows[..*used]
        .iter_mut()
        .find(|r| u64::from(r.number) == number)
    {
        row.count = row.count.saturating_add(1);
    } else if *used < UNSUPPORTED_MAX {
        rows[*used] = Unsupported {
            number: number as u32,
            count: 1,
        };
        *used += 1;
    }
}

/// All counters as the monitor reads them, in heap memory.
pub fn snapshot() -> Option<Vec<u8>> {
    crate::boot::info()?;
    let (unsupported, count) = *UNSUPPORTED.try_lock()?;
    let stats = GuestStats {
        entry_tsc: ENTRY_TSC.load(Relaxed),
        rootfs_tsc: ROOTFS_TSC.load(Relaxed),
        program_tsc: PROGRAM_TSC.load(Relaxed),
        first_log_tsc: FIRST_LOG_TSC.load(Relaxed),
        syscalls_trapped: total(|counts| &counts.trapped),
        syscalls_direct: total(|counts| &counts.direct),
        page_faults: total(|counts| &counts.page_faults),
        exceptions: total(|counts| &counts.exceptions),
        memory_peak_bytes: crate::mm::peak_bytes(),
        memory_arena_bytes: crate::mm::arena_bytes(),
        unsupported_count: count as u64,
        unsupported,
    };
    Some(bytes_of(&stats).to_vec())
}
