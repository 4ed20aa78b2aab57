//! owners: who gets the signals of a file, and who waits for whose locks.
//! build: static
//! cpus: 1, 2
#include "check.h"
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define PAGE 4096
/// Waits until `cond` holds.
#define AWAIT(cond) \
    do { \
        for (int i_ = 0; i_ < 20000 && !(cond); i_++) usleep(1000); \
        CHECK(cond); \
    } while (0)

/// A child that sleeps, once it has done what it should.
static pid_t sleeper(void (*first)(void)) {
    int ready[2];
    CHECK_EQ(pipe(ready), 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        if (first) first();
        if (write(ready[1], "r", 1) != 1) _exit(1);
        for (;;) pause();
    }
    char byte;
    close(ready[1]);
    CHECK_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void end(pid_t pid) {
    CHECK_EQ(kill(pid, SIGKILL), 0);
    CHECK_EQ(waitpid(pid, NULL, 0), pid);
}

static int lock_fd;
static int lock(int command, short kind, off_t start) {
    struct flock range = {kind, SEEK_SET, start, 1, 0};
    int result = fcntl(lock_fd, command, &range);
    return command == F_GETLK ? (range.l_type == F_UNLCK ? 0 : range.l_pid) : result;
}

static void deadlocks(void) {
    scratch();
    lock_fd = open("locked", O_RDWR | O_CREAT, 0600);
    CHECK_EQ(lock(F_SETLK, F_WRLCK, 9), 0);
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        int ok = lock(F_GETLK, F_RDLCK, 9) == getppid() && lock(F_SETLK, F_WRLCK, 5) == 0;
        if (write(ends[1], "r", 1) != 1) _exit(2);
        // The parent waits for 5: to wait for 9 would never end.
        struct flock range = {F_WRLCK, SEEK_SET, 9, 1, 0};
        for (int i = 0; i < 5; i++) usleep(20000);
        int got = fcntl(lock_fd, F_SETLKW, &range), why = errno;
        // Whichever of both comes last is told.
        _exit(!ok || (got == -1 && why != EDEADLK) ? 1 : got == -1 ? 10 : 11);
    }
    char byte;
    CHECK_EQ(read(ends[0], &byte, 1), 1);
    int got = lock(F_SETLKW, F_WRLCK, 5), why = errno, status;
    if (got == -1) {
        CHECK_EQ(why, EDEADLK);
        CHECK_EQ(lock(F_SETLK, F_UNLCK, 9), 0);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(WEXITSTATUS(status), got == -1 ? 11 : 10);
    CHECK_EQ(lock(F_SETLK, F_WRLCK, 5), 0);
}

static void lead_a_group(void) { setpgid(0, 0); }

static volatile int *io;
static void on_io(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    io[1] = info->si_code, io[2] = info->si_fd;
    __atomic_add_fetch(&io[0], 1, __ATOMIC_SEQ_CST);
}

static void signals_of_files(void) {
    struct sigaction action = {.sa_sigaction = on_io, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGIO, &action, NULL);
    sigaction(SIGRTMIN, &action, NULL);
    io = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    pid_t pid = sleeper(lead_a_group);
    CHECK_EQ(fcntl(ends[0], F_GETOWN), 0);
    CHECK_FAILS(fcntl(ends[0], F_SETOWN, 4000000), ESRCH);
    CHECK_EQ(fcntl(ends[0], F_SETOWN, pid), 0);
    CHECK_EQ(fcntl(ends[0], F_GETOWN), pid);
    CHECK_EQ(write(ends[1], "a", 1), 1);
    CHECK_EQ(io[0], 0); // not asked for yet
    CHECK_EQ(fcntl(ends[0], F_SETFL, O_ASYNC), 0);
    CHECK_EQ(fcntl(ends[0], F_GETFL) & O_ASYNC, O_ASYNC);
    CHECK_EQ(write(ends[1], "b", 1), 1);
    AWAIT(io[0] >= 1);
    int seen = io[0];
    CHECK_EQ(fcntl(ends[0], F_SETSIG, SIGRTMIN), 0);
    CHECK_EQ(fcntl(ends[0], F_GETSIG), SIGRTMIN);
    CHECK_FAILS(fcntl(ends[0], F_SETSIG, 65), EINVAL);
    CHECK_EQ(fcntl(ends[0], F_SETOWN, -pid), 0);
    CHECK_EQ(fcntl(ends[0], F_GETOWN), -pid);
    CHECK_EQ(write(ends[1], "c", 1), 1);
    AWAIT(io[0] > seen);
    CHECK_EQ(io[1], POLL_IN);
    CHECK_EQ(io[2], ends[0]);
    CHECK_EQ(fcntl(ends[0], F_SETFL, 0), 0);
    seen = io[0];
    CHECK_EQ(write(ends[1], "d", 1), 1);
    CHECK_EQ(io[0], seen);
    end(pid);
    CHECK_EQ(fcntl(ends[0], F_GETOWN), 0);
    struct f_owner_ex ex = {F_OWNER_TID, getpid()};
    CHECK_EQ(fcntl(ends[0], F_SETOWN_EX, &ex), 0);
    ex.pid = 0;
    CHECK(fcntl(ends[0], F_GETOWN_EX, &ex) == 0 && ex.type == F_OWNER_TID && ex.pid == getpid());
    ex.type = 9;
    CHECK_FAILS(fcntl(ends[0], F_SETOWN_EX, &ex), EINVAL);
    int sockets[2], on = 1, self = getpid(), got = 0;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    CHECK(ioctl(sockets[0], FIOSETOWN, &self) == 0 && ioctl(sockets[0], FIOGETOWN, &got) == 0 && got == self);
    CHECK_EQ(ioctl(sockets[0], FIOASYNC, &on), 0);
    seen = io[0];
    CHECK_EQ(write(sockets[1], "x", 1), 1);
    AWAIT(io[0] > seen);
    int file = open("locked", O_RDONLY);
    CHECK_FAILS(ioctl(file, FIOASYNC, &on), ENOTTY);
}

int main(void) {
    deadlocks();
    signals_of_files();
    return done("owners");
}
