//! System calls: from the registers of the program to a row of the table and back.
//!
//! A handler gets the six argument words and returns a value or an errno; the
//! errno is negated here and nowhere else.

pub mod table;

mod attributes;
mod capabilities;
mod clock;
mod clone;
pub mod credentials;
mod directory;
mod epoll;
mod family;
mod fdctl;
mod file;
mod foreign;
mod futex;
mod inotify;
mod ipc;
mod lock;
mod memory;
mod message;
mod names;
mod open;
mod path;
mod pipe;
mod poll;
mod process;
mod process_file;
pub mod queue;
mod random;
mod schedule;
pub mod sem;
pub mod shm;
mod signal;
mod signal_file;
mod socket;
mod space;
mod splice;
mod stat;
pub mod system;
pub mod thread;
mod timer;
mod xattr;

use crate::arch::Registers;
use crate::errno::Errno;
use crate::{process as processes, signal as signals, strace};

/// rt_sigreturn: restores all registers, so it is no row like the others.
const RT_SIGRETURN: u64 = 15;

/// A handler.
pub type Handler = fn(&[u64; 6]) -> crate::errno::SysResult;

/// Serves one system call. True asks the entry code for a full restore.
#[inline]
pub fn dispatch(regs: &mut Registers) -> bool {
    let number = regs.rax;
    if number == RT_SIGRETURN {
        signals::sigreturn(regs);
        processes::return_to_program(regs, None);
        return true;
    }
    let args = [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9];
    let slot = processes::thread().recent.begin(number, &args);
    let result = if strace::is_on() {
        strace::call(number, &args)
    } else {
        table::call(number, &args)
    };
    regs.rax = match result {
        Ok(value) => value as u64,
        Err(errno) => errno.to_return(),
    };
    processes::thread().recent.finish(slot, regs.rax);
    if result == Err(Errno::EINTR) || processes::has_work() {
        let restart = (result == Err(Errno::EINTR)).then_some(number);
        return processes::return_to_program(regs, restart);
    }
    false
}

/// Name of a system call, for logs.
pub fn name(number: u64) -> &'static str {
    table::row(number).map_or("?", |row| row.name)
}
