//! What calls on the system and its limits read and write.
//!
//! Source of the layouts: uname(2), sysinfo(2), getrlimit(2), getrusage(2),
//! capget(2), sched_setaffinity(2).

use core::fmt::Write;

use super::kind::Call;
use super::kind::Kind::{self, Changed, In, Late, Out};
use super::memory::{Raw, list, pointee};
use super::output::Output;
use super::text::quote;
use super::{number, time};

/// struct utsname.
pub const UTSNAME: Kind = Out(|out, call, at| {
    pointee(out, call.arg(at), |out, raw: &Raw<390>| {
        for (opening, at) in [("{sysname=", 0), (", nodename=", 65)] {
            let field = raw.bytes(at);
            let end = field.iter().position(|byte| *byte == 0).unwrap_or(0);
            out.push_str(opening);
            quote(out, &field[..end], false);
        }
        out.push_str(", ...}");
    });
});
/// struct sysinfo.
pub const SYSINFO: Kind = Out(|out, call, at| {
    pointee(out, call.arg(at), |out, raw: &Raw<112>| {
        let _ = write!(
            out,
            "{{uptime={}, loads=[{}, {}, {}], totalram={}, freeram={}, ...}}",
            raw.i64(0),
            raw.u64(8),
            raw.u64(16),
            raw.u64(24),
            raw.u64(32),
            raw.u64(40)
        );
    });
});
/// struct rusage.
pub const RUSAGE: Kind = Out(|out, call, at| {
    pointee(out, call.arg(at), |out, raw: &Raw<144>| {
        out.push_str("{ru_utime=");
        time::timeval(out, raw, 0);
        out.push_str(", ru_stime=");
        time::timeval(out, raw, 16);
        out.push_str(", ...}");
    });
});
/// A limit that the call reads.
pub const RLIMIT: Kind = In(|out, call, at| pointee(out, call.arg(at), limit));
/// A limit that the call wrote.
pub const RLIMIT_OUT: Kind = Out(|out, call, at| pointee(out, call.arg(at), limit));

fn limit(out: &mut Output, raw: &Raw<16>) {
    for (opening, at) in [("{rlim_cur=", 0), (", rlim_max=", 8)] {
        out.push_str(opening);
        match raw.u64(at) {
            u64::MAX => out.push_str("RLIM64_INFINITY"),
            value if value > 1024 && value % 1024 == 0 => {
                let _ = write!(out, "{}*1024", value / 1024);
            }
            value => number::unsigned(out, value),
        }
    }
    out.push('}');
}

/// A number that the call wrote.
pub const INT_OUT: Kind = Out(|out, call, at| super::memory::boxed_int(out, call.arg(at)));
/// A number that the call changes.
pub const INT_BOTH: Kind = Changed(|out, call, at| super::memory::boxed_int(out, call.arg(at)));
/// A user or group that the call wrote.
pub const ID_OUT: Kind = Out(|out, call, at| {
    list(out, call.arg(at), 1, |out, raw: &Raw<4>| {
        number::id(out, raw.u32(0))
    });
});
/// Groups that the call reads; their number is the argument before.
pub const GROUPS: Kind = In(|out, call, at| groups(out, call.arg(at), call.arg(at - 1)));
/// Groups that the call wrote; the result is their number.
pub const GROUPS_OUT: Kind = Out(|out, call, at| {
    if call.arg(at - 1) == 0 {
        return number::address(out, call.arg(at));
    }
    groups(out, call.arg(at), call.value().unwrap_or(0) as u64);
});

fn groups(out: &mut Output, address: u64, count: u64) {
    list(
        out,
        address,
        u64::from(count as u32),
        |out, raw: &Raw<4>| {
            number::id(out, raw.u32(0));
        },
    );
}

/// The header of capget(2).
pub const CAPABILITY_HEADER: Kind = Late(|out, call, at| {
    pointee(out, call.arg(at), |out, raw: &Raw<8>| {
        out.push_str("{version=");
        match raw.u32(0) {
            0x1998_0330 => out.push_str("_LINUX_CAPABILITY_VERSION_1"),
            0x2007_1026 => out.push_str("_LINUX_CAPABILITY_VERSION_2"),
            0x2008_0522 => out.push_str("_LINUX_CAPABILITY_VERSION_3"),
            other => number::hex(out, other.into()),
        }
        let _ = write!(out, ", pid={}}}", raw.i32(4));
    });
});
/// Capability sets that the call reads.
pub const CAPABILITIES: Kind = In(|out, call, at| capabilities(out, call.arg(at)));
/// Capability sets that the call wrote.
pub const CAPABILITIES_OUT: Kind = Out(|out, call, at| capabilities(out, call.arg(at)));

