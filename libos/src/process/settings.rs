//! What prctl(2) sets for a process and gives back.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::errno::{Errno, SysResult};
use crate::mm::user;

/// Nanoseconds by which waits may be late (Linux's default).
const TIMER_SLACK_NS: u32 = 50_000;
/// What a core dump would hold: ELF headers, anonymous mappings, huge pages.
const COREDUMP_FILTER: u32 = 0x33;

/// A value that is set and given back.
pub struct Kept(AtomicU32);

impl Kept {
    const fn new(value: u32) -> Kept {
        Kept(AtomicU32::new(value))
    }

    /// The value.
    pub fn get(&self) -> u32 {
        self.0.load(Relaxed)
    }

    /// Sets it to a value up to `max`.
    ///
    /// # Errors
    /// EINVAL.
    pub fn set(&self, value: u64, max: u32) -> SysResult {
        match u32::try_from(value) {
            Ok(value) if value <= max => self.0.store(value, Relaxed),
            _ => return Err(Errno::EINVAL),
        }
        Ok(0)
    }

    /// Gives it to the program.
    ///
    /// # Errors
    /// EFAULT.
    pub fn write(&self, address: u64) -> SysResult {
        user::write(address, &self.get()).map(|()| 0)
    }

    fn copy(&self, from: &Kept) {
        self.0.store(from.get(), Relaxed);
    }
}

/// See the module documentation.
pub struct Settings {
    /// Signal that the process gets when its parent ends; 0 for none.
    pub parent_death_signal: Kept,
    /// Kept, without effect.
    pub dumpable: Kept,
    /// No program that it starts gains privileges.
    pub no_new_privileges: Kept,
    /// It becomes the parent of its descendants that lose theirs.
    pub child_subreaper: Kept,
    /// Kept, without effect.
    pub thp_disabled: Kept,
    /// Kept, without effect.
    pub timer_slack_ns: Kept,
    /// How gladly it is ended when memory runs out (`oom.rs`). An `i32`.
    pub oom_score_adj: Kept,
    /// Only CAP_SYS_RESOURCE makes it less than this. An `i32`.
    pub oom_score_adj_min: Kept,
    /// Kept, without effect: there are no core dumps.
    pub coredump_filter: Kept,
    /// What personality(2) set; kept, without effect.
    pub personality: Kept,
}

impl Settings {
    /// Those of a first process.
    pub(super) const fn new() -> Settings {
        Settings {
            parent_death_signal: Kept::new(0),
            dumpable: Kept::new(1),
            no_new_privileges: Kept::new(0),
            child_subreaper: Kept::new(0),
            thp_disabled: Kept::new(0),
            timer_slack_ns: Kept::new(TIMER_SLACK_NS),
            oom_score_adj: Kept::new(0),
            oom_score_adj_min: Kept::new(0),
            coredump_filter: Kept::new(COREDUMP_FILTER),
            personality: Kept::new(0),
        }
    }

    /// What a child gets of its parent's.
    pub(super) fn inherit(&self, parent: &Settings) {
        self.parent_death_signal.0.store(0, Relaxed);
        self.child_subreaper.0.store(0, Relaxed);
        self.dumpable.copy(&parent.dumpable);
        self.no_new_privileges.copy(&parent.no_new_privileges);
        self.thp_disabled.copy(&parent.thp_disabled);
        self.timer_slack_ns.copy(&parent.timer_slack_ns);
        self.oom_score_adj.copy(&parent.oom_score_adj);
        self.oom_score_adj_min.copy(&parent.oom_score_adj_min);
        self.coredump_filter.copy(&parent.coredump_filter);
        self.personality.copy(&parent.personality);
    }

    /// What execve resets.
    pub(super) fn program_changed(&self) {
        self.dumpable.0.store(1, Relaxed);
    }

    /// The default of [`Settings::timer_slack_ns`].
    pub const fn default_slack_ns() -> u32 {
        TIMER_SLACK_NS
    }

    /// No program may gain privileges from now on.
    pub fn forbid_new_privileges(&self) {
        self.no_new_privileges.0.store(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_value_is_given_back_and_checked() {
        let kept = Kept::new(1);
        assert_eq!(kept.set(2, 1), Err(Errno::EINVAL));
        assert_eq!(kept.set(1 << 32, u32::MAX), Err(Errno::EINVAL));
        assert_eq!(kept.set(0, 1), Ok(0));
        assert_eq!(kept.get(), 0);
    }

    #[test]
    fn a_child_has_no_signal_at_its_parents_end() {
        let (parent, child) = (Settings::new(), Settings::new());
        parent.parent_death_signal.0.store(9, Relaxed);
        parent.forbid_new_privileges();
        child.inherit(&parent);
        assert_eq!(child.parent_death_signal.get(), 0);
        assert_eq!(child.no_new_privileges.get(), 1);
    }
}
