//! From an open unikernel file to guest memory that is ready to run.
//!
//! [`plan`] decides where everything goes, in the order of [`crate::layout`]'s
//! drawing, and touches nothing; [`load`] writes it. libOS text and constants
//! stay where they are, in the file, behind one large page if they fit it; the
//! data segment is copied.

use std::io;
use std::os::unix::fs::FileExt;

use unikiln_abi::boot::BootInfo;
use unikiln_abi::call::CallPage;
use unikiln_abi::layout::{DIRECT_MAP_BASE, LIBOS_IMAGE_BASE};
use unikiln_abi::vcpu::TRAP_STACK_TOP_OFFSET;
use unikiln_abi::{LARGE_PAGE_BYTES, PAGE_BYTES};
use unikiln_unikernel::{Segment, UnikernelFile};

use crate::descriptor::Privileged;
use crate::layout::{
    BOOT_ARENA_MAX_BYTES, BOOT_ARENA_MIN_BYTES, BOOT_FREE_MIN_BYTES, BOOT_INFO_GPA, FRAMES_GPA,
    GDT_GPA, IDT_GPA, POPULATE_EXTRA_BYTES, PRIVILEGED_BASE, PRIVILEGED_END_GPA,
    ROOTFS_WINDOW_BYTES, STUBS_GPA, TSS_GPA, VCPU_BLOCKS_GPA, align_up, page_align_up,
};
use crate::memory::{GuestMemory, MemoryError};
use crate::pagetable::{Access, PageTableError, PageTables};

/// Errors of this module.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The libOS's data and the strings do not fit the boot arena.
    #[error(
        "the libOS's data and the arguments need {bytes} bytes at boot, more than {BOOT_ARENA_MAX_BYTES}"
    )]
    BootArena {
        /// Bytes needed.
        bytes: u64,
    },
    /// A libOS segment lies behind the first window of the file.
    #[error("the libOS segment at {vaddr:#x} lies too far into the unikernel file; build it again")]
    SegmentOffset {
        /// Guest-virtual address.
        vaddr: u64,
    },
    /// The page tables could not be built.
    #[error("cannot build the first page tables")]
    PageTables(#[from] PageTableError),
    /// A planned address is not in the boot arena.
    #[error("cannot write the boot arena")]
    Memory(#[from] MemoryError),
    /// The data segment could not be read.
    #[error("cannot read the libOS's data from the unikernel file")]
    ReadSegment {
        /// What the system said.
        source: io::Error,
    },
}

/// Where everything lies in the boot arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// vCPUs that there may be.
    pub vcpu_count: u32,
    /// First call page.
    pub call_pages_gpa: u64,
    /// Page-table root; the other tables follow.
    pub pml4_gpa: u64,
    /// Page tables that there is room for.
    pub page_table_budget: usize,
    /// Writable libOS segments, one after the other.
    pub data_gpa: u64,
    /// Strings block.
    pub strings_gpa: u64,
    /// First free page.
    pub free_gpa: u64,
    /// End of what the host backs before the start.
    pub populated_gpa: u64,
    /// Bytes of the boot arena.
    pub arena_bytes: u64,
}

/// Decides where everything goes.
pub fn plan(segments: &[Segment], strings_bytes: u64, vcpu_count: u32) -> Result<Plan, LoadError> {
    let vcpu_bytes = u64::from(vcpu_count) * PAGE_BYTES;
    let call_pages_gpa = VCPU_BLOCKS_GPA + vcpu_bytes;
    let pml4_gpa = call_pages_gpa + vcpu_bytes;
    let page_table_budget = page_table_budget(segments);
    let data_gpa = pml4_gpa + page_table_budget as u64 * PAGE_BYTES;
    let data_bytes: u64 = segments
        .iter()
        .filter(|segment| segment.flags.writable)
        .map(|segment| page_align_up(segment.memsz_bytes))
        .sum();
    let strings_gpa = data_gpa + data_bytes;
    let free_gpa = strings_gpa + page_align_up(strings_bytes);
    let arena_bytes =
        align_up(free_gpa + BOOT_FREE_MIN_BYTES, LARGE_PAGE_BYTES).max(BOOT_ARENA_MIN_BYTES);
    if arena_bytes > BOOT_ARENA_MAX_BYTES {
        return Err(LoadError::BootArena { bytes: arena_bytes });
    }
    Ok(Plan {
        vcpu_count,
        call_pages_gpa,
        pml4_gpa,
        page_table_budget,
        data_gpa,
        strings_gpa,
        free_gpa,
        populated_gpa: free_gpa + POPULATE_EXTRA_BYTES,
        arena_bytes,
    })
}

