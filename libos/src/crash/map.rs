//! The address space as a crash record shows it: which area an address is in or
//! near, and which place of which file code at it comes from.
//!
//! A copy of the areas, so that no lock is held while the program's memory and
//! files are read.

use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt::{self, Write};

use unikiln_abi::layout::{APP_END, LIBOS_END, LIBOS_START};

use super::cfi::{self, Values};
use super::module::{Module, Source, Symbol};
use super::text::Text;
use super::unwind::View;
use crate::fs::OpenFile;
use crate::mm::user;
use crate::mm::vma::{Area, Backing, PROT_EXEC, PROT_READ, PROT_WRITE};

/// Addresses below this are meant to be near NULL.
const NULL_PAGES_END: u64 = 0x1_0000;
/// An access this close below a stack ran over it: one large array.
const GUARD_BYTES: u64 = 1 << 20;

impl Source for OpenFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match OpenFile::read_at(self, offset.wrapping_add(done as u64), rest) {
                Ok(0) | Err(_) => break,
                Ok(got) => done += got,
            }
        }
        done
    }
}

/// A file's module; none if it is no ELF file.
type Known = (Arc<OpenFile>, Option<Rc<Module>>);

/// See the module documentation.
#[derive(Default)]
pub(super) struct Map {
    areas: Vec<Area>,
    is_readable: bool,
    modules: RefCell<Vec<Known>>,
}

/// Where code comes from.
pub(super) struct Place {
    file: Arc<OpenFile>,
    module: Rc<Module>,
    /// Address as the file was linked: what `addr2line` takes.
    pub address: u64,
}

impl Place {
    /// The function that it is in.
    pub(super) fn symbol(&self) -> Option<Symbol> {
        self.module.symbol(&*self.file, self.address)
    }

    /// Path of the file.
    pub(super) fn path(&self) -> Vec<u8> {
        self.file.path()
    }
}

impl Map {
    /// A copy of all areas, lowest first. The default map has none, and reads
    /// nothing: for when the locks that reading needs may be held.
    #[cfg(any(test, target_os = "none"))]
    pub(super) fn new<'a>(areas: impl Iterator<Item = &'a Area>) -> Map {
        Map {
            areas: areas.cloned().collect(),
            is_readable: true,
            modules: RefCell::default(),
        }
    }

    /// Whether an access there ran over a stack.
    pub(super) fn is_stack_guard(&self, address: u64) -> bool {
        let above = self.areas.iter().find(|area| area.end > address);
        above.is_some_and(|stack| {
            stack.name == "[stack]"
                && (1..=GUARD_BYTES).contains(&stack.start.saturating_sub(address))
        })
    }

    fn find(&self, address: u64) -> Option<&Area> {
        self.areas
            .iter()
            .find(|area| (area.start..area.end).contains(&address))
    }

    fn module(&self, file: &Arc<OpenFile>) -> Option<Rc<Module>> {
        let mut modules = self.modules.borrow_mut();
        if let Some((_, module)) = modules.iter().find(|(known, _)| Arc::ptr_eq(known, file)) {
            return module.clone();
        }
        let module = Module::read(&**file).map(Rc::new);
        modules.push((file.clone(), module.clone()));
        module
    }

    /// The file and link address behind a program address.
    pub(super) fn place(&self, address: u64) -> Option<Place> {
        let area = self.find(address)?;
        let Backing::File { file, offset } = &area.backing else {
            return None;
        };
        let module = self.module(file)?;
        let address = module.address_of(offset.checked_add(address - area.start)?)?;
        Some(Place {
            file: file.clone(),
            module,
            address,
        })
    }

    /// Says in words what is at an address.
    pub(super) fn describe(&self, address: u64, out: &mut Text) -> fmt::Result {
        if address >= APP_END {
            return write!(out, "no program address (beyond {APP_END:#x})");
        }
        if (LIBOS_START..LIBOS_END).contains(&address) {
            return write!(out, "inside the libOS");
        }
        if let Some(area) = self.find(address) {
            write!(out, "in ")?;
            return show(area, address, out);
        }
        let below = self.areas.iter().rev().find(|area| area.end <= address);
        let above = self.areas.iter().find(|area| area.start > address);
        if address < NULL_PAGES_END {
            return write!(out, "in the NULL page, which is never mapped");
        }
        if let Some(stack) = above.filter(|_| self.is_stack_guard(address)) {
            let distance = stack.start - address;
            write!(
                out,
                "in the stack guard: the stack overflowed, {distance:#x} bytes below "
            )?;
            return show(stack, stack.start, out);
        }
        write!(out, "not mapped")?;
        for (area, distance, side) in [
            below.map(|area| (area, address - area.end, "above the end of")),
            above.map(|area| (area, area.start - address, "below")),
        ]
        .into_iter()
        .flatten()
        {
            write!(out, "; {distance:#x} bytes {side} ")?;
            show(area, area.start, out)?;
        }
        Ok(())
    }
}

