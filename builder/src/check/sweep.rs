//! What one function does: whom it calls, which system calls it makes.
//!
//! A function is decoded from one known beginning to the next, jumps are not
//! followed. Where nothing is known, to the first end that no jump leads over.

use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register,
};

use super::elf::Mapped;

/// Longest function that is decoded.
const FUNCTION_MAX_BYTES: usize = 1 << 20;
/// The same, where its end is not known.
const UNKNOWN_MAX_BYTES: usize = 64 << 10;

/// General registers.
const REGISTERS: usize = 16;
/// Those of them that a call keeps: RBX, RSP, RBP, R12 to R15.
const KEPT: [usize; 7] = [3, 4, 5, 12, 13, 14, 15];

/// Whom a call or a jump leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// An address in the same file.
    Address(u64),
    /// What the dynamic linker puts into this place.
    Slot(u64),
}

/// A call with what is known of its registers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) target: Target,
    /// RDI: the first argument in C.
    pub(super) rdi: Option<u64>,
    /// RAX: the first argument in Go.
    pub(super) rax: Option<u64>,
}

/// A `syscall` instruction whose number is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site {
    pub(super) number: u64,
    /// RDI: clone's flags.
    pub(super) rdi: Option<u64>,
}

/// See the module documentation.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    pub(super) calls: Vec<Call>,
    pub(super) sites: Vec<Site>,
    /// Addresses of code that it takes.
    pub(super) taken: Vec<u64>,
    /// Bytes decoded.
    pub(super) bytes: usize,
}

/// Registers whose values are known.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    rax: Option<u64>,
    rdi: Option<u64>,
    /// Of a `push` just before.
    pushed: Option<u64>,
    /// Places whose contents are in a register, by the register's number.
    loaded: [Option<u64>; REGISTERS],
}

/// Decodes the function at `address`; `beginnings` are those of all functions, sorted.
pub(super) fn sweep(file: &Mapped<'_>, beginnings: &[u64], address: u64) -> Sweep {
    let mut sweep = Sweep::default();
    let Some(bytes) = file.at(address).filter(|_| file.is_code(address)) else {
        return sweep;
    };
    let after = beginnings.partition_point(|&beginning| beginning <= address);
    let own = after
        .checked_sub(1)
        .and_then(|at| beginnings.get(at))
        .copied();
    let next = beginnings.get(after).copied();
    let (limit, has_end) = match (own, next) {
        (Some(_), Some(next)) => ((next - address) as usize, true),
        (Some(_), None) => (FUNCTION_MAX_BYTES, true),
        (None, _) => (UNKNOWN_MAX_BYTES, false),
    };
    let bytes = &bytes[..bytes.len().min(limit).min(FUNCTION_MAX_BYTES)];
    let start = own.unwrap_or(address);
    let end = address.saturating_add(bytes.len() as u64);
    let mut decoder = Decoder::with_ip(64, bytes, address, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    let mut known = Known::default();
    let mut furthest = address;
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        if instruction.is_invalid() {
            if !has_end {
                break;
            }
            known = Known::default();
            continue;
        }
        sweep.see(file, &instruction, &known, start..end);
        if instruction.is_jcc_short_or_near() || instruction.is_jmp_short_or_near() {
            let target = instruction.near_branch_target();
            if (start..end).contains(&target) {
                furthest = furthest.max(target);
            }
        }
        let is_end = matches!(
            instruction.flow_control(),
            FlowControl::Return | FlowControl::UnconditionalBranch | FlowControl::IndirectBranch
        ) || matches!(instruction.mnemonic(), Mnemonic::Hlt | Mnemonic::Ud2);
        if is_end {
            known = Known::default();
            if !has_end && instruction.next_ip() > furthest {
                break;
            }
        } else {
            known.after(&instruction);
        }
    }
    sweep.bytes = decoder.position();
    sweep
}

