//! The crash record of a fault that the monitor found.
//!
//! The libOS writes its own records; this one is for what the libOS cannot see
//! or survive. It goes to the log as the monitor's text, one fact a line.

use std::fmt::Write;

use unikiln_abi::image::LibosHeader;
use unikiln_abi::layout::{DIRECT_MAP_BASE, LIBOS_END, LIBOS_IMAGE_BASE, LIBOS_STACKS_BASE};
use unikiln_abi::vcpu::{CPU_FRAME_OFFSET, CR2_OFFSET, CpuFrame, ERROR_CODE_OFFSET};

use crate::fault::GuestFault;
use crate::layout::{PRIVILEGED_BASE, PRIVILEGED_END_GPA};
use crate::loader::vcpu_block_gpa;
use crate::memory::GuestMemory;
use crate::vcpu::Vcpu;

/// RIP of a CPU after its reset.
const RESET_RIP: u64 = 0xfff0;

/// Words a record.
pub fn crash_record(
    fault: &GuestFault,
    vcpu: &Vcpu,
    header: &LibosHeader,
    memory: &GuestMemory,
) -> String {
    let mut text = format!("unikiln: guest fault: {fault}\n");
    match vcpu.regs() {
        // SVM leaves no state behind a triple fault, so KVM resets the vCPU.
        Ok(regs) if regs.rip == RESET_RIP => {
            text.push_str("  no registers: this CPU loses them in a triple fault\n");
        }
        Ok(regs) => {
            let place = place(regs.rip, header);
            let _ = writeln!(text, "  rip {:016x} in {place}", regs.rip);
            for row in [
                [("rax", regs.rax), ("rbx", regs.rbx), ("rcx", regs.rcx)],
                [("rdx", regs.rdx), ("rsi", regs.rsi), ("rdi", regs.rdi)],
                [("rbp", regs.rbp), ("rsp", regs.rsp), ("r8 ", regs.r8)],
                [("r9 ", regs.r9), ("r10", regs.r10), ("r11", regs.r11)],
                [("r12", regs.r12), ("r13", regs.r13), ("r14", regs.r14)],
                [("r15", regs.r15), ("flg", regs.rflags), ("   ", 0)],
            ] {
                write_row(&mut text, &row);
            }
        }
        Err(error) => {
            let _ = writeln!(text, "  no registers: {error}");
        }
    }
    write_last_trap(&mut text, memory, header, vcpu.index());
    if let Ok(sregs) = vcpu.sregs() {
        write_row(
            &mut text,
            &[
                ("cr2", sregs.cr2),
                ("cr3", sregs.cr3),
                ("cs ", sregs.cs.selector.into()),
            ],
        );
        write_row(
            &mut text,
            &[
                ("fs ", sregs.fs.base),
                ("gs ", sregs.gs.base),
                ("ss ", sregs.ss.selector.into()),
            ],
        );
    }
    text
}

/// The frame that the CPU pushed last: how the libOS was entered.
fn write_last_trap(text: &mut String, memory: &GuestMemory, header: &LibosHeader, vcpu: u32) {
    let block_gpa = vcpu_block_gpa(vcpu);
    let Ok(frame) = memory.read_plain::<CpuFrame>(block_gpa + CPU_FRAME_OFFSET as u64) else {
        return;
    };
    let at = |offset: usize| {
        let mut bytes = [0u8; 8];
        if let Ok(slice) = memory.slice(block_gpa + offset as u64, 8) {
            slice.copy_to(&mut bytes);
        }
        u64::from_le_bytes(bytes)
    };
    let _ = writeln!(
        text,
        "  last trap: rip {:016x} in {}, rsp {:016x}, error code {:x}, last page fault at {:016x}",
        frame.rip,
        place(frame.rip, header),
        frame.rsp,
        at(ERROR_CODE_OFFSET),
        at(CR2_OFFSET),
    );
}

fn write_row(text: &mut String, row: &[(&str, u64)]) {
    for (name, value) in row.iter().filter(|(name, _)| !name.trim().is_empty()) {
        let _ = write!(text, "  {name} {value:016x}");
    }
    text.push('\n');
}

/// What lies at an address, as far as the monitor can tell.
fn place(address: u64, header: &LibosHeader) -> String {
    let stubs_end = PRIVILEGED_BASE + PRIVILEGED_END_GPA;
    if (header.text_start..header.text_end).contains(&address) {
        return format!("libOS text +{:#x}", address - LIBOS_IMAGE_BASE);
    }
    let name = if (PRIVILEGED_BASE..stubs_end).contains(&address) {
        "a ring-0 stub"
    } else if (LIBOS_IMAGE_BASE..PRIVILEGED_BASE).contains(&address) {
        "libOS data"
    } else if (DIRECT_MAP_BASE..LIBOS_IMAGE_BASE).contains(&address) {
        "the direct map"
    } else if (LIBOS_STACKS_BASE..LIBOS_END).contains(&address) {
        "a libOS stack"
    } else {
        "the program"
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use unikiln_abi::image::GATES;
    use unikiln_abi::layout::TRAP_ENTRIES;

    #[test]
    fn places_are_named() {
        let header = LibosHeader {
            magic: 0,
            abi_version: 0,
            header_bytes: 0,
            entry: 0,
            boot_stack_top: 0,
            syscall_entry: 0,
            trap_entries: [0; TRAP_ENTRIES],
            text_start: LIBOS_IMAGE_BASE,
            text_end: LIBOS_IMAGE_BASE + 0x1000,
            gates: [0; GATES],
        };
        for (address, name) in [
            (LIBOS_IMAGE_BASE + 16, "libOS text +0x10"),
            (LIBOS_IMAGE_BASE + 0x1000, "libOS data"),
            (PRIVILEGED_BASE + 0x4000, "a ring-0 stub"),
            (DIRECT_MAP_BASE + 1, "the direct map"),
            (0x40_1000, "the program"),
            (0x7fff_0000_0000, "the program"),
        ] {
            assert_eq!(place(address, &header), name);
        }
    }
}
