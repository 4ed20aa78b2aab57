//! pidfd: descriptors of processes: made by a number or with the process, polled, waited for,
//! signalled by, looked through, and after the process is gone.
//! build: static
//! flags: -pthread
//! cpus: 1, 2
#include "check.h"
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static int pidfd_open_(pid_t pid, unsigned flags) { return (int)syscall(SYS_pidfd_open, pid, flags); }
static int send_by(int fd, int signal, void *info) { return (int)syscall(SYS_pidfd_send_signal, fd, signal, info, 0); }
static int get_by(int fd, int wanted) { return (int)syscall(SYS_pidfd_getfd, fd, wanted, 0); }

static int events_of(int fd, int timeout_ms) {
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    int count = poll(&entry, 1, timeout_ms);
    return count < 0 ? -1 : entry.revents;
}

static pid_t sleeper(void) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) for (;;) pause();
    return pid;
}

/// Whether a descriptor's fdinfo has the two lines with this number.
static void shows(int fd, long pid) {
    char path[64], text[1024], lines[64];
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    snprintf(lines, sizeof lines, "Pid:\t%ld\nNSpid:\t%ld\n", pid, pid);
    CHECK(get_file(path, text, sizeof text) > 0 && strstr(text, lines));
}

static void opened(void) {
    CHECK_FAILS(pidfd_open_(0, 0), EINVAL);
    CHECK_FAILS(pidfd_open_(-5, 0), EINVAL);
    CHECK_FAILS(pidfd_open_(getpid(), 1), EINVAL);
    CHECK_FAILS(pidfd_open_(4000000, 0), ESRCH);
    int own = pidfd_open_(getpid(), 0);
    CHECK(own >= 0);
    CHECK_EQ(fcntl(own, F_GETFD), FD_CLOEXEC);
    CHECK_EQ(fcntl(own, F_GETFL) & O_NONBLOCK, 0);
    CHECK_EQ(fcntl(own, F_GETFL) & O_ACCMODE, O_RDWR);
    char byte;
    CHECK_FAILS(read(own, &byte, 1), EINVAL);
    CHECK_FAILS(write(own, "", 1), EINVAL);
    CHECK_EQ(events_of(own, 0), 0);
    CHECK_EQ(send_by(own, 0, NULL), 0);
    shows(own, getpid());
    char link[64], path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", own);
    ssize_t len = readlink(path, link, sizeof link - 1);
    CHECK(len == 18 && !memcmp(link, "anon_inode:[pidfd]", 18));
    int nonblocking = pidfd_open_(getpid(), O_NONBLOCK);
    CHECK_EQ(fcntl(nonblocking, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    close(nonblocking);
    close(own);
    CHECK_FAILS(send_by(own, 0, NULL), EBADF);
    CHECK_FAILS(send_by(0, 0, NULL), EBADF);
    CHECK_FAILS(get_by(0, 0), EBADF);
    siginfo_t info;
    CHECK_FAILS(waitid(P_PIDFD, 0, &info, WEXITED), EBADF);
    CHECK_FAILS(waitid(P_PIDFD, 999, &info, WEXITED), EBADF);
    CHECK_FAILS(waitid(P_PIDFD, -1, &info, WEXITED), EINVAL);
}

/// From the first signal to nothing left of the process.
static void lives(void) {
    pid_t pid = sleeper();
    int fd = pidfd_open_(pid, 0), again = pidfd_open_(pid, O_NONBLOCK), set = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    CHECK_EQ(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), 0);
    CHECK_EQ(epoll_wait(set, &event, 1, 0), 0);
    siginfo_t info = {0};
    CHECK_FAILS(waitid(P_PIDFD, again, &info, WEXITED), EAGAIN);
    CHECK_EQ(waitid(P_PIDFD, again, &info, WEXITED | WNOHANG), 0);
    CHECK_EQ(info.si_pid, 0);
    CHECK_FAILS(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0x100), EINVAL);
    CHECK_FAILS(send_by(fd, 65, NULL), EINVAL);
    CHECK_FAILS(send_by(fd, SIGTERM, (void *)8), EFAULT);
    info.si_signo = SIGUSR1;
    info.si_code = SI_QUEUE;
    CHECK_FAILS(send_by(fd, SIGUSR2, &info), EINVAL);
    info.si_code = SI_USER;
    CHECK_FAILS(send_by(fd, SIGUSR1, &info), EPERM);
    // It stops and goes on by it, too.
    CHECK_EQ(send_by(fd, SIGSTOP, NULL), 0);
    CHECK_EQ(waitid(P_PIDFD, fd, &info, WSTOPPED), 0);
    CHECK_EQ(info.si_code, CLD_STOPPED);
    CHECK_EQ(events_of(fd, 0), 0);
    CHECK_EQ(send_by(fd, SIGCONT, NULL), 0);
    CHECK_EQ(waitid(P_PIDFD, fd, &info, WCONTINUED), 0);
    shows(fd, pid);
    info = (siginfo_t){.si_signo = SIGUSR1, .si_code = SI_QUEUE};
    CHECK_EQ(send_by(fd, SIGUSR1, &info), 0);
    CHECK_EQ(epoll_wait(set, &event, 1, 20000), 1);
    CHECK_EQ(event.events, EPOLLIN);
    CHECK_EQ(events_of(fd, 20000), POLLIN);
    CHECK_EQ(events_of(again, 0), POLLIN);
    // A zombie takes signals, and has no files.
    CHECK_EQ(send_by(fd, SIGTERM, NULL), 0);
    CHECK(get_by(fd, 0) == -1 && (errno == ESRCH || errno == EBADF));
    shows(fd, pid);
    CHECK_EQ(waitid(P_PIDFD, fd, &info, WEXITED | WNOWAIT), 0);
    CHECK_EQ(waitid(P_PIDFD, again, &info, WEXITED), 0);
    CHECK(info.si_pid == pid && info.si_code == CLD_KILLED && info.si_status == SIGUSR1);
    CHECK_FAILS(waitid(P_PIDFD, fd, &info, WEXITED), ECHILD);
    CHECK_FAILS(send_by(fd, 0, NULL), ESRCH);
    CHECK_FAILS(get_by(fd, 0), ESRCH);
    CHECK(events_of(fd, 0) & POLLIN);
    CHECK_FAILS(pidfd_open_(pid, 0), ESRCH);
    shows(fd, -1);
    close(set);
    close(fd);
    close(again);
    // Somebody else's child.
    int parent = pidfd_open_(getppid(), 0);
    if (parent >= 0) CHECK_FAILS(waitid(P_PIDFD, parent, &info, WEXITED), ECHILD);
    close(parent);
}

