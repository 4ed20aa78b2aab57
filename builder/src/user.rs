//! Resolves an image's `User` against its own /etc/passwd and /etc/group, as
//! docker and podman do.

use std::collections::BTreeSet;

use unikiln_abi::boot::GROUPS_MAX;
use unikiln_unikernel::User;

use crate::rootfs::tree::Kind;
use crate::rootfs::{PathError, RootFs, StorageError};

/// Most bytes that are read of each of the two files.
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
    /// The way to one of the files is no path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// One of the files cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A resolved user.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) user: User,
    /// Home directory, `/` where none is known.
    pub(crate) home: String,
}

/// Resolves `spec`: `user`, `user:group`, each a name or a number; empty for root.
pub(crate) fn resolve(rootfs: &RootFs, spec: &str) -> Result<Resolved, UserError> {
    let passwd = read(rootfs, b"etc/passwd")?;
    let group = read(rootfs, b"etc/group")?;
    resolve_in(&passwd, &group, spec)
}

fn resolve_in(passwd: &str, group: &str, spec: &str) -> Result<Resolved, UserError> {
    let (user_spec, group_spec) = match spec.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (spec, None),
    };
    let user_spec = if user_spec.is_empty() { "0" } else { user_spec };
    // A name of digits is still a name, if the image has it.
    let entry = records(passwd)
        .find(|fields| fields[0] == user_spec)
        .or_else(|| {
            let uid: u32 = user_spec.parse().ok()?;
            records(passwd).find(|fields| number(fields, 2) == Some(uid))
        });
    let uid = entry
        .as_ref()
        .and_then(|fields| number(fields, 2))
        .or_else(|| user_spec.parse().ok())
        .ok_or_else(|| UserError::UnknownUser {
            spec: spec.to_owned(),
        })?;
    let mut gid = entry
        .as_ref()
        .and_then(|fields| number(fields, 3))
        .unwrap_or(0);
    let mut groups = BTreeSet::new();
    if let Some(group_spec) = group_spec {
        gid = records(group)
            .find(|fields| fields[0] == group_spec)
            .and_then(|fields| number(&fields, 2))
            .or_else(|| group_spec.parse().ok())
            .ok_or_else(|| UserError::UnknownGroup {
                spec: spec.to_owned(),
            })?;
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
    let groups = groups.into_iter().take(GROUPS_MAX).collect();
    Ok(Resolved {
        user: User {
            spec: spec.to_owned(),
            uid,
            gid,
            groups,
        },
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
    fields.get(index)?.parse().ok()
}

/// The start of a file of the image; empty where there is none.
fn read(rootfs: &RootFs, path: &[u8]) -> Result<String, UserError> {
    let Some(id) = rootfs.tree.resolve(path)? else {
        return Ok(String::new());
    };
    let Kind::File(data) = &rootfs.tree.inode(id).kind else {
        return Ok(String::new());
    };
    let bytes = rootfs.storage.read_start(data, FILE_MAX_BYTES)?;
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
            assert_eq!((found.user.uid, found.user.gid), (uid, gid), "{spec}");
            assert_eq!(found.user.groups, groups, "{spec}");
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
}
