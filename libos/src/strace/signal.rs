//! Signals: names, sets, actions, siginfo_t, alternate stacks.

use core::fmt::Write;

use linux_raw_sys::general::{SIGBUS, SIGCHLD, SIGFPE, SIGILL, SIGSEGV, SIGTRAP};

use super::flags::Names;
use super::flags::process::{
    ACTION, ALT_STACK, CODE, CODE_BUS, CODE_CHILD, CODE_FPE, CODE_ILL, CODE_SEGV, CODE_TRAP,
};
use super::kind::Call;
use super::kind::Kind::{self, In, Out};
use super::memory::{Raw, pointee};
use super::number;
use super::output::Output;
use crate::mm::user;
use crate::signal::SigInfo;
use crate::signal::number::{
    REAL_TIME_MIN, SI_KERNEL, SI_QUEUE, SI_TIMER, SIGNAL_MAX, Set, name as standard_name,
};

/// Sets with this many signals are shown by those that they lack.
const MANY: u32 = 42;

/// A signal number.
pub const SIGNAL: Kind = In(|out, call, at| name(out, call.arg(at) as u32));
/// A sigset_t that the call reads.
pub const SET: Kind = In(|out, call, at| set_at(out, call.arg(at)));
/// A sigset_t that the call wrote.
pub const SET_OUT: Kind = Out(|out, call, at| set_at(out, call.arg(at)));
/// The sigset_t and its size that pselect6(2) takes in one argument.
pub const SET_AND_SIZE: Kind = In(|out, call, at| {
    pointee(out, call.arg(at), |out, raw: &Raw<16>| {
        out.push_str("{sigmask=");
        set_at(out, raw.u64(0));
        let _ = write!(out, ", sigsetsize={}}}", raw.u64(8));
    });
});
/// A sigaction that the call reads.
pub const SIGACTION: Kind = In(|out, call, at| pointee(out, call.arg(at), action));
/// A sigaction that the call wrote.
pub const SIGACTION_OUT: Kind = Out(|out, call, at| pointee(out, call.arg(at), action));
/// A siginfo_t that the call reads.
pub const INFO: Kind = In(|out, call, at| info_at(out, call.arg(at)));
/// A siginfo_t that the call wrote.
pub const INFO_OUT: Kind = Out(|out, call, at| info_at(out, call.arg(at)));
/// A stack_t that the call reads.
pub const STACK: Kind = In(|out, call, at| pointee(out, call.arg(at), stack));
/// A stack_t that the call wrote.
pub const STACK_OUT: Kind = Out(|out, call, at| pointee(out, call.arg(at), stack));

/// The signal that rt_sigtimedwait(2) took, by its name.
pub fn signal_result(out: &mut Output, call: &Call<'_>, _at: usize) {
    let signal = call.value().unwrap_or(0);
    let _ = write!(out, "{signal} (");
    name(out, signal as u32);
    out.push(')');
}

/// Shows a signal's name.
pub fn name(out: &mut Output, signal: u32) {
    short_name(out, signal, "SIG");
}

fn short_name(out: &mut Output, signal: u32, prefix: &str) {
    let _ = match signal {
        0 => write!(out, "0"),
        REAL_TIME_MIN => write!(out, "{prefix}RTMIN"),
        _ if signal > SIGNAL_MAX => write!(out, "{signal}"),
        _ if signal > REAL_TIME_MIN => write!(out, "{prefix}RT_{}", signal - REAL_TIME_MIN),
        _ => {
            let name = standard_name(signal);
            write!(out, "{prefix}{}", name.strip_prefix("SIG").unwrap_or(name))
        }
    };
}

/// Shows the set at an address.
pub fn set_at(out: &mut Output, address: u64) {
    pointee(out, address, |out, raw: &Raw<8>| {
        set(out, Set::from_bits(raw.u64(0)))
    });
}

/// Shows a set.
pub fn set(out: &mut Output, set: Set) {
    let many = set.bits().count_ones() >= MANY;
    let shown = if many {
        out.push('~');
        Set::from_bits(!set.bits())
    } else {
        set
    };
    out.push('[');
    let mut first = true;
    for signal in (1..=SIGNAL_MAX).filter(|signal| shown.has(*signal)) {
        if !first {
            out.push(' ');
        }
        short_name(out, signal, "");
        first = false;
    }
    out.push(']');
}

fn action(out: &mut Output, raw: &Raw<32>) {
    let (handler, flags) = (raw.u64(0), raw.u64(8));
    let member = if flags & u64::from(linux_raw_sys::general::SA_SIGINFO) != 0 && handler > 1 {
        "{sa_sigaction="
    } else {
        "{sa_handler="
    };
    out.push_str(member);
    match handler {
        0 => out.push_str("SIG_DFL"),
        1 => out.push_str("SIG_IGN"),
        _ => number::hex(out, handler),
    }
    out.push_str(", sa_mask=");
    set(out, Set::from_bits(raw.u64(24)));
    out.push_str(", sa_flags=");
    ACTION.flags(out, u64::from(flags as u32));
    if flags & u64::from(linux_raw_sys::general::SA_RESTORER) != 0 {
        out.push_str(", sa_restorer=");
        number::address(out, raw.u64(16));
    }
    out.push('}');
}

