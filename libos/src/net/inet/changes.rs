//! What the monitor tells of host sockets: taking it, and being called for it.
//!
//! The monitor writes a socket's readiness into the [`SocketTable`], marks the
//! handle there, and calls a vCPU where `wanted` names one. [`take_changes`] takes
//! the marks and tells the sockets' waiters and watchers; a [`Sleeper`] keeps
//! `wanted` set for as long as a thread may sleep until a socket changes.
//!
//! No change is slept through:
//!
//! 1. A thread that is about to sleep registers with its queue (or its files'
//!    watchers), makes a [`Sleeper`], takes changes, and then looks. The monitor
//!    writes the readiness, marks, and then reads `wanted`. All of that is
//!    sequentially consistent, so either the thread finds the change, or the
//!    monitor finds `wanted` set and calls.
//! 2. `wanted` stays set while any thread is a sleeper: it is only changed with the
//!    count of them locked, and cleared where that is 0. Which vCPU it names does
//!    not matter for that; one that falls asleep in the monitor puts itself there,
//!    because being called costs it nothing.
//! 3. A vCPU that is called takes changes, whatever it does: in the monitor's WAIT it
//!    comes back, and its idle loop takes them; it looks at the marks after it said
//!    that it is asleep, so a call that came earlier is not needed. With the
//!    program, it gets an upcall, and the way back to the program looks
//!    ([`waits_for_look`]). In the libOS, that way back or the idle loop is still
//!    to come. A call is a mere push: what it is about is in the table.
//! 4. A mark is taken by one vCPU alone, which tells everybody registered. Who
//!    registers later looks at the readiness itself, which is written before the mark.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{
    AtomicU64, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};

use spin::{Mutex, Once};
use unikiln_abi::socket::{SERVICE_ASLEEP, SERVICE_AWAKE, SOCKETS_MAX, SocketTable};

use super::HostSocket;
use crate::arch;
use crate::errno::Errno;
use crate::{hypercall, time};

/// Marked sockets are served by a call once the first of them waited for this long: about
/// what four calls cost. A busy program then has more of them served by each.
const FLUSH_AFTER_NS: u64 = 100_000;
/// Bits of a word of the table.
const WORD_BITS: usize = 64;

/// Given to the monitor with the first socket.
static TABLE: Once<&'static SocketTable> = Once::new();
/// Held while the table is made.
static MAKING: Mutex<()> = Mutex::new(());
/// Since when a socket is marked for the monitor (CLOCK_MONOTONIC).
static PENDING_SINCE_NS: AtomicU64 = AtomicU64::new(0);
/// The sockets by their handles.
static SOCKETS: Mutex<Vec<Weak<HostSocket>>> = Mutex::new(Vec::new());
/// Threads that may sleep until a socket changes; guards `wanted`.
static SLEEPERS: Mutex<usize> = Mutex::new(0);
/// The same number, to look at without the lock.
static SLEEPER_COUNT: AtomicUsize = AtomicUsize::new(0);

/// Makes sockets possible.
///
/// # Errors
/// EACCES where the guest has no network; ENOMEM.
pub(super) fn prepare() -> Result<(), Errno> {
    if TABLE.get().is_some() {
        return Ok(());
    }
    let _one = MAKING.lock();
    if TABLE.get().is_none() {
        let table = hypercall::socket::give_table()?;
        TABLE.call_once(|| table);
    }
    Ok(())
}

/// Whether there have been host sockets: the monitor may be asked to call for them.
pub fn are_used() -> bool {
    TABLE.get().is_some()
}

/// What poll(2) says of a socket on the host: `POLL*` bits.
pub(super) fn ready(handle: u32) -> u32 {
    let word = TABLE
        .get()
        .and_then(|table| table.ready.get(handle as usize));
    word.map_or(0, |word| word.load(SeqCst))
}

/// Makes a socket known under its handle.
///
/// # Errors
/// ENOMEM, and for a handle that is none.
pub(super) fn register(handle: u32, socket: &Arc<HostSocket>) -> Result<(), Errno> {
    let index = handle as usize;
    if index >= SOCKETS_MAX {
        return Err(Errno::ENOMEM);
    }
    let mut sockets = SOCKETS.lock();
    if index >= sockets.len() {
        let more = index + 1 - sockets.len();
        sockets.try_reserve(more).map_err(|_| Errno::ENOMEM)?;
        sockets.resize_with(index + 1, Weak::new);
    }
    if let Some(place) = sockets.get_mut(index) {
        *place = Arc::downgrade(socket);
    }
    Ok(())
}

