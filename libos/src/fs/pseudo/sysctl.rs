//! The table of `/proc/sys`.

use alloc::vec::Vec;

use spin::Once;

use super::item::{Item, directory, fixed, out, text};
use super::source;
use crate::dev::random;
use crate::fs::pipe::CAPACITY_MAX_BYTES;
use crate::fs::table::NR_OPEN;
use crate::process::{table, threads};
use crate::syscall::queue::{MESSAGE_MAX, QUEUE_BYTES, QUEUES_MAX};
use crate::syscall::system::{RELEASE, VERSION};

pub(super) const ITEMS: &[Item] = &[
    directory("kernel", KERNEL),
    directory("vm", VM),
    directory("fs", FS),
    directory("net", NET),
];

const KERNEL: &[Item] = &[
    fixed!("osrelease", "{RELEASE}\n"),
    fixed!("ostype", "Linux\n"),
    fixed!("version", "{VERSION}\n"),
    text("hostname", |_, content| {
        content.extend_from_slice(&source::hostname());
        content.push(b'\n');
        Ok(())
    }),
    fixed!("domainname", "(none)\n"),
    fixed!("pid_max", "4194304\n"),
    text("ns_last_pid", |_, content| {
        out!(content, "{}\n", threads::last_tid());
        Ok(())
    }),
    fixed!("threads-max", "63000\n"),
    fixed!("ngroups_max", "65536\n"),
    fixed!("cap_last_cap", "40\n"),
    fixed!("overflowuid", "65534\n"),
    fixed!("overflowgid", "65534\n"),
    fixed!("randomize_va_space", "2\n"),
    fixed!("shmmax", "18446744073692774399\n"),
    fixed!("shmall", "18446744073692774399\n"),
    fixed!("shmmni", "4096\n"),
    fixed!("msgmax", "{MESSAGE_MAX}\n"),
    fixed!("msgmnb", "{QUEUE_BYTES}\n"),
    fixed!("msgmni", "{QUEUES_MAX}\n"),
    fixed!("sem", "32000\t1024000000\t500\t32000\n"),
    fixed!("core_pattern", "core\n"),
    fixed!("core_uses_pid", "0\n"),
    fixed!("dmesg_restrict", "1\n"),
    fixed!("kptr_restrict", "2\n"),
    fixed!("panic", "0\n"),
    fixed!("tainted", "0\n"),
    fixed!("unprivileged_bpf_disabled", "2\n"),
    fixed!("sched_rt_period_us", "1000000\n"),
    fixed!("sched_rt_runtime_us", "950000\n"),
    fixed!("sched_rr_timeslice_ms", "100\n"),
    fixed!("numa_balancing", "0\n"),
    directory("yama", &[fixed!("ptrace_scope", "1\n")]),
    directory("seccomp", &[fixed!("actions_avail", "\n")]),
    fixed!("perf_event_paranoid", "4\n"),
    directory(
        "random",
        &[
            text("boot_id", |_, content| {
                static BOOT_ID: Once<[u8; 16]> = Once::new();
                put_uuid(content, *BOOT_ID.call_once(random_bytes));
                Ok(())
            }),
            text("uuid", |_, content| {
                put_uuid(content, random_bytes());
                Ok(())
            }),
            fixed!("entropy_avail", "256\n"),
            fixed!("poolsize", "256\n"),
        ],
    ),
];

const VM: &[Item] = &[
    fixed!("overcommit_memory", "0\n"),
    fixed!("overcommit_ratio", "50\n"),
    fixed!("max_map_count", "1048576\n"),
    fixed!("mmap_min_addr", "65536\n"),
    fixed!("swappiness", "0\n"),
    fixed!("overcommit_kbytes", "0\n"),
    fixed!("nr_hugepages", "0\n"),
    fixed!("nr_overcommit_hugepages", "0\n"),
    fixed!("hugetlb_shm_group", "0\n"),
    fixed!("min_free_kbytes", "0\n"),
    fixed!("panic_on_oom", "0\n"),
    fixed!("oom_kill_allocating_task", "0\n"),
    fixed!("zone_reclaim_mode", "0\n"),
    fixed!("dirty_ratio", "20\n"),
    fixed!("dirty_background_ratio", "10\n"),
    fixed!("vfs_cache_pressure", "100\n"),
    fixed!("unprivileged_userfaultfd", "0\n"),
];

