//! Finds `syscall` sites and the instructions before them that can make room.
//!
//! Code is decoded in runs: from one known beginning (a section, a function of
//! the unwind table, a function symbol) to the next. A run counts as code if it
//! decodes without a gap and ends exactly at its end; a site in any other run is
//! left alone, since what looks like instructions there may be data.

use std::collections::BTreeSet;

use iced_x86::{
    Code, ConditionCode, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, Register,
    RflagsBits,
};

use super::go;
use super::object::{Object, Range};
use super::report::LeftSite;
use super::unwind::Function;

/// `syscall`.
pub(super) const SYSCALL: [u8; 2] = [0x0f, 0x05];
/// Bytes of `jmp rel32`.
pub(super) const JUMP_BYTES: usize = 5;
/// Bytes of `jmp rel8`.
pub(super) const SHORT_JUMP_BYTES: usize = 2;
/// rt_sigreturn's number on its way to RAX, in both encodings: unwinders know
/// signal frames by these bytes and the `syscall` behind them.
const SIGNAL_RETURNS: [&[u8]; 2] = [&[0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0], &[0xb8, 0x0f, 0, 0, 0]];
/// Instructions that make room: `jmp` takes five bytes, so more are never needed.
const NEIGHBOURS_MAX: usize = JUMP_BYTES;
/// Instructions looked at for the flags.
const FLAGS_DISTANCE: usize = 48;
/// The flags that instructions compute.
const ARITHMETIC_FLAGS: u32 = RflagsBits::OF
    | RflagsBits::SF
    | RflagsBits::ZF
    | RflagsBits::AF
    | RflagsBits::CF
    | RflagsBits::PF;

/// A site with what can make room before it.
#[derive(Clone, Debug)]
pub(super) struct Site {
    /// Of the `syscall` instruction, which stays.
    pub(super) address: u64,
    /// Instructions that can move, up to the site: enough for a jump, or fewer.
    pub(super) moved: Vec<Moved>,
}

impl Site {
    /// Address of the first instruction that moves.
    pub(super) fn start(&self) -> u64 {
        self.moved
            .first()
            .map_or(self.address, |moved| moved.address)
    }

    /// Bytes that become free.
    pub(super) fn room_bytes(&self) -> usize {
        (self.address - self.start()) as usize
    }

    /// Addresses that nothing may jump to if all of it moves.
    pub(super) fn inner(&self) -> impl Iterator<Item = u64> + use<> {
        self.start() + 1..self.address
    }

    /// Moves no more than needed, and only what follows the last address that
    /// something jumps to: that is in `hit`. To the first instruction it may.
    pub(super) fn keep_whole(&mut self, hit: &BTreeSet<u64>) {
        let start = self.start();
        let last = hit.range(start..self.address).next_back().copied();
        // A jump into an instruction keeps that one as well from moving.
        let from = self
            .moved
            .partition_point(|moved| last.is_some_and(|last| moved.address < last));
        self.moved.drain(..from);
        if self.room_bytes() < JUMP_BYTES {
            // A short jump will have to do.
            let enough = |moved: &Moved| self.address - moved.address >= SHORT_JUMP_BYTES as u64;
            let from = self.moved.iter().rposition(enough);
            self.moved.drain(..from.unwrap_or(0));
        }
    }
}

/// An instruction on its way to a trampoline.
#[derive(Clone, Debug)]
pub(super) struct Moved {
    /// Where it was.
    pub(super) address: u64,
    pub(super) bytes: Vec<u8>,
    /// Where in it a 32-bit displacement from its end is, and what that leads to.
    pub(super) relative: Option<(usize, u64)>,
}

/// All sites of the file.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) sites: Vec<Site>,
    /// Address of the `syscall`, and why.
    pub(super) left: Vec<(u64, LeftSite)>,
    /// Padding behind jumps and returns, from its beginning to its end.
    pub(super) padding: Vec<(u64, u64)>,
}

/// Known beginnings of code, and the ends of sections, sorted.
pub(super) fn boundaries(object: &Object<'_>, functions: &[Function]) -> Vec<u64> {
    let mut boundaries = go::functions(object);
    for code in &object.code {
        boundaries.extend([code.address, code.end()]);
    }
    boundaries.extend(functions.iter().map(|function| function.start));
    object.symbols(|address, is_function| {
        if is_function {
            boundaries.push(address);
        }
    });
    boundaries.sort_unstable();
    boundaries.dedup();
    boundaries
}

/// Whether the bytes of a site are anywhere in the code: a quick look.
pub(super) fn may_have_sites(object: &Object<'_>) -> bool {
    let has = |code: &Range<'_>| code.bytes.windows(2).any(|pair| *pair == SYSCALL);
    object.code.iter().any(has)
}

