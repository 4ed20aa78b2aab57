//! Which children a call waits for, and what became of them.

use linux_raw_sys::general::{
    __WALL, __WCLONE, __WNOTHREAD, WCONTINUED, WEXITED, WNOWAIT, WSTOPPED,
};

use super::{Kin, table};
use crate::process::end::{self, Ended, SIGCHLD};

/// Which children a call waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Any.
    Any,
    /// One.
    Process(u32),
    /// One, as long as the number is its own: number and [`Kin::serial`].
    Same(u32, u64),
    /// Those of a group.
    Group(u32),
}

/// What became of the children that a call waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// There are none.
    None,
    /// Nothing yet.
    Running,
    /// This one has ended, stopped or gone on.
    Changed(u32, Ended),
}

impl Kin {
    /// Whether thread `tid` may wait for it with the options of wait(2): with __WCLONE for
    /// those alone that tell of their end otherwise than by SIGCHLD.
    fn is_waited_for(&self, tid: u32, options: u32) -> bool {
        let is_clone = self.exit_signal != SIGCHLD;
        let fits = options & __WALL != 0 || is_clone == (options & __WCLONE != 0);
        fits && (options & __WNOTHREAD == 0 || self.parent_thread == tid)
    }
}

/// Looks for a child of process `parent`, asked by its thread `tid`, that has done what
/// `options` of waitid(2) name. Without WNOWAIT it is seen only once, and forgotten where it
/// has ended.
pub(in crate::process) fn take_changed(parent: u32, tid: u32, which: Which, options: u32) -> Found {
    let mut table = table();
    let has = |option: u32| options & option != 0;
    let keeps = has(WNOWAIT);
    let mut found = Found::None;
    for (pid, entry) in table.by_pid.iter() {
        let is_wanted = match which {
            Which::Any => true,
            Which::Process(wanted) => *pid == wanted,
            Which::Same(wanted, serial) => *pid == wanted && entry.kin.serial == serial,
            Which::Group(group) => entry.kin.group == group,
        };
        if entry.kin.parent != parent || !is_wanted || !entry.kin.is_waited_for(tid, options) {
            continue;
        }
        if let Some(ended) = entry.ended {
            if has(WEXITED) {
                found = Found::Changed(*pid, ended);
                break;
            }
            continue;
        }
        let process = entry.process;
        let unseen = {
            let stop = &mut process.signals.lock().stop;
            stop.take_unseen(has(WSTOPPED), has(WCONTINUED), keeps)
        };
        if let Some(status) = unseen {
            return Found::Changed(*pid, end::described(process, status));
        }
        found = Found::Running;
    }
    if let (Found::Changed(pid, _), false) = (found, keeps) {
        table.remove(pid);
    }
    found
}
