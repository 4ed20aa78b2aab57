//! system: uname, getrandom, identities, limits, prctl, priorities and configuration.
//! build: static, musl-static
//! cpus: 1, 2
#include "check.h"
#include <grp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/utsname.h>

/// Negative threads, and affinity as /proc shows it.
static void schedule(void) {
    cpu_set_t set, one;
    long words[16];
    CHECK_FAILS(syscall(SYS_sched_getaffinity, -1, sizeof words, words), ESRCH);
    CHECK_FAILS(syscall(SYS_sched_setaffinity, -1, sizeof words, words), ESRCH);
    CHECK_FAILS(syscall(SYS_sched_getscheduler, -1), EINVAL);
    CHECK_FAILS(syscall(SYS_sched_getparam, -1, words), EINVAL);
    CHECK_EQ(sched_getaffinity(0, sizeof set, &set), 0);
    int first = 0;
    while (!CPU_ISSET(first, &set)) first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    CHECK_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    char status[8192], want[40];
    CHECK(get_file("/proc/self/status", status, sizeof status) > 0);
    snprintf(want, sizeof want, "\nCpus_allowed_list:\t%d\n", first);
    CHECK(strstr(status, want));
    CHECK_EQ(sched_setaffinity(0, sizeof set, &set), 0);
}

int main(void) {
    struct utsname name;
    CHECK_EQ(uname(&name), 0);
    CHECK(!strcmp(name.sysname, "Linux") && !strcmp(name.machine, "x86_64"));
    int major = 0, minor = 0;
    CHECK(sscanf(name.release, "%d.%d", &major, &minor) == 2 && major >= 4);
    char host[200];
    CHECK(gethostname(host, sizeof host) == 0 && *host && !strcmp(host, name.nodename));

    unsigned char a[256], b[256];
    CHECK_EQ(getrandom(a, sizeof a, 0), sizeof a);
    CHECK_EQ(getrandom(b, sizeof b, GRND_NONBLOCK), sizeof b);
    CHECK(memcmp(a, b, sizeof a) != 0);
    CHECK_EQ(getrandom(a, 0, 0), 0);
    CHECK_FAILS(getrandom(a, 1, 0x100), EINVAL);
    CHECK_EQ(getentropy(a, 256), 0);

    CHECK(getuid() == 0 && geteuid() == 0 && getgid() == 0 && getegid() == 0);
    uid_t r, e, s;
    CHECK(getresuid(&r, &e, &s) == 0 && r == 0 && e == 0 && s == 0);
    gid_t groups[64];
    CHECK(getgroups(64, groups) >= 0);
    CHECK(getpid() > 0 && getppid() >= 0 && getpgrp() >= 0 && getsid(0) >= 0);
    CHECK_EQ(syscall(SYS_gettid), getpid());
    CHECK_EQ(syscall(SYS_set_tid_address, &r), getpid());

    struct rlimit limit;
    CHECK_EQ(getrlimit(RLIMIT_STACK, &limit), 0);
    CHECK(limit.rlim_cur == 8 << 20);
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    CHECK(limit.rlim_cur >= 256 && limit.rlim_max >= limit.rlim_cur);
    limit.rlim_cur = 100;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur == 100);
    limit.rlim_cur = limit.rlim_max + 1;
    CHECK_FAILS(setrlimit(RLIMIT_NOFILE, &limit), EINVAL);
    CHECK_FAILS(getrlimit(99, &limit), EINVAL);
    CHECK_EQ(prlimit(0, RLIMIT_CORE, NULL, &limit), 0);

    char title[17] = {0};
    CHECK_EQ(prctl(PR_SET_NAME, "a name longer than fifteen"), 0);
    CHECK(prctl(PR_GET_NAME, title) == 0 && !strcmp(title, "a name longer t"));
    CHECK_EQ(prctl(PR_SET_DUMPABLE, 1), 0);
    CHECK_EQ(prctl(PR_GET_DUMPABLE), 1);
    CHECK_FAILS(prctl(9999), EINVAL);
    CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);

    // Whatever the test runs at.
    errno = 0;
    int nice_value = getpriority(PRIO_PROCESS, 0);
    CHECK(errno == 0 && nice_value >= -20 && nice_value <= 19);
    CHECK_EQ(syscall(SYS_getpriority, PRIO_PROCESS, 0), 20 - nice_value);
    schedule();
    int epoll = epoll_create1(0), waiting;
    // Linux 6.9 gave event polls requests of their own, and with them another errno.
    CHECK(ioctl(epoll, FIONREAD, &waiting) == -1 && (errno == EINVAL || errno == ENOTTY));
    CHECK_EQ(sysconf(_SC_PAGESIZE), 4096);
    CHECK_EQ(sysconf(_SC_CLK_TCK), 100);
    CHECK(sysconf(_SC_OPEN_MAX) == 100 && sysconf(_SC_ARG_MAX) >= 131072);
    return done("system");
}
