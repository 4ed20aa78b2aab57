//! pty: pseudo-terminals: names, line editing, raw mode, signals, sizes, hang-up.
//! build: static
#include "check.h"
#include <dirent.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <time.h>

static char got[8192];
static volatile int interrupts, resizes, hangups;

static void on_signal(int signal) {
    if (signal == SIGINT) interrupts++;
    else if (signal == SIGWINCH) resizes++;
    else if (signal == SIGHUP) hangups++;
}

/// What `fd` gives in one read, as text.
static const char *take(int fd) {
    ssize_t n = read(fd, got, sizeof got - 1);
    got[n > 0 ? n : 0] = 0;
    return n < 0 ? "(error)" : got;
}

/// What the master gives until it has `want` bytes: echo comes when it comes.
static const char *shown(int master, size_t want) {
    size_t have = 0;
    while (have < want) {
        struct pollfd p = {master, POLLIN, 0};
        if (poll(&p, 1, 10000) != 1) break;
        ssize_t n = read(master, got + have, sizeof got - 1 - have);
        if (n <= 0) break;
        have += (size_t)n;
    }
    got[have] = 0;
    return got;
}

static void type(int master, const char *text) { CHECK_EQ(write(master, text, strlen(text)), strlen(text)); }

/// Waits until a handler ran: the signal may come after the write that causes it.
static void await(volatile int *count, int want) {
    for (int i = 0; i < 10000 && *count < want; i++) usleep(1000);
    CHECK_EQ(*count, want);
}