/// One that waits in poll is told of the end.
static void *polls(void *fd) { return (void *)(long)events_of((int)(long)fd, 20000); }

static void waited_for(void) {
    pid_t pid = sleeper();
    int fd = pidfd_open_(pid, 0);
    pthread_t thread;
    void *events;
    CHECK_EQ(pthread_create(&thread, NULL, polls, (void *)(long)fd), 0);
    usleep(5000);
    CHECK_EQ(send_by(fd, SIGKILL, NULL), 0);
    CHECK_EQ(pthread_join(thread, &events), 0);
    CHECK_EQ((long)events & POLLIN, POLLIN);
    CHECK_EQ(waitpid(pid, NULL, 0), pid);
    close(fd);
}

static long raw_clone(unsigned long flags, void *parent) { return syscall(SYS_clone, flags, 0, parent, 0, 0); }

static void made_with_the_process(void) {
    int fd = -1, tid = 0, status;
    long pid = raw_clone(CLONE_PIDFD | SIGCHLD, &fd);
    if (pid == 0) _exit(fcntl(fd, F_GETFD) == -1 ? 4 : 1);
    CHECK(pid > 0 && fd >= 0);
    CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    CHECK_EQ(events_of(fd, 20000), POLLIN);
    shows(fd, pid);
    CHECK_EQ(waitpid((pid_t)pid, &status, 0), pid);
    CHECK_EQ(status, 4 << 8);
    close(fd);
    CHECK_FAILS(raw_clone(CLONE_PIDFD | CLONE_PARENT_SETTID | SIGCHLD, &fd), EINVAL);
    CHECK_FAILS(raw_clone(CLONE_PIDFD | CLONE_DETACHED | SIGCHLD, &fd), EINVAL);
    CHECK_FAILS(raw_clone(CLONE_PIDFD | SIGCHLD, (void *)8), EFAULT);
    CHECK_FAILS(waitpid(-1, NULL, 0), ECHILD);
    int lowest = dup(0);
    close(lowest);
    struct clone_args arguments = {.flags = CLONE_PIDFD | CLONE_PARENT_SETTID, .exit_signal = SIGCHLD};
    arguments.pidfd = (uint64_t)&fd, arguments.parent_tid = (uint64_t)&tid;
    pid = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid == 0) _exit(5);
    CHECK(pid > 0 && tid == pid);
    CHECK_EQ(fd, lowest);
    siginfo_t info;
    CHECK_EQ(waitid(P_PIDFD, fd, &info, WEXITED), 0);
    CHECK(info.si_pid == pid && info.si_status == 5);
    close(fd);
    arguments.parent_tid = arguments.pidfd;
    CHECK_FAILS(syscall(SYS_clone3, &arguments, sizeof arguments), EINVAL);
}

