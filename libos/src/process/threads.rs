//! All threads by id: making, finding, ending and stopping them.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::sync::atomic::{
    AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

use spin::{Mutex, MutexGuard};

use super::thread::first;
use super::usage::{Counted, Counts};
use super::{State, Thread, current, thread};
use crate::arch::{self, Registers};
use crate::errno::Errno;
use crate::mm;
use crate::sched::{self, WaitQueue};
use crate::signal::ThreadSignals;

/// Thread ids go up to here, then start again (Linux's pid_max).
const TID_MAX: u32 = 4 << 20;
/// Most threads of a guest (half of Linux's default for a small machine).
const THREADS_MAX: usize = 16_384;
/// RLIMIT_NPROC.
const LIMIT_NPROC: usize = 6;

static TABLE: Mutex<Table> = Mutex::new(Table {
    by_tid: BTreeMap::new(),
    unused: Vec::new(),
    last_tid: 1,
});
/// Told when a thread ends.
static ENDED: WaitQueue = WaitQueue::new();
/// TSC ticks of threads that ended.
static ENDED_TICKS: AtomicU64 = AtomicU64::new(0);
/// What they counted.
static ENDED_COUNTS: Counts = Counts::new();

struct Table {
    by_tid: BTreeMap<u32, &'static Thread>,
    /// Structures of threads that ended.
    unused: Vec<&'static Thread>,
    last_tid: u32,
}

impl Table {
    /// Shows the monitor how many there are.
    fn publish(&self) {
        if let Some(page) = crate::time::shared() {
            page.threads.store(self.by_tid.len() as u64, Relaxed);
        }
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
fn table() -> MutexGuard<'static, Table> {
    TABLE.lock()
}

/// Unit tests have the first thread without a boot.
#[cfg(not(target_os = "none"))]
fn table() -> MutexGuard<'static, Table> {
    let mut table = TABLE.lock();
    let first = first();
    table.by_tid.entry(first.tid()).or_insert(first);
    table
}

/// Makes the flow of control that booted the first thread.
pub(super) fn adopt_first() {
    sched::adopt_boot_cpu();
    let first = first();
    let mut all = table();
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
}

/// Makes a thread like the running one; `announce` gets its id before it runs,
/// and may still refuse.
///
/// # Errors
/// EAGAIN at a limit or without memory; what `announce` says.
pub fn spawn(start: &Start, announce: impl FnOnce(u32) -> Result<(), Errno>) -> Result<u32, Errno> {
    let parent = thread();
    let new = reserve()?;
    let tid = new.tid();
    let result = prepare(new, parent, start).and_then(|()| announce(tid));
    if let Err(errno) = result {
        let (_, top) = new.context.stack();
        forget(new);
        if top != 0 {
            mm::stack::release(top);
        }
        retire(new);
        return Err(errno);
    }
    sched::start(new);
    Ok(tid)
}

/// A structure with an id, in the table.
fn reserve() -> Result<&'static Thread, Errno> {
    let limit = current().limits.lock().0[LIMIT_NPROC].0;
    let limit = usize::try_from(limit)
        .unwrap_or(THREADS_MAX)
        .min(THREADS_MAX);
    let mut table = table();
    if table.by_tid.len() >= limit {
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
    let tid = table.next_tid();
    let new = match table.unused.pop() {
        Some(unused) => unused,
        None => make().ok_or(Errno::EAGAIN)?,
    };
    new.set_tid(tid);
    table.by_tid.insert(tid, new);
    table.publish();
    Ok(new)
}

/// A structure in memory of its own, for ever; nothing where memory ran out.
fn make() -> Option<&'static Thread> {
    let mut room: Vec<Thread> = Vec::new();
    room.try_reserve_exact(1).ok()?;
    room.push(Thread::new(0));
    let slice: &'static [Thread] = Box::leak(room.into_boxed_slice());
    slice.first()
}

