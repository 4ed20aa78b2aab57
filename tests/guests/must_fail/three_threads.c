//! three_threads: the record names the thread that crashed and says what the others do.
//! build: static, pie
//! flags: -pthread
//! options: --cpus 2
//! exit: 139
//! record: SIGSEGV (address not mapped) writing 0x0 in crash|thread: 3 (crasher), one of 3|other threads (2):| (sleeper) sleeping in read(0x|  2 (spinner) |last system calls (
#include <pthread.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static int ends[2];
static volatile int spinning;

static void *spin(void *unused) {
    prctl(PR_SET_NAME, "spinner");
    for (;;) spinning = 1;
    return unused;
}

__attribute__((noinline)) static void *crash(void *unused) {
    prctl(PR_SET_NAME, "crasher");
    // Until the first thread sleeps in its read.
    nanosleep(&(struct timespec){0, 200000000}, NULL);
    *(volatile int *)0 = 1;
    return unused;
}

int main(void) {
    pthread_t spinner, crasher;
    char byte;
    prctl(PR_SET_NAME, "sleeper");
    if (pipe(ends)) return 1;
    pthread_create(&spinner, NULL, spin, NULL);
    while (!spinning) {}
    pthread_create(&crasher, NULL, crash, NULL);
    return (int)read(ends[0], &byte, 1);
}
