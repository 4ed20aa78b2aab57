//! What the processor says of itself by CPUID: name, features, caches.
//!
//! Source: the manuals' CPUID leaves; names of features are Linux's.

use alloc::string::String;
use alloc::vec::Vec;
use core::arch::x86_64::{__cpuid, __cpuid_count, CpuidResult};

/// First extended leaf; its EAX is the last one.
const EXTENDED: u32 = 0x8000_0000;

/// What identifies the processors, which are all alike.
pub(super) struct Processor {
    pub(super) vendor: String,
    pub(super) model_name: String,
    pub(super) family: u32,
    pub(super) model: u32,
    pub(super) stepping: u32,
    /// Last basic leaf.
    pub(super) level: u32,
    pub(super) flags: Vec<&'static str>,
    pub(super) physical_bits: u32,
    pub(super) virtual_bits: u32,
    pub(super) cache_line_bytes: u32,
}

/// A cache of a processor.
pub(super) struct Cache {
    pub(super) level: u32,
    pub(super) kind: &'static str,
    pub(super) line_bytes: u32,
    pub(super) ways: u32,
    pub(super) partitions: u32,
    pub(super) sets: u32,
}

impl Cache {
    pub(super) fn bytes(&self) -> u64 {
        [self.line_bytes, self.ways, self.partitions, self.sets]
            .into_iter()
            .map(u64::from)
            .product()
    }
}

/// One register of features: its leaf, subleaf, which register, and the name of
/// each bit that has one, by number.
struct Word {
    leaf: u32,
    subleaf: u32,
    register: fn(&CpuidResult) -> u32,
    names: &'static [(u32, &'static str)],
}

/// In Linux's order.
const WORDS: &[Word] = &[
    Word {
        leaf: 1,
        subleaf: 0,
        register: |leaf| leaf.edx,
        names: &[
            (0, "fpu"),
            (1, "vme"),
            (2, "de"),
            (3, "pse"),
            (4, "tsc"),
            (5, "msr"),
            (6, "pae"),
            (7, "mce"),
            (8, "cx8"),
            (9, "apic"),
            (11, "sep"),
            (12, "mtrr"),
            (13, "pge"),
            (14, "mca"),
            (15, "cmov"),
            (16, "pat"),
            (17, "pse36"),
            (19, "clflush"),
            (23, "mmx"),
            (24, "fxsr"),
            (25, "sse"),
            (26, "sse2"),
            (27, "ss"),
            (28, "ht"),
        ],
    },
    Word {
        leaf: 0x8000_0001,
        subleaf: 0,
        register: |leaf| leaf.edx,
        names: &[
            (11, "syscall"),
            (20, "nx"),
            (22, "mmxext"),
            (25, "fxsr_opt"),
            (26, "pdpe1gb"),
            (27, "rdtscp"),
            (29, "lm"),
        ],
    },
    Word {
        leaf: 0x8000_0007,
        subleaf: 0,
        register: |leaf| leaf.edx,
        names: &[(8, "constant_tsc nonstop_tsc")],
    },
    Word {
        leaf: 1,
        subleaf: 0,
        register: |leaf| leaf.ecx,
        names: &[
            (0, "pni"),
            (1, "pclmulqdq"),
            (9, "ssse3"),
            (12, "fma"),
            (13, "cx16"),
            (17, "pcid"),
            (19, "sse4_1"),
            (20, "sse4_2"),
            (21, "x2apic"),
            (22, "movbe"),
            (23, "popcnt"),
            (24, "tsc_deadline_timer"),
            (25, "aes"),
            (26, "xsave"),
            (28, "avx"),
            (29, "f16c"),
            (30, "rdrand"),
            (31, "hypervisor"),
        ],
    },
    Word {
        leaf: 0x8000_0001,
        subleaf: 0,
        register: |leaf| leaf.ecx,
        names: &[
            (0, "lahf_lm"),
            (1, "cmp_legacy"),
            (4, "cr8_legacy"),
            (5, "abm"),
            (6, "sse4a"),
            (7, "misalignsse"),
            (8, "3dnowprefetch"),
            (11, "xop"),
            (16, "fma4"),
            (21, "tbm"),
        ],
    },
    Word {
        leaf: 7,
        subleaf: 0,
        register: |leaf| leaf.ebx,
        names: &[
            (0, "fsgsbase"),
            (1, "tsc_adjust"),
            (3, "bmi1"),
            (4, "hle"),
            (5, "avx2"),
            (7, "smep"),
            (8, "bmi2"),
            (9, "erms"),
            (10, "invpcid"),
            (11, "rtm"),
            (16, "avx512f"),
            (17, "avx512dq"),
            (18, "rdseed"),
            (19, "adx"),
            (20, "smap"),
            (21, "avx512ifma"),
            (23, "clflushopt"),
            (24, "clwb"),
            (26, "avx512pf"),
            (27, "avx512er"),
            (28, "avx512cd"),
            (29, "sha_ni"),
            (30, "avx512bw"),
            (31, "avx512vl"),
        ],
    },
    Word {
        leaf: 0xd,
        subleaf: 1,
        register: |leaf| leaf.eax,
        names: &[
            (0, "xsaveopt"),
            (1, "xsavec"),
            (2, "xgetbv1"),
            (3, "xsaves"),
        ],
    },
    Word {
        leaf: 7,
        subleaf: 1,
        register: |leaf| leaf.eax,
        names: &[(4, "avx_vnni"), (5, "avx512_bf16")],
    },
    Word {
        leaf: 0x8000_0008,
        subleaf: 0,
        register: |leaf| leaf.ebx,
        names: &[(0, "clzero"), (9, "wbnoinvd")],
    },
    Word {
        leaf: 7,
        subleaf: 0,
        register: |leaf| leaf.ecx,
        names: &[
            (1, "avx512vbmi"),
            (2, "umip"),
            (3, "pku"),
            (4, "ospke"),
            (5, "waitpkg"),
            (6, "avx512_vbmi2"),
            (8, "gfni"),
            (9, "vaes"),
            (10, "vpclmulqdq"),
            (11, "avx512_vnni"),
            (12, "avx512_bitalg"),
            (14, "avx512_vpopcntdq"),
            (16, "la57"),
            (22, "rdpid"),
            (25, "cldemote"),
            (27, "movdiri"),
            (28, "movdir64b"),
        ],
    },
    Word {
        leaf: 7,
        subleaf: 0,
        register: |leaf| leaf.edx,
        names: &[
            (4, "fsrm"),
            (8, "avx512_vp2intersect"),
            (10, "md_clear"),
            (14, "serialize"),
            (16, "tsxldtrk"),
            (22, "amx_bf16"),
            (23, "avx512_fp16"),
            (24, "amx_tile"),
            (25, "amx_int8"),
            (28, "flush_l1d"),
            (29, "arch_capabilities"),
        ],
    },
];

