//! The register frame that every entry into the libOS leaves on its stack.

/// Registers of the interrupted program, from the lowest address of the frame.
///
/// The last five words are what `iretq` takes. The entry code in
/// `arch/entry.rs` builds and unwinds exactly this layout.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
#[allow(missing_docs, reason = "names are the architecture's")]
pub struct Registers {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    /// System-call number or trap vector.
    pub origin: u64,
    pub error_code: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

const _: () = assert!(core::mem::size_of::<Registers>() == 22 * 8);
const _: () = assert!(core::mem::offset_of!(Registers, rip) == 17 * 8);
