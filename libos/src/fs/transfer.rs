//! Where read bytes go and where written bytes come from: program memory,
//! described by one range or by many, or a kernel buffer.
//!
//! A file implementation moves pieces through [`Sink`] and [`Source`], never
//! holding a lock of its own meanwhile: touching program memory may fault.

use alloc::vec::Vec;

use crate::errno::Errno;
use crate::mm::user;

/// Largest read or write, as Linux cuts it.
pub const TRANSFER_MAX_BYTES: usize = 0x7fff_f000;
/// Most ranges of one call.
pub const IOV_MAX: usize = 1024;

/// Takes bytes that a file gives.
pub trait Sink {
    /// Bytes that it still takes.
    fn remaining(&self) -> usize;
    /// Takes all of `bytes`, at most [`Sink::remaining`] of them.
    fn put(&mut self, bytes: &[u8]) -> Result<(), Errno>;
    /// Takes the first of `bytes`, as many as it can; nothing more can be put
    /// after it took fewer than all.
    fn put_part(&mut self, bytes: &[u8]) -> usize {
        self.put(bytes).map_or(0, |()| bytes.len())
    }
    /// Takes `len` zeros.
    fn put_zeros(&mut self, len: usize) -> Result<(), Errno>;
}

/// Gives bytes that a file takes.
pub trait Source {
    /// Bytes that it still gives.
    fn remaining(&self) -> usize;
    /// Fills `bytes`, at most [`Source::remaining`] of them.
    fn take(&mut self, bytes: &mut [u8]) -> Result<(), Errno>;
    /// Fills the first of `bytes`, as many as it can; nothing more can be taken
    /// after it gave fewer than all.
    fn take_part(&mut self, bytes: &mut [u8]) -> usize {
        self.take(bytes).map_or(0, |()| bytes.len())
    }
    /// Where in program memory the next bytes lie together, and how many, if they do.
    fn place(&self) -> Option<(u64, usize)> {
        None
    }
    /// The first `len` bytes of that place were taken there.
    fn skip(&mut self, _len: usize) {}
}

/// Ranges of program memory.
pub enum UserRanges {
    /// One range: what `read` and `write` have.
    One(u64, usize),
    /// Several, the next one last.
    Many(Vec<(u64, usize)>, usize),
}

impl UserRanges {
    /// One range.
    pub fn one(addr: u64, len: u64) -> Result<UserRanges, Errno> {
        user::check_range(addr, len)?;
        Ok(UserRanges::One(
            addr,
            (len as usize).min(TRANSFER_MAX_BYTES),
        ))
    }

    /// The ranges of a `struct iovec[count]`.
    pub fn vector(addr: u64, count: u64) -> Result<UserRanges, Errno> {
        // Linux looks at the low half only.
        let count = u64::from(count as u32);
        if count > IOV_MAX as u64 {
            return Err(Errno::EINVAL);
        }
        let mut ranges = Vec::with_capacity(count as usize);
        let mut total = 0usize;
        for index in 0..count {
            let at = addr.checked_add(index * 16).ok_or(Errno::EFAULT)?;
            let mut raw = [0; 16];
            user::copy_in(at, &mut raw)?;
            let (base, len) = pair(&raw);
            if len > i64::MAX as u64 {
                return Err(Errno::EINVAL);
            }
            user::check_range(base, len)?;
            let len = (len as usize).min(TRANSFER_MAX_BYTES - total);
            total += len;
            if len > 0 {
                ranges.push((base, len));
            }
        }
        ranges.reverse();
        Ok(UserRanges::Many(ranges, total))
    }

    /// Bytes in all that are left.
    pub fn remaining(&self) -> usize {
        match self {
            UserRanges::One(_, len) | UserRanges::Many(_, len) => *len,
        }
    }

    /// Takes the next range, at most `most` bytes of it.
    pub fn next(&mut self, most: usize) -> (u64, usize) {
        match self {
            UserRanges::One(addr, left) => {
                let here = (*addr, most.min(*left));
                *addr += here.1 as u64;
                *left -= here.1;
                here
            }
            UserRanges::Many(ranges, total) => {
                let Some((addr, left)) = ranges.last_mut() else {
                    return (0, 0);
                };
                let here = (*addr, most.min(*left));
                *addr += here.1 as u64;
                *left -= here.1;
                *total -= here.1;
                if *left == 0 {
                    ranges.pop();
                }
                here
            }
        }
    }
}

