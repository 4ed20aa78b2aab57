//! Where a program is that was interrupted in a trampoline of a bound site.
//!
//! ```text
//! site                        trampoline                         (builder/src/link/rewrite.rs)
//!   jmp  T                    T: instructions that moved
//!   int3 …                       lea  next(%rip), %rcx
//!   syscall                      jmp  *%gs:8 ──► syscall_direct_entry
//! next:
//! ```
//! A site with little room has a `jmp rel8` to a `jmp rel32` in padding.
//!
//! A handler may look at where it interrupted the program: musl and glibc compare
//! RIP with the bounds of a cancellable call, unwinders look it up in tables that
//! know nothing of trampolines. So the program is put to the place in its own
//! code from where the same is still to be done: to the jump, while nothing of
//! the trampoline has run; to the `syscall`, when only that is left. Between two
//! of several moved instructions there is no such place, and RIP stays.

use unikiln_abi::vcpu::SYSCALL_ENTRY_OFFSET;

use crate::arch::{self, Registers};
use crate::mm::user;

/// `syscall`.
const SYSCALL: [u8; 2] = [0x0f, 0x05];
/// `lea disp32(%rip), %rcx`.
const LOAD_RETURN: [u8; 3] = [0x48, 0x8d, 0x0d];
const LOAD_RETURN_BYTES: usize = 7;
/// `jmp *%gs:8`.
const ENTER: [u8; 8] = [0x65, 0xff, 0x24, 0x25, SYSCALL_ENTRY_OFFSET as u8, 0, 0, 0];
/// `jmp rel32`.
const JUMP: u8 = 0xe9;
const JUMP_BYTES: usize = 5;
/// `jmp rel8`.
const SHORT_JUMP: u8 = 0xeb;
const SHORT_JUMP_BYTES: usize = 2;
/// `int3`, between the jump and the `syscall`.
const TRAP: u8 = 0xcc;
/// TF.
const SINGLE_STEP: u64 = 1 << 8;
/// More than moved instructions take in a trampoline, or took before a site.
const MOVED_MAX_BYTES: usize = 40;

/// Puts a program that is in a trampoline back to its own code, where that
/// changes nothing of what it does.
pub(super) fn leave(regs: &mut Registers) {
    if regs.rip == arch::direct_entry() {
        // Only a single step stops there.
        leave_to_syscall(regs, regs.rcx);
        return;
    }
    let Ok(code) = user::read::<u64>(regs.rip) else {
        return;
    };
    let code = code.to_le_bytes();
    if code == ENTER {
        leave_to_syscall(regs, regs.rcx);
    } else if code.starts_with(&LOAD_RETURN) {
        if let Some(next) = return_address(regs.rip) {
            leave_to_syscall(regs, next);
        }
    } else if regs.rflags & SINGLE_STEP == 0 {
        // The trampoline's first instruction, or a jump there from padding.
        // A program that steps itself would never come further.
        let rip = jump_target(regs.rip).unwrap_or(regs.rip);
        if let Some(origin) = origin(rip)
            && origin.inside == 0
        {
            regs.rip = origin.jump;
        }
    }
}

/// An address in the program's own code for one in a trampoline, for tables and
/// symbols: of the instruction, or of one that moved with it.
pub fn shown(rip: u64) -> u64 {
    if let Some(next) = return_address(rip) {
        return next - SYSCALL.len() as u64;
    }
    match origin(jump_target(rip).unwrap_or(rip)) {
        Some(origin) => (origin.jump + origin.inside).min(origin.site - 1),
        None => rip,
    }
}

fn leave_to_syscall(regs: &mut Registers, next: u64) {
    let site = next.wrapping_sub(SYSCALL.len() as u64);
    if user::read::<u16>(site) == Ok(u16::from_le_bytes(SYSCALL)) {
        regs.rip = site;
    }
}

/// What the `lea` at `address` loads, if it is a trampoline's.
fn return_address(address: u64) -> Option<u64> {
    let mut code = [0; LOAD_RETURN_BYTES + ENTER.len()];
    user::copy_in(address, &mut code).ok()?;
    if !code.starts_with(&LOAD_RETURN) || code[LOAD_RETURN_BYTES..] != ENTER {
        return None;
    }
    let distance = i32::from_le_bytes([code[3], code[4], code[5], code[6]]);
    let end = address + LOAD_RETURN_BYTES as u64;
    Some(end.wrapping_add_signed(distance.into()))
}

