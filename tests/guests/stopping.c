//! stopping: what stops a process and lets it go on, whom its parent hears of it from, and what
//! becomes of the calls that it was in.
//! build: static
//! flags: -pthread
//! cpus: 1, 2
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>

/// What the processes tell each other.
static struct shared {
    volatile long count[3];
    volatile int stage, handled, stops, conts, other, result, error;
    volatile pid_t pid, other_pid;
} *shared;

/// Waits until `cond` holds.
#define AWAIT(cond) \
    do { \
        for (int i_ = 0; i_ < 20000 && !(cond); i_++) usleep(1000); \
        CHECK(cond); \
    } while (0)

static void fresh(void) { memset((void *)shared, 0, sizeof *shared); }

static void count(int signal) { shared->handled += signal != 0; }

static void handle(int signal, int flags, void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    CHECK_EQ(sigaction(signal, &action, NULL), 0);
}

static int waited(pid_t pid, int options) {
    int status = -1;
    pid_t got = waitpid(pid, &status, options);
    return got == pid ? status : got == 0 ? -2 : -3;
}

#define IS_STOPPED(pid, signal) CHECK_EQ(waited(pid, WUNTRACED), (signal) << 8 | 0x7f)
#define IS_CONTINUED(pid) CHECK_EQ(waited(pid, WCONTINUED), 0xffff)
#define IS_KILLED(pid, signal) CHECK_EQ(waited(pid, 0) & 0x7f, signal)
#define ENDS_WELL(pid) CHECK_EQ(waited(pid, 0), 0)

static char state_of(pid_t pid) {
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (get_file(path, text, sizeof text) <= 0) return '?';
    return strrchr(text, ')')[2];
}

/// Runs `body` in a child, which is in a group of its own, or in a session.
static pid_t child_of(void (*body)(void), int is_session) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid) {
        if (!is_session) setpgid(pid, pid);
        return pid;
    }
    wrong_count = 0;
    CHECK((is_session ? setsid() : setpgid(0, 0)) >= 0);
    body();
    fflush(stdout);
    _exit(wrong_count != 0);
}

static pid_t child(void (*body)(void)) { return child_of(body, 0); }

static void forever(void) {
    shared->stage = 1;
    for (;;) pause();
}

static void *counting(void *place) {
    volatile long *at = place;
    while (*at >= 0) ++*at;
    return NULL;
}

static void *lasts(void *unused) {
    for (;;) pause();
    return unused;
}

/// One thread computes, one sleeps, and the first one computes too.
static void busy(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, counting, (void *)&shared->count[0]);
    pthread_create(&thread, NULL, lasts, NULL);
    shared->stage = 1;
    counting((void *)&shared->count[1]);
}

/// All threads stop, and go on.
static void threads_stop(void) {
    fresh();
    pid_t pid = child(busy);
    AWAIT(shared->count[0] > 0 && shared->count[1] > 0);
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(kill(pid, SIGSTOP), 0);
        IS_STOPPED(pid, SIGSTOP);
        CHECK_EQ(state_of(pid), 'T');
        long before[2] = {shared->count[0], shared->count[1]};
        usleep(5000);
        CHECK(shared->count[0] == before[0] && shared->count[1] == before[1]);
        CHECK_EQ(kill(pid, SIGCONT), 0);
        IS_CONTINUED(pid);
        AWAIT(shared->count[0] > before[0] && shared->count[1] > before[1]);
        CHECK(state_of(pid) == 'R' || state_of(pid) == 'S');
    }
    CHECK_EQ(kill(pid, SIGSTOP), 0);
    IS_STOPPED(pid, SIGSTOP);
    char path[64], text[2048];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    CHECK(get_file(path, text, sizeof text) > 0 && strstr(text, "\nState:\tT (stopped)\n"));
    // Nothing else is delivered to it, but SIGKILL.
    CHECK_EQ(kill(pid, SIGTERM), 0);
    usleep(5000);
    CHECK_EQ(waited(pid, WNOHANG), -2);
    CHECK_EQ(kill(pid, SIGKILL), 0);
    IS_KILLED(pid, SIGKILL);
}

