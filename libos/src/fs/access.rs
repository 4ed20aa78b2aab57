//! Who asks, and whether the permission bits let them.
//!
//! The bits are the owner's, the group's or everybody's; capabilities override
//! them, whoever has those: user 0 as a rule.

use alloc::vec::Vec;

use linux_raw_sys::general::{S_ISGID, S_ISUID, S_ISVTX, S_IXGRP};

use super::attributes::{
    Attributes, CGROUP_DEVICE, FileType, PROC_DEVICE, PTS_DEVICE, SHM_DEVICE, SYS_DEVICE,
};
use super::node::Node;
use crate::errno::Errno;
use crate::process;
use crate::process::capabilities::{self, CHOWN, DAC_OVERRIDE, FOWNER, FSETID};

/// Permission to read.
pub const READ: u32 = 4;
/// Permission to write.
pub const WRITE: u32 = 2;
/// Permission to execute, or to search a directory.
pub const EXECUTE: u32 = 1;

/// The identity that file permissions are checked against.
/// `Default` is the libOS itself, which may do everything.
#[derive(Clone, Debug)]
pub struct Caller {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Capabilities in force.
    pub capabilities: capabilities::Set,
}

impl Default for Caller {
    fn default() -> Caller {
        Caller {
            uid: 0,
            gid: 0,
            groups: Vec::new(),
            capabilities: capabilities::ALL,
        }
    }
}

/// What passes every check of files.
const EVERYTHING: capabilities::Set = CHOWN | DAC_OVERRIDE | FOWNER | FSETID;

impl Caller {
    /// The current process, by its file-system identity.
    #[inline]
    pub fn current() -> Caller {
        let credentials = process::current().credentials.lock();
        let capabilities = credentials.capabilities.effective;
        // Whoever passes every check needs no groups.
        let groups = if capabilities & EVERYTHING == EVERYTHING {
            Vec::new()
        } else {
            credentials.groups.clone()
        };
        Caller {
            uid: credentials.fsuid,
            gid: credentials.fsgid,
            groups,
            capabilities,
        }
    }

    /// The current process, by its real identity, for `access`.
    pub fn real() -> Caller {
        let credentials = process::current().credentials.lock();
        Caller {
            uid: credentials.uid,
            gid: credentials.gid,
            groups: credentials.groups.clone(),
            capabilities: if credentials.uid == 0 {
                credentials.capabilities.permitted
            } else {
                0
            },
        }
    }

    /// Whether a capability is in force.
    #[inline]
    pub fn can(&self, capability: capabilities::Set) -> bool {
        self.capabilities & capability == capability
    }

    /// Whether permission bits do not bind the caller (CAP_DAC_OVERRIDE).
    #[inline]
    pub fn overrides(&self) -> bool {
        self.can(DAC_OVERRIDE)
    }

    /// Whether the caller is in `group`.
    pub fn in_group(&self, group: u32) -> bool {
        self.gid == group || self.groups.contains(&group)
    }

    /// Whether the caller owns the file, or acts as if (CAP_FOWNER).
    pub fn owns(&self, attributes: &Attributes) -> bool {
        self.uid == attributes.uid || self.can(FOWNER)
    }

    /// EACCES unless the mode grants all of `wanted` ([`READ`] and so on).
    pub fn check(&self, attributes: &Attributes, wanted: u32) -> Result<(), Errno> {
        let mode = attributes.mode;
        if self.overrides() {
            let runs = mode & 0o111 != 0 || attributes.file_type() == FileType::Directory;
            return if wanted & EXECUTE != 0 && !runs {
                Err(Errno::EACCES)
            } else {
                Ok(())
            };
        }
        let granted = if self.uid == attributes.uid {
            mode >> 6
        } else if self.in_group(attributes.gid) {
            mode >> 3
        } else {
            mode
        };
        if granted & wanted == wanted {
            Ok(())
        } else {
            Err(Errno::EACCES)
        }
    }

    /// EACCES unless the caller may look names up in `directory`.
    #[inline]
    pub fn check_search(&self, directory: &Node) -> Result<(), Errno> {
        if self.overrides() {
            return Ok(());
        }
        self.check(&directory.attributes()?, EXECUTE)
    }

