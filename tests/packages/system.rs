//! Tools that read `/proc` and `/sys` and show what they make of it: from
//! util-linux, which every Debian has.

use super::Case;
use super::Source::Host;
use super::Want::Words;

/// What depends on the machine is not looked at.
pub(super) const CASES: &[Case] = &[
    (
        "lscpu",
        Host("/usr/bin/lscpu"),
        &[],
        Words("Hypervisor vendor:"),
    ),
    (
        "lscpu_topology",
        Host("/usr/bin/lscpu"),
        &["-e=CPU,NODE,SOCKET,CORE,ONLINE"],
        Words("  0    0      0    0    yes\n"),
    ),
    (
        "lscpu_caches",
        Host("/usr/bin/lscpu"),
        &["-C=NAME,TYPE,LEVEL"],
        Words("L1d  Data            1\n"),
    ),
    (
        "findmnt",
        Host("/usr/bin/findmnt"),
        &["-n", "-r", "-o", "TARGET,FSTYPE"],
        Words(
            "/ overlay\n/proc proc\n/dev tmpfs\n/dev/pts devpts\n/sys sysfs\n/sys/fs/cgroup cgroup2\n/dev/shm tmpfs\n/proc/sys proc\n",
        ),
    ),
    (
        "setpriv",
        Host("/usr/bin/setpriv"),
        &["--dump"],
        Words(
            "\nno_new_privs: 0\nInheritable capabilities: [none]\nAmbient capabilities: [none]\nCapability bounding set: chown,dac_override,",
        ),
    ),
    (
        "prlimit",
        Host("/usr/bin/prlimit"),
        &["--nofile", "-o", "SOFT,HARD", "--noheadings", "--raw"],
        Words("1048576 1048576\n"),
    ),
];