/// What waitid and wait4 say, and how often.
static void waits(void) {
    fresh();
    pid_t pid = child(forever);
    AWAIT(shared->stage);
    siginfo_t info = {0};
    CHECK_EQ(waitid(P_PID, pid, &info, WSTOPPED | WNOHANG), 0);
    CHECK_EQ(info.si_pid, 0);
    kill(pid, SIGTSTP);
    CHECK_EQ(waitid(P_PID, pid, &info, WSTOPPED | WNOWAIT), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(waitid(P_PID, pid, &info, WSTOPPED | WEXITED | WNOHANG | (i ? 0 : WNOWAIT)), 0);
        CHECK_EQ(info.si_signo, SIGCHLD);
        CHECK_EQ(info.si_code, CLD_STOPPED);
        CHECK_EQ(info.si_pid, pid);
        CHECK_EQ(info.si_uid, getuid());
        CHECK_EQ(info.si_status, SIGTSTP);
    }
    CHECK_EQ(waitid(P_PID, pid, &info, WSTOPPED | WEXITED | WNOHANG), 0);
    CHECK_EQ(info.si_pid, 0);
    CHECK_EQ(waited(pid, WNOHANG | WUNTRACED), -2);
    // Stopped again: nothing happens.
    kill(pid, SIGSTOP);
    usleep(5000);
    CHECK_EQ(waited(pid, WNOHANG | WUNTRACED), -2);
    kill(pid, SIGCONT);
    CHECK_EQ(waitid(P_PID, pid, &info, WCONTINUED | WNOWAIT), 0);
    CHECK_EQ(info.si_code, CLD_CONTINUED);
    CHECK_EQ(info.si_status, SIGCONT);
    CHECK_EQ(waitid(P_ALL, 0, &info, WCONTINUED), 0);
    CHECK_EQ(info.si_pid, pid);
    CHECK_EQ(waited(pid, WNOHANG | WCONTINUED), -2);
    // One that went on has not stopped; the queued SIGSTOP is gone as well.
    kill(pid, SIGSTOP);
    CHECK_EQ(waitid(P_PID, pid, &info, WSTOPPED | WNOWAIT), 0);
    kill(pid, SIGCONT);
    CHECK_EQ(waited(pid, WNOHANG | WUNTRACED), -2);
    IS_CONTINUED(pid);
    struct rusage usage;
    memset(&usage, 0xff, sizeof usage);
    kill(pid, SIGSTOP);
    int status;
    CHECK_EQ(wait4(pid, &status, WUNTRACED, &usage), pid);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP && usage.ru_utime.tv_sec < 100);
    kill(pid, SIGKILL);
    // An end alone is not what this waits for.
    CHECK_EQ(waitid(P_PID, pid, &info, WEXITED | WNOWAIT), 0);
    CHECK_EQ(info.si_code, CLD_KILLED);
    CHECK_FAILS(waitid(P_PID, pid, &info, WSTOPPED | WCONTINUED), ECHILD);
    IS_KILLED(pid, SIGKILL);
    CHECK_FAILS(waitid(P_PID, pid, &info, WSTOPPED), ECHILD);
}

static void note(int signal, siginfo_t *info, void *context) {
    (void)context;
    if (info->si_code == CLD_STOPPED && info->si_status == SIGSTOP) shared->stops++;
    else if (info->si_code == CLD_CONTINUED && info->si_status == SIGCONT) shared->conts++;
    else shared->other++;
    shared->pid = info->si_pid;
    (void)signal;
}

/// SIGCHLD tells of stops, unless SA_NOCLDSTOP.
static void told(void) {
    fresh();
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_RESTART};
    CHECK_EQ(sigaction(SIGCHLD, &action, NULL), 0);
    pid_t pid = child(forever);
    AWAIT(shared->stage);
    kill(pid, SIGSTOP);
    AWAIT(shared->stops == 1);
    CHECK_EQ(shared->pid, pid);
    kill(pid, SIGCONT);
    AWAIT(shared->conts == 1);
    action.sa_flags |= SA_NOCLDSTOP;
    CHECK_EQ(sigaction(SIGCHLD, &action, NULL), 0);
    kill(pid, SIGSTOP);
    IS_STOPPED(pid, SIGSTOP);
    kill(pid, SIGCONT);
    IS_CONTINUED(pid);
    CHECK(shared->stops == 1 && shared->conts == 1 && shared->other == 0);
    kill(pid, SIGKILL);
    IS_KILLED(pid, SIGKILL);
    AWAIT(shared->other == 1);
    signal(SIGCHLD, SIG_DFL);
}

