//! Clocks: the TSC scaled by the shared page, and the vDSO that answers from it
//! without a system call.

mod clock;
#[cfg(target_os = "none")]
mod vdso;

pub use clock::{
    Clock, init, monotonic_ns, now, realtime_ns, resolution_ns, shared, take_outside_signals,
    take_volume_events, ticks_to_ns,
};
#[cfg(target_os = "none")]
pub use vdso::image_address as vdso_address;

/// Nanoseconds of a second.
pub const SECOND_NS: u64 = 1_000_000_000;

/// Unit tests have no vDSO.
#[cfg(not(target_os = "none"))]
pub fn vdso_address() -> u64 {
    0
}
