//! Sockets that nobody can reach any more, because only queues hold them that
//! themselves belong to such sockets.
//!
//! A socket whose every reference is a message in flight has no descriptor. It
//! is reachable if one of those messages waits in the queue of a socket that is
//! reachable. All others are garbage: taking the files out of their queues drops
//! them.
//!
//! Looking costs as much as there are sockets in flight. So nobody looks before a
//! message with files went to a socket that is in flight itself, without which
//! there is no circle, and then only once for some closed sockets each.
//!
//! Locks: the list of sockets in flight, then the state of an end, then the files
//! of a message. With the list locked no file departs, arrives or is shared, so
//! that what was found unreachable stays so. Nothing is dropped meanwhile.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use spin::{Mutex, MutexGuard};

use super::in_flight::InFlight;
use crate::fs::OpenFile;
use crate::sorted::SortedMap;

/// Where a message keeps its files.
pub type Files = Mutex<Option<InFlight>>;

/// Open files are told apart by where they are.
type Key = usize;
type List = SortedMap<Key, Weak<OpenFile>>;

/// Sockets in flight looked at for each one that closes.
const LOOKS_PER_CLOSE: usize = 64;

/// The sockets in flight.
static SOCKETS: Mutex<List> = Mutex::new(SortedMap::new());
/// There may be circles.
static CIRCLES: AtomicBool = AtomicBool::new(false);
/// Sockets that closed since the last look.
static CLOSED: AtomicUsize = AtomicUsize::new(0);

fn key(file: &Arc<OpenFile>) -> Key {
    Arc::as_ptr(file).cast::<()>().addr()
}

/// The messages that hold a file, where it is a socket that holds messages with files.
fn messages(file: &OpenFile) -> Option<&AtomicUsize> {
    file.file().as_socket()?.family().messages()
}

fn sockets(files: &[Arc<OpenFile>]) -> impl Iterator<Item = (&Arc<OpenFile>, &AtomicUsize)> {
    files
        .iter()
        .filter_map(|file| Some((file, messages(file)?)))
}

/// Files are in flight from now on.
pub fn depart(files: &[Arc<OpenFile>]) {
    if sockets(files).next().is_none() {
        return;
    }
    let mut list = SOCKETS.lock();
    for (file, messages) in sockets(files) {
        if messages.fetch_add(1, Ordering::Relaxed) == 0 {
            list.insert(key(file), Arc::downgrade(file));
        }
    }
}

/// Files are no longer in flight, but still there.
pub fn arrive(files: &[Arc<OpenFile>]) {
    if sockets(files).next().is_none() {
        return;
    }
    let mut list = SOCKETS.lock();
    for (file, messages) in sockets(files) {
        if messages.fetch_sub(1, Ordering::Relaxed) == 1 {
            list.remove(&key(file));
        }
    }
    if list.is_empty() {
        CIRCLES.store(false, Ordering::Relaxed);
    }
}

/// A message with files went to a socket that is in flight.
pub fn circle_possible() {
    CIRCLES.store(true, Ordering::Relaxed);
}

/// Whether it is time for a look, now that a socket closed.
pub fn is_due() -> bool {
    if !CIRCLES.load(Ordering::Relaxed) {
        return false;
    }
    let closed = CLOSED.fetch_add(1, Ordering::Relaxed) + 1;
    closed.saturating_mul(LOOKS_PER_CLOSE) >= SOCKETS.lock().len()
}

/// Keeps files from being collected while they are shared.
pub struct Sharing {
    _list: MutexGuard<'static, List>,
}

/// To be held while files that stay in flight are shared.
pub fn share() -> Sharing {
    Sharing {
        _list: SOCKETS.lock(),
    }
}

/// Sockets in the queues of a socket, once for each message.
fn queued(file: &OpenFile) -> Vec<Key> {
    let mut keys = Vec::new();
    if let Some(socket) = file.file().as_socket() {
        socket.family().visit_in_flight(&mut |files| {
            if let Some(in_flight) = &*files.lock() {
                keys.extend(sockets(in_flight.files()).map(|(file, _)| key(file)));
            }
        });
    }
    keys
}