/// Name, protection and, for a file, the offset of `address`.
fn show(area: &Area, address: u64, out: &mut Text) -> fmt::Result {
    match &area.backing {
        Backing::File { file, .. } => out.push_lossy(&file.path()),
        Backing::Anonymous if area.name.is_empty() => write!(out, "anonymous memory")?,
        Backing::Anonymous => write!(out, "{}", area.name)?,
    }
    let bit = |bit, letter| {
        if area.protection & bit != 0 {
            letter
        } else {
            '-'
        }
    };
    let (read, write) = (bit(PROT_READ, 'r'), bit(PROT_WRITE, 'w'));
    let (execute, shared) = (bit(PROT_EXEC, 'x'), if area.shared { 's' } else { 'p' });
    write!(
        out,
        " ({:#x}-{:#x} {read}{write}{execute}{shared}",
        area.start, area.end
    )?;
    if let Backing::File { offset, .. } = &area.backing {
        write!(out, ", file offset {:#x}", offset + (address - area.start))?;
    }
    write!(out, ")")
}

impl View for Map {
    fn load(&self, address: u64) -> Option<u64> {
        self.is_readable.then(|| user::read(address).ok()).flatten()
    }

    fn read(&self, address: u64, buffer: &mut [u8]) -> bool {
        self.is_readable && user::copy_in(address, buffer).is_ok()
    }

    fn is_code(&self, address: u64) -> bool {
        self.find(address)
            .is_some_and(|area| area.protection & PROT_EXEC != 0)
    }

    fn caller(&self, pc: u64, values: &Values) -> Option<Values> {
        let place = self.place(pc)?;
        cfi::step(&place.module, &*place.file, place.address, values, &|at| {
            self.load(at)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mm::vma::Traits;

    pub(crate) fn area(start: u64, end: u64, protection: u32, name: &'static str) -> Area {
        Area {
            start,
            end,
            protection,
            shared: false,
            name,
            backing: Backing::Anonymous,
            traits: Traits::default(),
        }
    }

    fn describe(address: u64) -> alloc::string::String {
        let areas = [
            area(0x40_0000, 0x40_1000, PROT_READ | PROT_EXEC, ""),
            area(0x60_0000, 0x60_2000, PROT_READ | PROT_WRITE, "[heap]"),
            area(
                0x7fff_0000_0000,
                0x7fff_0010_0000,
                PROT_READ | PROT_WRITE,
                "[stack]",
            ),
        ];
        let mut text = Text::new(1000);
        Map::new(areas.iter()).describe(address, &mut text).unwrap();
        text.as_str().into()
    }

    #[test]
    fn addresses_are_put_into_words() {
        assert_eq!(describe(0x10), "in the NULL page, which is never mapped");
        assert_eq!(
            describe(0x40_0010),
            "in anonymous memory (0x400000-0x401000 r-xp)"
        );
        assert_eq!(
            describe(0x60_2010),
            "not mapped; 0x10 bytes above the end of [heap] (0x600000-0x602000 rw-p); \
             0x7ffeff9fdff0 bytes below [stack] (0x7fff00000000-0x7fff00100000 rw-p)"
        );
        assert_eq!(
            describe(0x7ffe_ffff_fff8),
            "in the stack guard: the stack overflowed, 0x8 bytes below \
             [stack] (0x7fff00000000-0x7fff00100000 rw-p)"
        );
        assert_eq!(describe(0x6800_0000_0000), "inside the libOS");
        assert_eq!(
            describe(1 << 63),
            "no program address (beyond 0x7ffffffff000)"
        );
    }
}
