//! Signal calls: dispositions, masks, sending, waiting.
//!
//! The state is `signal`'s; here are the arguments. rt_sigreturn(2) is not
//! here: it needs the registers, so the dispatcher calls `signal::sigreturn`.
//! Source: sigaction(2), sigprocmask(2), kill(2), sigtimedwait(2).

use linux_raw_sys::general::{
    SA_EXPOSE_TAGBITS, SA_NOCLDSTOP, SA_NOCLDWAIT, SA_NODEFER, SA_ONSTACK, SA_RESETHAND,
    SA_RESTART, SA_RESTORER, SA_SIGINFO, SIG_BLOCK, SIG_SETMASK, SIG_UNBLOCK,
};

use super::clock::read_timeout;
use crate::arch;
use crate::errno::{Errno, SysResult};
use crate::mm::user;
use crate::process::capabilities::KILL;
use crate::process::{self, Process, table, threads};
use crate::sched;
use crate::signal::number::{SI_TKILL, SI_USER, SIGNAL_MAX, is_signal};
use crate::signal::state::{Action, AltStack};
use crate::signal::{self, Set, SigInfo, take_of};

/// Flags that Linux keeps; a program can ask which ones by setting others.
const FLAGS_KNOWN: u32 = SA_NOCLDSTOP
    | SA_NOCLDWAIT
    | SA_SIGINFO
    | SA_ONSTACK
    | SA_RESTART
    | SA_NODEFER
    | SA_RESETHAND
    | SA_EXPOSE_TAGBITS
    | SA_RESTORER;

fn check_set_bytes(bytes: u64) -> Result<(), Errno> {
    if bytes == size_of::<Set>() as u64 {
        Ok(())
    } else {
        Err(Errno::EINVAL)
    }
}

fn read_set(address: u64) -> Result<Set, Errno> {
    user::read(address).map(Set::from_bits)
}

/// rt_sigaction(2).
pub(super) fn rt_sigaction(args: &[u64; 6]) -> SysResult {
    let [number, new, old, bytes, ..] = *args;
    check_set_bytes(bytes)?;
    let number = number as u32;
    if !is_signal(number) || (new != 0 && Set::UNBLOCKABLE.has(number)) {
        return Err(Errno::EINVAL);
    }
    let new: Option<Action> = if new == 0 {
        None
    } else {
        Some(user::read(new)?)
    };
    let before = signal::with_state(|process, thread| {
        let before = process.action(number);
        if let Some(mut action) = new {
            action.flags &= u64::from(FLAGS_KNOWN);
            process.set_action(number, action)?;
            if action.ignores(number) {
                process.pending.discard(number);
                thread.pending.discard(number);
            }
        }
        Ok(before)
    })?;
    if new.is_some_and(|action| action.ignores(number)) {
        // Pending for other threads, it is gone too.
        for thread in threads::list(process::current()) {
            thread.signals.lock().pending.discard(number);
        }
    }
    if old != 0 {
        user::write(old, &before)?;
    }
    Ok(0)
}

/// rt_sigprocmask(2).
pub(super) fn rt_sigprocmask(args: &[u64; 6]) -> SysResult {
    let [how, new, old, bytes, ..] = *args;
    check_set_bytes(bytes)?;
    let new = if new == 0 { None } else { Some(read_set(new)?) };
    let before = signal::with_state(|_, thread| {
        let before = thread.mask;
        if let Some(set) = new {
            thread.set_mask(match how as u32 {
                SIG_BLOCK => before.union(set),
                SIG_UNBLOCK => before.without(set),
                SIG_SETMASK => set,
                _ => return Err(Errno::EINVAL),
            });
        }
        Ok(before)
    })?;
    if old != 0 {
        user::write(old, &before.bits())?;
    }
    Ok(0)
}

/// rt_sigpending(2).
pub(super) fn rt_sigpending(args: &[u64; 6]) -> SysResult {
    if args[1] > size_of::<Set>() as u64 {
        return Err(Errno::EINVAL);
    }
    signal::collect();
    let set = signal::with_state(|process, thread| {
        process
            .pending
            .set()
            .union(thread.pending.set())
            .intersection(thread.mask)
    });
    let bits = set.bits().to_le_bytes();
    user::copy_out(args[0], bits.get(..args[1] as usize).unwrap_or(&bits)).map(|()| 0)
}

