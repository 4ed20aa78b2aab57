//! clone(2), clone3(2), fork(2), vfork(2): new threads and new processes.

use linux_raw_sys::general::{
    CLONE_CHILD_CLEARTID, CLONE_CHILD_SETTID, CLONE_DETACHED, CLONE_FILES, CLONE_FS, CLONE_IO,
    CLONE_PARENT_SETTID, CLONE_PIDFD, CLONE_PTRACE, CLONE_SETTLS, CLONE_SIGHAND, CLONE_SYSVSEM,
    CLONE_THREAD, CLONE_UNTRACED, CLONE_VM,
};
use unikiln_abi::layout::{APP_END, LIBOS_END, LIBOS_START};

use crate::arch;
use crate::errno::{Errno, SysResult};
use crate::fs;
use crate::fs::process_file::ProcessFile;
use crate::mm::user;
use crate::process::fork::{self, Wanted};
use crate::process::threads::{self, Start};
use crate::process::{self, oom};
use crate::signal::number::SIGNAL_MAX;
use crate::stats;

/// The signal at the end of a child, in clone's flags.
const EXIT_SIGNAL_MASK: u64 = 0xff;
/// What makes a thread rather than a process.
const THREAD: u64 = (CLONE_VM | CLONE_SIGHAND | CLONE_THREAD) as u64;
/// What a thread shares besides, here always.
const SHARED: u64 = (CLONE_FS | CLONE_FILES) as u64;
/// What else may be asked for a thread. There is no tracer and one class of I/O.
const OPTIONS: u64 = (CLONE_SYSVSEM
    | CLONE_SETTLS
    | CLONE_PARENT_SETTID
    | CLONE_CHILD_CLEARTID
    | CLONE_CHILD_SETTID
    | CLONE_DETACHED
    | CLONE_UNTRACED
    | CLONE_PTRACE
    | CLONE_IO) as u64;
/// What a process may ask for.
const PROCESS: u64 =
    OPTIONS | CLONE_VFORK | CLONE_PARENT | CLONE_CLEAR_SIGHAND | (CLONE_VM | CLONE_PIDFD) as u64;
/// CLONE_NEW* of every namespace, and CLONE_NEWTIME below the signal's bits in clone3.
const NAMESPACES: u64 = 0x7e02_0000;
const CLONE_VFORK: u64 = 0x4000;
const CLONE_PARENT: u64 = 0x8000;
/// clone3: reset signal handlers in the child.
const CLONE_CLEAR_SIGHAND: u64 = 1 << 32;
const SIGCHLD: u64 = 17;
/// clone3: into another cgroup.
const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// What is looked at of struct clone_args.
#[derive(Clone, Copy, Debug, Default)]
struct Arguments {
    flags: u64,
    /// Where the descriptor's number goes.
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_bytes: u64,
    tls: u64,
    set_tid_count: u64,
}

/// Bytes of clone_args in Linux 5.7: eleven words.
const ARGUMENTS_BYTES: usize = 88;
/// Bytes of the first version of clone_args.
const ARGUMENTS_MIN_BYTES: u64 = 64;

/// fork(2).
pub(super) fn fork(_args: &[u64; 6]) -> SysResult {
    let arguments = Arguments {
        exit_signal: SIGCHLD,
        ..Arguments::default()
    };
    make(57, &arguments)
}

/// vfork(2).
pub(super) fn vfork(_args: &[u64; 6]) -> SysResult {
    let arguments = Arguments {
        flags: u64::from(CLONE_VM) | CLONE_VFORK,
        exit_signal: SIGCHLD,
        ..Arguments::default()
    };
    make(58, &arguments)
}

/// clone(2).
pub(super) fn clone(args: &[u64; 6]) -> SysResult {
    let [flags, stack, parent_tid, child_tid, tls, _] = *args;
    let arguments = Arguments {
        flags: flags & 0xffff_ff00,
        pidfd: parent_tid,
        child_tid,
        parent_tid,
        exit_signal: flags & EXIT_SIGNAL_MASK,
        stack,
        tls,
        ..Arguments::default()
    };
    make(56, &arguments)
}