impl Sweep {
    fn see(
        &mut self,
        file: &Mapped<'_>,
        instruction: &Instruction,
        known: &Known,
        own: std::ops::Range<u64>,
    ) {
        if instruction.code() == Code::Syscall {
            if let Some(number) = known.rax {
                let rdi = known.rdi;
                self.sites.push(Site { number, rdi });
            }
            return;
        }
        if instruction.mnemonic() == Mnemonic::Lea && instruction.is_ip_rel_memory_operand() {
            let address = instruction.ip_rel_memory_address();
            if file.is_code(address) {
                self.taken.push(address);
            }
        }
        let target = match instruction.flow_control() {
            FlowControl::Call => Target::Address(instruction.near_branch_target()),
            FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch => {
                let target = instruction.near_branch_target();
                if own.contains(&target) {
                    return;
                }
                Target::Address(target)
            }
            FlowControl::IndirectCall | FlowControl::IndirectBranch
                if instruction.is_ip_rel_memory_operand() =>
            {
                Target::Slot(instruction.ip_rel_memory_address())
            }
            FlowControl::IndirectCall | FlowControl::IndirectBranch
                if instruction.op_kind(0) == OpKind::Register =>
            {
                let loaded = number(instruction.op0_register()).and_then(|n| known.loaded[n]);
                match loaded {
                    Some(slot) => Target::Slot(slot),
                    None => return,
                }
            }
            _ => return,
        };
        self.calls.push(Call {
            target,
            rdi: known.rdi,
            rax: known.rax,
        });
    }
}

impl Known {
    fn register(&mut self, register: Register) -> Option<&mut Option<u64>> {
        match register.full_register() {
            Register::RAX => Some(&mut self.rax),
            Register::RDI => Some(&mut self.rdi),
            _ => None,
        }
    }

    /// What is known behind an instruction.
    fn after(&mut self, instruction: &Instruction) {
        let pushed = self.pushed.take();
        let value = constant(instruction).or(match instruction.mnemonic() {
            Mnemonic::Pop => pushed,
            _ => None,
        });
        match instruction.mnemonic() {
            Mnemonic::Push if instruction.op_kind(0) != OpKind::Register => {
                self.pushed = immediate(instruction, 0);
                return;
            }
            Mnemonic::Push | Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Bt | Mnemonic::Nop => {
                return;
            }
            // A call keeps neither; the others write RAX without naming it.
            Mnemonic::Call | Mnemonic::Syscall => {
                let loaded = std::mem::take(self).loaded;
                for kept in KEPT {
                    self.loaded[kept] = loaded[kept];
                }
                return;
            }
            Mnemonic::Mul
            | Mnemonic::Imul
            | Mnemonic::Div
            | Mnemonic::Idiv
            | Mnemonic::Cpuid
            | Mnemonic::Rdtsc
            | Mnemonic::Cmpxchg => self.rax = None,
            _ => {}
        }
        if instruction.op_count() == 0 || instruction.op_kind(0) != OpKind::Register {
            return;
        }
        if instruction.mnemonic() == Mnemonic::Xchg
            && instruction.op_kind(1) == OpKind::Register
            && let Some(known) = self.register(instruction.op1_register())
        {
            *known = None;
        }
        let register = instruction.op0_register();
        if let Some(number) = number(register) {
            let is_load =
                instruction.code() == Code::Mov_r64_rm64 && instruction.is_ip_rel_memory_operand();
            let place = is_load.then(|| instruction.ip_rel_memory_address());
            self.loaded[number] = place;
        }
        let is_whole = register.size() >= 4;
        if let Some(known) = self.register(register) {
            *known = value.filter(|_| is_whole);
        }
    }
}

/// A general register's number.
fn number(register: Register) -> Option<usize> {
    let full = register.full_register();
    full.is_gpr64().then(|| full.number())
}

/// The value that an instruction gives to its first operand, if it is one for all times.
fn constant(instruction: &Instruction) -> Option<u64> {
    match instruction.mnemonic() {
        Mnemonic::Mov => immediate(instruction, 1),
        Mnemonic::Xor
            if instruction.op_kind(1) == OpKind::Register
                && instruction.op0_register() == instruction.op1_register() =>
        {
            Some(0)
        }
        Mnemonic::Lea if instruction.is_ip_rel_memory_operand() => {
            Some(instruction.ip_rel_memory_address())
        }
        _ => None,
    }
}

fn immediate(instruction: &Instruction, operand: u32) -> Option<u64> {
    let kind = instruction.op_kind(operand);
    let is_one = !matches!(
        kind,
        OpKind::Register | OpKind::Memory | OpKind::NearBranch64 | OpKind::NearBranch32
    );
    is_one
        .then(|| instruction.try_immediate(operand).ok())
        .flatten()
}
