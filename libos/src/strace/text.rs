//! Strings and buffers, quoted as strace quotes them and cut at 32 bytes.

use core::fmt::Write;

use alloc::vec::Vec;

use super::kind::Kind::{self, In, Late, Out};
use super::memory::{LIST_MAX, Raw};
use super::number;
use super::output::Output;
use crate::mm::user;

/// Bytes of a string or buffer that are shown.
const SHOWN_BYTES: usize = 32;
/// Longest path that Linux takes, with its NUL.
const PATH_BYTES: usize = 4096;

/// The address of a C string.
pub const STRING: Kind = In(|out, call, at| string(out, call.arg(at)));
/// Bytes that the call reads; their number is the next argument.
pub const BUFFER: Kind = In(|out, call, at| buffer(out, call.arg(at), call.arg(at + 1)));
/// Bytes that the call wrote; the result is their number.
pub const FILLED: Kind = Out(|out, call, at| {
    let count = call.value().unwrap_or(0) as u64;
    buffer(out, call.arg(at), count.min(call.arg(at + 1)));
});
/// The same for an attribute: without a size, nothing was written.
pub const VALUE: Kind = Out(|out, call, at| {
    if call.arg(at + 1) == 0 {
        number::address(out, call.arg(at));
    } else {
        buffer(out, call.arg(at), call.value().unwrap_or(0) as u64);
    }
});
/// Random bytes that the call wrote.
pub const RANDOM: Kind = Out(|out, call, at| {
    random(out, call.arg(at), call.value().unwrap_or(0) as u64);
});
/// A C string that the call wrote.
pub const WRITTEN: Kind = Out(|out, call, at| path(out, call.arg(at)));
/// A list of C strings, such as arguments.
pub const STRINGS: Kind = In(|out, call, at| strings(out, call.arg(at)));
/// The environment of a program: its size.
pub const ENVIRONMENT: Kind = In(|out, call, at| environment(out, call.arg(at)));
/// Ranges of bytes that the call reads; their number is the next argument.
pub const VECTORS: Kind = In(|out, call, at| {
    vectors(out, call.arg(at), call.arg(at + 1), u64::MAX);
});
/// Ranges of bytes that the call fills.
pub const FILLED_VECTORS: Kind = Late(|out, call, at| match call.value() {
    Some(count) => vectors(out, call.arg(at), call.arg(at + 1), count as u64),
    None => ranges(out, call.arg(at), call.arg(at + 1)),
});
/// Ranges of memory that nothing is read of or written to.
pub const RANGES: Kind = In(|out, call, at| ranges(out, call.arg(at), call.arg(at + 1)));

fn ranges(out: &mut Output, address: u64, count: u64) {
    super::memory::list(out, address, count, |out, raw: &Raw<16>| {
        out.push_str("{iov_base=");
        number::address(out, raw.u64(0));
        let _ = write!(out, ", iov_len={}}}", raw.u64(8));
    });
}

/// Shows a path, whole.
pub fn path(out: &mut Output, address: u64) {
    let text = (address != 0).then(|| user::read_cstr(address, PATH_BYTES).ok());
    match text.flatten() {
        Some(text) => quote(out, &text, false),
        None => number::address(out, address),
    }
}

/// Shows the beginning of a C string.
pub fn string(out: &mut Output, address: u64) {
    match start_of_string(address) {
        Some((text, cut)) => quote(out, &text, cut),
        None => number::address(out, address),
    }
}

/// The bytes of a C string that are shown, and whether there are more.
fn start_of_string(address: u64) -> Option<(Vec<u8>, bool)> {
    if address == 0 {
        return None;
    }
    let mut text = Vec::new();
    while text.len() <= SHOWN_BYTES {
        let byte = Raw::<1>::read(address.wrapping_add(text.len() as u64))?;
        match byte.bytes(0) {
            [0] => return Some((text, false)),
            byte => text.extend_from_slice(byte),
        }
    }
    text.truncate(SHOWN_BYTES);
    Some((text, true))
}

/// Shows the beginning of a buffer.
pub fn buffer(out: &mut Output, address: u64, bytes: u64) {
    match start_of_buffer(address, bytes) {
        Some(text) => quote(out, &text, bytes > SHOWN_BYTES as u64),
        None => number::address(out, address),
    }
}

fn start_of_buffer(address: u64, bytes: u64) -> Option<Vec<u8>> {
    let mut text = alloc::vec![0; bytes.min(SHOWN_BYTES as u64) as usize];
    (address != 0).then_some(())?;
    user::copy_in(address, &mut text).ok()?;
    Some(text)
}

fn random(out: &mut Output, address: u64, bytes: u64) {
    let Some(text) = start_of_buffer(address, bytes) else {
        return number::address(out, address);
    };
    out.push('"');
    for byte in text {
        let _ = write!(out, "\\x{byte:02x}");
    }
    out.push('"');
    if bytes > SHOWN_BYTES as u64 {
        out.push_str("...");
    }
}