/// Sleeps until a signal wants to be delivered.
fn wait_for_delivery() -> SysResult {
    sched::wait(&signal::ARRIVAL, None, || None)
}

/// pause(2).
pub(super) fn pause(_args: &[u64; 6]) -> SysResult {
    wait_for_delivery()
}

/// rt_sigsuspend(2).
pub(super) fn rt_sigsuspend(args: &[u64; 6]) -> SysResult {
    check_set_bytes(args[1])?;
    signal::with_mask(read_set(args[0])?, wait_for_delivery)
}

/// rt_sigtimedwait(2): the signal that came.
pub(super) fn rt_sigtimedwait(args: &[u64; 6]) -> SysResult {
    let [set, info_address, timeout, bytes, ..] = *args;
    check_set_bytes(bytes)?;
    let wanted = read_set(set)?.without(Set::UNBLOCKABLE);
    let deadline_ns = read_timeout(timeout)?;
    let taken = sched::wait(&signal::ARRIVAL, deadline_ns, || {
        signal::collect();
        signal::with_state(|process, thread| take_of(process, thread, wanted))
    });
    let info = match taken {
        Err(Errno::ETIMEDOUT) => return Err(Errno::EAGAIN),
        other => other?,
    };
    if info_address != 0 {
        user::write(info_address, &info)?;
    }
    Ok(info.number() as usize)
}

/// sigaltstack(2).
pub(super) fn sigaltstack(args: &[u64; 6]) -> SysResult {
    let [new, old, ..] = *args;
    let sp = arch::program_sp();
    let new: Option<AltStack> = if new == 0 {
        None
    } else {
        Some(user::read(new)?)
    };
    let before = signal::with_state(|_, thread| {
        let before = thread.stack;
        if let Some(stack) = new {
            if before.is_in_use(sp) {
                return Err(Errno::EPERM);
            }
            thread.stack = stack.checked()?;
        }
        Ok(before)
    })?;
    if old != 0 {
        user::write(old, &before.shown(sp))?;
    }
    Ok(0)
}

pub(super) fn sender(number: u32, code: i32) -> SigInfo {
    let uid = process::current().credentials.lock().uid;
    SigInfo::from_sender(number, code, process::current().pid(), uid)
}

/// A signal number to send; 0 only asks whether the target is there.
pub(super) fn read_number(number: u64) -> Result<u32, Errno> {
    let number = number as u32;
    if number > SIGNAL_MAX {
        Err(Errno::EINVAL)
    } else {
        Ok(number)
    }
}

/// Whether the running process may send a signal to another: its users are alike, or it may
/// send to all.
fn may_send(target: &Process) -> bool {
    let own = process::current();
    if core::ptr::eq(own, target) {
        return true;
    }
    let (uid, euid, may_all) = {
        let own = own.credentials.lock();
        (own.uid, own.euid, own.capabilities.has(KILL))
    };
    let theirs = target.credentials.lock();
    may_all
        || [uid, euid]
            .iter()
            .any(|id| [theirs.uid, theirs.suid].contains(id))
}

/// Sends to one process, or asks whether that were allowed.
pub(super) fn send_one(target: &'static Process, info: Option<SigInfo>) -> Result<(), Errno> {
    if !may_send(target) {
        return Err(Errno::EPERM);
    }
    let Some(info) = info else {
        return Ok(());
    };
    // Nothing inside ends the first process that it does not take itself.
    let is_spared = target.is_init() && !process::current().is_init() && {
        let action = target.signals.lock().action(info.number());
        !action.is_handler()
    };
    if is_spared {
        return Ok(());
    }
    signal::send_to_process(target, info)
}

