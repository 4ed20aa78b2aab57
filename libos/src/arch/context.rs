//! What a thread keeps while it does not run: its place on its libOS stack, FS
//! base and the extended state; and the switch from one thread to another.
//!
//! ```text
//! top of the libOS stack   Registers of the program (arch/entry.rs)
//!                          frames of the libOS, down to switch_context
//! rsp →                    R15 R14 R13 R12 RBX RBP, return address
//! ```
//!
//! A context belongs to the vCPU that runs its thread, and to nobody while the
//! thread waits: `sched` hands a thread on only after the vCPU that ran it last
//! has left its stack (`Thread::on_cpu`).
#![cfg_attr(
    target_os = "none",
    expect(unsafe_code, reason = "stacks and extended state are raw memory")
)]
#![cfg_attr(
    not(target_os = "none"),
    expect(unsafe_code, reason = "the same cell, without a vCPU")
)]

use core::cell::UnsafeCell;

use alloc::vec::Vec;

use super::Registers;
use crate::errno::Errno;

/// One cache line: XSAVE areas are aligned to it.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u64; 8]);

/// See the module documentation.
pub struct Context(UnsafeCell<Inner>);

struct Inner {
    rsp: u64,
    fs_base: u64,
    stack_bottom: u64,
    stack_top: u64,
    xstate: Vec<Line>,
}

// SAFETY: only the vCPU that a thread belongs to touches its context (module
// documentation); the fields are plain data.
unsafe impl Sync for Context {}
// SAFETY: as above.
unsafe impl Send for Context {}

impl Default for Context {
    fn default() -> Self {
        Self::new()
    }
}

impl Context {
    /// Without a stack.
    pub const fn new() -> Context {
        Context(UnsafeCell::new(Inner {
            rsp: 0,
            fs_base: 0,
            stack_bottom: 0,
            stack_top: 0,
            xstate: Vec::new(),
        }))
    }

    /// The libOS stack: lowest address, top.
    pub fn stack(&self) -> (u64, u64) {
        // SAFETY: see `Sync`; a crash record of another vCPU may read it too,
        // and shows what it finds.
        let inner = unsafe { &*self.0.get() };
        (inner.stack_bottom, inner.stack_top)
    }

    /// Its stack is another's by now.
    pub fn forget_stack(&self) {
        // SAFETY: see `Sync`: the thread is not handed to a vCPU yet.
        let inner = unsafe { &mut *self.0.get() };
        (inner.stack_bottom, inner.stack_top) = (0, 0);
    }

    /// Gives it a libOS stack and room for the extended state.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn prepare(&self, stack: (u64, u64)) -> Result<(), Errno> {
        // SAFETY: see `Sync`: the thread is not handed to a vCPU yet.
        let inner = unsafe { &mut *self.0.get() };
        let bytes = crate::boot::info().map_or(576, |info| info.xsave_bytes.max(576));
        let lines = (bytes as usize).div_ceil(size_of::<Line>());
        inner.xstate.clear();
        inner
            .xstate
            .try_reserve_exact(lines)
            .map_err(|_| Errno::ENOMEM)?;
        inner.xstate.resize(lines, Line([0; 8]));
        (inner.stack_bottom, inner.stack_top) = stack;
        Ok(())
    }
}

#[cfg(target_os = "none")]
pub use real::{idle, idle_entry_address, new_thread};

#[cfg(target_os = "none")]
mod real {
    use super::{Context, Registers};
    use crate::{arch, sched};

    unsafe extern "C" {
        fn switch_context(save: *mut u64, load: u64);
        fn new_thread_entry();
        fn idle_entry();
    }

    /// Words that `switch_context` pops before it returns.
    const SAVED_WORDS: u64 = 6;

    /// Where a vCPU beyond the first begins.
    pub fn idle_entry_address() -> u64 {
        idle_entry as *const () as u64
    }