/// Writes bytes between quotes; three dots say that there are more.
pub fn quote(out: &mut Output, bytes: &[u8], cut: bool) {
    out.push('"');
    for (at, &byte) in bytes.iter().enumerate() {
        let _ = match byte {
            b'"' | b'\\' => write!(out, "\\{}", byte as char),
            b'\n' => out.write_str("\\n"),
            b'\r' => out.write_str("\\r"),
            b'\t' => out.write_str("\\t"),
            0x0b => out.write_str("\\v"),
            0x0c => out.write_str("\\f"),
            b' '..=b'~' => out.write_char(byte as char),
            // All three digits where the next character would be taken for one.
            _ if matches!(bytes.get(at + 1), Some(b'0'..=b'7')) => write!(out, "\\{byte:03o}"),
            _ => write!(out, "\\{byte:o}"),
        };
    }
    out.push('"');
    if cut {
        out.push_str("...");
    }
}

fn strings(out: &mut Output, address: u64) {
    if Raw::<8>::read(address).is_none() {
        return number::address(out, address);
    }
    out.push('[');
    for at in 0.. {
        let place = address.wrapping_add(8 * at);
        let Some(pointer) = Raw::<8>::read(place).map(|raw| raw.u64(0)) else {
            out.push_str(if at == 0 { "..." } else { ", ..." });
            break;
        };
        if pointer == 0 {
            break;
        }
        if at > 0 {
            out.push_str(", ");
        }
        if at == LIST_MAX {
            out.push_str("...");
            break;
        }
        string(out, pointer);
    }
    out.push(']');
}

fn environment(out: &mut Output, address: u64) {
    number::address(out, address);
    let pointer = |at: u64| Raw::<8>::read(address.wrapping_add(8 * at)).map(|raw| raw.u64(0));
    if pointer(0).is_none() {
        return;
    }
    let count = (0..)
        .take_while(|at| pointer(*at).is_some_and(|word| word != 0))
        .count();
    let plural = if count == 1 { "" } else { "s" };
    let _ = write!(out, " /* {count} var{plural} */");
}

/// Shows ranges of bytes and the first `limit` bytes in them.
pub fn vectors(out: &mut Output, address: u64, count: u64, limit: u64) {
    let mut left = limit;
    super::memory::list(out, address, count, |out, raw: &Raw<16>| {
        let (base, bytes) = (raw.u64(0), raw.u64(8));
        out.push_str("{iov_base=");
        let shown = bytes.min(left);
        buffer(out, base, shown);
        left -= shown;
        let _ = write!(out, ", iov_len={bytes}}}");
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(show: impl FnOnce(&mut Output)) -> Output {
        let mut out = Output::new();
        show(&mut out);
        out
    }

    fn address<T: ?Sized>(value: &T) -> u64 {
        core::ptr::from_ref(value).cast::<u8>().expose_provenance() as u64
    }

    #[test]
    fn bytes_are_quoted_as_in_c() {
        let shown = text(|out| quote(out, b"a\"\\\n\r\t\x0b\x0c\0\x7f\xff1", false));
        assert_eq!(shown, r#""a\"\\\n\r\t\v\f\0\177\3771""#);
        assert_eq!(
            text(|out| quote(out, b"\x001\x008", false)),
            r#""\0001\08""#
        );
        assert_eq!(text(|out| quote(out, b"\x00a", true)), r#""\0a"..."#);
    }

    #[test]
    fn strings_are_cut_and_paths_are_not() {
        let long = b"12345678901234567890123456789012345\0";
        let exact = b"12345678901234567890123456789012\0";
        assert_eq!(
            text(|out| string(out, address(long))),
            "\"12345678901234567890123456789012\"..."
        );
        assert_eq!(
            text(|out| string(out, address(exact))),
            "\"12345678901234567890123456789012\""
        );
        assert_eq!(
            text(|out| path(out, address(long))),
            "\"12345678901234567890123456789012345\""
        );
        assert_eq!(
            text(|out| buffer(out, address(long), 33)),
            "\"12345678901234567890123456789012\"..."
        );
        assert_eq!(text(|out| buffer(out, address(long), 0)), "\"\"");
        assert_eq!(text(|out| path(out, 0)), "NULL");
    }

    #[test]
    fn lists_of_strings_end_at_null() {
        let (one, two) = (*b"one\0", *b"two\0");
        let list = [address(&one), address(&two), 0];
        assert_eq!(
            text(|out| strings(out, address(&list))),
            r#"["one", "two"]"#
        );
        let at = address(&list);
        assert_eq!(
            text(|out| environment(out, at)),
            format!("{at:#x} /* 2 vars */")
        );
        let many: Vec<u64> = (0..40).map(|_| address(&one)).chain([0]).collect();
        assert!(text(|out| strings(out, address(&many[..]))).ends_with("\"one\", ...]"));
    }

    #[test]
    fn vectors_show_what_was_read_into_them() {
        let bytes = *b"abcdef";
        let list = [address(&bytes), 4, address(&bytes) + 4, 2];
        assert_eq!(
            text(|out| vectors(out, address(&list), 2, 4)),
            "[{iov_base=\"abcd\", iov_len=4}, {iov_base=\"\", iov_len=2}]"
        );
    }
}
