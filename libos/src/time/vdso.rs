//! The vDSO: a shared object inside the libOS image whose functions read the
//! shared page. It runs as the program's own code, on the program's stack.
//!
//! The image is laid out by the assembler, not by a linker: one PT_LOAD, one
//! PT_DYNAMIC, a SysV hash table with a single chain, five versioned symbols.
//! Its text is two-instruction stubs that jump to the functions below.
//! Source: vdso(7), the ELF gABI, glibc's and Go's lookups.
#![expect(
    unsafe_code,
    reason = "writes through the program's pointers as the program"
)]

use core::arch::{asm, global_asm};

use unikiln_abi::vcpu::SYSCALL_ENTRY_OFFSET;

use super::{Clock, SECOND_NS, now};

global_asm!(
    ".section .vdso, \"ax\"",
    ".balign 4096",
    ".globl vdso_image",
    "vdso_image:",
    // ELF header
    ".byte 0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0",
    ".quad 0",
    ".short 3, 62",
    ".long 1",
    ".quad 0",
    ".quad 10f - vdso_image",
    ".quad 0",
    ".long 0",
    ".short 64, 56, 2, 64, 0, 0",
    // Program headers
    "10:",
    ".long 1, 5",
    ".quad 0, 0, 0",
    ".quad vdso_end - vdso_image",
    ".quad vdso_end - vdso_image",
    ".quad 4096",
    ".long 2, 4",
    ".quad 20f - vdso_image, 20f - vdso_image, 20f - vdso_image",
    ".quad 21f - 20f",
    ".quad 21f - 20f",
    ".quad 8",
    // Dynamic section
    ".balign 8",
    "20:",
    ".quad 4, 30f - vdso_image",
    ".quad 5, 50f - vdso_image",
    ".quad 6, 40f - vdso_image",
    ".quad 10, 51f - 50f",
    ".quad 11, 24",
    ".quad 14, 56f - 50f",
    ".quad 0x6ffffff0, 60f - vdso_image",
    ".quad 0x6ffffffc, 70f - vdso_image",
    ".quad 0x6ffffffd, 2",
    ".quad 0, 0",
    "21:",
    // SysV hash: one bucket, a chain through all symbols
    "30:",
    ".long 1, 6, 1",
    ".long 0, 2, 3, 4, 5, 0",
    ".balign 8",
    // Symbols
    "40:",
    ".quad 0, 0, 0",
    ".long 52f - 50f", ".byte 0x12, 0", ".short 1", ".quad 80f - vdso_image, 16",
    ".long 53f - 50f", ".byte 0x12, 0", ".short 1", ".quad 81f - vdso_image, 16",
    ".long 54f - 50f", ".byte 0x12, 0", ".short 1", ".quad 82f - vdso_image, 16",
    ".long 55f - 50f", ".byte 0x12, 0", ".short 1", ".quad 83f - vdso_image, 16",
    ".long 57f - 50f", ".byte 0x12, 0", ".short 1", ".quad 84f - vdso_image, 16",
    // Strings
    "50:",
    ".byte 0",
    "52:", ".asciz \"__vdso_clock_gettime\"",
    "53:", ".asciz \"__vdso_gettimeofday\"",
    "54:", ".asciz \"__vdso_time\"",
    "55:", ".asciz \"__vdso_clock_getres\"",
    "57:", ".asciz \"__vdso_getcpu\"",
    "56:", ".asciz \"linux-vdso.so.1\"",
    "58:", ".asciz \"LINUX_2.6\"",
    "51:",
    ".balign 2",
    // Version of each symbol
    "60:",
    ".short 0, 2, 2, 2, 2, 2",
    ".balign 8",
    // Version definitions: the object itself, then LINUX_2.6
    "70:",
    ".short 1, 1, 1, 1", ".long 0x0963cf85, 20, 28", ".long 56b - 50b, 0",
    ".short 1, 0, 2, 1", ".long 0x03ae75f6, 20, 0", ".long 58b - 50b, 0",
    // Text
    ".balign 16",
    "80:", "lea rax, [rip + {clock_gettime}]", "jmp rax",
    ".balign 16",
    "81:", "lea rax, [rip + {gettimeofday}]", "jmp rax",
    ".balign 16",
    "82:", "lea rax, [rip + {time}]", "jmp rax",
    ".balign 16",
    "83:", "lea rax, [rip + {clock_getres}]", "jmp rax",
    ".balign 16",
    "84:", "lea rax, [rip + {getcpu}]", "jmp rax",
    ".balign 16",
    "vdso_end:",
    ".text",
    clock_gettime = sym vdso_clock_gettime,
    gettimeofday = sym vdso_gettimeofday,
    time = sym vdso_time,
    clock_getres = sym vdso_clock_getres,
    getcpu = sym vdso_getcpu,
);

