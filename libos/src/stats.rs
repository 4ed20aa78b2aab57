//! Counters, handed to the monitor at the end.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use alloc::vec::Vec;
use spin::Mutex;
use unikiln_abi::stats::{GuestStats, UNSUPPORTED_MAX, Unsupported};

use crate::mm::user::bytes_of;

crate::pod!(GuestStats);

static ENTRY_TSC: AtomicU64 = AtomicU64::new(0);
static ROOTFS_TSC: AtomicU64 = AtomicU64::new(0);
static PROGRAM_TSC: AtomicU64 = AtomicU64::new(0);
static FIRST_LOG_TSC: AtomicU64 = AtomicU64::new(0);
static TRAPPED: AtomicU64 = AtomicU64::new(0);
static DIRECT: AtomicU64 = AtomicU64::new(0);
static PAGE_FAULTS: AtomicU64 = AtomicU64::new(0);
static EXCEPTIONS: AtomicU64 = AtomicU64::new(0);
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

/// Adds one without a locked instruction: one vCPU for now, and a lost count
/// would do no harm.
fn bump(counter: &AtomicU64) {
    counter.store(counter.load(Relaxed).wrapping_add(1), Relaxed);
}

/// A system call came in.
pub fn note_syscall(direct: bool) {
    bump(if direct { &DIRECT } else { &TRAPPED });
}
/// The program faulted on a page.
pub fn note_page_fault() {
    bump(&PAGE_FAULTS);
}
/// The program raised another exception.
pub fn note_exception() {
    bump(&EXCEPTIONS);
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
        syscalls_trapped: TRAPPED.load(Relaxed),
        syscalls_direct: DIRECT.load(Relaxed),
        page_faults: PAGE_FAULTS.load(Relaxed),
        exceptions: EXCEPTIONS.load(Relaxed),
        memory_peak_bytes: crate::mm::peak_bytes(),
        memory_arena_bytes: crate::mm::arena_bytes(),
        unsupported_count: count as u64,
        unsupported,
    };
    Some(bytes_of(&stats).to_vec())
}
