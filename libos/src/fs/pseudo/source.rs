//! What `/proc` tells of other subsystems, asked through the few functions here.
//!
//! Built for the host, where there is neither address space nor program, they
//! answer with nothing.

use alloc::string::String;
use alloc::vec::Vec;

use crate::errno::Errno;
use crate::mm::user;
use crate::mm::vma::{Area, Backing, PROT_EXEC, PROT_READ};
use crate::process;
use crate::time;

/// Nanoseconds of a clock tick, 1/100 s.
pub(super) const TICK_NS: u64 = 10_000_000;
/// Bytes copied at once from the program.
const CHUNK_BYTES: usize = 4096;
/// Longer argument areas are cut.
const AREA_MAX_BYTES: u64 = 2 << 20;

/// One mapping of the program.
pub(super) struct Mapping {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) protection: u32,
    pub(super) shared: bool,
    pub(super) offset: u64,
    /// Device and inode number of its file.
    pub(super) file: (u64, u64),
    /// Path of its file, or a name such as `[heap]`.
    pub(super) name: Vec<u8>,
}

impl Mapping {
    pub(super) fn bytes(&self) -> u64 {
        self.end - self.start
    }
}

/// The program's mappings, by address.
pub(super) fn mappings() -> Vec<Mapping> {
    // Paths are looked up with the address space unlocked.
    let areas: Vec<_> = process::current()
        .space
        .lock()
        .areas
        .iter()
        .cloned()
        .collect();
    let mut mappings: Vec<Mapping> = areas.into_iter().map(describe).collect();
    // The vDSO is a part of the libOS image, not of the areas.
    let vdso = crate::time::vdso_address();
    if vdso != 0 {
        let at = mappings.partition_point(|mapping| mapping.start < vdso);
        mappings.insert(
            at,
            Mapping {
                start: vdso,
                end: vdso + crate::fs::PAGE_BYTES,
                protection: PROT_READ | PROT_EXEC,
                shared: false,
                offset: 0,
                file: (0, 0),
                name: b"[vdso]".to_vec(),
            },
        );
    }
    mappings
}

fn describe(area: Area) -> Mapping {
    let (file, offset, name) = match &area.backing {
        Backing::File { file, offset } => (file.inode_id(), *offset, file.path()),
        Backing::Anonymous => ((0, 0), 0, Vec::new()),
    };
    let name = if area.name.is_empty() {
        name
    } else {
        area.name.as_bytes().to_vec()
    };
    Mapping {
        start: area.start,
        end: area.end,
        protection: area.protection,
        shared: area.shared,
        offset,
        file,
        name,
    }
}

/// Start and end of the heap.
pub(super) fn heap() -> (u64, u64) {
    let space = process::current().space.lock();
    (space.brk_start, space.brk)
}

/// Bytes that mlock and its relatives hold.
pub(super) fn locked_bytes() -> u64 {
    process::current().space.lock().locked_bytes()
}

/// Bytes of program memory that are in use, as near as frames in use tell.
pub(super) fn resident_bytes() -> u64 {
    let files = crate::fs::memory::used_pages() * crate::fs::PAGE_BYTES;
    crate::mm::used_bytes().saturating_sub(files)
}

/// A copy of program memory; what cannot be read ends it.
pub(super) fn program_bytes((start, end): (u64, u64)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let end = end.min(start.saturating_add(AREA_MAX_BYTES));
    let mut at = start;
    while at < end {
        let mut chunk = [0; CHUNK_BYTES];
        let len = (end - at).min(CHUNK_BYTES as u64);
        let Some(part) = chunk.get_mut(..len as usize) else {
            break;
        };
        if user::copy_in(at, part).is_err() {
            break;
        }
        bytes.extend_from_slice(part);
        at += len;
    }
    bytes
}

/// Name of the program.
pub(super) fn command() -> Vec<u8> {
    let comm = process::current().image.lock().comm;
    comm.iter().copied().take_while(|&byte| byte != 0).collect()
}

/// Gives the program another name, cut to 15 bytes.
pub(super) fn set_command(name: &[u8]) -> Result<(), Errno> {
    let name = name.strip_suffix(b"\n").unwrap_or(name);
    let mut comm = [0; 16];
    for (to, from) in comm.iter_mut().take(15).zip(name) {
        *to = *from;
    }
    process::current().image.lock().comm = comm;
    Ok(())
}

/// Host name.
pub(super) fn hostname() -> Vec<u8> {
    process::current().hostname.lock().clone()
}

/// Since the host's boot, which is what programs compare start times with.
pub(super) fn uptime_ns() -> u64 {
    time::now(time::Clock::Boottime)
}

/// When the program started, on the clock of [`uptime_ns`].
pub(super) fn start_ns() -> u64 {
    process::current().image.lock().start_ns
}

/// Signal sets of the process: pending, blocked, ignored, caught.
pub(super) fn signal_sets() -> [u64; 4] {
    let process = process::current();
    let (ignored, caught) = process.signals.lock().ignored_and_caught();
    let shared = process.signals.lock().pending.set();
    let blocked = process::thread().signals.lock().mask;
    [shared.bits(), blocked.bits(), ignored.bits(), caught.bits()]
}