/// See the module documentation.
pub(super) fn find(object: &Object<'_>, boundaries: &[u64], functions: &[Function]) -> Found {
    let mut found = Found::default();
    for code in &object.code {
        let mut done = code.address;
        for (at, pair) in code.bytes.windows(2).enumerate() {
            let address = code.address + at as u64;
            if *pair != SYSCALL || address < done {
                continue;
            }
            let after = boundaries.partition_point(|&boundary| boundary <= address);
            // The section's own ends are among the boundaries.
            let (Some(&start), Some(&end)) = (
                after.checked_sub(1).and_then(|at| boundaries.get(at)),
                boundaries.get(after),
            ) else {
                continue;
            };
            let (start, end) = (start.max(code.address), end.min(code.end()));
            let mut run = Run::decode(object, code, start, end);
            // What follows a function need not be code.
            let function = functions.partition_point(|function| function.start < start);
            if let Some(function) = functions.get(function)
                && !run.is_clear
                && function.start == start
                && (address..end).contains(&function.end)
            {
                run = Run::decode(object, code, start, function.end);
            }
            run.add_to(&mut found);
            done = end;
        }
    }
    found
}

/// One decoded run.
struct Run {
    is_clear: bool,
    sites: Vec<Site>,
    left: Vec<(u64, LeftSite)>,
    padding: Vec<(u64, u64)>,
}

impl Run {
    fn decode(object: &Object<'_>, code: &Range<'_>, start: u64, end: u64) -> Self {
        let from = (start - code.address) as usize;
        let to = (end - code.address) as usize;
        let bytes = &code.bytes[from..to];
        let mut decoder = Decoder::with_ip(64, bytes, start, DecoderOptions::NONE);
        let mut before: Vec<Instruction> = Vec::with_capacity(2 * NEIGHBOURS_MAX);
        let mut run = Run {
            is_clear: true,
            sites: Vec::new(),
            left: Vec::new(),
            padding: Vec::new(),
        };
        // Nothing comes here but by a jump.
        let mut is_unreached = false;
        while decoder.can_decode() {
            let instruction = decoder.decode();
            // One that runs over the end is invalid as well.
            run.is_clear &= !instruction.is_invalid();
            if instruction.code() == Code::Syscall {
                match site(object, code, &before, instruction.ip()) {
                    Ok(site) => run.sites.push(site),
                    Err(reason) => run.left.push((instruction.ip(), reason)),
                }
            }
            let is_padding = matches!(instruction.mnemonic(), Mnemonic::Nop | Mnemonic::Int3);
            is_unreached = match run.padding.last_mut() {
                Some((_, end)) if is_padding && *end == instruction.ip() => {
                    *end = instruction.next_ip();
                    true
                }
                _ if is_padding && is_unreached => {
                    run.padding.push((instruction.ip(), instruction.next_ip()));
                    true
                }
                _ => matches!(
                    instruction.flow_control(),
                    FlowControl::UnconditionalBranch
                        | FlowControl::IndirectBranch
                        | FlowControl::Return
                ),
            };
            if before.len() == 2 * NEIGHBOURS_MAX {
                before.drain(..NEIGHBOURS_MAX);
            }
            before.push(instruction);
        }
        run
    }

    fn add_to(mut self, found: &mut Found) {
        if !self.is_clear {
            let sites = self.sites.drain(..).map(|site| site.address);
            let unclear = sites.chain(self.left.drain(..).map(|(address, _)| address));
            let unclear = unclear.map(|address| (address, LeftSite::UnclearCode));
            found.left.extend(unclear);
            return;
        }
        found.sites.append(&mut self.sites);
        found.left.append(&mut self.left);
        found.padding.append(&mut self.padding);
    }
}

fn site(
    object: &Object<'_>,
    code: &Range<'_>,
    before: &[Instruction],
    address: u64,
) -> Result<Site, LeftSite> {
    let at = (address - code.address) as usize;
    if SIGNAL_RETURNS
        .iter()
        .any(|bytes| code.bytes[..at].ends_with(bytes))
    {
        return Err(LeftSite::SignalReturn);
    }
    let mut start = address;
    let mut instructions = Vec::new();
    for instruction in before.iter().rev() {
        if address - start >= JUMP_BYTES as u64 {
            break;
        }
        if instruction.next_ip() != start || !may_move(instruction) {
            break;
        }
        start = instruction.ip();
        instructions.push(*instruction);
    }
    if address - start < SHORT_JUMP_BYTES as u64 {
        return Err(LeftSite::Neighbours);
    }
    instructions.reverse();
    if !flags_are_dead(object, address + SYSCALL.len() as u64) {
        return Err(LeftSite::FlagsUsed);
    }
    Ok(Site {
        address,
        moved: instructions
            .iter()
            .map(|instruction| moved(code, instruction))
            .collect(),
    })
}

