//! futex: the calls themselves, on words that threads share: wait, wake, bit sets, requeue,
//! wake-op, timeouts, priority inheritance, and robust mutexes whose owner died.
//! build: static
//! flags: -pthread
//! cpus: 1, 2
#include "check.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

static uint32_t word, other;

static long futex(uint32_t *at, int op, uint32_t value, void *timeout, uint32_t *at2, uint32_t value3) {
    return syscall(SYS_futex, at, op | FUTEX_PRIVATE_FLAG, value, timeout, at2, value3);
}

struct sleeper {
    pthread_t id;
    uint32_t bits;
    long result;
    int error;
};

static void *sleep_on_word(void *argument) {
    struct sleeper *me = argument;
    me->result = futex(&word, FUTEX_WAIT_BITSET, 0, NULL, NULL, me->bits);
    me->error = errno;
    return NULL;
}

/// Starts sleepers and returns once `count` of them sleep: a requeue to the same word counts.
static void start(struct sleeper *sleepers, int count, const uint32_t *bits) {
    for (int i = 0; i < count; i++) {
        sleepers[i].bits = bits[i];
        CHECK_EQ(pthread_create(&sleepers[i].id, NULL, sleep_on_word, &sleepers[i]), 0);
    }
    while (futex(&word, FUTEX_CMP_REQUEUE, 0, (void *)1000, &word, 0) != count) sched_yield();
}

static pthread_mutex_t robust, inheriting;

static void *die_with_lock(void *argument) {
    (void)argument;
    CHECK_EQ(pthread_mutex_lock(&robust), 0);
    return NULL;
}

static void *lock_inheriting(void *argument) {
    for (int i = 0; i < 300; i++) {
        CHECK_EQ(pthread_mutex_lock(&inheriting), 0);
        ++*(long *)argument;
        if (i % 50 == 0) sched_yield();
        CHECK_EQ(pthread_mutex_unlock(&inheriting), 0);
    }
    return NULL;
}

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

int main(void) {
    struct sleeper s[4];
    CHECK_FAILS(futex(&word, FUTEX_WAIT, 1, NULL, NULL, 0), EAGAIN);
    CHECK_FAILS(futex((uint32_t *)((char *)&word + 1), FUTEX_WAIT, 0, NULL, NULL, 0), EINVAL);
    CHECK_FAILS(futex(NULL, FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT);
    CHECK_FAILS(futex(&word, FUTEX_WAIT_BITSET, 0, NULL, NULL, 0), EINVAL);
    CHECK_FAILS(futex(&word, 77, 0, NULL, NULL, 0), ENOSYS);
    struct timespec soon = {0, 20000000}, wrong = {0, 2000000000};
    double before = now_ms();
    CHECK_FAILS(futex(&word, FUTEX_WAIT, 0, &soon, NULL, 0), ETIMEDOUT);
    CHECK(now_ms() - before >= 19);
    CHECK_FAILS(futex(&word, FUTEX_WAIT, 0, &wrong, NULL, 0), EINVAL);
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    CHECK_FAILS(futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &at, NULL, ~0u), ETIMEDOUT);

    // Bit sets: only sleepers that share a bit are woken.
    start(s, 3, (uint32_t[]){1, 2, 4});
    CHECK_EQ(futex(&word, FUTEX_WAKE_BITSET, 10, NULL, NULL, 2), 1);
    CHECK_EQ(pthread_join(s[1].id, NULL), 0);
    CHECK_EQ(s[1].result, 0);
    CHECK_EQ(futex(&word, FUTEX_WAKE_BITSET, 10, NULL, NULL, 8), 0);
    CHECK_EQ(futex(&word, FUTEX_WAKE, 10, NULL, NULL, 0), 2);
    CHECK_EQ(pthread_join(s[0].id, NULL), 0);
    CHECK_EQ(pthread_join(s[2].id, NULL), 0);

    // Requeue: one is woken, two wait for the other word then, one stays.
    start(s, 4, (uint32_t[]){1, 1, 1, 1});
    CHECK_FAILS(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)2, &other, 5), EAGAIN);
    CHECK_EQ(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)2, &other, 0), 3);
    CHECK_EQ(futex(&other, FUTEX_WAKE, 10, NULL, NULL, 0), 2);
    CHECK_EQ(futex(&word, FUTEX_WAKE, 10, NULL, NULL, 0), 1);
    for (int i = 0; i < 4; i++) CHECK_EQ(pthread_join(s[i].id, NULL), 0);
    CHECK_FAILS(futex(&word, FUTEX_REQUEUE, -1, (void *)1, &other, 0), EINVAL);

    // Wake-op: the second word becomes 5, and its old value 0 says that the second is woken too.
    start(s, 1, (uint32_t[]){1});
    CHECK_EQ(futex(&other, FUTEX_WAKE_OP, 1, (void *)1, &word, FUTEX_OP(FUTEX_OP_SET, 5, FUTEX_OP_CMP_EQ, 0)), 1);
    CHECK_EQ(pthread_join(s[0].id, NULL), 0);
    CHECK_EQ(word, 5);
    word = 0;

    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    CHECK_EQ(pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT), 0);
    CHECK_EQ(pthread_mutex_init(&inheriting, &attributes), 0);
    pthread_t ids[3];
    long counter = 0;
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_create(&ids[i], NULL, lock_inheriting, &counter), 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_join(ids[i], NULL), 0);
    CHECK_EQ(counter, 900);
    uint32_t held = (uint32_t)getpid();
    CHECK_FAILS(futex(&held, FUTEX_LOCK_PI, 0, NULL, NULL, 0), EDEADLK);
    held = 1 << 20;
    CHECK_FAILS(futex(&held, FUTEX_LOCK_PI, 0, NULL, NULL, 0), ESRCH);
    CHECK_FAILS(futex(&held, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), EPERM);

    pthread_mutexattr_init(&attributes);
    CHECK_EQ(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST), 0);
    CHECK_EQ(pthread_mutex_init(&robust, &attributes), 0);
    CHECK_EQ(pthread_create(&ids[0], NULL, die_with_lock, NULL), 0);
    CHECK_EQ(pthread_join(ids[0], NULL), 0);
    CHECK_EQ(pthread_mutex_lock(&robust), EOWNERDEAD);
    CHECK_EQ(pthread_mutex_consistent(&robust), 0);
    CHECK_EQ(pthread_mutex_unlock(&robust), 0);
    CHECK_EQ(pthread_mutex_lock(&robust), 0);
    return done("futex");
}
