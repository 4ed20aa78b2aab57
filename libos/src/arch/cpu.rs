//! The vCPU as the libOS sees it: its block behind GS, FS base, extended state,
//! flushes, and the two functions that the entry code calls.
#![expect(
    unsafe_code,
    reason = "instructions and the per-vCPU block have no safe form"
)]

use core::arch::asm;
use core::cell::UnsafeCell;

use unikiln_abi::call::PORT;
use unikiln_abi::layout::LIBOS_IMAGE_BASE;
use unikiln_abi::vcpu::SYSCALL_ENTRY_OFFSET;

use super::Registers;

/// Offset in the vCPU block: top of the running thread's libOS stack.
pub(super) const STACK_TOP_OFFSET: usize = 0x20;
/// Lowest address of the same.
pub(super) const STACK_BOTTOM_OFFSET: usize = 0x28;
/// RAX while a trap entry picks its stack.
pub(super) const SCRATCH_RAX_OFFSET: usize = 0x30;
/// Vector while a trap entry picks its stack.
pub(super) const SCRATCH_VECTOR_OFFSET: usize = 0x38;

/// Address of the running thread's structure; 0 in the idle loop and before the first.
const THREAD_OFFSET: usize = 0x40;

/// Bytes of the stack that reports a stack that ran over.
pub(super) const EMERGENCY_STACK_BYTES: usize = 32 << 10;

/// See [`EMERGENCY_STACK_BYTES`].
#[repr(C, align(16))]
pub(super) struct EmergencyStack(UnsafeCell<[u8; EMERGENCY_STACK_BYTES]>);

// SAFETY: only the trap entry writes to it, and what runs on it never returns.
unsafe impl Sync for EmergencyStack {}

pub(super) static EMERGENCY_STACK: EmergencyStack =
    EmergencyStack(UnsafeCell::new([0; EMERGENCY_STACK_BYTES]));

unsafe extern "C" {
    static libos_stack_bottom: u8;
    static libos_stack_top: u8;
    static libos_text_start: u8;
    static libos_text_end: u8;
    static libos_image_end: u8;
    fn syscall_direct_entry();
    fn switch_to_program_asm(regs: *const Registers) -> !;
}

/// Reads a u64 of this vCPU's block.
fn gs_read(offset: usize) -> u64 {
    let value;
    // SAFETY: GS base points at the vCPU block for the guest's whole life (the
    // program is told that FSGSBASE is absent), and `offset` is one of ours.
    unsafe {
        asm!("mov {}, gs:[{}]", out(reg) value, in(reg) offset, options(nostack, readonly, preserves_flags));
    }
    value
}

/// Writes a u64 of this vCPU's block.
fn gs_write(offset: usize, value: u64) {
    // SAFETY: as `gs_read`; the words written are the libOS's own.
    unsafe {
        asm!("mov gs:[{}], {}", in(reg) offset, in(reg) value, options(nostack, preserves_flags));
    }
}

/// Address of this vCPU's block.
pub fn cpu_block() -> u64 {
    gs_read(0)
}

/// Index of this vCPU.
pub fn vcpu_index() -> usize {
    gs_read(0x18) as usize
}

/// Address of the running thread's structure, as [`set_current_thread`] left it.
pub fn current_thread() -> usize {
    gs_read(THREAD_OFFSET) as usize
}

/// Names the running thread's structure; 0 is the idle loop.
pub fn set_current_thread(address: usize) {
    gs_write(THREAD_OFFSET, address as u64);
}

/// The program's registers at the system call or trap being served.
pub fn program_registers() -> Registers {
    let frame = gs_read(STACK_TOP_OFFSET) as usize - size_of::<Registers>();
    // SAFETY: an entry from the program builds its frame at the very top of the
    // thread's libOS stack, and it stays there until the way back.
    unsafe { core::ptr::with_exposed_provenance::<Registers>(frame).read() }
}

/// The program's stack pointer at the system call being served.
pub fn program_sp() -> u64 {
    program_registers().rsp
}

/// Sets the libOS stack of the thread that this vCPU runs, and the direct entry.
pub fn set_kernel_stack(bottom: u64, top: u64) {
    gs_write(STACK_BOTTOM_OFFSET, bottom);
    gs_write(STACK_TOP_OFFSET, top);
    gs_write(SYSCALL_ENTRY_OFFSET, direct_entry());
}

/// The running thread's libOS stack: its lowest address, its top.
pub fn kernel_stack() -> (u64, u64) {
    (gs_read(STACK_BOTTOM_OFFSET), gs_read(STACK_TOP_OFFSET))
}

/// Where bound sites enter.
pub fn direct_entry() -> u64 {
    syscall_direct_entry as *const () as u64
}

/// Bounds of the boot stack, which is the first thread's libOS stack.
pub fn stack_bounds() -> (u64, u64) {
    (
        (&raw const libos_stack_bottom).addr() as u64,
        (&raw const libos_stack_top).addr() as u64,
    )
}

