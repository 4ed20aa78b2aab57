//! Which interrupted system calls start again after a handler with SA_RESTART.
//!
//! Source: signal(7), "Interruption of system calls". Calls with a timeout of
//! their own, and those that wait for a signal, never start again.

use linux_raw_sys::general::{
    __NR_accept, __NR_accept4, __NR_clone, __NR_clone3, __NR_connect, __NR_epoll_pwait,
    __NR_epoll_pwait2, __NR_epoll_wait, __NR_fcntl, __NR_flock, __NR_fork, __NR_futex,
    __NR_getrandom, __NR_ioctl, __NR_open, __NR_openat, __NR_openat2, __NR_pread64, __NR_preadv,
    __NR_preadv2, __NR_pwrite64, __NR_pwritev, __NR_pwritev2, __NR_read, __NR_readv, __NR_recvfrom,
    __NR_recvmmsg, __NR_recvmsg, __NR_rt_sigtimedwait, __NR_sendfile, __NR_sendmmsg, __NR_sendmsg,
    __NR_sendto, __NR_splice, __NR_tee, __NR_vfork, __NR_vmsplice, __NR_wait4, __NR_waitid,
    __NR_write, __NR_writev,
};

use crate::arch::{self, Registers};
use crate::mm::user;

/// The `syscall` instruction.
const SYSCALL: u16 = u16::from_le_bytes([0x0f, 0x05]);
/// Its length.
const SYSCALL_BYTES: u64 = 2;

/// Calls that start again.
const RESTARTABLE: [u32; 24] = [
    __NR_read,
    __NR_readv,
    __NR_pread64,
    __NR_preadv,
    __NR_preadv2,
    __NR_write,
    __NR_writev,
    __NR_pwrite64,
    __NR_pwritev,
    __NR_pwritev2,
    __NR_sendfile,
    __NR_splice,
    __NR_tee,
    __NR_vmsplice,
    __NR_ioctl,
    __NR_open,
    __NR_openat,
    __NR_openat2,
    __NR_wait4,
    __NR_waitid,
    __NR_flock,
    __NR_fcntl,
    __NR_futex,
    __NR_getrandom,
];

/// Those of sockets; with a timeout (SO_RCVTIMEO, SO_SNDTIMEO) a stop ends them with EINTR.
const OF_SOCKETS: [u32; 9] = [
    __NR_accept,
    __NR_accept4,
    __NR_connect,
    __NR_recvfrom,
    __NR_recvmsg,
    __NR_recvmmsg,
    __NR_sendto,
    __NR_sendmsg,
    __NR_sendmmsg,
];

/// Whether a call is among those that start again.
pub(super) fn is_restartable(number: u64) -> bool {
    let calls = RESTARTABLE.iter().chain(&OF_SOCKETS);
    calls.copied().any(|call| u64::from(call) == number)
}

/// Calls that end with EINTR after a stop, though no handler ran.
const ENDED_BY_STOPS: [u32; 4] = [
    __NR_epoll_wait,
    __NR_epoll_pwait,
    __NR_epoll_pwait2,
    __NR_rt_sigtimedwait,
];

/// Whether a stop ends the call that the program is in with EINTR, be it to start again
/// afterwards. Others wait on when the stop is over, for what is left of their time.
pub(super) fn is_ended_by_stop(number: u64, is_timed: bool) -> bool {
    let has = |calls: &[u32]| calls.iter().any(|call| u64::from(*call) == number);
    if is_timed || !is_restartable(number) {
        return has(&ENDED_BY_STOPS) || is_timed && has(&OF_SOCKETS);
    }
    let site = arch::program_registers().rip.wrapping_sub(SYSCALL_BYTES);
    user::read::<u16>(site) == Ok(SYSCALL)
}

/// Calls that a signal keeps from beginning, and that no program expects to end so: they start
/// again whatever the handler says.
const UNDONE: [u32; 4] = [__NR_clone, __NR_fork, __NR_vfork, __NR_clone3];

/// Whether a call is among those that start again always.
pub(super) fn is_undone(number: u64) -> bool {
    UNDONE.iter().any(|call| u64::from(*call) == number)
}

/// Makes the program run its system call again, if that call can: whether it does.
///
/// A call that came by a direct jump starts again with the `syscall` instruction
/// that its site still has. A program that called with other bytes before its
/// return address has no such place, and gets EINTR.
pub(super) fn rewind(regs: &mut Registers, number: u64) -> bool {
    let site = regs.rip.wrapping_sub(SYSCALL_BYTES);
    let restarts =
        (is_restartable(number) || is_undone(number)) && user::read::<u16>(site) == Ok(SYSCALL);
    if restarts {
        regs.rip = site;
        regs.rax = number;
    }
    restarts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interrupted(code: &[u8; 2]) -> Registers {
        Registers {
            rip: code.as_ptr().expose_provenance() as u64 + 2,
            rax: crate::errno::Errno::EINTR.to_return(),
            ..Registers::default()
        }
    }

    #[test]
    fn a_read_starts_again_and_a_pause_does_not() {
        let code = [0x0f, 0x05];
        let mut regs = interrupted(&code);
        assert!(rewind(&mut regs, 0));
        assert_eq!((regs.rax, regs.rip), (0, code.as_ptr() as u64));
        let mut regs = interrupted(&code);
        assert!(!rewind(&mut regs, 34));
        assert_eq!(regs.rip, code.as_ptr() as u64 + 2);
    }

    #[test]
    fn without_a_syscall_instruction_it_ends_with_eintr() {
        let code = [0x66, 0x90];
        let mut regs = interrupted(&code);
        assert!(!rewind(&mut regs, 0));
        assert_eq!(regs.rip, code.as_ptr() as u64 + 2);
    }
}
