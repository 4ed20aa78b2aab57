//! Waiting for files: `poll` and `select`.

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLPRI};

use crate::errno::{Errno, SysResult};
use crate::fs::open_file::OpenFile;
use crate::fs::readiness::Registered;
use crate::mm::user;
use crate::net::inet::{self, Sleeper};
use crate::sched::WaitQueue;
use crate::{fs, process, sched, signal, time};

/// A descriptor that is not open, in `poll`'s answer.
const POLLNVAL: u32 = 0x20;
const NSEC: u64 = 1_000_000_000;
/// Bits of a descriptor set in a word.
const WORD_BITS: usize = 64;

/// What a look at files found, and what to wait for where that is nothing.
pub(super) struct Look<T> {
    pub found: Option<T>,
    /// When a file changes without a wake-up.
    pub wakes_at_ns: Option<u64>,
    /// Standard input is one of the files and has nothing.
    pub waits_for_stdin: bool,
    /// Sockets of the host are among the files.
    pub waits_for_sockets: bool,
}

/// Looks until something is found or the deadline passes, asleep in `queue` in between.
pub(super) fn wait_until<T>(
    queue: &WaitQueue,
    deadline_ns: Option<u64>,
    mut look: impl FnMut() -> Look<T>,
) -> Result<Option<T>, Errno> {
    let mut now = look();
    if now.found.is_some() {
        // A wait would have done it.
        inet::flush();
    }
    loop {
        if now.found.is_some() {
            return Ok(now.found);
        }
        let until = [deadline_ns, now.wakes_at_ns].into_iter().flatten().min();
        let (stdin, sockets) = (now.waits_for_stdin, now.waits_for_sockets);
        let _sleeper = sockets.then(Sleeper::begin);
        // Done as well where the wait would be for something else than it was begun for.
        let poll = || {
            let next = look();
            let sooner = next
                .wakes_at_ns
                .is_some_and(|at| until.is_none_or(|until| at < until));
            let other = next.waits_for_stdin != stdin || next.waits_for_sockets != sockets;
            let done = next.found.is_some() || sooner || other;
            done.then_some(next)
        };
        let outcome = if stdin {
            sched::wait_stdin(queue, until, poll)
        } else {
            sched::wait(queue, until, poll)
        };
        now = match outcome {
            Ok(next) => next,
            Err(Errno::ETIMEDOUT) => {
                let last = look();
                let passed = deadline_ns.is_some_and(|end| time::monotonic_ns() >= end);
                if last.found.is_none() && passed {
                    return Ok(None);
                }
                last
            }
            Err(errno) => return Err(errno),
        };
    }
}

/// One watched descriptor.
struct Watched {
    file: Option<Arc<OpenFile>>,
    wanted: u32,
}

/// What is ready of `watched`.
fn ready(watched: &[Watched]) -> Look<Vec<u32>> {
    let (mut wakes_at_ns, mut waits_for_stdin, mut waits_for_sockets) = (None, false, false);
    // An event poll among them learns of its sockets so.
    inet::take_changes();
    let events = watched.iter().map(|watched| {
        let Some(file) = &watched.file else {
            return watched.wanted & POLLNVAL;
        };
        let file = file.file();
        waits_for_sockets |= file.is_host_socket();
        let events = file.readiness().events & watched.wanted;
        if file.changes_untold() {
            wakes_at_ns = [wakes_at_ns, file.wakes_at_ns()]
                .into_iter()
                .flatten()
                .min();
            waits_for_stdin |= events == 0 && watched.wanted & EPOLLIN != 0 && file.is_stdin();
        }
        events
    });
    let events: Vec<u32> = events.collect();
    Look {
        found: events.iter().any(|&events| events != 0).then_some(events),
        wakes_at_ns,
        waits_for_stdin,
        waits_for_sockets,
    }
}

