//! The signal frame that Linux puts on a program's stack (struct rt_sigframe).
//!
//! ```text
//! high  interrupted stack, red zone of 128 bytes
//!       extended state, 64-byte aligned            xstate.rs
//!       siginfo                                    +312
//!       ucontext: registers, mask, stack           +8
//! sp →  restorer: the handler's return address     +0     sp % 16 == 8
//! ```
//!
//! Source: arch/x86/kernel/signal_64.c describes it, sigreturn(2).

use linux_raw_sys::general::{SA_ONSTACK, SA_RESTORER, SS_AUTODISARM};
use unikiln_abi::layout::{
    APP_END, LIBOS_END, LIBOS_START, USER_CODE_SELECTOR, USER_DATA_SELECTOR,
};

use super::info::SigInfo;
use super::number::Set;
use super::state::{Action, AltStack};
use super::{Trap, xstate};
use crate::arch::Registers;
use crate::errno::Errno;
use crate::mm::user;

/// Bytes below the stack pointer that belong to leaf functions.
const RED_ZONE_BYTES: u64 = 128;
/// uc_flags: XSAVE image, valid SS, SS restored strictly.
const CONTEXT_FLAGS: u64 = 1 | 2 | 4;
/// AC, OF, DF, TF, SF, ZF, AF, PF, CF and RF: what a frame may change.
const FLAGS_RESTORED: u64 = 0x1_0000 | 0x4_0000 | 0xdd5;
/// DF, TF and RF are clear when a handler starts.
const FLAGS_CLEARED: u64 = 0x400 | 0x100 | 0x1_0000;

/// struct sigcontext.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct Context {
    r8: u64,
    r9: u64,
    r10: u64,
    r11: u64,
    r12: u64,
    r13: u64,
    r14: u64,
    r15: u64,
    rdi: u64,
    rsi: u64,
    rbp: u64,
    rbx: u64,
    rdx: u64,
    rax: u64,
    rcx: u64,
    rsp: u64,
    rip: u64,
    rflags: u64,
    cs: u16,
    gs: u16,
    fs: u16,
    ss: u16,
    error: u64,
    trap: u64,
    old_mask: u64,
    cr2: u64,
    extended_state: u64,
    reserved: [u64; 8],
}

/// struct ucontext.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct UserContext {
    flags: u64,
    link: u64,
    stack: AltStack,
    registers: Context,
    mask: u64,
}

/// struct rt_sigframe.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Frame {
    restorer: u64,
    context: UserContext,
    info: SigInfo,
}

crate::pod!(UserContext, Frame);

const _: () = assert!(size_of::<Context>() == 256);
const _: () = assert!(size_of::<UserContext>() == 304);
const _: () = assert!(size_of::<Frame>() == 440);

/// One delivery to a handler.
pub(super) struct Delivery<'a> {
    /// What is delivered.
    pub info: &'a SigInfo,
    /// Who handles it.
    pub action: Action,
    /// The exception behind it, if any.
    pub trap: Trap,
    /// Mask to come back to.
    pub mask: Set,
    /// The thread's alternate stack.
    pub stack: AltStack,
}

/// Where the parts of a frame lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    frame: u64,
    extended_state: u64,
}

/// Finds room below `sp` or on the alternate stack.
fn place(sp: u64, stack: &AltStack, flags: u64, extended_bytes: u64) -> Result<Place, Errno> {
    let was_on_stack = stack.is_in_use(sp);
    let mut top = sp.wrapping_sub(RED_ZONE_BYTES);
    let enters = flags & u64::from(SA_ONSTACK) != 0
        && stack.is_enabled()
        && !was_on_stack
        && !(stack.flags & SS_AUTODISARM != 0 && stack.holds(sp));
    if enters {
        top = stack.top();
    }
    let extended_state = top.checked_sub(extended_bytes).ok_or(Errno::EFAULT)? & !63;
    let frame = extended_state
        .checked_sub(size_of::<Frame>() as u64)
        .ok_or(Errno::EFAULT)?;
    let frame = (frame & !15).checked_sub(8).ok_or(Errno::EFAULT)?;
    if (was_on_stack || enters) && !stack.holds(frame) {
        return Err(Errno::EFAULT);
    }
    Ok(Place {
        frame,
        extended_state,
    })
}

