//! The words of a crash record, from a summary that makes sense alone to the
//! last system calls.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use linux_raw_sys::general::SIGSEGV;
use unikiln_abi::layout::{LIBOS_END, LIBOS_START};

use super::Fatal;
use super::cfi::{REGISTERS, Values};
use super::instruction::{self, privileged};
use super::map::Map;
use super::text::Text;
use super::threads::Threads;
use super::unwind::{Frame, How, View, unwind};
use crate::arch::Registers;
use crate::errno::Errno;
use crate::process::Call;
use crate::signal::number::{SI_KERNEL, cause, name};
use crate::syscall::table;

/// Vector of a page fault.
const PAGE_FAULT: u64 = 14;
/// Page-fault error code: the page was there, access was not allowed.
const ERROR_PRESENT: u64 = 1;
/// The access was a write.
const ERROR_WRITE: u64 = 1 << 1;
/// The access was an instruction fetch.
const ERROR_FETCH: u64 = 1 << 4;
/// Bytes of code shown.
const CODE_BYTES: usize = 16;
/// Words of the stack shown.
const STACK_WORDS: u64 = 16;

/// Why the program ends.
pub(super) enum Reason<'a> {
    /// A signal.
    Signal(&'a Fatal),
    /// The memory limit, at the touch of an address.
    OutOfMemory(u64),
}

/// Everything that a record tells.
pub(super) struct Report<'a> {
    /// Why.
    pub reason: Reason<'a>,
    /// The program's registers.
    pub registers: &'a Registers,
    /// FS base.
    pub fs_base: u64,
    /// Its address space.
    pub map: &'a Map,
    /// Path of its executable.
    pub executable: &'a [u8],
    /// Its last system calls, oldest first.
    pub calls: &'a [Call],
    /// It and the other threads.
    pub threads: &'a Threads,
    /// Bytes: in use, peak, limit.
    pub memory: (u64, u64, u64),
}