    impl Context {
        /// Makes the first switch to this context enter the program with `regs`.
        pub fn start_program(&self, regs: &Registers, fs_base: u64) {
            // SAFETY: the thread is not handed to a vCPU yet; its stack is
            // mapped, ours alone and far larger than what is written.
            unsafe {
                let inner = &mut *self.0.get();
                let frame = inner.stack_top - size_of::<Registers>() as u64;
                core::ptr::with_exposed_provenance_mut::<Registers>(frame as usize).write(*regs);
                inner.fs_base = fs_base;
                inner.rsp = frame;
                inner.push_start(new_thread_entry as *const () as u64);
            }
        }

        /// Makes the first switch to this context enter the idle loop.
        pub fn start_idle(&self) {
            // SAFETY: as in `start_program`.
            unsafe {
                let inner = &mut *self.0.get();
                inner.rsp = inner.stack_top;
                inner.push_start(idle_entry as *const () as u64);
            }
        }

        /// Keeps FS base and the extended state of the program that runs now.
        pub fn save_program(&self) {
            // SAFETY: the thread runs here, so the context is ours. The area was
            // made for this XCR0 and is aligned by its type; its header was
            // zeroed, and only XSAVE wrote to it since.
            unsafe {
                let inner = &mut *self.0.get();
                inner.fs_base = arch::fs_base();
                if !inner.xstate.is_empty() {
                    arch::xsave(inner.xstate.as_mut_ptr().cast(), components());
                }
            }
        }

        /// Puts both back.
        pub fn load_program(&self) {
            // SAFETY: the thread was handed to this vCPU; the area holds what
            // XSAVE wrote, or zeros, which are the initial state.
            unsafe {
                let inner = &*self.0.get();
                arch::set_fs_base(inner.fs_base);
                if !inner.xstate.is_empty() {
                    arch::xrstor(inner.xstate.as_ptr().cast(), components());
                }
            }
        }

        /// Leaves this context for `to`; returns when somebody comes back to it,
        /// maybe on another vCPU.
        pub fn switch_to(&self, to: &Context) {
            let (bottom, top) = to.stack();
            arch::set_kernel_stack(bottom, top);
            // SAFETY: `to` is not running anywhere and its RSP was left by
            // `switch_context` or made by `push_start`.
            unsafe {
                let load = (*to.0.get()).rsp;
                switch_context(&raw mut (*self.0.get()).rsp, load);
            }
        }
    }

    impl super::Inner {
        /// What the first `switch_context` to this stack pops and returns to.
        ///
        /// # Safety
        /// `rsp` lies in this context's stack with room below.
        unsafe fn push_start(&mut self, entry: u64) {
            let words = SAVED_WORDS + 1;
            self.rsp -= words * 8;
            let at = core::ptr::with_exposed_provenance_mut::<u64>(self.rsp as usize);
            // SAFETY: the caller's promise.
            unsafe {
                for word in 0..SAVED_WORDS as usize {
                    at.add(word).write(0);
                }
                at.add(SAVED_WORDS as usize).write(entry);
            }
        }
    }

    fn components() -> u64 {
        crate::boot::info().map_or(3, |info| info.xcr0)
    }

    /// Called by a new thread before it enters the program, with its registers.
    ///
    /// # Safety
    /// Nothing else refers to `regs`: `start_program` put them at the top of
    /// this stack, and they are popped after this returns.
    pub unsafe extern "C" fn new_thread(regs: *mut Registers) {
        sched::begin_thread();
        crate::process::threads::begin();
        // SAFETY: the caller's promise.
        crate::process::return_to_program(unsafe { &mut *regs }, None);
    }

    /// Called by the idle loop's first instruction.
    pub extern "C" fn idle() -> ! {
        sched::idle_loop()
    }
}

#[cfg(not(target_os = "none"))]
impl Context {
    /// No program in unit tests.
    pub fn start_program(&self, _regs: &Registers, _fs_base: u64) {}
    /// No program in unit tests.
    pub fn start_idle(&self) {}
    /// No program in unit tests.
    pub fn save_program(&self) {}
    /// No program in unit tests.
    pub fn load_program(&self) {}
    /// Nobody to switch to in unit tests.
    pub fn switch_to(&self, _to: &Context) {}
}

/// No idle loop in unit tests.
#[cfg(not(target_os = "none"))]
pub fn idle_entry_address() -> u64 {
    0
}