/// Writes the frame and turns `regs` into the handler's start.
///
/// # Errors
/// EFAULT when there is no room or no restorer; `regs` is unchanged then.
pub(super) fn enter(regs: &mut Registers, delivery: &Delivery<'_>) -> Result<(), Errno> {
    let action = &delivery.action;
    if !action.has(SA_RESTORER) || action.handler >= APP_END {
        return Err(Errno::EFAULT);
    }
    let place = place(
        regs.rsp,
        &delivery.stack,
        action.flags,
        xstate::frame_bytes(),
    )?;
    let frame = Frame {
        restorer: action.restorer,
        context: UserContext {
            flags: CONTEXT_FLAGS,
            link: 0,
            stack: delivery.stack.shown(regs.rsp),
            registers: context_of(regs, delivery, place.extended_state),
            mask: delivery.mask.bits(),
        },
        info: *delivery.info,
    };
    xstate::save(place.extended_state)?;
    user::write(place.frame, &frame)?;
    regs.rdi = u64::from(delivery.info.number());
    regs.rsi = place.frame + core::mem::offset_of!(Frame, info) as u64;
    regs.rdx = place.frame + core::mem::offset_of!(Frame, context) as u64;
    regs.rax = 0;
    regs.rsp = place.frame;
    regs.rip = action.handler;
    regs.rflags &= !FLAGS_CLEARED;
    regs.cs = u64::from(USER_CODE_SELECTOR);
    regs.ss = u64::from(USER_DATA_SELECTOR);
    Ok(())
}

fn context_of(regs: &Registers, delivery: &Delivery<'_>, extended_state: u64) -> Context {
    Context {
        r8: regs.r8,
        r9: regs.r9,
        r10: regs.r10,
        r11: regs.r11,
        r12: regs.r12,
        r13: regs.r13,
        r14: regs.r14,
        r15: regs.r15,
        rdi: regs.rdi,
        rsi: regs.rsi,
        rbp: regs.rbp,
        rbx: regs.rbx,
        rdx: regs.rdx,
        rax: regs.rax,
        rcx: regs.rcx,
        rsp: regs.rsp,
        rip: regs.rip,
        rflags: regs.rflags,
        cs: regs.cs as u16,
        gs: 0,
        fs: 0,
        ss: regs.ss as u16,
        error: delivery.trap.error,
        trap: delivery.trap.vector,
        old_mask: delivery.mask.bits(),
        cr2: delivery.trap.address,
        extended_state,
        reserved: [0; 8],
    }
}

/// What a frame brings back beside the registers.
pub(super) struct Restored {
    /// Blocked signals.
    pub mask: Set,
    /// The alternate stack at the time of delivery.
    pub stack: AltStack,
}

/// Reads the frame that a handler returned through into `regs`.
///
/// # Errors
/// EFAULT, EINVAL for a frame that cannot be returned through; `regs` may hold
/// some of it, but never anything that would fault inside the libOS.
pub(super) fn leave(regs: &mut Registers) -> Result<Restored, Errno> {
    let at = regs.rsp.checked_sub(8).ok_or(Errno::EFAULT)?;
    let context: UserContext = user::read(at + core::mem::offset_of!(Frame, context) as u64)?;
    let from = &context.registers;
    // IRETQ to an address that is not canonical faults inside the libOS, and a
    // stack in the libOS's part would pass for the libOS's own.
    if from.rip >= APP_END || (LIBOS_START..LIBOS_END).contains(&from.rsp) {
        return Err(Errno::EFAULT);
    }
    xstate::load(from.extended_state)?;
    *regs = Registers {
        r8: from.r8,
        r9: from.r9,
        r10: from.r10,
        r11: from.r11,
        r12: from.r12,
        r13: from.r13,
        r14: from.r14,
        r15: from.r15,
        rdi: from.rdi,
        rsi: from.rsi,
        rbp: from.rbp,
        rbx: from.rbx,
        rdx: from.rdx,
        rax: from.rax,
        rcx: from.rcx,
        rsp: from.rsp,
        rip: from.rip,
        rflags: (regs.rflags & !FLAGS_RESTORED) | (from.rflags & FLAGS_RESTORED),
        cs: u64::from(USER_CODE_SELECTOR),
        ss: u64::from(USER_DATA_SELECTOR),
        origin: u64::MAX,
        error_code: 0,
    };
    Ok(Restored {
        mask: Set::from_bits(context.mask),
        stack: context.stack,
    })
}

