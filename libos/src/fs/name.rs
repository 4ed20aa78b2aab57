//! One component of a path, kept without allocating.

use core::fmt;

use crate::errno::Errno;

/// Most bytes of a name.
pub(super) const NAME_MAX: usize = 255;

/// A name of at most [`NAME_MAX`] bytes.
#[derive(Clone)]
pub struct Name {
    len: u8,
    bytes: [u8; NAME_MAX],
}

impl Name {
    /// A copy of `name`; ENAMETOOLONG where it is too long.
    #[inline]
    pub fn new(name: &[u8]) -> Result<Name, Errno> {
        let mut bytes = [0; NAME_MAX];
        bytes
            .get_mut(..name.len())
            .ok_or(Errno::ENAMETOOLONG)?
            .copy_from_slice(name);
        Ok(Name {
            len: name.len() as u8,
            bytes,
        })
    }

    /// Its bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_bytes().escape_ascii())
    }
}

/// Hash that tells two names of one file in one directory apart (FNV-1a).
#[inline]
pub(super) fn name_hash(name: &[u8]) -> u32 {
    name.iter().fold(0x811c_9dc5, |hash, &byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}
