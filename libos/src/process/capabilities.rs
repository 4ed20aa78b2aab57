//! Capabilities of the process: which of root's powers it has, and what becomes
//! of them when it changes its users or its program.
//!
//! Pure bookkeeping, tested on the host. Source: capabilities(7). Files have
//! none of their own: only set-user-ID bits make a program privileged.

/// A set of capabilities: bit `n` for capability `n`.
pub type Set = u64;

/// CAP_CHOWN.
pub const CHOWN: Set = 1 << 0;
/// CAP_DAC_OVERRIDE.
pub const DAC_OVERRIDE: Set = 1 << 1;
/// CAP_DAC_READ_SEARCH.
pub const DAC_READ_SEARCH: Set = 1 << 2;
/// CAP_FOWNER.
pub const FOWNER: Set = 1 << 3;
/// CAP_FSETID.
pub const FSETID: Set = 1 << 4;
/// CAP_KILL.
pub const KILL: Set = 1 << 5;
/// CAP_SETGID.
pub const SETGID: Set = 1 << 6;
/// CAP_SETUID.
pub const SETUID: Set = 1 << 7;
/// CAP_SETPCAP.
pub const SETPCAP: Set = 1 << 8;
/// CAP_LINUX_IMMUTABLE.
pub const LINUX_IMMUTABLE: Set = 1 << 9;
/// CAP_NET_BIND_SERVICE.
pub const NET_BIND_SERVICE: Set = 1 << 10;
/// CAP_SYS_CHROOT.
pub const SYS_CHROOT: Set = 1 << 18;
/// CAP_SYS_PTRACE.
pub const SYS_PTRACE: Set = 1 << 19;
/// Exceed resource limits.
pub const SYS_RESOURCE: Set = 1 << 24;
/// CAP_MKNOD.
pub const MKNOD: Set = 1 << 27;
/// CAP_SETFCAP.
pub const SETFCAP: Set = 1 << 31;
/// CAP_MAC_OVERRIDE.
pub const MAC_OVERRIDE: Set = 1 << 32;

/// Highest capability of Linux 6.12.
pub const LAST: u32 = 40;
/// All that there are.
pub const ALL: Set = (1 << (LAST + 1)) - 1;

/// What root has in a container: Docker's set without those for raw sockets and
/// the audit log, which the guest has not.
pub const CONTAINER: Set = CHOWN
    | DAC_OVERRIDE
    | FOWNER
    | FSETID
    | KILL
    | SETGID
    | SETUID
    | SETPCAP
    | NET_BIND_SERVICE
    | SYS_CHROOT
    | MKNOD
    | SETFCAP;

/// Those that the file-system user decides on (setfsuid(2)).
const FILES: Set = CHOWN
    | DAC_OVERRIDE
    | DAC_READ_SEARCH
    | FOWNER
    | FSETID
    | LINUX_IMMUTABLE
    | MKNOD
    | MAC_OVERRIDE;

/// The sets of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// In force.
    pub effective: Set,
    /// May be put in force.
    pub permitted: Set,
    /// Kept by programs that ask for them; by root's.
    pub inheritable: Set,
    /// No program gets more.
    pub bounding: Set,
    /// Kept by every program.
    pub ambient: Set,
    /// PR_SET_KEEPCAPS: losing the last root user takes nothing that is permitted.
    pub keep: bool,
}

impl Default for Capabilities {
    fn default() -> Capabilities {
        Capabilities::of_user(0)
    }
}

impl Capabilities {
    /// What a user has at the start.
    pub fn of_user(uid: u32) -> Capabilities {
        let own = if uid == 0 { CONTAINER } else { 0 };
        Capabilities {
            effective: own,
            permitted: own,
            inheritable: 0,
            bounding: CONTAINER,
            ambient: 0,
            keep: false,
        }
    }

    /// Whether all of `wanted` are in force.
    pub fn has(&self, wanted: Set) -> bool {
        self.effective & wanted == wanted
    }

