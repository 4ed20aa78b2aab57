//! Calls whose second argument says what the others are: fcntl, ioctl, prctl,
//! arch_prctl.
//!
//! Source: fcntl(2), ioctl_tty(2), prctl(2), arch_prctl(2).

use core::fmt::Write;

use linux_raw_sys::general::{
    F_ADD_SEALS, F_DUPFD, F_DUPFD_CLOEXEC, F_GET_SEALS, F_GETFD, F_GETFL, F_GETLK, F_GETOWN,
    F_GETPIPE_SZ, F_GETSIG, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_SETFD, F_SETFL, F_SETLK,
    F_SETLKW, F_SETOWN, F_SETPIPE_SZ, F_SETSIG,
};
use linux_raw_sys::ioctl::{
    FIOCLEX, FIONBIO, FIONCLEX, FIONREAD, TCGETS, TCSETS, TCSETSF, TCSETSW, TIOCGPGRP, TIOCGPTN,
    TIOCGWINSZ, TIOCNOTTY, TIOCSPGRP, TIOCSPTLCK, TIOCSWINSZ,
};
use linux_raw_sys::prctl::{
    PR_CAPBSET_DROP, PR_CAPBSET_READ, PR_GET_CHILD_SUBREAPER, PR_GET_DUMPABLE, PR_GET_KEEPCAPS,
    PR_GET_NAME, PR_GET_PDEATHSIG, PR_GET_SECCOMP, PR_GET_SECUREBITS, PR_GET_TIMERSLACK,
    PR_GET_TIMING, PR_SET_CHILD_SUBREAPER, PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_SET_NAME,
    PR_SET_PDEATHSIG, PR_SET_SECUREBITS, PR_SET_TIMERSLACK, PR_SET_TIMING, PR_SET_VMA,
    PR_SET_VMA_ANON_NAME,
};

use super::flags::file::{FD_FLAGS, LOCK_TYPE, SEALS, SEEK, open};
use super::flags::names;
use super::kind::Call;
use super::kind::Kind::{self, Late};
use super::memory::{Raw, boxed_int, list, pointee};
use super::output::Output;
use super::{number, signal, text};

const ARCH_GET_FS: u64 = 0x1003;
const ARCH_GET_GS: u64 = 0x1004;

names! { linux_raw_sys::general {
    COMMAND "F_???": F_DUPFD F_GETFD F_SETFD F_GETFL F_SETFL F_GETLK F_SETLK F_SETLKW F_SETOWN
        F_GETOWN F_SETSIG F_GETSIG F_SETOWN_EX F_GETOWN_EX F_OFD_GETLK F_OFD_SETLK F_OFD_SETLKW
        F_SETLEASE F_GETLEASE F_NOTIFY F_DUPFD_CLOEXEC F_SETPIPE_SZ F_GETPIPE_SZ F_ADD_SEALS
        F_GET_SEALS;
} }

/// The argument of fcntl(2).
pub const COMMAND_ARGUMENT: Kind = Late(|out, call, at| match call.arg(1) as u32 {
    F_GETFD | F_GETFL | F_GETOWN | F_GETSIG | F_GETPIPE_SZ | F_GET_SEALS => {}
    F_DUPFD | F_DUPFD_CLOEXEC | F_SETOWN | F_SETPIPE_SZ => number::int(out, call, at),
    F_SETFD => FD_FLAGS.flags(out, call.arg(at)),
    F_SETFL => open(out, call.arg(at)),
    F_SETSIG => signal::name(out, call.arg(at) as u32),
    F_ADD_SEALS => SEALS.flags(out, call.arg(at)),
    F_GETLK | F_SETLK | F_SETLKW | F_OFD_GETLK | F_OFD_SETLK | F_OFD_SETLKW => {
        pointee(out, call.arg(at), lock);
    }
    _ => number::hex(out, call.arg(at)),
});

