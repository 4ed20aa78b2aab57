//! `WAIT [deadline_ns, interest]`: blocks the vCPU until an event or a deadline.

use std::sync::atomic::{AtomicU64, Ordering};

use unikiln_abi::call::{EVENT_SIGNAL, EVENT_STDIN};
use unikiln_abi::shared::SharedPage;
use vm_memory::VolatileMemory;

use super::Host;
use crate::events::Woken;
use crate::fault::GuestFault;

/// Longest sleep at one time: the clock is renewed in between.
const SLEEP_MAX_NS: u64 = 3_600_000_000_000;

pub(super) fn handle(host: &mut Host, deadline_ns: u64, interest: u64) -> Result<i64, GuestFault> {
    if interest & !(EVENT_STDIN | EVENT_SIGNAL) != 0 {
        return Err(GuestFault::BadArgument {
            call: "wait",
            name: "interest",
            value: interest,
        });
    }
    let wants_stdin = interest & EVENT_STDIN != 0;
    loop {
        // A signal always ends the wait: the libOS must see it soon.
        if has_signal(host)? {
            return Ok(EVENT_SIGNAL as i64);
        }
        if wants_stdin && host.stdin.is_always_ready() {
            return Ok(EVENT_STDIN as i64);
        }
        let now_ns = host.clock.guest_now_ns();
        let left_ns = deadline_ns.saturating_sub(now_ns);
        let fd = host.stdin.fd().filter(|_| wants_stdin);
        match host.events.wait(fd, Some(left_ns.min(SLEEP_MAX_NS))) {
            Woken::Readable => return Ok(EVENT_STDIN as i64),
            Woken::Timeout if left_ns <= SLEEP_MAX_NS && deadline_ns != u64::MAX => return Ok(0),
            Woken::Timeout | Woken::Signal => {}
        }
        host.renew_clock()?;
    }
}

/// Whether a signal from outside waits for the libOS.
pub(super) fn has_signal(host: &Host) -> Result<bool, GuestFault> {
    let offset = core::mem::offset_of!(SharedPage, signals);
    let shared = host.shared_page()?;
    let waiting = shared
        .get_atomic_ref::<AtomicU64>(offset)
        .is_ok_and(|signals| signals.load(Ordering::SeqCst) != 0);
    Ok(waiting || host.events.is_pending())
}
