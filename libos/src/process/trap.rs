//! Exceptions: page faults are served or become signals, the others are signals,
//! and any of them inside the libOS is a bug that gets a record.
//!
//! A trap belongs to the libOS when the interrupted stack is the libOS's: the
//! vDSO's functions are libOS text, but run as the program on its stack.
#![expect(unsafe_code, reason = "addresses of the copy loops, exception state")]

use unikiln_abi::layout::{
    LIBOS_END, LIBOS_IMAGE_BASE, LIBOS_START, PAGE_FAULT_VECTOR, UPCALL_VECTOR,
};

use super::{current, oom};
use crate::arch::Registers;
use crate::fs::volume;
use crate::mm::fault::{self, Attempt, Fault};
use crate::mm::user;
use crate::{crash, signal, stats};

const SIGILL: u32 = 4;
const SIGTRAP: u32 = 5;
const SIGBUS: u32 = 7;
const SIGFPE: u32 = 8;
const SIGSEGV: u32 = 11;

/// Page-fault error code: the access was a write.
const ERROR_WRITE: u64 = 1 << 1;
/// The access was an instruction fetch.
const ERROR_FETCH: u64 = 1 << 4;
const INVALID_OPCODE: usize = 6;
const GENERAL_PROTECTION: u64 = 13;

/// Vectors with which the CPU pushes an error code.
const WITH_ERROR_CODE: [usize; 9] = [8, 10, 11, 12, 13, PAGE_FAULT_VECTOR, 17, 21, 30];
/// SI_KERNEL.
const SI_KERNEL: i32 = 0x80;

unsafe extern "C" {
    static user_copy_fault: u8;
    static user_copy_resume: u8;
    static user_zero_fault: u8;
    static user_zero_resume: u8;
    static user_exchange_fault: u8;
    static user_exchange_resume: u8;
}

/// Serves one trap; changes `regs` where the program (or a copy) goes on elsewhere.
pub fn handle(regs: &mut Registers, cr2: u64) {
    let in_libos = (LIBOS_IMAGE_BASE..LIBOS_END).contains(&regs.rsp);
    let vector = regs.origin as usize;
    if !WITH_ERROR_CODE.contains(&vector) {
        // The slot holds an earlier trap's.
        regs.error_code = 0;
    }
    if vector == PAGE_FAULT_VECTOR {
        page_fault(regs, cr2, in_libos);
    } else if vector == INVALID_OPCODE && !in_libos && is_int_instruction(regs.rip) {
        // A software KVM raises #UD for `int n`, where the CPU raises #GP
        // because of the gate: the program sees the same on both.
        regs.error_code = 0;
        stats::note_exception();
        signal::force(regs, SIGSEGV, SI_KERNEL, 0, GENERAL_PROTECTION, 0);
    } else if vector != UPCALL_VECTOR {
        if in_libos {
            crash::libos_fault(regs, cr2);
        }
        stats::note_exception();
        let (number, code, address) = signal_of(regs, vector);
        signal::force(regs, number, code, address, vector as u64, regs.error_code);
    }
    if vector == UPCALL_VECTOR && !in_libos {
        volume::watch::take_announced();
    }
    if !in_libos {
        super::return_to_program(regs, None);
    }
}

