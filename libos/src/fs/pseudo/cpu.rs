//! `/sys/devices/system/cpu` and `node`: one package of cores without siblings,
//! all on one memory node.

use alloc::vec::Vec;

use super::item::{Item, Kind, Numbers, directory, fixed, item, out, text};
use super::processor::{Cache, caches};
use super::source;
use crate::errno::Errno;
use crate::mm;
use crate::sched::cpu_count;

/// Most processors that there can be.
const CPUS_MAX: u32 = 64;

pub(super) const PROCESSORS: Item = item(
    "cpu",
    0o555,
    Kind::Numbered {
        items: &[
            text("online", online),
            text("possible", online),
            text("present", online),
            fixed!("offline", "\n"),
            fixed!("isolated", "\n"),
            fixed!("kernel_max", "{}\n", CPUS_MAX - 1),
            directory(
                "smt",
                &[
                    fixed!("active", "0\n"),
                    fixed!("control", "notimplemented\n"),
                ],
            ),
        ],
        prefix: "cpu",
        numbers: |_| (0..cpu_count()).collect(),
        child: &PROCESSOR,
    },
);

static PROCESSOR: Item = directory(
    "",
    &[
        directory("topology", TOPOLOGY),
        item(
            "cache",
            0o555,
            Kind::Numbered {
                items: &[],
                prefix: "index",
                numbers: |_| (0..).zip(caches()).map(|(index, _)| index).collect(),
                child: &CACHE,
            },
        ),
    ],
);

const TOPOLOGY: &[Item] = &[
    fixed!("physical_package_id", "0\n"),
    fixed!("die_id", "0\n"),
    text("core_id", |numbers, content| {
        out!(content, "{}\n", numbers.last());
        Ok(())
    }),
    text("thread_siblings", own_mask),
    text("thread_siblings_list", own_list),
    text("core_cpus", own_mask),
    text("core_cpus_list", own_list),
    text("core_siblings", all_mask),
    text("core_siblings_list", online),
    text("package_cpus", all_mask),
    text("package_cpus_list", online),
    text("die_cpus", all_mask),
    text("die_cpus_list", online),
];

static CACHE: Item = directory(
    "",
    &[
        text("coherency_line_size", |numbers, content| {
            cache_row(numbers, content, |cache| u64::from(cache.line_bytes))
        }),
        text("level", |numbers, content| {
            cache_row(numbers, content, |cache| u64::from(cache.level))
        }),
        text("number_of_sets", |numbers, content| {
            cache_row(numbers, content, |cache| u64::from(cache.sets))
        }),
        text("physical_line_partition", |numbers, content| {
            cache_row(numbers, content, |cache| u64::from(cache.partitions))
        }),
        text("ways_of_associativity", |numbers, content| {
            cache_row(numbers, content, |cache| u64::from(cache.ways))
        }),
        text("size", |numbers, content| {
            out!(content, "{}K\n", cache(numbers)?.bytes() / 1024);
            Ok(())
        }),
        text("type", |numbers, content| {
            out!(content, "{}\n", cache(numbers)?.kind);
            Ok(())
        }),
        // The outermost level is the package's, the others a core's own.
        text("shared_cpu_list", |numbers, content| {
            if is_outermost(numbers)? {
                return online(numbers, content);
            }
            own_list(numbers.without_last(), content)
        }),
        text("shared_cpu_map", |numbers, content| {
            if is_outermost(numbers)? {
                return all_mask(numbers, content);
            }
            own_mask(numbers.without_last(), content)
        }),
    ],
);

fn cache(numbers: Numbers) -> Result<Cache, Errno> {
    let mut caches = caches().into_iter();
    caches.nth(numbers.last() as usize).ok_or(Errno::ENODEV)
}

fn cache_row(
    numbers: Numbers,
    content: &mut Vec<u8>,
    value: fn(&Cache) -> u64,
) -> Result<(), Errno> {
    out!(content, "{}\n", value(&cache(numbers)?));
    Ok(())
}

fn is_outermost(numbers: Numbers) -> Result<bool, Errno> {
    let level = cache(numbers)?.level;
    Ok(level > 2 && caches().iter().all(|other| other.level <= level))
}

fn own_mask(numbers: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    put_mask(content, 1 << (numbers.last() % CPUS_MAX));
    Ok(())
}

fn own_list(numbers: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    out!(content, "{}\n", numbers.last());
    Ok(())
}

fn all_mask(_: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    put_mask(
        content,
        u64::MAX >> (CPUS_MAX - cpu_count().clamp(1, CPUS_MAX)),
    );
    Ok(())
}

/// All processors as a list, such as `0-3`.
pub(super) fn online(_: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    put_list(content, cpu_count());
    content.push(b'\n');
    Ok(())
}

/// The first `count` processors.
pub(super) fn put_list(content: &mut Vec<u8>, count: u32) {
    match count {
        0 | 1 => out!(content, "0"),
        count => out!(content, "0-{}", count - 1),
    }
}

/// The processors of a mask: `0-1,3`.
pub(super) fn put_ranges(content: &mut Vec<u8>, mask: u64) {
    let mut comma = "";
    let mut first = 0;
    while let Some(rest) = mask.checked_shr(first).filter(|rest| *rest != 0) {
        first += rest.trailing_zeros();
        let last = first + (mask >> first).trailing_ones() - 1;
        out!(content, "{comma}{first}");
        if last > first {
            out!(content, "-{last}");
        }
        comma = ",";
        first = last + 1;
    }
}

/// A mask in groups of eight digits; as many as there may be processors.
pub(super) fn put_mask(content: &mut Vec<u8>, mask: u64) {
    if cpu_count() > 32 {
        out!(content, "{:08x},{:08x}\n", mask >> 32, mask & 0xffff_ffff);
    } else {
        let digits = cpu_count().div_ceil(4) as usize;
        out!(content, "{mask:0digits$x}\n");
    }
}

pub(super) const NODES: Item = item(
    "node",
    0o555,
    Kind::Numbered {
        items: &[
            fixed!("online", "0\n"),
            fixed!("possible", "0\n"),
            fixed!("has_cpu", "0\n"),
            fixed!("has_memory", "0\n"),
            fixed!("has_normal_memory", "0\n"),
        ],
        prefix: "node",
        numbers: |_| alloc::vec![0],
        child: &NODE,
    },
);

static NODE: Item = directory(
    "",
    &[
        text("cpulist", online),
        text("cpumap", all_mask),
        fixed!("distance", "10\n"),
        text("meminfo", |_, content| {
            let total = mm::limit_bytes() / 1024;
            let free = mm::available_bytes() / 1024;
            for (name, kib) in [
                ("MemTotal", total),
                ("MemFree", free),
                ("MemUsed", total.saturating_sub(free)),
                ("AnonPages", source::used_bytes() / 1024),
            ] {
                let label = alloc::format!("{name}:");
                out!(content, "Node 0 {label:<16}{kib:>8} kB\n");
            }
            Ok(())
        }),
    ],
);
