//! thread_exec: execve from a thread ends the others, whatever they do; the new program is the
//! first thread again.
//! build: static
//! flags: -pthread
//! cpus: 1, 2
//! args: first
#include "check.h"
#include <pthread.h>

static int ends[2];
static char **arguments;

static void *wait_in_read(void *argument) {
    char byte;
    CHECK_EQ(read(ends[0], &byte, 1), 1);
    return argument;
}

static void *compute(void *argument) {
    for (;;) __asm__ volatile("pause");
    return argument;
}

static void *replace(void *argument) {
    usleep(5000);
    execl("/proc/self/exe", arguments[0], "second", NULL);
    WRONG("execl came back");
    return argument;
}

int main(int argc, char **argv) {
    (void)argc;
    if (strcmp(argv[1], "second") == 0) {
        CHECK_EQ(syscall(SYS_gettid), getpid());
        return done("thread_exec");
    }
    arguments = argv;
    CHECK_EQ(pipe(ends), 0);
    pthread_t id;
    CHECK_EQ(pthread_create(&id, NULL, wait_in_read, NULL), 0);
    CHECK_EQ(pthread_create(&id, NULL, compute, NULL), 0);
    CHECK_EQ(pthread_create(&id, NULL, replace, NULL), 0);
    pthread_join(id, NULL);
    return 1;
}
