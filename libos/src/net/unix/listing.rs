//! All AF_UNIX sockets of the guest, for `/proc/net/unix`. Source: proc(5).

use alloc::format;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use spin::Mutex;

use super::address::Address;
use super::endpoint::{Endpoint, Phase};
use crate::sorted::SortedMap;

/// A listening socket's flag.
const ACCEPTS: u32 = 0x1_0000;

static ENDS: Mutex<SortedMap<u64, Weak<Endpoint>>> = Mutex::new(SortedMap::new());

/// Lists a new end.
pub(super) fn add(end: &Arc<Endpoint>) {
    ENDS.lock().insert(end.ino, Arc::downgrade(end));
}

/// Lists an end no more.
pub(super) fn remove(end: &Endpoint) {
    ENDS.lock().remove(&end.ino);
}

/// How many there are.
pub fn count() -> usize {
    ENDS.lock().len()
}

/// The content of `/proc/net/unix`: one line for each socket, by inode number.
pub fn text() -> Vec<u8> {
    let ends: Vec<Arc<Endpoint>> = ENDS.lock().values().filter_map(Weak::upgrade).collect();
    let head = b"Num       RefCount Protocol Flags    Type St Inode Path\n";
    let lines = ends.iter().map(line);
    head.iter().copied().chain(lines.flatten()).collect()
}

fn line(end: &Arc<Endpoint>) -> Vec<u8> {
    let (phase, accepted) = {
        let state = end.state.lock();
        (state.phase, state.accepted)
    };
    // Without the one that this listing holds.
    let references = Arc::strong_count(end) - 1;
    let flags = if phase == Phase::Listening {
        ACCEPTS
    } else {
        0
    };
    let connection = match phase {
        Phase::Connected if accepted => 3,
        // It waits to be accepted.
        Phase::Connected => 2,
        Phase::Idle | Phase::Listening => 1,
    };
    let mut line = format!(
        "{:016X}: {references:08X} {:08X} {flags:08X} {:04X} {connection:02X} {:5}",
        0,
        0,
        end.kind.number(),
        end.ino
    )
    .into_bytes();
    if let Some(address) = &end.bound.lock().address {
        line.push(b' ');
        line.extend(shown(address));
    }
    line.push(b'\n');
    line
}

/// A name, with `@` for each NUL of an abstract one.
fn shown(address: &Address) -> Vec<u8> {
    match address {
        Address::Path(path) => path.clone(),
        Address::Abstract(name) => {
            let at = |byte: &u8| if *byte == 0 { b'@' } else { *byte };
            [0].iter().chain(name).map(at).collect()
        }
    }
}
