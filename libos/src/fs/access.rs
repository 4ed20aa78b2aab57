//! Who asks, and whether the permission bits let them.
//!
//! User 0 stands for CAP_DAC_OVERRIDE, CAP_FOWNER and CAP_CHOWN, as in a
//! container with the usual capabilities.

use alloc::vec::Vec;

use linux_raw_sys::general::{S_ISGID, S_ISUID, S_ISVTX};

use super::attributes::{Attributes, FileType};
use super::node::Node;
use crate::errno::Errno;
use crate::process;

/// Permission to read.
pub const READ: u32 = 4;
/// Permission to write.
pub const WRITE: u32 = 2;
/// Permission to execute, or to search a directory.
pub const EXECUTE: u32 = 1;

/// The identity that file permissions are checked against.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

impl Caller {
    /// The current process, by its file-system identity.
    #[inline]
    pub fn current() -> Caller {
        let credentials = process::current().credentials.lock();
        let (uid, gid) = (credentials.fsuid, credentials.fsgid);
        // User 0 passes every check, so its groups are not needed.
        let groups = if uid == 0 {
            Vec::new()
        } else {
            credentials.groups.clone()
        };
        Caller { uid, gid, groups }
    }

    /// The current process, by its real identity, for `access`.
    pub fn real() -> Caller {
        let credentials = process::current().credentials.lock();
        Caller {
            uid: credentials.uid,
            gid: credentials.gid,
            groups: credentials.groups.clone(),
        }
    }

    /// Whether this is user 0.
    #[inline]
    pub fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// Whether the caller is in `group`.
    pub fn in_group(&self, group: u32) -> bool {
        self.gid == group || self.groups.contains(&group)
    }

    /// Whether the caller owns the file or is user 0.
    pub fn owns(&self, attributes: &Attributes) -> bool {
        self.is_root() || self.uid == attributes.uid
    }

    /// EACCES unless the mode grants all of `wanted` ([`READ`] and so on).
    pub fn check(&self, attributes: &Attributes, wanted: u32) -> Result<(), Errno> {
        let mode = attributes.mode;
        if self.is_root() {
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
        if self.is_root() {
            return Ok(());
        }
        self.check(&directory.attributes()?, EXECUTE)
    }

    /// EACCES unless the caller may change names in `directory`.
    pub fn check_change(&self, directory: &Node) -> Result<(), Errno> {
        if self.is_root() {
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
        if self.is_root() {
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
