//! Call frame information: from one frame's registers to its caller's, by the
//! tables that compilers put into .eh_frame.
//!
//! ```text
//! .eh_frame_hdr  sorted (function start, FDE) pairs, found by bisection
//! FDE            one function: range, instructions, its CIE
//! CIE            what functions share: factors, encodings, first instructions
//! ```
//!
//! Tables come from files and may be hostile: reads are bounded, and what is
//! not understood ends the unwinding.
//! Source: DWARF 5 section 6.4; Linux Standard Base, "Exception Frames".

use alloc::vec::Vec;

use super::dwarf::Reader;
use super::module::{Module, Source};
use super::row;

/// Registers of DWARF on x86-64: RAX, RDX, RCX, RBX, RSI, RDI, RBP, RSP, R8 to
/// R15, return address.
pub(super) const REGISTERS: usize = 17;
/// DWARF's number of RBP.
pub(super) const RBP: usize = 6;
/// DWARF's number of RSP.
pub(super) const RSP: usize = 7;
/// DWARF's number of the return address, which stands for RIP.
pub(super) const RIP: usize = 16;
/// Most bytes of one FDE or CIE.
const ENTRY_MAX_BYTES: usize = 16 << 10;
/// Most entries that are looked at one by one.
const SEARCHED_MAX: usize = 1 << 20;
/// Pairs of `sdata4` relative to the header: what every linker writes.
const TABLE_ENCODING: u8 = 0x3b;

/// Values of registers; unknown ones are not there.
pub(super) type Values = [Option<u64>; REGISTERS];

/// What an FDE needs of its CIE.
pub(super) struct Common<'a> {
    /// Unit of distances in code.
    pub(super) code_factor: u64,
    /// Unit of offsets on the stack.
    pub(super) data_factor: i64,
    pointer_encoding: u8,
    has_augmentation: bool,
    /// Instructions that come before each function's own.
    pub(super) instructions: &'a [u8],
}

/// The caller's registers, for code at link address `pc` of `module`.
/// `values[RIP]` of the answer is the return address; none at the outermost frame.
pub(super) fn step(
    module: &Module,
    source: &(impl Source + ?Sized),
    pc: u64,
    values: &Values,
    load: &dyn Fn(u64) -> Option<u64>,
) -> Option<Values> {
    let entry_address =
        find_entry(module, source, pc).or_else(|| search_entry(module, source, pc))?;
    let entry = read_entry(module, source, entry_address)?;
    let mut reader = Reader::new(&entry, entry_address.wrapping_add(4));
    let common_address = reader.address().wrapping_sub(u64::from(reader.u32()?));
    let common_bytes = read_entry(module, source, common_address)?;
    let common = read_common(&common_bytes)?;
    let start = reader.pointer(common.pointer_encoding)?;
    let bytes = reader.encoded(common.pointer_encoding)?;
    let distance = pc.checked_sub(start).filter(|distance| *distance < bytes)?;
    if common.has_augmentation {
        let len = reader.uleb()?;
        reader.take(len)?;
    }
    row::find(&common, reader.rest(), distance)?.apply(values, load)
}

/// Address of the FDE that the bisection table names for `pc`.
fn find_entry(module: &Module, source: &(impl Source + ?Sized), pc: u64) -> Option<u64> {
    let base = module.unwind_header()?;
    let mut start = [0; 24];
    let offset = module.offset_of(base)?;
    source.read_at(offset, &mut start);
    let mut reader = Reader::new(&start, base);
    let (version, frame_encoding) = (reader.u8()?, reader.u8()?);
    let (count_encoding, table_encoding) = (reader.u8()?, reader.u8()?);
    if version != 1 || table_encoding != TABLE_ENCODING {
        return None;
    }
    reader.pointer(frame_encoding)?;
    let count = reader.encoded(count_encoding)?;
    let table = offset + (reader.address() - base);
    let pair = |index: u64| {
        let mut bytes = [0; 8];
        let at = table.checked_add(index.checked_mul(8)?)?;
        (source.read_at(at, &mut bytes) == 8).then_some(())?;
        let mut reader = Reader::new(&bytes, 0);
        let mut next = || Some(base.wrapping_add(reader.encoded(TABLE_ENCODING)?));
        Some((next()?, next()?))
    };
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if pair(middle)?.0 <= pc {
            low = middle + 1
        } else {
            high = middle
        }
    }
    pair(low.checked_sub(1)?).map(|(_, entry)| entry)
}