/// Takes the files out of the queues of sockets that nobody can reach. Dropping
/// them, with nothing locked, closes those sockets.
pub fn collect() -> Vec<InFlight> {
    let mut garbage = Vec::new();
    if !CIRCLES.load(Ordering::Relaxed) {
        return garbage;
    }
    CLOSED.store(0, Ordering::Relaxed);
    let list = SOCKETS.lock();
    // Held until the list is unlocked: dropping one may be the last drop.
    let held: Vec<Arc<OpenFile>> = list.values().filter_map(Weak::upgrade).collect();
    // Sockets without a descriptor, and how many of their messages wait elsewhere.
    let mut suspects: SortedMap<Key, (&OpenFile, usize)> = SortedMap::new();
    for (file, messages) in sockets(&held) {
        let messages = messages.load(Ordering::Relaxed);
        if Arc::strong_count(file) == messages + 1 {
            suspects.insert(key(file), (file, messages));
        }
    }
    let edges: Vec<Vec<Key>> = suspects.values().map(|(file, _)| queued(file)).collect();
    for key in edges.into_iter().flatten() {
        if let Some((_, elsewhere)) = suspects.get_mut(&key) {
            *elsewhere = elsewhere.saturating_sub(1);
        }
    }
    let mut reachable: Vec<Key> = suspects
        .iter()
        .filter(|(_, (_, elsewhere))| *elsewhere > 0)
        .map(|(key, _)| *key)
        .collect();
    while let Some(key) = reachable.pop() {
        if let Some((file, _)) = suspects.remove(&key) {
            reachable.extend(queued(file));
        }
    }
    for (file, _) in suspects.values() {
        if let Some(socket) = file.file().as_socket() {
            let family = socket.family();
            family.visit_in_flight(&mut |files| garbage.extend(files.lock().take()));
        }
    }
    drop(list);
    garbage
}

#[cfg(test)]
mod tests {
    use std::boxed::Box;

    use super::*;
    use crate::fs::transfer::BufferSource;
    use crate::net::control::{self, SCM_RIGHTS};
    use crate::net::family::Patience;
    use crate::net::message::Outgoing;
    use crate::net::{self, Kind, unix::UnixSocket};
    use crate::process;

    /// Tests look at all sockets in flight: one after the other.
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

    fn alone() -> std::sync::MutexGuard<'static, ()> {
        ALONE
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn pair() -> [Arc<OpenFile>; 2] {
        UnixSocket::pair(Kind::Stream).map(|end| net::Socket::open(Box::new(end), 0))
    }

    /// Sends files into the queue of the other end of `by`.
    fn send(by: &Arc<OpenFile>, files: &[&Arc<OpenFile>]) {
        let table = &process::current().files;
        let insert = |file: &&Arc<OpenFile>| table.lock().insert(Arc::clone(file), false, 0, 100);
        let fds: Vec<u32> = files.iter().map(|file| insert(file).unwrap()).collect();
        let numbers: Vec<u8> = fds.iter().flat_map(|fd| fd.to_le_bytes()).collect();
        let mut source = BufferSource(b"x");
        let mut message = Outgoing::new(&mut source, 0, Patience::None);
        message.control = control::put(SCM_RIGHTS, &numbers, usize::MAX).0;
        let socket = by.file().as_socket().unwrap();
        socket.family().send(&mut message).unwrap();
        for fd in fds {
            let removed = table.lock().remove(fd as i32);
            drop(removed);
        }
    }

    /// Whoever closes a socket elsewhere may hold or drop ours for a moment.
    fn is_gone(end: &Weak<OpenFile>) -> bool {
        (0..100_000).any(|_| {
            drop(collect());
            std::thread::yield_now();
            end.strong_count() == 0
        })
    }

    #[test]
    fn a_circle_goes_and_what_hangs_on_it() {
        let _alone = alone();
        let [one, to_one] = pair();
        let [other, to_other] = pair();
        let [hanging, to_hanging] = pair();
        send(&to_one, &[&other, &one]);
        send(&to_other, &[&one, &hanging]);
        send(&to_hanging, &[&to_hanging]);
        let ends: Vec<Weak<OpenFile>> = [&one, &other, &hanging].map(Arc::downgrade).into();
        drop((one, other, hanging, to_one, to_other, to_hanging));
        assert!(ends.iter().all(is_gone));
    }

    #[test]
    fn what_can_be_received_stays() {
        let _alone = alone();
        let [one, to_one] = pair();
        let [carrier, to_carrier] = pair();
        send(&to_one, &[&one]);
        send(&to_carrier, &[&one]);
        let end = Arc::downgrade(&one);
        drop(one);
        drop(collect());
        // In its own queue, and in one that somebody reads.
        assert!(end.strong_count() >= 2);
        drop((carrier, to_carrier));
        assert!(is_gone(&end));
    }

    #[test]
    fn a_long_chain_closes_without_recursion() {
        let _alone = alone();
        let [first, to_first] = pair();
        let end = Arc::downgrade(&first);
        drop(to_first);
        let mut last = first;
        for _ in 0..20_000 {
            let [next, to_next] = pair();
            send(&to_next, &[&last]);
            last = next;
        }
        assert!(end.strong_count() >= 1);
        drop(last);
        assert!(is_gone(&end));
    }
}