/// Whether an instruction does the same elsewhere.
fn may_move(instruction: &Instruction) -> bool {
    match instruction.flow_control() {
        FlowControl::Next => {
            !instruction.is_invalid()
                && !instruction.is_privileged()
                // Somebody jumps there, or the address is what counts.
                && !matches!(instruction.code(), Code::Endbr64 | Code::Endbr32)
                && !instruction.has_lock_prefix()
                && instruction.memory_base() != Register::EIP
        }
        // Not those on RCX, which have an 8-bit form only.
        FlowControl::ConditionalBranch => instruction.is_jcc_short_or_near(),
        _ => false,
    }
}

/// The condition's number in an opcode.
fn condition(instruction: &Instruction) -> u8 {
    match instruction.condition_code() {
        ConditionCode::o => 0x0,
        ConditionCode::no => 0x1,
        ConditionCode::b => 0x2,
        ConditionCode::ae => 0x3,
        ConditionCode::e => 0x4,
        ConditionCode::ne => 0x5,
        ConditionCode::be => 0x6,
        ConditionCode::a => 0x7,
        ConditionCode::s => 0x8,
        ConditionCode::ns => 0x9,
        ConditionCode::p => 0xa,
        ConditionCode::np => 0xb,
        ConditionCode::l => 0xc,
        ConditionCode::ge => 0xd,
        ConditionCode::le => 0xe,
        ConditionCode::g | ConditionCode::None => 0xf,
    }
}

fn moved(code: &Range<'_>, instruction: &Instruction) -> Moved {
    let at = (instruction.ip() - code.address) as usize;
    let bytes = code.bytes[at..at + instruction.len()].to_vec();
    if instruction.is_jcc_short_or_near() {
        // Short forms become near ones.
        return Moved {
            address: instruction.ip(),
            bytes: vec![0x0f, 0x80 | condition(instruction), 0, 0, 0, 0],
            relative: Some((2, instruction.near_branch_target())),
        };
    }
    let relative = instruction.is_ip_rel_memory_operand().then(|| {
        let mut decoder = Decoder::with_ip(64, &bytes, instruction.ip(), DecoderOptions::NONE);
        let again = decoder.decode();
        // RIP-relative displacements have 32 bits, but count from the end of the instruction.
        let at = decoder.get_constant_offsets(&again).displacement_offset();
        (at, again.ip_rel_memory_address())
    });
    Moved {
        address: instruction.ip(),
        bytes,
        relative,
    }
}

/// Whether no instruction from `address` on reads the arithmetic flags before
/// others overwrite them. A trapped `syscall` preserves them, a jump into the
/// libOS does not. Calls and returns end the look: the psABI passes no flags.
fn flags_are_dead(object: &Object<'_>, address: u64) -> bool {
    let mut live = ARITHMETIC_FLAGS;
    let mut at = address;
    let mut left = FLAGS_DISTANCE;
    let mut seen = BTreeSet::new();
    'jumps: while left > 0 {
        let Some(code) = object.code_at(at) else {
            return false;
        };
        let bytes = &code.bytes[(at - code.address) as usize..];
        let mut decoder = Decoder::with_ip(64, bytes, at, DecoderOptions::NONE);
        while decoder.can_decode() && left > 0 {
            left -= 1;
            let instruction = decoder.decode();
            if instruction.code() == Code::Syscall {
                // It keeps them, too; that it copies them to R11 concerns nobody.
                continue;
            }
            if instruction.is_invalid() || instruction.rflags_read() & live != 0 {
                return false;
            }
            live &= !instruction.rflags_modified();
            if live == 0 {
                return true;
            }
            match instruction.flow_control() {
                FlowControl::Next => {}
                FlowControl::UnconditionalBranch => {
                    at = instruction.near_branch_target();
                    if !seen.insert(at) {
                        // A loop without an exit.
                        return true;
                    }
                    continue 'jumps;
                }
                FlowControl::Return
                | FlowControl::Call
                | FlowControl::IndirectCall
                | FlowControl::IndirectBranch
                | FlowControl::Exception
                | FlowControl::Interrupt => return true,
                FlowControl::ConditionalBranch | FlowControl::XbeginXabortXend => return false,
            }
        }
        return false;
    }
    false
}
