//! All threads by id: making and finding them; `ending.rs` ends and stops them.

mod ending;

use alloc::vec::Vec;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use spin::{Mutex, MutexGuard};

use super::end::UNDECIDED;
pub use ending::exit;
pub(super) use ending::{kill_all, kill_others, stop_others};

use super::thread::first;
use super::thread_limit::Limit;
use super::usage::{Counted, Counts};
use super::{Process, State, Thread, current, table, thread};
use crate::arch::{self, Registers};
use crate::errno::Errno;
use crate::mm;
use crate::sched::{self, WaitQueue};
use crate::signal::ThreadSignals;
use crate::sorted::SortedMap;

/// Thread ids go up to here, then start again (Linux's pid_max).
const TID_MAX: u32 = 4 << 20;

static TABLE: Mutex<Table> = Mutex::new(Table {
    by_tid: SortedMap::new(),
    unused: Vec::new(),
    last_tid: 1,
});
/// TSC ticks of all threads that ended.
static ENDED_TICKS: AtomicU64 = AtomicU64::new(0);
/// Told when a thread ends.
static ENDED: WaitQueue = WaitQueue::new();

struct Table {
    by_tid: SortedMap<u32, &'static Thread>,
    /// Structures of threads that ended.
    unused: Vec<&'static Thread>,
    last_tid: u32,
}

impl Table {
    /// Shows the monitor how many there are.
    fn publish(&self) {
        if let Some(page) = crate::time::shared() {
            page.threads.store(self.pids() as u64, Relaxed);
        }
    }

    /// What a limit of pids counts.
    fn pids(&self) -> usize {
        self.by_tid.len() + table::zombies()
    }

    fn next_tid(&mut self) -> u32 {
        loop {
            self.last_tid = if self.last_tid >= TID_MAX {
                2
            } else {
                self.last_tid + 1
            };
            if !self.by_tid.contains_key(&self.last_tid) {
                return self.last_tid;
            }
        }
    }
}

#[cfg(target_os = "none")]
fn all() -> MutexGuard<'static, Table> {
    TABLE.lock()
}

/// Unit tests have the first thread without a boot.
#[cfg(not(target_os = "none"))]
fn all() -> MutexGuard<'static, Table> {
    let mut table = TABLE.lock();
    let first = first();
    if !table.by_tid.contains_key(&first.tid()) {
        table.by_tid.insert(first.tid(), first);
    }
    table
}

/// Shows the monitor how many pids are taken.
pub(super) fn publish() {
    all().publish();
}

/// How many threads there are, and processes that were not waited for.
pub fn pids() -> usize {
    all().pids()
}

/// Makes the flow of control that booted the first thread.
pub(super) fn adopt_first() {
    sched::adopt_boot_cpu();
    let first = first();
    let mut all = all();
    all.by_tid.insert(first.tid(), first);
    all.publish();
    drop(all);
    #[cfg(target_os = "none")]
    // Its stack is the boot stack; without memory for it nothing would have started.
    let _ = first.context.prepare(arch::stack_bounds());
    first.on_cpu.store(true, SeqCst);
    first.turn_tsc.store(arch::rdtsc(), Relaxed);
    arch::set_current_thread(first.address());
}

/// What a new thread starts with.
pub struct Start {
    /// Registers of its first instruction.
    pub regs: Registers,
    /// FS base.
    pub fs_base: u64,
    /// Cleared and woken when it ends; 0 for none.
    pub clear_tid: u64,
    /// Gets its id, in its own memory, before its first instruction; 0 for none.
    pub set_tid: u64,
}

/// Makes a thread like the running one; `announce` gets its id before it runs.
///
/// # Errors
/// EAGAIN at a limit or without memory; EINTR where the running one has to end.
pub fn spawn(start: &Start, announce: impl FnOnce(u32)) -> Result<u32, Errno> {
    let process = current();
    // The running one is there all the time: it stays above zero.
    process.threads.fetch_add(1, SeqCst);
    let admit = |new: &'static Thread| {
        let table = all();
        // Whoever ends the process looks for its threads later, and finds the new one.
        let ends = process.status.load(SeqCst) != UNDECIDED || thread().killed.load(SeqCst);
        drop(table);
        if ends {
            return Err(Errno::EINTR);
        }
        announce(new.tid());
        Ok(())
    };
    let spawned = spawn_in(start, |_| Ok(process), admit);
    if spawned.is_err() {
        process.threads.fetch_sub(1, SeqCst);
    }
    spawned
}