const FS: &[Item] = &[
    fixed!("file-max", "9223372036854775807\n"),
    fixed!("nr_open", "{NR_OPEN}\n"),
    fixed!("pipe-max-size", "{CAPACITY_MAX_BYTES}\n"),
    fixed!("pipe-user-pages-soft", "16384\n"),
    fixed!("pipe-user-pages-hard", "0\n"),
    fixed!("aio-max-nr", "65536\n"),
    fixed!("aio-nr", "0\n"),
    fixed!("lease-break-time", "45\n"),
    fixed!("leases-enable", "0\n"),
    fixed!("overflowuid", "65534\n"),
    fixed!("overflowgid", "65534\n"),
    fixed!("protected_fifos", "0\n"),
    fixed!("protected_hardlinks", "1\n"),
    fixed!("protected_regular", "0\n"),
    fixed!("protected_symlinks", "0\n"),
    fixed!("suid_dumpable", "0\n"),
    directory(
        "inotify",
        &[
            fixed!("max_queued_events", "16384\n"),
            fixed!("max_user_instances", "128\n"),
            fixed!("max_user_watches", "65536\n"),
        ],
    ),
    directory("epoll", &[fixed!("max_user_watches", "3600000\n")]),
    text("file-nr", |_, content| {
        let each = table::everybody().into_iter();
        let open: usize = each
            .map(|seen| seen.process.files.lock().numbers().count())
            .sum();
        out!(content, "{open}\t0\t9223372036854775807\n");
        Ok(())
    }),
];

const NET: &[Item] = &[
    directory(
        "core",
        &[
            fixed!("somaxconn", "4096\n"),
            fixed!("netdev_max_backlog", "1000\n"),
            fixed!("rmem_default", "212992\n"),
            fixed!("rmem_max", "212992\n"),
            fixed!("wmem_default", "212992\n"),
            fixed!("wmem_max", "212992\n"),
            fixed!("optmem_max", "131072\n"),
        ],
    ),
    directory(
        "ipv4",
        &[
            fixed!("ip_forward", "0\n"),
            fixed!("ip_local_port_range", "32768\t60999\n"),
            fixed!("ip_local_reserved_ports", "\n"),
            fixed!("ip_unprivileged_port_start", "1024\n"),
            fixed!("ip_nonlocal_bind", "0\n"),
            fixed!("tcp_fastopen", "1\n"),
            fixed!("tcp_fin_timeout", "60\n"),
            fixed!("tcp_keepalive_time", "7200\n"),
            fixed!("tcp_keepalive_intvl", "75\n"),
            fixed!("tcp_keepalive_probes", "9\n"),
            fixed!("tcp_max_syn_backlog", "1024\n"),
            fixed!("tcp_tw_reuse", "2\n"),
            fixed!("tcp_rmem", "4096\t131072\t6291456\n"),
            fixed!("tcp_wmem", "4096\t16384\t4194304\n"),
        ],
    ),
    directory("unix", &[fixed!("max_dgram_qlen", "10\n")]),
];

fn random_bytes() -> [u8; 16] {
    let mut bytes = [0; 16];
    random::fill(&mut bytes);
    bytes
}

/// A random (version 4) UUID in text.
fn put_uuid(content: &mut Vec<u8>, bytes: [u8; 16]) {
    let version_4 = u128::from_be_bytes(bytes) & !(0xf000 << 64) & !(0xc000 << 48)
        | 0x4000 << 64
        | 0x8000 << 48;
    let field = |shift: u32, digits: u32| version_4 >> shift & ((1 << (digits * 4)) - 1);
    let (low, middle, high) = (field(96, 8), field(80, 4), field(64, 4));
    out!(
        content,
        "{low:08x}-{middle:04x}-{high:04x}-{:04x}-{:012x}\n",
        field(48, 4),
        field(0, 12)
    );
}
