//! From the first instruction to the program's first instruction.
//!
//! ```text
//! monitor: page tables, descriptors, boot information, RDI = its address
//!   → boot(): check the contract → frames → heap → root file system → process
//!   → execve of the program → switch to it
//! ```
#![cfg_attr(
    target_os = "none",
    expect(unsafe_code, reason = "reads the boot information page")
)]

use alloc::vec::Vec;

use spin::Once;
use unikiln_abi::boot::BootInfo;

static INFO: Once<BootInfo> = Once::new();

/// What the monitor told; `None` before boot and in unit tests.
pub fn info() -> Option<&'static BootInfo> {
    INFO.get()
}

/// Whether a `FLAG_*` bit of the boot information is set.
pub fn has_flag(flag: u32) -> bool {
    info().is_some_and(|info| info.flags & flag != 0)
}

/// The first process as the monitor described it.
pub struct Start {
    /// Program first.
    pub arguments: Vec<Vec<u8>>,
    /// `KEY=VALUE`.
    pub environment: Vec<Vec<u8>>,
    /// Working directory.
    pub directory: Vec<u8>,
    /// Host name.
    pub hostname: Vec<u8>,
    /// Text of `/etc/resolv.conf`; the image's own file stays where it is empty.
    pub resolv_conf: Vec<u8>,
    /// Text of `/etc/hosts`; the image's own file stays where it is empty.
    pub hosts: Vec<u8>,
    /// `USER[:GROUP]` to be looked up in the image; empty for numbers that are known.
    pub user: Vec<u8>,
    /// Volumes, as [`unikiln_abi::volume`] describes them.
    pub volumes: Vec<Vec<u8>>,
}

/// Splits the strings block. Missing strings come out empty.
pub fn parse_strings(block: &[u8], argc: usize, envc: usize, volume_count: usize) -> Start {
    let mut strings = block.split(|b| *b == 0).map(<[u8]>::to_vec);
    let arguments = strings.by_ref().take(argc).collect();
    let environment = strings.by_ref().take(envc).collect();
    let directory = strings
        .next()
        .filter(|d| !d.is_empty())
        .unwrap_or_else(|| b"/".to_vec());
    let [hostname, resolv_conf, hosts, user] =
        core::array::from_fn(|_| strings.next().unwrap_or_default());
    let volumes = strings.take(volume_count).collect();
    Start {
        arguments,
        environment,
        directory,
        hostname,
        resolv_conf,
        hosts,
        user,
        volumes,
    }
}

#[cfg(target_os = "none")]
pub use start::boot;

#[cfg(target_os = "none")]
mod start {
    use unikiln_abi::boot::{BOOT_MAGIC, BootInfo};
    use unikiln_abi::layout::DIRECT_MAP_BASE;
    use unikiln_abi::{ABI_VERSION, exit};

    use super::{INFO, parse_strings};
    use crate::{arch, crash, fs, hypercall, mm, process, stats, strace, time};

    /// Called by the entry code, on the boot stack, with the address that the
    /// monitor put into RDI.
    #[expect(
        clippy::not_unsafe_ptr_arg_deref,
        reason = "only the entry code calls it"
    )]
    pub extern "C" fn boot(info: *const BootInfo) -> ! {
        let entry_tsc = arch::rdtsc();
        // SAFETY: the monitor passes the address of the boot information page,
        // which lies in the direct map and is not changed after the start.
        let info = unsafe { &*info };
        hypercall::init(info.call_pages_gpa);
        if info.magic != BOOT_MAGIC || info.abi_version != ABI_VERSION {
            hypercall::exit(exit::WRONG_ABI, u64::from(ABI_VERSION));
        }
        let info = INFO.call_once(|| *info);
        stats::set_entry(entry_tsc);
        strace::init(info);
        let (bottom, top) = arch::stack_bounds();
        arch::set_kernel_stack(bottom, top);
        mm::pagetable::init(info.pml4_gpa);
        mm::arena::init(info);
        crash::init();
        time::init(info);
        mm::rootfs::init(info);
        if let Err(error) = fs::init() {
            fail("root file system cannot be mounted", error);
        }
        stats::set_rootfs(arch::rdtsc());
        // SAFETY: the monitor placed the strings block in the boot arena, below
        // the first free page.
        let block = unsafe {
            core::slice::from_raw_parts(
                core::ptr::with_exposed_provenance::<u8>(
                    (DIRECT_MAP_BASE + info.strings_gpa) as usize,
                ),
                info.strings_bytes as usize,
            )
        };
        let start = parse_strings(
            block,
            info.argc as usize,
            info.envc as usize,
            info.volume_count as usize,
        );
        process::start_first(info, start)
    }

    fn fail(what: &str, error: crate::errno::Errno) -> ! {
        let line = alloc::format!("unikiln: {what}: {}\n", error.name());
        hypercall::log_line(&line);
        hypercall::exit(exit::EXEC_FAILED, 126)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_come_in_order() {
        let start = parse_strings(
            b"ls\0-l\0A=1\0/srv\0box\0nameserver ::1\n\0\0app\0\x31 /data\0",
            2,
            1,
            1,
        );
        assert_eq!(start.arguments, [b"ls".to_vec(), b"-l".to_vec()]);
        assert_eq!(start.environment, [b"A=1".to_vec()]);
        assert_eq!(start.directory, b"/srv");
        assert_eq!(start.hostname, b"box");
        assert_eq!(start.resolv_conf, b"nameserver ::1\n");
        assert!(start.hosts.is_empty());
        assert_eq!(start.user, b"app");
        assert_eq!(start.volumes, [b"1 /data"]);
    }

    #[test]
    fn missing_strings_are_empty() {
        let start = parse_strings(b"", 0, 0, 0);
        assert_eq!(start.directory, b"/");
        assert!(start.hostname.is_empty());
    }
}
