//! thread_ends: the first thread ends before the others; the program goes on, and exits with the
//! code of whoever calls exit while others sleep, compute and wait.
//! build: static, musl-static
//! flags: -pthread
//! cpus: 1, 2
//! exit: 7
#include "check.h"
#include <pthread.h>
#include <sched.h>

static void *sleep_long(void *argument) {
    pause();
    return argument;
}

static void *compute(void *argument) {
    for (;;) __asm__ volatile("pause");
    return argument;
}

static void *last(void *argument) {
    pthread_t first = *(pthread_t *)argument;
    CHECK_EQ(pthread_join(first, NULL), 0);
    pthread_t id;
    for (int i = 0; i < 3; i++) pthread_create(&id, NULL, i % 2 ? compute : sleep_long, NULL);
    usleep(10000);
    int code = done("thread_ends");
    exit(code ? code : 7);
}

int main(void) {
    static pthread_t self;
    self = pthread_self();
    pthread_t id;
    CHECK_EQ(pthread_create(&id, NULL, last, &self), 0);
    pthread_exit(NULL);
}
