//! Stand-ins for unit tests on the host: no vCPU, no traps.

use super::Registers;

/// No block on the host.
pub fn cpu_block() -> u64 {
    0
}
/// One vCPU.
pub fn vcpu_index() -> usize {
    0
}
/// No program.
pub fn program_sp() -> u64 {
    0
}
/// No program.
pub fn program_registers() -> Registers {
    Registers::default()
}
/// Unit tests have the first thread only.
pub fn current_thread() -> usize {
    0
}
/// See [`current_thread`].
pub fn set_current_thread(_address: usize) {}
/// No entry.
pub fn direct_entry() -> u64 {
    u64::MAX
}
/// No libOS stacks.
pub fn set_kernel_stack(_bottom: u64, _top: u64) {}
/// A counter that moves.
pub fn rdtsc() -> u64 {
    use core::sync::atomic::{AtomicU64, Ordering};
    static TICKS: AtomicU64 = AtomicU64::new(1);
    TICKS.fetch_add(1000, Ordering::Relaxed)
}
/// See the real one.
pub fn idle_hint() {
    core::hint::spin_loop();
}
/// No program.
pub fn fs_base() -> u64 {
    0
}
/// No program.
pub fn set_fs_base(_base: u64) {}
/// No program.
pub fn reset_floating_point() {}
/// There is no program to go to.
pub fn switch_to_program(_regs: &Registers) -> ! {
    unreachable!("host build has no program")
}
/// No monitor: the status stays as it is.
pub fn hypercall_out(_number: u32) {}
/// Nothing to flush.
pub fn flush_page(_address: u64) {}
/// Nothing to flush.
/// No page tables.
pub fn load_root(_gpa: u64) {}
/// Nothing to save.
///
/// # Safety
/// None needed here.
#[expect(unsafe_code, reason = "same signature as the real one")]
pub unsafe fn xsave(_area: *mut u8, _mask: u64) {}
/// Nothing to load.
///
/// # Safety
/// None needed here.
#[expect(unsafe_code, reason = "same signature as the real one")]
pub unsafe fn xrstor(_area: *const u8, _mask: u64) {}
