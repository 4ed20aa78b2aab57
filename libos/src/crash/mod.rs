//! The crash record: what a log must hold when nobody can look into the guest.
//!
//! ```text
//! fatal signal ──┐
//! memory limit ──┼→ one record: summary, registers, address, backtrace, calls → exit
//! libOS bug    ──┘  (of the libOS: its own backtrace; the program is not looked at)
//! ```
//!
//! The record of a process other than the first goes to the log, and the guest goes on.
//!
//! | file | what it owns |
//! |---|---|
//! | `report.rs` | the words of a record |
//! | `threads.rs` | the thread that crashed, and the others |
//! | `text.rs` | a text that is cut rather than fail |
//! | `map.rs` | what is mapped where |
//! | `module.rs` | symbols of a mapped ELF file |
//! | `unwind.rs` | the backtrace |
//! | `cfi.rs`, `row.rs`, `expression.rs`, `dwarf.rs` | unwind tables |
//! | `instruction.rs` | names of privileged instructions |
//! | `panic.rs` | the panic handler and the libOS's own backtrace |
//!
//! A record never waits for a lock: whoever holds it may be what crashed. Should
//! writing the record fail itself, one line says so and the guest ends as it
//! would have, or, if that fails too, at once.

mod cfi;
mod dwarf;
mod expression;
mod instruction;
mod map;
mod module;
#[cfg(target_os = "none")]
mod panic;
mod report;
mod row;
mod text;
mod threads;
mod unwind;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use spin::Mutex;
use unikiln_abi::exit;

use crate::arch::{self, Registers};
use crate::process::end::{Status, end_current};
use crate::signal::{SigInfo, Trap};
use crate::{hypercall, mm, process, strace, time};
use map::Map;
use report::{Reason, Report};
use text::Text;

/// Most bytes of a record.
const RECORD_MAX_BYTES: usize = 64 << 10;
/// Exit code of a guest that the memory limit ended: 128 + SIGKILL.
const OOM_CODE: u64 = 137;
/// Exit code of a libOS bug: 128 + SIGABRT.
const PANIC_CODE: u64 = 134;
/// Room for the one line that stands for a record that fails.
const SPARE_BYTES: usize = 512;
/// Heap that is set aside for the writing of a record, which may be about a
/// heap that cannot grow. Not touched until then.
const RESERVE_BYTES: usize = 64 << 10;

/// Records begun: the second one comes from the writing of the first, or from
/// another vCPU.
static BEGUN: AtomicUsize = AtomicUsize::new(0);
/// Index of the vCPU that writes the first, and 1.
static WRITER: AtomicUsize = AtomicUsize::new(0);
/// The first record is written in this time, or its writer waits for what the
/// second one's holds.
const WRITING_MAX_NS: u64 = 2_000_000_000;
/// How the guest ends after the first record.
static END_REASON: AtomicU64 = AtomicU64::new(exit::LIBOS_PANIC);
static END_CODE: AtomicU64 = AtomicU64::new(PANIC_CODE);
/// Heap text with room to spare, holding the summary of the first record.
static SPARE: Mutex<String> = Mutex::new(String::new());
/// The heap that is set aside.
static RESERVE: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// A signal that ends the program.
pub struct Fatal {
    /// The signal.
    pub info: SigInfo,
    /// The exception behind it.
    pub trap: Trap,
    /// What else there is to know; may be empty.
    pub note: &'static str,
}

/// Sets memory aside for a record. Called once at boot.
pub fn init() {
    SPARE.lock().reserve_exact(SPARE_BYTES);
    RESERVE.lock().reserve_exact(RESERVE_BYTES);
}

