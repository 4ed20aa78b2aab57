//! affinity: threads that are told where to run while they run, yield, sleep and wait in a queue
//! all go on, and each is where it may be.
//! build: static
//! flags: -pthread
//! cpus: 1, 2, 4
#include "check.h"
#include <pthread.h>
#include <sched.h>
#include <time.h>

enum { THREADS = 6, CHANGES = 600, TURNS = 100 };
static int tids[THREADS], stop, cpus;
static unsigned long turns[THREADS];

static void *turn(void *argument) {
    long number = (long)argument;
    __atomic_store_n(&tids[number], (int)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
    while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
        if (number % 3 == 0) sched_yield();
        if (number % 3 == 1) nanosleep(&(struct timespec){0, 10000}, NULL);
        if (number % 3 == 2) for (int i = 0; i < 20000; i++) __asm__ volatile("pause");
        __atomic_add_fetch(&turns[number], 1, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

static unsigned long turns_of(int number) { return __atomic_load_n(&turns[number], __ATOMIC_SEQ_CST); }

/// Waits until each thread has taken some turns more.
static void all_go_on(void) {
    for (int i = 0; i < THREADS; i++) {
        unsigned long before = turns_of(i);
        while (turns_of(i) < before + 3) nanosleep(&(struct timespec){0, 100000}, NULL);
    }
}

static cpu_set_t only(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return set;
}

static void *count(void *argument) {
    while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) __atomic_add_fetch((unsigned long *)argument, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

/// A thread that waits for its turn behind this one is told to run elsewhere, where all is quiet.
static void leaves_the_queue(void) {
    cpu_set_t first = only(0), last = only(cpus - 1);
    static unsigned long counted;
    pthread_t counter;
    CHECK_EQ(sched_setaffinity(0, sizeof first, &first), 0);
    CHECK_EQ(pthread_create(&counter, NULL, count, &counted), 0);
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(pthread_setaffinity_np(counter, sizeof first, &first), 0);
        nanosleep(&(struct timespec){0, 2000000}, NULL);
        CHECK_EQ(pthread_setaffinity_np(counter, sizeof last, &last), 0);
        unsigned long before = __atomic_load_n(&counted, __ATOMIC_SEQ_CST);
        while (__atomic_load_n(&counted, __ATOMIC_SEQ_CST) < before + 3) {}
    }
    __atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
    CHECK_EQ(pthread_join(counter, NULL), 0);
    stop = 0;
}

int main(void) {
    cpu_set_t set, all;
    CHECK_EQ(sched_getaffinity(0, sizeof all, &all), 0);
    cpus = CPU_COUNT(&all);
    leaves_the_queue();
    CHECK_EQ(sched_setaffinity(0, sizeof all, &all), 0);
    pthread_t threads[THREADS];
    for (long i = 0; i < THREADS; i++) CHECK_EQ(pthread_create(&threads[i], NULL, turn, (void *)i), 0);
    for (int i = 0; i < THREADS; i++) while (!__atomic_load_n(&tids[i], __ATOMIC_SEQ_CST)) sched_yield();
    for (unsigned i = 0; i < CHANGES; i++) {
        set = i % 5 ? only((int)(i * 7 / 3 % (unsigned)cpus)) : all;
        CHECK_EQ(sched_setaffinity(tids[i % THREADS], sizeof set, &set), 0);
        if (i % TURNS == 0) all_go_on();
    }
    // All in one place, then each in its own.
    for (int cpu = 0; cpu < cpus && cpu < 8; cpu++) {
        set = only(cpu);
        for (int i = 0; i < THREADS; i++) CHECK_EQ(sched_setaffinity(tids[i], sizeof set, &set), 0);
        all_go_on();
        CHECK_EQ(sched_setaffinity(0, sizeof set, &set), 0);
        CHECK_EQ(sched_getcpu(), cpu);
    }
    CHECK_EQ(sched_setaffinity(0, sizeof all, &all), 0);
    __atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < THREADS; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    return done("affinity");
}
