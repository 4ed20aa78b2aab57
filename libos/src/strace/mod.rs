//! Tracing of system calls into the log, in strace's form: one line for each
//! call that the monitor's set names, and for each signal at its delivery.
//!
//! ```text
//! unikiln: strace: [pid 1] read(3, "\177ELF\2\1\1"..., 832) = 832 <0.000012>
//! ```
//!
//! [`is_on`] is all that a guest without tracing pays. Arguments that the call
//! reads are described before it, those that it writes after it. A call that
//! blocks gets its line in two parts (`<unfinished ...>`, `<... resumed>`), so
//! that the log of a guest that hangs says where.
//!
//! | file | what it owns |
//! |---|---|
//! | `line.rs` | a line from its parts, whole or split |
//! | `signatures.rs`, `rows.rs` | how each call's arguments and result are shown |
//! | `kind.rs` | the ways in which one argument can be shown |
//! | `memory.rs` | structures and lists in program memory, which may be anything |
//! | `number.rs`, `text.rs` | numbers, strings, buffers |
//! | `output.rs` | text that grows |
//! | `flags/` | names of flags and of choices |
//! | `file.rs`, `poll.rs`, `signal.rs`, `socket.rs`, `system.rs`, `thread.rs`, `time.rs`, `control.rs` | structures of one family of calls |
//! | `result.rs` | results and the words for errors |

mod control;
mod file;
mod flags;
mod kind;
mod line;
mod memory;
mod number;
mod output;
mod poll;
mod result;
mod signal;
mod signatures;
mod socket;
mod system;
mod text;
mod thread;
mod time;

use core::fmt::Write;
use core::sync::atomic::{AtomicBool, Ordering};

use spin::{Mutex, Once};
use unikiln_abi::boot::{BootInfo, FLAG_STRACE};
use unikiln_abi::strace::CallSet;

use crate::errno::SysResult;
use crate::signal::SigInfo;
use crate::signal::number::{Default as DefaultAction, Set, default_action};
use crate::syscall::table;
use crate::{hypercall, process, time as clocks};
use line::Line;
use output::Output;

const RT_SIGRETURN: u64 = 15;
const EXECVE: u64 = 59;
const EXIT: u64 = 60;
const EXIT_GROUP: u64 = 231;

static ON: AtomicBool = AtomicBool::new(false);
static CALLS: Once<CallSet> = Once::new();

/// Takes over what the monitor asks for.
pub fn init(info: &BootInfo) {
    if info.flags & FLAG_STRACE != 0 {
        CALLS.call_once(|| info.strace);
        ON.store(true, Ordering::Relaxed);
    }
}

/// Whether anything is traced.
#[inline]
pub fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

fn is_traced(number: u64) -> bool {
    CALLS.get().is_some_and(|calls| calls.has(number))
}

/// The traced call that a thread is in.
pub struct InFlight(Mutex<Option<Line>>);

impl Default for InFlight {
    fn default() -> Self {
        Self::new()
    }
}

impl InFlight {
    /// None.
    pub const fn new() -> InFlight {
        InFlight(Mutex::new(None))
    }
}

/// Serves a call as [`table::call`] does, and writes its line.
///
/// # Errors
/// What the call says.
#[cold]
#[inline(never)]
pub fn call(number: u64, args: &[u64; 6]) -> SysResult {
    if !is_traced(number) {
        return table::call(number, args);
    }
    let line = Line::begin(number, args, clocks::monotonic_ns());
    if number == EXIT || number == EXIT_GROUP {
        write(&line.end_without_result());
        return table::call(number, args);
    }
    // The lock is held for moves alone: describing touches program memory.
    let thread = process::thread();
    *thread.traced.0.lock() = Some(line);
    let result = table::call(number, args);
    let now = clocks::monotonic_ns();
    let line = thread.traced.0.lock().take();
    if let Some(line) = line {
        write(&line.end(result, now));
    }
    result
}

/// The running thread is about to block: the first part of its line.
#[inline]
pub fn suspend() {
    if is_on() {
        split();
    }
}

#[cold]
fn split() {
    let part = process::thread()
        .traced
        .0
        .lock()
        .as_mut()
        .and_then(Line::split);
    if let Some(part) = part {
        write(&part);
    }
}

/// rt_sigreturn went back to a program with this mask and this RAX.
pub fn handler_returned(mask: Set, rax: u64) {
    if is_on() && is_traced(RT_SIGRETURN) {
        let mut text = Output::from("rt_sigreturn({mask=");
        signal::set(&mut text, mask);
        text.push_str("}) = ");
        result::show_raw(&mut text, rax);
        write(&text);
    }
}

/// The program at `path` was loaded and is about to run: execve has succeeded.
pub fn program_starts(path: &[u8]) {
    if !is_on() || !is_traced(EXECVE) {
        return;
    }
    let line = process::thread().traced.0.lock().take();
    let now = clocks::monotonic_ns();
    let line = line.unwrap_or_else(|| {
        // The first program: nobody called, but the arguments are there.
        Line::begin_with(EXECVE, &thread::started_program(path), now)
    });
    write(&line.end(Ok(0), now));
}

/// A signal is delivered.
pub fn signal_delivered(info: &SigInfo) {
    if is_on() {
        let mut text = Output::from("--- ");
        signal::name(&mut text, info.number());
        text.push(' ');
        signal::info(&mut text, info);
        text.push_str(" ---");
        write(&text);
    }
}

/// A signal stops the process.
pub fn stopped(signal: u32) {
    if is_on() {
        let mut text = Output::from("--- stopped by ");
        signal::name(&mut text, signal);
        text.push_str(" ---");
        write(&text);
    }
}

/// A signal ends the process.
pub fn killed(signal: u32) {
    if is_on() {
        let mut text = Output::from("+++ killed by ");
        signal::name(&mut text, signal);
        if default_action(signal) == DefaultAction::Core {
            text.push_str(" (core dumped)");
        }
        text.push_str(" +++");
        write(&text);
    }
}

/// The process ends.
pub fn exited(status: i32) {
    if is_on() {
        let mut text = Output::new();
        let _ = write!(text, "+++ exited with {} +++", status & 0xff);
        write(&text);
    }
}

fn write(text: &str) {
    let tid = process::thread().tid();
    hypercall::log_line(&alloc::format!("unikiln: strace: [pid {tid}] {text}\n"));
}
