//! The table of `/sys`.

use super::item::{Item, directory, out, text};
use crate::boot;

pub(super) static ROOT: Item = directory(
    "",
    &[
        directory("devices", &[directory("system", &[directory("cpu", CPU)])]),
        directory(
            "kernel",
            &[directory(
                "mm",
                &[directory(
                    "transparent_hugepage",
                    &[
                        text("enabled", |_, content| {
                            out!(content, "[always] madvise never\n");
                            Ok(())
                        }),
                        text("hpage_pmd_size", |_, content| {
                            out!(content, "2097152\n");
                            Ok(())
                        }),
                    ],
                )],
            )],
        ),
        directory("fs", &[directory("cgroup", CGROUP)]),
    ],
);

const CPU: &[Item] = &[
    text("online", cpu_range),
    text("possible", cpu_range),
    text("present", cpu_range),
];

const CGROUP: &[Item] = &[
    text("cgroup.controllers", |_, content| {
        out!(content, "cpu memory pids\n");
        Ok(())
    }),
    text("cpu.max", |_, content| {
        out!(content, "max 100000\n");
        Ok(())
    }),
    text("memory.max", |_, content| {
        out!(content, "{}\n", crate::mm::limit_bytes());
        Ok(())
    }),
    text("memory.current", |_, content| {
        out!(content, "{}\n", crate::mm::used_bytes());
        Ok(())
    }),
    text("memory.swap.max", |_, content| {
        out!(content, "0\n");
        Ok(())
    }),
    text("pids.max", |_, content| {
        out!(content, "max\n");
        Ok(())
    }),
];

fn cpu_range(_: u32, content: &mut alloc::vec::Vec<u8>) -> Result<(), crate::errno::Errno> {
    match boot::info().map_or(1, |info| info.vcpu_count) {
        0 | 1 => out!(content, "0\n"),
        count => out!(content, "0-{}\n", count - 1),
    }
    Ok(())
}