static int events(int fd) {
    struct pollfd p = {fd, POLLIN | POLLOUT, 0};
    return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

static void await_event(int fd, int event) {
    for (int i = 0; i < 10000 && !(events(fd) & event); i++) usleep(1000);
    CHECK(events(fd) & event);
}

static void names(void) {
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    CHECK(master >= 0);
    const char *name = ptsname(master);
    CHECK(name && !strncmp(name, "/dev/pts/", 9));
    CHECK_FAILS(open(name, O_RDWR | O_NOCTTY), EIO); // locked
    CHECK(grantpt(master) == 0 && unlockpt(master) == 0);
    int slave = open(name, O_RDWR | O_NOCTTY);
    CHECK(slave >= 0 && isatty(slave) && isatty(master));
    CHECK(ttyname(slave) && !strcmp(ttyname(slave), name));
    struct stat st;
    CHECK_EQ(fstat(slave, &st), 0);
    CHECK(S_ISCHR(st.st_mode) && major(st.st_rdev) == 136 && st.st_uid == getuid());
    CHECK(minor(st.st_rdev) == (unsigned)atoi(name + 9));
    int number = -1, peer = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    CHECK(peer >= 0 && fcntl(peer, F_GETFD) == FD_CLOEXEC);
    CHECK(ioctl(master, TIOCGPTN, &number) == 0 && number == atoi(name + 9));
    CHECK(ttyname(peer) && !strcmp(ttyname(peer), name));
    DIR *pts = opendir("/dev/pts");
    int found = 0, ptmx = 0;
    for (struct dirent *e; pts && (e = readdir(pts));) {
        found += !strcmp(e->d_name, name + 9);
        ptmx += !strcmp(e->d_name, "ptmx");
    }
    closedir(pts);
    CHECK(found == 1 && ptmx == 1);
    CHECK_FAILS(lseek(slave, 0, SEEK_SET), ESPIPE);
    char kept[64];
    strcpy(kept, name);
    close(master);
    CHECK_FAILS(stat(kept, &st), ENOENT);
    close(slave);
    close(peer);
}

static void cooked(int master, int slave) {
    type(master, "hello\r");
    CHECK(!strcmp(take(slave), "hello\n"));
    CHECK(!strcmp(shown(master, 7), "hello\r\n"));
    type(master, "ab\x7f" "c\n\x04");
    CHECK(!strcmp(take(slave), "ac\n"));
    CHECK_EQ(read(slave, got, 10), 0); // the ^D
    CHECK(!strcmp(shown(master, 8), "ab\b \bc\r\n"));
    type(master, "one\ntwo\n");
    CHECK_EQ(read(slave, got, 2), 2);
    CHECK(!strcmp(take(slave), "e\n") && !strcmp(take(slave), "two\n"));
    CHECK(!strcmp(shown(master, 10), "one\r\ntwo\r\n"));
    type(slave, "out\n");
    CHECK(!strcmp(shown(master, 5), "out\r\n"));
    int flags = fcntl(slave, F_GETFL);
    fcntl(slave, F_SETFL, flags | O_NONBLOCK);
    CHECK_FAILS(read(slave, got, 10), EAGAIN);
    type(master, "no line yet");
    CHECK(!strcmp(shown(master, 11), "no line yet"));
    CHECK_FAILS(read(slave, got, 10), EAGAIN);
    CHECK_EQ(events(slave), POLLOUT);
    type(master, "\n");
    await_event(slave, POLLIN);
    int count = 0;
    CHECK(ioctl(slave, FIONREAD, &count) == 0 && count == 12);
    CHECK_EQ(tcflush(slave, TCIFLUSH), 0);
    CHECK_FAILS(read(slave, got, 10), EAGAIN);
    CHECK(!strcmp(shown(master, 2), "\r\n"));
    fcntl(slave, F_SETFL, flags);
}

static void raw(int master, int slave) {
    struct termios saved, now, back;
    CHECK_EQ(tcgetattr(slave, &saved), 0);
    CHECK((saved.c_lflag & (ICANON | ECHO | ISIG)) == (ICANON | ECHO | ISIG) && saved.c_cc[VINTR] == 3);
    CHECK(cfgetospeed(&saved) == B38400);
    now = saved;
    cfmakeraw(&now);
    CHECK_EQ(tcsetattr(slave, TCSANOW, &now), 0);
    CHECK(tcgetattr(master, &back) == 0 && back.c_lflag == now.c_lflag); // one terminal
    type(master, "\x03\r\n\x7f");
    await_event(slave, POLLIN);
    CHECK_EQ(read(slave, got, 1), 1);
    CHECK(got[0] == 3);
    CHECK(!strcmp(take(slave), "\r\n\x7f"));
    type(slave, "a\nb");
    CHECK(!strcmp(shown(master, 3), "a\nb"));

    now.c_cc[VMIN] = 3;
    tcsetattr(slave, TCSANOW, &now);
    type(master, "ab");
    usleep(20000);
    CHECK_EQ(events(slave) & POLLIN, 0);
    type(master, "c");
    await_event(slave, POLLIN);
    CHECK(!strcmp(take(slave), "abc"));
    now.c_cc[VMIN] = 0;
    tcsetattr(slave, TCSANOW, &now);
    CHECK_EQ(read(slave, got, 10), 0); // at once
    now.c_cc[VTIME] = 2;
    tcsetattr(slave, TCSANOW, &now);
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    CHECK_EQ(read(slave, got, 10), 0); // after two tenths
    clock_gettime(CLOCK_MONOTONIC, &to);
    CHECK((to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000 >= 190);
    now.c_cc[VMIN] = 10;
    tcsetattr(slave, TCSANOW, &now);
    type(master, "xyz");
    CHECK(!strcmp(take(slave), "xyz")); // fewer than ten, but nothing came any more
    CHECK_EQ(tcsetattr(slave, TCSAFLUSH, &saved), 0);
}

static void control(int master, int slave) {
    struct winsize size = {40, 100, 0, 0}, back;
    CHECK_EQ(ioctl(master, TIOCSWINSZ, &size), 0);
    CHECK(ioctl(slave, TIOCGWINSZ, &back) == 0 && back.ws_row == 40 && back.ws_col == 100);
    int number;
    CHECK_FAILS(ioctl(slave, TIOCGPTN, &number), ENOTTY);
    CHECK_FAILS(tcgetpgrp(slave), ENOTTY); // not ours yet
    CHECK_FAILS(open("/dev/tty", O_RDWR), ENXIO);
    type(master, "\x03");
    CHECK(!strcmp(shown(master, 2), "^C"));
    CHECK_EQ(interrupts, 0); // nobody is in the foreground

    CHECK_EQ(ioctl(slave, TIOCSCTTY, 0), 0);
    CHECK_EQ(ioctl(slave, TIOCSCTTY, 0), 0);
    CHECK_EQ(tcgetpgrp(slave), getpgrp());
    CHECK_EQ(tcgetsid(slave), getsid(0));
    CHECK_EQ(tcsetpgrp(slave, getpgrp()), 0);
    CHECK_FAILS(tcsetpgrp(slave, 999999), ESRCH);
    int tty = open("/dev/tty", O_RDWR);
    CHECK(tty >= 0 && isatty(tty));
    type(tty, "by tty\n");
    CHECK(!strcmp(shown(master, 8), "by tty\r\n"));
    close(tty);
    type(master, "dropped\x03");
    await(&interrupts, 1);
    CHECK_EQ(tcflush(master, TCIOFLUSH), 0);
    type(master, "kept\n");
    CHECK(!strcmp(take(slave), "kept\n"));
    size.ws_col = 120;
    CHECK_EQ(ioctl(slave, TIOCSWINSZ, &size), 0);
    await(&resizes, 1);
    CHECK_EQ(ioctl(slave, TIOCSWINSZ, &size), 0);
    CHECK_EQ(resizes, 1); // nothing changed
}

int main(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGWINCH, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    names();
    int master, slave;
    struct winsize size = {24, 80, 0, 0};
    CHECK_EQ(openpty(&master, &slave, NULL, NULL, &size), 0);
    CHECK_EQ(events(slave), POLLOUT);
    cooked(master, slave);
    raw(master, slave);
    control(master, slave);
    await_event(master, POLLOUT);

    // Without a slave there is nothing to read, and with one again there is.
    tcflush(master, TCIOFLUSH);
    type(slave, "last");
    int again = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
    close(slave);
    close(again);
    CHECK(!strcmp(shown(master, 4), "last"));
    CHECK_FAILS(read(master, got, 1), EIO);
    CHECK(events(master) & POLLHUP);
    slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
    CHECK(slave >= 0 && (events(master) & POLLHUP) == 0);

    close(master);
    await(&hangups, 1);
    CHECK_EQ(read(slave, got, 1), 0);
    CHECK_FAILS(write(slave, "x", 1), EIO);
    CHECK_EQ(isatty(slave), 0);
    CHECK(events(slave) & POLLHUP);
    CHECK_FAILS(open("/dev/tty", O_RDWR), ENXIO);
    CHECK_EQ(isatty(0), 0);
    CHECK_FAILS(open("/dev/pts/4000", O_RDWR), ENOENT);

    // More than one at once, each of its own number.
    int masters[20];
    for (int i = 0; i < 20; i++) masters[i] = posix_openpt(O_RDWR | O_NOCTTY);
    for (int i = 1; i < 20; i++) {
        int first = -1, other = -1;
        ioctl(masters[i - 1], TIOCGPTN, &first);
        ioctl(masters[i], TIOCGPTN, &other);
        CHECK(first >= 0 && other >= 0 && first != other);
    }
    return done("pty");
}