static void blocks_both(void) {
    sigset_t set, pending;
    sigemptyset(&set);
    for (int signal = SIGCONT; signal <= SIGTTOU; signal++) sigaddset(&set, signal);
    sigprocmask(SIG_SETMASK, &set, NULL);
    signal(SIGTTIN, SIG_IGN);
    handle(SIGCONT, 0, count);
    raise(SIGTSTP);
    kill(getpid(), SIGTTOU);
    sigpending(&pending);
    CHECK(sigismember(&pending, SIGTSTP) && sigismember(&pending, SIGTTOU));
    raise(SIGCONT);
    sigpending(&pending);
    CHECK(!sigismember(&pending, SIGTSTP) && !sigismember(&pending, SIGTTOU) && sigismember(&pending, SIGCONT));
    // An ignored one wipes it out, too.
    raise(SIGTTIN);
    sigpending(&pending);
    CHECK(!sigismember(&pending, SIGCONT));
    // The action of SIGCONT changes nothing of its effect.
    signal(SIGCONT, SIG_IGN);
    kill(getpid(), SIGSTOP);
    shared->stage = 1;
    signal(SIGCONT, SIG_DFL);
    sigemptyset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
    handle(SIGCONT, 0, count);
    kill(getpid(), SIGSTOP);
    CHECK_EQ(shared->handled, 1);
    handle(SIGTSTP, 0, count);
    raise(SIGTSTP);
    CHECK_EQ(shared->handled, 2);
}

/// Stop signals and SIGCONT wipe each other out, and what is blocked or ignored counts.
static void wiped(void) {
    fresh();
    pid_t pid = child(blocks_both);
    IS_STOPPED(pid, SIGSTOP);
    CHECK_EQ(shared->stage, 0);
    kill(pid, SIGCONT);
    IS_STOPPED(pid, SIGSTOP);
    CHECK_EQ(shared->stage, 1);
    kill(pid, SIGCONT);
    ENDS_WELL(pid);
}

static int pipe_of[2], socket_of[2], poll_of;

static void reads(void) {
    char text[8];
    shared->stage = 1;
    CHECK_EQ(read(pipe_of[0], text, sizeof text), 3);
}

static void sleeps(void) {
    struct timespec begin, end, time = {0, 150000000};
    clock_gettime(CLOCK_MONOTONIC, &begin);
    shared->stage = 1;
    CHECK_EQ(nanosleep(&time, NULL), 0);
    clock_gettime(CLOCK_MONOTONIC, &end);
    CHECK((end.tv_sec - begin.tv_sec) * 1000000000L + end.tv_nsec - begin.tv_nsec >= 150000000);
}

static void polls(void) {
    struct pollfd entry = {.fd = pipe_of[0], .events = POLLIN};
    shared->stage = 1;
    CHECK_EQ(poll(&entry, 1, 100000), 1);
}

static void epolls(void) {
    struct epoll_event event;
    shared->stage = 1;
    CHECK_FAILS(epoll_wait(poll_of, &event, 1, 100000), EINTR);
}

static void waits_for_signal(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    shared->stage = 1;
    CHECK_FAILS(sigwaitinfo(&set, NULL), EINTR);
}