unsafe extern "C" {
    static vdso_image: u8;
}

/// Address of the image, for AT_SYSINFO_EHDR.
pub fn image_address() -> u64 {
    (&raw const vdso_image).addr() as u64
}

/// The system call itself, for what the shared page cannot answer.
fn system_call(number: u64, first: u64, second: u64) -> i64 {
    let result: i64;
    // SAFETY: an ordinary system call of the program, with its own arguments, by
    // the direct entry. None that the vDSO makes starts again after a signal.
    unsafe {
        asm!("lea rcx, [rip + 2f]", "jmp gs:[{entry}]", "2:", entry = const SYSCALL_ENTRY_OFFSET,
             inlateout("rax") number => result, in("rdi") first, in("rsi") second,
             out("rcx") _, out("r11") _);
    }
    result
}

fn clock_of(id: i32) -> Option<Clock> {
    match id {
        0 | 5 => Some(Clock::Realtime),
        1 | 4 | 6 => Some(Clock::Monotonic),
        7 => Some(Clock::Boottime),
        _ => None,
    }
}

extern "C" fn vdso_clock_gettime(id: i32, time: *mut [i64; 2]) -> i32 {
    let Some(clock) = clock_of(id) else {
        return system_call(228, id as u64, time.expose_provenance() as u64) as i32;
    };
    let ns = now(clock);
    // SAFETY: the program's pointer, written as the program: a bad one faults
    // there (SIGSEGV), as with Linux's vDSO.
    unsafe { time.write_unaligned([(ns / SECOND_NS) as i64, (ns % SECOND_NS) as i64]) };
    0
}

extern "C" fn vdso_gettimeofday(time: *mut [i64; 2], zone: *mut [i32; 2]) -> i32 {
    if !time.is_null() {
        let ns = now(Clock::Realtime);
        let value = [(ns / SECOND_NS) as i64, (ns % SECOND_NS / 1000) as i64];
        // SAFETY: as in `vdso_clock_gettime`.
        unsafe { time.write_unaligned(value) };
    }
    if !zone.is_null() {
        // SAFETY: as in `vdso_clock_gettime`.
        unsafe { zone.write_unaligned([0, 0]) };
    }
    0
}

extern "C" fn vdso_time(seconds: *mut i64) -> i64 {
    let value = (now(Clock::Realtime) / SECOND_NS) as i64;
    if !seconds.is_null() {
        // SAFETY: as in `vdso_clock_gettime`.
        unsafe { seconds.write_unaligned(value) };
    }
    value
}

extern "C" fn vdso_clock_getres(id: i32, time: *mut [i64; 2]) -> i32 {
    if clock_of(id).is_none() {
        return system_call(229, id as u64, time.expose_provenance() as u64) as i32;
    }
    if !time.is_null() {
        let value = [0, super::resolution_ns() as i64];
        // SAFETY: as in `vdso_clock_gettime`.
        unsafe { time.write_unaligned(value) };
    }
    0
}

extern "C" fn vdso_getcpu(cpu: *mut u32, node: *mut u32) -> i32 {
    if !cpu.is_null() {
        // SAFETY: as in `vdso_clock_gettime`.
        unsafe { cpu.write_unaligned(crate::arch::vcpu_index() as u32) };
    }
    if !node.is_null() {
        // SAFETY: as in `vdso_clock_gettime`.
        unsafe { node.write_unaligned(0) };
    }
    0
}
