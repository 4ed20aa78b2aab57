//! Records in front of a member (PAX, GNU long names), and header numbers.

use std::collections::BTreeMap;

use tar::EntryType;

const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";

/// Records that belong to the next member.
#[derive(Default)]
pub(super) struct Extensions {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<(u64, u32)>,
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) is_pax_sparse: bool,
}

impl Extensions {
    /// Reads PAX records: `LENGTH KEY=VALUE\n`, the length counting all of it.
    pub(super) fn read_pax(&mut self, mut records: &[u8]) -> Option<()> {
        // Some writers pad the records with zeros.
        while records.first().is_some_and(|&byte| byte != 0) {
            let space = records.iter().position(|&byte| byte == b' ')?;
            let len: usize = number(&records[..space])?.try_into().ok()?;
            let record = records.get(space + 1..len)?.strip_suffix(b"\n")?;
            records = &records[len..];
            let equals = record.iter().position(|&byte| byte == b'=')?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => self.size = Some(number(value)?),
                b"uid" => self.uid = Some(number(value)?),
                b"gid" => self.gid = Some(number(value)?),
                b"mtime" => self.mtime = Some(time(value)?),
                _ if key.starts_with(b"GNU.sparse.") => self.is_pax_sparse = true,
                _ => {
                    if let Some(name) = key.strip_prefix(XATTR_PREFIX) {
                        self.xattrs.insert(name.to_vec(), value.to_vec());
                    }
                }
            }
        }
        Some(())
    }
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A number of a header: octal between blanks, or big-endian with the top bit
/// of the first byte set. Some writers leave a field blank for zero.
pub(super) fn number_field(field: &[u8]) -> Option<u64> {
    if let [first, rest @ ..] = field
        && first & 0x80 != 0
    {
        let start = u64::from(first & 0x7f);
        return rest.iter().try_fold(start, |number, &byte| {
            Some(number.checked_mul(256)? | u64::from(byte))
        });
    }
    let is_blank = |byte: &u8| matches!(byte, b' ' | 0);
    let digits = field
        .iter()
        .skip_while(|byte| is_blank(byte))
        .take_while(|byte| !is_blank(byte));
    digits.into_iter().try_fold(0, |number: u64, &byte| {
        let digit = byte.checked_sub(b'0').filter(|&digit| digit < 8)?;
        Some(number.checked_mul(8)? | u64::from(digit))
    })
}

/// Seconds and nanoseconds of a decimal; times before the epoch become it.
fn time(text: &[u8]) -> Option<(u64, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    if text.starts_with('-') {
        return Some((0, 0));
    }
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    Some((seconds.parse().ok()?, digits.parse().ok()?))
}

/// Whether it speaks of the next member.
pub(super) fn is_extension(kind: EntryType) -> bool {
    matches!(
        kind,
        EntryType::XGlobalHeader
            | EntryType::XHeader
            | EntryType::GNULongName
            | EntryType::GNULongLink
    )
}

/// Whether no contents follow, whatever its length says.
pub(super) fn is_header_only(kind: EntryType) -> bool {
    matches!(
        kind,
        EntryType::Link
            | EntryType::Symlink
            | EntryType::Char
            | EntryType::Block
            | EntryType::Directory
            | EntryType::Fifo
    )
}
