//! What ring 0 consists of: GDT, IDT, TSSs, stubs and prepared frames.
//!
//! Each is one page that nobody may write. A trap runs two to six instructions
//! in ring 0 and returns to the libOS:
//!
//! ```text
//! vector N    movabs $frame_N,%rsp; iretq
//! #PF         push %rax; mov %cr2,%rax; xchg %rax,(%rsp); movabs $frame_14,%rsp; iretq
//! syscall     mov %rsp,%gs:0x10; movabs $frame_syscall,%rsp; iretq
//! int 0x81    invlpg (%rax); iretq
//! int 0x82    mov %rax,%cr3; iretq
//! #UD         the same two if the instruction is one of the libOS's gates, else frame_6
//! ```
//!
//! The #UD stub knows the services because a software KVM (PVM) cannot deliver
//! `int N`: it raises #UD at the instruction instead. Each instruction in ring 0
//! costs 1 µs there, so the stub knows the gates by the lower half of their
//! address, and looks for the one that switches processes first. PVM also runs
//! the stub of `syscall` with ring 3's rights, so ring 3 may execute the stubs and
//! read the frames, which gains it nothing; neither does an instruction that the
//! CPU does not know at an address with such a lower half.
//!
//! All accessed and busy bits are set here, so the CPU never writes to them.

use unikiln_abi::call::PORT;
use unikiln_abi::image::{GATES, LibosHeader};
use unikiln_abi::layout::{
    EXCEPTION_VECTORS, FLUSH_PAGE_VECTOR, KERNEL_CODE_SELECTOR, LOAD_ROOT_VECTOR,
    PAGE_FAULT_VECTOR, USER_CODE_SELECTOR, USER_DATA_SELECTOR,
};
use unikiln_abi::vcpu::{CpuFrame, USER_RSP_OFFSET};
use unikiln_abi::{PAGE_BYTES, VCPUS_MAX};

use crate::layout::{FRAMES_GPA, PRIVILEGED_BASE, STUBS_GPA, TSS_GPA};

/// Selector of the first TSS; each takes two descriptors.
pub const TSS_SELECTOR: u16 = 0x40;
/// Bytes of the GDT.
pub const GDT_BYTES: usize = TSS_SELECTOR as usize + 16 * VCPUS_MAX;
/// Bytes of the IDT: up to the last `int` vector.
pub const IDT_BYTES: usize = (LOAD_ROOT_VECTOR as usize + 1) * 16;
/// TSS limit: the fixed part and the I/O bitmap's bytes up to one of ones.
pub const TSS_LIMIT: u32 = (TSS_FIXED_BYTES + IO_BITMAP_BYTES - 1) as u32;

const TSS_FIXED_BYTES: usize = 0x68;
const TSS_RSP0_OFFSET: usize = 4;
const TSS_IO_MAP_BASE_OFFSET: usize = 0x66;
const TSS_STRIDE: usize = 256;
/// Ports 0x00 to 0x3f and, as the CPU wants, a byte of ones behind them; the
/// limit denies all others.
const IO_BITMAP_BYTES: usize = 9;
const FRAME_BYTES: usize = size_of::<CpuFrame>();
/// The `syscall` frame follows those of the exceptions.
const SYSCALL_FRAME: usize = EXCEPTION_VECTORS;

/// The supervisor pages, ready to be copied.
#[derive(Debug)]
pub struct Privileged {
    /// Page at [`crate::layout::GDT_GPA`].
    pub gdt: Vec<u8>,
    /// Page at [`crate::layout::IDT_GPA`].
    pub idt: Vec<u8>,
    /// Page at [`TSS_GPA`].
    pub tss: Vec<u8>,
    /// Page at [`STUBS_GPA`].
    pub stubs: Vec<u8>,
    /// Page at [`FRAMES_GPA`].
    pub frames: Vec<u8>,
    /// Guest-virtual address of the `syscall` stub, for LSTAR.
    pub syscall_stub: u64,
}

