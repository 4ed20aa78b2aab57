//! container: the guest looks as a container does: one cgroup of the second version with its limits, nothing of the host.
//! build: static
//! native: no
//! options: --memory 192M
#include "check.h"
#include <sched.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

static char text[1 << 16];

static const char *read_at(const char *path) {
    if (get_file(path, text, sizeof text) < 0) WRONG("%s: errno %d", path, errno);
    return text;
}

static long magic(const char *path) {
    struct statfs fs;
    return statfs(path, &fs) ? -1 : fs.f_type;
}

/// Type, permission bits, owner and number of a device.
static void check_device(const char *path, unsigned mode, unsigned gid, unsigned major, unsigned minor) {
    struct stat st;
    if (stat(path, &st)) WRONG("%s: errno %d", path, errno);
    else if (st.st_mode != (S_IFCHR | mode) || st.st_uid != 0 || st.st_gid != gid || st.st_rdev != makedev(major, minor))
        WRONG("%s: mode %o owner %u:%u number %lx", path, st.st_mode, st.st_uid, st.st_gid, (long)st.st_rdev);
}

/// /dev as container engines make it.
static void check_devices(void) {
    check_device("/dev/null", 0666, 0, 1, 3);
    check_device("/dev/zero", 0666, 0, 1, 5);
    check_device("/dev/full", 0666, 0, 1, 7);
    check_device("/dev/random", 0666, 0, 1, 8);
    check_device("/dev/urandom", 0666, 0, 1, 9);
    check_device("/dev/tty", 0666, 0, 5, 0);
    check_device("/dev/console", 0620, 5, 5, 1);
    check_device("/dev/ptmx", 0666, 0, 5, 2);
    struct stat st;
    CHECK(lstat("/dev/ptmx", &st) == 0 && S_ISLNK(st.st_mode));
    CHECK(stat("/dev/shm", &st) == 0 && st.st_mode == (S_IFDIR | 01777));
    CHECK_EQ(magic("/dev"), 0x01021994);
    CHECK_EQ(magic("/dev/shm"), 0x01021994);
    CHECK_EQ(magic("/dev/pts"), 0x1cd1);
    CHECK_EQ(magic("/"), 0x794c7630);
    CHECK_FAILS(access("/dev/mqueue", F_OK), ENOENT);
    CHECK_FAILS(rmdir("/dev/pts"), EBUSY);

    // What a file in /dev/shm takes is missing from what is free.
    struct statfs before, after;
    CHECK_EQ(statfs("/dev/shm", &before), 0);
    CHECK(before.f_bavail > 1024 && before.f_bavail <= before.f_blocks && before.f_bsize == 4096);
    int fd = open("/dev/shm/four-mib", O_RDWR | O_CREAT, 0600);
    CHECK_EQ(posix_fallocate(fd, 0, 4 << 20), 0);
    CHECK_EQ(statfs("/dev/shm", &after), 0);
    CHECK(before.f_bavail - after.f_bavail >= 1024 && before.f_blocks == after.f_blocks);
    CHECK(close(fd) == 0 && unlink("/dev/shm/four-mib") == 0);
}

int main(void) {
    check_devices();
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
