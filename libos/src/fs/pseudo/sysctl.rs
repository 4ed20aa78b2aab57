//! The table of `/proc/sys`.

use alloc::vec::Vec;

use spin::Once;

use super::item::{Item, directory, out, text};
use super::source;
use crate::dev::random;
use crate::fs::pipe::CAPACITY_MAX_BYTES;
use crate::fs::table::NR_OPEN;
use crate::syscall::system::{RELEASE, VERSION};

/// A text that is always the same.
macro_rules! fixed {
    ($name:literal, $($format:tt)*) => {
        text($name, |_, content| {
            out!(content, $($format)*);
            Ok(())
        })
    };
}

pub(super) const ITEMS: &[Item] = &[
    directory("kernel", KERNEL),
    directory("vm", VM),
    directory("fs", FS),
    directory(
        "net",
        &[directory("core", &[fixed!("somaxconn", "4096\n")])],
    ),
];

const KERNEL: &[Item] = &[
    fixed!("osrelease", "{RELEASE}\n"),
    fixed!("ostype", "Linux\n"),
    fixed!("version", "{VERSION}\n"),
    text("hostname", |_, content| {
        content.extend_from_slice(&source::hostname());
        content.push(b'\n');
        Ok(())
    }),
    fixed!("domainname", "(none)\n"),
    fixed!("pid_max", "4194304\n"),
    fixed!("threads-max", "63000\n"),
    fixed!("ngroups_max", "65536\n"),
    fixed!("cap_last_cap", "40\n"),
    fixed!("overflowuid", "65534\n"),
    fixed!("overflowgid", "65534\n"),
    fixed!("randomize_va_space", "2\n"),
    fixed!("shmmax", "18446744073692774399\n"),
    fixed!("shmall", "18446744073692774399\n"),
    fixed!("core_pattern", "core\n"),
    fixed!("perf_event_paranoid", "4\n"),
    directory(
        "random",
        &[
            text("boot_id", |_, content| {
                static BOOT_ID: Once<[u8; 16]> = Once::new();
                put_uuid(content, *BOOT_ID.call_once(random_bytes));
                Ok(())
            }),
            text("uuid", |_, content| {
                put_uuid(content, random_bytes());
                Ok(())
            }),
            fixed!("entropy_avail", "256\n"),
            fixed!("poolsize", "256\n"),
        ],
    ),
];

const VM: &[Item] = &[
    fixed!("overcommit_memory", "0\n"),
    fixed!("overcommit_ratio", "50\n"),
    fixed!("max_map_count", "1048576\n"),
    fixed!("mmap_min_addr", "65536\n"),
    fixed!("swappiness", "0\n"),
];

const FS: &[Item] = &[
    fixed!("file-max", "9223372036854775807\n"),
    fixed!("nr_open", "{NR_OPEN}\n"),
    fixed!("pipe-max-size", "{CAPACITY_MAX_BYTES}\n"),
    text("file-nr", |_, content| {
        let open = crate::process::current().files.lock().numbers().count();
        out!(content, "{open}\t0\t9223372036854775807\n");
        Ok(())
    }),
];

fn random_bytes() -> [u8; 16] {
    let mut bytes = [0; 16];
    random::fill(&mut bytes);
    bytes
}

/// A random (version 4) UUID in text.
fn put_uuid(content: &mut Vec<u8>, bytes: [u8; 16]) {
    let version_4 = u128::from_be_bytes(bytes) & !(0xf000 << 64) & !(0xc000 << 48)
        | 0x4000 << 64
        | 0x8000 << 48;
    let field = |shift: u32, digits: u32| version_4 >> shift & ((1 << (digits * 4)) - 1);
    let (low, middle, high) = (field(96, 8), field(80, 4), field(64, 4));
    out!(
        content,
        "{low:08x}-{middle:04x}-{high:04x}-{:04x}-{:012x}\n",
        field(48, 4),
        field(0, 12)
    );
}
