//! The table of `/sys`.

use super::item::{Item, Mounted, directory, fixed, mount};
use super::{cgroup, cpu};
use crate::fs::attributes::CGROUP_DEVICE;

pub(super) static ROOT: Item = directory(
    "",
    &[
        directory("block", &[]),
        directory("bus", &[]),
        directory("class", &[]),
        directory("dev", &[directory("block", &[]), directory("char", &[])]),
        directory(
            "devices",
            &[
                directory("system", &[cpu::PROCESSORS, cpu::NODES]),
                directory("virtual", &[]),
            ],
        ),
        directory("firmware", &[]),
        directory("fs", &[mount("cgroup", cgroup::ITEMS, CGROUP)]),
        directory("kernel", &[directory("mm", &[LARGE_PAGES])]),
        directory("module", &[]),
        directory("power", &[]),
    ],
);

const CGROUP: Mounted = Mounted {
    device: CGROUP_DEVICE,
    read_only: true,
};

const LARGE_PAGES: Item = directory(
    "transparent_hugepage",
    &[
        fixed!("enabled", "[always] madvise never\n"),
        fixed!("defrag", "always defer defer+madvise [madvise] never\n"),
        fixed!("hpage_pmd_size", "2097152\n"),
        fixed!(
            "shmem_enabled",
            "always within_size advise [never] deny force\n"
        ),
        fixed!("use_zero_page", "0\n"),
    ],
);
