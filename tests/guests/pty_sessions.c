//! pty_sessions: a terminal of a session: who has it, which group is in the foreground and gets
//! what is typed, and what the end of the leader does.
//! build: static
//! cpus: 1, 2
#include "check.h"
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

static int master;
static const char *name;

/// What the processes tell each other.
static struct shared {
    volatile pid_t leader, member;
    volatile int interrupts_of_leader, interrupts_of_member, hangups_of_member, conts_of_member;
    volatile int stage;
} *shared;

/// Waits until `cond` holds.
#define AWAIT(cond) \
    do { \
        for (int i_ = 0; i_ < 20000 && !(cond); i_++) usleep(1000); \
        CHECK(cond); \
    } while (0)

static void count(int signal) {
    int leads = getpid() == shared->leader;
    if (signal == SIGINT && leads) shared->interrupts_of_leader++;
    else if (signal == SIGINT) shared->interrupts_of_member++;
    else if (signal == SIGHUP && !leads) shared->hangups_of_member++;
    else if (signal == SIGCONT && !leads) shared->conts_of_member++;
}

static void type(const char *text) { CHECK_EQ(write(master, text, strlen(text)), strlen(text)); }

/// Number `number` of a process's stat, counted as in the manual.
static long long field(pid_t pid, int number) {
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (get_file(path, text, sizeof text) <= 0) return -2;
    char *at = strrchr(text, ')');
    for (int i = 2; at && i < number; i++) at = strchr(at + 1, ' ');
    return at ? atoll(at + 1) : -2;
}

/// A process of the session, in a group of its own.
static void member(int slave) {
    CHECK_EQ(setpgid(0, 0), 0);
    CHECK_FAILS(ioctl(slave, TIOCSCTTY, 0), EPERM);
    shared->member = getpid();
    AWAIT(shared->stage == 1);
    CHECK_EQ(tcgetpgrp(slave), getpid());
    CHECK_EQ(tcgetsid(slave), shared->leader);
    int tty = open("/dev/tty", O_RDWR);
    CHECK(tty >= 0 && tcgetpgrp(tty) == getpid());
    char line[16] = "";
    CHECK(read(tty, line, sizeof line) == 6 && !strcmp(line, "typed\n"));
    shared->stage = 2;
    // The leader ends: the terminal is lost.
    AWAIT(shared->hangups_of_member == 1);
    CHECK_EQ(write(slave, "x", 1), 1);
    CHECK_FAILS(tcgetpgrp(slave), ENOTTY);
    CHECK_FAILS(open("/dev/tty", O_RDWR), ENXIO);
    CHECK_EQ(field(getpid(), 7), 0);
    CHECK_EQ(field(getpid(), 8), -1);
    shared->stage = 4;
    fflush(stdout);
    _exit(wrong_count != 0);
}

static void leader(void) {
    shared->leader = getpid();
    CHECK(setsid() == getpid());
    CHECK_FAILS(open("/dev/tty", O_RDWR), ENXIO);
    CHECK_EQ(field(getpid(), 7), 0);
    int slave = open(name, O_RDWR | O_NOCTTY);
    CHECK_FAILS(tcgetpgrp(slave), ENOTTY);
    CHECK_FAILS(tcsetpgrp(slave, getpid()), ENOTTY);
    close(slave);
    slave = open(name, O_RDWR);
    CHECK(slave >= 0);
    CHECK_EQ(tcgetpgrp(slave), getpid());
    CHECK_EQ(tcgetsid(slave), getpid());
    struct stat st;
    CHECK_EQ(fstat(slave, &st), 0);
    CHECK_EQ(field(getpid(), 7), st.st_rdev);
    CHECK_EQ(field(getpid(), 8), getpid());
    signal(SIGTTOU, SIG_IGN);
    pid_t pid = fork();
    if (pid == 0) member(slave);
    AWAIT(shared->member == pid);
    CHECK_FAILS(tcsetpgrp(slave, getpgid(getppid())), EPERM);
    CHECK_FAILS(tcsetpgrp(slave, 4000000), ESRCH);
    CHECK_EQ(tcsetpgrp(slave, pid), 0);
    CHECK_EQ(tcgetpgrp(slave), pid);
    CHECK_EQ(field(getpid(), 8), pid);
    shared->stage = 1;
    AWAIT(shared->stage == 3);
    fflush(stdout);
    _exit(wrong_count != 0);
}

/// Another session takes the terminal, and gives it up.
static void successor(void) {
    CHECK(setsid() == getpid());
    shared->leader = 0;
    int slave = open(name, O_RDWR | O_NOCTTY);
    CHECK_EQ(ioctl(slave, TIOCSCTTY, 0), 0);
    CHECK_EQ(tcgetpgrp(slave), getpid());
    shared->hangups_of_member = shared->conts_of_member = 0;
    CHECK_EQ(ioctl(slave, TIOCNOTTY), 0);
    AWAIT(shared->hangups_of_member == 1 && shared->conts_of_member == 1);
    CHECK_FAILS(ioctl(slave, TIOCNOTTY), ENOTTY);
    CHECK_FAILS(tcgetpgrp(slave), ENOTTY);
    CHECK_EQ(write(slave, "still", 5), 5);
    // Once the master is gone, its end is told to the group that was in the foreground.
    CHECK_EQ(ioctl(slave, TIOCSCTTY, 0), 0);
    close(master);
    shared->hangups_of_member = shared->conts_of_member = 0;
    shared->stage = 5;
    AWAIT(shared->hangups_of_member >= 1 && shared->conts_of_member >= 1);
    CHECK_EQ(read(slave, (char[1]){0}, 1), 0);
    CHECK_FAILS(write(slave, "x", 1), EIO);
    CHECK_FAILS(open("/dev/tty", O_RDWR), ENXIO);
    CHECK_EQ(field(getpid(), 8), -1);
    fflush(stdout);
    _exit(wrong_count != 0);
}

int main(void) {
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct sigaction action = {.sa_handler = count, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    sigaction(SIGCONT, &action, NULL);
    master = posix_openpt(O_RDWR | O_NOCTTY);
    CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    name = ptsname(master);
    int status;
    pid_t pid = fork();
    if (pid == 0) leader();
    AWAIT(shared->stage == 1);
    // It belongs to somebody else.
    int slave = open(name, O_RDWR | O_NOCTTY);
    CHECK_FAILS(tcgetpgrp(slave), ENOTTY);
    CHECK_EQ(tcgetpgrp(master), shared->member);
    CHECK_EQ(tcgetsid(master), pid);
    pid_t stranger = fork();
    if (stranger == 0) {
        setsid();
        CHECK_FAILS(ioctl(slave, TIOCSCTTY, 0), EPERM);
        CHECK_FAILS(tcsetpgrp(slave, getpid()), ENOTTY);
        fflush(stdout);
        _exit(wrong_count != 0);
    }
    CHECK(waitpid(stranger, &status, 0) == stranger && status == 0);
    close(slave);
    type("\x03");
    AWAIT(shared->interrupts_of_member == 1);
    CHECK_EQ(shared->interrupts_of_leader, 0);
    type("typed\n");
    AWAIT(shared->stage == 2);
    shared->stage = 3;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    AWAIT(shared->stage == 4);
    CHECK_EQ(tcgetpgrp(master), 0);
    pid = fork();
    if (pid == 0) successor();
    AWAIT(shared->stage == 5);
    close(master);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    return done("pty_sessions");
}
