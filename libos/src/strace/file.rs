//! What calls on files read and write: stat in its forms, directory entries,
//! offsets, pairs of descriptors.
//!
//! Source of the layouts: stat(2), statx(2), statfs(2), getdents(2), openat2(2).

use core::fmt::Write;

use linux_raw_sys::general::AT_STATX_SYNC_TYPE;

use super::flags::file::{
    AT, FILE_SYSTEM, FILE_TYPE, MOUNT_STATE, RESOLVE, STATX_MASK, STATX_SYNC, open,
};
use super::kind::Kind::{self, In, Late, Out};
use super::memory::{Raw, list, pointee};
use super::number;
use super::output::Output;

/// Type bits of a mode.
const TYPE_MASK: u32 = 0o170000;
const BLOCK: u32 = 0o60000;
const CHARACTER: u32 = 0o20000;

/// struct stat.
pub const STAT: Kind = Out(|out, call, at| {
    pointee(out, call.arg(at), |out, raw: &Raw<144>| {
        out.push_str("{st_mode=");
        let mode = raw.u32(24);
        file_mode(out, mode);
        if is_device(mode) {
            out.push_str(", st_rdev=");
            number::device(out, raw.u64(40));
        } else {
            let _ = write!(out, ", st_size={}", raw.i64(48));
        }
        out.push_str(", ...}");
    });
});

/// struct statx.
pub const STATX: Kind = Out(|out, call, at| {
    pointee(out, call.arg(at), |out, raw: &Raw<256>| {
        out.push_str("{stx_mask=");
        STATX_MASK.flags(out, raw.u32(0).into());
        out.push_str(", stx_attributes=");
        number::hex(out, raw.u64(8));
        out.push_str(", stx_mode=");
        file_mode(out, raw.u16(28).into());
        let _ = write!(out, ", stx_size={}, ...}}", raw.u64(40));
    });
});

/// Flags of statx(2): first how fresh the answer has to be, which is no bit.
pub const STATX_FLAGS: Kind = In(|out, call, at| {
    let word = u64::from(call.arg(at) as u32);
    let sync = word & u64::from(AT_STATX_SYNC_TYPE);
    STATX_SYNC.one_of(out, sync);
    if word != sync {
        out.push('|');
        AT.flags(out, word & !sync);
    }
});

/// struct statfs.
pub const STATFS: Kind = Out(|out, call, at| {
    pointee(out, call.arg(at), |out, raw: &Raw<120>| {
        out.push_str("{f_type=");
        FILE_SYSTEM.one_of(out, raw.u64(0));
        for (name, at) in [
            ("f_bsize", 8),
            ("f_blocks", 16),
            ("f_bfree", 24),
            ("f_bavail", 32),
            ("f_files", 40),
            ("f_ffree", 48),
        ] {
            let _ = write!(out, ", {name}={}", raw.u64(at));
        }
        out.push_str(", f_fsid={val=[");
        number::hex(out, raw.u32(56).into());
        out.push_str(", ");
        number::hex(out, raw.u32(60).into());
        let _ = write!(
            out,
            "]}}, f_namelen={}, f_frsize={}",
            raw.u64(64),
            raw.u64(72)
        );
        out.push_str(", f_flags=");
        MOUNT_STATE.flags(out, raw.u64(80));
        out.push('}');
    });
});

/// struct open_how.
pub const OPEN_HOW: Kind = In(|out, call, at| {
    pointee(out, call.arg(at), |out, raw: &Raw<24>| {
        out.push_str("{flags=");
        open(out, raw.u64(0));
        if raw.u64(8) != 0 {
            out.push_str(", mode=");
            number::mode(out, raw.u64(8) as u32);
        }
        out.push_str(", resolve=");
        RESOLVE.flags(out, raw.u64(16));
        out.push('}');
    });
});

/// Directory entries with lengths at byte 16: how many there are.
pub const ENTRIES: Kind = Out(|out, call, at| {
    number::address(out, call.arg(at));
    let (start, end) = (call.arg(at), call.value().unwrap_or(0) as u64);
    let (mut offset, mut count) = (0, 0);
    while offset < end {
        let Some(raw) = Raw::<18>::read(start.wrapping_add(offset)) else {
            return;
        };
        let bytes = u64::from(raw.u16(16));
        if bytes == 0 {
            return;
        }
        offset += bytes;
        count += 1;
    }
    let _ = write!(out, " /* {count} entries */");
});

