//! threads: made, joined, detached, named; ids, thread-local data, floating-point state;
//! one thousand at once; a mutex and a condition variable between them.
//! build: static, pie, musl-static
//! flags: -pthread
//! cpus: 1, 2
#include "check.h"
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/prctl.h>

static __thread int own = 7;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int turn, total;
static sem_t gate, ended;
static pid_t tids[4];

static void *local(void *argument) {
    long number = (long)argument;
    CHECK_EQ(own, 7);
    own = (int)number;
    tids[number] = (pid_t)syscall(SYS_gettid);
    double x = (double)number + 0.25;
    for (int i = 0; i < 2000; i++) {
        x = x * 1.0000001;
        sched_yield();
    }
    CHECK_EQ(own, number);
    CHECK(x > (double)number && x < (double)number + 1);
    return (void *)(number * 2);
}

static void *take_turns(void *argument) {
    for (int i = 0; i < 500; i++) {
        pthread_mutex_lock(&mutex);
        while (turn != (int)(long)argument) pthread_cond_wait(&cond, &mutex);
        total++;
        turn = (turn + 1) % 3;
        pthread_cond_broadcast(&cond);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void *count_locked(void *argument) {
    for (int i = 0; i < 20000; i++) {
        pthread_mutex_lock(&mutex);
        ++*(long *)argument;
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void *wait_at_gate(void *argument) {
    sem_wait(&gate);
    __atomic_add_fetch((int *)argument, 1, __ATOMIC_SEQ_CST);
    sem_post(&ended);
    return NULL;
}

static void *name_it(void *argument) {
    (void)argument;
    char name[16] = "";
    CHECK_EQ(prctl(PR_SET_NAME, "worker"), 0);
    CHECK_EQ(prctl(PR_GET_NAME, name), 0);
    CHECK(strcmp(name, "worker") == 0);
    return NULL;
}

int main(void) {
    pthread_t ids[4];
    for (long i = 0; i < 4; i++) CHECK_EQ(pthread_create(&ids[i], NULL, local, (void *)i), 0);
    for (long i = 0; i < 4; i++) {
        void *result = NULL;
        CHECK_EQ(pthread_join(ids[i], &result), 0);
        CHECK_EQ((long)result, i * 2);
    }
    CHECK_EQ(own, 7);
    CHECK_EQ(syscall(SYS_gettid), getpid());
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < i; j++) CHECK(tids[i] != tids[j] && tids[i] != getpid());

    for (long i = 0; i < 3; i++) CHECK_EQ(pthread_create(&ids[i], NULL, take_turns, (void *)i), 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_join(ids[i], NULL), 0);
    CHECK_EQ(total, 1500);

    long counter = 0;
    for (int i = 0; i < 4; i++) CHECK_EQ(pthread_create(&ids[i], NULL, count_locked, &counter), 0);
    for (int i = 0; i < 4; i++) CHECK_EQ(pthread_join(ids[i], NULL), 0);
    CHECK_EQ(counter, 80000);

    char before[16] = "", after[16] = "";
    prctl(PR_GET_NAME, before);
    CHECK_EQ(pthread_create(&ids[0], NULL, name_it, NULL), 0);
    CHECK_EQ(pthread_join(ids[0], NULL), 0);
    prctl(PR_GET_NAME, after);
    CHECK(strcmp(before, after) == 0);

    // A thousand at once, all of them asleep until the gate opens.
    sem_init(&gate, 0, 0);
    sem_init(&ended, 0, 0);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int passed = 0;
    for (int i = 0; i < 1000; i++) {
        pthread_t id;
        CHECK_EQ(pthread_create(&id, &attributes, wait_at_gate, &passed), 0);
    }
    for (int i = 0; i < 1000; i++) sem_post(&gate);
    for (int i = 0; i < 1000; i++) sem_wait(&ended);
    CHECK_EQ(passed, 1000);
    return done("threads");
}
