//! Sockets: addresses, types, options, messages.
//!
//! Source of the layouts: socket(7), unix(7), ip(7), recvmsg(2).

use core::fmt::Write;

use super::flags::socket::{
    CONTROL, FAMILY, IP_OPTION, IPV6_OPTION, LEVEL, NETLINK_OPTION, NETLINK_PROTOCOL, OPTION,
    PROTOCOL, TCP_OPTION, TYPE, TYPE_FLAGS, UDP_OPTION,
};
use super::kind::Kind::{self, Changed, In, Late, Out};
use super::memory::{Raw, list, pointee};
use super::output::Output;
use super::text::{buffer, quote, vectors};
use super::{number, text};
use crate::mm::user;

const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const AF_NETLINK: u16 = 16;
const SOL_IP: u64 = 0;
const SOL_SOCKET: u64 = 1;
const SOL_TCP: u64 = 6;
const SOL_UDP: u64 = 17;
const SOL_IPV6: u64 = 41;
const SOL_NETLINK: u64 = 270;
/// Flags in the type of a new socket.
const SOCK_CLOEXEC: u32 = 0o200_0000;
/// See [`SOCK_CLOEXEC`].
const SOCK_NONBLOCK: u32 = 0o4000;
/// Longest address.
const ADDRESS_MAX: usize = 128;
/// Offset of the path in sockaddr_un.
const UNIX_PATH: usize = 2;
/// Bytes of a cmsghdr.
const CONTROL_HEADER: u64 = 16;

/// Type of a socket and its flags.
pub const SOCKET_TYPE: Kind = In(|out, call, at| {
    let word = u64::from(call.arg(at) as u32);
    let flags = word & u64::from(SOCK_CLOEXEC | SOCK_NONBLOCK);
    match TYPE.name(word & !flags) {
        Some(name) if flags != 0 => {
            out.push_str(name);
            out.push('|');
            TYPE_FLAGS.flags(out, flags);
        }
        None if flags != 0 => TYPE_FLAGS.flags(out, word),
        _ => TYPE.one_of(out, word),
    }
});
/// Flags that accept4(2) gives the new socket.
pub const ACCEPT_FLAGS: Kind = Kind::Flags(&TYPE_FLAGS);
/// Protocol: of the internet families they have names. The family is two before it.
pub const SOCKET_PROTOCOL: Kind = In(|out, call, at| {
    let family = call.arg(at.wrapping_sub(2)) as u16;
    match family {
        AF_INET | AF_INET6 => PROTOCOL.one_of(out, call.arg(at)),
        AF_NETLINK => NETLINK_PROTOCOL.one_of(out, call.arg(at)),
        _ => number::int(out, call, at),
    }
});
/// An address that the call reads; its length is the next argument.
pub const SOCKADDR: Kind = In(|out, call, at| {
    sockaddr(out, call.arg(at), u64::from(call.arg(at + 1) as u32));
});
/// An address that the call wrote; the next argument points at its length.
pub const SOCKADDR_OUT: Kind = Out(|out, call, at| {
    let bytes = Raw::<4>::read(call.arg(at + 1)).map_or(0, |raw| raw.u32(0));
    sockaddr(out, call.arg(at), bytes.into());
});
/// The length of such an address: the room for it, then what it took.
pub const SOCKADDR_BYTES: Kind = Changed(|out, call, at| {
    super::memory::boxed_int(out, call.arg(at));
});
/// The option of a level, which is the argument before it.
pub const SOCKET_OPTION: Kind = In(|out, call, at| match call.arg(at.wrapping_sub(1)) {
    SOL_SOCKET => OPTION.one_of(out, call.arg(at)),
    SOL_IP => IP_OPTION.one_of(out, call.arg(at)),
    SOL_TCP => TCP_OPTION.one_of(out, call.arg(at)),
    SOL_UDP => UDP_OPTION.one_of(out, call.arg(at)),
    SOL_IPV6 => IPV6_OPTION.one_of(out, call.arg(at)),
    SOL_NETLINK => NETLINK_OPTION.one_of(out, call.arg(at)),
    _ => number::int(out, call, at),
});
/// The level of an option.
pub const SOCKET_LEVEL: Kind = Kind::OneOf(&LEVEL);
/// An option's value that the call reads.
pub const OPTION_VALUE: Kind = In(|out, call, at| {
    option_value(out, call.arg(at), u64::from(call.arg(at + 1) as u32));
});
/// An option's value that the call wrote.
pub const OPTION_VALUE_OUT: Kind = Out(|out, call, at| {
    let bytes = Raw::<4>::read(call.arg(at + 1)).map_or(0, |raw| raw.u32(0));
    option_value(out, call.arg(at), bytes.into());
});
/// A message that the call reads.
pub const MESSAGE: Kind = In(|out, call, at| message(out, call.arg(at), u64::MAX));
/// A message that the call filled.
pub const MESSAGE_OUT: Kind = Late(|out, call, at| match call.value() {
    Some(bytes) => message(out, call.arg(at), bytes as u64),
    None => pointee(out, call.arg(at), |out, raw: &Raw<56>| {
        let _ = write!(out, "{{msg_namelen={}}}", raw.u32(8));
    }),
});
/// Messages of sendmmsg(2); their number is the next argument.
pub const MESSAGES: Kind = In(|out, call, at| messages(out, call.arg(at), call.arg(at + 1)));
/// Messages of recvmmsg(2); the result is their number.
pub const MESSAGES_OUT: Kind = Out(|out, call, at| {
    messages(out, call.arg(at), call.value().unwrap_or(0) as u64);
});

