//! Values and their order, in layouts made of plain files.

use std::fs;

use super::*;
use crate::cgroup::tests::Fake;
use crate::proto::{HugepageLimit, LinuxContainerResources};

/// `FILE = VALUE` of each step.
fn steps(fake: &Fake, resources: &LinuxContainerResources) -> Result<Vec<String>, CgroupError> {
    let hierarchies = fake.hierarchies();
    let target = Target {
        hierarchies: &hierarchies,
        path: Fake::PATH,
        root: fake.root(),
        refusals: &[],
    };
    let steps = plan(target, &Limits::of(resources)?)?;
    let name = |step: &Step| step.file.file_name().unwrap().to_str().unwrap().to_owned();
    Ok(steps
        .iter()
        .map(|step| format!("{} = {}", name(step), step.value))
        .collect())
}

fn memory(memory: i64, both: i64) -> LinuxContainerResources {
    LinuxContainerResources {
        memory_limit_in_bytes: memory,
        memory_swap_limit_in_bytes: both,
        ..Default::default()
    }
}

fn with_memory_v1(memory: &str, both: Option<&str>) -> Fake {
    let fake = Fake::v1();
    fake.fill("memory", "memory.limit_in_bytes", memory);
    if let Some(both) = both {
        fake.fill("memory", "memory.memsw.limit_in_bytes", both);
    }
    fake
}

const UNLIMITED: &str = "9223372036854771712\n";

#[test]
fn memory_of_version_1_in_the_order_that_works() {
    let (m, s) = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes");
    let new = with_memory_v1(UNLIMITED, Some(UNLIMITED));
    assert_eq!(
        steps(&new, &memory(1000, 1000)).unwrap(),
        [format!("{m} = 1000"), format!("{s} = 1000")]
    );
    assert_eq!(
        steps(&new, &memory(1000, 0)).unwrap(),
        [format!("{m} = 1000")]
    );
    let small = with_memory_v1("1000\n", Some("1500\n"));
    let raised = [format!("{s} = 9000"), format!("{m} = 8000")];
    assert_eq!(steps(&small, &memory(8000, 9000)).unwrap(), raised);
    // As much swap as before: 500.
    let raised = [format!("{s} = 8500"), format!("{m} = 8000")];
    assert_eq!(steps(&small, &memory(8000, 0)).unwrap(), raised);
    let lowered = [format!("{m} = 100"), format!("{s} = 600")];
    assert_eq!(steps(&small, &memory(100, 0)).unwrap(), lowered);
    let none = [format!("{s} = -1"), format!("{m} = -1")];
    assert_eq!(steps(&small, &memory(-1, 0)).unwrap(), none);
}

#[test]
fn a_swap_limit_without_accounting() {
    let fake = with_memory_v1(UNLIMITED, None);
    let only = ["memory.limit_in_bytes = 1000"];
    assert_eq!(
        steps(&fake, &memory(1000, 1000)).unwrap(),
        only,
        "no swap at all"
    );
    fake.meminfo("MemTotal: 5 kB\nSwapTotal:       1048572 kB\n");
    let error = steps(&fake, &memory(1000, 1500)).unwrap_err().to_string();
    assert!(
        error.contains("1500 bytes of memory and swap cannot be enforced"),
        "{error}"
    );
    assert!(error.contains("memory.memsw.limit_in_bytes"), "{error}");
    assert_eq!(
        steps(&fake, &memory(1000, 0)).unwrap(),
        only,
        "not asked for"
    );
    assert_eq!(
        steps(&fake, &memory(1000, -1)).unwrap(),
        only,
        "no limit is the case"
    );
}

#[test]
fn memory_of_version_2() {
    let fake = Fake::v2();
    let error = steps(&fake, &memory(1000, 0)).unwrap_err().to_string();
    assert!(
        error.starts_with("the memory limit of 1000 bytes cannot be enforced"),
        "{error}"
    );
    fake.fill("", "memory.max", "max\n");
    fake.fill("", "memory.swap.max", "max\n");
    let both = ["memory.max = 1000", "memory.swap.max = 500"];
    assert_eq!(steps(&fake, &memory(1000, 1500)).unwrap(), both);
    let none = ["memory.max = max", "memory.swap.max = max"];
    assert_eq!(steps(&fake, &memory(-1, -1)).unwrap(), none);
}

