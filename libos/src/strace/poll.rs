//! What waits for several files at once: poll, select, epoll.

use core::fmt::Write;

use linux_raw_sys::general::EPOLL_CTL_DEL;

use super::flags::file::{EPOLL_EVENTS, POLL_EVENTS};
use super::kind::Call;
use super::kind::Kind::{self, In, Out};
use super::memory::{Raw, list, pointee, sparse_list};
use super::output::Output;
use super::{number, time};

/// Highest descriptor that a set of select(2) is read for.
const SET_MAX: u64 = 1024;

/// The list of poll(2): what is asked for. Its length is the next argument.
pub const POLL_LIST: Kind = In(|out, call, at| {
    list(
        out,
        call.arg(at),
        u64::from(call.arg(at + 1) as u32),
        |out, raw: &Raw<8>| {
            let _ = write!(out, "{{fd={}", raw.i32(0));
            if raw.i32(0) >= 0 {
                out.push_str(", events=");
                POLL_EVENTS.flags(out, raw.u16(4).into());
            }
            out.push('}');
        },
    );
});

/// The result of poll(2) with what has come.
pub fn poll_result(out: &mut Output, call: &Call<'_>, _at: usize) {
    let ready = call.value().unwrap_or(0);
    if ready == 0 {
        return out.push_str("0 (Timeout)");
    }
    let _ = write!(out, "{ready} (");
    let count = u64::from(call.arg(1) as u32);
    let came = |raw: &Raw<8>| raw.u16(6) != 0;
    sparse_list(out, call.arg(0), count, came, |out, raw| {
        let _ = write!(out, "{{fd={}, revents=", raw.i32(0));
        POLL_EVENTS.flags(out, raw.u16(6).into());
        out.push('}');
    });
    out.push(')');
}

/// The same for ppoll(2), with the time that is left.
pub fn ppoll_result(out: &mut Output, call: &Call<'_>, at: usize) {
    poll_result(out, call, at);
    let left = Raw::<16>::read(call.arg(2));
    if let Some(raw) = left.filter(|_| call.value() != Some(0)) {
        out.truncate(out.len() - 1);
        out.push_str(", left ");
        time::timespec(out, &raw, 0);
        out.push(')');
    }
}

/// A set of select(2); the number of descriptors is the first argument.
pub const FD_SET: Kind = In(|out, call, at| fd_set(out, call.arg(at), call.arg(0)));

fn fd_set(out: &mut Output, address: u64, limit: u64) {
    match members(address, limit) {
        Some(text) => out.push_str(&text),
        None => number::address(out, address),
    }
}

fn members(address: u64, limit: u64) -> Option<Output> {
    (address != 0).then_some(())?;
    let mut text = Output::from("[");
    for fd in 0..limit.min(SET_MAX) {
        let raw = Raw::<8>::read(address.wrapping_add(fd / 64 * 8))?;
        if raw.u64(0) >> (fd % 64) & 1 != 0 {
            if text.len() > 1 {
                text.push(' ');
            }
            let _ = write!(text, "{fd}");
        }
    }
    text.push(']');
    Some(text)
}

/// The result of select(2) with what has come and the time that is left.
pub fn select_result(out: &mut Output, call: &Call<'_>, _at: usize) {
    select_with(out, call, time::timeval);
}

/// The same for pselect6(2).
pub fn pselect_result(out: &mut Output, call: &Call<'_>, _at: usize) {
    select_with(out, call, time::timespec);
}

fn select_with(out: &mut Output, call: &Call<'_>, left: fn(&mut Output, &Raw<16>, usize)) {
    let ready = call.value().unwrap_or(0);
    if ready == 0 {
        return out.push_str("0 (Timeout)");
    }
    let _ = write!(out, "{ready} (");
    let start = out.len();
    for (name, at) in [("in ", 1), ("out ", 2), ("exc ", 3)] {
        if let Some(set) = members(call.arg(at), call.arg(0)).filter(|set| set != "[]") {
            if out.len() > start {
                out.push_str(", ");
            }
            out.push_str(name);
            out.push_str(&set);
        }
    }
    if let Some(raw) = Raw::read(call.arg(4)) {
        out.push_str(", left ");
        left(out, &raw, 0);
    }
    out.push(')');
}

/// The event of epoll_ctl(2), which a removal does not look at.
pub const EPOLL_EVENT: Kind = In(|out, call, at| match call.arg(1) as u32 {
    EPOLL_CTL_DEL => number::address(out, call.arg(at)),
    _ => pointee(out, call.arg(at), event),
});
/// Events that came; the result is their number.
pub const EPOLL_LIST: Kind = Out(|out, call, at| {
    list(out, call.arg(at), call.value().unwrap_or(0) as u64, event);
});

fn event(out: &mut Output, raw: &Raw<12>) {
    out.push_str("{events=");
    EPOLL_EVENTS.flags(out, raw.u32(0).into());
    let (short, long) = (raw.u32(4), raw.u64(4));
    let _ = write!(out, ", data={{u32={short}, u64={long}}}}}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call<'a>(args: &'a [u64; 6], result: usize) -> Call<'a> {
        Call {
            args,
            result: Some(Ok(result)),
        }
    }

    #[test]
    fn poll_shows_questions_and_answers() {
        // Three pollfd: descriptor, events, revents.
        let list = [3u64 | 1 << 32, 4 | 4 << 32 | 4 << 48, u64::from(u32::MAX)];
        let args = [list.as_ptr().expose_provenance() as u64, 3, 0, 0, 0, 0];
        let mut out = Output::new();
        POLL_LIST.show(&mut out, &call(&args, 1), 0);
        assert_eq!(
            out,
            "[{fd=3, events=POLLIN}, {fd=4, events=POLLOUT}, {fd=-1}]"
        );
        let mut out = Output::new();
        poll_result(&mut out, &call(&args, 1), 0);
        assert_eq!(out, "1 ([{fd=4, revents=POLLOUT}])");
        let mut out = Output::new();
        poll_result(&mut out, &call(&args, 0), 0);
        assert_eq!(out, "0 (Timeout)");
    }

    #[test]
    fn select_shows_sets() {
        let set = [0b1010u64];
        let address = set.as_ptr().expose_provenance() as u64;
        let args = [4, address, 0, 0, 0, 0];
        let mut out = Output::new();
        FD_SET.show(&mut out, &call(&args, 1), 1);
        assert_eq!(out, "[1 3]");
        let mut out = Output::new();
        select_result(&mut out, &call(&args, 2), 0);
        assert_eq!(out, "2 (in [1 3])");
    }

    #[test]
    fn an_epoll_event_is_packed() {
        let bytes = [1u8, 0, 0, 0x80, 5, 0, 0, 0, 0, 0, 0, 0];
        let mut out = Output::new();
        pointee(&mut out, bytes.as_ptr().expose_provenance() as u64, event);
        assert_eq!(out, "{events=EPOLLIN|EPOLLET, data={u32=5, u64=5}}");
    }
}
