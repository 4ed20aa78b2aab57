//! Which of some addresses in code something may jump to.
//!
//! A superset on purpose: direct jumps and calls of all code, every value that
//! could be an address (immediates, RIP-relative operands, aligned words of the
//! mapped file, relocations' addends, symbols), every entry of what could be a
//! jump table (32-bit offsets behind an address that the code takes), and the
//! landing pads of exceptions.
//!
//! A value that could be an address counts only where an instruction begins: data
//! that looks like one by chance does not lead elsewhere, a jump may.

use std::collections::{BTreeSet, HashSet};

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, OpKind};

use super::object::{Object, word};
use super::unwind::{self, Function};

/// Entries read of one jump table.
const TABLE_ENTRIES_MAX: usize = 1 << 16;

/// Addresses of interest and those that were hit.
struct Watch {
    /// Sorted.
    addresses: Vec<u64>,
    /// Those of them where instructions begin; sorted.
    beginnings: Vec<u64>,
    hit: BTreeSet<u64>,
}

impl Watch {
    fn see(&mut self, address: u64) {
        if self.addresses.binary_search(&address).is_ok() {
            self.hit.insert(address);
        }
    }

    fn see_value(&mut self, value: u64) {
        if self.beginnings.binary_search(&value).is_ok() {
            self.hit.insert(value);
        }
    }
}

/// Those of `addresses` that something may jump to. `beginnings` are those where
/// instructions begin.
pub(super) fn jumped_to(
    object: &Object<'_>,
    boundaries: &[u64],
    functions: &[Function],
    mut addresses: Vec<u64>,
    mut beginnings: Vec<u64>,
) -> BTreeSet<u64> {
    addresses.sort_unstable();
    addresses.dedup();
    beginnings.sort_unstable();
    beginnings.dedup();
    let mut watch = Watch {
        addresses,
        beginnings,
        hit: BTreeSet::new(),
    };
    if watch.addresses.is_empty() {
        return watch.hit;
    }
    for &boundary in boundaries {
        watch.see(boundary);
    }
    object.symbols(|address, _| watch.see(address));
    object.relocations(|_, addend| watch.see_value(addend as u64));
    watch.see(object.header.e_entry);
    for range in &object.mapped {
        let skip = range.address.wrapping_neg() as usize % 8;
        for chunk in range.bytes.get(skip..).unwrap_or_default().chunks_exact(8) {
            watch.see_value(word(chunk, 0));
        }
    }
    for function in functions {
        let pads = unwind::landing_pads(object, function, |pad| watch.see(pad));
        if pads.is_none() {
            see_all(&mut watch, function.start, function.end);
        }
    }
    let tables = code_references(object, boundaries, &mut watch);
    for table in tables {
        see_table(object, table, &mut watch);
    }
    watch.hit
}

/// Everything between two addresses.
fn see_all(watch: &mut Watch, start: u64, end: u64) {
    let from = watch.addresses.partition_point(|&address| address < start);
    let to = watch.addresses.partition_point(|&address| address < end);
    let inside = watch.addresses.get(from..to).unwrap_or_default().to_vec();
    watch.hit.extend(inside);
}

/// Sees what instructions name; addresses that may be those of tables.
fn code_references(object: &Object<'_>, boundaries: &[u64], watch: &mut Watch) -> HashSet<u64> {
    let mut tables = HashSet::new();
    let mut instruction = Instruction::default();
    for code in &object.code {
        let from = boundaries.partition_point(|&boundary| boundary < code.address);
        let to = boundaries.partition_point(|&boundary| boundary <= code.end());
        for pair in boundaries.get(from..to).unwrap_or_default().windows(2) {
            let start = (pair[0] - code.address) as usize;
            let end = (pair[1] - code.address) as usize;
            let bytes = &code.bytes[start..end];
            let mut decoder = Decoder::with_ip(64, bytes, pair[0], DecoderOptions::NONE);
            while decoder.can_decode() {
                decoder.decode_out(&mut instruction);
                see_operands(&instruction, watch, &mut tables);
            }
        }
    }
    tables
}

fn see_operands(instruction: &Instruction, watch: &mut Watch, tables: &mut HashSet<u64>) {
    if instruction.is_invalid() {
        return;
    }
    if instruction.flow_control() != FlowControl::Next {
        watch.see(instruction.near_branch_target());
    }
    for operand in 0..instruction.op_count() {
        match instruction.op_kind(operand) {
            OpKind::Immediate32 | OpKind::Immediate64 | OpKind::Immediate32to64 => {
                watch.see_value(instruction.immediate(operand));
            }
            OpKind::Memory => {
                let address = instruction.memory_displacement64();
                watch.see_value(address);
                if instruction.is_ip_rel_memory_operand() {
                    tables.insert(address);
                }
            }
            _ => {}
        }
    }
}

/// Sees what the entries lead to if `table` is one of offsets from itself.
fn see_table(object: &Object<'_>, table: u64, watch: &mut Watch) {
    let bytes = object.mapped_at(table).unwrap_or_default();
    for entry in bytes.chunks_exact(4).take(TABLE_ENTRIES_MAX) {
        let offset = i32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]);
        let target = table.wrapping_add_signed(offset.into());
        if !object.is_code(target) {
            return;
        }
        watch.see_value(target);
    }
}