fn lock(out: &mut Output, raw: &Raw<32>) {
    out.push_str("{l_type=");
    LOCK_TYPE.one_of(out, raw.u16(0).into());
    out.push_str(", l_whence=");
    SEEK.one_of(out, raw.u16(2).into());
    let _ = write!(out, ", l_start={}, l_len={}", raw.i64(8), raw.i64(16));
    if raw.i32(24) != 0 {
        let _ = write!(out, ", l_pid={}", raw.i32(24));
    }
    out.push('}');
}

/// The result of fcntl(2).
pub fn command_result(out: &mut Output, call: &Call<'_>, _at: usize) {
    let value = call.value().unwrap_or(0) as u64;
    let show = |out: &mut Output, what: &str, flags: &dyn Fn(&mut Output)| {
        number::hex(out, value);
        out.push_str(what);
        flags(out);
        out.push(')');
    };
    match call.arg(1) as u32 {
        F_GETFL => show(out, " (flags ", &|out| open(out, value)),
        F_GETFD if value != 0 => show(out, " (flags ", &|out| FD_FLAGS.flags(out, value)),
        F_GET_SEALS if value != 0 => show(out, " (seals ", &|out| SEALS.flags(out, value)),
        _ => number::signed(out, value as i64),
    }
}

/// The argument of ioctl(2).
pub const IOCTL_ARGUMENT: Kind = Late(|out, call, at| {
    let request = call.arg(1) as u32;
    let reads = call.value().is_some();
    match request {
        FIOCLEX | FIONCLEX | TIOCNOTTY => {}
        FIONREAD | TIOCGPGRP | TIOCGPTN if reads => boxed_int(out, call.arg(at)),
        FIONBIO | TIOCSPGRP | TIOCSPTLCK => boxed_int(out, call.arg(at)),
        TIOCGWINSZ if reads => pointee(out, call.arg(at), window),
        TIOCSWINSZ => pointee(out, call.arg(at), window),
        TCGETS if reads => pointee(out, call.arg(at), terminal),
        TCSETS | TCSETSW | TCSETSF => pointee(out, call.arg(at), terminal),
        _ => number::address(out, call.arg(at)),
    }
});

fn window(out: &mut Output, raw: &Raw<8>) {
    for (opening, at) in [
        ("{ws_row=", 0),
        (", ws_col=", 2),
        (", ws_xpixel=", 4),
        (", ws_ypixel=", 6),
    ] {
        let _ = write!(out, "{opening}{}", raw.u16(at));
    }
    out.push('}');
}

fn terminal(out: &mut Output, raw: &Raw<36>) {
    for (opening, at) in [
        ("{c_iflag=", 0),
        (", c_oflag=", 4),
        (", c_cflag=", 8),
        (", c_lflag=", 12),
    ] {
        out.push_str(opening);
        number::hex(out, raw.u32(at).into());
    }
    out.push_str(", ...}");
}

/// The second argument of prctl(2).
pub const PRCTL_FIRST: Kind = Late(|out, call, at| match call.arg(0) as u32 {
    operation if takes_nothing(operation) => {}
    PR_SET_NAME => text::string(out, call.arg(at)),
    PR_GET_NAME if call.value().is_some() => text::string(out, call.arg(at)),
    PR_SET_PDEATHSIG => signal::name(out, call.arg(at) as u32),
    PR_GET_PDEATHSIG | PR_GET_CHILD_SUBREAPER if call.value().is_some() => {
        boxed_int(out, call.arg(at));
    }
    PR_SET_VMA if call.arg(at) == u64::from(PR_SET_VMA_ANON_NAME) => {
        out.push_str("PR_SET_VMA_ANON_NAME");
    }
    _ => number::hex(out, call.arg(at)),
});
/// The third and fourth.
pub const PRCTL_REST: Kind = Late(|out, call, at| {
    if !takes_one(call.arg(0) as u32) {
        number::hex(out, call.arg(at));
    }
});
/// The fifth.
pub const PRCTL_LAST: Kind = Late(|out, call, at| match call.arg(0) as u32 {
    PR_SET_VMA => text::string(out, call.arg(at)),
    operation if takes_one(operation) => {}
    _ => number::hex(out, call.arg(at)),
});