static void receives(void) {
    char byte;
    struct timeval time = {100, 0};
    CHECK_EQ(setsockopt(socket_of[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time), 0);
    shared->stage = 1;
    CHECK_FAILS(recv(socket_of[0], &byte, 1, 0), EINTR);
}

static void waits_for_futex(void) {
    shared->stage = 1;
    // The value changes while it is stopped: it looks again.
    CHECK_FAILS(syscall(SYS_futex, &shared->result, 0, 0, NULL, NULL, 0), EAGAIN);
}

static void pauses(void) {
    handle(SIGUSR1, 0, count);
    shared->stage = 1;
    CHECK_FAILS(pause(), EINTR);
    CHECK_EQ(shared->handled, 1);
}

static void reads_and_handles(void) {
    char text[8];
    handle(SIGCONT, 0, count);
    shared->stage = 1;
    CHECK_FAILS(read(pipe_of[0], text, sizeof text), EINTR);
    CHECK_EQ(shared->handled, 1);
    handle(SIGCONT, SA_RESTART, count);
    shared->stage = 2;
    CHECK_EQ(read(pipe_of[0], text, sizeof text), 3);
    CHECK_EQ(shared->handled, 2);
}

static void asleep(pid_t pid, int stage) {
    AWAIT(shared->stage == stage);
    for (int i = 0; i < 20000 && state_of(pid) != 'S'; i++) usleep(1000);
    usleep(2000);
}

static void stop_and_go(pid_t pid, int signal) {
    kill(pid, signal);
    IS_STOPPED(pid, signal);
    kill(pid, SIGCONT);
}

/// Calls that a stop interrupts go on, but for those of signal(7).
static void calls(void) {
    CHECK_EQ(pipe(pipe_of), 0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, socket_of), 0);
    poll_of = epoll_create1(0);
    char text[8];
    fresh();
    pid_t pid = child(reads);
    asleep(pid, 1);
    kill(pid, SIGSTOP);
    IS_STOPPED(pid, SIGSTOP);
    // What comes meanwhile is not its own.
    CHECK_EQ(write(pipe_of[1], "abc", 3), 3);
    usleep(5000);
    CHECK_EQ(read(pipe_of[0], text, sizeof text), 3);
    kill(pid, SIGCONT);
    CHECK_EQ(write(pipe_of[1], "def", 3), 3);
    ENDS_WELL(pid);
    fresh();
    pid = child(sleeps);
    asleep(pid, 1);
    stop_and_go(pid, SIGSTOP);
    ENDS_WELL(pid);
    fresh();
    pid = child(polls);
    asleep(pid, 1);
    stop_and_go(pid, SIGTTIN);
    usleep(2000);
    CHECK_EQ(write(pipe_of[1], "x", 1), 1);
    ENDS_WELL(pid);
    CHECK_EQ(read(pipe_of[0], text, 1), 1);
    void (*ended[])(void) = {epolls, waits_for_signal, receives};
    for (int i = 0; i < 3; i++) {
        fresh();
        pid = child(ended[i]);
        asleep(pid, 1);
        stop_and_go(pid, SIGSTOP);
        ENDS_WELL(pid);
    }
    fresh();
    pid = child(waits_for_futex);
    asleep(pid, 1);
    kill(pid, SIGSTOP);
    IS_STOPPED(pid, SIGSTOP);
    // A stopped thread takes no wake from others.
    CHECK_EQ(syscall(SYS_futex, &shared->result, 1, 1, NULL, NULL, 0), 0);
    shared->result = 1;
    kill(pid, SIGCONT);
    ENDS_WELL(pid);
    fresh();
    pid = child(pauses);
    asleep(pid, 1);
    stop_and_go(pid, SIGSTOP);
    usleep(5000);
    CHECK_EQ(waited(pid, WNOHANG), -2);
    kill(pid, SIGUSR1);
    ENDS_WELL(pid);
    fresh();
    pid = child(reads_and_handles);
    asleep(pid, 1);
    stop_and_go(pid, SIGSTOP);
    asleep(pid, 2);
    stop_and_go(pid, SIGSTOP);
    usleep(2000);
    CHECK_EQ(write(pipe_of[1], "abc", 3), 3);
    ENDS_WELL(pid);
}

static void tries_to_stop(void) {
    // The new session's only group is orphaned.
    raise(SIGTSTP);
    raise(SIGTTIN);
    raise(SIGTTOU);
    shared->stage = 1;
    raise(SIGSTOP);
    shared->stage = 2;
}

static void hung_up(int signal) {
    if (signal == SIGHUP) shared->handled++;
    else shared->conts++;
}

static void member(void) {
    handle(SIGHUP, 0, hung_up);
    handle(SIGCONT, 0, hung_up);
    shared->other_pid = getpid();
    raise(SIGSTOP);
    AWAIT(shared->handled == 1 && shared->conts == 1);
    shared->stage = 2;
}

/// A shell with a stopped job ends.
static void shell(void) {
    pid_t pid = child(member);
    IS_STOPPED(pid, SIGSTOP);
    shared->stage = 1;
}

static void orphans(void) {
    fresh();
    pid_t pid = child_of(tries_to_stop, 1);
    IS_STOPPED(pid, SIGSTOP);
    CHECK_EQ(shared->stage, 1);
    kill(pid, SIGCONT);
    ENDS_WELL(pid);
    CHECK_EQ(shared->stage, 2);
    fresh();
    pid = child_of(shell, 1);
    ENDS_WELL(pid);
    AWAIT(shared->stage == 2);
}

static int master;
static const char *name;

static void type(const char *text) { CHECK_EQ(write(master, text, strlen(text)), strlen(text)); }

static int open_terminal(void) { return open(name, O_RDWR); }