impl Report<'_> {
    /// Writes the whole record; `summary` takes the first line alone, for the
    /// case that the rest cannot be written.
    pub(super) fn write(&self, out: &mut Text, summary: impl FnOnce(&str)) -> fmt::Result {
        self.summary(out)?;
        summary(out.as_str());
        let frames = unwind(self.map, values_of(self.registers));
        self.place_in_summary(&frames, out)?;
        writeln!(out)?;
        self.details(out)?;
        self.registers(out)?;
        self.code_and_stack(out)?;
        writeln!(out, "backtrace:")?;
        for (index, frame) in frames.iter().enumerate() {
            write!(out, "  #{index} {:#018x} ", frame.pc)?;
            self.location(frame.lookup(), out)?;
            writeln!(out, "{}", suffix(frame.how))?;
        }
        calls(self.calls, out)?;
        self.threads.others(out)?;
        let (used, peak, limit) = self.memory;
        let (used, peak, limit) = (Mebibytes(used), Mebibytes(peak), Mebibytes(limit));
        writeln!(
            out,
            "memory: {used} in use, {peak} at the peak, {limit} allowed"
        )
    }

    fn summary(&self, out: &mut Text) -> fmt::Result {
        write!(out, "unikiln: crash: ")?;
        let fatal = match &self.reason {
            Reason::OutOfMemory(_) => {
                return write!(out, "out of memory (limit {})", Mebibytes(self.memory.2));
            }
            Reason::Signal(fatal) => fatal,
        };
        let (signal, code) = (fatal.info.number(), fatal.info.code);
        write!(out, "{} (", name(signal))?;
        let is_page_fault = fatal.trap.vector == PAGE_FAULT;
        if is_page_fault && self.map.is_stack_guard(fatal.trap.address) {
            write!(out, "stack overflow")?;
        } else if signal == SIGSEGV && code == SI_KERNEL && fatal.trap.vector == 13 {
            match self.code().as_deref().and_then(privileged) {
                Some(instruction) => write!(out, "privileged instruction: {instruction}")?,
                None => write!(
                    out,
                    "general protection: an address that is not canonical, or misaligned"
                )?,
            }
        } else if signal == SIGSEGV && code == SI_KERNEL && fatal.trap.vector == 0 {
            write!(out, "bad signal frame")?;
        } else {
            write!(out, "{}", cause(signal, code))?;
        }
        write!(out, ")")?;
        if is_page_fault {
            write!(out, " {} {:#x}", self.access(fatal), fatal.trap.address)?;
        }
        Ok(())
    }

    fn access(&self, fatal: &Fatal) -> &'static str {
        let (error, address) = (fatal.trap.error, fatal.trap.address);
        if error & ERROR_FETCH != 0 || address == self.registers.rip {
            "executing"
        } else if error & ERROR_WRITE != 0 {
            "writing"
        } else {
            "reading"
        }
    }

    /// Where it happened: the function, and who called it if that says more.
    fn place_in_summary(&self, frames: &[Frame], out: &mut Text) -> fmt::Result {
        let Some(first) = frames.first() else {
            return Ok(());
        };
        let first_path = self.map.place(first.lookup()).map(|place| place.path());
        if first_path.is_some() {
            write!(out, " in ")?;
            self.short_location(first.lookup(), out)?;
        }
        if first_path.as_deref() == Some(self.executable) {
            return Ok(());
        }
        // A fault in a library: the program's own frame is the one to look at.
        let own = frames.iter().skip(1).find(|frame| {
            first_path.is_none()
                || self
                    .map
                    .place(frame.lookup())
                    .is_some_and(|p| p.path() == self.executable)
        });
        if let Some(own) = own {
            write!(out, ", called from ")?;
            self.short_location(own.lookup(), out)?;
        }
        Ok(())
    }

    /// `main+0x12 (/usr/bin/foo)`.
    fn short_location(&self, address: u64, out: &mut Text) -> fmt::Result {
        let Some(place) = self.map.place(address) else {
            return write!(out, "{address:#x}");
        };
        match place.symbol() {
            Some(symbol) => {
                write!(out, "{}+{:#x} (", symbol.name, symbol.offset)?;
                out.push_lossy(&place.path());
                write!(out, ")")
            }
            None => {
                out.push_lossy(&place.path());
                write!(out, "+{:#x}", place.address)
            }
        }
    }

    /// `main+0x12 (/usr/bin/foo+0x1126)`, or what is there instead of code.
    fn location(&self, address: u64, out: &mut Text) -> fmt::Result {
        let Some(place) = self.map.place(address) else {
            return self.map.describe(address, out);
        };
        if let Some(symbol) = place.symbol() {
            write!(out, "{}+{:#x} ", symbol.name, symbol.offset)?;
        }
        write!(out, "(")?;
        out.push_lossy(&place.path());
        write!(out, "+{:#x})", place.address)
    }

    fn details(&self, out: &mut Text) -> fmt::Result {
        write!(out, "program: ")?;
        out.push_lossy(self.executable);
        writeln!(out)?;
        self.threads.own(out)?;
        match &self.reason {
            Reason::OutOfMemory(address) => {
                writeln!(
                    out,
                    "reason: no memory was left for the page at {address:#x}"
                )?;
                self.address(*address, out)?;
            }
            Reason::Signal(fatal) => {
                let (number, code) = (fatal.info.number(), fatal.info.code);
                write!(out, "reason: signal {number}, code {code}")?;
                let trap = fatal.trap;
                match trap.vector {
                    PAGE_FAULT => {
                        let there = if trap.error & ERROR_PRESENT != 0 {
                            ""
                        } else {
                            "not "
                        };
                        write!(
                            out,
                            "; page fault, error code {:#x}, {}, page {there}present",
                            trap.error,
                            self.access(fatal)
                        )?;
                    }
                    0 if code <= 0 => write!(out, "; sent by process {}", fatal.info.sender())?,
                    0 => {}
                    vector => write!(out, "; exception {vector}, error code {:#x}", trap.error)?,
                }
                writeln!(out)?;
                if !fatal.note.is_empty() {
                    writeln!(out, "note: {}", fatal.note)?;
                }
                if trap.vector == PAGE_FAULT {
                    self.address(trap.address, out)?;
                }
            }
        }
        Ok(())
    }

    fn address(&self, address: u64, out: &mut Text) -> fmt::Result {
        write!(out, "address: {address:#x} is ")?;
        self.map.describe(address, out)?;
        writeln!(out)
    }

    fn registers(&self, out: &mut Text) -> fmt::Result {
        let r = self.registers;
        if (LIBOS_START..LIBOS_END).contains(&r.rsp) {
            writeln!(
                out,
                "registers of the libOS, which served the last system call:"
            )?;
        } else {
            writeln!(out, "registers:")?;
        }
        let rows = [
            [
                ("rax", r.rax),
                ("rbx", r.rbx),
                ("rcx", r.rcx),
                ("rdx", r.rdx),
            ],
            [
                ("rsi", r.rsi),
                ("rdi", r.rdi),
                ("rbp", r.rbp),
                ("rsp", r.rsp),
            ],
            [("r8 ", r.r8), ("r9 ", r.r9), ("r10", r.r10), ("r11", r.r11)],
            [
                ("r12", r.r12),
                ("r13", r.r13),
                ("r14", r.r14),
                ("r15", r.r15),
            ],
            [
                ("rip", r.rip),
                ("rfl", r.rflags),
                ("cs ", r.cs),
                ("fs ", self.fs_base),
            ],
        ];
        for row in rows {
            for (name, value) in row {
                write!(out, "  {name} {value:016x}")?;
            }
            writeln!(out)?;
        }
        Ok(())
    }

    fn code(&self) -> Option<Vec<u8>> {
        let mut code = alloc::vec![0; instruction::MAX_BYTES + 1];
        while !code.is_empty() {
            if self.map.read(self.registers.rip, &mut code) {
                return Some(code);
            }
            // The page may end, and the next one not be there.
            code.pop();
        }
        None
    }

    fn code_and_stack(&self, out: &mut Text) -> fmt::Result {
        write!(out, "code at rip:")?;
        match self.code() {
            Some(code) => {
                for byte in code.iter().take(CODE_BYTES) {
                    write!(out, " {byte:02x}")?;
                }
                if let Some(instruction) = privileged(&code) {
                    write!(out, " ({instruction})")?;
                }
            }
            None => write!(out, " none can be read")?,
        }
        writeln!(out, "\nstack at rsp:")?;
        for index in 0..STACK_WORDS {
            let at = self.registers.rsp.wrapping_add(index * 8);
            let Some(word) = self.map.load(at) else {
                return writeln!(
                    out,
                    "{} none can be read",
                    if index % 4 == 0 { " " } else { "" }
                );
            };
            write!(
                out,
                "  {word:016x}{}",
                if index % 4 == 3 { "\n" } else { "" }
            )?;
        }
        Ok(())
    }
}

