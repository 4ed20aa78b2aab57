//! The contract between the libOS (guest ring 3) and its monitor (host).
//!
//! Both sides compile this crate, so a layout cannot drift: every structure is
//! `repr(C)`, and its size and offsets are asserted at compile time. Nothing
//! here has behaviour beyond encoding; the crate has no dependencies.
//!
//! | module | what it fixes |
//! |---|---|
//! | [`layout`] | guest-virtual regions, selectors, vectors |
//! | [`image`] | the header at the start of the libOS image |
//! | [`boot`] | the boot information page |
//! | [`vcpu`] | the per-vCPU block that GS points at, and the CPU's trap frame in it |
//! | [`call`] | hypercall port, numbers, the call page, statuses |
//! | [`shared`] | the page that the monitor keeps fresh: clock and pending signals |
//! | [`socket`] | sockets of the host: the table of their readiness, structures of the calls |
//! | [`volume`] | volumes: FUSE messages and their layout |
//! | [`log`] | log streams |
//! | [`exit`] | why a guest ended |
//! | [`stats`] | what the libOS counted |
//! | [`strace`] | names of system calls, the set of those to be traced |

#![no_std]
#![forbid(unsafe_code)]

pub mod boot;
pub mod call;
pub mod exit;
pub mod image;
pub mod layout;
pub mod log;
pub mod shared;
pub mod socket;
pub mod stats;
pub mod strace;
pub mod vcpu;
pub mod volume;

/// Version of everything in this crate. A monitor refuses a unikernel file of
/// another version, and a libOS refuses boot information of another version.
pub const ABI_VERSION: u32 = 6;

/// Most vCPUs of a guest.
pub const VCPUS_MAX: usize = 16;

/// Bytes of the small page, the unit of every mapping.
pub const PAGE_BYTES: u64 = 4096;

/// Bytes of the large page.
pub const LARGE_PAGE_BYTES: u64 = 2 << 20;
