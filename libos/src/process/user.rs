//! A user by name or number, looked up in the image as container engines do it.
//!
//! The monitor names one where the container is to run as another user than the image
//! says. It does not read the image's files: they are the guest's own matter.

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
    pub home: Vec<u8>,
}

/// Looks `USER[:GROUP]` up in `/etc/passwd` and `/etc/group`; `members` asks for the
/// groups that have the user as a member.
///
/// # Errors
/// What is wrong, in words.
pub fn resolve(spec: &[u8], members: bool) -> Result<Found, &'static str> {
    let (passwd, group) = (read(b"/etc/passwd")?, read(b"/etc/group")?);
    resolve_in(&passwd, &group, spec, members)
}

fn resolve_in(
    passwd: &[u8],
    group: &[u8],
    spec: &[u8],
    members: bool,
) -> Result<Found, &'static str> {
    let (user, group_spec) = (field(spec, 0), field(spec, 1));
    // A name of digits is still a name, if the image has it.
    let entry = find(passwd, 0, user).or_else(|| {
        let uid = id(user)?;
        records(passwd).find(|record| id(field(record, 2)) == Some(uid))
    });
    let uid = id(entry.map_or(user, |record| field(record, 2)));
    let uid = uid.ok_or("no such user in the image's /etc/passwd, and no number of a user")?;
    let gid = match group_spec {
        b"" => id(field(entry.unwrap_or_default(), 3)).unwrap_or_default(),
        name => id(find(group, 0, name).map_or(name, |record| field(record, 2)))
            .ok_or("no such group in the image's /etc/group, and no number of a group")?,
    };
    let mut groups = alloc::vec![gid];
    if let (true, Some(entry)) = (members, entry) {
        let name = field(entry, 0);
        for record in records(group) {
            let mut names = field(record, 3).split(|&byte| byte == b',');
            if let (true, Some(gid)) = (names.any(|it| it == name), id(field(record, 2)))
                && !groups.contains(&gid)
            {
                groups.push(gid);
            }
        }
    }
    let home = match field(entry.unwrap_or_default(), 5) {
        home @ [b'/', ..] => home,
        _ => b"/",
    };
    Ok(Found {
        uid,
        gid,
        groups,
        home: home.to_vec(),
    })
}

/// Records of a colon-separated file.
fn records(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !matches!(line, [] | [b'#', ..]))
}

/// The first record with this field.
#[inline(never)]
fn find<'a>(text: &'a [u8], index: usize, wanted: &[u8]) -> Option<&'a [u8]> {
    records(text).find(|record| field(record, index) == wanted)
}

/// A field of a record; empty where there is none.
#[inline(never)]
fn field(record: &[u8], index: usize) -> &[u8] {
    let mut fields = record.split(|&byte| byte == b':');
    fields.nth(index).unwrap_or_default()
}

/// The highest number means "none" to Linux; what does not fit must not wrap.
#[inline(never)]
fn id(text: &[u8]) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    let number = text.iter().try_fold(0u32, |number, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(u32::from(digit))
    });
    number.filter(|&id| id != u32::MAX)
}

/// A file of the image; empty where there is none.
#[inline(never)]
fn read(path: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut bytes = Vec::new();
    let Ok(file) = fs::open(path, O_RDONLY, 0) else {
        return Ok(bytes);
    };
    loop {
        let start = bytes.len();
        bytes.resize(start + PIECE_BYTES, 0);
        let read = file.read_at(start as u64, bytes.get_mut(start..).unwrap_or_default());
        let count = read.map_err(|_| "the image's list of users or groups cannot be read")?;
        bytes.truncate(start + count);
        if count == 0 {
            return Ok(bytes);
        }
        if bytes.len() > FILE_MAX_BYTES {
            return Err("the image's list of users or groups is longer than any of its kind");
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;

    type Fields = (u32, u32, Vec<u32>, String);

    const PASSWD: &[u8] = b"root:x:0:0::/root:/bin/sh\n# no\napp:x:1000:50::/srv:/bin/sh\n\
                          77:x:12:13:::\nlost:x:x:1::/:\n";
    const GROUP: &[u8] = b"root:x:0:\nusers:x:50:app\nwheel:x:10:root,app\n";

    fn found(spec: &str, members: bool) -> Result<Fields, &'static str> {
        let found = resolve_in(PASSWD, GROUP, spec.as_bytes(), members)?;
        let home = alloc::string::String::from_utf8(found.home).unwrap();
        Ok((found.uid, found.gid, found.groups, home))
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