fn pair(raw: &[u8; 16]) -> (u64, u64) {
    let whole = u128::from_le_bytes(*raw);
    (whole as u64, (whole >> 64) as u64)
}

impl Sink for UserRanges {
    fn remaining(&self) -> usize {
        UserRanges::remaining(self)
    }

    fn put(&mut self, mut bytes: &[u8]) -> Result<(), Errno> {
        while !bytes.is_empty() {
            let (addr, len) = self.next(bytes.len());
            let (here, rest) = bytes.split_at_checked(len).ok_or(Errno::EINVAL)?;
            if len == 0 {
                return Err(Errno::EINVAL);
            }
            user::copy_out(addr, here)?;
            bytes = rest;
        }
        Ok(())
    }

    fn put_part(&mut self, bytes: &[u8]) -> usize {
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            let (addr, len) = self.next(rest.len());
            let copied = rest
                .get(..len)
                .map_or(0, |here| user::copy_out_part(addr, here));
            done += copied;
            if copied < len || len == 0 {
                break;
            }
        }
        done
    }

    fn put_zeros(&mut self, mut len: usize) -> Result<(), Errno> {
        while len > 0 {
            let (addr, here) = self.next(len);
            if here == 0 {
                return Err(Errno::EINVAL);
            }
            user::zero_out(addr, here)?;
            len -= here;
        }
        Ok(())
    }
}

impl Source for UserRanges {
    fn remaining(&self) -> usize {
        UserRanges::remaining(self)
    }

    fn place(&self) -> Option<(u64, usize)> {
        match self {
            UserRanges::One(addr, left) => Some((*addr, *left)),
            UserRanges::Many(ranges, _) => ranges.last().copied(),
        }
    }

    fn skip(&mut self, len: usize) {
        self.next(len);
    }

    fn take(&mut self, mut bytes: &mut [u8]) -> Result<(), Errno> {
        while !bytes.is_empty() {
            let (addr, len) = self.next(bytes.len());
            let (here, rest) = bytes.split_at_mut_checked(len).ok_or(Errno::EINVAL)?;
            if len == 0 {
                return Err(Errno::EINVAL);
            }
            user::copy_in(addr, here)?;
            bytes = rest;
        }
        Ok(())
    }

    fn take_part(&mut self, bytes: &mut [u8]) -> usize {
        let mut done = 0;
        while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let (addr, len) = self.next(rest.len());
            let copied = rest
                .get_mut(..len)
                .map_or(0, |here| user::copy_in_part(addr, here));
            done += copied;
            if copied < len || len == 0 {
                break;
            }
        }
        done
    }
}

/// A kernel buffer to read into.
pub struct BufferSink<'a>(pub &'a mut [u8]);

impl Sink for BufferSink<'_> {
    fn remaining(&self) -> usize {
        self.0.len()
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        let buffer = core::mem::take(&mut self.0);
        let (here, rest) = buffer
            .split_at_mut_checked(bytes.len())
            .ok_or(Errno::EINVAL)?;
        here.copy_from_slice(bytes);
        self.0 = rest;
        Ok(())
    }

    fn put_zeros(&mut self, len: usize) -> Result<(), Errno> {
        let buffer = core::mem::take(&mut self.0);
        let (here, rest) = buffer.split_at_mut_checked(len).ok_or(Errno::EINVAL)?;
        here.fill(0);
        self.0 = rest;
        Ok(())
    }
}

/// Kernel bytes to write.
pub struct BufferSource<'a>(pub &'a [u8]);

impl Source for BufferSource<'_> {
    fn remaining(&self) -> usize {
        self.0.len()
    }

    fn take(&mut self, bytes: &mut [u8]) -> Result<(), Errno> {
        let (here, rest) = self.0.split_at_checked(bytes.len()).ok_or(Errno::EINVAL)?;
        bytes.copy_from_slice(here);
        self.0 = rest;
        Ok(())
    }
}
