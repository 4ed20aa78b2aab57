//! Control messages: files (SCM_RIGHTS) and credentials (SCM_CREDENTIALS) that
//! go along with bytes.
//!
//! ```text
//!  struct cmsghdr { u64 len; i32 level; i32 type } data … padding to 8 bytes
//! ```
//! `len` counts header and data. Source: cmsg(3), unix(7).

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::net::SOL_SOCKET;

use crate::errno::Errno;
use crate::fs::OpenFile;
use crate::process;

/// Control message type: files.
pub const SCM_RIGHTS: u32 = 1;
/// Control message type: credentials.
pub const SCM_CREDENTIALS: u32 = 2;
/// Bytes of `struct cmsghdr`.
pub const HEADER_BYTES: usize = 16;
/// Most files of one message.
const FILES_MAX: usize = 253;
/// Bytes of `struct ucred`.
pub const CREDENTIALS_BYTES: usize = 12;
/// What stands for a user or group that is not known.
const OVERFLOW_ID: u32 = 65_534;

/// A process and its user and group (`struct ucred`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Process.
    pub pid: u32,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Credentials {
    /// What a receiver sees of a sender that said nothing.
    pub const NOBODY: Credentials = Credentials {
        pid: 0,
        uid: OVERFLOW_ID,
        gid: OVERFLOW_ID,
    };

    /// The current process, as its messages show it.
    pub fn of_sender() -> Credentials {
        let process = process::current();
        let credentials = process.credentials.lock();
        Credentials {
            pid: process.pid(),
            uid: credentials.uid,
            gid: credentials.gid,
        }
    }

    /// As `struct ucred`.
    pub fn to_bytes(self) -> [u8; CREDENTIALS_BYTES] {
        let value = u128::from(self.pid) | u128::from(self.uid) << 32 | u128::from(self.gid) << 64;
        let mut bytes = [0; CREDENTIALS_BYTES];
        for (to, from) in bytes.iter_mut().zip(value.to_le_bytes()) {
            *to = from;
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<Credentials, Errno> {
        let mut words = words(bytes);
        match (bytes.len(), words.next(), words.next(), words.next()) {
            (CREDENTIALS_BYTES, Some(pid), Some(uid), Some(gid)) => {
                Ok(Credentials { pid, uid, gid })
            }
            _ => Err(Errno::EINVAL),
        }
    }

    /// Whether the current process may say that it is this: EPERM, ESRCH.
    fn check(self) -> Result<Credentials, Errno> {
        let process = process::current();
        let own = process.credentials.lock().clone();
        let root = own.euid == 0;
        let user = [own.uid, own.euid, own.suid].contains(&self.uid);
        let group = [own.gid, own.egid, own.sgid].contains(&self.gid);
        if !root && (self.pid != process.pid() || !user || !group) {
            return Err(Errno::EPERM);
        }
        process::table::kin(self.pid).ok_or(Errno::ESRCH)?;
        Ok(self)
    }
}

/// Who made the other end of a connection (SO_PEERCRED, SO_PEERGROUPS).
#[derive(Clone, Debug)]
pub struct PeerCredentials {
    /// Process, effective user and group.
    pub who: Credentials,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

impl PeerCredentials {
    /// What is shown without a connection.
    pub const UNKNOWN: Credentials = Credentials {
        pid: 0,
        uid: u32::MAX,
        gid: u32::MAX,
    };

    /// The current process.
    pub fn current() -> PeerCredentials {
        let process = process::current();
        let own = process.credentials.lock();
        PeerCredentials {
            who: Credentials {
                pid: process.pid(),
                uid: own.euid,
                gid: own.egid,
            },
            groups: own.groups.clone(),
        }
    }
}

/// What goes along with a message that is sent.
#[derive(Default)]
pub struct Control {
    /// Files.
    pub files: Vec<Arc<OpenFile>>,
    /// Who sends it, where the sender says so.
    pub credentials: Option<Credentials>,
}

/// One control message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) level: u32,
    pub(super) kind: u32,
    data: &'a [u8],
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    let (words, _) = bytes.as_chunks();
    words.iter().map(|word| u32::from_le_bytes(*word))
}

/// The first control message of `buffer` and what follows it; none at the end.
pub(super) fn next(buffer: &[u8]) -> Result<Option<(Entry<'_>, &[u8])>, Errno> {
    let Some((header, _)) = buffer.split_at_checked(HEADER_BYTES) else {
        return Ok(None);
    };
    let mut fields = words(header);
    let mut field = || fields.next().unwrap_or(0);
    let len = u64::from(field()) | u64::from(field()) << 32;
    let (level, kind) = (field(), field());
    let len = usize::try_from(len).map_err(|_| Errno::EINVAL)?;
    let data = buffer.get(HEADER_BYTES..len).ok_or(Errno::EINVAL)?;
    let rest = buffer.get(len.next_multiple_of(8)..).unwrap_or_default();
    Ok(Some((Entry { level, kind, data }, rest)))
}

impl Control {
    /// Reads what the program wants to go along: EINVAL, EBADF, EPERM, ESRCH.
    /// Messages of other levels are skipped.
    pub fn parse(mut buffer: &[u8]) -> Result<Control, Errno> {
        let mut control = Control::default();
        while let Some((entry, rest)) = next(buffer)? {
            buffer = rest;
            match entry.kind {
                _ if entry.level != SOL_SOCKET => {}
                SCM_RIGHTS => control.add_files(entry.data)?,
                SCM_CREDENTIALS => {
                    control.credentials = Some(Credentials::from_bytes(entry.data)?.check()?);
                }
                _ => return Err(Errno::EINVAL),
            }
        }
        Ok(control)
    }

    fn add_files(&mut self, data: &[u8]) -> Result<(), Errno> {
        if self.files.len() + data.len() / 4 > FILES_MAX {
            return Err(Errno::EINVAL);
        }
        let table = process::current().files.lock();
        for fd in words(data) {
            self.files.push(table.get(fd as i32)?);
        }
        Ok(())
    }
}

/// Writes one control message into `room`, cut where it does not fit. Gives the
/// bytes and whether something was cut.
pub fn put(kind: u32, data: &[u8], room: usize) -> (Vec<u8>, bool) {
    if room < HEADER_BYTES {
        return (Vec::new(), true);
    }
    let whole = HEADER_BYTES + data.len();
    let len = whole.min(room);
    let mut bytes = Vec::with_capacity(len);
    bytes.extend_from_slice(&(len as u64).to_le_bytes());
    bytes.extend_from_slice(&SOL_SOCKET.to_le_bytes());
    bytes.extend_from_slice(&kind.to_le_bytes());
    bytes.extend_from_slice(data.get(..len - HEADER_BYTES).unwrap_or(data));
    bytes.resize(whole.next_multiple_of(8).min(room), 0);
    (bytes, len < whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(len: u64, level: u32, kind: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = len.to_le_bytes().to_vec();
        bytes.extend(level.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn messages_follow_each_other_at_eight_bytes() {
        let mut buffer = message(20, 1, 1, &[1, 0, 0, 0, 0, 0, 0, 0]);
        buffer.extend(message(16, 7, 9, &[]));
        let (first, rest) = next(&buffer).unwrap().unwrap();
        assert_eq!((first.kind, first.data), (1, &[1, 0, 0, 0][..]));
        let (second, rest) = next(rest).unwrap().unwrap();
        assert_eq!((second.level, second.kind, second.data), (7, 9, &[][..]));
        assert_eq!(next(rest), Ok(None));
    }

    #[test]
    fn a_wrong_length_is_refused() {
        for len in [0, 15, 25, u64::MAX] {
            let buffer = message(len, 1, 1, &[0; 8]);
            assert_eq!(next(&buffer), Err(Errno::EINVAL), "{len}");
            assert_eq!(Control::parse(&buffer).err(), Some(Errno::EINVAL));
        }
        // Too little for a header is the end.
        assert!(Control::parse(&[1; 15]).is_ok());
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        let unknown = message(16, 1, 77, &[]);
        assert_eq!(Control::parse(&unknown).err(), Some(Errno::EINVAL));
        let closed = message(20, 1, SCM_RIGHTS, &[255; 4]);
        assert_eq!(Control::parse(&closed).err(), Some(Errno::EBADF));
        let many = message(16 + 254 * 4, 1, SCM_RIGHTS, &[0; 254 * 4]);
        assert_eq!(Control::parse(&many).err(), Some(Errno::EINVAL));
        let short = message(20, 1, SCM_CREDENTIALS, &[0; 4]);
        assert_eq!(Control::parse(&short).err(), Some(Errno::EINVAL));
        let other = message(28, 1, SCM_CREDENTIALS, &[99; 12]);
        assert_eq!(Control::parse(&other).err(), Some(Errno::ESRCH));
    }

    #[test]
    fn what_does_not_fit_is_cut() {
        assert_eq!(put(2, &[7; 12], 15), (Vec::new(), true));
        let (bytes, cut) = put(2, &[7; 12], 64);
        assert_eq!((bytes.len(), cut), (32, false));
        assert_eq!(bytes[..16], message(28, 1, 2, &[])[..]);
        let (bytes, cut) = put(2, &[7; 12], 20);
        assert_eq!((bytes.len(), cut), (20, true));
        assert_eq!(bytes[0], 20);
    }
}
