//! thread_memory: what one thread does to the address space, the others see at once: protection,
//! unmapping, fresh mappings at old addresses, copies on write, memory given back.
//! build: static
//! flags: -pthread
//! cpus: 1, 2
#include "check.h"
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>

enum { ROUNDS = 150 };
static char *page;
static volatile int round_number, answered;
static __thread sigjmp_buf recover;
static int data_page[2048] __attribute__((aligned(4096))) = {11};

static void on_fault(int number) {
    (void)number;
    siglongjmp(recover, 1);
}

/// In each round: tries to read the page, says what it saw; -1 for a fault.
static volatile int seen;
static void *look(void *argument) {
    (void)argument;
    for (volatile int round = 1; round <= ROUNDS * 4; round++) {
        while (round_number < round) sched_yield();
        seen = sigsetjmp(recover, 1) == 0 ? *(volatile signed char *)page : -1;
        answered = round;
    }
    return NULL;
}

static int ask(void) {
    int round = round_number + 1;
    round_number = round;
    while (answered < round) sched_yield();
    return seen;
}

static volatile int stop;
static void *churn(void *argument) {
    unsigned seed = (unsigned)(long)argument;
    while (!stop) {
        size_t bytes = (seed = seed * 1103515245 + 12345) % (512 << 10) + 4096;
        unsigned char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) return (void *)1;
        for (size_t at = 0; at < bytes; at += 4096) {
            if (p[at]) return (void *)2;
            p[at] = (unsigned char)(long)argument;
        }
        for (size_t at = 0; at < bytes; at += 4096)
            if (p[at] != (unsigned char)(long)argument) return (void *)3;
        munmap(p, bytes);
    }
    return NULL;
}

static void *write_data(void *argument) {
    (void)argument;
    data_page[1024] = 5;
    return NULL;
}

int main(void) {
    struct sigaction action = {.sa_handler = on_fault};
    sigaction(SIGSEGV, &action, NULL);
    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_t id, churners[3];
    CHECK_EQ(pthread_create(&id, NULL, look, NULL), 0);
    int wrong = 0;
    for (int round = 0; round < ROUNDS; round++) {
        *page = (char)(round % 100 + 1);
        wrong += ask() != round % 100 + 1;
        mprotect(page, 4096, PROT_NONE);
        wrong += ask() != -1;
        // Another page at the same address.
        wrong += mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != page;
        wrong += ask() != 0;
        *page = 3;
        if (round % 2) madvise(page, 4096, MADV_DONTNEED);
        else {
            munmap(page, 4096);
            wrong += mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != page;
        }
        wrong += ask() != 0;
    }
    CHECK_EQ(wrong, 0);
    CHECK_EQ(pthread_join(id, NULL), 0);

    // The image's data is copied when it is first written: both threads have the same copy.
    volatile int *data = data_page;
    CHECK_EQ(data[0], 11);
    CHECK_EQ(data[1024], 0);
    CHECK_EQ(pthread_create(&id, NULL, write_data, NULL), 0);
    CHECK_EQ(pthread_join(id, NULL), 0);
    CHECK_EQ(data[1024], 5);

    for (long i = 0; i < 3; i++) CHECK_EQ(pthread_create(&churners[i], NULL, churn, (void *)(i + 1)), 0);
    usleep(300000);
    stop = 1;
    for (int i = 0; i < 3; i++) {
        void *result = NULL;
        CHECK_EQ(pthread_join(churners[i], &result), 0);
        CHECK_EQ((long)result, 0);
    }
    return done("thread_memory");
}
