//! thread_turns: threads that compute do not starve others; sleepers wake in time; CPU time is
//! counted for each; affinity holds; an idle program uses none.
//! build: static
//! flags: -pthread
//! cpus: 1, 2
#include "check.h"
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <time.h>

static volatile int stop;
static volatile long counts[4];

static double clock_ms(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void *compute(void *argument) {
    long number = (long)argument;
    while (!stop) counts[number]++;
    return NULL;
}

static void *compute_20_ms(void *argument) {
    double start = clock_ms(CLOCK_THREAD_CPUTIME_ID);
    while (clock_ms(CLOCK_THREAD_CPUTIME_ID) - start < 20) {}
    *(double *)argument = clock_ms(CLOCK_THREAD_CPUTIME_ID);
    return NULL;
}

static void *only_first(void *argument) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    CHECK_EQ(sched_setaffinity(0, sizeof set, &set), 0);
    for (int i = 0; i < 200; i++) {
        *(int *)argument += sched_getcpu() != 0;
        sched_yield();
    }
    CPU_ZERO(&set);
    CHECK_EQ(sched_getaffinity(0, sizeof set, &set), 0);
    CHECK(CPU_ISSET(0, &set) && CPU_COUNT(&set) == 1);
    return NULL;
}

int main(void) {
    pthread_t ids[4];
    for (long i = 0; i < 4; i++) CHECK_EQ(pthread_create(&ids[i], NULL, compute, (void *)i), 0);
    for (int i = 0; i < 20; i++) usleep(10000);
    for (int i = 0; i < 4; i++) CHECK(counts[i] > 1000);
    stop = 1;
    for (int i = 0; i < 4; i++) CHECK_EQ(pthread_join(ids[i], NULL), 0);

    double used[2], before = clock_ms(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < 2; i++) CHECK_EQ(pthread_create(&ids[i], NULL, compute_20_ms, &used[i]), 0);
    for (int i = 0; i < 2; i++) CHECK_EQ(pthread_join(ids[i], NULL), 0);
    CHECK(used[0] >= 20 && used[1] >= 20);
    CHECK(clock_ms(CLOCK_PROCESS_CPUTIME_ID) - before >= 39);
    clockid_t its;
    CHECK_EQ(pthread_getcpuclockid(pthread_self(), &its), 0);
    CHECK(clock_ms(its) > 0 && clock_ms(its) <= clock_ms(CLOCK_PROCESS_CPUTIME_ID));

    // Asleep, no time passes on the CPU clocks.
    before = clock_ms(CLOCK_PROCESS_CPUTIME_ID);
    double wall = clock_ms(CLOCK_MONOTONIC);
    usleep(200000);
    wall = clock_ms(CLOCK_MONOTONIC) - wall;
    CHECK(wall >= 199);
    CHECK(clock_ms(CLOCK_PROCESS_CPUTIME_ID) - before < wall / 4);
    struct rusage usage;
    CHECK_EQ(getrusage(RUSAGE_THREAD, &usage), 0);

    int elsewhere = 0;
    CHECK_EQ(pthread_create(&ids[0], NULL, only_first, &elsewhere), 0);
    CHECK_EQ(pthread_join(ids[0], NULL), 0);
    CHECK_EQ(elsewhere, 0);
    cpu_set_t none;
    CPU_ZERO(&none);
    CHECK_FAILS(sched_setaffinity(0, sizeof none, &none), EINVAL);
    CHECK_FAILS(sched_setaffinity(999999, sizeof none, &none), ESRCH);
    CHECK_FAILS(sched_setaffinity(-1, sizeof none, &none), ESRCH);
    CHECK_FAILS(sched_getaffinity(-1, sizeof none, &none), ESRCH);
    CHECK_FAILS(sched_getscheduler(-1), EINVAL);
    CHECK_EQ(syscall(SYS_membarrier, 16, 0, 0), 0);
    CHECK_EQ(syscall(SYS_membarrier, 8, 0, 0), 0);
    return done("thread_turns");
}
