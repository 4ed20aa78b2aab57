//! `WAIT [deadline_ns, interest, period_ns, timer_ns]`: blocks the vCPU until an event or a deadline.

use std::sync::atomic::{AtomicU64, Ordering};

use unikiln_abi::call::{EVENT_KICK, EVENT_SIGNAL, EVENT_SOCKET, EVENT_STDIN, WAIT_SETS_TIMER};
use unikiln_abi::shared::SharedPage;
use vm_memory::VolatileMemory;

use super::{Cpu, Host};
use crate::events::{Source, Woken};
use crate::fault::GuestFault;

/// Longest sleep at one time: the clock is renewed in between.
const SLEEP_MAX_NS: u64 = 3_600_000_000_000;
/// Changes of sockets taken at one time.
const EDGES: usize = 64;
const NO_EDGE: libc::epoll_event = libc::epoll_event { events: 0, u64: 0 };

pub(super) fn handle(
    host: &Host,
    cpu: &mut Cpu,
    deadline_ns: u64,
    interest: u64,
    period_ns: u64,
    timer_ns: u64,
) -> Result<i64, GuestFault> {
    let known = EVENT_STDIN | EVENT_SIGNAL | EVENT_KICK | EVENT_SOCKET | WAIT_SETS_TIMER;
    if interest & !known != 0 {
        return Err(GuestFault::BadArgument {
            call: "wait",
            name: "interest",
            value: interest,
        });
    }
    let sets_timer = interest & WAIT_SETS_TIMER != 0;
    if sets_timer {
        cpu.alarm.set_guest(host.now_ns(), u64::MAX, 0);
    }
    let events = wait(host, cpu, deadline_ns, interest)?;
    let timer_ns = if events == 0 { u64::MAX } else { timer_ns };
    if sets_timer && (period_ns != 0 || timer_ns != u64::MAX) {
        cpu.alarm.set_guest(host.now_ns(), timer_ns, period_ns);
    }
    Ok(events)
}

fn wait(host: &Host, cpu: &mut Cpu, deadline_ns: u64, interest: u64) -> Result<i64, GuestFault> {
    let wants_stdin = interest & EVENT_STDIN != 0;
    let wants_sockets = interest & EVENT_SOCKET != 0;
    let mut edges = [NO_EDGE; EDGES];
    loop {
        // A signal always ends the wait, and so does a call: the libOS must see it
        // soon. Both are told at once: no host signal is left that would tell the other.
        let now_ns = host.now_ns();
        let mut events = host.vcpus.take_calls(cpu.index);
        if cpu.alarm.take_due(now_ns) {
            events |= EVENT_KICK;
        }
        if has_signal(host, cpu)? {
            events |= EVENT_SIGNAL;
        }
        if events != 0 {
            return Ok(events as i64);
        }
        if host.vcpus.is_ending() {
            return Ok(0);
        }
        if wants_stdin && host.stdin.is_always_ready() {
            return Ok(EVENT_STDIN as i64);
        }
        let left_ns = deadline_ns.saturating_sub(now_ns);
        if left_ns == 0 {
            // Whoever asks for no time at all means to let others run.
            std::thread::yield_now();
        }
        if wants_sockets && host.net.serve_before_wait() {
            return Ok(EVENT_SOCKET as i64);
        }
        // Where it waits for sockets alone, it serves them itself: nobody has to call it.
        let epoll = match wants_sockets {
            true => host.net.epoll(!wants_stdin),
            false => None,
        };
        let source = match epoll {
            Some(epoll) => Source::Edges(epoll, &mut edges),
            None => Source::Input(host.stdin.fd().filter(|_| wants_stdin)),
        };
        match cpu.wait(host, source, left_ns.min(SLEEP_MAX_NS), now_ns) {
            Woken::Ready(count) if epoll.is_some() => {
                if host.net.serve_edges(edges.get(..count).unwrap_or_default()) {
                    return Ok(EVENT_SOCKET as i64);
                }
            }
            Woken::Ready(_) => return Ok(EVENT_STDIN as i64),
            Woken::Timeout if left_ns <= SLEEP_MAX_NS && deadline_ns != u64::MAX => return Ok(0),
            // All that the host's signals stand for is looked at above, but for a
            // timer that ended early.
            Woken::Timeout | Woken::Signal => {
                cpu.events.rearm();
                cpu.alarm.interrupted();
            }
        }
        host.renew_clock()?;
    }
}

impl Cpu {
    /// Blocks for at most `left_ns`; the end of the guest's timer counts as a signal.
    fn wait(&self, host: &Host, source: Source<'_>, left_ns: u64, now_ns: u64) -> Woken {
        let timeout_ns = left_ns.min(self.alarm.guest_left_ns(now_ns));
        let is_called = || host.vcpus.is_called(self.index) || host.vcpus.is_ending();
        match self.events.wait(source, Some(timeout_ns), is_called) {
            Woken::Timeout if timeout_ns < left_ns => Woken::Signal,
            woken => woken,
        }
    }
}

/// Whether a signal from outside waits for the libOS. vCPU 0 alone takes them.
fn has_signal(host: &Host, cpu: &Cpu) -> Result<bool, GuestFault> {
    if cpu.index != 0 {
        return Ok(false);
    }
    let offset = core::mem::offset_of!(SharedPage, signals);
    let shared = host.shared_page()?;
    let waiting = shared
        .get_atomic_ref::<AtomicU64>(offset)
        .is_ok_and(|signals| signals.load(Ordering::SeqCst) != 0);
    Ok(waiting || cpu.events.is_pending())
}

/// Whether a call that blocks must come back, because of a signal or a call.
pub(super) fn is_called(host: &Host, cpu: &Cpu) -> Result<bool, GuestFault> {
    Ok(has_signal(host, cpu)? || host.vcpus.is_called(cpu.index) || host.vcpus.is_ending())
}
