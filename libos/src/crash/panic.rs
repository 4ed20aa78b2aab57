//! Bugs of the libOS: the panic handler and exceptions in libOS code.
//!
//! The record shows the libOS's own frames as offsets into its image, which
//! `addr2line` on the libOS's ELF file turns into lines. Locks may be held, so
//! neither the program's memory nor its files are looked at.
#![expect(unsafe_code, reason = "reads the libOS's own stack")]

use core::fmt::{self, Write};
use core::panic::PanicInfo;

use unikiln_abi::exit;

use super::report::calls;
use super::text::Text;
use super::threads::Threads;
use super::{OOM_CODE, PANIC_CODE, RECORD_MAX_BYTES, begin, end, keep_summary};
use crate::arch::{self, Registers};
use crate::{hypercall, mm, process};

/// Most frames shown.
const FRAMES_MAX: usize = 32;
/// How a failed allocation of the libOS begins its message.
const ALLOCATION_FAILED: &str = "memory allocation of ";

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let mut frame: u64;
    // SAFETY: reads a register.
    unsafe { core::arch::asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack)) };
    let is_out_of_memory = begins_with(&info.message(), ALLOCATION_FAILED);
    if is_out_of_memory {
        begin(exit::OOM_KILLED, OOM_CODE, info);
    } else {
        begin(exit::LIBOS_PANIC, PANIC_CODE, info);
    }
    let mut text = Text::new(RECORD_MAX_BYTES);
    let what = if is_out_of_memory {
        "out of memory in the libOS"
    } else {
        "libOS panic"
    };
    let _ = write!(text, "unikiln: crash: {what}: {}", info.message());
    if let Some(place) = info.location() {
        let _ = write!(text, " at {}:{}", place.file(), place.line());
    }
    let _ = writeln!(text);
    finish(text, &mut frame)
}

/// Whether a message begins so, found out without allocating.
fn begins_with(message: &dyn fmt::Display, wanted: &str) -> bool {
    struct Expect<'a>(&'a [u8]);
    impl Write for Expect<'_> {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            for byte in part.bytes() {
                match self.0.split_first() {
                    Some((first, rest)) if *first == byte => self.0 = rest,
                    // All of it came, or something else did: either ends it.
                    _ => return Err(fmt::Error),
                }
            }
            Ok(())
        }
    }
    let mut expect = Expect(wanted.as_bytes());
    let _ = write!(expect, "{message}");
    expect.0.is_empty()
}

/// Ends the guest because of an exception at `registers`.
pub(super) fn fault(registers: &Registers, address: u64) -> ! {
    begin(
        exit::LIBOS_PANIC,
        PANIC_CODE,
        &format_args!("exception at {:#x}", registers.rip),
    );
    let mut text = Text::new(RECORD_MAX_BYTES);
    let _ = write_fault(&mut text, registers, address);
    finish(text, &mut { registers.rbp })
}

fn write_fault(text: &mut Text, registers: &Registers, address: u64) -> fmt::Result {
    let base = arch::image_start();
    write!(
        text,
        "unikiln: crash: libOS bug: exception {} at libos+{:#x}",
        registers.origin,
        registers.rip.wrapping_sub(base)
    )?;
    if registers.origin == unikiln_abi::layout::PAGE_FAULT_VECTOR as u64 {
        write!(text, ", address {address:#x}")?;
    }
    writeln!(text, ", error code {:#x}", registers.error_code)?;
    let r = registers;
    writeln!(text, "registers:")?;
    writeln!(
        text,
        "  rax {:016x}  rbx {:016x}  rcx {:016x}  rdx {:016x}",
        r.rax, r.rbx, r.rcx, r.rdx
    )?;
    writeln!(
        text,
        "  rsi {:016x}  rdi {:016x}  rbp {:016x}  rsp {:016x}",
        r.rsi, r.rdi, r.rbp, r.rsp
    )?;
    writeln!(
        text,
        "  r8  {:016x}  r9  {:016x}  r10 {:016x}  r11 {:016x}",
        r.r8, r.r9, r.r10, r.r11
    )?;
    writeln!(
        text,
        "  r12 {:016x}  r13 {:016x}  r14 {:016x}  r15 {:016x}",
        r.r12, r.r13, r.r14, r.r15
    )?;
    writeln!(text, "  rip {:016x}  rfl {:016x}", r.rip, r.rflags)
}

/// The rest of the record, then the end.
fn finish(mut text: Text, frame: &mut u64) -> ! {
    let first = text.as_str().lines().next().unwrap_or_default();
    keep_summary(first);
    let _ = backtrace(&mut text, frame);
    let threads = Threads::now();
    let _ = threads.own(&mut text);
    let _ = calls(&process::thread().recent.list(), &mut text);
    let _ = threads.others(&mut text);
    let _ = writeln!(
        text,
        "memory: {} of {} bytes",
        mm::used_bytes(),
        mm::limit_bytes()
    );
    hypercall::record(text.as_string());
    end()
}

/// Follows the frame pointers that the libOS is compiled with.
fn backtrace(text: &mut Text, frame: &mut u64) -> fmt::Result {
    let base = arch::image_start();
    let (start, end) = arch::text_bounds();
    writeln!(text, "backtrace of the libOS:")?;
    for index in 0..FRAMES_MAX {
        let (Some(next), Some(pc)) = (stack_word(*frame), stack_word(frame.wrapping_add(8))) else {
            break;
        };
        if !(start..end).contains(&pc) {
            break;
        }
        writeln!(text, "  #{index} libos+{:#x}", pc - base)?;
        if next <= *frame {
            break;
        }
        *frame = next;
    }
    Ok(())
}

/// A word of the libOS stack that this vCPU is on.
fn stack_word(address: u64) -> Option<u64> {
    let (bottom, top) = arch::kernel_stack();
    if !address.is_multiple_of(8) || address < bottom || address.checked_add(8)? > top {
        return None;
    }
    // SAFETY: inside a libOS stack, which stays mapped for the guest's whole life;
    // other code may be using it, so the value is only shown.
    Some(unsafe { core::ptr::with_exposed_provenance::<u64>(address as usize).read_volatile() })
}