/// Forgets a socket, before its handle can be another's.
pub(super) fn forget(handle: u32) {
    if let Some(place) = SOCKETS.lock().get_mut(handle as usize) {
        *place = Weak::new();
    }
}

/// The sockets that there are, by handle.
pub(super) fn all() -> Vec<Arc<HostSocket>> {
    let sockets = SOCKETS.lock();
    sockets.iter().filter_map(Weak::upgrade).collect()
}

/// Whether a bit of the table is set.
fn is_marked(table: &SocketTable) -> bool {
    table.summary.iter().any(|word| word.load(SeqCst) != 0)
}

/// Whether somebody sleeps and a socket changed, before a return to the program.
#[inline]
pub fn waits_for_look() -> bool {
    match TABLE.get() {
        Some(table) => SLEEPER_COUNT.load(Relaxed) > 0 && is_marked(table),
        None => false,
    }
}

/// Asks the monitor to call this vCPU, which is about to wait there, where somebody
/// sleeps. True where something has changed already: there is no need to wait.
pub fn prepare_wait() -> bool {
    let Some(table) = TABLE.get() else {
        return false;
    };
    let sleepers = SLEEPERS.lock();
    if *sleepers > 0 {
        table.wanted.store(this_vcpu(), SeqCst);
    }
    *sleepers > 0 && is_marked(table)
}

/// How `wanted` names this vCPU.
fn this_vcpu() -> u32 {
    arch::vcpu_index() as u32 + 1
}

/// Tells those who wait for sockets what changed. Called with nothing locked.
pub fn take_changes() {
    let Some(table) = TABLE.get() else { return };
    for (group, summary) in table.summary.iter().enumerate() {
        if summary.load(SeqCst) == 0 {
            continue;
        }
        for word in bits(summary.swap(0, SeqCst)).map(|bit| group * WORD_BITS + bit) {
            let Some(changed) = table.changed.get(word) else {
                continue;
            };
            bits(changed.swap(0, SeqCst)).for_each(|bit| tell(word * WORD_BITS + bit));
        }
    }
}

/// Marks a socket for the monitor: its send ring has bytes, or its receive ring room.
pub(super) fn mark_pending(handle: u32) {
    let Some(table) = TABLE.get() else { return };
    let word = handle as usize / WORD_BITS;
    let (Some(pending), Some(summary)) = (
        table.pending.get(word),
        table.pending_summary.get(word / WORD_BITS),
    ) else {
        return;
    };
    if !is_pending(table) {
        PENDING_SINCE_NS.store(time::monotonic_ns(), Relaxed);
    }
    pending.fetch_or(1 << (handle as usize % WORD_BITS), SeqCst);
    summary.fetch_or(1 << (word % WORD_BITS), SeqCst);
}

/// Whether the monitor's I/O thread looks at the marked sockets soon.
pub(super) fn is_served_soon() -> bool {
    TABLE
        .get()
        .is_some_and(|table| table.service.load(SeqCst) != SERVICE_ASLEEP)
}

/// Has the monitor serve the marked sockets now.
pub(super) fn serve() {
    hypercall::socket::serve();
}

/// The same, where its I/O thread would not look soon.
pub(super) fn serve_if_asleep() {
    if !is_served_soon() {
        serve();
    }
}

/// Has the monitor serve what was marked some time ago, unless its I/O thread is at it:
/// where the vCPU goes on with something else than waiting for sockets.
#[inline]
pub fn flush() {
    let Some(table) = TABLE.get() else { return };
    if is_pending(table) {
        let since_ns = PENDING_SINCE_NS.load(Relaxed);
        if time::monotonic_ns().saturating_sub(since_ns) >= FLUSH_AFTER_NS {
            flush_now();
        }
    }
}

/// Has the monitor serve all that is marked, unless its I/O thread is at it: where the
/// vCPU has nothing else to do.
pub fn flush_now() {
    let Some(table) = TABLE.get() else { return };
    if is_pending(table) && table.service.load(SeqCst) != SERVICE_AWAKE {
        serve();
    }
}

/// Whether a socket is marked for the monitor.
fn is_pending(table: &SocketTable) -> bool {
    let mut words = table.pending_summary.iter();
    words.any(|word| word.load(SeqCst) != 0)
}

/// The bits that are set in a word, lowest first.
fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros() as usize)?;
        word &= word - 1;
        Some(bit)
    })
}

fn tell(handle: usize) {
    let socket = SOCKETS.lock().get(handle).and_then(Weak::upgrade);
    if let Some(socket) = socket {
        socket.changed();
    }
}

/// Somebody who may sleep until a socket changes.
pub struct Sleeper(());

