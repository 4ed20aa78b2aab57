//! Options: the host's, but for those that say how the libOS itself waits and
//! those that it knows without asking.

use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::SeqCst;

use linux_raw_sys::net::{
    AF_INET, SO_BINDTODEVICE, SO_DOMAIN, SO_ERROR, SO_LINGER, SO_MARK, SO_OOBINLINE, SO_PASSCRED,
    SO_PEERCRED, SO_PEERGROUPS, SO_PROTOCOL, SO_RCVLOWAT, SO_RCVTIMEO_NEW, SO_RCVTIMEO_OLD,
    SO_SNDTIMEO_NEW, SO_SNDTIMEO_OLD, SO_TIMESTAMP_NEW, SO_TIMESTAMP_OLD, SO_TIMESTAMPING_NEW,
    SO_TIMESTAMPING_OLD, SO_TIMESTAMPNS_NEW, SO_TIMESTAMPNS_OLD, SO_TYPE, SOL_IP, SOL_SOCKET,
    SOL_TCP,
};
use unikiln_abi::socket::OPTION_MAX_BYTES;

use super::{HostSocket, InetSocket};
use crate::errno::Errno;
use crate::hypercall::socket as host;
use crate::net::options::{self, Value};

/// Bytes left to receive, as a control message.
const TCP_INQ: u32 = 36;

/// Whether an option of `SOL_SOCKET` is kept by the libOS alone.
fn is_own(name: u32) -> bool {
    matches!(
        name,
        SO_RCVTIMEO_OLD
            | SO_RCVTIMEO_NEW
            | SO_SNDTIMEO_OLD
            | SO_SNDTIMEO_NEW
            | SO_PASSCRED
            | SO_PEERCRED
            | SO_PEERGROUPS
            | SO_TYPE
            | SO_DOMAIN
            | SO_PROTOCOL
    )
}

/// Whether it asks for something beside the bytes of a connection, which rings do
/// not carry: times, urgent data in its place, what is left to receive.
fn comes_beside(level: u32, name: u32) -> bool {
    match level {
        SOL_SOCKET => matches!(
            name,
            SO_OOBINLINE
                | SO_TIMESTAMP_OLD
                | SO_TIMESTAMPNS_OLD
                | SO_TIMESTAMPING_OLD
                | SO_TIMESTAMP_NEW
                | SO_TIMESTAMPNS_NEW
                | SO_TIMESTAMPING_NEW
        ),
        SOL_TCP => name == TCP_INQ,
        _ => false,
    }
}

/// Sets an option.
pub(super) fn set(own: &HostSocket, level: u32, name: u32, bytes: &[u8]) -> Result<(), Errno> {
    let most = bytes.len().min(OPTION_MAX_BYTES as usize);
    if level == SOL_SOCKET && is_own(name) {
        return own.options.set(name, bytes);
    }
    if level == SOL_SOCKET && name == SO_RCVLOWAT && own.rings().is_some() {
        // The host's would keep the last bytes from the ring.
        return own.options.set(name, bytes);
    }
    if comes_beside(level, name) {
        own.without_rings.store(true, SeqCst);
    }
    own.settle();
    // A copy, because the monitor reads the libOS's heap alone.
    let mut value = Vec::with_capacity(most.max(1));
    value.extend_from_slice(bytes.get(..most).unwrap_or(bytes));
    host::set_option(own.handle, level, name, &value)?;
    if level == SOL_SOCKET && matches!(name, SO_RCVLOWAT | SO_LINGER) {
        own.options.set(name, bytes)?;
    }
    Ok(())
}

/// What an option shows, where there are `room` bytes for it.
pub(super) fn get(socket: &InetSocket, level: u32, name: u32, room: usize) -> Result<Value, Errno> {
    let own = &socket.0;
    if level == SOL_SOCKET {
        let is_never_set = name == SO_BINDTODEVICE || name == SO_MARK;
        if is_own(name) || is_never_set || name == SO_RCVLOWAT && own.rings().is_some() {
            return options::get(socket, name);
        }
        if name == SO_ERROR
            && let Some(errno) = own.told_error()
        {
            let number = u32::from(errno.number());
            return Ok(Value::Cut(number.to_ne_bytes().to_vec()));
        }
    }
    if own.domain == AF_INET && ![SOL_SOCKET, SOL_IP, own.protocol].contains(&level) {
        return Err(Errno::EOPNOTSUPP);
    }
    let mut value = vec![0; room.min(OPTION_MAX_BYTES as usize)];
    // Nothing to point at is no place for the monitor.
    value.reserve(1);
    let len = host::option(own.handle, level, name, &mut value)?;
    value.truncate(len);
    Ok(Value::Cut(value))
}

/// Has the connection end with a reset when it is closed: the host does not know
/// that bytes of it were not received.
pub(super) fn abort_on_close(own: &HostSocket) {
    let linger: Vec<u8> = [1, 0]
        .iter()
        .flat_map(|word: &u32| word.to_ne_bytes())
        .collect();
    // A connection that is gone is closed as it is.
    let _ = host::set_option(own.handle, SOL_SOCKET, SO_LINGER, &linger);
}

/// Takes the error that the host has for the socket.
pub(super) fn host_error(own: &HostSocket) -> Option<Errno> {
    let mut value = vec![0; size_of::<u32>()];
    host::option(own.handle, SOL_SOCKET, SO_ERROR, &mut value).ok()?;
    let number = u32::from_ne_bytes(*value.first_chunk()?);
    (number != 0).then(|| Errno::from_status(-i64::from(number)))
}