    /// EACCES unless the caller may change names in `directory`.
    pub fn check_change(&self, directory: &Node) -> Result<(), Errno> {
        if self.overrides() {
            return Ok(());
        }
        self.check(&directory.attributes()?, WRITE | EXECUTE)
    }

    /// EPERM for another name of somebody else's file that the caller could not
    /// write anyway, or that runs as its owner (Linux's `protected_hardlinks`).
    pub fn check_hard_link(&self, attributes: &Attributes) -> Result<(), Errno> {
        if self.owns(attributes) {
            return Ok(());
        }
        let runs_as_group = attributes.mode & (S_ISGID | 0o010) == S_ISGID | 0o010;
        let safe = attributes.file_type() == FileType::Regular
            && attributes.mode & S_ISUID == 0
            && !runs_as_group
            && self.check(attributes, READ | WRITE).is_ok();
        if safe { Ok(()) } else { Err(Errno::EPERM) }
    }

    /// EPERM where `directory` is sticky and neither it nor `victim` is the caller's.
    pub fn check_sticky(&self, directory: &Node, victim: &Node) -> Result<(), Errno> {
        if self.can(FOWNER) {
            return Ok(());
        }
        let directory = directory.attributes()?;
        if directory.mode & S_ISVTX != 0
            && !self.owns(&directory)
            && !self.owns(&victim.attributes()?)
        {
            return Err(Errno::EPERM);
        }
        Ok(())
    }
}

/// Whether programs and code of the file cannot be run, because of where it is
/// mounted. A memory file without a name is on no mount.
pub fn is_no_exec(attributes: &Attributes) -> bool {
    match attributes.device {
        PROC_DEVICE | SYS_DEVICE | CGROUP_DEVICE | PTS_DEVICE => true,
        SHM_DEVICE => attributes.nlink > 0,
        _ => false,
    }
}

/// The mode of a file with this one that somebody without CAP_FSETID wrote to or
/// gave away: it does not run as its owner any more.
pub fn without_set_id(mode: u32) -> u32 {
    let group_bit = if mode & S_IXGRP != 0 { S_ISGID } else { 0 };
    mode & !(S_ISUID | group_bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(mode: u32, uid: u32, gid: u32) -> Attributes {
        Attributes {
            mode: mode | FileType::Regular.mode_bits(),
            uid,
            gid,
            ..Attributes::default()
        }
    }

    fn user(capabilities: capabilities::Set) -> Caller {
        Caller {
            uid: 1000,
            gid: 1000,
            groups: alloc::vec![3000],
            capabilities,
        }
    }

    #[test]
    fn the_first_class_that_fits_counts() {
        let user = user(0);
        assert_eq!(
            user.check(&file(0o077, 1000, 1000), READ),
            Err(Errno::EACCES)
        );
        assert_eq!(user.check(&file(0o707, 0, 3000), READ), Err(Errno::EACCES));
        assert_eq!(user.check(&file(0o040, 0, 3000), READ), Ok(()));
        assert_eq!(user.check(&file(0o004, 0, 0), READ), Ok(()));
        assert_eq!(
            user.check(&file(0o004, 0, 0), READ | WRITE),
            Err(Errno::EACCES)
        );
    }

    #[test]
    fn capabilities_override_the_bits_one_by_one() {
        let secret = file(0o600, 0, 0);
        assert_eq!(user(DAC_OVERRIDE).check(&secret, READ | WRITE), Ok(()));
        assert_eq!(
            user(DAC_OVERRIDE).check(&secret, EXECUTE),
            Err(Errno::EACCES)
        );
        assert_eq!(user(FOWNER).check(&secret, READ), Err(Errno::EACCES));
        assert!(user(FOWNER).owns(&secret) && !user(DAC_OVERRIDE).owns(&secret));
        let without = Caller {
            capabilities: 0,
            ..Caller::default()
        };
        assert_eq!(without.check(&file(0o600, 5, 5), READ), Err(Errno::EACCES));
        assert_eq!(without.check(&secret, READ), Ok(()));
    }

    #[test]
    fn set_id_bits_go_where_they_would_run() {
        assert_eq!(without_set_id(0o6755), 0o755);
        assert_eq!(without_set_id(0o6745), 0o2745);
    }
}