/// Tables for: root; direct map (PDPT, PD and PT of the boot arena, PD of
/// window 0, PDPT shared); image (PDPT, one PD and PT per 2 MiB); supervisor
/// pages (PD, PT).
fn page_table_budget(segments: &[Segment]) -> usize {
    let image_bytes = match (segments.first(), segments.last()) {
        (Some(first), Some(last)) => last.vaddr + last.memsz_bytes - first.vaddr,
        _ => 0,
    };
    9 + (image_bytes / LARGE_PAGE_BYTES) as usize + 1
}

/// Where a vCPU's block is.
pub fn vcpu_block_gpa(vcpu: u32) -> u64 {
    VCPU_BLOCKS_GPA + u64::from(vcpu) * PAGE_BYTES
}

/// What [`load`] needs besides the plan.
#[derive(Debug)]
pub struct Image<'a> {
    /// The file.
    pub unikernel: &'a UnikernelFile,
    /// Where its first byte is in guest-physical space.
    pub rootfs_gpa: u64,
    /// Strings block.
    pub strings: &'a [u8],
    /// Boot information, complete.
    pub boot_info: BootInfo,
}

/// Fills the boot arena; returns the address of the `syscall` stub.
pub fn load(memory: &GuestMemory, plan: &Plan, image: &Image<'_>) -> Result<u64, LoadError> {
    let tables = page_tables(plan, image)?;
    memory.write_words(plan.pml4_gpa, tables.entries())?;
    copy_data(memory, plan, image.unikernel)?;

    let block_address = |vcpu: u32| DIRECT_MAP_BASE + vcpu_block_gpa(vcpu);
    let mut trap_stack_tops = Vec::new();
    for vcpu in 0..plan.vcpu_count {
        let gpa = vcpu_block_gpa(vcpu);
        let head = [block_address(vcpu), 0, 0, u64::from(vcpu)];
        memory.write(gpa, head.map(u64::to_le_bytes).as_flattened())?;
        trap_stack_tops.push(block_address(vcpu) + TRAP_STACK_TOP_OFFSET as u64);
        let calls_gpa = plan.call_pages_gpa + u64::from(vcpu) * PAGE_BYTES;
        memory.write_plain(calls_gpa, CallPage::default())?;
    }
    let privileged = Privileged::new(image.unikernel.libos_header(), &trap_stack_tops);
    for (gpa, page) in [
        (GDT_GPA, &privileged.gdt),
        (IDT_GPA, &privileged.idt),
        (TSS_GPA, &privileged.tss),
        (STUBS_GPA, &privileged.stubs),
        (FRAMES_GPA, &privileged.frames),
    ] {
        memory.write(gpa, page)?;
    }
    memory.write(plan.strings_gpa, image.strings)?;
    memory.write_plain(BOOT_INFO_GPA, image.boot_info)?;
    Ok(privileged.syscall_stub)
}

