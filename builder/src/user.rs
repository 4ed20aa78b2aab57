//! Resolves an image's `User` against its own /etc/passwd and /etc/group, as
//! docker and podman do.

use std::collections::BTreeSet;

use unikiln_abi::boot::GROUPS_MAX;
use unikiln_unikernel::User;

use crate::rootfs::tree::Kind;
use crate::rootfs::{PathError, RootFs, StorageError};

/// Most bytes that each of the two files may have.
const FILE_MAX_BYTES: u64 = 4 << 20;

/// What is wrong with an image's user.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// The user has no number and is not in the image.
    #[error("the image's user {spec:?} is not in its /etc/passwd")]
    UnknownUser {
        /// As the image has it.
        spec: String,
    },
    /// The group has no number and is not in the image.
    #[error("the group of the image's user {spec:?} is not in its /etc/group")]
    UnknownGroup {
        /// As the image has it.
        spec: String,
    },
    /// A number that no user or group can have.
    #[error(
        "the image's user {spec:?} stands for {number:?}, which is no number of a user or group"
    )]
    BadNumber {
        /// As the image has it.
        spec: String,
        /// In the image's words.
        number: String,
    },
    /// More groups than a program is given.
    #[error("the image's user {spec:?} is in more than {GROUPS_MAX} groups of its /etc/group")]
    TooManyGroups {
        /// As the image has it.
        spec: String,
    },
    /// One of the files is longer than any of its kind.
    #[error("the image's /{path} has {len_bytes} bytes, more than {FILE_MAX_BYTES}")]
    FileTooLarge {
        /// Which.
        path: &'static str,
        /// Its length.
        len_bytes: u64,
    },
    /// The way to one of the files is no path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// One of the files cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Who a user of an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageUser {
    /// User number.
    pub uid: u32,
    /// Number of the primary group.
    pub gid: u32,
    /// All groups, the primary one among them.
    pub groups: Vec<u32>,
    /// Home directory, `/` where none is known.
    pub home: String,
}

/// Resolves `spec`, `USER` or `USER:GROUP`, each a name or a number, by the text of an
/// image's /etc/passwd and /etc/group.
pub fn resolve_user(passwd: &str, group: &str, spec: &str) -> Result<ImageUser, UserError> {
    let user = resolve_in(passwd, group, spec)?;
    Ok(ImageUser {
        uid: user.uid,
        gid: user.gid,
        groups: user.groups,
        home: user.home,
    })
}

/// Resolves `spec`: `user`, `user:group`, each a name or a number; empty for root.
pub(crate) fn resolve(rootfs: &RootFs, spec: &str) -> Result<User, UserError> {
    let passwd = read(rootfs, "etc/passwd")?;
    let group = read(rootfs, "etc/group")?;
    resolve_in(&passwd, &group, spec)
}

pub(crate) fn resolve_in(passwd: &str, group: &str, spec: &str) -> Result<User, UserError> {
    let (user_spec, group_spec) = match spec.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (spec, None),
    };
    let user_spec = if user_spec.is_empty() { "0" } else { user_spec };
    // A name of digits is still a name, if the image has it.
    let entry = records(passwd)
        .find(|fields| fields[0] == user_spec)
        .or_else(|| {
            let uid = id(user_spec)?;
            records(passwd).find(|fields| number(fields, 2) == Some(uid))
        });
    let bad_number = |text: &str| UserError::BadNumber {
        spec: spec.to_owned(),
        number: text.to_owned(),
    };
    let uid = match &entry {
        Some(fields) => {
            let text = fields.get(2).copied().unwrap_or_default();
            id(text).ok_or_else(|| bad_number(text))?
        }
        None if is_number(user_spec) => id(user_spec).ok_or_else(|| bad_number(user_spec))?,
        None => {
            return Err(UserError::UnknownUser {
                spec: spec.to_owned(),
            });
        }
    };
    let mut gid = match entry.as_ref().and_then(|fields| fields.get(3)) {
        Some(text) => id(text).ok_or_else(|| bad_number(text))?,
        None => 0,
    };
    let mut groups = BTreeSet::new();
    if let Some(group_spec) = group_spec {
        gid = match records(group).find(|fields| fields[0] == group_spec) {
            Some(fields) => {
                let text = fields.get(2).copied().unwrap_or_default();
                id(text).ok_or_else(|| bad_number(text))?
            }
            None if is_number(group_spec) => {
                id(group_spec).ok_or_else(|| bad_number(group_spec))?
            }
            None => {
                return Err(UserError::UnknownGroup {
                    spec: spec.to_owned(),
                });
            }
        };
    } else if let Some(fields) = &entry {
        let is_member = |record: &Vec<&str>| {
            record
                .get(3)
                .is_some_and(|members| members.split(',').any(|name| name == fields[0]))
        };
        groups.extend(
            records(group)
                .filter(is_member)
                .filter_map(|record| number(&record, 2)),
        );
    }
    // Container engines name the primary group among the supplementary ones too.
    groups.insert(gid);
    let home = entry
        .as_ref()
        .and_then(|fields| fields.get(5))
        .filter(|home| home.starts_with('/'))
        .map_or_else(|| "/".to_owned(), |home| (*home).to_owned());
    if groups.len() > GROUPS_MAX {
        return Err(UserError::TooManyGroups {
            spec: spec.to_owned(),
        });
    }
    let groups = groups.into_iter().collect();
    Ok(User {
        spec: spec.to_owned(),
        uid,
        gid,
        groups,
        home,
    })
}

