//! Into a handler, and back from it.

use linux_raw_sys::general::{SA_NODEFER, SIGSEGV, SS_AUTODISARM};

use super::frame;
use super::state::{Action, AltStack};
use super::{Set, SigInfo, Trap, force_with, trampoline, with_state};
use crate::arch::Registers;
use crate::crash::{self, Fatal};
use crate::errno::Errno;
use crate::strace;
/// Puts a frame on the stack; where there is no room, SIGSEGV, and where that
/// has none either, the end.
pub(super) fn enter_handler(regs: &mut Registers, info: &SigInfo, action: Action, trap: Trap) {
    if push_frame(regs, info, action, trap).is_ok() {
        return;
    }
    if info.number() != SIGSEGV {
        let fallback = with_state(|process, thread| {
            let blocked = thread.mask.has(SIGSEGV);
            Some(process.action(SIGSEGV)).filter(|a| a.is_handler() && !blocked)
        });
        let kernel = SigInfo::from_kernel(SIGSEGV);
        if let Some(action) = fallback
            && push_frame(regs, &kernel, action, trap).is_ok()
        {
            return;
        }
    }
    let info = if info.number() == SIGSEGV {
        *info
    } else {
        SigInfo::from_kernel(SIGSEGV)
    };
    let note = "the program has a handler, but its stack has no room for the signal frame";
    crash::fatal(regs, &Fatal { info, trap, note })
}

fn push_frame(
    regs: &mut Registers,
    info: &SigInfo,
    action: Action,
    trap: Trap,
) -> Result<(), Errno> {
    trampoline::leave(regs);
    let (mask, stack) =
        with_state(|_, thread| (thread.saved_mask.unwrap_or(thread.mask), thread.stack));
    frame::enter(
        regs,
        &frame::Delivery {
            info,
            action,
            trap,
            mask,
            stack,
        },
    )?;
    with_state(|_, thread| {
        thread.saved_mask = None;
        let mut blocked = thread.mask.union(Set::from_bits(action.mask));
        if !action.has(SA_NODEFER) {
            blocked = blocked.union(Set::of(info.number()));
        }
        thread.set_mask(blocked);
        if stack.flags & SS_AUTODISARM != 0 {
            thread.stack = AltStack::DISABLED;
        }
    });
    Ok(())
}

/// rt_sigreturn(2): back to what a handler interrupted. A frame that cannot be
/// returned through is SIGSEGV.
pub fn sigreturn(regs: &mut Registers) {
    match frame::leave(regs) {
        Ok(restored) => {
            strace::handler_returned(restored.mask, regs.rax);
            with_state(|_, thread| {
                thread.set_mask(restored.mask);
                // SS_ONSTACK in it only says where the interrupted code ran.
                if let Ok(stack) = restored.stack.checked() {
                    thread.stack = stack;
                }
            });
        }
        Err(_) => {
            let note = "the signal frame that the program returned through was overwritten";
            force_with(regs, SigInfo::from_kernel(SIGSEGV), Trap::default(), note);
        }
    }
}
