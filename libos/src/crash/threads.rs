//! The threads of a program that ends: which one it was, and what the others did.
//!
//! The others may run on meanwhile: what is shown of them is a glance.

use alloc::vec::Vec;
use core::fmt::{self, Write};

use super::report::call;
use super::text::Text;
use crate::process::{self, Call, State, Thread, threads};

/// Most other threads shown.
const SHOWN_MAX: usize = 16;

/// A thread as the record names it.
pub(super) struct Named {
    tid: u32,
    /// Its name, NUL-padded; empty when its lock is taken.
    comm: [u8; 16],
}

/// Another thread.
pub(super) struct Other {
    name: Named,
    state: State,
    /// The system call that it is in.
    call: Option<Call>,
}

/// See the module documentation.
pub(super) struct Threads {
    own: Named,
    /// All that there are; 0 when their table is locked.
    count: usize,
    others: Vec<Other>,
}

impl Named {
    fn of(thread: &Thread) -> Named {
        Named {
            tid: thread.tid(),
            comm: thread.comm.try_lock().map_or([0; 16], |comm| *comm),
        }
    }

    fn write(&self, out: &mut Text) -> fmt::Result {
        let end = self.comm.iter().position(|byte| *byte == 0);
        write!(out, "{} (", self.tid)?;
        out.push_lossy(self.comm.get(..end.unwrap_or(16)).unwrap_or_default());
        write!(out, ")")
    }
}

impl Threads {
    /// The threads as they are now, the running one apart.
    pub(super) fn now() -> Threads {
        let own = process::thread();
        let list = threads::try_list(own.process()).unwrap_or_default();
        let others = list.iter().filter(|other| !core::ptr::eq(**other, own));
        Threads {
            own: Named::of(own),
            count: list.len(),
            others: others
                .take(SHOWN_MAX)
                .map(|other| Other {
                    name: Named::of(other),
                    state: other.state(),
                    call: other.recent.current(),
                })
                .collect(),
        }
    }

    /// The line about the thread that crashed.
    pub(super) fn own(&self, out: &mut Text) -> fmt::Result {
        write!(out, "thread: ")?;
        self.own.write(out)?;
        match self.count {
            0 => writeln!(out, "; the others cannot be listed"),
            1 => writeln!(out),
            count => writeln!(out, ", one of {count}"),
        }
    }

    /// The lines about the others.
    pub(super) fn others(&self, out: &mut Text) -> fmt::Result {
        if self.others.is_empty() {
            return Ok(());
        }
        let count = self.count - 1;
        if count > SHOWN_MAX {
            writeln!(out, "other threads ({count}, the first {SHOWN_MAX}):")?;
        } else {
            writeln!(out, "other threads ({count}):")?;
        }
        for other in &self.others {
            write!(out, "  ")?;
            other.name.write(out)?;
            let state = match other.state {
                State::Running => "running",
                State::Runnable => "waiting for a vCPU",
                State::Waiting | State::Sleeping => "sleeping",
                State::Dead => "ending",
            };
            write!(out, " {state}")?;
            if let Some(current) = &other.call {
                write!(out, " in ")?;
                call(current, out)?;
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use alloc::string::ToString;

    /// As many threads as asked for, the first one's.
    pub(in crate::crash) fn threads(count: usize) -> Threads {
        let name = |tid: usize| {
            let mut comm = [0; 16];
            comm[..4].copy_from_slice(b"work");
            Named {
                tid: tid as u32,
                comm,
            }
        };
        let others = (2..=count).take(SHOWN_MAX).map(|tid| Other {
            name: name(tid),
            state: [State::Running, State::Sleeping][tid % 2],
            call: (tid % 2 != 0).then_some(Call {
                number: 202,
                args: [0x1000, 0x80, 1, 0, 0, 0],
                result: None,
            }),
        });
        Threads {
            own: name(1),
            count,
            others: others.collect(),
        }
    }

    fn text_of(threads: &Threads) -> alloc::string::String {
        let mut text = Text::new(4096);
        threads.own(&mut text).unwrap();
        threads.others(&mut text).unwrap();
        text.as_str().to_string()
    }

    #[test]
    fn one_thread_is_named_and_several_are_listed() {
        assert_eq!(text_of(&threads(1)), "thread: 1 (work)\n");
        let expected = "\
thread: 1 (work), one of 3
other threads (2):
  2 (work) running
  3 (work) sleeping in futex(0x1000, 0x80, 0x1, 0x0, 0x0, 0x0)
";
        assert_eq!(text_of(&threads(3)), expected);
    }

    #[test]
    fn many_are_cut() {
        let text = text_of(&threads(40));
        assert!(text.contains("other threads (39, the first 16):\n"));
        assert_eq!(text.lines().count(), 2 + 16);
    }
}
