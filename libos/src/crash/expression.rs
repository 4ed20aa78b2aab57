//! DWARF expressions as unwind tables use them: a small stack machine.
//!
//! Source: DWARF 5, section 2.5. Only operations that compilers and C libraries
//! put into .eh_frame are known; any other ends the unwinding.

use super::dwarf::Reader;

/// Values on the stack.
const DEPTH: usize = 32;
/// Operations that one expression may take: there are no loops.
const STEPS_MAX: usize = 256;

struct Stack {
    values: [u64; DEPTH],
    count: usize,
}

impl Stack {
    fn push(&mut self, value: u64) -> Option<()> {
        *self.values.get_mut(self.count)? = value;
        self.count += 1;
        Some(())
    }

    fn pop(&mut self) -> Option<u64> {
        self.count = self.count.checked_sub(1)?;
        self.values.get(self.count).copied()
    }

    fn pick(&self, depth: usize) -> Option<u64> {
        let at = self.count.checked_sub(depth.checked_add(1)?)?;
        self.values.get(at).copied()
    }
}

/// Runs `code` with `first` on the stack.
pub(super) fn evaluate(
    code: &[u8],
    first: Option<u64>,
    registers: &[Option<u64>],
    load: &dyn Fn(u64) -> Option<u64>,
) -> Option<u64> {
    let mut stack = Stack {
        values: [0; DEPTH],
        count: 0,
    };
    if let Some(first) = first {
        stack.push(first)?;
    }
    let mut code = Reader::new(code, 0);
    for _ in 0..STEPS_MAX {
        let Some(operation) = code.u8() else {
            return stack.pop();
        };
        step(operation, &mut code, &mut stack, registers, load)?;
    }
    None
}

fn step(
    operation: u8,
    code: &mut Reader<'_>,
    stack: &mut Stack,
    registers: &[Option<u64>],
    load: &dyn Fn(u64) -> Option<u64>,
) -> Option<()> {
    let value = match operation {
        0x03 | 0x0e | 0x0f => code.u64()?,
        0x06 => load(stack.pop()?)?,
        0x08 => u64::from(code.u8()?),
        0x09 => i64::from(code.u8()? as i8) as u64,
        0x0a => u64::from(code.u16()?),
        0x0b => i64::from(code.u16()? as i16) as u64,
        0x0c => u64::from(code.u32()?),
        0x0d => i64::from(code.u32()? as i32) as u64,
        0x10 => code.uleb()?,
        0x11 => code.sleb()? as u64,
        0x12 => stack.pick(0)?,
        0x13 => return stack.pop().map(drop),
        0x14 => stack.pick(1)?,
        0x15 => stack.pick(usize::from(code.u8()?))?,
        0x16 => {
            let (top, below) = (stack.pop()?, stack.pop()?);
            stack.push(top)?;
            below
        }
        0x1f => stack.pop()?.wrapping_neg(),
        0x20 => !stack.pop()?,
        0x23 => stack.pop()?.wrapping_add(code.uleb()?),
        0x1a | 0x1c | 0x1e | 0x21 | 0x22 | 0x24..=0x27 | 0x29..=0x2e => {
            let (right, left) = (stack.pop()?, stack.pop()?);
            binary(operation, left, right)?
        }
        0x30..=0x4f => u64::from(operation - 0x30),
        0x70..=0x8f => {
            let register = (*registers.get(usize::from(operation - 0x70))?)?;
            register.wrapping_add_signed(code.sleb()?)
        }
        0x92 => {
            let register = (*registers.get(usize::try_from(code.uleb()?).ok()?)?)?;
            register.wrapping_add_signed(code.sleb()?)
        }
        0x96 => return Some(()),
        _ => return None,
    };
    stack.push(value)
}

fn binary(operation: u8, left: u64, right: u64) -> Option<u64> {
    let shift = u32::try_from(right).unwrap_or(64);
    let (signed_left, signed_right) = (left as i64, right as i64);
    Some(match operation {
        0x1a => left & right,
        0x1c => left.wrapping_sub(right),
        0x1e => left.wrapping_mul(right),
        0x21 => left | right,
        0x22 => left.wrapping_add(right),
        0x24 => left.checked_shl(shift).unwrap_or(0),
        0x25 => left.checked_shr(shift).unwrap_or(0),
        0x26 => signed_left.checked_shr(shift).unwrap_or(signed_left >> 63) as u64,
        0x27 => left ^ right,
        0x29 => u64::from(left == right),
        0x2a => u64::from(signed_left >= signed_right),
        0x2b => u64::from(signed_left > signed_right),
        0x2c => u64::from(signed_left <= signed_right),
        0x2d => u64::from(signed_left < signed_right),
        0x2e => u64::from(left != right),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expression_of_a_plt_is_computed() {
        // breg7 8; breg16 0; lit15; and; lit11; ge; lit3; shl; plus
        let code = [0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22];
        let mut registers = [None; 17];
        registers[7] = Some(0x1000);
        registers[16] = Some(0x40_100b);
        let run = |registers: &[Option<u64>]| evaluate(&code, None, registers, &|_| None);
        assert_eq!(run(&registers), Some(0x1010));
        registers[16] = Some(0x40_1006);
        assert_eq!(run(&registers), Some(0x1008));
        registers[7] = None;
        assert_eq!(run(&registers), None);
    }

    #[test]
    fn broken_expressions_end() {
        assert_eq!(evaluate(&[0x22], Some(1), &[], &|_| None), None);
        assert_eq!(evaluate(&[0xff], None, &[], &|_| None), None);
        assert_eq!(evaluate(&[0x30; 40], None, &[], &|_| None), None);
        assert_eq!(evaluate(&[], None, &[], &|_| None), None);
        assert_eq!(evaluate(&[0x06], Some(8), &[], &|at| Some(at + 1)), Some(9));
    }
}