fn stack(out: &mut Output, raw: &Raw<24>) {
    out.push_str("{ss_sp=");
    number::address(out, raw.u64(0));
    out.push_str(", ss_flags=");
    ALT_STACK.flags(out, raw.u32(8).into());
    let _ = write!(out, ", ss_size={}}}", raw.u64(16));
}

fn info_at(out: &mut Output, address: u64) {
    let value = (address != 0).then(|| user::read::<SigInfo>(address).ok());
    match value.flatten() {
        Some(value) => info(out, &value),
        None => number::address(out, address),
    }
}

/// Shows what a signal brings along.
pub fn info(out: &mut Output, info: &SigInfo) {
    let signal = info.number();
    out.push_str("{si_signo=");
    name(out, signal);
    out.push_str(", si_code=");
    code(out, signal, info.code);
    let word = |at: usize| info.fields.get(at).copied().unwrap_or(0);
    let (low, high) = (word(0) as u32, (word(0) >> 32) as u32);
    let is_fault = matches!(signal, SIGSEGV | SIGBUS | SIGILL | SIGFPE | SIGTRAP);
    match info.code {
        SI_TIMER => {
            let _ = write!(out, ", si_timerid={low:#x}, si_overrun={high}");
            value(out, word(1));
        }
        SI_KERNEL if !is_fault => {}
        code if code > 0 && is_fault => {
            out.push_str(", si_addr=");
            number::address(out, word(0));
        }
        code if code > 0 && signal == SIGCHLD => {
            let _ = write!(out, ", si_pid={low}, si_uid={high}, si_status=");
            match code {
                1 => number::signed(out, (word(1) as i32).into()),
                _ => name(out, word(1) as u32),
            }
            let _ = write!(out, ", si_utime={}, si_stime={}", word(2), word(3));
        }
        code => {
            let _ = write!(out, ", si_pid={low}, si_uid={high}");
            if code == SI_QUEUE {
                value(out, word(1));
            }
        }
    }
    out.push('}');
}

fn value(out: &mut Output, word: u64) {
    let _ = write!(out, ", si_int={}, si_ptr=", word as i32);
    number::address(out, word);
}

fn code(out: &mut Output, signal: u32, code: i32) {
    let own: Option<&Names> = match signal {
        SIGSEGV => Some(&CODE_SEGV),
        SIGBUS => Some(&CODE_BUS),
        SIGILL => Some(&CODE_ILL),
        SIGFPE => Some(&CODE_FPE),
        SIGTRAP => Some(&CODE_TRAP),
        SIGCHLD => Some(&CODE_CHILD),
        _ => None,
    };
    let word = u64::from(code as u32);
    match own.and_then(|names| names.name(word)) {
        Some(name) => out.push_str(name),
        None => CODE.one_of(out, word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(show: impl FnOnce(&mut Output)) -> Output {
        let mut out = Output::new();
        show(&mut out);
        out
    }

    #[test]
    fn sets_are_shown_by_the_shorter_list() {
        let shown = |bits| text(|out| set(out, Set::from_bits(bits)));
        assert_eq!(shown(0), "[]");
        assert_eq!(shown(1 << 16 | 1 << 31 | 1 << 32), "[CHLD RTMIN RT_1]");
        assert_eq!(shown(!0), "~[]");
        assert_eq!(shown(!(1 << 8)), "~[KILL]");
    }

    #[test]
    fn names_of_signals() {
        for (signal, shown) in [(0, "0"), (17, "SIGCHLD"), (32, "SIGRTMIN"), (34, "SIGRT_2")] {
            assert_eq!(text(|out| name(out, signal)), shown);
        }
        assert_eq!(text(|out| name(out, 65)), "65");
    }

    #[test]
    fn each_kind_of_signal_brings_its_own() {
        for (value, shown) in [
            (
                SigInfo::from_sender(10, 0, 7, 1000),
                "{si_signo=SIGUSR1, si_code=SI_USER, si_pid=7, si_uid=1000}",
            ),
            (
                SigInfo::from_fault(11, 1, 0x18),
                "{si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=0x18}",
            ),
            (
                SigInfo::from_kernel(14),
                "{si_signo=SIGALRM, si_code=SI_KERNEL}",
            ),
            (
                SigInfo::from_timer(14, 1, 2, 5),
                "{si_signo=SIGALRM, si_code=SI_TIMER, si_timerid=0x1, si_overrun=2, si_int=5, si_ptr=0x5}",
            ),
        ] {
            assert_eq!(text(|out| info(out, &value)), shown);
        }
        let mut child = SigInfo::from_sender(17, 1, 2, 0);
        child.fields[1] = 3;
        assert_eq!(
            text(|out| info(out, &child)),
            "{si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=2, si_uid=0, si_status=3, si_utime=0, si_stime=0}"
        );
    }

    #[test]
    fn an_action_has_all_its_members() {
        let words: [u64; 4] = [0x401000, 0x1400_0000, 0x402000, 1 << 1];
        let address = words.as_ptr().expose_provenance() as u64;
        assert_eq!(
            text(|out| pointee(out, address, action)),
            "{sa_handler=0x401000, sa_mask=[INT], sa_flags=SA_RESTORER|SA_RESTART, sa_restorer=0x402000}"
        );
    }
}
