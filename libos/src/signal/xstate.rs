//! The extended state (x87, SSE, AVX, …) in a signal frame.
//!
//! ```text
//! 0    FXSAVE image; bytes 464.. say what follows (struct _fpx_sw_bytes)
//! 512  XSAVE header: which components are not in their initial state
//! 576  the other components, at the CPU's standard offsets
//! end  FP_XSTATE_MAGIC2
//! ```
//!
//! The image passes through a buffer of the libOS: the program may hand back
//! anything, and XRSTOR of a bad header would fault inside the libOS.
//!
//! Source: arch/x86/include/uapi/asm/sigcontext.h, Intel SDM volume 1 chapter 13.
#![expect(unsafe_code, reason = "XSAVE and XRSTOR take raw areas")]

use alloc::vec::Vec;

use crate::arch;
use crate::errno::Errno;
use crate::mm::user;

/// First word of the software bytes: an XSAVE image follows.
const MAGIC1: u64 = 0x4650_5853;
/// Word after the image.
const MAGIC2: u32 = 0x4650_5845;
/// Components of the FXSAVE image: x87 and SSE.
const LEGACY: u64 = 3;
/// Smallest XSAVE image: FXSAVE image and header.
const SMALLEST_BYTES: u64 = 576;
/// MXCSR after a reset.
const MXCSR_INITIAL: u64 = 0x1f80;
/// Bits of MXCSR that every CPU with XSAVE has.
const MXCSR_KNOWN: u64 = 0xffff;

/// Word (of 8 bytes) that holds MXCSR in its lower half.
const MXCSR_WORD: usize = 3;
/// First word of the software bytes.
const SOFTWARE_WORD: usize = 58;
/// First word of the XSAVE header.
const HEADER_WORD: usize = 64;
/// Words of a line.
const LINE_WORDS: usize = 8;

/// One cache line: XSAVE areas are aligned to it.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u64; LINE_WORDS]);

crate::pod!(Line);

/// An XSAVE area of the libOS.
struct Area(Vec<Line>);

impl Area {
    fn zeroed() -> Result<Area, Errno> {
        let lines = (image_bytes() as usize).div_ceil(size_of::<Line>());
        let mut area = Vec::new();
        area.try_reserve_exact(lines).map_err(|_| Errno::ENOMEM)?;
        area.resize(lines, Line([0; LINE_WORDS]));
        Ok(Area(area))
    }

    fn word(&mut self, index: usize) -> Result<&mut u64, Errno> {
        let line = self.0.get_mut(index / LINE_WORDS).ok_or(Errno::EINVAL)?;
        line.0.get_mut(index % LINE_WORDS).ok_or(Errno::EINVAL)
    }

    fn copy_out(&self, address: u64, bytes: u64) -> Result<(), Errno> {
        let mut at = 0;
        for line in &self.0 {
            let part = (bytes - at).min(size_of::<Line>() as u64);
            let line = user::bytes_of(line)
                .get(..part as usize)
                .ok_or(Errno::EFAULT)?;
            user::copy_out(address.wrapping_add(at), line)?;
            at += part;
        }
        Ok(())
    }

    /// Fills lines from `first` on with `bytes` (a multiple of 8) of the program.
    fn copy_in(&mut self, address: u64, first: usize, bytes: u64) -> Result<(), Errno> {
        let mut at = 0;
        for line in self.0.iter_mut().skip(first) {
            let words = ((bytes - at) / 8).min(LINE_WORDS as u64);
            if words == LINE_WORDS as u64 {
                *line = user::read(address.wrapping_add(at))?;
            } else {
                for word in line.0.iter_mut().take(words as usize) {
                    *word = user::read(address.wrapping_add(at))?;
                    at += 8;
                }
                return Ok(());
            }
            at += 64;
        }
        Ok(())
    }
}

/// XCR0: the components that the monitor enabled.
fn components() -> u64 {
    crate::boot::info().map_or(LEGACY, |info| info.xcr0)
}

/// Bytes of the XSAVE image.
fn image_bytes() -> u64 {
    crate::boot::info()
        .map_or(SMALLEST_BYTES, |info| info.xsave_bytes)
        .max(SMALLEST_BYTES)
}

/// Bytes that the state takes in a signal frame.
pub(super) fn frame_bytes() -> u64 {
    image_bytes() + size_of_val(&MAGIC2) as u64
}