/// What identifies the processors.
pub(super) struct Processor {
    pub(super) vendor: String,
    pub(super) model_name: String,
    pub(super) family: u32,
    pub(super) model: u32,
    pub(super) stepping: u32,
    pub(super) flags: Vec<&'static str>,
}

/// Flags by leaf, register and bit, in Linux's order of words.
const FLAGS: &[(Register, u32, &str)] = &[
    (Register::Edx1, 0, "fpu"),
    (Register::Edx1, 4, "tsc"),
    (Register::Edx1, 8, "cx8"),
    (Register::Edx1, 15, "cmov"),
    (Register::Edx1, 19, "clflush"),
    (Register::Edx1, 23, "mmx"),
    (Register::Edx1, 24, "fxsr"),
    (Register::Edx1, 25, "sse"),
    (Register::Edx1, 26, "sse2"),
    (Register::Edx1, 28, "ht"),
    (Register::EdxExtended, 20, "nx"),
    (Register::EdxExtended, 27, "rdtscp"),
    (Register::EdxExtended, 29, "lm"),
    (Register::Ecx1, 0, "pni"),
    (Register::Ecx1, 1, "pclmulqdq"),
    (Register::Ecx1, 9, "ssse3"),
    (Register::Ecx1, 12, "fma"),
    (Register::Ecx1, 13, "cx16"),
    (Register::Ecx1, 19, "sse4_1"),
    (Register::Ecx1, 20, "sse4_2"),
    (Register::Ecx1, 22, "movbe"),
    (Register::Ecx1, 23, "popcnt"),
    (Register::Ecx1, 25, "aes"),
    (Register::Ecx1, 26, "xsave"),
    (Register::Ecx1, 28, "avx"),
    (Register::Ecx1, 29, "f16c"),
    (Register::Ecx1, 30, "rdrand"),
    (Register::Ecx1, 31, "hypervisor"),
    (Register::EcxExtended, 0, "lahf_lm"),
    (Register::EcxExtended, 5, "abm"),
    (Register::Ebx7, 3, "bmi1"),
    (Register::Ebx7, 5, "avx2"),
    (Register::Ebx7, 8, "bmi2"),
    (Register::Ebx7, 9, "erms"),
    (Register::Ebx7, 16, "avx512f"),
    (Register::Ebx7, 17, "avx512dq"),
    (Register::Ebx7, 18, "rdseed"),
    (Register::Ebx7, 19, "adx"),
    (Register::Ebx7, 23, "clflushopt"),
    (Register::Ebx7, 28, "avx512cd"),
    (Register::Ebx7, 29, "sha_ni"),
    (Register::Ebx7, 30, "avx512bw"),
    (Register::Ebx7, 31, "avx512vl"),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Register {
    Edx1,
    Ecx1,
    Ebx7,
    EdxExtended,
    EcxExtended,
}

/// Asks the processor.
pub(super) fn processor() -> Processor {
    use core::arch::x86_64::{__cpuid, __cpuid_count};
    let zero = __cpuid(0);
    let one = __cpuid(1);
    let seven = if zero.eax >= 7 {
        __cpuid_count(7, 0).ebx
    } else {
        0
    };
    let extended = __cpuid(0x8000_0000).eax;
    let features = if extended >= 0x8000_0001 {
        Some(__cpuid(0x8000_0001))
    } else {
        None
    };
    let words = |words: &[u32]| -> String {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let text = bytes.split(|&byte| byte == 0).next().unwrap_or(&[]);
        String::from_utf8_lossy(text).trim().into()
    };
    let mut name = Vec::new();
    if extended >= 0x8000_0004 {
        for leaf in 0x8000_0002..=0x8000_0004 {
            let part = __cpuid(leaf);
            name.extend([part.eax, part.ebx, part.ecx, part.edx]);
        }
    }
    let family = one.eax >> 8 & 0xf;
    let model = one.eax >> 4 & 0xf | if family >= 6 { one.eax >> 12 & 0xf0 } else { 0 };
    let has = |register: Register, bit: u32| {
        let word = match register {
            Register::Edx1 => one.edx,
            Register::Ecx1 => one.ecx,
            Register::Ebx7 => seven,
            Register::EdxExtended => features.map_or(0, |leaf| leaf.edx),
            Register::EcxExtended => features.map_or(0, |leaf| leaf.ecx),
        };
        word >> bit & 1 == 1
    };
    let flags = FLAGS
        .iter()
        .filter(|(register, bit, _)| has(*register, *bit));
    Processor {
        vendor: words(&[zero.ebx, zero.edx, zero.ecx]),
        model_name: words(&name),
        family: family
            + if family == 0xf {
                one.eax >> 20 & 0xff
            } else {
                0
            },
        model,
        stepping: one.eax & 0xf,
        flags: flags.map(|(_, _, name)| *name).collect(),
    }
}
