//! When memory runs out: who is ended for it, as Linux chooses within a container.
//!
//! ```text
//! no page for a fault ─→ one dies of it already: wait for its memory, or use the reserve
//!                    └→ the largest process ─→ the first: the guest ends (OOMKilled)
//!                                          └→ another: killed, its private memory freed at once
//! ```
//!
//! A fault in the libOS may come with locks held, so nobody sleeps there: it gets what is set
//! aside for that, or ends its process.

use core::fmt::Write;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};

use spin::Mutex;

use super::end::{self, Status, UNDECIDED};
use super::table::{self, Seen};
use super::{Process, current, threads};
use crate::arch::{self, Registers};
use crate::mm::{self, PAGE, arena, spaces};
use crate::sched::{self, WaitQueue};
use crate::{crash, hypercall, time};

/// A process with this adjustment is never chosen.
const NEVER: i64 = -1000;
const SIGKILL: u32 = 9;
/// After this time another is ended, too.
const PATIENCE_NS: u64 = 1_000_000_000;
/// How often those who wait look again by themselves.
const LOOK_NS: u64 = 10_000_000;
/// Bytes of a line of the log.
const LINE_BYTES: usize = 160;

/// One vCPU chooses at a time.
static CHOOSING: Mutex<()> = Mutex::new(());
/// When the last one was killed.
static LAST_NS: AtomicU64 = AtomicU64::new(0);
/// How many were killed.
static KILLS: AtomicU64 = AtomicU64::new(0);
/// How many of them have ended.
static ENDS: AtomicU64 = AtomicU64::new(0);
/// Told when one of them has ended.
static ENDED: WaitQueue = WaitQueue::new();

/// What becomes of the access that found no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is tried again.
    Again,
    /// Its process ends.
    Ends,
}

/// Processes that were killed for want of memory.
pub fn kills() -> u64 {
    KILLS.load(SeqCst)
}

/// How many of them have given their memory back: for [`make_room`].
pub fn ends() -> u64 {
    ENDS.load(SeqCst)
}

/// Linux's measure: pages in memory and page tables, moved by the adjustment in thousandths of
/// all memory. None where it is never chosen.
fn badness(seen: &Seen) -> Option<(i64, u64)> {
    let process = seen.process;
    let adjustment = i64::from(process.settings.oom_score_adj.get() as i32);
    // Memory that is borrowed is counted where it belongs.
    let is_exempt = seen.ended.is_some()
        || adjustment == NEVER
        || process.is_borrowing.load(SeqCst)
        || process.is_dying_for_memory.load(SeqCst);
    if is_exempt {
        return None;
    }
    let pages = seen.space()?.resident_pages();
    Some((weigh(pages, adjustment, all_pages()), pages))
}

fn weigh(pages: u64, adjustment: i64, all_pages: u64) -> i64 {
    pages as i64 + adjustment * (all_pages as i64 / 1000)
}

fn all_pages() -> u64 {
    mm::limit_bytes() / PAGE
}

/// What `/proc/PID/oom_score` shows.
pub fn score(seen: &Seen) -> i64 {
    badness(seen).map_or(0, |(points, _)| shown(points, all_pages()))
}

fn shown(points: i64, all_pages: u64) -> i64 {
    ((1000 + points * 1000 / (all_pages as i64).max(1)) * 2 / 3).max(0)
}

/// All that have not been waited for, one after the other, without memory for a list.
fn each(mut with: impl FnMut(&Seen)) {
    let mut pid = 0;
    while let Some(seen) = table::next(pid) {
        pid = seen.pid;
        with(&seen);
    }
}

fn is_somebody_dying() -> bool {
    let mut is_dying = false;
    each(|seen| {
        is_dying |= seen.ended.is_none() && seen.process.is_dying_for_memory.load(SeqCst);
    });
    is_dying
}

/// The largest and its pages.
fn choose() -> Option<(Seen, u64)> {
    let mut chosen = None;
    let mut most = i64::MIN;
    each(|seen| {
        if let Some((points, pages)) = badness(seen)
            && points >= most
        {
            most = points;
            chosen = Some((*seen, pages));
        }
    });
    chosen
}

/// There is no page for `address`, which the program touched, or the libOS for it.
pub fn ask(regs: &Registers, address: u64, in_libos: bool) -> Outcome {
    let me = current();
    if me.status.load(SeqCst) != UNDECIDED || super::thread().killed.load(SeqCst) {
        return Outcome::Ends;
    }
    let Some(choosing) = CHOOSING.try_lock() else {
        arch::idle_hint();
        return Outcome::Again;
    };
    if spaces::free_kept_tables() {
        return Outcome::Again;
    }
    let now_ns = time::monotonic_ns();
    if now_ns < LAST_NS.load(SeqCst) + PATIENCE_NS && is_somebody_dying() {
        if arena::use_reserve() {
            return Outcome::Again;
        }
        if !in_libos {
            drop(choosing);
            let ended = || (!is_somebody_dying()).then_some(());
            // A signal is taken before the access is tried again.
            let _ = sched::wait(&ENDED, Some(now_ns + LOOK_NS), ended);
            return Outcome::Again;
        }
        if !me.is_init() {
            kill(me);
            return Outcome::Ends;
        }
    }
    match choose() {
        Some((seen, pages)) if !seen.process.is_init() => {
            say(&seen, pages);
            end_for_memory(&seen);
            LAST_NS.store(now_ns, SeqCst);
            if core::ptr::eq(seen.process, me) {
                return Outcome::Ends;
            }
            Outcome::Again
        }
        Some((seen, pages)) => {
            if !me.is_init() {
                say(&seen, pages);
            }
            crash::out_of_memory(regs, address)
        }
        None => crash::out_of_memory(regs, address),
    }
}

