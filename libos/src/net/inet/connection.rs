//! Connections: connecting and accepting.

use alloc::boxed::Box;
use core::sync::atomic::Ordering::SeqCst;

use linux_raw_sys::general::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT};
use unikiln_abi::socket::SocketAddress;

use super::address;
use super::{HostSocket, InetSocket};
use crate::errno::Errno;
use crate::hypercall::{rings, socket as host};
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
                own.shut_send.store(false, SeqCst);
                own.shut_receive.store(false, SeqCst);
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
pub(super) fn accept(own: &HostSocket, patience: Patience) -> Result<InetSocket, Errno> {
    own.report_error()?;
    if let Some(next) = own.accepted.take() {
        own.accepted.note(true);
        return Ok(next);
    }
    // Who asks again and again without waiting wants to know it from the host.
    let asks = !own.accepted.just_gave();
    if patience == Patience::None && !asks && own.host_ready() & (ACCEPTABLE | EPOLLERR) == 0 {
        return Err(Errno::EAGAIN);
    }
    if patience != Patience::None && own.is_listening() {
        own.wait_ready(patience, ACCEPTABLE | EPOLLERR)?;
    }
    loop {
        let seen = own.change_count();
        let taken = own.accepted.take().map_or_else(|| fetch(own), Ok);
        match taken {
            Err(Errno::EAGAIN) => own.wait_change(patience, ACCEPTABLE, seen)?,
            taken => {
                own.accepted.note(taken.is_ok());
                return taken;
            }
        }
    }
}

/// Takes connections from the host: the first, and others that wait for the next accept.
fn fetch(own: &HostSocket) -> Result<InetSocket, Errno> {
    if own.without_rings.load(SeqCst) {
        let mut from = Box::new(SocketAddress::default());
        let handle = with_room(|| host::accept(own.handle, &mut from))?;
        let end = own.accepted(handle, address::from_host(&from), None)?;
        return Ok(InetSocket(end));
    }
    let connections = with_room(|| rings::accept(own.handle))?;
    let sockets = connections.into_iter().filter_map(|connection| {
        let from = address::from_host(&connection.from);
        let end = own.accepted(connection.handle, from, connection.rings);
        // Without memory for it the connection is lost, as Linux loses it.
        end.ok().map(InetSocket)
    });
    let first = own.accepted.add(sockets).ok_or(Errno::ENOMEM)?;
    if own.accepted.is_any() {
        // Others may wait for these.
        own.changed();
    }
    Ok(first)
}

/// Asks for a socket, once more where those that are to be closed were in its way.
pub(super) fn with_room<T>(mut ask: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    match ask() {
        Err(Errno::EMFILE) if rings::close_now() => ask(),
        answer => answer,
    }
}
