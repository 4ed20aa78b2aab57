//! Large sends of a connection: the monitor takes the bytes where the program has them,
//! without a copy here.

use unikiln_abi::socket::{PIECES_MAX, TRANSFER_MAX_BYTES};

use super::HostSocket;
use crate::errno::SysResult;
use crate::hypercall::socket as host;
use crate::mm::user;
use crate::net::message::Outgoing;

/// Fewer bytes are copied for less than it takes to find them.
const DIRECT_MIN_BYTES: usize = 32 << 10;

/// Sends the next bytes of a message: how many went. None where they have to be copied.
pub(super) fn send(own: &HostSocket, out: &mut Outgoing<'_>) -> Option<SysResult> {
    let (address, len) = out.data.place()?;
    if len < DIRECT_MIN_BYTES {
        return None;
    }
    let len = len.min(TRANSFER_MAX_BYTES as usize);
    let pieces = user::pieces(address, len, PIECES_MAX);
    if pieces.is_empty() {
        return None;
    }
    let sent = host::send_pieces(own.handle, &pieces);
    if let Ok(count) = sent {
        out.data.skip(count);
    }
    Some(sent)
}