fn option_value(out: &mut Output, address: u64, bytes: u64) {
    match bytes {
        4 => super::memory::boxed_int(out, address),
        _ => buffer(out, address, bytes),
    }
}

fn sockaddr(out: &mut Output, address: u64, bytes: u64) {
    let mut raw = [0; ADDRESS_MAX];
    let len = bytes.min(ADDRESS_MAX as u64) as usize;
    let Some(raw) = raw.get_mut(..len).filter(|raw| raw.len() >= UNIX_PATH) else {
        return number::address(out, address);
    };
    if address == 0 || user::copy_in(address, raw).is_err() {
        return number::address(out, address);
    }
    show_address(out, raw);
}

fn show_address(out: &mut Output, raw: &[u8]) {
    let family = u16::from_le_bytes([raw[0], raw[1]]);
    out.push_str("{sa_family=");
    FAMILY.one_of(out, family.into());
    match (family, raw) {
        (AF_UNIX, [_, _, path @ ..]) => unix_path(out, path),
        (AF_INET, [_, _, high, low, a, b, c, d, ..]) => {
            let port = u16::from_be_bytes([*high, *low]);
            let _ = write!(
                out,
                ", sin_port=htons({port}), sin_addr=inet_addr(\"{a}.{b}.{c}.{d}\")"
            );
        }
        (AF_INET6, [_, _, high, low, f0, f1, f2, f3, rest @ ..]) => {
            let port = u16::from_be_bytes([*high, *low]);
            let flow = u32::from_be_bytes([*f0, *f1, *f2, *f3]);
            let _ = write!(
                out,
                ", sin6_port=htons({port}), sin6_flowinfo=htonl({flow}), inet_pton(AF_INET6, "
            );
            match rest.first_chunk::<16>() {
                Some(bytes) => {
                    let _ = write!(out, "\"{}\"", core::net::Ipv6Addr::from(*bytes));
                }
                None => out.push_str("..."),
            }
            out.push_str(", &sin6_addr)");
            if let Some(scope) = rest.get(16..).and_then(<[u8]>::first_chunk::<4>) {
                let _ = write!(out, ", sin6_scope_id={}", u32::from_le_bytes(*scope));
            }
        }
        (AF_NETLINK, [_, _, _, _, p0, p1, p2, p3, g0, g1, g2, g3, ..]) => {
            let port = u32::from_le_bytes([*p0, *p1, *p2, *p3]);
            let groups = u32::from_le_bytes([*g0, *g1, *g2, *g3]);
            let _ = write!(out, ", nl_pid={port}, nl_groups={groups:08x}");
        }
        (_, [_, _, data @ ..]) if !data.is_empty() => {
            out.push_str(", sa_data=");
            quote(out, data, false);
        }
        _ => {}
    }
    out.push('}');
}

fn unix_path(out: &mut Output, path: &[u8]) {
    match path {
        [] => {}
        // Abstract names may hold any byte, and end where the address does.
        [0, name @ ..] => {
            out.push_str(", sun_path=@");
            quote(out, name, false);
        }
        _ => {
            let end = path
                .iter()
                .position(|byte| *byte == 0)
                .unwrap_or(path.len());
            out.push_str(", sun_path=");
            quote(out, &path[..end], false);
        }
    }
}

fn message(out: &mut Output, address: u64, limit: u64) {
    pointee(out, address, |out, raw: &Raw<56>| {
        message_at(out, raw, limit)
    });
}

fn message_at<const N: usize>(out: &mut Output, raw: &Raw<N>, limit: u64) {
    out.push_str("{msg_name=");
    sockaddr(out, raw.u64(0), raw.u32(8).into());
    let _ = write!(out, ", msg_namelen={}, msg_iov=", raw.u32(8));
    vectors(out, raw.u64(16), raw.u64(24), limit);
    let _ = write!(out, ", msg_iovlen={}", raw.u64(24));
    if raw.u64(40) != 0 {
        out.push_str(", msg_control=");
        control(out, raw.u64(32), raw.u64(40));
    }
    let _ = write!(out, ", msg_controllen={}, msg_flags=", raw.u64(40));
    super::flags::socket::MESSAGE.flags(out, raw.u32(48).into());
    out.push('}');
}

