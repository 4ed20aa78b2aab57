//! Reading DWARF's encodings: fixed words, LEB128, encoded pointers. Reads past
//! the end give nothing.
//!
//! Source: DWARF 5 section 7.6; Linux Standard Base, "DWARF Extensions".

/// Pointer encoding: there is no pointer.
const OMITTED: u8 = 0xff;
/// Pointer encoding: relative to the pointer's own address.
const RELATIVE_TO_SELF: u8 = 0x10;
/// Bits of an encoding that say what the pointer is relative to.
const APPLICATION: u8 = 0x70;
/// The pointer is stored where the value points: never so in tables of code.
const INDIRECT: u8 = 0x80;

/// A cursor over bytes whose first one has a link address.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    base: u64,
}

impl<'a> Reader<'a> {
    /// From the start of `bytes`, which lie at link address `base`.
    pub(super) fn new(bytes: &'a [u8], base: u64) -> Reader<'a> {
        Reader { bytes, at: 0, base }
    }

    /// Link address of the next byte.
    pub(super) fn address(&self) -> u64 {
        self.base.wrapping_add(self.at as u64)
    }

    /// Everything that is left.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// The next `len` bytes.
    pub(super) fn take(&mut self, len: u64) -> Option<&'a [u8]> {
        let end = self.at.checked_add(usize::try_from(len).ok()?)?;
        let part = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(part)
    }

    fn word<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N as u64)?.first_chunk().copied()
    }

    /// One byte.
    pub(super) fn u8(&mut self) -> Option<u8> {
        self.word::<1>().map(|[byte]| byte)
    }

    /// Two bytes.
    pub(super) fn u16(&mut self) -> Option<u16> {
        self.word().map(u16::from_le_bytes)
    }

    /// Four bytes.
    pub(super) fn u32(&mut self) -> Option<u32> {
        self.word().map(u32::from_le_bytes)
    }

    /// Eight bytes.
    pub(super) fn u64(&mut self) -> Option<u64> {
        self.word().map(u64::from_le_bytes)
    }

    /// An unsigned LEB128.
    pub(super) fn uleb(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A signed LEB128.
    pub(super) fn sleb(&mut self) -> Option<i64> {
        let mut value = 0i64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= i64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let unused = 64 - (shift + 7).min(64);
                return Some(value << unused >> unused);
            }
        }
        None
    }

    /// The bytes up to a NUL, which is skipped.
    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let len = self.rest().iter().position(|b| *b == 0)?;
        let text = self.take(len as u64)?;
        self.u8()?;
        Some(text)
    }

    /// A pointer, absolute or relative to itself.
    pub(super) fn pointer(&mut self, encoding: u8) -> Option<u64> {
        let base = match encoding & APPLICATION {
            0 => 0,
            RELATIVE_TO_SELF => self.address(),
            _ => return None,
        };
        if encoding == OMITTED || encoding & INDIRECT != 0 {
            return None;
        }
        Some(base.wrapping_add(self.encoded(encoding)?))
    }

    /// The number of an encoded pointer, whatever it is relative to.
    pub(super) fn encoded(&mut self, encoding: u8) -> Option<u64> {
        match encoding & 0xf {
            0x0 | 0x4 | 0xc => self.u64(),
            0x1 => self.uleb(),
            0x2 => self.u16().map(u64::from),
            0x3 => self.u32().map(u64::from),
            0x9 => self.sleb().map(|value| value as u64),
            0xa => self.u16().map(|value| i64::from(value as i16) as u64),
            0xb => self.u32().map(|value| i64::from(value as i32) as u64),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leb128_has_a_sign_and_an_end() {
        assert_eq!(Reader::new(&[0xe5, 0x8e, 0x26], 0).uleb(), Some(624_485));
        assert_eq!(Reader::new(&[0x78], 0).sleb(), Some(-8));
        assert_eq!(Reader::new(&[0x80, 0x01], 0).sleb(), Some(128));
        assert_eq!(Reader::new(&[0x80; 12], 0).uleb(), None);
        assert_eq!(Reader::new(&[0x80; 12], 0).sleb(), None);
        assert_eq!(Reader::new(&[0x80], 0).uleb(), None);
    }

    #[test]
    fn pointers_are_relative_to_themselves() {
        let mut reader = Reader::new(&[0, 0, 0, 0, 0xf0, 0xff, 0xff, 0xff], 0x1000);
        reader.u32();
        assert_eq!(reader.pointer(0x1b), Some(0xff4));
        assert_eq!(Reader::new(&[1; 8], 0).pointer(0x9b), None);
        assert_eq!(Reader::new(&[1; 8], 0).pointer(OMITTED), None);
    }
}
