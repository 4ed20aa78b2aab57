//! container: the guest looks as a container does: one cgroup of the second version with its limits, nothing of the host.
//! build: static
//! native: no
//! options: --memory 192M
#include "check.h"
#include <sched.h>
#include <sys/statfs.h>

static char text[1 << 16];

static const char *read_at(const char *path) {
    if (get_file(path, text, sizeof text) < 0) WRONG("%s: errno %d", path, errno);
    return text;
}

static long magic(const char *path) {
    struct statfs fs;
    return statfs(path, &fs) ? -1 : fs.f_type;
}

int main(void) {
    const long LIMIT = 192 << 20;
    CHECK(!strcmp(read_at("/proc/self/cgroup"), "0::/\n"));
    CHECK(strstr(read_at("/proc/self/mountinfo"), " / /sys/fs/cgroup ro,") && strstr(text, " - cgroup2 cgroup "));
    CHECK_EQ(magic("/sys/fs/cgroup"), 0x63677270);
    struct stat cgroup, sys;
    CHECK(stat("/sys/fs/cgroup", &cgroup) == 0 && stat("/sys/fs", &sys) == 0 && cgroup.st_dev != sys.st_dev);
    CHECK(stat("/sys/fs/cgroup/..", &cgroup) == 0 && cgroup.st_dev == sys.st_dev && cgroup.st_ino == sys.st_ino);

    // Every row of /proc/cgroups says hierarchy 0: only the second version.
    read_at("/proc/cgroups");
    int rows = 0, hierarchy = -1, count, enabled;
    for (char *line = strchr(text, '\n'); line && line[1]; line = strchr(line + 1, '\n'), rows++)
        CHECK(sscanf(line + 1, "%*s %d %d %d", &hierarchy, &count, &enabled) == 3 && hierarchy == 0 && enabled == 1);
    CHECK(rows >= 4);

    CHECK(strstr(read_at("/sys/fs/cgroup/cgroup.controllers"), "cpu memory"));
    CHECK_EQ(atol(read_at("/sys/fs/cgroup/memory.max")), LIMIT);
    long current = atol(read_at("/sys/fs/cgroup/memory.current"));
    CHECK(current > 0 && current < LIMIT);
    CHECK(atol(read_at("/sys/fs/cgroup/memory.peak")) >= current);
    CHECK(!strcmp(read_at("/sys/fs/cgroup/memory.swap.max"), "0\n"));
    CHECK(!strcmp(read_at("/sys/fs/cgroup/memory.high"), "max\n"));
    CHECK(!strcmp(read_at("/sys/fs/cgroup/cpu.max"), "max 100000\n"));
    CHECK(!strcmp(read_at("/sys/fs/cgroup/pids.max"), "max\n"));
    CHECK(!strcmp(read_at("/sys/fs/cgroup/pids.current"), "1\n"));
    CHECK(!strcmp(read_at("/sys/fs/cgroup/cgroup.procs"), "1\n"));
    CHECK(!strncmp(read_at("/sys/fs/cgroup/memory.stat"), "anon ", 5));
    long kib = 0;
    CHECK(sscanf(read_at("/proc/meminfo"), "MemTotal: %ld kB", &kib) == 1);
    CHECK_EQ(kib, LIMIT / 1024);

    // A large allocation shows, and is gone when it is given back.
    size_t bytes = 64 << 20;
    char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < bytes; i += 4096) p[i] = 1;
    CHECK(atol(read_at("/sys/fs/cgroup/memory.current")) >= current + (long)bytes);
    munmap(p, bytes);
    CHECK(atol(read_at("/sys/fs/cgroup/memory.current")) < current + (long)bytes);
    CHECK(atol(read_at("/sys/fs/cgroup/memory.peak")) >= current + (long)bytes);

    cpu_set_t set;
    CHECK_EQ(sched_getaffinity(0, sizeof set, &set), 0);
    char want[32];
    if (CPU_COUNT(&set) == 1) strcpy(want, "0\n");
    else snprintf(want, sizeof want, "0-%d\n", CPU_COUNT(&set) - 1);
    const char *LISTS[] = {"/sys/devices/system/cpu/online", "/sys/devices/system/cpu/possible",
        "/sys/devices/system/cpu/present", "/sys/devices/system/node/node0/cpulist", "/sys/fs/cgroup/cpuset.cpus.effective"};
    for (int i = 0; i < 5; i++) CHECK(!strcmp(read_at(LISTS[i]), want));
    CHECK(strstr(read_at("/sys/kernel/mm/transparent_hugepage/enabled"), "[always]"));
    CHECK(!strcmp(read_at("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"), "2097152\n"));

    // Nothing of the host, and nothing to write.
    const char *ABSENT[] = {"/sys/kernel/mm/hugepages", "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/devices/system/cpu/cpu0/cpufreq", "/sys/hypervisor", "/proc/kcore", "/proc/sysrq-trigger", "/proc/2"};
    for (size_t i = 0; i < sizeof ABSENT / sizeof *ABSENT; i++) CHECK_FAILS(access(ABSENT[i], F_OK), ENOENT);
    CHECK_FAILS(open("/sys/fs/cgroup/memory.max", O_WRONLY), EROFS);
    CHECK_FAILS(open("/proc/sys/vm/overcommit_memory", O_RDWR), EROFS);
    CHECK_FAILS(access("/proc/sys/kernel/hostname", W_OK), EROFS);
    CHECK_EQ(access("/proc/sys/kernel/hostname", R_OK), 0);
    int fd = open("/proc/meminfo", O_WRONLY);
    CHECK_FAILS(write(fd, "1", 1), EIO);
    return done("container");
}
