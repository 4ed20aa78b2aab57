//! The guest's clock: TSC readings turned into nanoseconds without an exit.
//!
//! The shared page holds a base and a rate; the guest computes all clocks from
//! them ([`unikiln_abi::shared`]). The monitor renews both at exits when they
//! are older than [`REFRESH_NS`], and by a timer where the guest does not exit.
//!
//! Drift: the first rate is KVM's TSC frequency (off by the host's NTP
//! correction, at most 500 ppm, usually below 50), each later one is measured
//! against CLOCK_MONOTONIC over the interval before. So the guest is off by at
//! most 0.5 ms in the first second and by a few µs later. CLOCK_MONOTONIC never
//! steps back: a guest that ran ahead is slowed down until the next renewal.

use std::sync::atomic::Ordering;

use std::sync::atomic::{AtomicU32, AtomicU64};

use unikiln_abi::shared::SharedPage;
use vm_memory::{VolatileMemory, VolatileMemoryError};

use crate::memory::GuestSlice;

/// Age at which an exit renews the clock.
pub const REFRESH_NS: u64 = 1_000_000_000;
/// A timer renews it after this much of computing without an exit.
pub const TIMER_NS: u64 = 4_000_000_000;
/// With this shift a delta of ten minutes does not overflow 64 bits.
const SHIFT: u32 = 24;
/// A reading that took longer was interrupted.
const READING_TICKS_MAX: u64 = 4_000;
const READING_TRIES: usize = 4;
/// Assumed where KVM does not tell: corrected at the first renewal.
const TSC_KHZ_DEFAULT: u32 = 2_000_000;

