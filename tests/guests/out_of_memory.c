//! options: --memory 96M
//! flags: -pthread
//! native: no
//! cpus: 1, 2
//! stderr: unikiln: out of memory: killed process |KiB, for process
//! When memory runs out the largest process is killed, whoever asked, and the others live on.
#include "check.h"
#include <pthread.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>

#define MIB (1UL << 20)

static char *touch(size_t mib) {
    char *at = mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) _exit(99);
    for (size_t i = 0; i < mib * MIB; i += 4096) at[i] = 1;
    return at;
}

static int told[2];

/// A child that has `mib`, says so, and sleeps.
static pid_t sitting(size_t mib, const char *adjustment) {
    pid_t pid = fork();
    if (pid == 0) {
        if (adjustment) put_file("/proc/self/oom_score_adj", adjustment);
        touch(mib);
        if (write(told[1], "x", 1) != 1) _exit(98);
        for (;;) pause();
    }
    char byte;
    CHECK_EQ(read(told[0], &byte, 1), 1);
    return pid;
}

static void ends_by(pid_t pid, int signal) {
    int status = 0;
    pid_t got = waitpid(pid, &status, 0);
    CHECK(pid == -1 ? got > 0 : got == pid);
    if (signal) CHECK(WIFSIGNALED(status) && WTERMSIG(status) == signal);
    else CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static long score(pid_t pid, const char *name) {
    char path[64], text[32];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    if (get_file(path, text, sizeof text) < 0) return -1;
    return atol(text);
}

static void *sleeper(void *p) {
    for (;;) pause();
    return p;
}

static long kills(void) {
    char text[300];
    get_file("/sys/fs/cgroup/memory.events", text, sizeof text);
    char *at = strstr(text, "oom_kill ");
    return at ? atol(at + 9) : -1;
}

int main(void) {
    CHECK_EQ(pipe(told), 0);
    // Grown once, so that it can be compared.
    ends_by(({ pid_t p = fork(); if (p == 0) touch(200), _exit(1); p; }), SIGKILL);
    CHECK_EQ(kills(), 1);
    struct sysinfo before, after;
    sysinfo(&before);

    // The one that asks is the largest.
    pid_t small = sitting(4, NULL);
    pid_t large = fork();
    if (large == 0) touch(200), _exit(1);
    ends_by(large, SIGKILL);
    CHECK_EQ(kill(small, 0), 0);

    // Another one is: the one that asks gets what it needs, in the program and in the libOS.
    for (int round = 0; round < 4; round++) {
        large = sitting(60, NULL);
        CHECK(score(large, "oom_score") > score(small, "oom_score"));
        CHECK(score(small, "oom_score") > 600);
        pid_t asks = fork();
        if (asks == 0) {
            if (round % 2 == 0) {
                char *at = touch(40);
                for (size_t i = 0; i < 40 * MIB; i += 4096) if (at[i] != 1) _exit(2);
                _exit(0);
            }
            size_t bytes = 40 * MIB;
            char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            int zero = open("/dev/zero", O_RDONLY);
            _exit(read(zero, at, bytes) == (ssize_t)bytes ? 0 : 3);
        }
        ends_by(asks, 0);
        ends_by(large, SIGKILL);
        CHECK_EQ(kill(small, 0), 0);
    }

    // An adjustment counts; it is inherited, and lowered only so far as it was.
    large = sitting(50, NULL);
    pid_t gladly = sitting(8, "1000");
    CHECK_EQ(score(gladly, "oom_score_adj"), 1000);
    CHECK_EQ(score(gladly, "oom_adj"), 15);
    pid_t asks = fork();
    if (asks == 0) touch(36), _exit(0);
    ends_by(asks, 0);
    ends_by(gladly, SIGKILL);
    CHECK_EQ(kill(large, 0), 0);
    kill(large, SIGKILL);
    ends_by(large, SIGKILL);
    put_file("/proc/self/oom_score_adj", "17");
    pid_t pid = fork();
    if (pid == 0) {
        int adjust = open("/proc/self/oom_score_adj", O_WRONLY);
        if (score(getpid(), "oom_score_adj") != 17 || write(adjust, "0", 1) != 1) _exit(1);
        _exit(write(adjust, "-1", 2) == -1 && errno == EACCES ? 0 : 2);
    }
    ends_by(pid, 0);
    put_file("/proc/self/oom_score_adj", "0");

    // Who has threads, and who has lent its memory to a child that asks.
    pid = fork();
    if (pid == 0) {
        pthread_t thread;
        for (int i = 0; i < 3; i++) pthread_create(&thread, NULL, sleeper, NULL);
        touch(200);
        _exit(1);
    }
    ends_by(pid, SIGKILL);
    pid = fork();
    if (pid == 0) {
        char *at = mmap(NULL, 200 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (vfork() == 0) {
            for (size_t i = 0; i < 200 * MIB; i += 4096) at[i] = 1;
            _exit(0);
        }
        _exit(1);
    }
    ends_by(pid, SIGKILL);
    ends_by(-1, SIGKILL); // the child, which is adopted

    // Several at once, with memory that is shared, which nobody frees before they have ended.
    for (int i = 0; i < 3; i++) {
        pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            char *at = mmap(NULL, 60 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
            for (size_t j = 0; j < 60 * MIB; j += 4096) at[j] = 1;
            _exit(0);
        }
    }
    int status, lived = 0;
    for (int i = 0; i < 3; i++) {
        CHECK(wait(&status) > 0);
        if (WIFEXITED(status)) lived++;
        else CHECK_EQ(WTERMSIG(status), SIGKILL);
    }
    CHECK(lived >= 1);
    CHECK_EQ(kill(small, SIGKILL), 0);
    ends_by(small, SIGKILL);
    sysinfo(&after);
    CHECK(after.freeram + 4 * MIB > before.freeram);
    return done("out_of_memory");
}
