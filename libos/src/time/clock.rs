//! Reads of the clock that the monitor keeps fresh in the shared page.
#![expect(unsafe_code, reason = "the shared page is written by the monitor too")]

use core::sync::atomic::{AtomicU64, Ordering};

use unikiln_abi::boot::BootInfo;
use unikiln_abi::layout::DIRECT_MAP_BASE;
use unikiln_abi::shared::SharedPage;

use crate::arch;

/// Address of the shared page; 0 before boot.
static SHARED: AtomicU64 = AtomicU64::new(0);

/// The clocks that the shared page has a base for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// CLOCK_REALTIME.
    Realtime,
    /// CLOCK_MONOTONIC.
    Monotonic,
    /// CLOCK_BOOTTIME.
    Boottime,
}

/// Learns where the shared page is.
pub fn init(info: &BootInfo) {
    SHARED.store(DIRECT_MAP_BASE + info.shared_page_gpa, Ordering::Relaxed);
}

/// The shared page, once it is known.
pub fn shared() -> Option<&'static SharedPage> {
    let address = SHARED.load(Ordering::Relaxed);
    if address == 0 {
        return None;
    }
    // SAFETY: the monitor mapped the page for the guest's whole life; all its
    // fields are atomics, so concurrent writes by the monitor are fine.
    Some(unsafe { &*core::ptr::with_exposed_provenance::<SharedPage>(address as usize) })
}

/// Signals from outside that wait, taken away.
pub fn take_outside_signals() -> u64 {
    match shared() {
        Some(page) if page.signals.load(Ordering::Relaxed) != 0 => {
            page.signals.swap(0, Ordering::AcqRel)
        }
        _ => 0,
    }
}

/// Whether the monitor called because of a watched file of a volume; not again.
pub fn take_volume_events() -> bool {
    shared().is_some_and(|page| {
        page.volume_events.load(Ordering::Relaxed) != 0
            && page.volume_events.swap(0, Ordering::AcqRel) != 0
    })
}

/// Nanoseconds on a clock.
#[inline]
pub fn now(clock: Clock) -> u64 {
    let Some(page) = shared() else {
        return arch::rdtsc();
    };
    let base = match clock {
        Clock::Realtime => &page.realtime_ns,
        Clock::Monotonic => &page.monotonic_ns,
        Clock::Boottime => &page.boottime_ns,
    };
    loop {
        let seq = page.seq.load(Ordering::Acquire);
        if seq & 1 != 0 {
            arch::idle_hint();
            continue;
        }
        let base_tsc = page.base_tsc.load(Ordering::Relaxed);
        let base_ns = base.load(Ordering::Relaxed);
        let mult = page.mult.load(Ordering::Relaxed);
        let shift = page.shift.load(Ordering::Relaxed);
        let tsc = arch::rdtsc();
        core::sync::atomic::fence(Ordering::Acquire);
        if page.seq.load(Ordering::Relaxed) == seq {
            return base_ns.wrapping_add(scale(tsc.saturating_sub(base_tsc), mult, shift));
        }
    }
}

/// `ticks * mult >> shift` without overflow.
fn scale(ticks: u64, mult: u32, shift: u32) -> u64 {
    ((u128::from(ticks) * u128::from(mult)) >> (shift & 63)) as u64
}

/// What so many TSC ticks take, at the rate of now.
pub fn ticks_to_ns(ticks: u64) -> u64 {
    match shared() {
        Some(page) => {
            let mult = page.mult.load(Ordering::Relaxed);
            scale(ticks, mult, page.shift.load(Ordering::Relaxed))
        }
        None => ticks,
    }
}

/// CLOCK_MONOTONIC.
pub fn monotonic_ns() -> u64 {
    now(Clock::Monotonic)
}

/// CLOCK_REALTIME.
pub fn realtime_ns() -> u64 {
    now(Clock::Realtime)
}

/// What clock_getres says, for every clock.
pub fn resolution_ns() -> u64 {
    1
}

#[cfg(test)]
mod tests {
    use super::scale;

    #[test]
    fn scaling_keeps_large_products() {
        // 3 GHz, a year of ticks: mult = 2^32 / 3.
        let year = 3_000_000_000u64 * 31_536_000;
        let ns = scale(year, 1_431_655_765, 32);
        assert!(ns.abs_diff(31_536_000_000_000_000) < 10_000_000_000);
    }
}