/// Begins a record, or, when one is being written already, ends the guest: at
/// once where this vCPU writes it, else when the other one has had time to.
fn begin(reason: u64, code: u64, what: &dyn core::fmt::Display) {
    let me = arch::vcpu_index() + 1;
    let first = WRITER.compare_exchange(0, me, Ordering::SeqCst, Ordering::SeqCst);
    if first.is_err_and(|writer| writer != me) {
        let end_ns = time::monotonic_ns() + WRITING_MAX_NS;
        while time::monotonic_ns() < end_ns {
            arch::idle_hint();
        }
    }
    match BEGUN.fetch_add(1, Ordering::Relaxed) {
        0 => {
            END_REASON.store(reason, Ordering::Relaxed);
            END_CODE.store(code, Ordering::Relaxed);
            if let Some(mut reserve) = RESERVE.try_lock() {
                drop(core::mem::take(&mut *reserve));
            }
        }
        1 => {
            if let Some(mut spare) = SPARE.try_lock() {
                let _ = write!(Spare(&mut spare), " [the record failed: {what}]");
                hypercall::record(&spare);
            }
            end()
        }
        _ => end(),
    }
}

fn end() -> ! {
    hypercall::exit(
        END_REASON.load(Ordering::Relaxed),
        END_CODE.load(Ordering::Relaxed),
    )
}

/// Appends without ever allocating: that may be what failed.
struct Spare<'a>(&'a mut String);

impl Write for Spare<'_> {
    fn write_str(&mut self, part: &str) -> core::fmt::Result {
        for character in part.chars() {
            if self.0.len() + character.len_utf8() > self.0.capacity() {
                return Err(core::fmt::Error);
            }
            self.0.push(character);
        }
        Ok(())
    }
}

fn keep_summary(summary: &str) {
    if let Some(mut spare) = SPARE.try_lock() {
        // A long one is cut.
        let _ = Spare(&mut spare).write_str(summary);
    }
}

/// Ends the process by a signal whose default action dumps core.
pub fn fatal(registers: &Registers, fatal: &Fatal) -> ! {
    // What the program wrote to mapped files is not lost with it.
    crate::fs::volume::write_back_all();
    // Tables and symbols know nothing of trampolines.
    let registers = &Registers {
        rip: crate::signal::shown_address(registers.rip),
        ..*registers
    };
    let signal = fatal.info.number();
    if !process::current().is_init() {
        log_report(Reason::Signal(fatal), registers);
        strace::killed(signal);
        process::current().space().draw_again();
        end_current(Status::signaled(signal, true));
    }
    begin(
        exit::SIGNALED,
        u64::from(signal),
        &crate::signal::number::name(signal),
    );
    write_report(Reason::Signal(fatal), registers);
    strace::killed(signal);
    end()
}

/// Ends the guest because the memory limit left no page for `address`.
/// `registers` are the libOS's where it was copying for the program.
pub fn out_of_memory(registers: &Registers, address: u64) -> ! {
    begin(exit::OOM_KILLED, OOM_CODE, &"out of memory");
    write_report(Reason::OutOfMemory(address), registers);
    crate::fs::volume::write_back_all();
    end()
}

fn write_report(reason: Reason<'_>, registers: &Registers) {
    hypercall::record(report(reason, registers, keep_summary).as_string());
}

/// The record of a process other than the first, whose end is not the guest's: lines of the
/// log.
fn log_report(reason: Reason<'_>, registers: &Registers) {
    let text = report(reason, registers, |_| ());
    for line in text.as_str().split_inclusive('\n') {
        hypercall::log_line(line);
    }
}

fn report(reason: Reason<'_>, registers: &Registers, summary: fn(&str)) -> Text {
    let map = program_map();
    let executable = report::executable();
    let calls = process::thread().recent.list();
    let report = Report {
        reason,
        registers,
        fs_base: arch::fs_base(),
        map: &map,
        executable: &executable,
        calls: &calls,
        threads: &threads::Threads::now(),
        memory: (mm::used_bytes(), mm::peak_bytes(), mm::limit_bytes()),
    };
    let mut text = Text::new(RECORD_MAX_BYTES);
    // A text never fails; it is cut.
    let _ = report.write(&mut text, summary);
    text
}

#[cfg(target_os = "none")]
fn program_map() -> Map {
    match process::current().space().try_lock() {
        Some(space) => Map::new(space.areas.iter()),
        None => Map::default(),
    }
}

#[cfg(not(target_os = "none"))]
fn program_map() -> Map {
    Map::default()
}

/// Ends the guest because of an exception inside the libOS.
#[cfg(target_os = "none")]
pub fn libos_fault(registers: &Registers, address: u64) -> ! {
    panic::fault(registers, address)
}
