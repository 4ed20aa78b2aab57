//! signals: handlers, masks, pending signals, nesting, one-shot handlers, sigsuspend and waiting.
//! build: static, musl-static
#include "check.h"
#include <time.h>

static volatile int count, last, depth, deepest, runs;
static volatile int sender;

static void on_signal(int signal) {
    count++;
    last = signal;
}

static void on_info(int signal, siginfo_t *info, void *context) {
    CHECK(context != NULL && info->si_signo == signal);
    sender = info->si_pid;
    count++;
}

static void on_nested(int signal) {
    if (++depth > deepest) deepest = depth;
    if (signal == SIGUSR1 && ++runs == 1) raise(SIGUSR2), raise(SIGUSR1);
    else if (signal == SIGUSR2) runs++;
    depth--;
}

int main(void) {
    struct sigaction act = {.sa_handler = on_signal}, old;
    CHECK_EQ(sigaction(SIGUSR1, &act, &old), 0);
    CHECK(old.sa_handler == SIG_DFL);
    CHECK_EQ(raise(SIGUSR1), 0);
    CHECK(count == 1 && last == SIGUSR1);
    CHECK_EQ(kill(getpid(), SIGUSR1), 0);
    CHECK_EQ(count, 2);
    CHECK_EQ(kill(getpid(), 0), 0);
    CHECK_FAILS(kill(getpid(), 99), EINVAL);
    CHECK_FAILS(kill(999999999, SIGTERM), ESRCH);
    CHECK_FAILS(sigaction(SIGKILL, &act, NULL), EINVAL);

    sigset_t set, got;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK_EQ(sigprocmask(SIG_BLOCK, &set, &got), 0);
    CHECK_EQ(sigismember(&got, SIGUSR1), 0);
    raise(SIGUSR1);
    raise(SIGUSR1);
    CHECK_EQ(count, 2);
    CHECK_EQ(sigpending(&got), 0);
    CHECK_EQ(sigismember(&got, SIGUSR1), 1);
    CHECK_EQ(sigprocmask(SIG_UNBLOCK, &set, NULL), 0);
    CHECK_EQ(count, 3); // standard signals do not queue
    CHECK_FAILS(sigprocmask(99, &set, NULL), EINVAL);

    // Ignored ones vanish; a signal whose default is to ignore does too.
    signal(SIGUSR1, SIG_IGN);
    raise(SIGUSR1);
    raise(SIGCHLD);
    raise(SIGWINCH);
    CHECK_EQ(count, 3);

    act = (struct sigaction){.sa_sigaction = on_info, .sa_flags = SA_SIGINFO | SA_RESETHAND};
    CHECK_EQ(sigaction(SIGUSR2, &act, NULL), 0);
    kill(getpid(), SIGUSR2);
    CHECK(count == 4 && sender == getpid());
    CHECK(sigaction(SIGUSR2, NULL, &old) == 0 && old.sa_handler == SIG_DFL);

    // Inside its handler a signal is blocked, others are not.
    sigset_t before;
    sigprocmask(SIG_BLOCK, NULL, &before);
    act = (struct sigaction){.sa_handler = on_nested};
    sigaction(SIGUSR1, &act, NULL);
    sigaction(SIGUSR2, &act, NULL);
    raise(SIGUSR1);
    CHECK(depth == 0 && deepest == 2 && runs == 3);
    // sa_mask blocks more while the handler runs; the mask is put back after it.
    runs = deepest = 0;
    sigaddset(&act.sa_mask, SIGUSR2);
    sigaction(SIGUSR1, &act, NULL);
    raise(SIGUSR1);
    CHECK(depth == 0 && deepest == 1 && runs == 3);
    sigprocmask(SIG_BLOCK, NULL, &got);
    CHECK(!memcmp(&got, &before, 8));

    // Taking a pending signal without a handler.
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    union sigval value = {.sival_int = 77};
    CHECK_EQ(sigqueue(getpid(), SIGRTMIN + 1, value), 0);
    CHECK_EQ(sigqueue(getpid(), SIGRTMIN + 1, value), 0);
    siginfo_t info;
    struct timespec soon = {0, 10000000};
    CHECK_EQ(sigtimedwait(&set, &info, &soon), SIGRTMIN + 1);
    CHECK(info.si_value.sival_int == 77 && info.si_code == SI_QUEUE);
    CHECK_EQ(sigtimedwait(&set, &info, &soon), SIGRTMIN + 1); // real-time ones queue
    CHECK_FAILS(sigtimedwait(&set, &info, &soon), EAGAIN);

    // sigsuspend lets a blocked one in and answers EINTR.
    signal(SIGUSR1, on_signal);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR1);
    count = 0;
    sigset_t none;
    sigemptyset(&none);
    CHECK_FAILS(sigsuspend(&none), EINTR);
    CHECK_EQ(count, 1);
    return done("signals");
}
