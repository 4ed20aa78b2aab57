//! The Unikiln library OS: what Linux is to a program, in guest ring 3.
//!
//! The program and the libOS share one address space and one privilege level.
//! System calls arrive by trap or by direct jump ([`arch`]), are dispatched by
//! the table in [`syscall`], and are served by the subsystems below. What the
//! libOS needs of the host it asks the monitor ([`hypercall`]).
//!
//! | module | what it owns |
//! |---|---|
//! | [`arch`] | entries, per-vCPU block, FS base, extended state, TLB flushes |
//! | [`boot`] | boot information and the way from the first instruction to the program |
//! | [`crash`] | the record that explains a fatal signal or a panic |
//! | [`dev`] | what is behind standard streams and `/dev` |
//! | [`fs`] | the VFS: EROFS below, memory overlay above, `/proc`, `/dev`, pipes |
//! | [`mm`] | frames, page tables, mappings, faults, access to program memory |
//! | [`net`] | sockets |
//! | [`process`] | processes, their threads, `fork`, `execve` |
//! | [`sched`] | blocking and waking |
//! | [`signal`] | dispositions, masks, delivery |
//! | [`stats`] | counters |
//! | [`strace`] | system calls in the log |
//! | [`syscall`] | the table and the calls |
//! | [`time`] | clocks, the vDSO |
//!
//! Safe code everywhere but in `arch`, `mm` and the few modules that say why.
//! Compiled for the host, `arch` is a stand-in, so that the safe subsystems are
//! tested with plain `cargo test`.

#![cfg_attr(target_os = "none", no_std)]
#![deny(unsafe_code)]
// A library for tests/fuzz on this machine has no program that uses the rest of it.
#![cfg_attr(feature = "fuzzing", allow(dead_code))]

extern crate alloc;

pub mod arch;
pub mod boot;
pub mod crash;
pub mod dev;
pub mod errno;
pub mod fs;
pub mod hypercall;
pub mod mm;
pub mod net;
pub mod process;
pub mod sched;
pub mod signal;
pub mod sorted;
pub mod stats;
pub mod strace;
pub mod syscall;
pub mod time;