#[test]
fn memory_is_not_taken_below_its_use() {
    let fake = Fake::v2();
    fake.fill("", "memory.max", "max\n");
    fake.fill("", "memory.current", "9000\n");
    fake.fill(
        "",
        "memory.stat",
        "anon 1\nfile 1\nfile_mapped 0\nactive_file 0\ninactive_file 4000\npgfault 0\npgmajfault 0\n",
    );
    assert!(
        steps(&fake, &memory(5000, 0)).is_ok(),
        "4000 can be taken back"
    );
    let error = steps(&fake, &memory(4999, 0)).unwrap_err();
    let CgroupError::BelowUse {
        limit_bytes,
        used_bytes,
        ..
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!((limit_bytes, used_bytes), (4999, 5000));
}

fn cpu(shares: i64, quota: i64, period: i64) -> LinuxContainerResources {
    LinuxContainerResources {
        cpu_shares: shares,
        cpu_quota: quota,
        cpu_period: period,
        ..Default::default()
    }
}

#[test]
fn cpu_of_both_versions() {
    let v1 = Fake::v1();
    let place = "cpuacct,cpu";
    v1.fill(place, "cpu.shares", "1024\n");
    v1.fill(place, "cpu.cfs_quota_us", "-1\n");
    v1.fill(place, "cpu.cfs_period_us", "100000\n");
    let new = [
        "cpu.shares = 512",
        "cpu.cfs_period_us = 50000",
        "cpu.cfs_quota_us = 25000",
    ];
    assert_eq!(steps(&v1, &cpu(512, 25_000, 50_000)).unwrap(), new);
    v1.fill(place, "cpu.cfs_quota_us", "25000\n");
    let live = [
        "cpu.cfs_quota_us = -1",
        "cpu.cfs_period_us = 200000",
        "cpu.cfs_quota_us = 5000",
    ];
    assert_eq!(steps(&v1, &cpu(0, 5000, 200_000)).unwrap(), live);
    assert_eq!(
        steps(&v1, &cpu(0, -1, 0)).unwrap(),
        ["cpu.cfs_quota_us = -1"]
    );

    let v2 = Fake::v2();
    v2.fill("", "cpu.weight", "100\n");
    v2.fill("", "cpu.max", "30000 60000\n");
    let both = ["cpu.weight = 59", "cpu.max = 25000 50000"];
    assert_eq!(steps(&v2, &cpu(512, 25_000, 50_000)).unwrap(), both);
    assert_eq!(
        steps(&v2, &cpu(0, 1000, 0)).unwrap(),
        ["cpu.max = 1000 60000"]
    );
    assert_eq!(
        steps(&v2, &cpu(0, 0, 90_000)).unwrap(),
        ["cpu.max = 30000 90000"]
    );
    assert_eq!(steps(&v2, &cpu(0, -1, 0)).unwrap(), ["cpu.max = max 60000"]);
}

#[test]
fn a_limit_without_its_controller() {
    let fake = Fake::hybrid();
    let pids = LinuxContainerResources {
        unified: [("pids.max".to_owned(), "7".to_owned())].into(),
        ..Default::default()
    };
    let error = steps(&fake, &pids).unwrap_err().to_string();
    assert!(
        error.contains("pids.max = \"7\" cannot be enforced"),
        "{error}"
    );
    let cpus = LinuxContainerResources {
        cpuset_cpus: "0".to_owned(),
        ..Default::default()
    };
    let error = steps(&fake, &cpus).unwrap_err().to_string();
    assert!(
        error.contains("cpuset.cpus 0 cannot be enforced: no mounted"),
        "{error}"
    );
    assert!(
        steps(&fake, &LinuxContainerResources::default())
            .unwrap()
            .is_empty()
    );
    let unified = LinuxContainerResources {
        unified: [("memory.high".to_owned(), "7".to_owned())].into(),
        ..Default::default()
    };
    let error = steps(&fake, &unified).unwrap_err().to_string();
    assert!(error.contains("memory (version 2)"), "{error}");
}

fn huge_pages(limit: u64) -> LinuxContainerResources {
    LinuxContainerResources {
        hugepage_limits: vec![HugepageLimit {
            page_size: "2MB".to_owned(),
            limit,
        }],
        ..Default::default()
    }
}

#[test]
fn huge_pages_where_there_are_none() {
    let v1 = Fake::v1();
    assert!(
        steps(&v1, &huge_pages(0)).unwrap().is_empty(),
        "none can be had"
    );
    let error = steps(&v1, &huge_pages(1 << 21)).unwrap_err().to_string();
    assert!(
        error.contains("huge pages of 2MB cannot be enforced"),
        "{error}"
    );
    v1.huge_pages(2048, "4\n");
    assert!(
        steps(&v1, &huge_pages(0)).is_err(),
        "4 pages, and nothing to forbid them"
    );
    // The controller is in the version 2 part of a hybrid layout.
    let hybrid = Fake::hybrid();
    hybrid.fill("unified", "hugetlb.2MB.max", "max\n");
    assert_eq!(
        steps(&hybrid, &huge_pages(5)).unwrap(),
        ["hugetlb.2MB.max = 5"]
    );
    hybrid.fill("unified", "hugetlb.2MB.rsvd.max", "max\n");
    let both = ["hugetlb.2MB.max = 5", "hugetlb.2MB.rsvd.max = 5"];
    assert_eq!(steps(&hybrid, &huge_pages(5)).unwrap(), both);
}

#[test]
fn unified_files_are_written_line_by_line() {
    let v2 = Fake::v2();
    v2.fill("", "io.max", "");
    v2.fill("", "pids.max", "max\n");
    let unified = LinuxContainerResources {
        unified: [("io.max", "8:0 rbps=1\n8:16 rbps=2\n"), ("pids.max", "7")]
            .map(|(file, value)| (file.to_owned(), value.to_owned()))
            .into(),
        ..Default::default()
    };
    let lines = [
        "io.max = 8:0 rbps=1",
        "io.max = 8:16 rbps=2",
        "pids.max = 7",
    ];
    assert_eq!(steps(&v2, &unified).unwrap(), lines);
}

#[test]
fn a_write_that_fails_takes_the_others_back() {
    let fake = Fake::v2();
    fake.fill("", "cpu.weight", "100\n");
    fake.fill("", "memory.max", "4096\n");
    let step = |name: &str, value: &str| Step {
        file: fake.file("", name),
        value: value.to_owned(),
    };
    let steps = [
        step("cpu.weight", "7"),
        step("memory.max", "8192"),
        step("pids.max", "1"),
    ];
    let error = apply(&steps).unwrap_err().to_string();
    assert!(
        error.contains("write \"1\" to") && error.contains("pids.max"),
        "{error}"
    );
    let content = |name| fs::read_to_string(fake.file("", name)).unwrap();
    assert_eq!(
        (content("cpu.weight"), content("memory.max")),
        ("100".into(), "4096".into())
    );
    apply(&steps[..2]).unwrap();
    assert_eq!(
        (content("cpu.weight"), content("memory.max")),
        ("7".into(), "8192".into())
    );
}
