//! What threads cost each other: `threads COUNT`. All figures are for one
//! step, whichever thread takes it.

#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "report.h"

static long count;

static void *nothing(void *argument)
{
    return argument;
}

static void create_and_join(void)
{
    const uint64_t start = now_ns();
    for (long i = 0; i < count; i++) {
        pthread_t thread;
        require(pthread_create(&thread, NULL, nothing, NULL) == 0, "pthread_create");
        pthread_join(thread, NULL);
    }
    report("create_join", start, (uint64_t)count);
}

/// Runs `work(0)` here and `work(1)` in a thread beside it.
static void in_two_threads(void *(*work)(void *))
{
    pthread_t thread;
    require(pthread_create(&thread, NULL, work, (void *)1) == 0, "pthread_create");
    work((void *)0);
    pthread_join(thread, NULL);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed[2] = {PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER};
static long turn;

/// The mutex goes to and fro: its holder tells the other and waits.
static void *hand_over(void *argument)
{
    const long self = (long)argument;
    for (long i = 0; i < count; i++) {
        pthread_mutex_lock(&mutex);
        while (turn != self)
            pthread_cond_wait(&changed[self], &mutex);
        turn = !self;
        pthread_cond_signal(&changed[turn]);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static long shared;

/// Both want the same mutex all the time.
static void *contend(void *argument)
{
    for (long i = 0; i < 20 * count; i++) {
        pthread_mutex_lock(&mutex);
        shared++;
        pthread_mutex_unlock(&mutex);
    }
    return argument;
}

static _Atomic uint32_t word;
static _Atomic uint64_t woken_at_ns;

static void futex(int operation, uint32_t value)
{
    syscall(SYS_futex, &word, operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

/// Sleeps until `word` is odd, notes when that was, and makes it even again.
static void *sleep_on_word(void *argument)
{
    for (uint32_t i = 0; i < (uint32_t)(uintptr_t)argument; i++) {
        while (word == 2 * i)
            futex(FUTEX_WAIT, 2 * i);
        woken_at_ns = now_ns();
        word = 2 * i + 2;
        futex(FUTEX_WAKE, 1);
    }
    return NULL;
}

/// From before a wake until the sleeper runs, which is given time to fall asleep.
static void futex_wake(void)
{
    const uint32_t wakes = (uint32_t)(count / 10 + 1);
    const struct timespec pause = {.tv_nsec = 200000};
    uint64_t taken_ns = 0;
    pthread_t thread;
    require(pthread_create(&thread, NULL, sleep_on_word, (void *)(uintptr_t)wakes) == 0, "pthread_create");
    for (uint32_t i = 0; i < wakes; i++) {
        nanosleep(&pause, NULL);
        const uint64_t start = now_ns();
        word = 2 * i + 1;
        futex(FUTEX_WAKE, 1);
        while (word == 2 * i + 1)
            futex(FUTEX_WAIT, 2 * i + 1);
        taken_ns += woken_at_ns - start;
    }
    pthread_join(thread, NULL);
    report_taken("futex_wake", taken_ns, wakes);
}

static int pipes[2][2];

/// A byte goes to and fro: what one reads from its pipe it writes to the other's.
static void *ping_pong(void *argument)
{
    const long self = (long)argument;
    char byte = 0;
    for (long i = 0; i < count; i++) {
        require(read(pipes[self][0], &byte, 1) == 1, "read");
        require(write(pipes[!self][1], &byte, 1) == 1, "write");
    }
    return NULL;
}

/// Each touches every page of mappings of its own.
static void *fault(void *argument)
{
    enum { BYTES = 4 << 20, ROUNDS = 8 };
    for (int round = 0; round < ROUNDS; round++) {
        char *place = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        require(place != MAP_FAILED, "mmap");
        madvise(place, BYTES, MADV_NOHUGEPAGE);
        for (size_t offset = 0; offset < BYTES; offset += 4096)
            ((volatile char *)place)[offset] = 1;
        munmap(place, BYTES);
    }
    return argument;
}

int main(int argc, char **argv)
{
    require(argc == 2, "usage: threads COUNT");
    count = atol(argv[1]);
    create_and_join();
    uint64_t start = now_ns();
    in_two_threads(hand_over);
    report("hand_over", start, 2 * (uint64_t)count);
    start = now_ns();
    in_two_threads(contend);
    report("contend", start, 40 * (uint64_t)count);
    require(shared == 40 * count, "the mutex excludes");
    futex_wake();
    require(pipe(pipes[0]) == 0 && pipe(pipes[1]) == 0, "pipe");
    start = now_ns();
    require(write(pipes[0][1], "", 1) == 1, "write");
    in_two_threads(ping_pong);
    report("pipe_ping_pong", start, (uint64_t)count);
    start = now_ns();
    in_two_threads(fault);
    report("fault_in_two", start, 2 * 8 * (4 << 20) / 4096);
    return 0;
}