fn suffix(how: How) -> &'static str {
    match how {
        How::Fault | How::Return => "",
        How::Handler => " (return from a signal handler)",
        How::Interrupted => " (interrupted by the signal)",
        How::Guess => " (a guess: the stack holds its address)",
    }
}

/// The registers under DWARF's numbers.
fn values_of(r: &Registers) -> Values {
    let known: [u64; REGISTERS] = [
        r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10, r.r11, r.r12,
        r.r13, r.r14, r.r15, r.rip,
    ];
    known.map(Some)
}

/// The last system calls, as strace would show them.
pub(super) fn calls(calls: &[Call], out: &mut Text) -> fmt::Result {
    writeln!(out, "last system calls ({}):", calls.len())?;
    for made in calls {
        write!(out, "  ")?;
        call(made, out)?;
        match made.result.map(|result| result as i64) {
            None => writeln!(out, " did not return")?,
            Some(result @ -4095..0) => {
                writeln!(out, " = {result} {}", Errno::from_status(result).name())?;
            }
            Some(result @ 0..0x1_0000) => writeln!(out, " = {result}")?,
            Some(result) => writeln!(out, " = {result:#x}")?,
        }
    }
    Ok(())
}

/// A system call with its arguments.
pub(super) fn call(call: &Call, out: &mut Text) -> fmt::Result {
    let row = table::row(call.number);
    match row {
        Some(row) => write!(out, "{}(", row.name)?,
        None => write!(out, "syscall_{}(", call.number)?,
    }
    let count = row.map_or(call.args.len(), |row| usize::from(row.arguments));
    for (index, argument) in call.args.iter().take(count).enumerate() {
        write!(out, "{}{argument:#x}", if index == 0 { "" } else { ", " })?;
    }
    write!(out, ")")
}

/// Bytes shown in MiB with one digit.
struct Mebibytes(u64);

impl fmt::Display for Mebibytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.0.saturating_mul(10) >> 20;
        write!(f, "{}.{} MiB", tenths / 10, tenths % 10)
    }
}

/// A path for the record, when its lock is free.
pub(super) fn executable() -> Vec<u8> {
    let image = crate::process::current().image.try_lock();
    image
        .map(|image| image.exe.clone())
        .unwrap_or_else(|| String::from("?").into_bytes())
}

#[cfg(test)]
mod tests;
