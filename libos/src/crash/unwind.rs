//! The backtrace: from a fault through its callers.
//!
//! | how a caller is found | when |
//! |---|---|
//! | unwind tables (`cfi.rs`) | the module has them, as all that gcc, clang and rustc make |
//! | signal frame | the return address is the C library's sigreturn |
//! | top of the stack | a jump to nowhere: the call pushed the return address |
//! | frame pointer | none of these, and RBP looks like one |
//! | a guess | the stack holds an address behind a call instruction |

use alloc::vec::Vec;

use super::cfi::{RBP, RIP, RSP, Values};

/// Most frames shown.
const FRAMES_MAX: usize = 64;
/// Words of the stack that are looked through for a guess.
const GUESS_WORDS: u64 = 256;
/// Most guesses.
const GUESSES_MAX: usize = 8;
/// Farthest that a frame pointer may be from the stack pointer.
const FRAME_MAX_BYTES: u64 = 8 << 20;
/// `mov $15, %rax; syscall`: what a handler returns to.
const SIGRETURN: [u8; 9] = [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05];
/// Offset of the registers in a signal frame whose restorer was popped.
const CONTEXT_OFFSET: u64 = 40;
/// DWARF register of each of the first 17 words of struct sigcontext.
const CONTEXT_REGISTERS: [usize; 17] = [
    8, 9, 10, 11, 12, 13, 14, 15, 5, 4, RBP, 3, 1, 0, 2, RSP, RIP,
];

/// What unwinding needs to see of the program.
pub(super) trait View {
    /// A word of memory.
    fn load(&self, address: u64) -> Option<u64>;
    /// Bytes of memory.
    fn read(&self, address: u64, buffer: &mut [u8]) -> bool;
    /// Whether code may run there.
    fn is_code(&self, address: u64) -> bool;
    /// The caller's registers by the tables of the module that `pc` is in.
    fn caller(&self, pc: u64, values: &Values) -> Option<Values>;
}

/// How a frame was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// It is the fault itself.
    Fault,
    /// By a return address that is known to be one.
    Return,
    /// It was interrupted by a signal.
    Interrupted,
    /// The C library's sigreturn, which a handler returns to.
    Handler,
    /// Something on the stack that looks like a return address.
    Guess,
}

/// One line of the backtrace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Instruction: the faulting one, or the one to return to.
    pub pc: u64,
    /// How it was found.
    pub how: How,
}

impl Frame {
    /// An address inside the calling instruction, for tables and symbols.
    pub(super) fn lookup(&self) -> u64 {
        match self.how {
            How::Fault | How::Interrupted | How::Handler => self.pc,
            How::Return | How::Guess => self.pc.wrapping_sub(1),
        }
    }
}

/// The frames from `values` outwards.
pub(super) fn unwind(view: &dyn View, mut values: Values) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut guesses = 0;
    let mut how = How::Fault;
    while let Some(pc) = values[RIP] {
        let at_sigreturn = is_sigreturn(view, pc);
        let frame = Frame {
            pc,
            how: if at_sigreturn { How::Handler } else { how },
        };
        frames.push(frame);
        if frames.len() >= FRAMES_MAX {
            break;
        }
        let before = values[RSP].unwrap_or(0);
        let next = if at_sigreturn {
            interrupted(view, before).map(|values| (values, How::Interrupted))
        } else {
            match view
                .is_code(pc)
                .then(|| view.caller(frame.lookup(), &values))
                .flatten()
            {
                // The outermost frame says so.
                Some(caller) if caller[RIP].is_none_or(|pc| pc == 0) => break,
                Some(caller) => Some((caller, How::Return)),
                None => without_tables(view, &frame, &values, &mut guesses),
            }
        };
        let Some((next, found)) = next else { break };
        // The stack grows down, so a caller's frame is above; a signal handler
        // may run on another stack.
        if found != How::Interrupted && next[RSP].is_none_or(|after| after <= before) {
            break;
        }
        (values, how) = (next, found);
    }
    frames
}

fn is_sigreturn(view: &dyn View, pc: u64) -> bool {
    let mut code = [0; SIGRETURN.len()];
    view.is_code(pc) && view.read(pc, &mut code) && code == SIGRETURN
}

/// The registers that a signal frame above `sp` holds.
fn interrupted(view: &dyn View, sp: u64) -> Option<Values> {
    let mut values = Values::default();
    let context = sp.checked_add(CONTEXT_OFFSET)?;
    for (word, register) in CONTEXT_REGISTERS.iter().enumerate() {
        *values.get_mut(*register)? = Some(view.load(context.checked_add(word as u64 * 8)?)?);
    }
    Some(values)
}