fn prepare(new: &'static Thread, parent: &'static Thread, start: &Start) -> Result<(), Errno> {
    let mask = parent.signals.lock().mask;
    {
        let mut signals = new.signals.lock();
        *signals = ThreadSignals::new();
        signals.mask = mask;
    }
    new.attention.store(false, Relaxed);
    new.killed.store(false, Relaxed);
    new.recent.clear();
    new.clear_tid.store(start.clear_tid, Relaxed);
    new.robust_list.store(0, Relaxed);
    *new.comm.lock() = *parent.comm.lock();
    new.affinity.store(parent.affinity.load(Relaxed), Relaxed);
    new.nice.store(parent.nice.load(Relaxed), Relaxed);
    new.ran_ticks.store(0, Relaxed);
    new.counts.clear();
    new.turn_tsc.store(0, Relaxed);
    new.cpu.store(arch::vcpu_index(), Relaxed);
    // Nobody wakes it before it is started, whoever remembers its predecessor.
    new.set_state(State::Dead);
    let again = |_| Errno::EAGAIN;
    let stack = mm::stack::allocate().map_err(again)?;
    new.context.prepare(stack).map_err(again)?;
    // The extended state is the parent's, as after fork; FS base is set next.
    new.context.save_program();
    new.context.start_program(&start.regs, start.fs_base);
    Ok(())
}

/// Takes a thread out of the table.
fn forget(ended: &'static Thread) -> usize {
    let mut table = table();
    table.by_tid.remove(&ended.tid());
    table.publish();
    table.by_tid.len()
}

/// Gives the structure of a thread that will never run again back.
pub(crate) fn retire(ended: &'static Thread) {
    table().unused.push(ended);
}

/// Ends the running thread; with the last one, the process.
pub fn exit(status: i32) -> ! {
    let me = thread();
    crate::syscall::thread::release_at_exit(me);
    let left = forget(me);
    if left == 0 {
        super::exit_group(status);
    }
    crate::strace::exited(status);
    ENDED_TICKS.fetch_add(me.cpu_ticks(), Relaxed);
    ENDED_COUNTS.add(me.counts.get());
    ENDED.wake_all();
    sched::exit_current()
}

/// Ends all threads but the running one, which becomes the first.
pub(super) fn stop_others() {
    let me = thread();
    loop {
        if me.killed.load(SeqCst) {
            // Another one calls execve too, and was first.
            exit(0);
        }
        for other in list() {
            if !core::ptr::eq(other, me) {
                other.killed.store(true, SeqCst);
                other.attention.store(true, SeqCst);
                sched::interrupt(other);
            }
        }
        if count() == 1 {
            break;
        }
        // Only time is waited for otherwise, and nothing may interrupt this.
        let soon = crate::time::monotonic_ns() + 1_000_000;
        let _ = sched::wait(&ENDED, Some(soon), || (count() == 1).then_some(()));
    }
    let pid = current().pid;
    if me.tid() != pid {
        let mut table = table();
        table.by_tid.remove(&me.tid());
        me.set_tid(pid);
        table.by_tid.insert(pid, me);
    }
}

/// Runs `with` on a thread, which stays that thread meanwhile.
pub fn with<R>(tid: u32, with: impl FnOnce(&'static Thread) -> R) -> Option<R> {
    let table = table();
    table.by_tid.get(&tid).map(|thread| with(thread))
}

/// Whether there is a thread with this id.
pub fn exists(tid: u32) -> bool {
    table().by_tid.contains_key(&tid)
}

/// The first thread, in the order of their ids, that `wanted` takes.
pub fn find(wanted: impl Fn(&'static Thread) -> bool) -> Option<&'static Thread> {
    let table = table();
    table.by_tid.values().copied().find(|thread| wanted(thread))
}

/// All threads, in the order of their ids.
pub fn list() -> Vec<&'static Thread> {
    table().by_tid.values().copied().collect()
}

/// The same for a crash record; nothing while the table is locked.
pub fn try_list() -> Option<Vec<&'static Thread>> {
    let table = TABLE.try_lock()?;
    Some(table.by_tid.values().copied().collect())
}

/// How many there are.
pub fn count() -> usize {
    table().by_tid.len().max(1)
}

/// TSC ticks of all threads, ended ones included.
pub fn cpu_ticks() -> u64 {
    let table = table();
    let live: u64 = table.by_tid.values().map(|thread| thread.cpu_ticks()).sum();
    live + ENDED_TICKS.load(Relaxed)
}

/// Faults and switches of all threads, ended ones included.
pub fn counts() -> Counted {
    let sum = Counts::new();
    sum.add(ENDED_COUNTS.get());
    for thread in table().by_tid.values() {
        sum.add(thread.counts.get());
    }
    sum.get()
}
