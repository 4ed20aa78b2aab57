//! The page that both sides write while the guest runs: the clock, by the
//! monitor under a sequence lock, and signals from outside, set by the monitor
//! and taken by the libOS.
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
}

const _: () = assert!(size_of::<SharedPage>() == 56);
const _: () = assert!(offset_of!(SharedPage, base_tsc) == 8);
const _: () = assert!(offset_of!(SharedPage, signals) == 48);
