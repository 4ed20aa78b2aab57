//! What a container sees of itself: `facts`, a root file system that is `readonly`, memory
//! that changes (`memory`), and directories that are `swap`ped.
//! build: static
//! native: no
#include "../check.h"
#include <grp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/un.h>
#include <sys/xattr.h>

static int facts(void) {
    gid_t groups[64];
    int count = getgroups(64, groups);
    char name[256], directory[4096];
    gethostname(name, sizeof name);
    printf("user %d %d %d home %s\n", getuid(), geteuid(), getgid(), getenv("HOME"));
    printf("groups");
    for (int i = 0; i < count; i++) printf(" %d", groups[i]);
    printf("\nhost %s directory %s variable %s\n", name, getcwd(directory, sizeof directory), getenv("VARIABLE"));
    printf("no new privileges %d cpus %ld\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), sysconf(_SC_NPROCESSORS_ONLN));
    for (int i = 0; i < 4; i++) {
        const char *files[] = {"/etc/resolv.conf", "/etc/hosts", "/etc/hostname", "/outer/inner/file"};
        char text[256] = "";
        get_file(files[i], text, sizeof text);
        printf("%s: %s", files[i], text);
    }
    put_file("/dev/termination-log", "last words\n");
    CHECK_FAILS(open("/outer/inner/new", O_CREAT | O_WRONLY, 0644), EROFS);
    put_file("/outer/new", "written\n");
    return wrong_count;
}

/// Every way to change the root file system.
static int read_only(void) {
    struct timespec times[2] = {{1, 0}, {2, 0}};
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/socket"};
    CHECK_FAILS(open("/new", O_CREAT | O_WRONLY, 0644), EROFS);
    CHECK_FAILS(open("/etc/passwd", O_WRONLY), EROFS);
    CHECK_FAILS(open("/etc/passwd", O_RDWR), EROFS);
    CHECK_FAILS(open("/etc/passwd", O_RDONLY | O_TRUNC), EROFS);
    CHECK_FAILS(open("/etc/passwd", O_CREAT | O_EXCL | O_WRONLY, 0644), EEXIST);
    CHECK_FAILS(open("/tmp", O_TMPFILE | O_RDWR, 0600), EROFS);
    CHECK_FAILS(mkdir("/new", 0755), EROFS);
    CHECK_FAILS(mkdir("/etc", 0755), EEXIST);
    CHECK_FAILS(mkfifo("/new", 0644), EROFS);
    CHECK_FAILS(symlink("/etc", "/new"), EROFS);
    CHECK_FAILS(link("/etc/passwd", "/new"), EROFS);
    CHECK_FAILS(unlink("/etc/passwd"), EROFS);
    CHECK_FAILS(rmdir("/etc"), EROFS);
    CHECK_FAILS(rename("/etc/passwd", "/new"), EROFS);
    CHECK_FAILS(rename("/etc/passwd", "/dev/shm/new"), EXDEV);
    CHECK_FAILS(chmod("/etc/passwd", 0600), EROFS);
    CHECK_FAILS(chown("/etc/passwd", 1, 1), EROFS);
    CHECK_FAILS(utimensat(AT_FDCWD, "/etc/passwd", times, 0), EROFS);
    CHECK_FAILS(truncate("/etc/passwd", 0), EROFS);
    CHECK_FAILS(setxattr("/etc/passwd", "user.name", "x", 1, 0), EROFS);
    CHECK_FAILS(removexattr("/etc/passwd", "user.name"), EROFS);
    CHECK_FAILS(access("/etc/passwd", W_OK), EROFS);
    CHECK_EQ(access("/etc/passwd", R_OK), 0);
    int file = open("/etc/passwd", O_RDONLY);
    CHECK(file >= 0);
    CHECK_FAILS(fchmod(file, 0600), EROFS);
    char again[64];
    snprintf(again, sizeof again, "/proc/self/fd/%d", file);
    CHECK_FAILS(open(again, O_RDWR), EROFS);
    CHECK_FAILS(bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&address, sizeof address), EROFS);
    struct statvfs info;
    CHECK_EQ(statvfs("/", &info), 0);
    CHECK(info.f_flag & ST_RDONLY);
    char mounts[4096] = "";
    get_file("/proc/mounts", mounts, sizeof mounts);
    CHECK(strstr(mounts, "overlay / overlay ro,"));
    // What is not the root file system is as it was.
    put_file("/dev/shm/new", "x");
    CHECK_EQ(unlink("/dev/shm/new"), 0);
    put_file("/dev/null", "x");
    put_file("/data/new", "x");
    CHECK_EQ(access("/data/new", W_OK), 0);
    CHECK_EQ(statvfs("/data", &info), 0);
    CHECK(!(info.f_flag & ST_RDONLY));
    return done("readonly");
}

static volatile sig_atomic_t came;

static void on_signal(int number) { came = number; }

static unsigned long total_mib(void) {
    struct sysinfo info;
    sysinfo(&info);
    char text[256] = "";
    get_file("/proc/meminfo", text, sizeof text);
    unsigned long kib = 0;
    sscanf(text, "MemTotal: %lu", &kib);
    CHECK_EQ(kib << 10, info.totalram);
    char limit[64] = "";
    get_file("/sys/fs/cgroup/memory.max", limit, sizeof limit);
    CHECK_EQ(strtoul(limit, NULL, 10), info.totalram);
    return info.totalram >> 20;
}

/// SIGUSR1: tells MemTotal. SIGUSR2: takes 40 MiB more.
static void memory(void) {
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &all, NULL);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
    put_file("/tmp/kept", "x");
    printf("ready %lu\n", total_mib());
    for (;;) {
        fflush(stdout);
        came = 0;
        sigsuspend(&none);
        if (came == SIGUSR2) {
            size_t bytes = 40 << 20;
            char *taken = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            CHECK(taken != MAP_FAILED);
            for (size_t at = 0; at < bytes; at += 4096) taken[at] = 1;
        }
        printf("total %lu wrong %d\n", total_mib(), wrong_count);
    }
}

/// Reads both files of `DIR/..data` until `DIR/stop` is there: they are of one version.
static int swap(const char *directory) {
    if (chdir(directory)) return 1;
    long reads = 0, changes = 0;
    char before[32] = "";
    puts("ready");
    fflush(stdout);
    while (access("stop", F_OK)) {
        int data = open("..data", O_RDONLY | O_DIRECTORY);
        CHECK(data >= 0);
        char text[2][32] = {"", ""};
        for (int i = 0; i < 2; i++) {
            int file = openat(data, i ? "b" : "a", O_RDONLY);
            CHECK(file >= 0);
            CHECK(read(file, text[i], sizeof text[i] - 1) > 0);
            close(file);
        }
        close(data);
        if (strcmp(text[0], text[1])) WRONG("%s and %s", text[0], text[1]);
        changes += strcmp(text[0], before) != 0;
        strcpy(before, text[0]);
        char linked[32] = "";
        // By the links that kubelet makes for each file.
        CHECK(get_file("a", linked, sizeof linked) > 0);
        if (wrong_count > 10) return 1;
        reads++;
    }
    printf("reads %d changes %d wrong %d\n", reads > 10, changes > 1, wrong_count);
    return wrong_count;
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "facts";
    if (!strcmp(what, "readonly")) return read_only();
    if (!strcmp(what, "memory")) memory();
    if (!strcmp(what, "swap")) return swap(argv[2]);
    return facts();
}
