//! Connections: connecting and accepting.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::Ordering::SeqCst;

use linux_raw_sys::general::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT};
use unikiln_abi::socket::SocketAddress;

use super::HostSocket;
use super::address;
use crate::errno::Errno;
use crate::hypercall::socket as host;
use crate::net::Patience;

/// A connection came about, or did not.
const CONNECTED: u32 = EPOLLOUT | EPOLLHUP | EPOLLERR;
/// A connection can be accepted, or never will be.
const ACCEPTABLE: u32 = EPOLLIN | EPOLLHUP;

/// Connects to `raw`. The host is asked once more when the connection came about
/// or failed: it knows which, and notes that the program was told.
pub(super) fn connect(own: &HostSocket, raw: &[u8], patience: Patience) -> Result<(), Errno> {
    own.report_error()?;
    let address = address::boxed(raw);
    let is_end = address::is_unspecified(raw);
    own.was_connected.fetch_or(!is_end, SeqCst);
    loop {
        let outcome = host::connect(own.handle, &address);
        let errno = match outcome {
            // It goes on by itself, whatever has become of it by now.
            Err(errno @ (Errno::EINPROGRESS | Errno::EALREADY)) => match patience {
                Patience::None => return Err(errno),
                Patience::Until(_) => errno,
            },
            Ok(()) if is_end => {
                own.leave_rings();
                own.changed();
                return Ok(());
            }
            outcome => {
                if outcome.is_ok() {
                    own.attach_rings();
                }
                own.changed();
                return outcome;
            }
        };
        own.wait_ready(patience, CONNECTED)
            .map_err(|waited| match waited {
                Errno::EAGAIN => errno,
                waited => waited,
            })?;
    }
}

/// The next connection, with the address of its other end.
pub(super) fn accept(own: &HostSocket, patience: Patience) -> Result<Arc<HostSocket>, Errno> {
    own.report_error()?;
    if patience != Patience::None && own.is_listening() {
        own.wait_ready(patience, ACCEPTABLE | EPOLLERR)?;
    }
    let mut from = Box::new(SocketAddress::default());
    loop {
        let seen = own.change_count();
        match host::accept(own.handle, &mut from) {
            Ok(handle) => {
                let end = own.accepted(handle, address::from_host(&from))?;
                return Ok(end);
            }
            Err(Errno::EAGAIN) => own.wait_change(patience, ACCEPTABLE, seen)?,
            Err(errno) => return Err(errno),
        }
    }
}
