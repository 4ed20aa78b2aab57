//! The guest's own internet sockets, as `/proc/net/tcp` and its relatives show
//! them. Source: proc(5), and what Linux prints.

use alloc::format;
use alloc::string::String;
use alloc::vec;

use linux_raw_sys::net::{AF_INET, SOL_TCP};
use unikiln_abi::socket::{NAME_LOCAL, NAME_PEER};

use super::kind::TCP;
use super::{HostSocket, changes};
use crate::hypercall::socket as host;
use crate::net::Kind;

/// State, the first byte of what it shows.
const TCP_INFO: u32 = 11;
/// A socket that is connected; that is not; that listens.
const ESTABLISHED: u8 = 1;
const CLOSED: u8 = 7;
const LISTENING: u8 = 10;
/// Bytes of the lines of AF_INET.
const TCP_LINE_BYTES: usize = 149;
const UDP_LINE_BYTES: usize = 127;

/// Lines for the sockets of one family and kind, by handle.
pub fn text(domain: u32, kind: Kind) -> String {
    let sockets = changes::all();
    let own = sockets
        .iter()
        .filter(|socket| socket.domain == domain && socket.kind == kind);
    let lines = own.filter_map(|socket| line(socket));
    lines
        .enumerate()
        .map(|(number, line)| match (domain, kind) {
            (AF_INET, Kind::Stream) => {
                format!("{:<TCP_LINE_BYTES$}\n", format!("{number:4}: {line}"))
            }
            (AF_INET, _) => format!("{:<UDP_LINE_BYTES$}\n", format!("{number:5}: {line}")),
            (_, Kind::Stream) => format!("{number:4}: {line}\n"),
            _ => format!("{number:5}: {line}\n"),
        })
        .collect()
}

/// How many of one family and kind there are.
pub fn count(domain: u32, kind: Kind) -> usize {
    let sockets = changes::all();
    let own = sockets
        .iter()
        .filter(|socket| socket.domain == domain && socket.kind == kind);
    own.count()
}

/// Address and port, in digits: the address by words in the host's byte order.
fn digits(raw: &[u8], domain: u32) -> String {
    let port = raw
        .get(2..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |port| u16::from_be_bytes(*port));
    let address = match domain {
        AF_INET => raw.get(4..8),
        _ => raw.get(8..24),
    };
    let (words, _) = address.unwrap_or_default().as_chunks();
    let words = words.iter().map(|word| u32::from_ne_bytes(*word));
    let address: String = words.map(|word| format!("{word:08X}")).collect();
    format!("{address}:{port:04X}")
}

/// The state of a socket, in Linux's numbers.
fn state(socket: &HostSocket, is_connected: bool) -> u8 {
    let mut info = vec![0; 1];
    match host::option(socket.handle, SOL_TCP, TCP_INFO, &mut info) {
        Ok(1..) if socket.kind == Kind::Stream => info.first().copied().unwrap_or(CLOSED),
        _ if is_connected => ESTABLISHED,
        _ => CLOSED,
    }
}

/// All after the number of the line; none for a socket without a port.
fn line(socket: &HostSocket) -> Option<String> {
    let own = socket.address(NAME_LOCAL).ok()?;
    let local = digits(&own, socket.domain);
    if local.ends_with(":0000") {
        return None;
    }
    let peer = socket.address(NAME_PEER).ok();
    let remote = match &peer {
        Some(peer) => digits(peer, socket.domain),
        None => digits(&super::address::unspecified(socket.domain), socket.domain),
    };
    let state = state(socket, peer.is_some());
    let (to_send, received) = match state {
        LISTENING => (0, 0),
        _ => (
            socket.unsent_bytes().unwrap_or(0),
            socket.receivable_bytes().unwrap_or(0),
        ),
    };
    // Timers and addresses in the kernel are not told; the owner is user 0.
    let rest = if socket.protocol == TCP {
        "1 0000000000000000 20 4 0 10 -1"
    } else {
        "2 0000000000000000 0"
    };
    Some(format!(
        "{local} {remote} {state:02X} {to_send:08X}:{received:08X} 00:00000000 00000000 {:5} {:8} {} {rest}",
        0, 0, socket.ino
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_in_digits() {
        let four = [2, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(digits(&four, AF_INET), "0100007F:1F90");
        let mut six = [0; 28];
        (six[3], six[23]) = (80, 1);
        assert_eq!(digits(&six, 10), "00000000000000000000000001000000:0050");
    }
}