fn page_tables(plan: &Plan, image: &Image<'_>) -> Result<PageTables, LoadError> {
    let mut tables = PageTables::new(plan.pml4_gpa, plan.page_table_budget);
    // Boot arena in the direct map: page 0 and the supervisor pages stay out.
    let small_bytes = LARGE_PAGE_BYTES - PRIVILEGED_END_GPA;
    let start = DIRECT_MAP_BASE + PRIVILEGED_END_GPA;
    tables.map_small(start, PRIVILEGED_END_GPA, small_bytes, Access::USER_RW)?;
    tables.map_large(
        DIRECT_MAP_BASE + LARGE_PAGE_BYTES,
        LARGE_PAGE_BYTES,
        plan.arena_bytes - LARGE_PAGE_BYTES,
        Access::USER_RW,
    )?;
    let window_bytes = image.unikernel.rootfs_bytes().min(ROOTFS_WINDOW_BYTES);
    tables.map_large(
        DIRECT_MAP_BASE + image.rootfs_gpa,
        image.rootfs_gpa,
        align_up(window_bytes, LARGE_PAGE_BYTES),
        Access::USER_R,
    )?;

    let mut data_gpa = plan.data_gpa;
    let large_end = map_text_large(&mut tables, image)?;
    for segment in image.unikernel.segments() {
        if segment.vaddr < large_end {
            continue;
        }
        let bytes = page_align_up(segment.memsz_bytes);
        if segment.flags.writable {
            tables.map_small(segment.vaddr, data_gpa, bytes, Access::USER_RW)?;
            data_gpa += bytes;
            continue;
        }
        if segment.offset.saturating_add(bytes) > ROOTFS_WINDOW_BYTES {
            return Err(LoadError::SegmentOffset {
                vaddr: segment.vaddr,
            });
        }
        let access = Access {
            user: true,
            write: false,
            execute: segment.flags.executable,
        };
        let gpa = image.rootfs_gpa + segment.offset;
        tables.map_small(segment.vaddr, gpa, bytes, access)?;
    }

    for (gpa, access) in [
        (GDT_GPA, Access::SUPERVISOR_R),
        (IDT_GPA, Access::SUPERVISOR_R),
        (TSS_GPA, Access::SUPERVISOR_R),
        (STUBS_GPA, Access::USER_RX),
        (FRAMES_GPA, Access::USER_R),
    ] {
        tables.map_small(PRIVILEGED_BASE + gpa, gpa, PAGE_BYTES, access)?;
    }
    Ok(tables)
}

/// Maps text and constants with one large page where file and image agree
/// modulo its size and no writable segment lies there: under shadow paging each
/// small page would cost a fault. Returns the end of what is mapped.
fn map_text_large(tables: &mut PageTables, image: &Image<'_>) -> Result<u64, LoadError> {
    let start = LIBOS_IMAGE_BASE / LARGE_PAGE_BYTES * LARGE_PAGE_BYTES;
    let end = start + LARGE_PAGE_BYTES;
    let fits = image
        .unikernel
        .segments()
        .iter()
        .filter(|segment| segment.vaddr < end)
        .all(|segment| {
            !segment.flags.writable
                && segment.vaddr + segment.memsz_bytes <= end
                && segment.vaddr - start == segment.offset
        });
    if !fits {
        return Ok(start);
    }
    tables.map_large(start, image.rootfs_gpa, LARGE_PAGE_BYTES, Access::USER_RX)?;
    Ok(end)
}

/// Copies writable segments; what lies behind their file bytes is zero already.
fn copy_data(
    memory: &GuestMemory,
    plan: &Plan,
    unikernel: &UnikernelFile,
) -> Result<(), LoadError> {
    let mut gpa = plan.data_gpa;
    for segment in unikernel.segments() {
        if !segment.flags.writable {
            continue;
        }
        let mut bytes = vec![0; segment.filesz_bytes as usize];
        unikernel
            .file()
            .read_exact_at(&mut bytes, segment.offset)
            .map_err(|source| LoadError::ReadSegment { source })?;
        memory.write(gpa, &bytes)?;
        gpa += page_align_up(segment.memsz_bytes);
    }
    Ok(())
}
