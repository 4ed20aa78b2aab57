//! Processes and threads: clone, futex, wait, the start of a program.
//!
//! Source: clone(2), futex(2), wait(2).

use core::fmt::Write;

use alloc::vec::Vec;

use super::flags::process::{CLONE, FUTEX};
use super::kind::Call;
use super::kind::Kind::{self, In, Late, Out};
use super::memory::{Raw, pointee};
use super::output::Output;
use super::text::quote;
use super::{number, signal, time};
use crate::mm::user;
use crate::process;

const CLONE_PIDFD: u64 = 0x1000;
const CLONE_SETTLS: u64 = 0x8_0000;
const CLONE_PARENT_SETTID: u64 = 0x10_0000;
const CLONE_CHILD_CLEARTID: u64 = 0x20_0000;
const CLONE_CHILD_SETTID: u64 = 0x100_0000;
/// Bits of clone(2)'s flags that are the signal at the end.
const END_SIGNAL: u64 = 0xff;

const PRIVATE: u64 = 128;
const CLOCK_REALTIME: u64 = 256;
const WAIT: u64 = 0;
const REQUEUE: u64 = 3;
const COMPARE_REQUEUE: u64 = 4;
const WAKE_OPERATION: u64 = 5;
const LOCK_PI: u64 = 6;
const UNLOCK_PI: u64 = 7;
const TRYLOCK_PI: u64 = 8;
const WAIT_BITSET: u64 = 9;
const WAKE_BITSET: u64 = 10;
const WAIT_REQUEUE_PI: u64 = 11;
const COMPARE_REQUEUE_PI: u64 = 12;
const LOCK_PI2: u64 = 13;

/// Arguments of clone(2), by their names and in strace's order.
pub const CLONE_STACK: Kind = In(|out, call, _| {
    out.push_str("child_stack=");
    number::address(out, call.arg(1));
});
/// Its flags.
pub const CLONE_FLAGS: Kind = In(|out, call, _| {
    out.push_str("flags=");
    clone_flags(out, call.arg(0));
});
/// Where it writes the new id for the parent.
pub const CLONE_PARENT: Kind = Late(|out, call, _| {
    if call.arg(0) & (CLONE_PARENT_SETTID | CLONE_PIDFD) != 0 {
        out.push_str("parent_tid=");
        if call.value().is_some() {
            super::memory::boxed_int(out, call.arg(2));
        } else {
            number::address(out, call.arg(2));
        }
    }
});
/// The FS base of the new thread.
pub const CLONE_TLS: Kind = In(|out, call, _| {
    if call.arg(0) & CLONE_SETTLS != 0 {
        out.push_str("tls=");
        number::address(out, call.arg(4));
    }
});
/// Where it writes the new id for the child.
pub const CLONE_CHILD: Kind = In(|out, call, _| {
    if call.arg(0) & (CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID) != 0 {
        out.push_str("child_tidptr=");
        number::address(out, call.arg(3));
    }
});

fn clone_flags(out: &mut Output, word: u64) {
    let (flags, end) = (word & !END_SIGNAL, word & END_SIGNAL);
    if flags != 0 || end == 0 {
        CLONE.flags(out, flags);
    }
    if end != 0 {
        if flags != 0 {
            out.push('|');
        }
        signal::name(out, end as u32);
    }
}

/// struct clone_args, and the new id where it was written for the parent.
pub const CLONE_ARGUMENTS: Kind = Late(|out, call, at| {
    pointee(out, call.arg(at), |out, raw: &Raw<64>| {
        let flags = raw.u64(0);
        out.push_str("{flags=");
        CLONE.flags(out, flags);
        let mut member = |name: &str, at: usize, wanted: u64| {
            if flags & wanted != 0 {
                let _ = write!(out, ", {name}=");
                number::address(out, raw.u64(at));
            }
        };
        member("pidfd", 8, CLONE_PIDFD);
        member("child_tid", 16, CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID);
        member("parent_tid", 24, CLONE_PARENT_SETTID);
        out.push_str(", exit_signal=");
        signal::name(out, raw.u64(32) as u32);
        out.push_str(", stack=");
        number::address(out, raw.u64(40));
        out.push_str(", stack_size=");
        number::hex(out, raw.u64(48));
        if flags & CLONE_SETTLS != 0 {
            out.push_str(", tls=");
            number::address(out, raw.u64(56));
        }
        out.push('}');
        if flags & CLONE_PARENT_SETTID != 0 && call.value().is_some() {
            out.push_str(" => {parent_tid=");
            super::memory::boxed_int(out, raw.u64(24));
            out.push('}');
        }
    });
});

