//! The per-vCPU block: one page, GS base points at it from the first instruction.
//!
//! ```text
//! 0x000  fields below, the libOS's scratch, free for it up to 0xf00
//! 0xf00  trap stack, grows down from 0x1000 (TSS.RSP0)
//! 0xfc8  CR2 (page faults only, stored by the ring-0 stub)
//! 0xfd0  error code, where the vector has one
//! 0xfd8  RIP, CS, RFLAGS, RSP, SS as the CPU pushed them
//! ```
//!
//! The ring-0 stub of a trap switches to a prepared frame and returns to the
//! libOS's ring-3 entry; the CPU's frame stays readable here until the next
//! trap on this vCPU. The monitor delivers an upcall by writing the same frame
//! itself. After a `syscall` instruction RCX and R11 hold RIP and RFLAGS, and
//! the stub has stored RSP at [`USER_RSP_OFFSET`].

use core::mem::{offset_of, size_of};

/// Offset of [`VcpuBlock::syscall_entry`], the target of rewritten `syscall` sites.
pub const SYSCALL_ENTRY_OFFSET: usize = 0x8;
/// Offset of [`VcpuBlock::user_rsp`].
pub const USER_RSP_OFFSET: usize = 0x10;
/// Offset of the CR2 slot.
pub const CR2_OFFSET: usize = 0xfc8;
/// Offset of the error code.
pub const ERROR_CODE_OFFSET: usize = 0xfd0;
/// Offset of the CPU's frame.
pub const CPU_FRAME_OFFSET: usize = 0xfd8;
/// Offset of the top of the trap stack: TSS.RSP0.
pub const TRAP_STACK_TOP_OFFSET: usize = 0x1000;

/// What the CPU pushes on a trap, from its lowest address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct CpuFrame {
    /// Interrupted instruction.
    pub rip: u64,
    /// Code selector.
    pub cs: u64,
    /// Flags.
    pub rflags: u64,
    /// Stack pointer.
    pub rsp: u64,
    /// Stack selector.
    pub ss: u64,
}

/// See the module documentation.
#[derive(Clone, Copy)]
#[repr(C, align(4096))]
pub struct VcpuBlock {
    /// Guest-virtual address of this block. Set by the monitor.
    pub self_address: u64,
    /// Where rewritten `syscall` sites jump. Set by the libOS.
    pub syscall_entry: u64,
    /// RSP at the last trapped `syscall`.
    pub user_rsp: u64,
    /// Index of this vCPU. Set by the monitor.
    pub index: u64,
    /// The libOS's own.
    pub libos: [u64; 476],
    /// Trap stack below the CPU's frame.
    pub trap_stack: [u64; 25],
    /// Faulting address of the last page fault.
    pub cr2: u64,
    /// Error code of the last trap that has one.
    pub error_code: u64,
    /// The CPU's frame of the last trap.
    pub frame: CpuFrame,
}

const _: () = assert!(size_of::<CpuFrame>() == 40);
const _: () = assert!(size_of::<VcpuBlock>() == 4096);
const _: () = assert!(offset_of!(VcpuBlock, syscall_entry) == SYSCALL_ENTRY_OFFSET);
const _: () = assert!(offset_of!(VcpuBlock, user_rsp) == USER_RSP_OFFSET);
const _: () = assert!(offset_of!(VcpuBlock, trap_stack) == 0xf00);
const _: () = assert!(offset_of!(VcpuBlock, cr2) == CR2_OFFSET);
const _: () = assert!(offset_of!(VcpuBlock, error_code) == ERROR_CODE_OFFSET);
const _: () = assert!(offset_of!(VcpuBlock, frame) == CPU_FRAME_OFFSET);
