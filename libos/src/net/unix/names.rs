//! Who is bound to which name.
//!
//! A path leads to an inode, and the inode to the socket, so that a name that was
//! moved or linked still leads there. Abstract names are told apart by the kind of
//! socket too.

use alloc::format;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use spin::Mutex;

use super::address::Address;
use super::endpoint::Endpoint;
use crate::errno::Errno;
use crate::fs::access::WRITE;
use crate::fs::attributes::FileType;
use crate::fs::node::Node;
use crate::fs::tree::{self, NewFile};
use crate::fs::{self, Caller};
use crate::net::Kind;
use crate::process;
use crate::sorted::SortedMap;

/// Names that are given to sockets that ask for any.
const AUTOMATIC_NAMES: u32 = 1 << 20;
static NEXT_AUTOMATIC: AtomicU32 = AtomicU32::new(0);

/// What a bound socket is found by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// Device and inode number of its name.
    Inode(u64, u64),
    /// Abstract name.
    Abstract(Kind, Vec<u8>),
}

static NAMES: Mutex<SortedMap<Key, Weak<Endpoint>>> = Mutex::new(SortedMap::new());

fn key_of(node: &Node) -> Key {
    let identity = node.identity();
    Key::Inode(identity.device, identity.ino)
}

/// Enters a socket that has no name yet under `key`: EADDRINUSE, EINVAL.
fn enter(endpoint: &Arc<Endpoint>, key: Key, address: Address) -> Result<(), Errno> {
    let mut names = NAMES.lock();
    let mut bound = endpoint.bound.lock();
    if bound.address.is_some() {
        return Err(Errno::EINVAL);
    }
    if names.contains_key(&key) {
        return Err(Errno::EADDRINUSE);
    }
    names.insert(key.clone(), Arc::downgrade(endpoint));
    bound.address = Some(Arc::new(address));
    bound.key = Some(key);
    Ok(())
}

/// Binds a socket to a name: EINVAL where it has one, EADDRINUSE where the name is taken.
pub fn bind(endpoint: &Arc<Endpoint>, address: Address) -> Result<(), Errno> {
    match &address {
        Address::Abstract(name) => {
            let key = Key::Abstract(endpoint.kind, name.clone());
            enter(endpoint, key, address)
        }
        Address::Path(path) => {
            let caller = Caller::current();
            let found = fs::resolve_name(&caller, None, path)?;
            let mode = 0o777 & !process::current().fs.lock().umask;
            let made = tree::create(&caller, &found, &NewFile::Socket, mode);
            let node = made.map_err(|errno| match errno {
                Errno::EEXIST => Errno::EADDRINUSE,
                errno => errno,
            })?;
            let entered = enter(endpoint, key_of(&node), address);
            if entered.is_err() {
                // Somebody may have removed it meanwhile: then there is nothing to undo.
                let _ = tree::unlink(&caller, found);
            }
            entered
        }
    }
}

/// Binds a socket to any abstract name, unless it has a name: ENOSPC.
pub fn bind_automatically(endpoint: &Arc<Endpoint>) -> Result<(), Errno> {
    for _ in 0..AUTOMATIC_NAMES {
        let number = NEXT_AUTOMATIC.fetch_add(1, Ordering::Relaxed) % AUTOMATIC_NAMES;
        let name = format!("{number:05x}").into_bytes();
        match bind(endpoint, Address::Abstract(name)) {
            Err(Errno::EADDRINUSE) => {}
            // It has a name already.
            Err(Errno::EINVAL) => return Ok(()),
            outcome => return outcome,
        }
    }
    Err(Errno::ENOSPC)
}

/// The socket bound to `address`: ECONNREFUSED where there is none, EPROTOTYPE
/// where it is of another kind, what walking the path says.
pub fn find(address: &Address, kind: Kind) -> Result<Arc<Endpoint>, Errno> {
    let key = match address {
        Address::Abstract(name) => Key::Abstract(kind, name.clone()),
        Address::Path(path) => {
            let caller = Caller::current();
            let node = fs::look_up(&caller, None, path, true)?.existing()?;
            let attributes = node.attributes()?;
            caller.check(&attributes, WRITE)?;
            if attributes.file_type() != FileType::Socket {
                return Err(Errno::ECONNREFUSED);
            }
            key_of(&node)
        }
    };
    let found = NAMES.lock().get(&key).and_then(Weak::upgrade);
    let endpoint = found.ok_or(Errno::ECONNREFUSED)?;
    if endpoint.kind == kind {
        Ok(endpoint)
    } else {
        Err(Errno::EPROTOTYPE)
    }
}

/// Nobody is found by `key` any more.
pub fn forget(key: &Key) {
    NAMES.lock().remove(key);
}
