//! Guest memory on the host side: arenas, checked ranges, copies.
//!
//! A guest-physical address is a [`GuestAddress`], never a pointer. Every
//! access names an address and a length, is checked to lie inside one arena,
//! and goes through vm-memory's volatile slices, because the guest may change
//! the bytes at any time. The unikernel file's windows are not here: the
//! monitor never reads them, and no hypercall may name them.

use std::sync::OnceLock;

use unikiln_abi::PAGE_BYTES;
use unikiln_abi::boot::BootInfo;
use unikiln_abi::call::CallPage;
use unikiln_abi::socket::{Accepted, Piece, Received, Sending, SocketAddress};
use unikiln_abi::stats::GuestStats;
use unikiln_abi::vcpu::CpuFrame;
use vm_memory::mmap::MmapRegionBuilder;
use vm_memory::{ByteValued, MmapRegion, VolatileMemory, VolatileSlice};

pub use vm_memory::GuestAddress;

use crate::layout::ARENAS_MAX;

/// A range of guest memory, open to copies only.
pub type GuestSlice<'a> = VolatileSlice<'a>;

/// Errors of this module.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The host gave no address space.
    #[error("cannot reserve {bytes} bytes of address space for the guest")]
    Reserve {
        /// Bytes asked for.
        bytes: u64,
        /// What the system said.
        source: vm_memory::mmap::MmapRegionError,
    },
    /// A range outside all arenas, or across the end of one.
    #[error("guest-physical range {gpa:#x}+{len_bytes:#x} is not inside one arena")]
    OutOfRange {
        /// First address.
        gpa: u64,
        /// Bytes.
        len_bytes: u64,
    },
    /// `madvise` failed.
    #[error("cannot {what} guest memory at {gpa:#x}")]
    Advise {
        /// What was asked for.
        what: &'static str,
        /// First address.
        gpa: u64,
        /// What the system said.
        source: std::io::Error,
    },
}

/// How the host should back a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backing {
    /// Small pages: the boot arena, whose few pages are written at once.
    SmallPages,
    /// Huge pages on touch.
    HugePages,
}

/// Anonymous memory that is one KVM memory slot.
#[derive(Debug)]
pub struct Arena {
    base: GuestAddress,
    region: MmapRegion,
}

impl Arena {
    /// Reserves zeroed memory; the host backs it on touch.
    pub fn new(base: GuestAddress, bytes: u64, backing: Backing) -> Result<Self, MemoryError> {
        let region = MmapRegionBuilder::new(bytes as usize)
            .with_mmap_prot(libc::PROT_READ | libc::PROT_WRITE)
            .with_mmap_flags(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE)
            .build()
            .map_err(|source| MemoryError::Reserve { bytes, source })?;
        let arena = Self { base, region };
        // Advice only: kernels without huge pages refuse it, and all still works.
        let _ = match backing {
            Backing::SmallPages => arena.advise(0, bytes, libc::MADV_NOHUGEPAGE, "split"),
            Backing::HugePages => arena.advise(0, bytes, libc::MADV_HUGEPAGE, "join"),
        };
        Ok(arena)
    }

    /// First guest-physical address.
    pub fn base(&self) -> GuestAddress {
        self.base
    }

    /// The mapping, for a memory slot.
    pub fn region(&self) -> &MmapRegion {
        &self.region
    }

    /// Bytes.
    pub fn len_bytes(&self) -> u64 {
        self.region.size() as u64
    }

    /// Backs the first `bytes` with zeroed pages in one call.
    pub fn populate(&self, bytes: u64) -> Result<(), MemoryError> {
        self.advise(0, bytes, libc::MADV_POPULATE_WRITE, "populate")
    }

    #[expect(unsafe_code, reason = "madvise takes an address")]
    fn advise(
        &self,
        offset: u64,
        bytes: u64,
        advice: i32,
        what: &'static str,
    ) -> Result<(), MemoryError> {
        let gpa = self.base.0.saturating_add(offset);
        let slice = self
            .region
            .get_slice(offset as usize, bytes as usize)
            .map_err(|_| MemoryError::OutOfRange {
                gpa,
                len_bytes: bytes,
            })?;
        // SAFETY: `slice` lies inside a mapping that `self.region` owns; none of
        // the advices used here invalidates it, and its bytes are only ever
        // reached by volatile copies, so their change is no aliasing.
        let result =
            unsafe { libc::madvise(slice.ptr_guard_mut().as_ptr().cast(), slice.len(), advice) };
        if result != 0 {
            return Err(MemoryError::Advise {
                what,
                gpa,
                source: std::io::Error::last_os_error(),
            });
        }
        Ok(())
    }
}

/// All arenas of one guest. Arenas are only ever added, so that vCPU threads
/// reach guest memory without a lock while one of them adds more.
#[derive(Debug)]
pub struct GuestMemory {
    arenas: [OnceLock<Arena>; ARENAS_MAX],
}

impl Default for GuestMemory {
    fn default() -> Self {
        Self {
            arenas: [const { OnceLock::new() }; ARENAS_MAX],
        }
    }
}