    /// After real, effective and saved user changed.
    pub fn users_changed(&mut self, before: [u32; 3], after: [u32; 3]) {
        if before.contains(&0) && !after.contains(&0) {
            if !self.keep {
                self.permitted = 0;
                self.effective = 0;
            }
            self.ambient = 0;
        }
        match (before[1], after[1]) {
            (0, 1..) => self.effective = 0,
            (1.., 0) => self.effective = self.permitted,
            _ => {}
        }
    }

    /// After the file-system user alone changed.
    pub fn files_user_changed(&mut self, before: u32, after: u32) {
        match (before, after) {
            (0, 1..) => self.effective &= !FILES,
            (1.., 0) => self.effective |= FILES & self.permitted,
            _ => {}
        }
    }

    /// After execve. `set_id`: the program runs as another user or group.
    pub fn program_changed(&mut self, real: u32, effective: u32, set_id: bool) {
        self.keep = false;
        if set_id {
            self.ambient = 0;
        }
        self.permitted = if real == 0 || effective == 0 {
            self.bounding | self.inheritable
        } else {
            self.ambient
        };
        self.effective = if effective == 0 {
            self.permitted
        } else {
            self.ambient
        };
    }

    /// capset(2). `None` where it would be more than allowed.
    pub fn set(&mut self, effective: Set, permitted: Set, inheritable: Set) -> Option<()> {
        let inherits = self.inheritable | self.bounding;
        let may_inherit = if self.has(SETPCAP) {
            inherits
        } else {
            inherits & (self.inheritable | self.permitted)
        };
        let within = |part: Set, whole: Set| part & !whole == 0;
        if !(within(inheritable, may_inherit)
            && within(permitted, self.permitted)
            && within(effective, permitted))
        {
            return None;
        }
        (self.effective, self.permitted, self.inheritable) = (effective, permitted, inheritable);
        self.ambient &= permitted & inheritable;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_root_user_takes_everything_along() {
        let mut own = Capabilities::of_user(0);
        own.users_changed([0, 0, 0], [0, 1000, 0]);
        assert_eq!((own.effective, own.permitted), (0, CONTAINER));
        own.users_changed([0, 1000, 0], [0, 0, 0]);
        assert_eq!(own.effective, CONTAINER);
        own.users_changed([0, 0, 0], [1000, 1000, 1000]);
        assert_eq!((own.effective, own.permitted), (0, 0));
        assert_eq!(own.bounding, CONTAINER);
    }

    #[test]
    fn what_is_permitted_may_be_kept() {
        let mut own = Capabilities::of_user(0);
        own.keep = true;
        own.users_changed([0, 0, 0], [7, 7, 7]);
        assert_eq!((own.effective, own.permitted), (0, CONTAINER));
        assert_eq!(own.set(NET_BIND_SERVICE, NET_BIND_SERVICE, 0), Some(()));
        assert!(own.has(NET_BIND_SERVICE) && !own.has(CHOWN));
        assert_eq!(own.set(CHOWN, CHOWN, 0), None);
        own.program_changed(7, 7, false);
        assert_eq!((own.effective, own.permitted, own.keep), (0, 0, false));
    }

    #[test]
    fn files_follow_their_own_user() {
        let mut own = Capabilities::of_user(0);
        own.files_user_changed(0, 5);
        assert!(!own.has(DAC_OVERRIDE) && own.has(SETUID));
        own.files_user_changed(5, 0);
        assert_eq!(own.effective, CONTAINER);
    }

    #[test]
    fn programs_get_what_is_ambient_and_roots_what_is_bounding() {
        let mut own = Capabilities::of_user(0);
        own.inheritable = KILL;
        own.ambient = KILL;
        let mut plain = own;
        plain.program_changed(5, 5, false);
        assert_eq!((plain.effective, plain.permitted), (KILL, KILL));
        own.bounding = SETUID;
        own.program_changed(5, 0, true);
        assert_eq!((own.effective, own.ambient), (SETUID | KILL, 0));
    }
}
