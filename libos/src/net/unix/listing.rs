//! All AF_UNIX sockets of the guest, for `/proc/net/unix`. Source: proc(5).

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use spin::Mutex;

use super::address::{Address, FAMILY_BYTES};
use super::endpoint::{Endpoint, Phase};

/// A listening socket's flag.
const ACCEPTS: u32 = 0x1_0000;

static ENDS: Mutex<BTreeMap<u64, Weak<Endpoint>>> = Mutex::new(BTreeMap::new());

/// Lists a new end.
pub(super) fn add(end: &Arc<Endpoint>) {
    ENDS.lock().insert(end.ino, Arc::downgrade(end));
}

/// Lists an end no more.
pub(super) fn remove(end: &Endpoint) {
    ENDS.lock().remove(&end.ino);
}

/// One socket as `/proc/net/unix` shows it.
pub struct Line {
    /// Inode number.
    pub ino: u64,
    /// Who holds it.
    pub references: usize,
    /// Flags.
    pub flags: u32,
    /// `SOCK_*`.
    pub kind: u32,
    /// Not connected (1), being connected (2), connected (3).
    pub state: u32,
    /// Its name, `@` for each NUL of an abstract one.
    pub name: Option<Vec<u8>>,
}

/// All sockets, by inode number.
pub fn lines() -> Vec<Line> {
    let ends: Vec<Arc<Endpoint>> = ENDS.lock().values().filter_map(Weak::upgrade).collect();
    ends.iter().map(line).collect()
}

fn line(end: &Arc<Endpoint>) -> Line {
    let (phase, accepted) = {
        let state = end.state.lock();
        (state.phase, state.accepted)
    };
    let name = end.bound.lock().address.as_ref().map(|address| {
        let mut raw = address.to_raw();
        raw.drain(..FAMILY_BYTES);
        match **address {
            Address::Path(_) => drop(raw.pop()),
            Address::Abstract(_) => {
                for byte in raw.iter_mut().filter(|byte| **byte == 0) {
                    *byte = b'@';
                }
            }
        }
        raw
    });
    Line {
        ino: end.ino,
        // Without the one that this listing holds.
        references: Arc::strong_count(end) - 1,
        flags: if phase == Phase::Listening {
            ACCEPTS
        } else {
            0
        },
        kind: end.kind.number(),
        state: match phase {
            Phase::Connected if accepted => 3,
            Phase::Connected => 2,
            _ => 1,
        },
        name,
    }
}
