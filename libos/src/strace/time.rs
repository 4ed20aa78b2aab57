//! Times: timespec, timeval, timers, clocks.
//!
//! Source of the layouts: clock_gettime(2), getitimer(2), timer_create(2), times(2).

use core::fmt::Write;

use super::flags::process::{CLOCK, NOTIFY};
use super::kind::Kind::{self, In, Late, Out};
use super::memory::{Raw, pointee};
use super::output::Output;
use super::{number, signal};
use crate::errno::Errno;

/// A timespec that the call reads.
pub const TIMESPEC: Kind = In(|out, call, at| {
    pointee(out, call.arg(at), |out, raw: &Raw<16>| {
        timespec(out, raw, 0)
    });
});
/// A timespec that the call wrote.
pub const TIMESPEC_OUT: Kind = Out(|out, call, at| {
    pointee(out, call.arg(at), |out, raw: &Raw<16>| {
        timespec(out, raw, 0)
    });
});
/// What is left of a sleep: written only when a signal came.
pub const REMAINING: Kind = Late(|out, call, at| {
    if call.result == Some(Err(Errno::EINTR)) {
        pointee(out, call.arg(at), |out, raw: &Raw<16>| {
            timespec(out, raw, 0)
        });
    } else {
        number::address(out, call.arg(at));
    }
});
/// A timeval that the call reads.
pub const TIMEVAL: Kind = In(|out, call, at| {
    pointee(out, call.arg(at), |out, raw: &Raw<16>| timeval(out, raw, 0));
});
/// A timeval that the call wrote.
pub const TIMEVAL_OUT: Kind = Out(|out, call, at| {
    pointee(out, call.arg(at), |out, raw: &Raw<16>| timeval(out, raw, 0));
});
/// struct timezone.
pub const TIMEZONE: Kind = Out(|out, call, at| {
    pointee(out, call.arg(at), |out, raw: &Raw<8>| {
        let (west, dst) = (raw.i32(0), raw.i32(4));
        let _ = write!(out, "{{tz_minuteswest={west}, tz_dsttime={dst}}}");
    });
});
/// A time_t that the call wrote.
pub const TIME: Kind = Out(|out, call, at| {
    super::memory::list(out, call.arg(at), 1, |out, raw: &Raw<8>| {
        number::signed(out, raw.i64(0));
    });
});
/// A clock; those of processes and threads are computed from their ids.
pub const CLOCK_ID: Kind = In(|out, call, at| match call.arg(at) as i32 {
    id if id < 0 => number::hex(out, u64::from(id as u32)),
    id => CLOCK.one_of(out, id as u64),
});
/// An itimerval that the call reads.
pub const ITIMERVAL: Kind = In(|out, call, at| {
    pointee(out, call.arg(at), |out, raw| interval(out, raw, timeval));
});
/// An itimerval that the call wrote.
pub const ITIMERVAL_OUT: Kind = Out(|out, call, at| {
    pointee(out, call.arg(at), |out, raw| interval(out, raw, timeval));
});
/// An itimerspec that the call reads.
pub const ITIMERSPEC: Kind = In(|out, call, at| {
    pointee(out, call.arg(at), |out, raw| interval(out, raw, timespec));
});
/// An itimerspec that the call wrote.
pub const ITIMERSPEC_OUT: Kind = Out(|out, call, at| {
    pointee(out, call.arg(at), |out, raw| interval(out, raw, timespec));
});
/// A sigevent.
pub const EVENT: Kind = In(|out, call, at| {
    pointee(out, call.arg(at), |out, raw: &Raw<64>| {
        let _ = write!(out, "{{sigev_value={{sival_int={}, sival_ptr=", raw.i32(0));
        number::address(out, raw.u64(0));
        out.push_str("}, sigev_signo=");
        signal::name(out, raw.u32(8));
        out.push_str(", sigev_notify=");
        NOTIFY.one_of(out, raw.u32(12).into());
        out.push('}');
    });
});
/// A timer's number that the call wrote.
pub const TIMER_ID: Kind = Out(|out, call, at| super::memory::boxed_int(out, call.arg(at)));
/// struct tms.
pub const TMS: Kind = Out(|out, call, at| {
    pointee(out, call.arg(at), |out, raw: &Raw<32>| {
        for (opening, at) in [
            ("{tms_utime=", 0),
            (", tms_stime=", 8),
            (", tms_cutime=", 16),
            (", tms_cstime=", 24),
        ] {
            let _ = write!(out, "{opening}{}", raw.i64(at));
        }
        out.push('}');
    });
});

/// Shows the timespec at an offset.
pub fn timespec<const N: usize>(out: &mut Output, raw: &Raw<N>, at: usize) {
    let _ = write!(
        out,
        "{{tv_sec={}, tv_nsec={}}}",
        raw.i64(at),
        raw.u64(at + 8)
    );
}

/// Shows the timeval at an offset.
pub fn timeval<const N: usize>(out: &mut Output, raw: &Raw<N>, at: usize) {
    let _ = write!(
        out,
        "{{tv_sec={}, tv_usec={}}}",
        raw.i64(at),
        raw.u64(at + 8)
    );
}

fn interval(out: &mut Output, raw: &Raw<32>, show: fn(&mut Output, &Raw<32>, usize)) {
    out.push_str("{it_interval=");
    show(out, raw, 0);
    out.push_str(", it_value=");
    show(out, raw, 16);
    out.push('}');
}
