//! A user by name or number, looked up in the image as container engines do it.
//!
//! The monitor names one where the container is to run as another user than the image
//! says. It does not read the image's files: they are the guest's own matter.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use linux_raw_sys::general::O_RDONLY;

use crate::fs;

/// Longer files are no lists of users.
const FILE_MAX_BYTES: usize = 4 << 20;
const PIECE_BYTES: usize = 16 << 10;

/// Who was meant.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// User.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Supplementary groups, the group itself among them.
    pub groups: Vec<u32>,
    /// Home directory, `/` where none is known.
    pub home: String,
}

/// Looks `USER[:GROUP]` up in `/etc/passwd` and `/etc/group`; `groups` asks for the
/// groups that have the user as a member.
///
/// # Errors
/// What is wrong, in words.
pub fn resolve(spec: &str, groups: bool) -> Result<Found, &'static str> {
    let (passwd, group) = (read(b"/etc/passwd")?, read(b"/etc/group")?);
    resolve_in(&passwd, &group, spec, groups)
}

fn resolve_in(passwd: &str, group: &str, spec: &str, members: bool) -> Result<Found, &'static str> {
    let (user, group_spec) = match spec.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (spec, None),
    };
    // A name of digits is still a name, if the image has it.
    let entry = (record(passwd, |fields| fields.first() == Some(&user))).or_else(|| {
        id(user).and_then(|uid| record(passwd, |fields| number(fields, 2) == Some(uid)))
    });
    let uid = match &entry {
        Some(fields) => number(fields, 2),
        None => id(user),
    };
    let uid = uid.ok_or("no such user in the image's /etc/passwd, and no number of a user")?;
    let gid = match group_spec {
        Some(name) => record(group, |fields| fields.first() == Some(&name))
            .map_or_else(|| id(name), |fields| number(&fields, 2))
            .ok_or("no such group in the image's /etc/group, and no number of a group")?,
        None => (entry.as_ref().and_then(|fields| number(fields, 3))).unwrap_or_default(),
    };
    let mut groups = alloc::vec![gid];
    let name = entry.as_ref().and_then(|fields| fields.first());
    if let (true, Some(name)) = (members, name) {
        for fields in records(group) {
            let is_member =
                (fields.get(3)).is_some_and(|list| list.split(',').any(|it| it == *name));
            if let (true, Some(gid)) = (is_member, number(&fields, 2))
                && !groups.contains(&gid)
            {
                groups.push(gid);
            }
        }
    }
    let home = entry.as_ref().and_then(|fields| fields.get(5));
    let home = home.filter(|home| home.starts_with('/')).unwrap_or(&"/");
    Ok(Found {
        uid,
        gid,
        groups,
        home: home.to_string(),
    })
}

/// Records of a colon-separated file.
fn records(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split(':').collect())
}

fn record(text: &str, fits: impl Fn(&[&str]) -> bool) -> Option<Vec<&str>> {
    records(text).find(|fields| fits(fields))
}

fn number(fields: &[&str], index: usize) -> Option<u32> {
    id(fields.get(index)?)
}

/// The highest number means "none" to Linux; what does not fit must not wrap.
fn id(text: &str) -> Option<u32> {
    text.parse().ok().filter(|&id| id != u32::MAX)
}

/// A file of the image; empty where there is none.
fn read(path: &[u8]) -> Result<String, &'static str> {
    let Ok(file) = fs::open(path, O_RDONLY, 0) else {
        return Ok(String::new());
    };
    let mut bytes = Vec::new();
    loop {
        let start = bytes.len();
        bytes.resize(start + PIECE_BYTES, 0);
        let read = file.read_at(start as u64, bytes.get_mut(start..).unwrap_or_default());
        let count = read.map_err(|_| "the image's list of users or groups cannot be read")?;
        bytes.truncate(start + count);
        if count == 0 {
            return Ok(String::from_utf8_lossy(&bytes).into_owned());
        }
        if bytes.len() > FILE_MAX_BYTES {
            return Err("the image's list of users or groups is longer than any of its kind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\n# no\napp:x:1000:50::/srv:/bin/sh\n\
                          77:x:12:13:::\nlost:x:x:1::/:\n";
    const GROUP: &str = "root:x:0:\nusers:x:50:app\nwheel:x:10:root,app\n";

    fn found(spec: &str, members: bool) -> Result<(u32, u32, Vec<u32>, String), &'static str> {
        let found = resolve_in(PASSWD, GROUP, spec, members)?;
        Ok((found.uid, found.gid, found.groups, found.home))
    }

    #[test]
    fn names_and_numbers() {
        let groups = |list: &[u32]| list.to_vec();
        let app = Ok((1000, 50, groups(&[50, 10]), "/srv".into()));
        assert_eq!(found("app", true), app);
        assert_eq!(found("1000", true), app);
        assert_eq!(found("app", false).unwrap().2, [50]);
        let with_group = Ok((1000, 10, groups(&[10, 50]), "/srv".into()));
        assert_eq!(found("app:wheel", true), with_group);
        assert_eq!(found("5:6", true), Ok((5, 6, groups(&[6]), "/".into())));
        assert_eq!(found("77", true), Ok((12, 13, groups(&[13]), "/".into())));
        assert_eq!(found("9", true).unwrap().1, 0);
    }

    #[test]
    fn what_is_nobody_is_refused() {
        for spec in [
            "nobody",
            "app:none",
            "lost",
            "4294967295",
            "-1",
            "",
            "99999999999",
        ] {
            assert!(found(spec, true).is_err(), "{spec}");
        }
    }
}
