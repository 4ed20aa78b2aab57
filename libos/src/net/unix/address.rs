//! Names of AF_UNIX sockets: [`Address`], as in `struct sockaddr_un`.
//!
//! ```text
//!  u16 family │ path, up to a NUL or the end
//!             │ NUL, then an abstract name: all bytes up to the end count
//! ```

use alloc::vec::Vec;

use linux_raw_sys::net::AF_UNIX;

use crate::errno::Errno;

/// Bytes before the name.
pub const FAMILY_BYTES: usize = 2;
/// Bytes of `struct sockaddr_un`.
const ADDRESS_MAX_BYTES: usize = 110;

/// The name of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A path, without its NUL.
    Path(Vec<u8>),
    /// A name outside the file system, without the NUL before it.
    Abstract(Vec<u8>),
}

/// The family that an address says it is of; EINVAL where it is too short for that.
pub fn family_of(raw: &[u8]) -> Result<u32, Errno> {
    let family = raw.first_chunk().ok_or(Errno::EINVAL)?;
    Ok(u32::from(u16::from_ne_bytes(*family)))
}

/// An address without a name.
pub fn unnamed() -> Vec<u8> {
    (AF_UNIX as u16).to_ne_bytes().to_vec()
}

impl Address {
    /// From what the program gave; EINVAL.
    pub fn parse(raw: &[u8]) -> Result<Address, Errno> {
        if raw.len() > ADDRESS_MAX_BYTES || family_of(raw)? != AF_UNIX {
            return Err(Errno::EINVAL);
        }
        let name = raw.get(FAMILY_BYTES..).unwrap_or_default();
        match name.split_first() {
            None => Err(Errno::EINVAL),
            Some((0, name)) => Ok(Address::Abstract(name.to_vec())),
            Some(_) => {
                let path = name.split(|&byte| byte == 0).next().unwrap_or(name);
                Ok(Address::Path(path.to_vec()))
            }
        }
    }

    /// As the program gets it.
    pub fn to_raw(&self) -> Vec<u8> {
        let mut raw = unnamed();
        match self {
            Address::Path(path) => {
                raw.extend_from_slice(path);
                raw.push(0);
            }
            Address::Abstract(name) => {
                raw.push(0);
                raw.extend_from_slice(name);
            }
        }
        raw
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(family: u16, name: &[u8]) -> Vec<u8> {
        [&family.to_ne_bytes(), name].concat()
    }

    #[test]
    fn a_path_ends_at_its_nul_and_an_abstract_name_does_not() {
        let path = Address::parse(&raw(1, b"/tmp/s\0rest")).unwrap();
        assert_eq!(path, Address::Path(b"/tmp/s".to_vec()));
        assert_eq!(path.to_raw(), raw(1, b"/tmp/s\0"));
        let name = Address::parse(&raw(1, b"\0a\0b")).unwrap();
        assert_eq!(name, Address::Abstract(b"a\0b".to_vec()));
        assert_eq!(name.to_raw(), raw(1, b"\0a\0b"));
        // The longest path has no NUL, but is shown with one.
        let longest = Address::parse(&raw(1, &[b'x'; 108])).unwrap();
        assert_eq!(longest.to_raw().len(), 111);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for wrong in [
            vec![],
            vec![1],
            raw(1, b""),
            raw(2, b"/tmp/s"),
            raw(1, &[b'x'; 109]),
        ] {
            assert_eq!(Address::parse(&wrong), Err(Errno::EINVAL), "{wrong:?}");
        }
    }
}