/// clone3(2).
pub(super) fn clone3(args: &[u64; 6]) -> SysResult {
    let [address, bytes, ..] = *args;
    if bytes < ARGUMENTS_MIN_BYTES {
        return Err(Errno::EINVAL);
    }
    if bytes > 4096 {
        return Err(Errno::E2BIG);
    }
    let known = ARGUMENTS_BYTES as u64;
    let mut raw = [0; ARGUMENTS_BYTES];
    let part = raw.get_mut(..bytes.min(known) as usize);
    user::copy_in(address, part.ok_or(Errno::EINVAL)?)?;
    for at in known..bytes {
        // What a later version of the structure asks for.
        if user::read::<u8>(address.wrapping_add(at))? != 0 {
            return Err(Errno::E2BIG);
        }
    }
    let mut arguments = parse(&raw);
    if arguments.exit_signal & !EXIT_SIGNAL_MASK != 0
        || arguments.flags & EXIT_SIGNAL_MASK & !0x80 != 0
        || (arguments.stack == 0) != (arguments.stack_bytes == 0)
    {
        return Err(Errno::EINVAL);
    }
    if arguments.set_tid_count != 0 {
        // Ids are chosen by checkpoint tools with rights that nobody has here.
        return Err(Errno::EPERM);
    }
    let top = arguments.stack.checked_add(arguments.stack_bytes);
    arguments.stack = top.ok_or(Errno::EINVAL)?;
    make(435, &arguments)
}

fn parse(raw: &[u8; ARGUMENTS_BYTES]) -> Arguments {
    let word = |index: usize| {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(raw.iter().skip(index * 8)) {
            *to = *from;
        }
        u64::from_le_bytes(word)
    };
    Arguments {
        flags: word(0),
        pidfd: word(1),
        child_tid: word(2),
        parent_tid: word(3),
        exit_signal: word(4),
        stack: word(5),
        stack_bytes: word(6),
        tls: word(7),
        set_tid_count: word(9),
    }
}

/// Checks the flags as Linux does: whether they ask for a thread.
fn check(arguments: &Arguments) -> Result<bool, Errno> {
    let flags = arguments.flags;
    let has = |flag: u32| flags & u64::from(flag) != 0;
    if has(CLONE_THREAD) && !has(CLONE_SIGHAND) || has(CLONE_SIGHAND) && !has(CLONE_VM) {
        return Err(Errno::EINVAL);
    }
    if has(CLONE_SIGHAND) && flags & CLONE_CLEAR_SIGHAND != 0 {
        return Err(Errno::EINVAL);
    }
    if has(CLONE_PIDFD) {
        let is_same = arguments.pidfd == arguments.parent_tid;
        if has(CLONE_DETACHED | CLONE_THREAD) || has(CLONE_PARENT_SETTID) && is_same {
            return Err(Errno::EINVAL);
        }
    }
    if flags & NAMESPACES != 0 || flags & CLONE_INTO_CGROUP != 0 {
        return Err(Errno::EPERM);
    }
    if !has(CLONE_THREAD) {
        return if flags & CLONE_PARENT != 0 && process::current().is_init() {
            Err(Errno::EINVAL)
        } else {
            Ok(false)
        };
    }
    if arguments.exit_signal != 0 && flags & CLONE_PARENT == 0 && arguments.stack_bytes != 0 {
        return Err(Errno::EINVAL);
    }
    Ok(true)
}