/// Writes the program's state to `address`.
///
/// # Errors
/// EFAULT.
pub(super) fn save(address: u64) -> Result<(), Errno> {
    let mut area = Area::zeroed()?;
    // SAFETY: the area has the size that the monitor reported for this XCR0, is
    // aligned by its type, and its header is zero.
    unsafe { arch::xsave(area.0.as_mut_ptr().cast(), components()) };
    let bytes = image_bytes();
    *area.word(SOFTWARE_WORD)? = MAGIC1 | frame_bytes() << 32;
    *area.word(SOFTWARE_WORD + 1)? = components();
    *area.word(SOFTWARE_WORD + 2)? = bytes;
    for rest in 3..6 {
        *area.word(SOFTWARE_WORD + rest)? = 0;
    }
    // A handler may edit the FXSAVE part, which must then be loaded again.
    *area.word(HEADER_WORD)? |= LEGACY;
    area.copy_out(address, bytes)?;
    user::write(address.wrapping_add(bytes), &MAGIC2)
}

/// Loads the program's state from `address`; 0 means the initial state.
///
/// # Errors
/// EFAULT; EINVAL for an image that Linux refuses.
pub(super) fn load(address: u64) -> Result<(), Errno> {
    let mut area = Area::zeroed()?;
    if address == 0 {
        *area.word(MXCSR_WORD)? = MXCSR_INITIAL;
    } else {
        read_image(&mut area, address)?;
    }
    // SAFETY: the header names only components of XCR0, its other words are
    // zero and MXCSR has no unknown bits, by `read_image`.
    unsafe { arch::xrstor(area.0.as_ptr().cast(), components()) };
    Ok(())
}

fn read_image(area: &mut Area, address: u64) -> Result<(), Errno> {
    area.copy_in(address, 0, 512)?;
    *area.word(MXCSR_WORD)? &= MXCSR_KNOWN | !0xffff_ffff;
    let (magic, extended) = split(*area.word(SOFTWARE_WORD)?);
    let features = *area.word(SOFTWARE_WORD + 1)?;
    let (bytes, _) = split(*area.word(SOFTWARE_WORD + 2)?);
    let is_whole = magic == MAGIC1
        && (SMALLEST_BYTES..=image_bytes()).contains(&bytes)
        && bytes <= extended
        && user::read::<u32>(address.wrapping_add(bytes)) == Ok(MAGIC2);
    if !is_whole {
        *area.word(HEADER_WORD)? = LEGACY;
        return Ok(());
    }
    area.copy_in(
        address.wrapping_add(512),
        HEADER_WORD / LINE_WORDS,
        bytes - 512,
    )?;
    let present = *area.word(HEADER_WORD)?;
    for rest in 1..LINE_WORDS {
        if *area.word(HEADER_WORD + rest)? != 0 {
            return Err(Errno::EINVAL);
        }
    }
    if present & !components() != 0 {
        return Err(Errno::EINVAL);
    }
    *area.word(HEADER_WORD)? = present & features;
    Ok(())
}

/// Lower and upper half.
fn split(word: u64) -> (u64, u64) {
    (word & 0xffff_ffff, word >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved() -> Vec<Line> {
        let image = alloc::vec![Line([0; LINE_WORDS]); 10];
        save(image.as_ptr().expose_provenance() as u64).unwrap();
        image
    }

    fn read(image: &[Line]) -> Result<Area, Errno> {
        let mut area = Area::zeroed()?;
        read_image(&mut area, image.as_ptr().expose_provenance() as u64)?;
        Ok(area)
    }

    #[test]
    fn a_saved_image_says_what_it_is() {
        let image = saved();
        assert_eq!(image[7].0[2], MAGIC1 | 580 << 32);
        assert_eq!(image[7].0[3], LEGACY);
        assert_eq!(image[7].0[4], 576);
        assert_eq!(image[8].0[0], LEGACY);
        assert_eq!(image[9].0[0] as u32, MAGIC2);
    }

    #[test]
    fn a_hostile_image_never_reaches_xrstor() {
        let mut image = saved();
        image[8].0[0] = 1 << 62;
        assert_eq!(read(&image).err(), Some(Errno::EINVAL));
        image[8].0[0] = LEGACY;
        image[8].0[1] = 1 << 63;
        assert_eq!(read(&image).err(), Some(Errno::EINVAL));
        image[8].0[1] = 0;
        image[0].0[3] = 0xffff_ffff;
        assert_eq!(read(&image).map(|a| a.0[0].0[3]), Ok(0xffff));
    }

    #[test]
    fn an_image_without_magic_is_fxsave_alone() {
        let mut image = saved();
        image[7].0[2] = 0;
        image[8].0 = [!0; 8];
        let area = read(&image).unwrap();
        assert_eq!(area.0[8].0, [LEGACY, 0, 0, 0, 0, 0, 0, 0]);
        let mut image = saved();
        image[9].0[0] = 0;
        image[8].0 = [!0; 8];
        assert_eq!(read(&image).unwrap().0[8].0[0], LEGACY);
    }
}
