//! The page that both sides write while the guest runs: the clock, by the
//! monitor under a sequence lock; signals from outside, set by the monitor
//! and taken by the libOS; and, on a cache line of their own, the memory limit, which
//! the monitor may change, with what the libOS counts and the monitor may look at.
//!
//! Clock reads: read `seq` (retry while odd), the fields, `rdtsc`, then `seq`
//! again; `ns = base_ns + ((tsc - base_tsc) * mult >> shift)`.
//!
//! A signal from outside is a bit in `signals`. The monitor then kicks vCPU 0
//! and, where its RIP is outside the libOS text, writes the CPU frame of
//! [`crate::vcpu`] and continues at the upcall entry.

use core::mem::{offset_of, size_of};
use core::sync::atomic::{AtomicU32, AtomicU64};

/// See the module documentation.
#[derive(Debug)]
#[repr(C)]
pub struct SharedPage {
    /// Sequence lock of the fields up to `shift`; odd while they change.
    pub seq: AtomicU32,
    /// Multiplier of TSC ticks.
    pub mult: AtomicU32,
    /// TSC at the base.
    pub base_tsc: AtomicU64,
    /// CLOCK_MONOTONIC at the base, in ns.
    pub monotonic_ns: AtomicU64,
    /// CLOCK_REALTIME at the base, in ns.
    pub realtime_ns: AtomicU64,
    /// CLOCK_BOOTTIME at the base, in ns.
    pub boottime_ns: AtomicU64,
    /// Right shift after multiplication.
    pub shift: AtomicU32,
    /// 1 where something happened to a watched node of a volume; the monitor sets
    /// it and calls vCPU 0, the libOS clears it before it asks.
    pub volume_events: AtomicU32,
    /// Signals from outside, bit `n - 1` for signal `n`.
    pub signals: AtomicU64,
    /// Unused.
    pub reserved: AtomicU64,

    /// What the guest may use in all, MemTotal: the monitor's to change.
    pub memory_limit_bytes: AtomicU64,
    /// In use, the libOS included.
    pub memory_used_bytes: AtomicU64,
    /// Most in use at one time.
    pub memory_peak_bytes: AtomicU64,
    /// Pages of files that were written over the image's or made, `/dev/shm` included.
    pub upper_pages: AtomicU64,
    /// Inodes in memory over the image's.
    pub upper_inodes: AtomicU64,
    /// Threads of the program.
    pub threads: AtomicU64,
}

const _: () = assert!(size_of::<SharedPage>() == 112);
const _: () = assert!(offset_of!(SharedPage, base_tsc) == 8);
const _: () = assert!(offset_of!(SharedPage, signals) == 48);
const _: () = assert!(offset_of!(SharedPage, memory_limit_bytes) == 64);
