//! proc_files: the files of /proc/self and its threads that language runtimes read.
//! build: static
#include "check.h"
#include <dirent.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

static char text[1 << 18];

static int has(const char *path, const char *words) {
    return get_file(path, text, sizeof text) >= 0 && strstr(text, words) != NULL;
}

/// How often `words` starts a line of the last file read.
static int lines(const char *words) {
    int count = 0;
    for (char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        count += !strncmp(line, words, strlen(words));
    return count;
}

/// The permission bits of a name, without following it.
static int mode(const char *path) {
    struct stat st;
    return lstat(path, &st) ? -1 : (int)(st.st_mode & 07777);
}

static long magic(const char *path) {
    struct statfs fs;
    return statfs(path, &fs) ? -1 : fs.f_type;
}

int main(void) {
    const char *READABLE[] = {"auxv", "cgroup", "cmdline", "comm", "coredump_filter", "cpuset", "environ", "gid_map",
        "io", "limits", "loginuid", "maps", "mountinfo", "mounts", "oom_adj", "oom_score", "oom_score_adj", "personality", "sched",
        "schedstat", "sessionid", "setgroups", "smaps", "smaps_rollup", "stat", "statm", "status", "uid_map", "wchan",
        "net/dev", "net/if_inet6", "net/tcp", "net/tcp6", "net/udp", "net/unix", "net/route"};
    char path[300], want[300];
    for (size_t i = 0; i < sizeof READABLE / sizeof *READABLE; i++) {
        snprintf(path, sizeof path, "/proc/self/%s", READABLE[i]);
        if (get_file(path, text, sizeof text) < 0) WRONG("%s: errno %d", path, errno);
        snprintf(path, sizeof path, "/proc/thread-self/%s", READABLE[i]);
        // One is the process's alone.
        if (strcmp(READABLE[i], "coredump_filter") && get_file(path, text, sizeof text) < 0)
            WRONG("%s: errno %d", path, errno);
    }
    const char *SYSTEM[] = {"cgroups", "cmdline", "devices", "diskstats", "interrupts", "locks", "partitions", "swaps",
        "vmstat", "net/tcp", "sys/kernel/threads-max", "sys/kernel/sem", "sys/vm/max_map_count", "sys/vm/overcommit_ratio",
        "sys/fs/file-nr", "sys/fs/aio-max-nr", "sys/net/core/somaxconn", "sys/net/ipv4/ip_local_port_range"};
    for (size_t i = 0; i < sizeof SYSTEM / sizeof *SYSTEM; i++) {
        snprintf(path, sizeof path, "/proc/%s", SYSTEM[i]);
        if (get_file(path, text, sizeof text) < 0) WRONG("%s: errno %d", path, errno);
    }
    CHECK_EQ(mode("/proc/self/environ"), 0400);
    CHECK_EQ(mode("/proc/self/comm"), 0644);
    CHECK_EQ(mode("/proc/self/maps"), 0444);
    CHECK_EQ(mode("/proc/self/fd"), 0500);
    CHECK_EQ(mode("/proc/self/task"), 0555);

    // One thread: its directory, its name from both sides.
    DIR *task = opendir("/proc/self/task");
    int threads = 0;
    for (struct dirent *e; task && (e = readdir(task));)
        if (e->d_name[0] != '.') {
            threads++;
            CHECK_EQ(atoi(e->d_name), getpid());
        }
    CHECK_EQ(threads, 1);
    closedir(task);
    ssize_t n = readlink("/proc/thread-self", text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    snprintf(want, sizeof want, "%d/task/%d", getpid(), getpid());
    CHECK(!strcmp(text, want));
    put_file("/proc/self/comm", "a-name-of-more-than-15");
    CHECK(has("/proc/thread-self/comm", "a-name-of-more-\n"));
    put_file("/proc/thread-self/comm", "short");
    CHECK(get_file("/proc/self/comm", text, sizeof text) == 6 && !strcmp(text, "short\n"));
    CHECK(has("/proc/thread-self/status", "Name:\tshort\n") && strstr(text, "\nThreads:\t1\n"));
    CHECK(strstr(text, "\nNSpid:\t") && strstr(text, "\nVmData:") && strstr(text, "\nNoNewPrivs:\t0\n"));
    snprintf(want, sizeof want, "%d (short) R ", getpid());
    CHECK(has("/proc/thread-self/stat", want));

    // Walking up from a thread leads where it came from.
    snprintf(path, sizeof path, "/proc/self/task/%d/fd/..", getpid());
    CHECK_EQ(chdir(path), 0);
    snprintf(want, sizeof want, "/proc/%d/task/%d", getpid(), getpid());
    CHECK(getcwd(text, sizeof text) && !strcmp(text, want));
    CHECK_EQ(chdir("/"), 0);

    // How a descriptor was opened shows in its link and its fdinfo.
    int r = open("/dev/null", O_RDONLY | O_CLOEXEC), w = open("/dev/null", O_WRONLY), rw = open("/dev/null", O_RDWR);
    int fds[] = {r, w, rw}, modes[] = {0500, 0300, 0700};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fds[i]);
        CHECK_EQ(mode(path), modes[i]);
    }
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", r);
    CHECK(has(path, "pos:\t0\nflags:\t02100000\nmnt_id:\t") && strstr(text, "\nino:\t"));

    snprintf(want, sizeof want, "%u", (unsigned)getpid());
    put_file("/proc/self/oom_score_adj", "500");
    CHECK(has("/proc/self/oom_score_adj", "500\n"));
    int adj = open("/proc/self/oom_score_adj", O_WRONLY);
    CHECK_FAILS(write(adj, "1001", 4), EINVAL);
    CHECK_FAILS(write(adj, "x", 1), EINVAL);

    put_file("/proc/self/coredump_filter", "0x37\n");
    CHECK(has("/proc/self/coredump_filter", "00000037\n"));

    // Namespaces: a link, an inode that stays, a file system of its own.
    const char *KINDS[] = {"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"};
    for (int i = 0; i < 7; i++) {
        struct stat st, again;
        snprintf(path, sizeof path, "/proc/self/ns/%s", KINDS[i]);
        n = readlink(path, text, sizeof text - 1);
        text[n > 0 ? n : 0] = 0;
        CHECK_EQ(stat(path, &st), 0);
        snprintf(want, sizeof want, "%s:[%lu]", KINDS[i], (unsigned long)st.st_ino);
        CHECK(!strcmp(text, want));
        int fd = open(path, O_RDONLY);
        CHECK(fd >= 0 && fstat(fd, &again) == 0 && again.st_ino == st.st_ino && again.st_dev == st.st_dev);
    }
    CHECK_EQ(magic("/proc/self/ns/uts"), 0x6e736673);
    CHECK_EQ(magic("/proc"), 0x9fa0);
    CHECK_EQ(magic("/sys"), 0x62656572);
    CHECK_EQ(magic("/dev"), 0x01021994);
    CHECK_EQ(magic("/dev/shm"), 0x01021994);
    struct statfs fs;
    int ends[2];
    CHECK(pipe(ends) == 0 && fstatfs(ends[0], &fs) == 0 && fs.f_type == 0x50495045);

    // As many processors everywhere.
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    get_file("/proc/cpuinfo", text, sizeof text);
    CHECK_EQ(lines("processor\t: "), cpus);
    CHECK_EQ(lines("flags\t\t: fpu "), cpus);
    CHECK_EQ(lines("address sizes\t: "), cpus);
    get_file("/proc/stat", text, sizeof text);
    CHECK_EQ(lines("cpu"), cpus + 1);
    for (long i = 0; i < cpus; i++) {
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%ld/topology/core_id", i);
        CHECK(get_file(path, text, sizeof text) > 0);
    }
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%ld", cpus);
    CHECK_EQ(mode(path), -1);
    CHECK(has("/sys/devices/system/node/node0/cpulist", "0"));

    // smaps counts what was touched.
    char *p = mmap(NULL, 64 << 12, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(p + (32 << 12), 4096, PROT_READ); // a mapping of its own below
    for (int i = 0; i < 32; i++) p[i << 12] = 1;
    get_file("/proc/self/smaps", text, sizeof text);
    snprintf(want, sizeof want, "-%lx rw-p", (unsigned long)p + (32 << 12));
    char *at = strstr(text, want), *rss = at ? strstr(at, "Rss:") : NULL;
    long kib = -1;
    CHECK(rss && sscanf(rss, "Rss: %ld kB", &kib) == 1 && kib >= 128);
    CHECK(has("/proc/self/smaps_rollup", "[rollup]\nRss:"));

    CHECK_FAILS(open("/proc/self/task/999999999/stat", O_RDONLY), ENOENT);
    CHECK_FAILS(open("/proc/self/fd/999", O_RDONLY), ENOENT);
    CHECK_FAILS(open("/proc/01/stat", O_RDONLY), ENOENT);
    return done("proc_files");
}