fn takes_nothing(operation: u32) -> bool {
    matches!(
        operation,
        PR_GET_DUMPABLE
            | PR_GET_KEEPCAPS
            | PR_GET_TIMING
            | PR_GET_SECUREBITS
            | PR_GET_SECCOMP
            | PR_GET_TIMERSLACK
    )
}

fn takes_one(operation: u32) -> bool {
    takes_nothing(operation)
        || matches!(
            operation,
            PR_SET_NAME
                | PR_GET_NAME
                | PR_SET_PDEATHSIG
                | PR_GET_PDEATHSIG
                | PR_SET_DUMPABLE
                | PR_SET_KEEPCAPS
                | PR_SET_TIMING
                | PR_SET_SECUREBITS
                | PR_SET_TIMERSLACK
                | PR_CAPBSET_READ
                | PR_CAPBSET_DROP
                | PR_SET_CHILD_SUBREAPER
                | PR_GET_CHILD_SUBREAPER
        )
}

/// The argument of arch_prctl(2).
pub const ARCH_ARGUMENT: Kind = Late(|out, call, at| match call.arg(0) {
    ARCH_GET_FS | ARCH_GET_GS if call.value().is_some() => {
        list(out, call.arg(at), 1, |out, raw: &Raw<8>| {
            number::hex(out, raw.u64(0))
        });
    }
    _ => number::hex(out, call.arg(at)),
});

#[cfg(test)]
mod tests {
    use super::*;

    fn argument(kind: Kind, args: [u64; 6]) -> Output {
        let mut out = Output::new();
        let call = Call {
            args: &args,
            result: Some(Ok(0)),
        };
        kind.show(&mut out, &call, 2);
        out
    }

    #[test]
    fn the_command_says_what_the_argument_is() {
        assert_eq!(argument(COMMAND_ARGUMENT, [3, 1, 9, 0, 0, 0]), "");
        assert_eq!(argument(COMMAND_ARGUMENT, [3, 2, 1, 0, 0, 0]), "FD_CLOEXEC");
        assert_eq!(
            argument(COMMAND_ARGUMENT, [3, 4, 0o4002, 0, 0, 0]),
            "O_RDWR|O_NONBLOCK"
        );
        let lock = [1u64, 10, 20, 0];
        let address = lock.as_ptr().expose_provenance() as u64;
        assert_eq!(
            argument(COMMAND_ARGUMENT, [3, 6, address, 0, 0, 0]),
            "{l_type=F_WRLCK, l_whence=SEEK_SET, l_start=10, l_len=20}"
        );
    }

    #[test]
    fn flags_of_a_descriptor_are_named_in_the_result() {
        let result = |command, value| {
            let mut out = Output::new();
            let call = Call {
                args: &[3, command, 0, 0, 0, 0],
                result: Some(Ok(value)),
            };
            command_result(&mut out, &call, 0);
            out
        };
        assert_eq!(result(1, 0), "0");
        assert_eq!(result(1, 1), "0x1 (flags FD_CLOEXEC)");
        assert_eq!(result(3, 0x8002), "0x8002 (flags O_RDWR|O_LARGEFILE)");
        assert_eq!(result(0, 7), "7");
    }

    #[test]
    fn a_window_has_rows_and_columns() {
        let size = [24u16, 80, 0, 0];
        let address = size.as_ptr().expose_provenance() as u64;
        assert_eq!(
            argument(IOCTL_ARGUMENT, [1, 0x5413, address, 0, 0, 0]),
            "{ws_row=24, ws_col=80, ws_xpixel=0, ws_ypixel=0}"
        );
    }
}