/// Both halves of each set as one number.
fn capabilities(out: &mut Output, address: u64) {
    pointee(out, address, |out, raw: &Raw<24>| {
        for (opening, at) in [
            ("{effective=", 0),
            (", permitted=", 4),
            (", inheritable=", 8),
        ] {
            out.push_str(opening);
            number::hex(
                out,
                u64::from(raw.u32(at)) | u64::from(raw.u32(at + 12)) << 32,
            );
        }
        out.push('}');
    });
}

/// A set of CPUs that the call reads; its size is the argument before.
pub const CPUS: Kind = In(|out, call, at| cpus(out, call.arg(at), call.arg(at - 1)));
/// A set of CPUs that the call wrote; the result is its size.
pub const CPUS_OUT: Kind = Out(|out, call, at| {
    cpus(out, call.arg(at), call.value().unwrap_or(0) as u64);
});

fn cpus(out: &mut Output, address: u64, bytes: u64) {
    let mut text = Output::from("[");
    for at in 0..bytes.min(128) {
        let Some(raw) = Raw::<1>::read(address.wrapping_add(at)) else {
            return number::address(out, address);
        };
        let byte = raw.bytes(0).first().copied().unwrap_or(0);
        for bit in (0..8).filter(|bit| byte >> bit & 1 != 0) {
            if text.len() > 1 {
                text.push(' ');
            }
            let _ = write!(text, "{}", at * 8 + bit);
        }
    }
    text.push(']');
    out.push_str(&text);
}

/// struct sched_param that the call reads.
pub const PARAM: Kind = In(|out, call, at| super::memory::boxed_int(out, call.arg(at)));
/// struct sched_param that the call wrote.
pub const PARAM_OUT: Kind = Out(|out, call, at| super::memory::boxed_int(out, call.arg(at)));
/// struct sched_attr that the call reads.
pub const ATTRIBUTES: Kind = In(|out, call, at| pointee(out, call.arg(at), attributes));
/// struct sched_attr that the call wrote.
pub const ATTRIBUTES_OUT: Kind = Out(|out, call, at| pointee(out, call.arg(at), attributes));

/// The policy that sched_getscheduler(2) gave.
pub fn policy_result(out: &mut Output, call: &Call<'_>, _at: usize) {
    let policy = call.value().unwrap_or(0) as u64;
    let _ = write!(out, "{policy} (");
    super::flags::process::POLICY.flags(out, policy);
    out.push(')');
}

fn attributes(out: &mut Output, raw: &Raw<48>) {
    let _ = write!(out, "{{size={}, sched_policy=", raw.u32(0));
    super::flags::process::POLICY.one_of(out, raw.u32(4).into());
    out.push_str(", sched_flags=");
    number::hex(out, raw.u64(8));
    let _ = write!(
        out,
        ", sched_nice={}, sched_priority={}, ...}}",
        raw.i32(16),
        raw.u32(20)
    );
}

/// Whether each page is there, as mincore(2) says; the length is the argument before.
pub const PAGES: Kind = Out(|out, call, at| {
    let count = call.arg(at - 1).div_ceil(4096);
    list(out, call.arg(at), count, |out, raw: &Raw<1>| {
        let present = raw.bytes(0).first().is_some_and(|byte| byte & 1 != 0);
        out.push(if present { '1' } else { '0' });
    });
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_shown_in_kibibytes() {
        let mut out = Output::new();
        let words = [8u64 << 20, u64::MAX];
        pointee(&mut out, words.as_ptr().expose_provenance() as u64, limit);
        assert_eq!(out, "{rlim_cur=8192*1024, rlim_max=RLIM64_INFINITY}");
        let mut out = Output::new();
        let words = [1024u64, 0];
        pointee(&mut out, words.as_ptr().expose_provenance() as u64, limit);
        assert_eq!(out, "{rlim_cur=1024, rlim_max=0}");
    }

    #[test]
    fn cpus_are_listed() {
        let mut out = Output::new();
        let set = [0b11u8, 1];
        cpus(&mut out, set.as_ptr().expose_provenance() as u64, 2);
        assert_eq!(out, "[0 1 8]");
    }
}
