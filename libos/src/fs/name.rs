//! One component of a path, mostly kept without allocating.

use alloc::boxed::Box;
use core::fmt;

use crate::errno::Errno;

/// Most bytes of a name.
pub(in crate::fs) const NAME_MAX: usize = 255;
/// Names up to this are kept in place. Short, because names are moved about.
const SHORT_MAX: usize = 38;

/// A name of at most [`NAME_MAX`] bytes.
#[derive(Clone)]
pub struct Name(Bytes);

#[derive(Clone)]
enum Bytes {
    Short { len: u8, bytes: [u8; SHORT_MAX] },
    Long(Box<[u8]>),
}

impl Name {
    /// A copy of `name`; ENAMETOOLONG where it is too long.
    #[inline]
    pub fn new(name: &[u8]) -> Result<Name, Errno> {
        if name.len() > NAME_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let mut bytes = [0; SHORT_MAX];
        Ok(Name(match bytes.get_mut(..name.len()) {
            Some(place) => {
                place.copy_from_slice(name);
                Bytes::Short {
                    len: name.len() as u8,
                    bytes,
                }
            }
            None => Bytes::Long(Box::from(name)),
        }))
    }

    /// Its bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Bytes::Short { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or(&[]),
            Bytes::Long(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_bytes().escape_ascii())
    }
}

/// Hash that tells two names of one file in one directory apart (FNV-1a).
#[inline]
pub(super) fn name_hash(name: &[u8]) -> u32 {
    name.iter().fold(0x811c_9dc5, |hash, &byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}