fn messages(out: &mut Output, address: u64, count: u64) {
    let count = u64::from(count as u32);
    list(out, address, count, |out, raw: &Raw<64>| {
        out.push_str("{msg_hdr=");
        let bytes = raw.u32(56);
        message_at(out, raw, if bytes == 0 { u64::MAX } else { bytes.into() });
        let _ = write!(out, ", msg_len={bytes}}}");
    });
}

/// Control messages: descriptors and credentials with their values.
fn control(out: &mut Output, address: u64, bytes: u64) {
    let mut at = 0;
    let mut text = Output::from("[");
    while bytes - at >= CONTROL_HEADER {
        let place = address.wrapping_add(at);
        let Some(raw) = Raw::<16>::read(place) else {
            return number::address(out, address);
        };
        let len = raw.u64(0);
        if len < CONTROL_HEADER || len > bytes - at {
            break;
        }
        if at > 0 {
            text.push_str(", ");
        }
        let _ = write!(text, "{{cmsg_len={len}, cmsg_level=");
        LEVEL.one_of(&mut text, raw.u32(8).into());
        text.push_str(", cmsg_type=");
        CONTROL.one_of(&mut text, raw.u32(12).into());
        text.push_str(", cmsg_data=");
        control_data(
            &mut text,
            raw.u32(12),
            place + CONTROL_HEADER,
            len - CONTROL_HEADER,
        );
        text.push('}');
        let step = len.next_multiple_of(8);
        if step > bytes - at {
            break;
        }
        at += step;
    }
    text.push(']');
    out.push_str(&text);
}

fn control_data(out: &mut Output, kind: u32, address: u64, bytes: u64) {
    match kind {
        1 => list(out, address, bytes / 4, |out, raw: &Raw<4>| {
            number::signed(out, raw.i32(0).into());
        }),
        2 if bytes == 12 => pointee(out, address, |out, raw: &Raw<12>| {
            let (pid, uid, gid) = (raw.u32(0), raw.u32(4), raw.u32(8));
            let _ = write!(out, "{{pid={pid}, uid={uid}, gid={gid}}}");
        }),
        _ => text::buffer(out, address, bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(raw: &[u8]) -> Output {
        let mut out = Output::new();
        sockaddr(
            &mut out,
            raw.as_ptr().expose_provenance() as u64,
            raw.len() as u64,
        );
        out
    }

    #[test]
    fn addresses_of_each_family() {
        assert_eq!(
            shown(b"\x01\0/run/x.sock\0junk"),
            "{sa_family=AF_UNIX, sun_path=\"/run/x.sock\"}"
        );
        assert_eq!(
            shown(b"\x01\0\0name"),
            "{sa_family=AF_UNIX, sun_path=@\"name\"}"
        );
        assert_eq!(shown(b"\x01\0"), "{sa_family=AF_UNIX}");
        assert_eq!(
            shown(&[2, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
            "{sa_family=AF_INET, sin_port=htons(8080), sin_addr=inet_addr(\"127.0.0.1\")}"
        );
        let mut six = [0; 28];
        (six[0], six[3], six[23]) = (10, 80, 1);
        assert_eq!(
            shown(&six),
            "{sa_family=AF_INET6, sin6_port=htons(80), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, \"::1\", &sin6_addr), sin6_scope_id=0}"
        );
        assert_eq!(
            shown(&[16, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0]),
            "{sa_family=AF_NETLINK, nl_pid=7, nl_groups=00000001}"
        );
        assert_eq!(
            shown(&[16, 0, 1, b'a']),
            "{sa_family=AF_NETLINK, sa_data=\"\\1a\"}"
        );
        let mut out = Output::new();
        sockaddr(&mut out, 0x6800_0000_0000, 16);
        assert_eq!(out, "0x680000000000");
    }

    #[test]
    fn passed_descriptors_are_listed() {
        let mut bytes = [0u64; 3];
        bytes[0] = 20; // one descriptor
        bytes[1] = 1 | 1 << 32;
        bytes[2] = 7;
        let mut out = Output::new();
        control(&mut out, bytes.as_ptr().expose_provenance() as u64, 24);
        assert_eq!(
            out,
            "[{cmsg_len=20, cmsg_level=SOL_SOCKET, cmsg_type=SCM_RIGHTS, cmsg_data=[7]}]"
        );
        bytes[0] = u64::MAX;
        let mut out = Output::new();
        control(&mut out, bytes.as_ptr().expose_provenance() as u64, 24);
        assert_eq!(out, "[]");
    }
}