#[cfg(test)]
mod tests {
    use core::mem::offset_of;

    use super::*;

    #[test]
    fn layout_is_that_of_the_c_library() {
        assert_eq!(
            offset_of!(UserContext, registers),
            offset_of!(libc::ucontext_t, uc_mcontext)
        );
        assert_eq!(
            offset_of!(UserContext, mask),
            offset_of!(libc::ucontext_t, uc_sigmask)
        );
        assert_eq!(
            offset_of!(UserContext, stack),
            offset_of!(libc::ucontext_t, uc_stack)
        );
        let registers: [(usize, i32); 6] = [
            (offset_of!(Context, r8), libc::REG_R8),
            (offset_of!(Context, rdi), libc::REG_RDI),
            (offset_of!(Context, rsp), libc::REG_RSP),
            (offset_of!(Context, rip), libc::REG_RIP),
            (offset_of!(Context, error), libc::REG_ERR),
            (offset_of!(Context, cr2), libc::REG_CR2),
        ];
        for (offset, index) in registers {
            assert_eq!(offset, index as usize * 8);
        }
        assert_eq!(
            offset_of!(Context, extended_state),
            offset_of!(libc::mcontext_t, fpregs)
        );
    }

    #[test]
    fn frames_are_aligned_as_after_a_call() {
        let place = place(0x7000_0000_1237, &AltStack::DISABLED, 0, 836).unwrap();
        assert_eq!(place.frame % 16, 8);
        assert_eq!(place.extended_state % 64, 0);
        assert!(place.extended_state + 836 <= 0x7000_0000_1237 - RED_ZONE_BYTES);
        assert!(place.frame + 440 <= place.extended_state);
    }

    #[test]
    fn the_alternate_stack_is_entered_once_and_never_overrun() {
        let stack = AltStack::new(0x10_0000, 0x4000, 0);
        let flags = u64::from(SA_ONSTACK);
        let first = place(0x7000_0000_0000, &stack, flags, 836).unwrap();
        assert!(stack.holds(first.frame));
        let nested = place(first.frame, &stack, flags, 836).unwrap();
        assert!(nested.frame < first.frame);
        assert_eq!(place(0x10_0200, &stack, flags, 836), Err(Errno::EFAULT));
        assert!(place(0x100, &AltStack::DISABLED, 0, 836).is_err());
    }

    #[test]
    fn what_enters_comes_back() {
        let stack = alloc::vec![0u64; 512];
        let top = stack.as_ptr().expose_provenance() as u64 + 4096;
        let before = Registers {
            r15: 15,
            rbp: 6,
            rax: 5,
            rip: 0x40_1000,
            rsp: top,
            rflags: 0x246,
            cs: 0x33,
            ss: 0x2b,
            ..Registers::default()
        };
        let info = SigInfo::from_fault(11, 1, 0x10);
        let action = Action {
            handler: 0x40_2000,
            flags: u64::from(SA_RESTORER),
            restorer: 0x40_3000,
            mask: 0,
        };
        let trap = Trap {
            vector: 14,
            error: 4,
            address: 0x10,
        };
        let mask = Set::of(12);
        let delivery = Delivery {
            info: &info,
            action,
            trap,
            mask,
            stack: AltStack::DISABLED,
        };
        let mut regs = before;
        enter(&mut regs, &delivery).unwrap();
        assert_eq!((regs.rdi, regs.rip, regs.rax), (11, 0x40_2000, 0));
        assert_eq!(user::read::<u64>(regs.rsp), Ok(0x40_3000));
        regs.rsp += 8;
        let restored = leave(&mut regs).unwrap();
        assert_eq!(restored.mask, mask);
        assert_eq!((regs.r15, regs.rbp, regs.rax), (15, 6, 5));
        assert_eq!((regs.rip, regs.rsp, regs.rflags), (0x40_1000, top, 0x246));
    }
}