/// The host's time-stamp counter.
#[expect(unsafe_code, reason = "rdtsc is an intrinsic")]
pub fn read_tsc() -> u64 {
    // SAFETY: every x86-64 CPU has it, and Linux leaves it open to user space.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[expect(unsafe_code, reason = "clock_gettime fills a structure")]
fn host_clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is valid for the call; the clocks used here exist everywhere.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// TSC and the host's clocks at one moment.
#[derive(Clone, Copy, Debug)]
struct Reading {
    tsc: u64,
    monotonic_ns: u64,
    realtime_ns: u64,
    boottime_ns: u64,
}

impl Reading {
    fn take() -> Self {
        let mut tries = READING_TRIES;
        loop {
            let before = read_tsc();
            let monotonic_ns = host_clock_ns(libc::CLOCK_MONOTONIC);
            let ticks = read_tsc().wrapping_sub(before);
            tries -= 1;
            if ticks < READING_TICKS_MAX || tries == 0 {
                return Self {
                    tsc: before.wrapping_add(ticks / 2),
                    monotonic_ns,
                    realtime_ns: host_clock_ns(libc::CLOCK_REALTIME),
                    boottime_ns: host_clock_ns(libc::CLOCK_BOOTTIME),
                };
            }
        }
    }
}

/// Keeps one guest's shared page fresh.
#[derive(Debug)]
pub struct Clock {
    tsc_offset: u64,
    tsc_khz: u64,
    refresh_ticks: u64,
    reading: Reading,
    /// What the guest's CLOCK_MONOTONIC says at `reading.tsc`.
    base_ns: u64,
    mult: u32,
}

impl Clock {
    /// A clock whose guest TSC is the host's plus `tsc_offset`.
    pub fn new(tsc_khz: Option<u32>, tsc_offset: u64) -> Self {
        let tsc_khz = u64::from(tsc_khz.unwrap_or(TSC_KHZ_DEFAULT));
        let reading = Reading::take();
        Self {
            tsc_offset,
            tsc_khz,
            refresh_ticks: tsc_khz * (REFRESH_NS / 1_000_000),
            base_ns: reading.monotonic_ns,
            reading,
            mult: mult_for(1_000_000, tsc_khz),
        }
    }

    /// TSC frequency in kHz.
    pub fn tsc_khz(&self) -> u64 {
        self.tsc_khz
    }

    /// Guest TSC minus host TSC.
    pub fn tsc_offset(&self) -> u64 {
        self.tsc_offset
    }

    /// The guest's CLOCK_MONOTONIC now.
    pub fn guest_now_ns(&self) -> u64 {
        self.guest_ns_at(read_tsc())
    }

    fn guest_ns_at(&self, tsc: u64) -> u64 {
        let ticks = tsc.saturating_sub(self.reading.tsc);
        self.base_ns + ((u128::from(ticks) * u128::from(self.mult)) >> SHIFT) as u64
    }

    /// Renews base and rate when they are old; returns whether it did.
    pub fn refresh_if_stale(&mut self, shared: &GuestSlice<'_>) -> bool {
        if read_tsc().saturating_sub(self.reading.tsc) < self.refresh_ticks {
            return false;
        }
        self.renew(Reading::take());
        // The shared page was planned by the monitor, so it is there.
        let _ = self.publish(shared);
        true
    }

    fn renew(&mut self, now: Reading) {
        let predicted_ns = self.guest_ns_at(now.tsc);
        let ticks = now.tsc.saturating_sub(self.reading.tsc).max(1);
        let elapsed_ns = now
            .monotonic_ns
            .saturating_sub(self.reading.monotonic_ns)
            .max(1);
        self.base_ns = predicted_ns.max(now.monotonic_ns);
        // Ahead by `ahead_ns`: the next interval takes it back, at most by half.
        let ahead_ns = self.base_ns - now.monotonic_ns;
        let slowed_ns = elapsed_ns.saturating_sub(ahead_ns).max(elapsed_ns / 2);
        self.mult = mult_for(slowed_ns, ticks);
        self.reading = now;
    }

    /// Writes base and rate into the shared page.
    pub fn publish(&self, shared: &GuestSlice<'_>) -> Result<(), VolatileMemoryError> {
        let word = |offset| shared.get_atomic_ref::<AtomicU32>(offset);
        let long = |offset| shared.get_atomic_ref::<AtomicU64>(offset);
        let seq = word(core::mem::offset_of!(SharedPage, seq))?;
        let mult = word(core::mem::offset_of!(SharedPage, mult))?;
        let shift = word(core::mem::offset_of!(SharedPage, shift))?;
        let guest_tsc = self.reading.tsc.wrapping_add(self.tsc_offset);
        // All clocks follow the guest's CLOCK_MONOTONIC at their distance to the host's.
        let ahead_ns = self.base_ns - self.reading.monotonic_ns;
        let values = [
            (core::mem::offset_of!(SharedPage, base_tsc), guest_tsc),
            (
                core::mem::offset_of!(SharedPage, monotonic_ns),
                self.base_ns,
            ),
            (
                core::mem::offset_of!(SharedPage, realtime_ns),
                self.reading.realtime_ns + ahead_ns,
            ),
            (
                core::mem::offset_of!(SharedPage, boottime_ns),
                self.reading.boottime_ns + ahead_ns,
            ),
        ];
        // Release on the way in too: the odd number must be seen before the fields.
        let start = seq.load(Ordering::Relaxed) | 1;
        seq.store(start, Ordering::SeqCst);
        for (offset, value) in values {
            long(offset)?.store(value, Ordering::Relaxed);
        }
        mult.store(self.mult, Ordering::Relaxed);
        shift.store(SHIFT, Ordering::Relaxed);
        seq.store(start.wrapping_add(1), Ordering::Release);
        Ok(())
    }
}

/// Multiplier for `ticks` that take `ns`.
fn mult_for(ns: u64, ticks: u64) -> u32 {
    let mult = (u128::from(ns) << SHIFT) / u128::from(ticks.max(1));
    u32::try_from(mult).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(tsc: u64, monotonic_ns: u64) -> Reading {
        Reading {
            tsc,
            monotonic_ns,
            realtime_ns: monotonic_ns,
            boottime_ns: monotonic_ns,
        }
    }

    fn clock_at(tsc_khz: u64) -> Clock {
        Clock {
            tsc_offset: 0,
            tsc_khz,
            refresh_ticks: 0,
            reading: reading(0, 0),
            base_ns: 0,
            mult: mult_for(1_000_000, tsc_khz),
        }
    }

    #[test]
    fn a_guest_that_ran_ahead_is_slowed_but_never_set_back() {
        // The host's second holds 100 ppm more ticks than KVM says.
        let mut clock = clock_at(2_000_000);
        let mut last = 0;
        for second in 1..20u64 {
            let tsc = second * 2_000_200_000;
            let before = clock.guest_ns_at(tsc);
            clock.renew(reading(tsc, second * 1_000_000_000));
            assert!(clock.base_ns >= before && before > last, "second {second}");
            last = clock.base_ns;
        }
        let error_ns = clock.base_ns - 19_000_000_000;
        assert!(error_ns < 2_000, "{error_ns} ns ahead");
    }

    #[test]
    fn a_guest_that_fell_behind_catches_up_at_once() {
        let mut clock = clock_at(2_000_000);
        clock.renew(reading(1_000_000_000, 1_000_000_000));
        assert_eq!(clock.base_ns, 1_000_000_000);
    }
}