fn without_tables(
    view: &dyn View,
    frame: &Frame,
    values: &Values,
    guesses: &mut usize,
) -> Option<(Values, How)> {
    let (sp, bp) = (values[RSP]?, values[RBP]);
    let returned_to = |pc: u64, sp: u64, bp: Option<u64>| {
        let mut next = Values::default();
        (next[RIP], next[RSP], next[RBP]) = (Some(pc), Some(sp), bp);
        next
    };
    if frame.how == How::Fault && !view.is_code(frame.pc) {
        let pc = view.load(sp)?;
        if view.is_code(pc) {
            // All other registers are the caller's still.
            let mut next = *values;
            (next[RIP], next[RSP]) = (Some(pc), Some(sp.checked_add(8)?));
            return Some((next, How::Return));
        }
    }
    if let Some(bp) = bp
        && (sp..sp.saturating_add(FRAME_MAX_BYTES)).contains(&bp)
        && bp % 8 == 0
        && let (Some(outer), Some(pc)) = (view.load(bp), view.load(bp.wrapping_add(8)))
        && follows_call(view, pc)
    {
        return Some((
            returned_to(pc, bp.checked_add(16)?, Some(outer)),
            How::Return,
        ));
    }
    *guesses += 1;
    if *guesses > GUESSES_MAX {
        return None;
    }
    let first = sp.checked_add(7)? & !7;
    for index in 0..GUESS_WORDS {
        let at = first.checked_add(index * 8)?;
        let pc = view.load(at)?;
        if follows_call(view, pc) || is_sigreturn(view, pc) {
            return Some((returned_to(pc, at.checked_add(8)?, bp), How::Guess));
        }
    }
    None
}

/// Whether the instruction before `pc` is a call.
fn follows_call(view: &dyn View, pc: u64) -> bool {
    let mut code = [0; 7];
    let start = pc.wrapping_sub(code.len() as u64);
    if !view.is_code(pc) || !view.read(start, &mut code) {
        return false;
    }
    // call rel32, or call through a register or memory: FF /2 of 2, 3, 6 or 7 bytes.
    let indirect =
        |len: usize| matches!(code[7 - len..], [0xff, modrm, ..] if modrm & 0x38 == 0x10);
    code[2] == 0xe8 || [2, 3, 4, 6, 7].into_iter().any(indirect)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Code at 0x400000..0x401000, all of it `call`; a stack at 0x7000.
    struct Toy {
        stack: Vec<u64>,
        sigreturn: Option<u64>,
    }

    impl View for Toy {
        fn load(&self, address: u64) -> Option<u64> {
            let index = address.checked_sub(0x7000)? / 8;
            self.stack.get(index as usize).copied()
        }
        fn read(&self, address: u64, buffer: &mut [u8]) -> bool {
            if Some(address) == self.sigreturn {
                buffer.copy_from_slice(&SIGRETURN);
            } else {
                buffer.fill(0xe8);
            }
            true
        }
        fn is_code(&self, address: u64) -> bool {
            (0x40_0000..0x40_1000).contains(&address)
        }
        fn caller(&self, _pc: u64, _values: &Values) -> Option<Values> {
            None
        }
    }

    fn at(pc: u64, sp: u64, bp: u64) -> Values {
        let mut values = Values::default();
        (values[RIP], values[RSP], values[RBP]) = (Some(pc), Some(sp), Some(bp));
        values
    }

    fn pcs(frames: &[Frame]) -> Vec<(u64, How)> {
        frames.iter().map(|frame| (frame.pc, frame.how)).collect()
    }

    #[test]
    fn a_null_call_has_its_caller_on_the_stack() {
        let toy = Toy {
            stack: alloc::vec![0x40_0123, 0, 0],
            sigreturn: None,
        };
        let frames = unwind(&toy, at(0, 0x7000, 0));
        assert_eq!(pcs(&frames), [(0, How::Fault), (0x40_0123, How::Return)]);
    }

    #[test]
    fn frame_pointers_are_followed_and_end() {
        let toy = Toy {
            stack: alloc::vec![9, 0x7020, 0x40_0200, 9, 0, 0x40_0300, 9],
            sigreturn: None,
        };
        let frames = unwind(&toy, at(0x40_0100, 0x7000, 0x7008));
        let wanted = [
            (0x40_0100, How::Fault),
            (0x40_0200, How::Return),
            (0x40_0300, How::Return),
        ];
        assert_eq!(pcs(&frames), wanted);
    }

    #[test]
    fn without_anything_the_stack_is_searched() {
        let toy = Toy {
            stack: alloc::vec![1, 2, 0x40_0200, 3, 0x40_0300],
            sigreturn: None,
        };
        let frames = unwind(&toy, at(0x40_0100, 0x7000, 0));
        let wanted = [
            (0x40_0100, How::Fault),
            (0x40_0200, How::Guess),
            (0x40_0300, How::Guess),
        ];
        assert_eq!(pcs(&frames), wanted);
    }

    #[test]
    fn a_handler_leads_to_what_it_interrupted() {
        let mut stack = alloc::vec![0; 40];
        stack[0] = 0x40_0f00;
        stack[1 + 5 + 16] = 0x40_0200;
        stack[1 + 5 + 15] = 0x7100;
        let toy = Toy {
            stack,
            sigreturn: Some(0x40_0f00),
        };
        let frames = unwind(&toy, at(0, 0x7000, 0));
        let wanted = [
            (0, How::Fault),
            (0x40_0f00, How::Handler),
            (0x40_0200, How::Interrupted),
        ];
        assert_eq!(pcs(&frames), wanted);
    }

    #[test]
    fn a_loop_on_the_stack_ends() {
        let toy = Toy {
            stack: alloc::vec![0x7000, 0x40_0200],
            sigreturn: None,
        };
        assert!(unwind(&toy, at(0x40_0100, 0x7000, 0x7000)).len() < 4);
    }
}
