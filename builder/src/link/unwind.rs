//! Unwind tables: where functions begin and end, and their landing pads, to
//! which an exception jumps without any instruction that says so.
//!
//! Source: the LSB's "Exception Frames"; the LSDA as GCC and LLVM write it
//! (Itanium C++ ABI, level II).

use gimli::{BaseAddresses, CieOrFde, EhFrame, LittleEndian, Pointer, UnwindSection};

use super::object::Object;

/// DW_EH_PE_omit.
const OMITTED: u8 = 0xff;

/// A function of `.eh_frame`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Function {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Address of its language-specific data.
    lsda: Option<u64>,
}

/// All functions in code; none where the table is missing or broken.
pub(super) fn functions(object: &Object<'_>) -> Vec<Function> {
    let mut functions = Vec::new();
    let Some(table) = object.section(b".eh_frame") else {
        return functions;
    };
    let frames = EhFrame::new(table.bytes, LittleEndian);
    let bases = BaseAddresses::default().set_eh_frame(table.address);
    let mut entries = frames.entries(&bases);
    while let Ok(Some(entry)) = entries.next() {
        let CieOrFde::Fde(partial) = entry else {
            continue;
        };
        let Ok(fde) = partial.parse(|_, bases, offset| frames.cie_from_offset(bases, offset))
        else {
            continue;
        };
        let (start, bytes) = (fde.initial_address(), fde.len());
        // That of a signal frame begins before its code, so that a return address there is inside.
        let early = u64::from(fde.cie().is_signal_trampoline());
        let (Some(start), Some(bytes)) = (start.checked_add(early), bytes.checked_sub(early))
        else {
            continue;
        };
        let fits = (object.code_at(start)).is_some_and(|code| bytes <= code.end() - start);
        if fits && bytes > 0 {
            functions.push(Function {
                start,
                end: start + bytes,
                lsda: fde.lsda().map(Pointer::pointer),
            });
        }
    }
    functions.sort_by_key(|function| (function.start, function.end));
    functions
}

/// Calls `with` on each landing pad of `function`. `None` where its table cannot
/// be read, so that nothing is known about them.
pub(super) fn landing_pads(
    object: &Object<'_>,
    function: &Function,
    mut with: impl FnMut(u64),
) -> Option<()> {
    let Some(lsda) = function.lsda else {
        return Some(());
    };
    let mut reader = Reader {
        rest: object.mapped_at(lsda)?,
        address: lsda,
    };
    let encoding = reader.byte()?;
    let pads = match encoding {
        OMITTED => function.start,
        encoding => reader.pointer(encoding)?,
    };
    if reader.byte()? != OMITTED {
        reader.unsigned()?;
    }
    let encoding = reader.byte()?;
    let bytes = usize::try_from(reader.unsigned()?).ok()?;
    let mut sites = Reader {
        rest: reader.rest.get(..bytes)?,
        address: reader.address,
    };
    while !sites.rest.is_empty() {
        // Start and length of the calls, the pad, the action.
        sites.pointer(encoding)?;
        sites.pointer(encoding)?;
        let pad = sites.pointer(encoding)?;
        sites.unsigned()?;
        if pad != 0 {
            with(pads.wrapping_add(pad));
        }
    }
    Some(())
}

struct Reader<'a> {
    rest: &'a [u8],
    address: u64,
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        self.address = self.address.wrapping_add(1);
        Some(byte)
    }

    fn fixed(&mut self, bytes: u32) -> Option<u64> {
        let mut value = 0;
        for at in 0..bytes {
            value |= u64::from(self.byte()?) << (8 * at);
        }
        Some(value)
    }

    /// A ULEB128 number.
    fn unsigned(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A number in one of the DW_EH_PE formats, absolute or relative to itself.
    fn pointer(&mut self, encoding: u8) -> Option<u64> {
        let base = match encoding & 0xf0 {
            0 => 0,
            0x10 => self.address,
            _ => return None,
        };
        let value = match encoding & 0xf {
            0 | 4 | 0xc => self.fixed(8)?,
            1 => self.unsigned()?,
            2 => self.fixed(2)?,
            3 => self.fixed(4)?,
            0xa => self.fixed(2)? as i16 as u64,
            0xb => self.fixed(4)? as i32 as u64,
            _ => return None,
        };
        Some(base.wrapping_add(value))
    }
}
