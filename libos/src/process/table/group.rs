//! Process groups: which there are, and which are orphaned, so that nobody could continue
//! what is stopped in them.

use alloc::vec::Vec;

use super::{Kin, table};

/// Whether a session has a group, so that others may join it.
pub fn has_group(session: u32, group: u32) -> bool {
    let table = table();
    (table.by_pid.values()).any(|entry| entry.kin.group == group && entry.kin.session == session)
}

/// Whether a group has members, in whichever session.
pub fn has_any_of_group(group: u32) -> bool {
    table()
        .by_pid
        .values()
        .any(|entry| entry.kin.group == group)
}

/// Whether a group is orphaned: nobody in another group of its session has a child in it.
pub fn is_orphaned(group: u32) -> bool {
    let table = table();
    !(table.by_pid.values()).any(|entry| {
        let kin = entry.kin;
        kin.group == group && entry.ended.is_none() && {
            let parent = table.by_pid.get(&kin.parent).map(|parent| parent.kin);
            parent.is_some_and(|parent| parent.keeps(&kin))
        }
    })
}

/// Whether somebody in a group is stopped.
pub(in crate::process) fn has_stopped(group: u32) -> bool {
    (table().by_pid.values()).any(|entry| {
        entry.kin.group == group
            && entry.ended.is_none()
            && entry.process.signals.lock().stop.is_stopped()
    })
}

/// Groups that may be orphaned once a process has ended: its own, and those of its children.
pub(in crate::process) fn kept_by(pid: u32) -> Vec<u32> {
    let table = table();
    let kin = |pid: &u32| table.by_pid.get(pid).map(|entry| entry.kin);
    let Some(own) = kin(&pid) else {
        return Vec::new();
    };
    let is_kept = kin(&own.parent).is_some_and(|parent| parent.keeps(&own));
    let children = table.by_pid.values().map(|entry| entry.kin);
    let children = children.filter(|child| child.parent == pid && own.keeps(child));
    let own = is_kept.then_some(own).into_iter();
    own.chain(children).map(|kin| kin.group).collect()
}

impl Kin {
    /// Whether it, as the parent, keeps a child's group from being orphaned.
    fn keeps(&self, child: &Kin) -> bool {
        self.group != child.group && self.session == child.session
    }
}
