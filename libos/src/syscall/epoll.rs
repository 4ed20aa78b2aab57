//! Event polls.

use alloc::sync::Arc;

use linux_raw_sys::general::{
    EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLEXCLUSIVE,
};

use super::file::descriptor;
use super::open::install;
use super::poll::{self, after, timespec_deadline};
use crate::errno::{Errno, SysResult};
use crate::fs::epoll::{self, Interest};
use crate::mm::user;
use crate::{net, signal, time};

/// Bytes of `struct epoll_event`, which is packed.
const EVENT_BYTES: u64 = 12;
/// Most events of one wait (Linux's EP_MAX_EVENTS).
const EVENTS_MAX: i32 = i32::MAX / EVENT_BYTES as i32;

/// epoll_create(2).
pub(super) fn epoll_create(args: &[u64; 6]) -> SysResult {
    if args[0] as i32 <= 0 {
        return Err(Errno::EINVAL);
    }
    install(epoll::open(0), false)
}

/// epoll_create1(2).
pub(super) fn epoll_create1(args: &[u64; 6]) -> SysResult {
    let flags = args[0] as u32;
    if flags & !EPOLL_CLOEXEC != 0 {
        return Err(Errno::EINVAL);
    }
    install(epoll::open(0), flags & EPOLL_CLOEXEC != 0)
}

/// epoll_ctl(2).
pub(super) fn epoll_ctl(args: &[u64; 6]) -> SysResult {
    let [epoll_fd, operation, fd, event, ..] = *args;
    let operation = operation as u32;
    let interest = if operation == EPOLL_CTL_DEL {
        Interest { events: 0, data: 0 }
    } else {
        let data = event.checked_add(4).ok_or(Errno::EFAULT)?;
        Interest {
            events: user::read::<u32>(event)?,
            data: user::read::<u64>(data)?,
        }
    };
    let holder = descriptor(epoll_fd)?;
    let file = descriptor(fd)?;
    if file.is_path() {
        return Err(Errno::EBADF);
    }
    if !file.file().pollable() {
        return Err(Errno::EPERM);
    }
    let epoll = holder.file().as_epoll().ok_or(Errno::EINVAL)?;
    if Arc::ptr_eq(&holder, &file) {
        return Err(Errno::EINVAL);
    }
    match operation {
        EPOLL_CTL_ADD => epoll.add(fd as i32, &file, interest)?,
        EPOLL_CTL_MOD if interest.events & EPOLLEXCLUSIVE != 0 => return Err(Errno::EINVAL),
        EPOLL_CTL_MOD => epoll.modify(fd as i32, &file, interest)?,
        EPOLL_CTL_DEL => epoll.remove(fd as i32, &file)?,
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// The deadline of a timeout in milliseconds; none for a negative one.
fn deadline(timeout_ms: u64) -> Option<u64> {
    u64::try_from(timeout_ms as i32)
        .ok()
        .map(|ms| after(ms * 1_000_000))
}

/// epoll_wait(2).
pub(super) fn epoll_wait(args: &[u64; 6]) -> SysResult {
    wait(args, deadline(args[3]))
}

/// epoll_pwait(2).
pub(super) fn epoll_pwait(args: &[u64; 6]) -> SysResult {
    let deadline = deadline(args[3]);
    signal::with_mask_at(args[4], args[5], || wait(args, deadline))
}

/// epoll_pwait2(2).
pub(super) fn epoll_pwait2(args: &[u64; 6]) -> SysResult {
    let deadline = timespec_deadline(args[3])?;
    signal::with_mask_at(args[4], args[5], || wait(args, deadline))
}

fn wait(args: &[u64; 6], deadline_ns: Option<u64>) -> SysResult {
    let [fd, out, most, ..] = *args;
    let most = most as i32;
    if most <= 0 || most > EVENTS_MAX {
        return Err(Errno::EINVAL);
    }
    let most = most as usize;
    user::check_range(out, most as u64 * EVENT_BYTES)?;
    let holder = descriptor(fd)?;
    let epoll = holder.file().as_epoll().ok_or(Errno::EINVAL)?;
    let look = || {
        // A signal from outside is ready in a signal file once it is collected.
        signal::collect();
        net::inet::take_changes();
        let look = epoll.look(most);
        poll::Look {
            found: (!look.ready.is_empty()).then_some(look.ready),
            wakes_at_ns: look.wakes_at_ns,
            waits_for_stdin: look.waits_for_stdin,
            waits_for_sockets: look.waits_for_sockets,
        }
    };
    let found = if deadline_ns.is_some_and(|end| time::monotonic_ns() >= end) {
        let found = look().found;
        net::inet::flush();
        found
    } else {
        epoll.waiting(|| poll::wait_until(epoll.queue(), deadline_ns, look))?
    };
    let ready = found.unwrap_or_default();
    for (index, interest) in (0u64..).zip(&ready) {
        let mut raw = [0; EVENT_BYTES as usize];
        let value = u128::from(interest.events) | u128::from(interest.data) << 32;
        for (to, from) in raw.iter_mut().zip(value.to_le_bytes()) {
            *to = from;
        }
        user::copy_out(out + index * EVENT_BYTES, &raw)?;
    }
    Ok(ready.len())
}