/// In the background of the terminal: reads, writes, changes.
static void background(void) {
    int terminal = open_terminal();
    char text[16] = "";
    shared->stage = 1;
    CHECK(read(terminal, text, sizeof text) == 6 && !strcmp(text, "typed\n"));
    // In the background again.
    shared->stage = 2;
    AWAIT(shared->stage == 3);
    CHECK_EQ(write(terminal, "out", 3), 3);
    struct termios settings;
    CHECK_EQ(tcgetattr(terminal, &settings), 0);
    shared->stage = 4;
    CHECK_EQ(tcsetattr(terminal, TCSANOW, &settings), 0);
    shared->stage = 5;
    AWAIT(shared->stage == 6);
    // With SIGTTOU blocked it may.
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTTOU);
    sigaddset(&set, SIGTTIN);
    CHECK_EQ(sigprocmask(SIG_BLOCK, &set, NULL), 0);
    CHECK_EQ(tcsetattr(terminal, TCSANOW, &settings), 0);
    CHECK_FAILS(read(terminal, text, sizeof text), EIO);
    handle(SIGTTIN, 0, count);
    sigdelset(&set, SIGTTIN);
    CHECK_EQ(sigprocmask(SIG_SETMASK, &set, NULL), 0);
    CHECK_FAILS(read(terminal, text, sizeof text), EINTR);
    CHECK_EQ(shared->handled, 1);
    CHECK_EQ(tcsetpgrp(terminal, getpgrp()), 0);
    CHECK_EQ(tcgetpgrp(terminal), getpgrp());
    shared->stage = 7;
    for (;;) pause();
}

static void terminal_leader(void) {
    int terminal = open_terminal();
    CHECK(terminal >= 0);
    signal(SIGTTOU, SIG_IGN);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        signal(SIGTTOU, SIG_DFL);
        background();
        _exit(1);
    }
    setpgid(pid, pid);
    IS_STOPPED(pid, SIGTTIN);
    // Into the foreground.
    CHECK_EQ(tcsetpgrp(terminal, pid), 0);
    kill(pid, SIGCONT);
    IS_CONTINUED(pid);
    type("typed\n");
    AWAIT(shared->stage == 2);
    CHECK_EQ(tcsetpgrp(terminal, getpgrp()), 0);
    // It may write, unless the terminal stops that.
    struct termios settings;
    CHECK_EQ(tcgetattr(terminal, &settings), 0);
    settings.c_lflag |= TOSTOP;
    CHECK_EQ(tcsetattr(terminal, TCSANOW, &settings), 0);
    shared->stage = 3;
    IS_STOPPED(pid, SIGTTOU);
    settings.c_lflag &= ~(tcflag_t)TOSTOP;
    CHECK_EQ(tcsetattr(terminal, TCSANOW, &settings), 0);
    kill(pid, SIGCONT);
    IS_STOPPED(pid, SIGTTOU);
    CHECK_EQ(shared->stage, 4);
    // It tries again, and stops again.
    kill(pid, SIGCONT);
    IS_STOPPED(pid, SIGTTOU);
    CHECK_EQ(tcsetpgrp(terminal, pid), 0);
    kill(pid, SIGCONT);
    AWAIT(shared->stage == 5);
    CHECK_EQ(tcsetpgrp(terminal, getpgrp()), 0);
    shared->stage = 6;
    AWAIT(shared->stage == 7);
    IS_CONTINUED(pid);
    type("\x1a");
    IS_STOPPED(pid, SIGTSTP);
    CHECK_EQ(state_of(pid), 'T');
    kill(pid, SIGCONT);
    IS_CONTINUED(pid);
    type("\x03");
    IS_KILLED(pid, SIGINT);
}

static void terminals(void) {
    fresh();
    master = posix_openpt(O_RDWR | O_NOCTTY);
    CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    name = ptsname(master);
    pid_t pid = child_of(terminal_leader, 1);
    ENDS_WELL(pid);
    close(master);
}

/// A process whose first thread has ended stops with the others.

static void without_leader(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, lasts, NULL);
    shared->stage = 1;
    syscall(SYS_exit, 0);
}

static void leaderless(void) {
    fresh();
    pid_t pid = child(without_leader);
    AWAIT(shared->stage == 1 && state_of(pid) == 'Z');
    kill(pid, SIGSTOP);
    IS_STOPPED(pid, SIGSTOP);
    kill(pid, SIGCONT);
    IS_CONTINUED(pid);
    kill(pid, SIGKILL);
    IS_KILLED(pid, SIGKILL);
}

int main(void) {
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (getpid() == 1) {
        // The first process is not stopped from inside.
        raise(SIGSTOP);
        kill(1, SIGTSTP);
    }
    threads_stop();
    waits();
    told();
    wiped();
    calls();
    orphans();
    terminals();
    leaderless();
    return done("stopping");
}