/// Address of the FDE for `pc`, looked for one by one.
fn search_entry(module: &Module, source: &(impl Source + ?Sized), pc: u64) -> Option<u64> {
    let (mut at, bytes) = module.unwind_tables()?;
    let end = at.checked_add(bytes)?;
    let mut known: Option<(u64, u8)> = None;
    for _ in 0..SEARCHED_MAX {
        if at >= end {
            return None;
        }
        let mut start = [0; 24];
        source.read_at(module.offset_of(at)?, &mut start);
        let mut reader = Reader::new(&start, at);
        let length = u64::from(reader.u32()?);
        if length == 0 {
            return None;
        }
        let own = reader.address();
        let distance = u64::from(reader.u32()?);
        if distance != 0 {
            let common = own.wrapping_sub(distance);
            let encoding = match known {
                Some((address, encoding)) if address == common => encoding,
                _ => read_common(&read_entry(module, source, common)?)?.pointer_encoding,
            };
            known = Some((common, encoding));
            let first = reader.pointer(encoding)?;
            let bytes = reader.encoded(encoding)?;
            if pc.checked_sub(first).is_some_and(|into| into < bytes) {
                return Some(at);
            }
        }
        at = own.checked_add(length)?;
    }
    None
}

/// The bytes of an FDE or CIE after its length.
fn read_entry(module: &Module, source: &(impl Source + ?Sized), address: u64) -> Option<Vec<u8>> {
    let offset = module.offset_of(address)?;
    let mut length = [0; 4];
    (source.read_at(offset, &mut length) == 4).then_some(())?;
    let length = usize::try_from(u32::from_le_bytes(length)).ok()?;
    if length == 0 || length > ENTRY_MAX_BYTES {
        return None;
    }
    let mut entry = Vec::new();
    entry.try_reserve_exact(length).ok()?;
    entry.resize(length, 0);
    (source.read_at(offset.checked_add(4)?, &mut entry) == length).then_some(entry)
}

fn read_common(bytes: &[u8]) -> Option<Common<'_>> {
    let mut reader = Reader::new(bytes, 0);
    let (id, version) = (reader.u32()?, reader.u8()?);
    if id != 0 || !matches!(version, 1 | 3) {
        return None;
    }
    let augmentation = reader.string()?;
    let code_factor = reader.uleb()?;
    let data_factor = reader.sleb()?;
    let return_register = if version == 1 {
        u64::from(reader.u8()?)
    } else {
        reader.uleb()?
    };
    if return_register != RIP as u64 {
        return None;
    }
    let mut pointer_encoding = 0;
    let has_augmentation = augmentation.first() == Some(&b'z');
    if has_augmentation {
        let len = reader.uleb()?;
        let mut data = Reader::new(reader.take(len)?, 0);
        for letter in augmentation.iter().skip(1) {
            match letter {
                b'R' => pointer_encoding = data.u8()?,
                b'L' => drop(data.u8()?),
                b'P' => {
                    let encoding = data.u8()?;
                    data.encoded(encoding)?;
                }
                // The frame of a signal handler; nothing follows.
                b'S' => {}
                _ => return None,
            }
        }
    } else if !augmentation.is_empty() {
        return None;
    }
    Some(Common {
        code_factor,
        data_factor,
        pointer_encoding,
        has_augmentation,
        instructions: reader.rest(),
    })
}

#[cfg(test)]
mod tests;
