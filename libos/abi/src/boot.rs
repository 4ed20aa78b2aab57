//! Boot information: one page that the monitor fills before the first instruction.
//!
//! All `*_gpa` fields are guest-physical addresses; the page itself is reached
//! through the direct map, its address is in RDI at entry.
//!
//! The strings block holds, each ended by a NUL byte and in this order:
//! `argc` arguments, `envc` environment strings, the working directory, the
//! host name, the text of `/etc/resolv.conf`, the text of `/etc/hosts` (the
//! image's own files stay where these are empty), the user to run as (`USER[:GROUP]`,
//! each a name or a number, looked up in the image; empty for the numbers of this page),
//! `volume_count` volumes as [`crate::volume`] describes them.

use core::mem::{offset_of, size_of};

use crate::strace::CallSet;

/// First eight bytes of the boot information.
pub const BOOT_MAGIC: u64 = u64::from_le_bytes(*b"UKBOOT01");

/// Standard input is passed on by the monitor; without it, it is empty.
pub const FLAG_STDIN: u32 = 1 << 0;
/// Standard input is a terminal.
pub const FLAG_STDIN_TTY: u32 = 1 << 1;
/// Standard output is a terminal.
pub const FLAG_STDOUT_TTY: u32 = 1 << 2;
/// Standard error is a terminal.
pub const FLAG_STDERR_TTY: u32 = 1 << 3;
/// System calls of [`BootInfo::strace`] and signals are written to the log.
pub const FLAG_STRACE: u32 = 1 << 5;

/// What one vCPU flushes is flushed on all: the host shadows page tables, and
/// does not need [`crate::call::VCPU_FLUSH`] for it.
pub const FLAG_FLUSH_REACHES_ALL: u32 = 1 << 4;

/// The root file system cannot be changed by the program.
pub const FLAG_ROOT_READ_ONLY: u32 = 1 << 6;
/// The program's start is told by [`crate::call::STARTED`].
pub const FLAG_TELL_START: u32 = 1 << 7;
/// The named user has the supplementary groups that the image's `/etc/group` gives it, too.
pub const FLAG_USER_GROUPS: u32 = 1 << 8;
/// `HOME` is the named user's home directory.
pub const FLAG_USER_HOME: u32 = 1 << 9;

/// No program gains rights by being executed (PR_SET_NO_NEW_PRIVS).
pub const FLAG_NO_NEW_PRIVILEGES: u32 = 1 << 10;

/// No process makes another.
pub const FLAG_NO_PROCESSES: u32 = 1 << 11;
/// Processes are made only to run other programs (vfork, posix_spawn), not as copies (fork).
pub const FLAG_NO_FORK: u32 = 1 << 12;

/// Most supplementary groups of the first process.
pub const GROUPS_MAX: usize = 64;

/// Most bytes of the strings block (Linux's default argument limit).
pub const STRINGS_MAX_BYTES: u64 = 2 << 20;

/// See the module documentation.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct BootInfo {
    /// [`BOOT_MAGIC`].
    pub magic: u64,
    /// [`crate::ABI_VERSION`] that the monitor was built with.
    pub abi_version: u32,
    /// Bytes of this structure.
    pub info_bytes: u32,
    /// vCPUs that there may be; each has a block and a call page. The first runs,
    /// the others start on request ([`crate::call::VCPU_START`]).
    pub vcpu_count: u32,
    /// `FLAG_*` bits.
    pub flags: u32,

    /// Boot arena: small pages, present from the start, in the direct map.
    pub boot_arena_gpa: u64,
    /// Bytes of the boot arena.
    pub boot_arena_bytes: u64,
    /// First page of the boot arena that the monitor left free; free up to its end.
    pub boot_free_gpa: u64,
    /// Pages in `boot_free_gpa..boot_populated_gpa` are backed by the host already.
    pub boot_populated_gpa: u64,
    /// Page-table root (PML4).
    pub pml4_gpa: u64,

    /// First [`crate::vcpu::VcpuBlock`]; one page each, by vCPU index.
    pub vcpu_blocks_gpa: u64,
    /// First [`crate::call::CallPage`]; one page each, by vCPU index.
    pub call_pages_gpa: u64,
    /// [`crate::shared::SharedPage`].
    pub shared_page_gpa: u64,

    /// The unikernel file from its first byte, which is also the EROFS root file system.
    pub rootfs_gpa: u64,
    /// Bytes of it that belong to the root file system.
    pub rootfs_bytes: u64,
    /// The file is mapped in windows of this many bytes (a power of two, at
    /// least 2 MiB), on request ([`crate::call::ROOTFS_MAP`]).
    pub rootfs_window_bytes: u64,
    /// Windows `0..rootfs_windows_mapped` are mapped already.
    pub rootfs_windows_mapped: u64,

    /// What the guest may use in all: MemTotal.
    pub memory_limit_bytes: u64,

    /// Strings block.
    pub strings_gpa: u64,
    /// Bytes of the strings block.
    pub strings_bytes: u64,
    /// Arguments, the program first.
    pub argc: u32,
    /// Environment strings.
    pub envc: u32,
    /// User of the first process.
    pub uid: u32,
    /// Group of the first process.
    pub gid: u32,
    /// Supplementary groups in use.
    pub group_count: u32,
    /// CPUID.1:EDX, for AT_HWCAP.
    pub hwcap: u32,
    /// Supplementary groups.
    pub groups: [u32; GROUPS_MAX],

    /// XCR0 as the monitor set it.
    pub xcr0: u64,
    /// Bytes of an XSAVE area (standard format) for that XCR0.
    pub xsave_bytes: u64,
    /// TSC frequency in kHz.
    pub tsc_khz: u64,
    /// Host-random bytes, different for every boot.
    pub entropy: [u8; 64],
    /// Guest TSC when the monitor process began to build this VM.
    pub start_tsc: u64,

    /// System calls to write to the log, with [`FLAG_STRACE`].
    pub strace: CallSet,

    /// Volumes.
    pub volume_count: u32,
    /// Most threads of all processes; 0 for as many as the libOS can have.
    pub pids_max: u32,
}

const _: () = assert!(size_of::<BootInfo>() <= crate::PAGE_BYTES as usize);
const _: () = assert!(size_of::<BootInfo>() == 592);
const _: () = assert!(offset_of!(BootInfo, boot_arena_gpa) == 24);
const _: () = assert!(offset_of!(BootInfo, rootfs_gpa) == 88);
const _: () = assert!(offset_of!(BootInfo, strings_gpa) == 128);
const _: () = assert!(offset_of!(BootInfo, groups) == 168);
const _: () = assert!(offset_of!(BootInfo, entropy) == 448);
const _: () = assert!(offset_of!(BootInfo, strace) == 520);