impl Sleeper {
    /// Has the monitor call for changes. Whoever makes it takes changes afterwards,
    /// and looks then.
    pub fn begin() -> Sleeper {
        let mut sleepers = SLEEPERS.lock();
        *sleepers += 1;
        SLEEPER_COUNT.store(*sleepers, SeqCst);
        if let Some(table) = TABLE.get() {
            table.wanted.store(this_vcpu(), SeqCst);
        }
        Sleeper(())
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let mut sleepers = SLEEPERS.lock();
        *sleepers -= 1;
        SLEEPER_COUNT.store(*sleepers, SeqCst);
        if let Some(table) = TABLE.get().filter(|_| *sleepers == 0) {
            table.wanted.store(0, SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicU32;
    use std::boxed::Box;
    use std::time::{Duration, Instant};

    use linux_raw_sys::net::AF_INET;

    use super::*;
    use crate::net::Kind;
    use crate::net::options::Options;

    #[test]
    fn the_bits_of_a_word_come_lowest_first() {
        assert_eq!(bits(0).next(), None);
        assert_eq!(bits(1 << 63 | 1 << 5 | 1).collect::<Vec<_>>(), [0, 5, 63]);
    }

    fn table() -> &'static SocketTable {
        TABLE.call_once(|| {
            Box::leak(Box::new(SocketTable {
                wanted: AtomicU32::new(0),
                service: AtomicU32::new(0),
                reserved: [0; 14],
                summary: [const { AtomicU64::new(0) }; SOCKETS_MAX / 64 / 64],
                changed: [const { AtomicU64::new(0) }; SOCKETS_MAX / 64],
                pending_summary: [const { AtomicU64::new(0) }; SOCKETS_MAX / 64 / 64],
                pending: [const { AtomicU64::new(0) }; SOCKETS_MAX / 64],
                ready: [const { AtomicU32::new(0) }; SOCKETS_MAX],
            }))
        })
    }

    #[test]
    fn a_mark_is_a_bit_of_the_handle() {
        let table = table();
        mark_pending(SOCKETS_MAX as u32 - 1);
        mark_pending(SOCKETS_MAX as u32);
        assert_eq!(table.pending[SOCKETS_MAX / 64 - 1].load(SeqCst), 1 << 63);
        let summary = table
            .pending_summary
            .each_ref()
            .map(|word| word.load(SeqCst));
        assert_eq!(summary, [0, 0, 0, 1 << 63]);
    }

    /// What the monitor does when a socket becomes ready. The vCPU that it calls
    /// takes changes.
    fn becomes_ready(table: &SocketTable, handle: usize) {
        table.ready[handle].store(1, SeqCst);
        table.changed[handle / 64].fetch_or(1 << (handle % 64), SeqCst);
        table.summary[handle / 4096].fetch_or(1 << (handle / 64 % 64), SeqCst);
        if table.wanted.load(SeqCst) != 0 {
            take_changes();
        }
    }

    /// A thread sleeps again and again until the monitor makes its socket ready, while
    /// waits of others begin and end. If it is not told, it sleeps for ever.
    #[test]
    fn no_change_is_slept_through() {
        const ROUNDS: u32 = 5_000;
        const HANDLE: u32 = 9000;
        let table = table();
        let end = Instant::now() + Duration::from_secs(60);
        let what = (AF_INET, Kind::Stream, 6);
        let socket = HostSocket::new(HANDLE, what, Options::default(), Vec::new()).unwrap();
        // Odd while somebody sleeps for it.
        let turn = AtomicU32::new(0);
        let is_over = || turn.load(SeqCst) >= 2 * ROUNDS || Instant::now() > end;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over() {
                    drop(Sleeper::begin());
                }
            });
            scope.spawn(|| {
                let mut told = 0;
                while !is_over() {
                    let now = turn.load(SeqCst);
                    if now % 2 == 1 && now != told {
                        becomes_ready(table, HANDLE as usize);
                        told = now;
                    }
                }
            });
            for _ in 0..ROUNDS {
                turn.fetch_add(1, SeqCst);
                let _sleeper = Sleeper::begin();
                loop {
                    let seen = socket.change_count();
                    take_changes();
                    if socket.host_ready() != 0 {
                        break;
                    }
                    while socket.change_count() == seen {
                        assert!(Instant::now() < end, "asleep at {turn:?}");
                        std::thread::yield_now();
                    }
                }
                table.ready[HANDLE as usize].store(0, SeqCst);
                turn.fetch_add(1, SeqCst);
            }
        });
        assert_eq!(table.wanted.load(SeqCst), 0);
    }
}
