//! proc_system: the files of /proc that runtimes read at start.
//! build: static
#include "check.h"
#include <sched.h>
#include <sys/sysinfo.h>

static char text[1 << 20];

static int has(const char *path, const char *words) {
    return get_file(path, text, sizeof text) > 0 && strstr(text, words) != NULL;
}

int main(void) {
    CHECK(has("/proc/meminfo", "MemTotal:") && strstr(text, "MemFree:") && strstr(text, "MemAvailable:"));
    long total_kb = 0;
    sscanf(strstr(text, "MemTotal:"), "MemTotal: %ld kB", &total_kb);
    struct sysinfo info;
    CHECK_EQ(sysinfo(&info), 0);
    CHECK_EQ((info.totalram * info.mem_unit) >> 10, total_kb);
    CHECK(info.freeram < info.totalram && info.procs >= 1);
    CHECK_EQ(sysconf(_SC_PHYS_PAGES), total_kb / 4);
    CHECK(sysconf(_SC_AVPHYS_PAGES) > 0);

    CHECK(has("/proc/cpuinfo", "processor\t: 0\n") && strstr(text, "flags") && strstr(text, " sse2 "));
    CHECK(has("/proc/stat", "cpu ") && strstr(text, "\nbtime "));
    double up = 0;
    CHECK(get_file("/proc/uptime", text, sizeof text) > 0 && sscanf(text, "%lf", &up) == 1 && up >= 0);
    CHECK(has("/proc/loadavg", "/"));
    CHECK(has("/proc/version", "Linux version "));
    CHECK(has("/proc/mounts", " / ") && strstr(text, "/proc proc "));
    CHECK(has("/proc/filesystems", "nodev\tproc\n"));
    CHECK(has("/proc/sys/kernel/ostype", "Linux\n"));
    CHECK(has("/proc/sys/kernel/osrelease", "."));
    CHECK(has("/proc/sys/kernel/pid_max", "\n"));
    CHECK(has("/proc/sys/vm/overcommit_memory", "\n"));
    CHECK(has("/proc/sys/kernel/random/boot_id", "-"));
    CHECK(has("/sys/devices/system/cpu/online", "0"));

    CHECK(sysconf(_SC_NPROCESSORS_ONLN) >= 1);
    cpu_set_t set;
    CHECK_EQ(sched_getaffinity(0, sizeof set, &set), 0);
    CHECK(CPU_COUNT(&set) >= 1);
    CHECK(sched_getcpu() >= 0);
    CHECK_EQ(sched_yield(), 0);

    struct stat st;
    CHECK(stat("/proc/meminfo", &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0);
    CHECK_FAILS(open("/proc/absent", O_RDONLY), ENOENT);
    errno = 0;
    CHECK(open("/proc/new", O_CREAT | O_WRONLY, 0600) == -1 && errno != 0);
    return done("proc_system");
}