/// Where the trampoline belongs that an address is in.
struct Origin {
    /// The jump to it.
    jump: u64,
    /// The `syscall`.
    site: u64,
    /// How far in the address is.
    inside: u64,
}

fn origin(rip: u64) -> Option<Origin> {
    let mut code = [0; MOVED_MAX_BYTES];
    let got = user::copy_in_part(rip, &mut code);
    let next = code[..got]
        .windows(LOAD_RETURN.len())
        .enumerate()
        .filter(|(_, bytes)| *bytes == LOAD_RETURN)
        .find_map(|(at, _)| return_address(rip + at as u64))?;
    let site = next.wrapping_sub(SYSCALL.len() as u64);
    let from = site.wrapping_sub(MOVED_MAX_BYTES as u64);
    let mut code = [0; MOVED_MAX_BYTES + SYSCALL.len()];
    // The section may begin within that distance; then so does the mapping at most.
    user::copy_in(from, &mut code).ok()?;
    if !code.ends_with(&SYSCALL) {
        return None;
    }
    let filler = code[..MOVED_MAX_BYTES]
        .iter()
        .rev()
        .take_while(|&&byte| byte == TRAP)
        .count();
    // The last bytes of a displacement may look like fillers.
    (0..=filler).find_map(|filler| {
        let end = MOVED_MAX_BYTES - filler;
        [JUMP_BYTES, SHORT_JUMP_BYTES]
            .into_iter()
            .find_map(|bytes| {
                let jump = from + end.checked_sub(bytes)? as u64;
                let target = jump_target(jump)?;
                let trampoline = match bytes {
                    SHORT_JUMP_BYTES => jump_target(target)?,
                    _ => target,
                };
                let inside = rip.checked_sub(trampoline)?;
                (inside < MOVED_MAX_BYTES as u64).then_some(Origin { jump, site, inside })
            })
    })
}

/// Where the `jmp rel32` or `jmp rel8` at `address` leads.
fn jump_target(address: u64) -> Option<u64> {
    let (bytes, distance) = match user::read::<u8>(address).ok()? {
        JUMP => (JUMP_BYTES, user::read::<i32>(address + 1).ok()?.into()),
        SHORT_JUMP => {
            let distance = user::read::<u8>(address + 1).ok()? as i8;
            (SHORT_JUMP_BYTES, i64::from(distance))
        }
        _ => return None,
    };
    Some((address + bytes as u64).wrapping_add_signed(distance))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A site and its trampoline as the builder makes them: `mov $39, %eax` moved.
    fn code() -> Vec<u8> {
        let mut code = vec![0x90; 128];
        let (jump, site, trampoline) = (48, 53, 96);
        code[jump] = JUMP;
        let distance = (trampoline - (jump + JUMP_BYTES)) as i32;
        code[jump + 1..jump + 5].copy_from_slice(&distance.to_le_bytes());
        code[site..site + 2].copy_from_slice(&SYSCALL);
        code[trampoline..trampoline + 5].copy_from_slice(&[0xb8, 39, 0, 0, 0]);
        code[trampoline + 5..trampoline + 8].copy_from_slice(&LOAD_RETURN);
        let distance = (site + 2) as i32 - (trampoline + 12) as i32;
        code[trampoline + 8..trampoline + 12].copy_from_slice(&distance.to_le_bytes());
        code[trampoline + 12..trampoline + 20].copy_from_slice(&ENTER);
        code
    }

    fn left(code: &[u8], rip: usize, rcx: usize) -> usize {
        let base = code.as_ptr().expose_provenance() as u64;
        let mut regs = Registers {
            rip: base + rip as u64,
            rcx: base + rcx as u64,
            ..Registers::default()
        };
        leave(&mut regs);
        (regs.rip - base) as usize
    }

    #[test]
    fn a_program_in_a_trampoline_is_put_back_to_its_own_code() {
        let code = code();
        assert_eq!(left(&code, 96, 0), 48, "nothing has run: to the jump");
        assert_eq!(left(&code, 101, 0), 53, "the call is left: to the syscall");
        assert_eq!(left(&code, 108, 55), 53);
        assert_eq!(left(&code, 55, 55), 55, "the call is over");
        assert_eq!(left(&code, 48, 0), 48);
    }

    #[test]
    fn between_moved_instructions_only_what_is_shown_changes() {
        let code = code();
        let base = code.as_ptr().expose_provenance() as u64;
        assert_eq!(left(&code, 98, 0), 98);
        assert_eq!(shown(base + 98), base + 50);
        assert_eq!(shown(base + 101), base + 53);
        assert_eq!(shown(base + 60), base + 60);
    }
}
