//! thread_signals: a signal goes to the thread that it is sent to, one for the process to a thread
//! that does not block it; sigwait, EINTR, a handler's thread, faults in threads, timers for a thread.
//! build: static, musl-static
//! flags: -pthread
//! cpus: 1, 2
#include "check.h"
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <time.h>

static volatile pid_t handled_by;
static volatile sig_atomic_t handled;
static volatile int stop, ready;

static pid_t tid(void) { return (pid_t)syscall(SYS_gettid); }

static void note(int number) {
    (void)number;
    handled_by = tid();
    handled++;
}

static void *spin(void *argument) {
    *(pid_t *)argument = tid();
    ready = 1;
    while (!stop) __asm__ volatile("pause");
    return NULL;
}

static void *wait_for_usr2(void *argument) {
    (void)argument;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    siginfo_t info;
    ready = 1;
    return (void *)(long)sigwaitinfo(&set, &info);
}

static void *read_forever(void *argument) {
    char byte;
    ready = 1;
    ssize_t got = read(*(int *)argument, &byte, 1);
    return (void *)(long)(got == -1 && errno == EINTR);
}

static __thread sigjmp_buf recover;
static void fault(int number, siginfo_t *info, void *context) {
    (void)context;
    siglongjmp(recover, number == SIGSEGV && info->si_addr == (void *)16 ? 1 : 2);
}

static void *fall(void *argument) {
    volatile int times = 0;
    for (volatile int i = 0; i < 50; i++) {
        int jumped = sigsetjmp(recover, 1);
        if (jumped == 0) *(volatile int *)16 = 1;
        times += jumped == 1;
    }
    *(int *)argument = times;
    return NULL;
}

static void wait_until(volatile int *what) {
    while (!*what) sched_yield();
}

int main(void) {
    struct sigaction action = {.sa_handler = note};
    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
    pthread_t id;
    pid_t its = 0;
    CHECK_EQ(pthread_create(&id, NULL, spin, &its), 0);
    wait_until(&ready);
    // To a thread that computes.
    for (int i = 1; i <= 20; i++) {
        CHECK_EQ(pthread_kill(id, SIGUSR1), 0);
        while (handled < i) sched_yield();
        CHECK_EQ(handled_by, its);
    }
    // For the process, while this thread blocks it: the other one takes it.
    sigset_t usr1, usr2, old;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, &usr1, &old), 0);
    handled = 0;
    CHECK_EQ(kill(getpid(), SIGUSR1), 0);
    while (!handled) sched_yield();
    CHECK_EQ(handled_by, its);
    // To this thread it stays pending.
    handled = 0;
    CHECK_EQ(pthread_kill(pthread_self(), SIGUSR1), 0);
    sigset_t pending;
    sigpending(&pending);
    CHECK(sigismember(&pending, SIGUSR1) && handled == 0);
    CHECK_EQ(pthread_sigmask(SIG_SETMASK, &old, NULL), 0);
    CHECK_EQ(handled, 1);
    CHECK_EQ(handled_by, tid());
    // A timer that signals one thread.
    handled = 0;
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM};
    ((int *)&event)[4] = its; // sigev_notify_thread_id
    timer_t timer;
    CHECK_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    struct itimerspec every = {{0, 2000000}, {0, 2000000}};
    CHECK_EQ(timer_settime(timer, 0, &every, NULL), 0);
    while (handled < 5) {}
    CHECK_EQ(handled_by, its);
    CHECK_EQ(timer_delete(timer), 0);
    CHECK_FAILS(syscall(SYS_tgkill, getpid(), 999999, 0), ESRCH);
    CHECK_EQ(syscall(SYS_tgkill, getpid(), its, 0), 0);
    stop = 1;
    CHECK_EQ(pthread_join(id, NULL), 0);
    // Whoever joins is woken a little before the thread is gone.
    while (syscall(SYS_tgkill, getpid(), its, 0) == 0) sched_yield();
    CHECK_EQ(errno, ESRCH);

    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, &usr2, NULL), 0);
    ready = 0;
    CHECK_EQ(pthread_create(&id, NULL, wait_for_usr2, NULL), 0);
    wait_until(&ready);
    CHECK_EQ(kill(getpid(), SIGUSR2), 0);
    void *result = NULL;
    CHECK_EQ(pthread_join(id, &result), 0);
    CHECK_EQ((long)result, SIGUSR2);

    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    ready = 0;
    CHECK_EQ(pthread_create(&id, NULL, read_forever, &ends[0]), 0);
    wait_until(&ready);
    handled = 0;
    while (!handled) {
        pthread_kill(id, SIGUSR1);
        usleep(2000);
    }
    // It may have come before the read: write to end it then.
    usleep(20000);
    pthread_kill(id, SIGUSR1);
    CHECK_EQ(pthread_join(id, &result), 0);
    CHECK_EQ((long)result, 1);

    struct sigaction segv = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO};
    CHECK_EQ(sigaction(SIGSEGV, &segv, NULL), 0);
    pthread_t fallers[3];
    int fell[3] = {0, 0, 0};
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_create(&fallers[i], NULL, fall, &fell[i]), 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_join(fallers[i], NULL), 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(fell[i], 50);
    return done("thread_signals");
}