fn wait_for(watched: &[Watched], deadline_ns: Option<u64>) -> Result<Option<Vec<u32>>, Errno> {
    // Most calls find something at once and need not register.
    if let Some(events) = ready(watched).found {
        inet::flush();
        return Ok(Some(events));
    }
    let files = watched
        .iter()
        .filter_map(|watched| Some((watched.file.as_ref()?, watched.wanted)));
    let registered = Registered::new(files);
    wait_until(registered.queue(), deadline_ns, || ready(watched))
}

/// A deadline `ns` from now.
pub(super) fn after(ns: u64) -> u64 {
    time::monotonic_ns().saturating_add(ns)
}

/// The deadline of a `struct timespec` from now; none for a null pointer.
pub(super) fn timespec_deadline(addr: u64) -> Result<Option<u64>, Errno> {
    if addr == 0 {
        return Ok(None);
    }
    let (sec, nsec) = (
        user::read::<i64>(addr)?,
        user::read::<i64>(addr.wrapping_add(8))?,
    );
    let (Ok(sec), Ok(nsec @ 0..NSEC)) = (u64::try_from(sec), u64::try_from(nsec)) else {
        return Err(Errno::EINVAL);
    };
    Ok(Some(after(sec.saturating_mul(NSEC).saturating_add(nsec))))
}

/// Writes what is left until `deadline_ns` as seconds and `unit_ns` parts. A
/// timeout in read-only memory stays as it is, as in Linux.
fn write_left(addr: u64, deadline_ns: Option<u64>, unit_ns: u64) {
    let Some(deadline) = deadline_ns else { return };
    let left = deadline.saturating_sub(time::monotonic_ns());
    let written = user::write::<u64>(addr, &(left / NSEC));
    let _ =
        written.and_then(|()| user::write::<u64>(addr.wrapping_add(8), &(left % NSEC / unit_ns)));
}

/// poll(2).
pub(super) fn poll(args: &[u64; 6]) -> SysResult {
    let [fds, count, timeout_ms, ..] = *args;
    let timeout_ms = timeout_ms as i32;
    let deadline = u64::try_from(timeout_ms)
        .ok()
        .map(|ms| after(ms * 1_000_000));
    poll_files(fds, count, deadline)
}

/// ppoll(2).
pub(super) fn ppoll(args: &[u64; 6]) -> SysResult {
    let [fds, count, timeout, mask, mask_bytes, _] = *args;
    let deadline = timespec_deadline(timeout)?;
    let outcome = signal::with_mask_at(mask, mask_bytes, || poll_files(fds, count, deadline));
    write_left(timeout, deadline, 1);
    outcome
}

fn poll_files(fds: u64, count: u64, deadline_ns: Option<u64>) -> SysResult {
    // Linux looks at the low half only.
    let count = u64::from(count as u32);
    if count > u64::from(fs::open_files()) {
        return Err(Errno::EINVAL);
    }
    let at = |index: u64| fds.checked_add(index * 8).ok_or(Errno::EFAULT);
    let mut watched = Vec::with_capacity(count as usize);
    for index in 0..count {
        let fd = user::read::<i32>(at(index)?)?;
        let wanted = user::read::<u16>(at(index)? + 4)?;
        let file = process::current().files.lock().get(fd).ok();
        // A negative number is skipped, another that is not open is reported.
        let always = if fd < 0 {
            0
        } else {
            EPOLLERR | EPOLLHUP | POLLNVAL
        };
        let wanted = if fd < 0 { 0 } else { u32::from(wanted) };
        watched.push(Watched {
            file: file.filter(|_| fd >= 0),
            wanted: wanted | always,
        });
    }
    let events = wait_for(&watched, deadline_ns)?;
    let events = events.unwrap_or_else(|| alloc::vec![0; watched.len()]);
    for (index, events) in (0..).zip(&events) {
        user::write::<u16>(at(index)? + 6, &(*events as u16))?;
    }
    Ok(events.iter().filter(|&&events| events != 0).count())
}

