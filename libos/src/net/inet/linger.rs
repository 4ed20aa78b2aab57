//! SO_LINGER with a time: closing waits until the other end has acknowledged all that
//! was sent, the end included, as tcp(7) and socket(7) have it. Non-blocking sockets
//! wait too, shutdown(2) and the end of the process do not. A time of 0 is the host's
//! own affair: an abort.
//!
//! The host tells of no change when the last byte is acknowledged, so it is asked, less
//! and less often.

use alloc::vec;

use linux_raw_sys::net::{SHUT_RDWR, SOL_TCP};

use super::HostSocket;
use crate::errno::Errno;
use crate::hypercall::socket as host;
use crate::net::Kind;
use crate::sched::{self, WaitQueue};
use crate::time;

const NSEC_PER_SEC: u64 = 1_000_000_000;
/// Between two questions: the first, and the longest.
const PAUSE_NS: u64 = 200_000;
const PAUSE_MAX_NS: u64 = 20_000_000;

/// Its value is a structure that starts with the connection's state.
const TCP_INFO: u32 = 11;
/// States of connections (tcp(7)) whose end the other end did not acknowledge. The first
/// two have it still to come, behind what the send ring holds.
const ESTABLISHED: u8 = 1;
const CLOSE_WAIT: u8 = 8;
const FIN_WAIT1: u8 = 4;
const LAST_ACK: u8 = 9;
const CLOSING: u8 = 11;

/// Before the last descriptor of a socket closes: ends both directions, and waits as long
/// as its option says. A signal ends the wait. Nothing may be locked.
pub(super) fn linger(own: &HostSocket) {
    let Some(seconds @ 1..) = own.options.linger_seconds() else {
        return;
    };
    if own.kind != Kind::Stream || own.is_listening() {
        return;
    }
    // What was not received makes closing an abort, which waits for nothing.
    if own.receivable_bytes() != Ok(0) || host::shutdown(own.handle, SHUT_RDWR).is_err() {
        return;
    }
    let until_ns = time::monotonic_ns().saturating_add(u64::from(seconds) * NSEC_PER_SEC);
    let mut pause_ns = PAUSE_NS;
    let nobody_wakes = WaitQueue::new();
    while waits_for_acknowledgement(own) && time::monotonic_ns() < until_ns {
        let pause_end_ns = time::monotonic_ns().saturating_add(pause_ns).min(until_ns);
        let waited = sched::wait(&nobody_wakes, Some(pause_end_ns), || None::<()>);
        if waited != Err(Errno::ETIMEDOUT) {
            return;
        }
        pause_ns = (pause_ns * 2).min(PAUSE_MAX_NS);
    }
}

fn waits_for_acknowledgement(own: &HostSocket) -> bool {
    let mut state = vec![0];
    let known = host::option(own.handle, SOL_TCP, TCP_INFO, &mut state);
    known.is_ok()
        && matches!(
            state.first(),
            Some(&(ESTABLISHED | CLOSE_WAIT | FIN_WAIT1 | LAST_ACK | CLOSING))
        )
}