fn make(number: u64, arguments: &Arguments) -> SysResult {
    let flags = arguments.flags;
    let is_thread = check(arguments)?;
    let (needed, allowed) = if is_thread {
        (SHARED, THREAD | SHARED | OPTIONS)
    } else {
        (0, PROCESS)
    };
    if flags & !allowed != 0 || flags & needed != needed {
        // Threads with files or a working directory of their own, processes that share
        // them, descriptors of threads.
        stats::note_unsupported(number);
        return Err(Errno::ENOSYS);
    }
    let has = |flag: u32| flags & u64::from(flag) != 0;
    let mut regs = arch::program_registers();
    let fs_base = if has(CLONE_SETTLS) {
        arguments.tls
    } else {
        arch::fs_base()
    };
    if fs_base >= APP_END {
        return Err(Errno::EPERM);
    }
    if arguments.stack != 0 {
        regs.rsp = arguments.stack;
    }
    if (LIBOS_START..LIBOS_END).contains(&regs.rsp) || regs.rsp >= APP_END {
        // A stack there would pass for the libOS's own.
        return Err(Errno::EINVAL);
    }
    regs.rax = 0;
    let word = |flag: u32, address: u64| if has(flag) { address } else { 0 };
    let start = Start {
        regs,
        fs_base,
        clear_tid: word(CLONE_CHILD_CLEARTID, arguments.child_tid),
        set_tid: word(CLONE_CHILD_SETTID, arguments.child_tid),
    };
    let announce = |tid: u32| {
        if has(CLONE_PARENT_SETTID) {
            // Linux ignores a bad address here as well.
            let _ = user::write(arguments.parent_tid, &tid);
        }
    };
    if is_thread {
        return Ok(threads::spawn(&start, announce)? as usize);
    }
    let exit_signal = arguments.exit_signal as u32;
    if exit_signal > SIGNAL_MAX {
        return Err(Errno::EINVAL);
    }
    let wanted = Wanted {
        borrows: has(CLONE_VM),
        parent_waits: flags & CLONE_VFORK != 0,
        is_sibling: flags & CLONE_PARENT != 0,
        clears_handlers: flags & CLONE_CLEAR_SIGHAND != 0,
        exit_signal,
    };
    if !has(CLONE_PIDFD) {
        return fork_with_room(&start, wanted, announce);
    }
    let files = &process::current().files;
    let fd = files.lock().reserve(true, fs::open_files())?;
    let announce_both = |tid: u32| {
        if let Some(file) = ProcessFile::open(tid, 0) {
            files.lock().fill(fd, file);
        }
        announce(tid);
    };
    let made = user::write(arguments.pidfd, &fd)
        .and_then(|()| fork_with_room(&start, wanted, announce_both));
    if made.is_err() {
        files.lock().give_back(fd);
    }
    made
}

/// Forks; where there is no memory for that, makes room first.
fn fork_with_room(start: &Start, wanted: Wanted, announce: impl Fn(u32) + Copy) -> SysResult {
    loop {
        let ends = oom::ends();
        match fork::fork(start, wanted, announce) {
            Err(errno @ (Errno::ENOMEM | Errno::EAGAIN))
                if oom::make_room(errno == Errno::ENOMEM, ends) => {}
            made => return Ok(made? as usize),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_checked_as_linux_does() {
        let of = |flags: u32| {
            check(&Arguments {
                flags: u64::from(flags),
                ..Arguments::default()
            })
        };
        assert_eq!(of(CLONE_THREAD), Err(Errno::EINVAL));
        assert_eq!(of(CLONE_THREAD | CLONE_SIGHAND), Err(Errno::EINVAL));
        assert_eq!(of(CLONE_THREAD | CLONE_SIGHAND | CLONE_VM), Ok(true));
        assert_eq!(of(CLONE_VM), Ok(false));
        assert_eq!(of(CLONE_PIDFD), Ok(false));
        assert_eq!(of(CLONE_PIDFD | CLONE_DETACHED), Err(Errno::EINVAL));
        assert_eq!(of(CLONE_PIDFD | CLONE_PARENT_SETTID), Err(Errno::EINVAL));
        assert_eq!(of(0x2000_0000), Err(Errno::EPERM));
    }

    #[test]
    fn arguments_are_read_in_order() {
        let mut raw = [0; ARGUMENTS_BYTES];
        raw[56] = 7;
        assert_eq!(parse(&raw).tls, 7);
    }
}
