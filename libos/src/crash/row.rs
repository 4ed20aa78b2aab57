//! The rules of one instruction: running a CIE's and an FDE's instructions, and
//! computing the caller's registers from what they say.
//!
//! Source: DWARF 5 section 6.4.2.

use alloc::vec::Vec;

use super::cfi::{Common, REGISTERS, RIP, RSP, Values};
use super::dwarf::Reader;
use super::expression::evaluate;

/// Deepest nesting of remembered rows.
const REMEMBERED_MAX: usize = 16;

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
pub(super) struct Row<'a> {
    frame: Frame<'a>,
    rules: [Rule<'a>; REGISTERS],
}

/// Runs the instructions up to `distance` bytes into the function.
pub(super) fn find<'a>(
    common: &Common<'a>,
    instructions: &'a [u8],
    distance: u64,
) -> Option<Row<'a>> {
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

impl Row<'_> {
    /// Computes the caller's registers from the rules.
    pub(super) fn apply(
        &self,
        values: &Values,
        load: &dyn Fn(u64) -> Option<u64>,
    ) -> Option<Values> {
        let frame = match self.frame {
            Frame::Register(of, offset) => (*values.get(of)?)?.wrapping_add_signed(offset),
            Frame::Expression(code) => evaluate(code, None, values, load)?,
        };
        let mut caller = [None; REGISTERS];
        for ((register, rule), value) in self.rules.iter().enumerate().zip(&mut caller) {
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
        if self.rules[RIP] == Rule::Same {
            caller[RIP] = None;
        }
        Some(caller)
    }
}
