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
use super::expression::evaluate;
use super::module::{Module, Source};

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
/// Deepest nesting of remembered rows.
const REMEMBERED_MAX: usize = 16;
/// Pairs of `sdata4` relative to the header: what every linker writes.
const TABLE_ENCODING: u8 = 0x3b;

/// Values of registers; unknown ones are not there.
pub(super) type Values = [Option<u64>; REGISTERS];

/// How a caller's register is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule<'a> {
    /// It is lost.
    Undefined,
    /// It is as it was.
    Same,
    /// It was saved at CFA + offset.
    Saved(i64),
    /// It is CFA + offset.
    Offset(i64),
    /// It is in another register.
    Register(usize),
    /// It was saved where an expression says.
    SavedAt(&'a [u8]),
    /// It is what an expression says.
    Value(&'a [u8]),
}

/// How the canonical frame address is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frame<'a> {
    Register(usize, i64),
    Expression(&'a [u8]),
}

/// The rules that hold at one instruction.
#[derive(Clone, Copy)]
struct Row<'a> {
    frame: Frame<'a>,
    rules: [Rule<'a>; REGISTERS],
}

/// What an FDE needs of its CIE.
struct Common<'a> {
    code_factor: u64,
    data_factor: i64,
    pointer_encoding: u8,
    has_augmentation: bool,
    instructions: &'a [u8],
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
    let entry_address = find_entry(module, source, pc)?;
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
    let row = find_row(&common, reader.rest(), distance)?;
    apply(&row, values, load)
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

/// Runs the instructions up to `distance` bytes into the function.
fn find_row<'a>(common: &Common<'a>, instructions: &'a [u8], distance: u64) -> Option<Row<'a>> {
    let mut rules = [Rule::Same; REGISTERS];
    // The stack pointer is the CFA unless something else is said.
    rules[RSP] = Rule::Offset(0);
    let start = Row {
        frame: Frame::Register(RSP, 8),
        rules,
    };
    let mut machine = Machine {
        common,
        initial: start,
        row: start,
        remembered: Vec::new(),
        at: 0,
    };
    machine.run(common.instructions, u64::MAX)?;
    machine.initial = machine.row;
    machine.at = 0;
    machine.run(instructions, distance)?;
    Some(machine.row)
}

struct Machine<'a, 'b> {
    common: &'b Common<'a>,
    initial: Row<'a>,
    row: Row<'a>,
    remembered: Vec<Row<'a>>,
    at: u64,
}

impl<'a> Machine<'a, '_> {
    fn run(&mut self, instructions: &'a [u8], distance: u64) -> Option<()> {
        let mut code = Reader::new(instructions, 0);
        while let Some(byte) = code.u8() {
            let low = usize::from(byte & 0x3f);
            match byte >> 6 {
                1 => self.advance(low as u64)?,
                2 => {
                    let offset = code.uleb()?;
                    self.save(low, offset as i64)?;
                }
                3 => self.restore(low)?,
                _ => self.extended(byte, &mut code)?,
            }
            if self.at > distance {
                return Some(());
            }
        }
        Some(())
    }

    fn advance(&mut self, units: u64) -> Option<()> {
        let bytes = units.checked_mul(self.common.code_factor)?;
        // Only rows up to the wanted one are run, so the one before stays.
        self.at = self.at.checked_add(bytes)?;
        Some(())
    }

    fn set(&mut self, register: usize, rule: Rule<'a>) {
        // Vector registers and the like are of no interest.
        if let Some(slot) = self.row.rules.get_mut(register) {
            *slot = rule;
        }
    }

    fn save(&mut self, register: usize, factored: i64) -> Option<()> {
        self.set(
            register,
            Rule::Saved(factored.checked_mul(self.common.data_factor)?),
        );
        Some(())
    }

    fn restore(&mut self, register: usize) -> Option<()> {
        if let Some(rule) = self.initial.rules.get(register) {
            self.set(register, *rule);
        }
        Some(())
    }

    fn extended(&mut self, operation: u8, code: &mut Reader<'a>) -> Option<()> {
        let register = |code: &mut Reader<'a>| usize::try_from(code.uleb()?).ok();
        let block = |code: &mut Reader<'a>| {
            let len = code.uleb()?;
            code.take(len)
        };
        match operation {
            0x00 => {}
            0x02 => self.advance(u64::from(code.u8()?))?,
            0x03 => self.advance(u64::from(code.u16()?))?,
            0x04 => self.advance(u64::from(code.u32()?))?,
            0x05 => {
                let (of, offset) = (register(code)?, code.uleb()?);
                self.save(of, offset as i64)?;
            }
            0x06 => {
                let of = register(code)?;
                self.restore(of)?;
            }
            0x07 => self.set(register(code)?, Rule::Undefined),
            0x08 => self.set(register(code)?, Rule::Same),
            0x09 => {
                let (of, from) = (register(code)?, register(code)?);
                self.set(of, Rule::Register(from));
            }
            0x0a if self.remembered.len() < REMEMBERED_MAX => self.remembered.push(self.row),
            0x0b => self.row = self.remembered.pop()?,
            0x0c => {
                let (of, offset) = (register(code)?, code.uleb()?);
                self.row.frame = Frame::Register(of, offset as i64);
            }
            0x0d => {
                let Frame::Register(_, offset) = self.row.frame else {
                    return None;
                };
                self.row.frame = Frame::Register(register(code)?, offset);
            }
            0x0e => {
                let Frame::Register(of, _) = self.row.frame else {
                    return None;
                };
                self.row.frame = Frame::Register(of, code.uleb()? as i64);
            }
            0x0f => self.row.frame = Frame::Expression(block(code)?),
            0x10 => {
                let of = register(code)?;
                self.set(of, Rule::SavedAt(block(code)?));
            }
            0x11 => {
                let (of, offset) = (register(code)?, code.sleb()?);
                self.save(of, offset)?;
            }
            0x12 => {
                let (of, offset) = (register(code)?, code.sleb()?);
                let offset = offset.checked_mul(self.common.data_factor)?;
                self.row.frame = Frame::Register(of, offset);
            }
            0x13 => {
                let Frame::Register(of, _) = self.row.frame else {
                    return None;
                };
                let offset = code.sleb()?.checked_mul(self.common.data_factor)?;
                self.row.frame = Frame::Register(of, offset);
            }
            0x14 | 0x15 => {
                let of = register(code)?;
                let factored = if operation == 0x14 {
                    code.uleb()? as i64
                } else {
                    code.sleb()?
                };
                self.set(
                    of,
                    Rule::Offset(factored.checked_mul(self.common.data_factor)?),
                );
            }
            0x16 => {
                let of = register(code)?;
                self.set(of, Rule::Value(block(code)?));
            }
            // DW_CFA_GNU_args_size: matters only to landing pads.
            0x2e => drop(code.uleb()?),
            _ => return None,
        }
        Some(())
    }
}

/// Computes the caller's registers from the rules.
fn apply(row: &Row<'_>, values: &Values, load: &dyn Fn(u64) -> Option<u64>) -> Option<Values> {
    let frame = match row.frame {
        Frame::Register(of, offset) => (*values.get(of)?)?.wrapping_add_signed(offset),
        Frame::Expression(code) => evaluate(code, None, values, load)?,
    };
    let mut caller = [None; REGISTERS];
    for ((register, rule), value) in row.rules.iter().enumerate().zip(&mut caller) {
        *value = match rule {
            Rule::Undefined => None,
            Rule::Same => values.get(register).copied().flatten(),
            Rule::Saved(offset) => load(frame.wrapping_add_signed(*offset)),
            Rule::Offset(offset) => Some(frame.wrapping_add_signed(*offset)),
            Rule::Register(from) => values.get(*from).copied().flatten(),
            Rule::SavedAt(code) => evaluate(code, Some(frame), values, load).and_then(load),
            Rule::Value(code) => evaluate(code, Some(frame), values, load),
        };
    }
    // A return address that was never saved is no caller.
    if row.rules[RIP] == Rule::Same {
        caller[RIP] = None;
    }
    Some(caller)
}

#[cfg(test)]
mod tests;