fn operation(call: &Call<'_>) -> u64 {
    u64::from(call.arg(1) as u32) & !(PRIVATE | CLOCK_REALTIME)
}

/// What futex(2) does.
pub const FUTEX_OPERATION: Kind = In(|out, call, at| {
    let word = u64::from(call.arg(at) as u32);
    FUTEX.one_of(out, operation(call));
    if word & PRIVATE != 0 {
        out.push_str("_PRIVATE");
    }
    if word & CLOCK_REALTIME != 0 {
        out.push_str("|FUTEX_CLOCK_REALTIME");
    }
});
/// The value of futex(2).
pub const FUTEX_VALUE: Kind = In(|out, call, at| {
    if !matches!(operation(call), LOCK_PI | UNLOCK_PI | TRYLOCK_PI | LOCK_PI2) {
        number::int(out, call, at);
    }
});
/// Its timeout, or a second value.
pub const FUTEX_TIMEOUT: Kind = In(|out, call, at| match operation(call) {
    WAIT | WAIT_BITSET | LOCK_PI | LOCK_PI2 | WAIT_REQUEUE_PI => {
        pointee(out, call.arg(at), |out, raw: &Raw<16>| {
            time::timespec(out, raw, 0)
        });
    }
    REQUEUE | COMPARE_REQUEUE | COMPARE_REQUEUE_PI | WAKE_OPERATION => {
        number::int(out, call, at);
    }
    _ => {}
});
/// Its second word.
pub const FUTEX_SECOND: Kind = In(|out, call, at| match operation(call) {
    REQUEUE | COMPARE_REQUEUE | COMPARE_REQUEUE_PI | WAKE_OPERATION | WAIT_REQUEUE_PI => {
        number::address(out, call.arg(at));
    }
    _ => {}
});
/// Its third value.
pub const FUTEX_THIRD: Kind = In(|out, call, at| match operation(call) {
    WAIT_BITSET | WAKE_BITSET => match call.arg(at) as u32 {
        u32::MAX => out.push_str("FUTEX_BITSET_MATCH_ANY"),
        bits => number::hex(out, bits.into()),
    },
    COMPARE_REQUEUE | COMPARE_REQUEUE_PI => number::int(out, call, at),
    WAKE_OPERATION => number::hex(out, u64::from(call.arg(at) as u32)),
    _ => {}
});

/// The status of a child that ended.
pub const STATUS: Kind = Out(|out, call, at| {
    if call.value() == Some(0) {
        return number::address(out, call.arg(at));
    }
    super::memory::list(out, call.arg(at), 1, |out, raw: &Raw<4>| {
        status(out, raw.u32(0))
    });
});

fn status(out: &mut Output, word: u32) {
    match word & 0x7f {
        0 => {
            let code = word >> 8 & 0xff;
            let _ = write!(out, "{{WIFEXITED(s) && WEXITSTATUS(s) == {code}}}");
        }
        0x7f => {
            out.push_str("{WIFSTOPPED(s) && WSTOPSIG(s) == ");
            signal::name(out, word >> 8 & 0xff);
            out.push('}');
        }
        number => {
            out.push_str("{WIFSIGNALED(s) && WTERMSIG(s) == ");
            signal::name(out, number);
            out.push_str(if word & 0x80 != 0 {
                " && WCOREDUMP(s)}"
            } else {
                "}"
            });
        }
    }
}