/// Bounds of the libOS text.
pub fn text_bounds() -> (u64, u64) {
    (
        (&raw const libos_text_start).addr() as u64,
        (&raw const libos_text_end).addr() as u64,
    )
}

/// First address of the libOS image.
pub fn image_start() -> u64 {
    LIBOS_IMAGE_BASE
}

/// First address after the libOS image.
pub fn image_end() -> u64 {
    (&raw const libos_image_end).addr() as u64
}

/// The time-stamp counter.
pub fn rdtsc() -> u64 {
    // SAFETY: reads a counter; CR4.TSD is clear.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Tells the CPU that this is a wait loop.
pub fn idle_hint() {
    core::hint::spin_loop();
}

/// The program's FS base.
pub fn fs_base() -> u64 {
    let base;
    // SAFETY: CR4.FSGSBASE is set by the monitor; FS belongs to the program.
    unsafe { asm!("rdfsbase {}", out(reg) base, options(nomem, nostack, preserves_flags)) }
    base
}

/// Sets the program's FS base, a canonical address of the lower half.
pub fn set_fs_base(base: u64) {
    // SAFETY: as `fs_base`; the libOS itself never uses FS.
    unsafe { asm!("wrfsbase {}", in(reg) base, options(nomem, nostack, preserves_flags)) }
}

/// Gives the x87 and SSE control words the values that a program starts with.
pub fn reset_floating_point() {
    let mxcsr: u32 = 0x1f80;
    // SAFETY: the state belongs to the program, and a new one is about to start.
    unsafe {
        asm!("fninit", "ldmxcsr [{}]", in(reg) &raw const mxcsr, options(nostack, readonly));
    }
}

/// Leaves the libOS for the state in `regs`.
pub fn switch_to_program(regs: &Registers) -> ! {
    // SAFETY: `regs` is a complete frame; what it may hold is the program's
    // business, as every selector in it is ring 3's (iretq faults otherwise).
    unsafe { switch_to_program_asm(regs) }
}

/// Hands the call number to the monitor; arguments are in the call page.
pub fn hypercall_out(number: u32) {
    // SAFETY: the TSS opens this one port; the monitor changes guest memory only
    // as `unikiln_abi::call` says, hence no `nomem`.
    unsafe {
        asm!("out {port}, eax", port = const PORT as u8, in("eax") number, options(nostack, preserves_flags))
    }
}

/// Flushes the translation of one page.
pub fn flush_page(address: u64) {
    // SAFETY: the gate runs `invlpg (%rax)` in ring 0 and changes no register.
    unsafe { asm!("call libos_gate_flush_page", in("rax") address, options(preserves_flags)) }
}

/// Uses a page-table root and forgets all translations: `gpa` is one that `mm::pagetable`
/// made, and so shows the libOS as all others do.
pub fn load_root(gpa: u64) {
    // SAFETY: the gate loads CR3 from RAX in ring 0 and changes no register.
    unsafe { asm!("call libos_gate_load_root", in("rax") gpa, options(preserves_flags)) }
}

/// Saves the extended state of `mask` into `area` (64-byte aligned, large enough
/// for XCR0 in the standard format).
///
/// # Safety
/// `area` is writable for the XSAVE size that the boot information names, and
/// its XSAVE header was zeroed.
pub unsafe fn xsave(area: *mut u8, mask: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("xsave64 [{}]", in(reg) area, in("eax") mask as u32, in("edx") (mask >> 32) as u32, options(nostack));
    }
}

/// Loads the extended state of `mask` from `area`.
///
/// # Safety
/// `area` is a readable XSAVE image whose header and MXCSR are valid (a bad one
/// raises #GP inside the libOS).
pub unsafe fn xrstor(area: *const u8, mask: u64) {
    // SAFETY: the caller's promise; the libOS holds nothing in vector registers.
    unsafe {
        asm!("xrstor64 [{}]", in(reg) area, in("eax") mask as u32, in("edx") (mask >> 32) as u32, options(nostack));
    }
}

/// Called by `trap_common` with the interrupted registers.
pub(super) extern "C" fn handle_trap(regs: *mut Registers, cr2: u64) {
    // SAFETY: the entry code built the frame on this stack just below us, and
    // nothing else refers to it until it is popped.
    let regs = unsafe { &mut *regs };
    crate::process::trap::handle(regs, cr2);
}

/// Called by the entry of trapped system calls.
pub(super) extern "C" fn handle_trapped_syscall(regs: *mut Registers) {
    // SAFETY: as `handle_trap`.
    let regs = unsafe { &mut *regs };
    crate::stats::note_trapped_syscall();
    crate::syscall::dispatch(regs);
}

/// Called by the entry of direct system calls; true asks for a full restore.
pub(super) extern "C" fn handle_direct_syscall(regs: *mut Registers) -> bool {
    // SAFETY: as `handle_trap`.
    let regs = unsafe { &mut *regs };
    crate::stats::note_direct_syscall();
    crate::syscall::dispatch(regs)
}
