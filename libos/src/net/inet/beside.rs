//! What goes beside the bytes of a message: flags, addresses, control messages.

use linux_raw_sys::net::{
    MSG_CMSG_CLOEXEC, MSG_DONTWAIT, MSG_WAITALL, SOL_IP, SOL_IPV6, SOL_SOCKET, SOL_UDP,
};
use unikiln_abi::socket::{CONTROL_MAX_BYTES, Received, Sending, SocketAddress};

use super::address;
use crate::errno::Errno;
use crate::net::control::{self, SCM_CREDENTIALS, SCM_RIGHTS};
use crate::net::message::{Incoming, Outgoing};

pub(super) use linux_raw_sys::net::MSG_NOSIGNAL;

/// recvmmsg: wait for the first message alone.
const MSG_WAITFORONE: u32 = 0x1_0000;
/// Asks for sending without a copy; it is one, as without SO_ZEROCOPY.
const MSG_ZEROCOPY: u32 = 0x400_0000;
/// What the libOS itself does, or the monitor always.
const OWN_FLAGS: u32 =
    MSG_DONTWAIT | MSG_NOSIGNAL | MSG_WAITALL | MSG_WAITFORONE | MSG_ZEROCOPY | MSG_CMSG_CLOEXEC;

/// The flags of a call that the host looks at.
pub(super) fn host_flags(flags: u32) -> u32 {
    flags & !OWN_FLAGS
}

/// Puts address and control messages where the monitor finds them. Whether there are any; EINVAL.
pub(super) fn fill(sending: &mut Sending, out: &Outgoing<'_>) -> Result<bool, Errno> {
    if out.address.is_none() && out.control.is_empty() {
        return Ok(false);
    }
    sending.to = match &out.address {
        Some(raw) => address::to_host(raw),
        None => SocketAddress::default(),
    };
    sending.control_bytes = put_control(&mut sending.control, &out.control)? as u32;
    Ok(sending.to.len_bytes > 0 || sending.control_bytes > 0)
}

/// Copies the control messages that a network knows, each at eight bytes; ENOBUFS
/// where they are too many.
fn put_control(room: &mut [u8; CONTROL_MAX_BYTES], mut rest: &[u8]) -> Result<usize, Errno> {
    let mut used = 0;
    while let Some((entry, after)) = control::next(rest)? {
        let whole = rest.len() - after.len();
        match entry.level {
            // Files and credentials mean nothing here.
            SOL_SOCKET if matches!(entry.kind, SCM_RIGHTS | SCM_CREDENTIALS) => {}
            SOL_SOCKET => return Err(Errno::EINVAL),
            SOL_IP | SOL_IPV6 | SOL_UDP => {
                let from = rest.get(..whole).unwrap_or(rest);
                let to = room.get_mut(used..used + from.len());
                to.ok_or(Errno::ENOBUFS)?.copy_from_slice(from);
                used = (used + from.len()).next_multiple_of(8);
            }
            _ => {}
        }
        rest = after;
    }
    Ok(used.min(CONTROL_MAX_BYTES))
}

/// Hands on what came beside the bytes.
pub(super) fn deliver(received: &Received, incoming: &mut Incoming<'_>) {
    incoming.address = address::from_host(&received.from);
    incoming.reported |= host_flags(received.flags);
    let len = received.control_bytes as usize;
    let control = received.control.get(..len).unwrap_or(&received.control);
    incoming.control = control.to_vec();
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn message(level: u32, kind: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = (16 + data.len() as u64).to_le_bytes().to_vec();
        bytes.extend(level.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    fn put(buffer: &[u8]) -> Result<Vec<u8>, Errno> {
        let mut room = [0; CONTROL_MAX_BYTES];
        let used = put_control(&mut room, buffer)?;
        Ok(room[..used].to_vec())
    }

    #[test]
    fn only_what_a_network_knows_goes_out() {
        let info = message(SOL_IP, 8, &[1; 12]);
        let mut both = message(SOL_SOCKET, SCM_RIGHTS, &[9; 4]);
        both.extend(&info);
        assert_eq!(put(&both), Ok(info.clone()));
        assert_eq!(put(&message(SOL_SOCKET, 36, &[0; 4])), Err(Errno::EINVAL));
        assert_eq!(put(&message(99, 1, &[0; 4])), Ok(Vec::new()));
        assert_eq!(put(&[0; 16]), Err(Errno::EINVAL));
        let many: Vec<u8> = core::iter::repeat_n(info, 9).flatten().collect();
        assert_eq!(put(&many), Err(Errno::ENOBUFS));
    }

    #[test]
    fn waiting_is_not_the_hosts() {
        assert_eq!(
            host_flags(MSG_DONTWAIT | MSG_WAITALL | 0x2 | 0x8000),
            0x8002
        );
    }
}
