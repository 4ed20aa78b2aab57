//! Bytes over a connection: SOCK_STREAM.
//!
//! What does not fit into one call to the monitor goes in several. An error that
//! comes after some bytes went is left for the next call, as Linux leaves it.

use alloc::vec::Vec;
use core::sync::atomic::Ordering::SeqCst;

use linux_raw_sys::general::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP, SIGPIPE};
use linux_raw_sys::net::{MSG_ERRQUEUE, MSG_OOB, MSG_PEEK, MSG_TRUNC, MSG_WAITALL};
use unikiln_abi::socket::RING_BYTES;

use super::HostSocket;
use super::buffer::{BUFFER_MAX_BYTES, Buffer};
use super::ring::End;
use super::{beside, changes, direct, peek};
use crate::errno::{Errno, SysResult};
use crate::fs::transfer::Sink;
use crate::hypercall::socket as host;
use crate::net::Patience;
use crate::net::message::{Incoming, Outgoing};
use crate::signal;

/// A receive would give something, if only an end.
pub(super) const RECEIVABLE: u32 = EPOLLIN | EPOLLRDHUP | EPOLLHUP;
/// A send would take something, or fail.
const SENDABLE: u32 = EPOLLOUT | EPOLLHUP;

/// Sends into a stream.
pub(super) fn send(own: &HostSocket, out: &mut Outgoing<'_>) -> SysResult {
    own.report_error()?;
    own.attach_when_connected();
    let mut sent = 0;
    match send_all(own, out, &mut sent) {
        Ok(()) => Ok(sent),
        Err(errno) if sent > 0 => {
            own.leave_error(errno);
            Ok(sent)
        }
        Err(errno) => {
            if errno == Errno::EPIPE && out.flags & beside::MSG_NOSIGNAL == 0 {
                signal::raise_current(SIGPIPE);
            }
            Err(errno)
        }
    }
}

fn send_all(own: &HostSocket, out: &mut Outgoing<'_>, sent: &mut usize) -> Result<(), Errno> {
    let flags = beside::host_flags(out.flags);
    if let Some(rings) = own.rings() {
        rings.take_error().map_or(Ok(()), Err)?;
        if own.shut_send.load(SeqCst) {
            return Err(Errno::EPIPE);
        }
    }
    let is_plain = flags == 0 && out.address.is_none() && out.control.is_empty();
    loop {
        if is_plain && let Some(outcome) = send_ringed(own, out, sent) {
            return outcome;
        }
        // What the host has no room for waits in the ring, as far as that goes.
        let mut most = BUFFER_MAX_BYTES;
        if is_plain && let Some(outcome) = direct::send(own, out) {
            match outcome {
                Ok(count) => {
                    *sent += count;
                    if out.data.remaining() == 0 {
                        return Ok(());
                    }
                    continue;
                }
                Err(Errno::EAGAIN) if out.patience != Patience::None && own.has_empty_ring() => {
                    own.wait_room(out.patience, SENDABLE | EPOLLERR)?;
                    continue;
                }
                Err(Errno::EAGAIN) => most = RING_BYTES,
                Err(errno) => return Err(host_errno(own, errno)),
            }
        }
        let wanted = out.data.remaining().min(most);
        let mut buffer = Buffer::take(wanted)?;
        let (data, sending) = buffer.outgoing(wanted)?;
        let has_beside = beside::fill(sending, out)?;
        // What can be read before the first bad page goes out.
        let filled = out.data.take_part(data);
        if filled == 0 && wanted > 0 {
            return Err(Errno::EFAULT);
        }
        let mut done = 0;
        loop {
            let rest = data.get(done..filled).unwrap_or_default();
            let seen = own.change_count();
            match host::send(own.handle, rest, flags, has_beside.then_some(&*sending)) {
                Ok(count) => {
                    done += count;
                    *sent += count;
                    let count = send_rest(own, flags, data.get(done..filled));
                    done += count;
                    *sent += count;
                    if done >= filled {
                        break;
                    }
                    if out.patience == Patience::None {
                        return Ok(());
                    }
                    own.wait_ready(out.patience, SENDABLE | EPOLLERR)?;
                }
                Err(Errno::EAGAIN) => {
                    let count = send_rest(own, flags, Some(rest));
                    done += count;
                    *sent += count;
                    if done >= filled {
                        break;
                    }
                    own.wait_change(out.patience, SENDABLE, seen)?;
                }
                Err(errno) => return Err(host_errno(own, errno)),
            }
        }
        if filled < wanted {
            return Err(Errno::EFAULT);
        }
        if out.data.remaining() == 0 {
            return Ok(());
        }
    }
}

/// The error of a send, where the monitor may have taken the one behind EPIPE from the host.
fn host_errno(own: &HostSocket, errno: Errno) -> Errno {
    match errno {
        Errno::EPIPE => own.told_error().unwrap_or(errno),
        errno => errno,
    }
}

/// Sends through the ring, where all of it fits.
fn send_ringed(
    own: &HostSocket,
    out: &mut Outgoing<'_>,
    sent: &mut usize,
) -> Option<Result<(), Errno>> {
    let rings = own.outgoing_rings()?;
    let wanted = out.data.remaining();
    let count = rings.put_whole(out.data)?;
    if count > 0 {
        own.notice_sending();
        if let Some(errno) = rings.take_send_error() {
            return Some(Err(errno));
        }
    }
    *sent += count;
    Some(if count < wanted {
        Err(Errno::EFAULT)
    } else {
        Ok(())
    })
}

