//! Who may look into another process: its memory, environment, files.
//! Source: ptrace(2), "Ptrace access mode checking".

use super::capabilities::SYS_PTRACE;
use super::{Process, current};

/// Which of its identities the running process asks with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// That of file accesses, for `/proc`.
    File,
    /// The real one, for system calls.
    Real,
}

/// Whether the running process may look into another: all its users and groups are the
/// asker's own and it has no power that the asker has not, or CAP_SYS_PTRACE is in force.
pub fn may_inspect(target: &Process, identity: Identity) -> bool {
    let own = current();
    if core::ptr::eq(own, target) {
        return true;
    }
    let (uid, gid, powers, may_all) = {
        let own = own.credentials.lock();
        let may_all = own.capabilities.has(SYS_PTRACE);
        match identity {
            Identity::File => (own.fsuid, own.fsgid, own.capabilities.effective, may_all),
            Identity::Real => (own.uid, own.gid, own.capabilities.permitted, may_all),
        }
    };
    let theirs = target.credentials.lock();
    may_all
        || [theirs.uid, theirs.euid, theirs.suid] == [uid; 3]
            && [theirs.gid, theirs.egid, theirs.sgid] == [gid; 3]
            && theirs.capabilities.permitted & !powers == 0
            && target.settings.dumpable.get() == 1
}