/// Path, arguments and environment of the program that was just loaded, as
/// execve(2) would have got them.
pub fn started_program(name: &[u8]) -> [Output; 3] {
    let image = process::current().image.lock().clone();
    let mut path = Output::new();
    quote(&mut path, name, false);
    let bytes = |(start, end): (u64, u64)| {
        let mut text = alloc::vec![0; end.saturating_sub(start) as usize];
        user::copy_in(start, &mut text)
            .map(|()| text)
            .unwrap_or_default()
    };
    let count = |text: &[u8]| text.iter().filter(|byte| **byte == 0).count();
    let strings = bytes(image.arguments);
    let mut list: Vec<&[u8]> = strings.split(|byte| *byte == 0).collect();
    list.pop(); // after the last NUL
    let mut arguments = Output::from("[");
    for text in &list {
        arguments.separate();
        let shown = &text[..text.len().min(32)];
        quote(&mut arguments, shown, shown.len() < text.len());
    }
    arguments.push(']');
    // argc, the pointers to the arguments and a null come first.
    let pointer = image.stack_start + 8 * (list.len() as u64 + 2);
    let count = count(&bytes(image.environment));
    let plural = if count == 1 { "" } else { "s" };
    let mut environment = Output::new();
    let _ = write!(environment, "{pointer:#x} /* {count} var{plural} */");
    [path, arguments, environment]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn futex(args: [u64; 6]) -> String {
        let kinds = [
            FUTEX_OPERATION,
            FUTEX_VALUE,
            FUTEX_TIMEOUT,
            FUTEX_SECOND,
            FUTEX_THIRD,
        ];
        let call = Call {
            args: &args,
            result: None,
        };
        let parts = kinds.iter().zip(1..).map(|(kind, at)| {
            let mut out = Output::new();
            kind.show(&mut out, &call, at);
            out.to_string()
        });
        parts
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(", ")
    }

    #[test]
    fn a_futex_shows_what_its_operation_looks_at() {
        assert_eq!(futex([0, 129, 1, 7, 7, 7]), "FUTEX_WAKE_PRIVATE, 1");
        assert_eq!(futex([0, 128, 2, 0, 7, 7]), "FUTEX_WAIT_PRIVATE, 2, NULL");
        assert_eq!(
            futex([0, 393, 2, 0, 7, 0xffff_ffff]),
            "FUTEX_WAIT_BITSET_PRIVATE|FUTEX_CLOCK_REALTIME, 2, NULL, FUTEX_BITSET_MATCH_ANY"
        );
        assert_eq!(
            futex([0, 4, 1, 5, 0x20, 3]),
            "FUTEX_CMP_REQUEUE, 1, 5, 0x20, 3"
        );
    }

    #[test]
    fn clone_flags_end_with_a_signal() {
        let mut out = Output::new();
        clone_flags(&mut out, 0x0120_0011);
        assert_eq!(out, "CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD");
    }

    #[test]
    fn clone_arguments_are_shown_by_their_flags() {
        let new_id = 7u32;
        let mut words = [0u64; 8];
        words[0] = CLONE_PARENT_SETTID | 0x100;
        words[3] = core::ptr::from_ref(&new_id).expose_provenance() as u64;
        words[4] = 17;
        let args = [words.as_ptr().expose_provenance() as u64, 88, 0, 0, 0, 0];
        let mut out = Output::new();
        let call = Call {
            args: &args,
            result: Some(Ok(7)),
        };
        CLONE_ARGUMENTS.show(&mut out, &call, 0);
        let parent = words[3];
        assert_eq!(
            out,
            format!(
                "{{flags=CLONE_VM|CLONE_PARENT_SETTID, parent_tid={parent:#x}, exit_signal=SIGCHLD, stack=NULL, stack_size=0}} => {{parent_tid=[7]}}"
            )
        );
    }

    #[test]
    fn a_status_says_how_a_child_ended() {
        for (word, shown) in [
            (0x300, "{WIFEXITED(s) && WEXITSTATUS(s) == 3}"),
            (9, "{WIFSIGNALED(s) && WTERMSIG(s) == SIGKILL}"),
            (
                0x8b,
                "{WIFSIGNALED(s) && WTERMSIG(s) == SIGSEGV && WCOREDUMP(s)}",
            ),
        ] {
            let mut out = Output::new();
            status(&mut out, word);
            assert_eq!(out, shown);
        }
    }
}