/// Lines of a colon-separated file; every record has a first field.
fn records(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split(':').collect())
}

fn number(fields: &[&str], index: usize) -> Option<u32> {
    id(fields.get(index)?)
}

/// A user or group number. The highest one means "none" to Linux, and what does
/// not fit must not wrap to another user's (CVE-2024-40635).
fn id(text: &str) -> Option<u32> {
    text.parse().ok().filter(|&id| id != u32::MAX)
}

/// Whether a number is meant, one in range or not.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// A file of the image; empty where there is none.
fn read(rootfs: &RootFs, path: &'static str) -> Result<String, UserError> {
    let Some(id) = rootfs.tree.resolve(path.as_bytes())? else {
        return Ok(String::new());
    };
    let Kind::File(data) = &rootfs.tree.inode(id).kind else {
        return Ok(String::new());
    };
    let len_bytes = data.len_bytes();
    if len_bytes > FILE_MAX_BYTES {
        return Err(UserError::FileTooLarge { path, len_bytes });
    }
    let bytes = rootfs.storage.read_start(data, len_bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::{UserError, resolve_in};

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\n# comment\nbad\nweb:x:33:34::/srv:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nweb:x:34:\nlogs:x:50:root,web\ntape:x:60:web\n";

    #[test]
    fn names_numbers_and_groups_resolve_as_in_docker() {
        for (spec, uid, gid, groups, home) in [
            ("", 0, 0, vec![0, 50], "/root"),
            ("web", 33, 34, vec![34, 50, 60], "/srv"),
            ("33", 33, 34, vec![34, 50, 60], "/srv"),
            ("web:logs", 33, 50, vec![50], "/srv"),
            ("web:7", 33, 7, vec![7], "/srv"),
            ("1000", 1000, 0, vec![0], "/"),
            ("1000:1001", 1000, 1001, vec![1001], "/"),
        ] {
            let found = resolve_in(PASSWD, GROUP, spec).expect(spec);
            assert_eq!((found.uid, found.gid), (uid, gid), "{spec}");
            assert_eq!(found.groups, groups, "{spec}");
            assert_eq!(found.home, home, "{spec}");
        }
    }

    #[test]
    fn unknown_names_are_errors() {
        let user = resolve_in(PASSWD, GROUP, "nginx");
        assert!(matches!(user, Err(UserError::UnknownUser { .. })));
        let group = resolve_in(PASSWD, GROUP, "web:nginx");
        assert!(matches!(group, Err(UserError::UnknownGroup { .. })));
        assert!(resolve_in("", "", "web").is_err());
    }

    #[test]
    fn numbers_that_linux_does_not_have_are_errors() {
        let passwd = "big:x:4294967296:1::/:\nnobody:x:4294967295:1::/:\nminus:x:-1:1::/:\n\
                      group:x:7:4294967296::/:\nnone:x::1::/:\n";
        let group = "huge:x:4294967296:\n";
        for spec in [
            "4294967295",
            "4294967296",
            "18446744073709551616",
            "-1",
            "0:4294967296",
            "0:-1",
            "0:huge",
            "big",
            "nobody",
            "minus",
            "group",
            "none",
        ] {
            let error = resolve_in(passwd, group, spec);
            let is_bad = matches!(error, Err(UserError::BadNumber { .. }));
            assert!(is_bad, "{spec}: {error:?}");
        }
        // Linux has users up to here, other runtimes end at half of it.
        let found = resolve_in(passwd, group, "4294967294:2147483648").expect("in range");
        assert_eq!((found.uid, found.gid), (u32::MAX - 1, 1 << 31));
    }
}