impl Privileged {
    /// Builds all pages. `trap_stack_tops` holds one guest-virtual address per vCPU.
    pub fn new(header: &LibosHeader, trap_stack_tops: &[u64]) -> Self {
        let mut stubs = Assembler::new(PRIVILEGED_BASE + STUBS_GPA);
        let mut idt = vec![0; IDT_BYTES];
        for vector in 0..EXCEPTION_VECTORS {
            let stub = match vector {
                // push %rax; mov %cr2,%rax; xchg %rax,(%rsp)
                PAGE_FAULT_VECTOR => stubs.code(&[0x50, 0x0f, 0x20, 0xd0, 0x48, 0x87, 0x04, 0x24]),
                INVALID_OPCODE_VECTOR => stubs.services_by_gate(header.gates),
                _ => stubs.code(&[]),
            };
            stubs.return_through(vector);
            // Breakpoint and overflow are instructions that ring 3 may execute.
            set_gate(&mut idt, vector, stub, matches!(vector, 3 | 4));
        }
        // mov %rsp,%gs:USER_RSP_OFFSET
        let syscall_stub = stubs.code(&[0x65, 0x48, 0x89, 0x24, 0x25]);
        stubs.code(&(USER_RSP_OFFSET as u32).to_le_bytes());
        stubs.return_through(SYSCALL_FRAME);
        for (vector, code) in SERVICES {
            let stub = stubs.code(code);
            stubs.code(&IRETQ);
            set_gate(&mut idt, usize::from(vector), stub, true);
        }

        let frames = header
            .trap_entries
            .iter()
            .take(EXCEPTION_VECTORS)
            .chain([&header.syscall_entry])
            .flat_map(|&entry| {
                let (cs, ss) = (USER_CODE_SELECTOR.into(), USER_DATA_SELECTOR.into());
                [entry, cs, RFLAGS_RESERVED, 0, ss]
            })
            .flat_map(u64::to_le_bytes)
            .collect();
        Self {
            gdt: gdt(trap_stack_tops.len()),
            idt,
            tss: trap_stack_tops.iter().flat_map(|&top| tss(top)).collect(),
            stubs: stubs.bytes,
            frames,
            syscall_stub,
        }
    }
}

/// What ring 3 asks of ring 0 by `int`, as [`LibosHeader::gates`] has it.
const SERVICES: [(u8, &[u8]); GATES] = [
    // invlpg (%rax)
    (FLUSH_PAGE_VECTOR, &[0x0f, 0x01, 0x38]),
    // mov %rax,%cr3
    (LOAD_ROOT_VECTOR, &[0x0f, 0x22, 0xd8]),
];

const INVALID_OPCODE_VECTOR: usize = 6;

/// RFLAGS with nothing set: bit 1 always is.
pub const RFLAGS_RESERVED: u64 = 2;

const IRETQ: [u8; 2] = [0x48, 0xcf];

/// Guest-virtual address of a vCPU's TSS.
pub fn tss_address(vcpu: usize) -> u64 {
    PRIVILEGED_BASE + TSS_GPA + (vcpu * TSS_STRIDE) as u64
}

/// Lays machine code out at a known address.
struct Assembler {
    base: u64,
    bytes: Vec<u8>,
}

impl Assembler {
    fn new(base: u64) -> Self {
        Self {
            base,
            bytes: Vec::with_capacity(1024),
        }
    }

    /// Appends code and returns its address.
    fn code(&mut self, code: &[u8]) -> u64 {
        let address = self.base + self.bytes.len() as u64;
        self.bytes.extend_from_slice(code);
        address
    }

    /// Serves what a gate asks where the CPU raised #UD for it; falls through with
    /// all registers as they were for any other instruction.
    fn services_by_gate(&mut self, gates: [u64; GATES]) -> u64 {
        let stub = self.code(&[]);
        for (gate, (_, code)) in gates.into_iter().zip(SERVICES).rev() {
            // code; addq $2,(%rsp); iretq
            let body = [code, &[0x48, 0x83, 0x04, 0x24, 0x02], &IRETQ].concat();
            // cmpl $lower_half,(%rsp); jne over
            self.code(&[0x81, 0x3c, 0x24]);
            self.code(&(gate as u32).to_le_bytes());
            self.code(&[0x75, body.len() as u8]);
            self.code(&body);
        }
        stub
    }

    /// movabs $frame,%rsp; iretq
    fn return_through(&mut self, frame: usize) {
        let address = PRIVILEGED_BASE + FRAMES_GPA + (frame * FRAME_BYTES) as u64;
        self.code(&[0x48, 0xbc]);
        self.code(&address.to_le_bytes());
        self.code(&IRETQ);
    }
}

/// 64-bit interrupt gate.
fn set_gate(idt: &mut [u8], vector: usize, handler: u64, from_ring3: bool) {
    let attributes: u64 = if from_ring3 { 0xee00 } else { 0x8e00 };
    let low = (handler & 0xffff)
        | (u64::from(KERNEL_CODE_SELECTOR) << 16)
        | (attributes << 32)
        | ((handler >> 16 & 0xffff) << 48);
    let gate = (u128::from(handler >> 32) << 64) | u128::from(low);
    if let Some(slot) = idt.chunks_exact_mut(16).nth(vector) {
        slot.copy_from_slice(&gate.to_le_bytes());
    }
}