/// A file of another process.
static void fetched(void) {
    int ends[2], ready[2];
    CHECK_EQ(pipe(ready), 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(pipe(ends) == 0 && write(ends[1], "inside", 6) == 6);
        CHECK_EQ(write(ready[1], ends, sizeof ends), sizeof ends);
        for (;;) pause();
    }
    CHECK_EQ(read(ready[0], ends, sizeof ends), sizeof ends);
    int fd = pidfd_open_(pid, 0);
    char text[8] = "";
    CHECK_FAILS(get_by(fd, 900), EBADF);
    CHECK_FAILS(syscall(SYS_pidfd_getfd, fd, ends[0], 1), EINVAL);
    int got = get_by(fd, ends[0]);
    CHECK(got >= 0 && fcntl(got, F_GETFD) == FD_CLOEXEC);
    CHECK(read(got, text, sizeof text) == 6 && !strcmp(text, "inside"));
    close(got);
    // Only who may look into it gets its files; its signals are another matter.
    fflush(stdout);
    pid_t other = fork();
    if (other == 0) {
        wrong_count = 0;
        if (geteuid() == 0) {
            CHECK(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
            CHECK_FAILS(get_by(fd, ends[0]), EPERM);
            CHECK_FAILS(send_by(fd, SIGTERM, NULL), EPERM);
            CHECK_FAILS(send_by(fd, 0, NULL), EPERM);
        }
        fflush(stdout);
        _exit(wrong_count);
    }
    int status;
    CHECK(waitpid(other, &status, 0) == other && status == 0);
    CHECK_EQ(send_by(fd, SIGKILL, NULL), 0);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    close(fd);
    close(ready[0]);
    close(ready[1]);
}

/// A directory of /proc names a process for a signal, and for nothing else.
static void named_by_a_directory(void) {
    pid_t pid = sleeper();
    char path[64];
    snprintf(path, sizeof path, "/proc/%d", pid);
    int directory = open(path, O_RDONLY | O_DIRECTORY);
    CHECK(directory >= 0);
    CHECK_EQ(send_by(directory, 0, NULL), 0);
    CHECK_FAILS(get_by(directory, 0), EBADF);
    siginfo_t info;
    CHECK_FAILS(waitid(P_PIDFD, directory, &info, WEXITED), EBADF);
    CHECK_EQ(send_by(directory, SIGTERM, NULL), 0);
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    CHECK_FAILS(send_by(directory, 0, NULL), ESRCH);
    close(directory);
    for (int i = 0; i < 2; i++) {
        int other = open(i ? "/proc" : "/proc/self/task", O_RDONLY | O_DIRECTORY);
        CHECK(other >= 0);
        CHECK_FAILS(send_by(other, 0, NULL), EBADF);
        close(other);
    }
}

int main(void) {
    opened();
    lives();
    waited_for();
    made_with_the_process();
    fetched();
    named_by_a_directory();
    return done("pidfd");
}
