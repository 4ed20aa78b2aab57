//! Guest-virtual regions, segment selectors and trap vectors.
//!
//! ```text
//! 0x0000_0000_0000  never mapped (NULL page)
//! 0x0000_0040_0000  non-PIE programs                        application
//! 0x5555_5555_4000  PIE programs, brk above                 application
//! 0x6800_0000_0000  DIRECT_MAP_BASE: guest-physical g at +g  libOS, RW NX (root fs: R NX)
//! 0x6880_0000_1000  LIBOS_IMAGE_BASE: text and rodata RX, data RW from the next 2 MiB on
//! 0x68c0_0000_0000  LIBOS_STACKS_BASE: libOS stacks, guard pages between
//! 0x6900_0000_0000  LIBOS_END
//! 0x7fff_ffff_f000  APP_END: stack and mmap area grow down from here
//! ```
//!
//! Programs built with a sanitizer need fixed addresses of their own: the allocator
//! of AddressSanitizer and LeakSanitizer 0x6000_0000_0000 to 0x6400_0000_0000,
//! ThreadSanitizer's traces and MemorySanitizer's origins parts of the same, and
//! of what is below 0x6000_0000_0000. The libOS is where none of them is.
//!
//! Everything is in the lower canonical half because a PVM host offers no more.
//! GDT, IDT, TSS, ring-0 stubs and prepared frames are supervisor pages placed
//! by the monitor; the guest never needs their addresses.

/// Guest-physical address `g` is mapped at `DIRECT_MAP_BASE + g`.
pub const DIRECT_MAP_BASE: u64 = 0x6800_0000_0000;
/// Bytes of the direct map, and so the end of guest-physical space.
pub const DIRECT_MAP_BYTES: u64 = 512 << 30;
/// Link address of the libOS image: one page in, as in the unikernel file, so that
/// text and constants can be mapped from the file with one large page.
pub const LIBOS_IMAGE_BASE: u64 = 0x6880_0000_1000;
/// Most bytes that the libOS image may span.
pub const LIBOS_IMAGE_MAX_BYTES: u64 = 64 << 20;
/// Where the libOS maps its own stacks.
pub const LIBOS_STACKS_BASE: u64 = 0x68c0_0000_0000;
/// First address of the libOS's part of the address space.
pub const LIBOS_START: u64 = DIRECT_MAP_BASE;
/// First address after the libOS's part.
pub const LIBOS_END: u64 = 0x6900_0000_0000;
/// First address after the application's part (Linux's TASK_SIZE).
pub const APP_END: u64 = 0x7fff_ffff_f000;

/// Ring-0 code and data, only ever loaded by the CPU.
pub const KERNEL_CODE_SELECTOR: u16 = 0x10;
/// See [`KERNEL_CODE_SELECTOR`].
pub const KERNEL_DATA_SELECTOR: u16 = 0x18;
/// Ring-3 data selector, as Linux has it.
pub const USER_DATA_SELECTOR: u16 = 0x2b;
/// Ring-3 64-bit code selector, as Linux has it.
pub const USER_CODE_SELECTOR: u16 = 0x33;

/// CPU exceptions that have an entry of their own: 0..=31.
pub const EXCEPTION_VECTORS: usize = 32;
/// The monitor's upcall, delivered as if it were a trap (see [`crate::shared`]).
pub const UPCALL_VECTOR: usize = 32;
/// Entries in [`crate::image::LibosHeader::trap_entries`].
pub const TRAP_ENTRIES: usize = 33;

/// `int` vector, callable from ring 3: flush the page whose address is in RAX.
pub const FLUSH_PAGE_VECTOR: u8 = 0x81;
/// `int` vector, callable from ring 3: load CR3 from RAX, which flushes all.
pub const LOAD_ROOT_VECTOR: u8 = 0x82;

/// The page-fault vector; its stub alone also stores CR2.
pub const PAGE_FAULT_VECTOR: usize = 14;

const _: () = assert!(DIRECT_MAP_BASE + DIRECT_MAP_BYTES <= LIBOS_IMAGE_BASE);
const _: () = assert!(LIBOS_IMAGE_BASE + LIBOS_IMAGE_MAX_BYTES <= LIBOS_STACKS_BASE);
const _: () = assert!(LIBOS_END <= APP_END);
