//! Everything that is x86-64: entries, the per-vCPU block, FS base, extended
//! state, the switch between threads, TLB flushes, the `out` of a hypercall.
//!
//! This is a home of unsafe code; the functions it exports are safe where the
//! contract of `unikiln_abi` makes them so. Compiled for the host (unit tests),
//! only [`Registers`] and harmless stand-ins are there.

#[cfg(target_os = "none")]
mod entry;

#[cfg(target_os = "none")]
#[path = "cpu.rs"]
mod cpu;

#[cfg(not(target_os = "none"))]
#[path = "host.rs"]
mod cpu;

pub mod context;
mod registers;

pub use cpu::{
    cpu_block, current_thread, direct_entry, flush_page, fs_base, hypercall_out, idle_hint,
    load_root, program_registers, program_sp, rdtsc, reset_floating_point, set_current_thread,
    set_fs_base, set_kernel_stack, switch_to_program, vcpu_index, xrstor, xsave,
};
#[cfg(target_os = "none")]
pub use cpu::{image_end, image_start, kernel_stack, stack_bounds, text_bounds};
pub use registers::Registers;
