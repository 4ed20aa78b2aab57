//! What a thread says about itself: FS base, exit word, robust list, prctl.
//! Making one is `clone.rs`'s. Source: arch_prctl(2), prctl(2), set_robust_list(2).

use core::sync::atomic::Ordering;

use linux_raw_sys::prctl::{
    PR_CAP_AMBIENT, PR_CAPBSET_DROP, PR_CAPBSET_READ, PR_GET_CHILD_SUBREAPER, PR_GET_DUMPABLE,
    PR_GET_KEEPCAPS, PR_GET_NAME, PR_GET_NO_NEW_PRIVS, PR_GET_PDEATHSIG, PR_GET_SECCOMP,
    PR_GET_SECUREBITS, PR_GET_THP_DISABLE, PR_GET_TIMERSLACK, PR_GET_TIMING, PR_GET_TSC,
    PR_SET_CHILD_SUBREAPER, PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_SET_NAME, PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG, PR_SET_THP_DISABLE, PR_SET_TIMERSLACK, PR_SET_VMA, PR_SET_VMA_ANON_NAME,
    PR_TSC_ENABLE,
};
use unikiln_abi::layout::APP_END;

use super::capabilities;
use super::futex::{self, ROBUST_HEAD_BYTES};
use crate::arch;
use crate::errno::{Errno, SysResult};
use crate::mm::user;
use crate::process::inspect::{Identity, may_inspect};
use crate::process::{self, Kept, Settings};
use crate::signal::number::SIGNAL_MAX;

const ARCH_SET_GS: u64 = 0x1001;
const ARCH_SET_FS: u64 = 0x1002;
const ARCH_GET_FS: u64 = 0x1003;
const ARCH_GET_GS: u64 = 0x1004;

/// Longest name of a mapping, with its NUL.
const MAPPING_NAME_MAX: usize = 80;

/// arch_prctl(2).
pub(super) fn arch_prctl(args: &[u64; 6]) -> SysResult {
    let [code, address, ..] = *args;
    match code {
        // Beyond the program's part of the address space it would not be canonical.
        ARCH_SET_FS if address >= APP_END => Err(Errno::EPERM),
        ARCH_SET_FS => {
            arch::set_fs_base(address);
            Ok(0)
        }
        ARCH_GET_FS => user::write(address, &arch::fs_base()).map(|()| 0),
        // GS base is the libOS's.
        ARCH_SET_GS => Err(Errno::EPERM),
        ARCH_GET_GS => user::write(address, &0u64).map(|()| 0),
        _ => Err(Errno::EINVAL),
    }
}

/// set_tid_address(2).
pub(super) fn set_tid_address(args: &[u64; 6]) -> SysResult {
    let thread = process::thread();
    thread.clear_tid.store(args[0], Ordering::Relaxed);
    Ok(thread.tid() as usize)
}

/// set_robust_list(2).
pub(super) fn set_robust_list(args: &[u64; 6]) -> SysResult {
    if args[1] != ROBUST_HEAD_BYTES {
        return Err(Errno::EINVAL);
    }
    process::thread()
        .robust_list
        .store(args[0], Ordering::Relaxed);
    Ok(0)
}

/// get_robust_list(2).
pub(super) fn get_robust_list(args: &[u64; 6]) -> SysResult {
    let tid = match args[0] as u32 {
        0 => process::thread().tid(),
        tid => tid,
    };
    let list = process::threads::with(tid, |thread| {
        let shown = may_inspect(thread.process(), Identity::Real);
        shown.then(|| thread.robust_list.load(Ordering::Relaxed))
    });
    let list = list.ok_or(Errno::ESRCH)?.ok_or(Errno::EPERM)?;
    user::write(args[2], &ROBUST_HEAD_BYTES)?;
    user::write(args[1], &list).map(|()| 0)
}

/// What the program gets when a thread ends: futexes that it holds are marked,
/// its exit word is cleared and woken.
pub(crate) fn release_at_exit(thread: &process::Thread) {
    futex::release_robust_list(thread);
    let address = thread.clear_tid.swap(0, Ordering::Relaxed);
    // Whoever waits for it sees zero or faults on its own.
    if address != 0 && user::write(address, &0u32).is_ok() {
        futex::wake_one(address);
    }
}