/// select(2).
pub(super) fn select(args: &[u64; 6]) -> SysResult {
    let [count, read, write, except, timeout, _] = *args;
    let deadline = if timeout == 0 {
        None
    } else {
        let (sec, usec) = (
            user::read::<i64>(timeout)?,
            user::read::<i64>(timeout.wrapping_add(8))?,
        );
        let (Ok(sec), Ok(usec)) = (u64::try_from(sec), u64::try_from(usec)) else {
            return Err(Errno::EINVAL);
        };
        Some(after(
            sec.saturating_mul(NSEC)
                .saturating_add(usec.saturating_mul(1000)),
        ))
    };
    let outcome = select_files(count, [read, write, except], deadline);
    write_left(timeout, deadline, 1000);
    outcome
}

/// pselect6(2).
pub(super) fn pselect6(args: &[u64; 6]) -> SysResult {
    let [count, read, write, except, timeout, mask] = *args;
    let deadline = timespec_deadline(timeout)?;
    // The sixth argument points at the mask's address and size.
    let (mask, mask_bytes) = match mask {
        0 => (0, 0),
        pair => (
            user::read::<u64>(pair)?,
            user::read::<u64>(pair.wrapping_add(8))?,
        ),
    };
    let outcome = signal::with_mask_at(mask, mask_bytes, || {
        select_files(count, [read, write, except], deadline)
    });
    write_left(timeout, deadline, 1);
    outcome
}

/// What each of `select`'s three sets reports, in readiness bits.
const SET_EVENTS: [u32; 3] = [EPOLLIN | EPOLLHUP | EPOLLERR, EPOLLOUT | EPOLLERR, EPOLLPRI];

fn read_set(addr: u64, words: usize) -> Result<Vec<u64>, Errno> {
    if addr == 0 {
        return Ok(alloc::vec![0; words]);
    }
    (0..words as u64)
        .map(|word| user::read::<u64>(addr.wrapping_add(word * 8)))
        .collect()
}

fn select_files(count: u64, sets: [u64; 3], deadline_ns: Option<u64>) -> SysResult {
    let count = count as i32;
    let count = usize::try_from(count)
        .map_err(|_| Errno::EINVAL)?
        .min(fs::table::NR_OPEN as usize);
    let words = count.div_ceil(WORD_BITS);
    let mut inputs = Vec::with_capacity(sets.len());
    for addr in sets {
        inputs.push(read_set(addr, words)?);
    }
    let is_set = |set: &Vec<u64>, fd: usize| {
        set.get(fd / WORD_BITS)
            .is_some_and(|word| word >> (fd % WORD_BITS) & 1 == 1)
    };
    let mut watched = Vec::new();
    let mut numbers = Vec::new();
    for fd in 0..count {
        let wanted = SET_EVENTS
            .iter()
            .zip(&inputs)
            .filter(|(_, set)| is_set(set, fd));
        let wanted = wanted.fold(0, |wanted, (events, _)| wanted | events);
        if wanted != 0 {
            let file = process::current().files.lock().get(fd as i32)?;
            watched.push(Watched {
                file: Some(file),
                wanted,
            });
            numbers.push(fd);
        }
    }
    let events = wait_for(&watched, deadline_ns)?.unwrap_or_else(|| alloc::vec![0; watched.len()]);
    let mut total = 0;
    for ((addr, input), set_events) in sets.into_iter().zip(&inputs).zip(SET_EVENTS) {
        let mut output = alloc::vec![0u64; words];
        for (&fd, &events) in numbers.iter().zip(&events) {
            if is_set(input, fd) && events & set_events != 0 {
                if let Some(word) = output.get_mut(fd / WORD_BITS) {
                    *word |= 1 << (fd % WORD_BITS);
                }
                total += 1;
            }
        }
        if addr != 0 {
            for (index, word) in (0u64..).zip(&output) {
                user::write::<u64>(addr.wrapping_add(index * 8), word)?;
            }
        }
    }
    Ok(total)
}