/// The same for a thread of the process that `process_of` makes for its id; `admit` may
/// refuse it when all is ready.
///
/// # Errors
/// EAGAIN at a limit or without memory; what `process_of` and `admit` say.
pub(super) fn spawn_in(
    start: &Start,
    process_of: impl FnOnce(u32) -> Result<&'static Process, Errno>,
    admit: impl FnOnce(&'static Thread) -> Result<(), Errno>,
) -> Result<u32, Errno> {
    let parent = thread();
    let new = reserve()?;
    let tid = new.tid();
    let result = process_of(tid).and_then(|process| {
        new.set_process(process);
        prepare(new, parent, start)?;
        admit(new)
    });
    if let Err(errno) = result {
        let (_, top) = new.context.stack();
        drop_from_table(new);
        if top != 0 {
            mm::stack::release(top);
        }
        retire(new);
        return Err(errno);
    }
    sched::start(new);
    Ok(tid)
}

/// What a new thread does first, before it enters the program.
pub fn begin() {
    let me = thread();
    let address = me.set_tid.swap(0, Relaxed);
    if address != 0 {
        // Linux ignores a bad address here as well.
        let _ = mm::user::write(address, &me.tid());
    }
}

/// A structure with an id, in the table.
fn reserve() -> Result<&'static Thread, Errno> {
    let limit = Limit::of_current();
    let tid = loop {
        let tid = all().next_tid();
        // A process that has ended, and a group without its leader, keep their numbers.
        if !table::is_taken(tid) {
            break tid;
        }
    };
    let mut table = all();
    if limit.is_reached(table.pids(), table.by_tid.values().copied()) {
        return Err(Errno::EAGAIN);
    }
    // Room for all structures at once, so that giving one back needs no memory.
    let wanted = table.by_tid.len() + table.unused.len() + 1;
    let len = table.unused.len();
    let room = table.unused.try_reserve(wanted - len);
    room.map_err(|_| Errno::EAGAIN)?;
    if !sched::reserve(table.by_tid.len() + 1) {
        return Err(Errno::EAGAIN);
    }
    let new = match table.unused.pop() {
        Some(unused) => unused,
        None => make().ok_or(Errno::EAGAIN)?,
    };
    new.set_tid(tid);
    // Whoever finds it meanwhile takes it for one of the caller's that has ended.
    new.set_state(State::Dead);
    new.set_process(current());
    new.forget_stack();
    table.by_tid.insert(tid, new);
    table.publish();
    Ok(new)
}

/// A structure in memory of its own, for ever; nothing where memory ran out.
fn make() -> Option<&'static Thread> {
    super::leak(Thread::new(0))
}

fn prepare(new: &'static Thread, parent: &'static Thread, start: &Start) -> Result<(), Errno> {
    let mask = parent.signals.lock().mask;
    {
        let mut signals = new.signals.lock();
        *signals = ThreadSignals::new();
        signals.mask = mask;
    }
    // Its process may be about to stop.
    new.attention.store(true, Relaxed);
    new.killed.store(false, Relaxed);
    new.recent.clear();
    new.clear_tid.store(start.clear_tid, Relaxed);
    new.set_tid.store(start.set_tid, Relaxed);
    new.robust_list.store(0, Relaxed);
    *new.comm.lock() = *parent.comm.lock();
    new.affinity.store(parent.affinity.load(Relaxed), Relaxed);
    new.nice.store(parent.nice.load(Relaxed), Relaxed);
    new.ran_ticks.store(0, Relaxed);
    new.counts.clear();
    new.turn_tsc.store(0, Relaxed);
    new.cpu.store(arch::vcpu_index(), Relaxed);
    let again = |_| Errno::EAGAIN;
    let stack = mm::stack::allocate().map_err(again)?;
    new.context.prepare(stack).map_err(again)?;
    // The extended state is the parent's, as after fork; FS base is set next.
    new.context.save_program();
    new.context.start_program(&start.regs, start.fs_base);
    Ok(())
}

/// Takes a thread out of the table.
fn drop_from_table(ended: &'static Thread) {
    let mut table = all();
    table.by_tid.remove(&ended.tid());
    table.publish();
}

/// Gives the structure of a thread that will never run again back.
pub(crate) fn retire(ended: &'static Thread) {
    all().unused.push(ended);
}

/// Runs `with` on a thread, which stays that thread meanwhile.
pub fn with<R>(tid: u32, with: impl FnOnce(&'static Thread) -> R) -> Option<R> {
    let table = all();
    table.by_tid.get(&tid).map(|thread| with(thread))
}

/// Whether there is a thread with this id.
pub fn exists(tid: u32) -> bool {
    all().by_tid.contains_key(&tid)
}

/// The first thread, in the order of their ids, that `wanted` takes.
pub fn find(wanted: impl Fn(&'static Thread) -> bool) -> Option<&'static Thread> {
    let table = all();
    table.by_tid.values().copied().find(|thread| wanted(thread))
}

impl Table {
    /// Threads of a process.
    fn of(&self, process: &'static Process) -> impl Iterator<Item = &'static Thread> {
        let all = self.by_tid.values().copied();
        all.filter(move |thread| core::ptr::eq(thread.process(), process))
    }
}

/// Threads of a process, in the order of their ids.
pub fn list(process: &'static Process) -> Vec<&'static Thread> {
    all().of(process).collect()
}

/// Threads of all processes, in the order of their ids.
pub fn everybody() -> Vec<&'static Thread> {
    all().by_tid.values().copied().collect()
}

/// [`list`] for a crash record; nothing while the table is locked.
pub fn try_list(process: &'static Process) -> Option<Vec<&'static Thread>> {
    let table = TABLE.try_lock()?;
    Some(table.of(process).collect())
}

/// How many there are, in all processes.
pub fn count() -> usize {
    all().by_tid.len().max(1)
}

/// TSC ticks of a process's threads, ended ones included.
pub fn cpu_ticks(process: &'static Process) -> u64 {
    let live: u64 = all().of(process).map(Thread::cpu_ticks).sum();
    live + process.ended_ticks.load(Relaxed)
}

/// The same of all processes.
pub fn all_cpu_ticks() -> u64 {
    let live: u64 = all().by_tid.values().map(|thread| thread.cpu_ticks()).sum();
    live + ENDED_TICKS.load(Relaxed)
}

/// The id that was given last.
pub fn last_tid() -> u32 {
    all().last_tid
}

/// Faults and switches of a process's threads, ended ones included.
pub fn counts(process: &'static Process) -> Counted {
    let sum = Counts::new();
    sum.add(process.ended_counts.get());
    for thread in all().of(process) {
        sum.add(thread.counts.get());
    }
    sum.get()
}