fn gdt(vcpu_count: usize) -> Vec<u8> {
    let mut entries: Vec<u64> = vec![
        0,
        0,
        0x00af_9b00_0000_ffff, // 0x10 ring-0 code
        0x00cf_9300_0000_ffff, // 0x18 ring-0 data
        0,
        0x00cf_f300_0000_ffff, // 0x28 ring-3 data
        0x00af_fb00_0000_ffff, // 0x30 ring-3 64-bit code
        0,
    ];
    for vcpu in 0..vcpu_count {
        let base = tss_address(vcpu);
        entries.push(
            u64::from(TSS_LIMIT)
                | ((base & 0x00ff_ffff) << 16)
                | (0x8b << 40) // present, busy 64-bit TSS
                | ((base >> 24 & 0xff) << 56),
        );
        entries.push(base >> 32);
    }
    entries.into_iter().flat_map(u64::to_le_bytes).collect()
}

/// One TSS: RSP0 and the bitmap that opens the hypercall port alone.
fn tss(trap_stack_top: u64) -> [u8; TSS_STRIDE] {
    let mut bytes = [0; TSS_STRIDE];
    let mut put = |offset: usize, value: &[u8]| {
        for (slot, &byte) in bytes.iter_mut().skip(offset).zip(value) {
            *slot = byte;
        }
    };
    put(TSS_RSP0_OFFSET, &trap_stack_top.to_le_bytes());
    put(
        TSS_IO_MAP_BASE_OFFSET,
        &(TSS_FIXED_BYTES as u16).to_le_bytes(),
    );
    // A 4-byte `out` needs the bits of four ports.
    let bitmap = !(0xfu64 << PORT);
    put(TSS_FIXED_BYTES, &bitmap.to_le_bytes());
    put(TSS_FIXED_BYTES + 8, &[0xff]);
    bytes
}

const _: () = assert!(PORT <= 60);
const _: () = assert!(VCPUS_MAX * TSS_STRIDE <= PAGE_BYTES as usize);
const _: () = assert!(TSS_FIXED_BYTES + IO_BITMAP_BYTES <= TSS_STRIDE);
const _: () = assert!(GDT_BYTES + IDT_BYTES <= PAGE_BYTES as usize);

#[cfg(test)]
mod tests {
    use super::*;
    use unikiln_abi::layout::TRAP_ENTRIES;

    fn header() -> LibosHeader {
        LibosHeader {
            magic: 0,
            abi_version: 0,
            header_bytes: 0,
            entry: 0,
            boot_stack_top: 0,
            syscall_entry: 0x6880_0000_5000,
            trap_entries: [0x6880_0000_1000; TRAP_ENTRIES],
            text_start: 0,
            text_end: 0,
            gates: [0x6880_0000_5100, 0x6880_0000_5110],
        }
    }

    #[test]
    fn every_page_fits_and_gates_point_at_stubs() {
        let pages = Privileged::new(&header(), &[0x6800_0000_9000]);
        for page in [
            &pages.gdt,
            &pages.idt,
            &pages.tss,
            &pages.stubs,
            &pages.frames,
        ] {
            assert!(page.len() <= PAGE_BYTES as usize);
        }
        let stubs = PRIVILEGED_BASE + STUBS_GPA;
        for vector in (0..EXCEPTION_VECTORS).chain([0x81, 0x82]) {
            let gate = &pages.idt[vector * 16..][..16];
            let gate = u128::from_le_bytes(gate.try_into().unwrap());
            let handler =
                (gate & 0xffff) | (gate >> 48 & 0xffff) << 16 | (gate >> 64 & 0xffff_ffff) << 32;
            let offset = (handler as u64).checked_sub(stubs).unwrap() as usize;
            assert!(offset < pages.stubs.len(), "vector {vector}");
            let dpl = gate >> 45 & 3;
            assert_eq!(
                dpl == 3,
                matches!(vector, 3 | 4 | 0x81..),
                "vector {vector}"
            );
        }
        assert_eq!(pages.idt[0x80 * 16..0x81 * 16], [0; 16]);
    }

    #[test]
    fn the_bitmap_opens_one_port_only() {
        let tss = tss(0x1234);
        let open: Vec<usize> = (0..IO_BITMAP_BYTES * 8)
            .filter(|port| tss[TSS_FIXED_BYTES + port / 8] & (1 << (port % 8)) == 0)
            .collect();
        assert_eq!(open, [0x10, 0x11, 0x12, 0x13]);
        assert_eq!(tss[4..12], 0x1234u64.to_le_bytes());
    }
}
