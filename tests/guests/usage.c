//! usage: page faults and switches of a thread and of the process, by getrusage and /proc.
//! build: static
//! flags: -pthread
//! cpus: 1, 2
#include "check.h"
#include <pthread.h>
#include <sys/resource.h>
#include <time.h>

enum { SLEEPS = 20, BYTES = 64 << 20 };

static struct rusage usage_of(int who) {
    struct rusage usage;
    CHECK_EQ(getrusage(who, &usage), 0);
    return usage;
}

static void sleep_often(void) {
    for (int i = 0; i < SLEEPS; i++) nanosleep(&(struct timespec){0, 1000000}, NULL);
}

static void *work(void *unused) {
    CHECK(usage_of(RUSAGE_THREAD).ru_nvcsw < SLEEPS);
    sleep_often();
    CHECK(usage_of(RUSAGE_THREAD).ru_nvcsw >= SLEEPS);
    return unused;
}

int main(void) {
    pthread_t worker;
    char status[8192], *line;
    struct rusage before = usage_of(RUSAGE_THREAD);
    sleep_often();
    struct rusage after = usage_of(RUSAGE_THREAD);
    CHECK(after.ru_nvcsw >= before.ru_nvcsw + SLEEPS);
    CHECK(get_file("/proc/self/status", status, sizeof status) > 0);
    line = strstr(status, "\nvoluntary_ctxt_switches:");
    CHECK(line && atol(line + 25) >= after.ru_nvcsw);

    char *memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (long at = 0; at < BYTES; at += 4096) memory[at] = 1;
    // However large the pages are.
    CHECK(usage_of(RUSAGE_THREAD).ru_minflt >= after.ru_minflt + 4);
    CHECK(usage_of(RUSAGE_SELF).ru_minflt >= usage_of(RUSAGE_THREAD).ru_minflt);

    // What an ended thread counted stays the process's.
    before = usage_of(RUSAGE_SELF);
    pthread_create(&worker, NULL, work, NULL);
    pthread_join(worker, NULL);
    CHECK(usage_of(RUSAGE_SELF).ru_nvcsw >= before.ru_nvcsw + SLEEPS);
    return done("usage");
}