/// Makes room for a call, which holds no lock, and which began when [`ends`] was `ends_before`:
/// whether to try it again. Where nobody is about to give memory back or has done so since, and
/// none was left, the largest process is ended if it is another.
pub fn make_room(is_memory_short: bool, ends_before: u64) -> bool {
    let now_ns = time::monotonic_ns();
    let is_patient = now_ns < LAST_NS.load(SeqCst) + PATIENCE_NS;
    if is_patient && is_somebody_dying() {
        let ended = || (!is_somebody_dying()).then_some(());
        // A signal that comes is taken by the call, which starts again afterwards.
        let _ = sched::wait(&ENDED, Some(now_ns + LOOK_NS), ended);
        return true;
    }
    if is_memory_short && spaces::free_kept_tables() {
        return true;
    }
    let Some(_choosing) = CHOOSING.try_lock() else {
        // Another vCPU is about to end somebody.
        arch::idle_hint();
        return true;
    };
    if ends() != ends_before || is_patient && is_somebody_dying() {
        return true;
    }
    let is_other = |seen: &Seen| !seen.process.is_init() && !core::ptr::eq(seen.process, current());
    let chosen = is_memory_short.then(choose).flatten();
    let Some((seen, pages)) = chosen.filter(|(seen, _)| is_other(seen)) else {
        return false;
    };
    say(&seen, pages);
    end_for_memory(&seen);
    LAST_NS.store(now_ns, SeqCst);
    true
}

/// Kills a process and whoever runs in the same memory, and frees what is theirs alone.
fn end_for_memory(victim: &Seen) {
    let Some(space) = victim.space() else {
        return;
    };
    let mut is_freed = true;
    each(|seen| {
        let other = seen.process;
        if seen.ended.is_some() || !core::ptr::eq(other.space(), &raw const *space) {
            return;
        }
        if other.is_init() {
            is_freed = false;
            return;
        }
        other.is_dying_for_memory.store(true, SeqCst);
        kill(other);
    });
    KILLS.fetch_add(1, SeqCst);
    if is_freed {
        space.reap();
    }
}

/// SIGKILL, without the locks of its delivery.
fn kill(process: &'static Process) {
    let status = Status::signaled(SIGKILL, false);
    let _ = (process.status).compare_exchange(UNDECIDED, status.0, SeqCst, SeqCst);
    threads::kill_all(process);
}

/// A process has given its memory back.
pub(super) fn ended(process: &Process) {
    if process.is_dying_for_memory.swap(false, SeqCst) {
        arena::end_reserve();
        ENDS.fetch_add(1, SeqCst);
        ENDED.wake_all();
    }
}

/// Ends the running process, whose access found no memory.
pub fn end_current() -> ! {
    end::end_current(Status::signaled(SIGKILL, false))
}

fn name_of(process: &Process) -> [u8; 16] {
    // Its lock may be held by whoever asks.
    process.image.try_lock().map_or([0; 16], |image| image.comm)
}

fn say(seen: &Seen, pages: u64) {
    let asker = current();
    let mut line = Line {
        bytes: [0; LINE_BYTES],
        len: 0,
    };
    // A line never fails; it is cut.
    let _ = line.write_str("unikiln: out of memory: killed process ");
    line.process(seen.pid, &name_of(seen.process));
    let _ = write!(line, " of {} KiB, for process ", pages * PAGE / 1024);
    line.process(asker.pid(), &name_of(asker));
    let _ = line.write_str("\n");
    if let Ok(text) = core::str::from_utf8(line.bytes.get(..line.len).unwrap_or_default()) {
        hypercall::log_line(text);
    }
}

/// A line without the heap, which may be what has run out.
struct Line {
    bytes: [u8; LINE_BYTES],
    len: usize,
}

impl Line {
    fn process(&mut self, pid: u32, name: &[u8]) {
        let _ = write!(self, "{pid} (");
        for byte in name.iter().take_while(|byte| **byte != 0) {
            let is_plain = byte.is_ascii_graphic() || *byte == b' ';
            let _ = self.write_char(if is_plain { char::from(*byte) } else { '?' });
        }
        let _ = self.write_str(")");
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for (to, from) in self.bytes.iter_mut().skip(self.len).zip(text.bytes()) {
            *to = from;
            self.len += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{shown, weigh};

    #[test]
    fn an_adjustment_counts_in_thousandths_of_all_memory() {
        assert_eq!(weigh(100, 0, 10_000), 100);
        assert_eq!(weigh(100, 500, 10_000), 5_100);
        assert_eq!(weigh(100, -999, 10_000), -9_890);
    }

    #[test]
    fn a_score_is_shown_as_linux_does() {
        assert_eq!(shown(0, 1000), 666);
        assert_eq!(shown(1000, 1000), 1333);
        assert_eq!(shown(-1000, 1000), 0);
    }
}
