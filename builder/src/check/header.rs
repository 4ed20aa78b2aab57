//! What the libOS would say of an ELF file before it maps it
//! (`libos/src/process/elf.rs`): the same checks in the same order.

use unikiln_abi::layout::APP_END;

use super::elf::{u16_at, u32_at, u64_at};

const HEADER_BYTES: usize = 64;
const SEGMENT_BYTES: usize = 56;
const SEGMENTS_MAX_BYTES: usize = 65_536;
const PAGE_BYTES: u64 = 4096;
const PT_LOAD: u32 = 1;

/// Machines that images are made for, by their ELF numbers.
const MACHINES: [(u16, &str); 10] = [
    (3, "32-bit x86"),
    (8, "MIPS"),
    (20, "32-bit PowerPC"),
    (21, "PowerPC (ppc64le)"),
    (22, "s390x"),
    (40, "32-bit ARM"),
    (43, "SPARC"),
    (183, "ARM (arm64)"),
    (243, "RISC-V"),
    (258, "LoongArch"),
];

/// Why a file is no program that runs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nothing in it.
    Empty,
    /// Neither ELF nor script.
    NotElf,
    /// For other CPUs.
    Machine(String),
    /// Damaged, or no program.
    Bad(&'static str),
}

/// A file of `len_bytes`, of which the beginning is enough: whether what it maps
/// is all there.
pub(super) fn check(bytes: &[u8], len_bytes: u64) -> Result<bool, Refusal> {
    if bytes.is_empty() {
        return Err(Refusal::Empty);
    }
    if bytes.get(..4) != Some(b"\x7fELF") {
        return Err(Refusal::NotElf);
    }
    let header = bytes
        .get(..HEADER_BYTES)
        .ok_or(Refusal::Bad("its header is cut off"))?;
    let half = |at| u16_at(header, at).unwrap_or(0);
    let machine = |number: u16| {
        let known = MACHINES.iter().find(|(known, _)| *known == number);
        known.map_or_else(
            || format!("ELF machine {number}"),
            |(_, name)| (*name).to_owned(),
        )
    };
    if header[4] == 1 {
        let number = if header[5] == 2 {
            half(18).swap_bytes()
        } else {
            half(18)
        };
        return Err(Refusal::Machine(machine(number)));
    }
    if header[4] == 2 && header[5] == 2 {
        return Err(Refusal::Machine(machine(half(18).swap_bytes())));
    }
    if header[4] != 2 || header[5] != 1 {
        return Err(Refusal::Bad("its class or byte order is unknown"));
    }
    if half(18) != 62 {
        return Err(Refusal::Machine(machine(half(18))));
    }
    if half(16) != 2 && half(16) != 3 {
        return Err(Refusal::Bad("it is an object file or a core, no program"));
    }
    let table_bytes = usize::from(half(56)) * SEGMENT_BYTES;
    if half(54) != SEGMENT_BYTES as u16 || table_bytes == 0 || table_bytes > SEGMENTS_MAX_BYTES {
        return Err(Refusal::Bad("its program headers make no sense"));
    }
    let start = u64_at(header, 32).and_then(|start| usize::try_from(start).ok());
    let table = start
        .and_then(|start| bytes.get(start..start.checked_add(table_bytes)?))
        .ok_or(Refusal::Bad("its program headers lie past its end"))?;
    segments(table, len_bytes)
}

fn segments(table: &[u8], file_len: u64) -> Result<bool, Refusal> {
    let mut last_end = 0;
    let mut is_whole = true;
    let mut loads = false;
    for entry in table.chunks_exact(SEGMENT_BYTES) {
        let word = |at| u64_at(entry, at).unwrap_or(0);
        if u32_at(entry, 0) != Some(PT_LOAD) {
            continue;
        }
        let (offset, address, file_bytes, memory_bytes) = (word(8), word(16), word(32), word(40));
        let end = address
            .checked_add(memory_bytes)
            .filter(|&end| end <= APP_END);
        let end = end.ok_or(Refusal::Bad("a segment lies outside the address space"))?;
        let file_end = offset.checked_add(file_bytes);
        let file_end = file_end.ok_or(Refusal::Bad("a segment lies past its end"))?;
        if file_bytes > memory_bytes {
            return Err(Refusal::Bad(
                "a segment is larger in the file than in memory",
            ));
        }
        if address % PAGE_BYTES != offset % PAGE_BYTES {
            return Err(Refusal::Bad("a segment is not congruent with its offset"));
        }
        if address < last_end {
            return Err(Refusal::Bad("its segments overlap or are out of order"));
        }
        last_end = end;
        is_whole &= file_end <= file_len;
        loads |= memory_bytes > 0;
    }
    if loads {
        Ok(is_whole)
    } else {
        Err(Refusal::Bad("there is nothing to load in it"))
    }
}