/// A leaf, or nothing where the processor has no such leaf.
fn leaf(number: u32, subleaf: u32) -> Option<CpuidResult> {
    let last = __cpuid(number & EXTENDED).eax;
    (number <= last).then(|| __cpuid_count(number, subleaf))
}

fn text_of(words: impl IntoIterator<Item = u32>) -> String {
    let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    let text = bytes.split(|&byte| byte == 0).next().unwrap_or(&[]);
    String::from_utf8_lossy(text).trim().into()
}

/// Family, model and stepping of leaf 1's EAX.
fn version(eax: u32) -> (u32, u32, u32) {
    let (family, model) = (eax >> 8 & 0xf, eax >> 4 & 0xf);
    let full_family = if family == 0xf {
        family + (eax >> 20 & 0xff)
    } else {
        family
    };
    let full_model = if family >= 6 {
        model | eax >> 12 & 0xf0
    } else {
        model
    };
    (full_family, full_model, eax & 0xf)
}

/// Asks the processor.
pub(super) fn processor() -> Processor {
    let (zero, one) = (__cpuid(0), __cpuid(1));
    let (family, model, stepping) = version(one.eax);
    let name = (0x8000_0002..=0x8000_0004)
        .filter_map(|number| leaf(number, 0))
        .flat_map(|part| [part.eax, part.ebx, part.ecx, part.edx]);
    let sizes =
        leaf(0x8000_0008, 0).map_or((36, 48), |leaf| (leaf.eax & 0xff, leaf.eax >> 8 & 0xff));
    Processor {
        vendor: text_of([zero.ebx, zero.edx, zero.ecx]),
        model_name: text_of(name),
        family,
        model,
        stepping,
        level: zero.eax,
        flags: flags(),
        physical_bits: sizes.0,
        virtual_bits: sizes.1,
        cache_line_bytes: (one.ebx >> 8 & 0xff) * 8,
    }
}

fn flags() -> Vec<&'static str> {
    let mut flags = Vec::new();
    for word in WORDS {
        let Some(leaf) = leaf(word.leaf, word.subleaf) else {
            continue;
        };
        let bits = (word.register)(&leaf);
        let set = word.names.iter().filter(|(bit, _)| bits >> bit & 1 == 1);
        flags.extend(set.map(|(_, name)| *name));
    }
    flags
}

/// The caches of one processor, innermost first; none where CPUID lists none.
pub(super) fn caches() -> Vec<Cache> {
    const AMD: [u32; 3] = [0x6874_7541, 0x6974_6e65, 0x444d_4163];
    let zero = __cpuid(0);
    // AMD lists them in a leaf of its own, in the same form.
    let number = if [zero.ebx, zero.edx, zero.ecx] == AMD {
        0x8000_001d
    } else {
        4
    };
    let mut caches = Vec::new();
    while let Some(found) = leaf(number, caches.len() as u32).and_then(|leaf| cache(&leaf)) {
        caches.push(found);
        // Four levels of two kinds are more than any processor has.
        if caches.len() == 8 {
            break;
        }
    }
    caches
}

fn cache(leaf: &CpuidResult) -> Option<Cache> {
    let kind = match leaf.eax & 0x1f {
        1 => "Data",
        2 => "Instruction",
        3 => "Unified",
        _ => return None,
    };
    Some(Cache {
        level: leaf.eax >> 5 & 7,
        kind,
        line_bytes: (leaf.ebx & 0xfff) + 1,
        partitions: (leaf.ebx >> 12 & 0x3ff) + 1,
        ways: (leaf.ebx >> 22) + 1,
        sets: leaf.ecx.wrapping_add(1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_put_together_as_linux_does() {
        // A Sapphire Rapids and a Zen 2.
        assert_eq!(version(0x000c_06f2), (6, 0xcf, 2));
        assert_eq!(version(0x0083_0f10), (0x17, 0x31, 0));
    }

    #[test]
    fn this_processor_has_what_every_one_has() {
        let processor = processor();
        for flag in ["fpu", "sse2", "lm", "syscall"] {
            assert!(processor.flags.contains(&flag), "{flag}");
        }
        assert!(processor.physical_bits >= 36 && processor.virtual_bits >= 48);
    }

    #[test]
    fn a_cache_is_as_large_as_its_parts() {
        let leaf = CpuidResult {
            eax: 0x21,
            ebx: 0x01c0_003f,
            ecx: 63,
            edx: 0,
        };
        let cache = cache(&leaf).expect("a data cache");
        assert_eq!((cache.level, cache.bytes()), (1, 32 << 10));
    }
}