/// prctl(2).
pub(super) fn prctl(args: &[u64; 6]) -> SysResult {
    let [option, value, third, fourth, fifth, _] = *args;
    let settings = &process::current().settings;
    let get = |kept: &Kept| Ok(kept.get() as usize);
    let slack_ns = &settings.timer_slack_ns;
    let rest_is_zero = third == 0 && fourth == 0 && fifth == 0;
    match option as u32 {
        PR_SET_NAME => set_name(value),
        PR_GET_NAME => {
            let name = *process::thread().comm.lock();
            user::copy_out(value, &name).map(|()| 0)
        }
        PR_SET_PDEATHSIG => settings.parent_death_signal.set(value, SIGNAL_MAX),
        PR_GET_PDEATHSIG => settings.parent_death_signal.write(value),
        PR_SET_DUMPABLE => settings.dumpable.set(value, 1),
        PR_GET_DUMPABLE => get(&settings.dumpable),
        PR_SET_KEEPCAPS => capabilities::set_keeps_capabilities(value),
        PR_GET_KEEPCAPS => Ok(usize::from(capabilities::keeps_capabilities())),
        PR_SET_NO_NEW_PRIVS if value == 1 && rest_is_zero => settings.no_new_privileges.set(1, 1),
        PR_GET_NO_NEW_PRIVS if value == 0 && rest_is_zero => get(&settings.no_new_privileges),
        PR_SET_CHILD_SUBREAPER => settings.child_subreaper.set(u64::from(value != 0), 1),
        PR_GET_CHILD_SUBREAPER => settings.child_subreaper.write(value),
        PR_SET_THP_DISABLE if rest_is_zero => settings.thp_disabled.set(u64::from(value != 0), 1),
        PR_GET_THP_DISABLE if value == 0 && rest_is_zero => get(&settings.thp_disabled),
        PR_SET_TIMERSLACK if value == 0 => {
            slack_ns.set(u64::from(Settings::default_slack_ns()), u32::MAX)
        }
        PR_SET_TIMERSLACK => slack_ns.set(value.min(u64::from(u32::MAX)), u32::MAX),
        PR_GET_TIMERSLACK => get(slack_ns),
        PR_GET_SECCOMP | PR_GET_TIMING | PR_GET_SECUREBITS => Ok(0),
        PR_GET_TSC => user::write(value, &PR_TSC_ENABLE).map(|()| 0),
        PR_CAPBSET_READ => capabilities::is_bounding(value),
        PR_CAPBSET_DROP => capabilities::drop_bounding(value),
        PR_CAP_AMBIENT if fourth == 0 && fifth == 0 => capabilities::ambient(value, third),
        PR_SET_VMA if value == u64::from(PR_SET_VMA_ANON_NAME) => check_mapping_name(fifth),
        // Filters, speculation control, protection of shadow stacks and so on.
        _ => Err(Errno::EINVAL),
    }
}

/// PR_SET_NAME: 15 bytes at most, the rest is cut off.
fn set_name(address: u64) -> SysResult {
    let mut name = [0; 16];
    for (index, byte) in name.iter_mut().take(15).enumerate() {
        *byte = user::read(address.wrapping_add(index as u64))?;
        if *byte == 0 {
            break;
        }
    }
    let me = process::thread();
    *me.comm.lock() = name;
    if me.tid() == process::current().pid() {
        process::current().image.lock().comm = name;
    }
    Ok(0)
}

/// PR_SET_VMA_ANON_NAME: checked, not kept.
fn check_mapping_name(address: u64) -> SysResult {
    if address == 0 {
        return Ok(0);
    }
    match user::read_cstr(address, MAPPING_NAME_MAX) {
        Ok(name) if name.iter().all(|b| matches!(b, 0x20..=0x7e)) => Ok(0),
        Err(Errno::EFAULT) => Err(Errno::EFAULT),
        _ => Err(Errno::EINVAL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_options_are_refused() {
        assert_eq!(prctl(&[9999, 0, 0, 0, 0, 0]), Err(Errno::EINVAL));
        assert_eq!(
            prctl(&[u64::from(PR_SET_NO_NEW_PRIVS), 2, 0, 0, 0, 0]),
            Err(Errno::EINVAL)
        );
    }

    #[test]
    fn gs_base_cannot_be_taken() {
        assert_eq!(
            arch_prctl(&[ARCH_SET_GS, 0x1000, 0, 0, 0, 0]),
            Err(Errno::EPERM)
        );
        assert_eq!(
            arch_prctl(&[ARCH_SET_FS, 1 << 63, 0, 0, 0, 0]),
            Err(Errno::EPERM)
        );
    }
}