fn page_fault(regs: &mut Registers, cr2: u64, in_libos: bool) {
    let error = regs.error_code;
    let in_program_part = !(LIBOS_START..LIBOS_END).contains(&cr2);
    let attempt = Attempt {
        address: cr2,
        write: error & ERROR_WRITE != 0,
        execute: error & ERROR_FETCH != 0,
    };
    let served = if in_program_part {
        if current().space().is_held_here() {
            // The libOS touched program memory with the lock held: a bug.
            crash::libos_fault(regs, cr2);
        }
        fault::serve(&mut current().space().lock(), attempt)
    } else {
        Err(Fault::NotMapped)
    };
    if !in_libos {
        stats::note_page_fault();
    }
    let fault = match served {
        Ok(()) => return super::thread().counts.note_fault(),
        Err(fault) => fault,
    };
    if fault == Fault::OutOfMemory {
        match oom::ask(regs, cr2, in_libos) {
            oom::Outcome::Ends if !in_libos => oom::end_current(),
            // The copy fails, and the process ends on its way back.
            oom::Outcome::Ends if resume_copy(regs) => {}
            oom::Outcome::Ends => crash::libos_fault(regs, cr2),
            oom::Outcome::Again => {}
        }
        return;
    }
    if in_libos {
        if !resume_copy(regs) {
            crash::libos_fault(regs, cr2);
        }
        return;
    }
    let (number, code) = match fault {
        Fault::Denied => (SIGSEGV, 2),
        Fault::PastEnd => (SIGBUS, 2),
        Fault::NotMapped | Fault::OutOfMemory => (SIGSEGV, 1),
    };
    signal::force(regs, number, code, cr2, PAGE_FAULT_VECTOR as u64, error);
}

/// Whether the two-byte `int n` is at `rip`.
fn is_int_instruction(rip: u64) -> bool {
    user::read::<u8>(rip) == Ok(0xcd)
}

/// Ends a copy loop early when the trap came from one.
fn resume_copy(regs: &mut Registers) -> bool {
    let loops = [
        (
            (&raw const user_copy_fault).addr(),
            (&raw const user_copy_resume).addr(),
        ),
        (
            (&raw const user_zero_fault).addr(),
            (&raw const user_zero_resume).addr(),
        ),
        (
            (&raw const user_exchange_fault).addr(),
            (&raw const user_exchange_resume).addr(),
        ),
    ];
    match loops.iter().find(|(at, _)| *at as u64 == regs.rip) {
        Some((_, resume)) => {
            regs.rip = *resume as u64;
            true
        }
        None => false,
    }
}

/// Signal, si_code and si_addr of an exception, as Linux has them.
fn signal_of(regs: &Registers, vector: usize) -> (u32, i32, u64) {
    match vector {
        0 => (SIGFPE, 1, regs.rip),
        1 => (SIGTRAP, 2, regs.rip),
        3 => (SIGTRAP, SI_KERNEL, 0),
        6 => (SIGILL, 2, regs.rip),
        7 | 9 => (SIGFPE, SI_KERNEL, 0),
        11 | 12 => (SIGBUS, SI_KERNEL, 0),
        16 => (SIGFPE, floating_point_code(x87_status()), regs.rip),
        17 => (SIGBUS, 1, 0),
        19 => (SIGFPE, floating_point_code(simd_status()), regs.rip),
        _ => (SIGSEGV, SI_KERNEL, 0),
    }
}

/// Raised and unmasked x87 exceptions.
fn x87_status() -> u32 {
    let (mut status, mut control): (u16, u16) = (0, 0);
    // SAFETY: reads the program's x87 state without changing it.
    unsafe {
        core::arch::asm!("fnstsw [{}]", "fnstcw [{}]", in(reg) &mut status, in(reg) &mut control,
            options(nostack, preserves_flags));
    }
    u32::from(status & !control)
}

/// Raised and unmasked SSE exceptions.
fn simd_status() -> u32 {
    let mut mxcsr: u32 = 0;
    // SAFETY: reads the program's MXCSR without changing it.
    unsafe {
        core::arch::asm!("stmxcsr [{}]", in(reg) &mut mxcsr, options(nostack, preserves_flags));
    }
    mxcsr & !(mxcsr >> 7)
}

/// FPE_* of exception bits, in the order in which Linux looks at them.
fn floating_point_code(bits: u32) -> i32 {
    match bits {
        bits if bits & 0x01 != 0 => 7, // FPE_FLTINV
        bits if bits & 0x04 != 0 => 3, // FPE_FLTDIV
        bits if bits & 0x08 != 0 => 4, // FPE_FLTOVF
        bits if bits & 0x12 != 0 => 5, // FPE_FLTUND
        bits if bits & 0x20 != 0 => 6, // FPE_FLTRES
        _ => 0,
    }
}