impl GuestMemory {
    /// Takes an arena in; false where there are too many.
    pub fn insert(&self, arena: Arena) -> bool {
        let mut arena = Some(arena);
        for slot in &self.arenas {
            match arena.take() {
                Some(wanted) => arena = slot.set(wanted).err(),
                None => return true,
            }
        }
        arena.is_none()
    }

    /// Arenas, the boot arena first.
    pub fn arenas(&self) -> impl Iterator<Item = &Arena> {
        self.arenas.iter().map_while(OnceLock::get)
    }

    /// Bytes of all arenas.
    pub fn total_bytes(&self) -> u64 {
        self.arenas().map(Arena::len_bytes).sum()
    }

    /// A range inside one arena.
    pub fn slice(&self, gpa: u64, len_bytes: u64) -> Result<GuestSlice<'_>, MemoryError> {
        let (arena, offset) = self.locate(gpa, len_bytes)?;
        arena
            .region
            .get_slice(offset as usize, len_bytes as usize)
            .map_err(|_| MemoryError::OutOfRange { gpa, len_bytes })
    }

    fn locate(&self, gpa: u64, len_bytes: u64) -> Result<(&Arena, u64), MemoryError> {
        self.arenas()
            .find_map(|arena| {
                let offset = gpa.checked_sub(arena.base.0)?;
                let end = offset.checked_add(len_bytes)?;
                (end <= arena.len_bytes()).then_some((arena, offset))
            })
            .ok_or(MemoryError::OutOfRange { gpa, len_bytes })
    }

    /// Copies bytes in.
    pub fn write(&self, gpa: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        self.slice(gpa, bytes.len() as u64)?.copy_from(bytes);
        Ok(())
    }

    /// Copies words in.
    pub fn write_words(&self, gpa: u64, words: &[u64]) -> Result<(), MemoryError> {
        self.slice(gpa, size_of_val(words) as u64)?.copy_from(words);
        Ok(())
    }

    /// Copies a plain structure in.
    pub fn write_plain<T: Copy>(&self, gpa: u64, value: T) -> Result<(), MemoryError>
    where
        Plain<T>: ByteValued,
    {
        self.write(gpa, Plain(value).as_slice())
    }

    /// Copies a plain structure out: read once, whatever the guest does to it.
    pub fn read_plain<T: Copy>(&self, gpa: u64) -> Result<T, MemoryError>
    where
        Plain<T>: ByteValued,
    {
        let mut value = Plain::<T>::zeroed();
        self.slice(gpa, size_of::<T>() as u64)?
            .copy_to(value.as_mut_slice());
        Ok(value.0)
    }

    /// Gives whole pages inside one arena back to the host; they read as zero afterwards.
    pub fn release(&self, gpa: u64, len_bytes: u64) -> Result<(), MemoryError> {
        if !gpa.is_multiple_of(PAGE_BYTES) || !len_bytes.is_multiple_of(PAGE_BYTES) {
            return Err(MemoryError::OutOfRange { gpa, len_bytes });
        }
        let (arena, offset) = self.locate(gpa, len_bytes)?;
        arena.advise(offset, len_bytes, libc::MADV_DONTNEED, "release")
    }
}

/// A structure of the contract that may be copied as bytes.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Plain<T>(pub T);

/// Marks contract structures made of integers without padding.
macro_rules! plain {
    ($($type:ty),+) => {
        $(
            // SAFETY: `repr(C)`, integers and arrays of integers only, and the
            // contract's size asserts leave no room for padding.
            #[expect(unsafe_code, reason = "any bytes are a value of an integer structure")]
            unsafe impl ByteValued for Plain<$type> {}
        )+
    };
}
plain!(BootInfo, CallPage, CpuFrame, GuestStats);
plain!(SocketAddress, Sending, Received, Accepted, Piece);

#[cfg(test)]
mod tests {
    use super::*;

    fn two_arenas() -> GuestMemory {
        let memory = GuestMemory::default();
        for base in [0, 4 << 30] {
            assert!(
                memory
                    .insert(Arena::new(GuestAddress(base), 2 << 20, Backing::SmallPages).unwrap())
            );
        }
        memory
    }

    #[test]
    fn ranges_stay_inside_one_arena() {
        let memory = two_arenas();
        assert!(memory.slice(0, 2 << 20).is_ok());
        assert!(memory.slice((4 << 30) + (2 << 20), 0).is_ok());
        for (gpa, len) in [
            (0, (2 << 20) + 1),
            (2 << 20, 1),
            ((4 << 30) - 1, 2),
            (u64::MAX, 1),
            (1, u64::MAX),
        ] {
            assert!(memory.slice(gpa, len).is_err(), "{gpa:#x}+{len:#x}");
        }
    }

    #[test]
    fn released_pages_read_as_zero() {
        let memory = two_arenas();
        memory.write(4096, &[7; 16]).unwrap();
        memory.release(4096, 4096).unwrap();
        let mut bytes = [1u8; 16];
        memory.slice(4096, 16).unwrap().copy_to(&mut bytes);
        assert_eq!(bytes, [0; 16]);
        assert!(memory.release(4095, 4096).is_err());
        assert!(memory.release(4096, 1).is_err());
    }
}