/// Two descriptors that were made.
pub const FD_PAIR: Kind = Out(|out, call, at| {
    list(out, call.arg(at), 2, |out, raw: &Raw<4>| {
        number::signed(out, raw.i32(0).into());
    });
});

/// An offset that the call moves by its result: before, and after it.
pub const OFFSET: Kind = Late(|out, call, at| {
    list(out, call.arg(at), 1, |out, raw: &Raw<8>| {
        number::signed(
            out,
            raw.i64(0).wrapping_sub(call.value().unwrap_or(0) as i64),
        );
    });
    if let (Some(1..), Some(raw)) = (call.value(), Raw::<8>::read(call.arg(at))) {
        let _ = write!(out, " => [{}]", raw.i64(0));
    }
});

/// Times of utimensat(2): two timespec.
pub const TIMESPECS: Kind = In(|out, call, at| {
    list(out, call.arg(at), 2, |out, raw: &Raw<16>| {
        match raw.u64(8) {
            0x3fff_ffff => out.push_str("UTIME_NOW"),
            0x3fff_fffe => out.push_str("UTIME_OMIT"),
            _ => super::time::timespec(out, raw, 0),
        }
    });
});

/// Times of utimes(2): two timeval.
pub const TIMEVALS: Kind = In(|out, call, at| {
    list(out, call.arg(at), 2, |out, raw: &Raw<16>| {
        super::time::timeval(out, raw, 0)
    });
});

/// struct utimbuf.
pub const UTIMBUF: Kind = In(|out, call, at| {
    pointee(out, call.arg(at), |out, raw: &Raw<16>| {
        let _ = write!(out, "{{actime={}, modtime={}}}", raw.i64(0), raw.i64(8));
    });
});

/// Type and permission bits of a file.
pub const FILE_MODE: Kind = In(|out, call, at| file_mode(out, call.arg(at) as u32));
/// Device number of mknod(2), looked at for devices only; the mode is before it.
pub const NODE_DEVICE: Kind = In(|out, call, at| {
    if is_device(call.arg(at - 1) as u32) {
        number::device(out, call.arg(at));
    }
});

fn is_device(mode: u32) -> bool {
    matches!(mode & TYPE_MASK, BLOCK | CHARACTER)
}

fn file_mode(out: &mut Output, mode: u32) {
    if mode & TYPE_MASK != 0 {
        FILE_TYPE.one_of(out, u64::from(mode & TYPE_MASK));
        out.push('|');
    }
    number::mode(out, mode & !TYPE_MASK);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strace::kind::Call;

    fn shown(kind: Kind, bytes: &[u8], result: usize) -> Output {
        let args = [bytes.as_ptr().expose_provenance() as u64, 0, 0, 0, 0, 0];
        let mut out = Output::new();
        let call = Call {
            args: &args,
            result: Some(Ok(result)),
        };
        kind.show(&mut out, &call, 0);
        out
    }

    #[test]
    fn a_file_has_a_size_and_a_device_a_number() {
        let mut stat = [0; 144];
        stat[24..28].copy_from_slice(&0o100644u32.to_le_bytes());
        stat[48..56].copy_from_slice(&1234u64.to_le_bytes());
        assert_eq!(
            shown(STAT, &stat, 0),
            "{st_mode=S_IFREG|0644, st_size=1234, ...}"
        );
        stat[24..28].copy_from_slice(&0o20666u32.to_le_bytes());
        stat[40..48].copy_from_slice(&0x103u64.to_le_bytes());
        assert_eq!(
            shown(STAT, &stat, 0),
            "{st_mode=S_IFCHR|0666, st_rdev=makedev(0x1, 0x3), ...}"
        );
    }

    #[test]
    fn directory_entries_are_counted() {
        let mut entries = [0; 56];
        entries[16] = 24;
        entries[40] = 32;
        assert!(shown(ENTRIES, &entries, 56).ends_with(" /* 2 entries */"));
        assert!(shown(ENTRIES, &entries, 0).ends_with(" /* 0 entries */"));
        // A length of zero would never end.
        assert!(!shown(ENTRIES, &[0; 56], 56).contains("entries"));
    }
}
