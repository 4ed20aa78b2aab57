//! Numbers: plain ones, addresses, modes, descriptors, users, devices.
//!
//! Never inlined, as [`super::output`].

use core::fmt::Write;

use super::kind::Call;
use super::kind::Kind::{self, In};
use super::output::Output;

const AT_FDCWD: i32 = -100;

/// `int`.
pub const INT: Kind = In(int);
/// `unsigned int`.
pub const UINT: Kind = In(|out, call, at| unsigned(out, u64::from(call.arg(at) as u32)));
/// `long`.
pub const LONG: Kind = In(|out, call, at| signed(out, call.arg(at) as i64));
/// `size_t`.
pub const SIZE: Kind = In(|out, call, at| unsigned(out, call.arg(at)));
/// A word that is best read in hexadecimal.
pub const HEX: Kind = In(|out, call, at| hex(out, call.arg(at)));
/// A 32-bit word that is best read in hexadecimal.
pub const HEX32: Kind = In(|out, call, at| hex(out, u64::from(call.arg(at) as u32)));
/// An address that nothing is told of.
pub const ADDRESS: Kind = In(|out, call, at| address(out, call.arg(at)));
/// A word that x86-64 does not look at, such as the upper half of an offset.
pub const UNUSED: Kind = In(|_, _, _| {});
/// Permission bits.
pub const MODE: Kind = In(|out, call, at| mode(out, call.arg(at) as u32));
/// A user or group; -1 leaves it as it is.
pub const ID: Kind = In(|out, call, at| id(out, call.arg(at) as u32));
/// A device number.
pub const DEVICE: Kind = In(|out, call, at| device(out, call.arg(at)));

/// Shows an `int` argument.
pub fn int(out: &mut Output, call: &Call<'_>, at: usize) {
    signed(out, i64::from(call.arg(at) as i32));
}

/// Shows a signed number.
#[inline(never)]
pub fn signed(out: &mut Output, value: i64) {
    let _ = write!(out, "{value}");
}

/// Shows an unsigned number.
#[inline(never)]
pub fn unsigned(out: &mut Output, value: u64) {
    let _ = write!(out, "{value}");
}

/// Shows a hexadecimal number.
#[inline(never)]
pub fn hex(out: &mut Output, value: u64) {
    let _ = if value == 0 {
        out.write_char('0')
    } else {
        write!(out, "{value:#x}")
    };
}

/// Shows an address.
#[inline(never)]
pub fn address(out: &mut Output, value: u64) {
    if value == 0 {
        out.push_str("NULL");
    } else {
        hex(out, value);
    }
}

/// Shows permission bits: a zero in front, three digits at least.
#[inline(never)]
pub fn mode(out: &mut Output, value: u32) {
    let _ = match value {
        0 => write!(out, "000"),
        1..0o100 => write!(out, "{value:03o}"),
        _ => write!(out, "0{value:o}"),
    };
}

/// Shows a user or group.
#[inline(never)]
pub fn id(out: &mut Output, value: u32) {
    if value == u32::MAX {
        out.push_str("-1");
    } else {
        unsigned(out, value.into());
    }
}

/// Shows a device number.
pub fn device(out: &mut Output, value: u64) {
    let major = value >> 8 & 0xfff | value >> 32 & !0xfff;
    let minor = value & 0xff | value >> 12 & !0xff;
    out.push_str("makedev(");
    hex(out, major);
    out.push_str(", ");
    hex(out, minor & 0xffff_ffff);
    out.push(')');
}

/// Shows a directory's descriptor.
pub fn directory(out: &mut Output, word: u64) {
    if word as i32 == AT_FDCWD {
        out.push_str("AT_FDCWD");
    } else {
        signed(out, i64::from(word as i32));
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
    fn modes_have_three_digits_and_a_zero() {
        for (value, shown) in [
            (0o644, "0644"),
            (0, "000"),
            (0o22, "022"),
            (0o4755, "04755"),
        ] {
            assert_eq!(text(|out| mode(out, value)), shown);
        }
    }

    #[test]
    fn devices_are_taken_apart() {
        assert_eq!(text(|out| device(out, 0x103)), "makedev(0x1, 0x3)");
        assert_eq!(text(|out| device(out, 0x10_0001)), "makedev(0, 0x101)");
        assert_eq!(text(|out| address(out, 0)), "NULL");
    }
}