/// What the host had no room for goes into the ring, as far as it fits: the bytes.
fn send_rest(own: &HostSocket, flags: u32, rest: Option<&[u8]>) -> usize {
    // A mark of its own at the end is more than a ring carries.
    let rings = own.outgoing_rings().filter(|_| flags & MSG_OOB == 0);
    let count = rings.map_or(0, |rings| rings.put_part(rest.unwrap_or_default()));
    if count > 0 {
        own.notice_sending();
    }
    count
}

/// Receives from a stream.
pub(super) fn receive(own: &HostSocket, incoming: &mut Incoming<'_>) -> SysResult {
    own.report_error()?;
    if incoming.asks(MSG_OOB | MSG_ERRQUEUE) {
        // These never wait.
        incoming.patience = Patience::None;
        return take(own, incoming, incoming.data.remaining());
    }
    own.attach_when_connected();
    let len = incoming.data.remaining();
    let target = if incoming.asks(MSG_WAITALL) {
        len
    } else {
        len.min(own.options.low_water())
    };
    if incoming.patience != Patience::None && !own.is_listening() && own.held_bytes() == 0 {
        own.wait_ready(incoming.patience, RECEIVABLE | EPOLLERR)?;
    }
    if incoming.asks(MSG_PEEK) {
        return peek::receive(own, incoming, target);
    }
    let mut copied = take_held(own, incoming)?;
    loop {
        if copied > 0 && copied >= len {
            if own.host_has_more() {
                changes::mark_pending(own.handle);
            }
            return Ok(copied);
        }
        let wanted = (len - copied).min(BUFFER_MAX_BYTES);
        let seen = own.change_count();
        let failure = match take(own, incoming, wanted) {
            Ok(0) => return Ok(copied),
            Ok(count) => {
                copied += count;
                if count == wanted || copied < target || own.host_has_more() {
                    continue;
                }
                return Ok(copied);
            }
            Err(Errno::EAGAIN) if copied >= target.max(1) => return Ok(copied),
            Err(Errno::EAGAIN) => match own.wait_change(incoming.patience, RECEIVABLE, seen) {
                Ok(()) => continue,
                // The end of the wait is no error of the connection.
                Err(_) if copied > 0 => return Ok(copied),
                Err(errno) => errno,
            },
            Err(errno) => errno,
        };
        if copied == 0 {
            return Err(failure);
        }
        if failure != Errno::EFAULT {
            own.leave_error(failure);
        }
        return Ok(copied);
    }
}

/// From the ring: what it has, how it ended, or EAGAIN. None where the host is to be asked.
fn take_ringed(own: &HostSocket, incoming: &mut Incoming<'_>, wanted: usize) -> Option<SysResult> {
    if incoming.asks(MSG_OOB | MSG_ERRQUEUE) {
        return None;
    }
    let rings = own.rings()?;
    let is_kept = !incoming.asks(MSG_TRUNC);
    let to = is_kept.then_some(&mut *incoming.data as &mut dyn Sink);
    match rings.take(wanted, to) {
        Some(0) if wanted > 0 => return Some(Err(Errno::EFAULT)),
        Some(count) => return Some(Ok(count)),
        None => {}
    }
    if rings.end() == End::Ended && !own.shut_receive.load(SeqCst) {
        return Some(Ok(0));
    }
    if let Some(errno) = rings.take_error() {
        return Some(Err(errno));
    }
    let may_have = own.word() & (RECEIVABLE | EPOLLERR) != 0;
    // Who asks again and again without waiting wants to know it from the host.
    let asks = incoming.patience == Patience::None && !rings.just_gave();
    (!may_have && !asks).then_some(Err(Errno::EAGAIN))
}

/// From the ring, or by one call to the monitor, to the program. What the program's
/// memory does not take waits for the next receive.
fn take(own: &HostSocket, incoming: &mut Incoming<'_>, wanted: usize) -> SysResult {
    if let Some(outcome) = take_ringed(own, incoming, wanted) {
        return outcome;
    }
    let wanted = wanted.min(BUFFER_MAX_BYTES);
    let mut buffer = Buffer::take(wanted)?;
    let (data, received) = buffer.incoming(wanted)?;
    let flags = beside::host_flags(incoming.flags);
    let wants_beside = incoming.with_control || incoming.asks(MSG_ERRQUEUE);
    let place = wants_beside.then_some(&mut *received);
    let count = host::receive(own.handle, data, flags, place)?;
    if wants_beside {
        beside::deliver(received, incoming);
    }
    if incoming.asks(MSG_TRUNC) && !incoming.asks(MSG_ERRQUEUE) {
        // The bytes of a stream are thrown away.
        return Ok(count);
    }
    let bytes = data.get(..count).unwrap_or(data);
    let copied = incoming.data.put_part(bytes);
    let rest = bytes.get(copied..).unwrap_or_default();
    if !rest.is_empty() {
        if !incoming.asks(MSG_PEEK | MSG_OOB) {
            own.held.lock().splice(..0, rest.iter().copied());
        }
        if copied == 0 {
            return Err(Errno::EFAULT);
        }
    }
    Ok(copied)
}

/// Gives what an earlier receive could not, or throws it away with MSG_TRUNC; EFAULT.
fn take_held(own: &HostSocket, incoming: &mut Incoming<'_>) -> SysResult {
    if own.held_bytes() == 0 {
        return Ok(0);
    }
    let mut held: Vec<u8> = core::mem::take(&mut *own.held.lock());
    let len = held.len().min(incoming.data.remaining());
    let copied = if incoming.asks(MSG_TRUNC) {
        len
    } else {
        let bytes = held.get(..len).unwrap_or_default();
        incoming.data.put_part(bytes).min(len)
    };
    held.drain(..copied);
    own.held.lock().splice(..0, held);
    if copied == 0 && len > 0 {
        return Err(Errno::EFAULT);
    }
    Ok(copied)
}