/// kill(2).
pub(super) fn kill(args: &[u64; 6]) -> SysResult {
    let number = read_number(args[1])?;
    let info = (number != 0).then(|| sender(number, SI_USER));
    let own = process::current().pid();
    let group = match args[0] as i32 {
        i32::MIN => return Err(Errno::ESRCH),
        pid if pid > 0 => {
            let sent = table::with(pid.unsigned_abs(), |target| send_one(target, info));
            return sent.ok_or(Errno::ESRCH)?.map(|()| 0);
        }
        0 => table::kin(own).map(|kin| kin.group),
        -1 => None,
        group => Some(group.unsigned_abs()),
    };
    let mut result = Err(Errno::ESRCH);
    table::each_running(|target, kin| {
        let is_meant = match group {
            Some(group) => kin.group == group,
            // Everybody but the caller and the first process.
            None => !target.is_init() && target.pid() != own,
        };
        if !is_meant {
            return;
        }
        match send_one(target, info) {
            Ok(()) => result = Ok(0),
            Err(errno) if result == Err(Errno::ESRCH) => result = Err(errno),
            Err(_) => {}
        }
    });
    result
}

fn send_to_tid(tgid: Option<u64>, tid: u64, number: u64) -> SysResult {
    let number = read_number(number)?;
    if (tid as i32) <= 0 || tgid.is_some_and(|tgid| (tgid as i32) <= 0) {
        return Err(Errno::EINVAL);
    }
    let target = threads::with(tid as u32, |thread| thread).ok_or(Errno::ESRCH)?;
    if tgid.is_some_and(|tgid| tgid as u32 != target.process().pid()) {
        return Err(Errno::ESRCH);
    }
    if !may_send(target.process()) {
        return Err(Errno::EPERM);
    }
    if number != 0 {
        signal::send_to(target, sender(number, SI_TKILL))?;
    }
    Ok(0)
}

/// tkill(2).
pub(super) fn tkill(args: &[u64; 6]) -> SysResult {
    send_to_tid(None, args[0], args[1])
}

/// tgkill(2).
pub(super) fn tgkill(args: &[u64; 6]) -> SysResult {
    send_to_tid(Some(args[0]), args[1], args[2])
}

/// Reads a siginfo_t whose signal number the caller names.
fn read_info(address: u64, number: u64) -> Result<Option<SigInfo>, Errno> {
    let number = read_number(number)?;
    let mut info: SigInfo = user::read(address)?;
    info.signal = number as i32;
    Ok((number != 0).then_some(info))
}

/// Whether the sender may say what it says of a signal's origin: to others nothing that
/// only the kernel says.
pub(super) fn check_origin(info: Option<&SigInfo>, target: &Process) -> Result<(), Errno> {
    let is_own = core::ptr::eq(target, process::current());
    let claims = info.is_some_and(|info| info.code >= 0 || info.code == SI_TKILL);
    if claims && !is_own {
        return Err(Errno::EPERM);
    }
    Ok(())
}

/// rt_sigqueueinfo(2).
pub(super) fn rt_sigqueueinfo(args: &[u64; 6]) -> SysResult {
    let info = read_info(args[2], args[1])?;
    let sent = table::with(args[0] as u32, |target| {
        check_origin(info.as_ref(), target)?;
        send_one(target, info)
    });
    sent.ok_or(Errno::ESRCH)?.map(|()| 0)
}

/// rt_tgsigqueueinfo(2).
pub(super) fn rt_tgsigqueueinfo(args: &[u64; 6]) -> SysResult {
    let info = read_info(args[3], args[2])?;
    let target = threads::with(args[1] as u32, |thread| thread).ok_or(Errno::ESRCH)?;
    if target.process().pid() != args[0] as u32 {
        return Err(Errno::ESRCH);
    }
    check_origin(info.as_ref(), target.process())?;
    if !may_send(target.process()) {
        return Err(Errno::EPERM);
    }
    info.map_or(Ok(()), |info| signal::send_to(target, info))
        .map(|()| 0)
}

/// rt_sigreturn(2): the dispatcher serves it before it gets here.
pub(super) fn rt_sigreturn(_args: &[u64; 6]) -> SysResult {
    Err(Errno::EINVAL)
}
