//! Real contents of both interfaces, and damaged ones.

use std::fs;

use super::*;
use crate::cgroup::tests::Fake;

const V1_MEMORY_STAT: &str = "cache 1\nrss 2\ninactive_file 3\n\
    hierarchical_memory_limit 9223372036854771712\ntotal_cache 18005880832\n\
    total_rss 19202048\ntotal_rss_huge 0\ntotal_mapped_file 10985472\ntotal_swap 4096\n\
    total_pgfault 1169498433\ntotal_pgmajfault 272066\ntotal_inactive_anon 8142848\n\
    total_active_anon 1613824\ntotal_inactive_file 11685232640\n\
    total_active_file 6311559168\ntotal_unevictable 18350080\n";

const V2_MEMORY_STAT: &str = "anon 4096000\nfile 8192000\nkernel 1024000\nfile_mapped 204800\n\
    inactive_file 1024000\nactive_file 512000\npgfault 4711\npgmajfault 11\n";

#[test]
fn version_1() {
    let fake = Fake::v1();
    fake.fill("cpuacct,cpu", "cpuacct.usage", "59356117021584\n");
    fake.fill(
        "cpuacct,cpu",
        "cpuacct.stat",
        "user 4518293\nsystem 1417317\n",
    );
    fake.fill(
        "cpuacct,cpu",
        "cpu.stat",
        "nr_periods 10\nnr_throttled 3\nthrottled_time 70000\nnr_bursts 0\nburst_time 0\n",
    );
    fake.fill("cpuacct,cpu", "cpu.cfs_quota_us", "50000\n");
    fake.fill("cpuacct,cpu", "cpu.cfs_period_us", "100000\n");
    fake.fill("cpuacct,cpu", "cpu.shares", "512\n");
    fake.fill("memory", "memory.stat", V1_MEMORY_STAT);
    fake.fill("memory", "memory.usage_in_bytes", "18025033728\n");
    fake.fill("memory", "memory.max_usage_in_bytes", "18025033729\n");
    fake.fill("memory", "memory.limit_in_bytes", "20000000000\n");
    fake.fill("memory", "memory.memsw.limit_in_bytes", "20000004096\n");
    fake.fill("memory", "memory.kmem.usage_in_bytes", "77\n");
    fake.fill("memory", "memory.failcnt", "6\n");
    fake.fill(
        "memory",
        "memory.oom_control",
        "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    );
    fake.fill("pids", "pids.current", "12\n");
    fake.fill("pids", "pids.max", "max\n");
    let stats = read(&fake.hierarchies(), Fake::PATH).unwrap().unwrap();
    assert_eq!(
        stats.cpu.unwrap(),
        CpuStats {
            usage_ns: 59_356_117_021_584,
            user_ns: 45_182_930_000_000,
            system_ns: 14_173_170_000_000,
            periods: 10,
            throttled_periods: 3,
            throttled_ns: 70_000,
            quota_us: Some(50_000),
            period_us: 100_000,
            shares: Some(512),
        }
    );
    assert_eq!(
        stats.memory.unwrap(),
        MemoryStats {
            usage_bytes: 18_025_033_728,
            working_set_bytes: 6_339_801_088,
            peak_bytes: Some(18_025_033_729),
            limit_bytes: Some(20_000_000_000),
            rss_bytes: 19_202_048,
            cache_bytes: 18_005_880_832,
            mapped_file_bytes: 10_985_472,
            active_file_bytes: 6_311_559_168,
            inactive_file_bytes: 11_685_232_640,
            kernel_bytes: 77,
            swap_bytes: Some(4096),
            swap_limit_bytes: Some(4096),
            page_faults: 1_169_498_433,
            major_page_faults: 272_066,
            limit_hits: 6,
        }
    );
    let pids = PidsStats {
        current: 12,
        limit: None,
    };
    assert_eq!((stats.oom_kills, stats.pids), (2, Some(pids)));
    assert!(stats.io.is_none() && stats.pressure == PressureStats::default());
    assert!(stats.timestamp_ns > 1_700_000_000_000_000_000);
}

#[test]
fn version_2() {
    let fake = Fake::v2();
    fake.fill(
        "",
        "cpu.stat",
        "usage_usec 1000\nuser_usec 600\nsystem_usec 400\nnice_usec 1\n\
         nr_periods 5\nnr_throttled 2\nthrottled_usec 33\n",
    );
    fake.fill("", "cpu.max", "max 50000\n");
    fake.fill("", "cpu.weight", "100\n");
    fake.fill("", "memory.stat", V2_MEMORY_STAT);
    fake.fill("", "memory.current", "13312000\n");
    fake.fill("", "memory.max", "max\n");
    fake.fill("", "memory.swap.current", "0\n");
    fake.fill("", "memory.swap.max", "0\n");
    fake.fill(
        "",
        "memory.events",
        "low 0\nhigh 0\nmax 9\noom 4\noom_kill 3\noom_group_kill 0\n",
    );
    fake.fill("", "pids.current", "3\n");
    fake.fill("", "pids.max", "100\n");
    fake.fill(
        "",
        "io.stat",
        "8:16 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0\n\
         8:0 rbytes=100 wbytes=4 rios=2 wios=1 dbytes=50331648 dios=3021\n253:0\n",
    );
    fake.fill(
        "",
        "memory.pressure",
        "some avg10=4.32 avg60=2.40 avg300=3.41 total=394285574\n\
         full avg10=4.28 avg60=2.16 avg300=2.84 total=142378740\n",
    );
    let stats = read(&fake.hierarchies(), Fake::PATH).unwrap().unwrap();
    let cpu = stats.cpu.unwrap();
    assert_eq!(
        (cpu.usage_ns, cpu.user_ns, cpu.system_ns),
        (1_000_000, 600_000, 400_000)
    );
    assert_eq!(
        (cpu.throttled_ns, cpu.quota_us, cpu.period_us),
        (33_000, None, 50_000)
    );
    assert_eq!(cpu.shares, Some(100));
    let memory = stats.memory.unwrap();
    assert_eq!(memory.working_set_bytes, 12_288_000);
    assert_eq!(
        (memory.rss_bytes, memory.cache_bytes),
        (4_096_000, 8_192_000)
    );
    assert_eq!((memory.page_faults, memory.major_page_faults), (4711, 11));
    assert_eq!(
        (memory.limit_bytes, memory.swap_limit_bytes),
        (None, Some(0))
    );
    assert_eq!((memory.limit_hits, memory.kernel_bytes), (9, 1_024_000));
    assert_eq!(memory.peak_bytes, None, "an older kernel");
    assert_eq!(stats.oom_kills, 3);
    let pids = PidsStats {
        current: 3,
        limit: Some(100),
    };
    assert_eq!(stats.pids, Some(pids));
    let io = stats.io.unwrap();
    assert_eq!((io.read_bytes, io.written_bytes), (1_459_300, 314_773_508));
    assert_eq!((io.reads, io.writes), (194, 354));
    let pressure = stats.pressure.memory.unwrap();
    assert_eq!(
        (pressure.some.avg10, pressure.full.total_us),
        (4.32, 142_378_740)
    );
    assert!(stats.pressure.cpu.is_none());
}

#[test]
fn missing_controllers_are_no_errors() {
    let fake = Fake::v2();
    let stats = read(&fake.hierarchies(), Fake::PATH).unwrap().unwrap();
    assert_eq!(
        (stats.cpu, stats.memory, stats.pids, stats.io),
        (None, None, None, None)
    );
    assert_eq!(read(&fake.hierarchies(), "/gone").unwrap(), None);
}

#[test]
fn damaged_files_name_themselves_and_the_line() {
    let cases: &[(&str, &str, &str)] = &[
        ("cpu.stat", "usage_usec 1\nuser_usec\n", "cpu.stat line 2: "),
        (
            "cpu.stat",
            "usage_usec 1\n",
            "cpu.stat line 1: there is no line user_usec",
        ),
        (
            "cpu.stat",
            "",
            "cpu.stat line 1: there is no line usage_usec",
        ),
        (
            "cpu.max",
            "max\n",
            "cpu.max line 1: \"max\" is no `QUOTA PERIOD`",
        ),
        ("cpu.max", "x 1\n", "cpu.max line 1: \"x\" is no number"),
        ("cpu.weight", "\n", "cpu.weight line 1: \"\" is no number"),
        (
            "memory.current",
            "-5\n",
            "memory.current line 1: \"-5\" is no number",
        ),
        (
            "memory.stat",
            "anon 1\nfile two\n",
            "memory.stat line 2: \"two\" is no number",
        ),
        (
            "memory.events",
            "low 0\n",
            "memory.events line 1: there is no line max",
        ),
        (
            "memory.max",
            "all\n",
            "memory.max line 1: \"all\" is no number",
        ),
        ("pids.max", "1 2\n", "pids.max line 1: \"1 2\" is no number"),
        (
            "io.stat",
            "8:0 rbytes=1\n8:1 rbytes\n",
            "io.stat line 2: \"rbytes\" is no",
        ),
        (
            "io.stat",
            "8:0 rbytes=y\n",
            "io.stat line 1: \"y\" is no number",
        ),
        (
            "cpu.pressure",
            "much avg10=0\n",
            "cpu.pressure line 1: it is neither",
        ),
        (
            "cpu.pressure",
            "some avg10=z\n",
            "cpu.pressure line 1: \"avg10=z\" is no",
        ),
        (
            "cpu.pressure",
            "some total=1.5\n",
            "cpu.pressure line 1: \"1.5\" is no number",
        ),
    ];
    for (name, content, expected) in cases {
        let fake = Fake::v2();
        fake.fill("", "cpu.stat", "usage_usec 1\nuser_usec 1\nsystem_usec 0\n");
        fake.fill("", "memory.current", "1\n");
        fake.fill("", "memory.stat", V2_MEMORY_STAT);
        fake.fill("", "pids.current", "1\n");
        fake.fill("", name, content);
        let error = read(&fake.hierarchies(), Fake::PATH)
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
    let fake = Fake::v2();
    fs::write(fake.file("", "cpu.stat"), [0xff, 0xfe]).unwrap();
    let error = read(&fake.hierarchies(), Fake::PATH).unwrap_err();
    assert!(matches!(error, CgroupError::Read { .. }), "{error}");
}
