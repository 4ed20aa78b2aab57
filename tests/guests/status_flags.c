//! status_flags: F_GETFL shows O_LARGEFILE for what was opened by name, not for what has none.
//! build: static
#include "check.h"
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

// glibc hides it from 64-bit programs.
#define LARGEFILE 0100000

static void flags_are(int fd, int flags) {
    CHECK(fd >= 0);
    CHECK_EQ(fcntl(fd, F_GETFL), flags);
}

int main(void) {
    scratch();
    put_file("f", "0123456789");
    flags_are(open("f", O_RDONLY), O_RDONLY | LARGEFILE);
    flags_are(open("f", O_WRONLY | O_APPEND | O_CREAT | O_TRUNC, 0600), O_WRONLY | O_APPEND | LARGEFILE);
    flags_are(open("f", O_RDONLY | O_PATH | O_CLOEXEC), O_PATH);
    flags_are(open("/proc/self/status", O_RDONLY | O_CLOEXEC), O_RDONLY | LARGEFILE);
    flags_are(open("/dev/null", O_RDWR | O_NONBLOCK), O_RDWR | O_NONBLOCK | LARGEFILE);
    CHECK_EQ(mkfifo("fifo", 0600), 0);
    flags_are(open("fifo", O_RDONLY | O_NONBLOCK), O_RDONLY | O_NONBLOCK | LARGEFILE);
    flags_are(memfd_create("m", 0), O_RDWR | LARGEFILE);

    int ends[2];
    CHECK_EQ(pipe2(ends, O_NONBLOCK), 0);
    flags_are(ends[0], O_RDONLY | O_NONBLOCK);
    flags_are(ends[1], O_WRONLY | O_NONBLOCK);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    flags_are(ends[0], O_RDWR);
    flags_are(socket(AF_INET, SOCK_STREAM, 0), O_RDWR);
    flags_are(socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0), O_RDWR | O_NONBLOCK);
    flags_are(socket(AF_NETLINK, SOCK_RAW, 0), O_RDWR);
    flags_are(eventfd(0, EFD_NONBLOCK), O_RDWR | O_NONBLOCK);
    flags_are(epoll_create1(0), O_RDWR);
    flags_are(timerfd_create(CLOCK_MONOTONIC, 0), O_RDWR);
    sigset_t none;
    sigemptyset(&none);
    flags_are(signalfd(-1, &none, 0), O_RDWR);
    flags_are(inotify_init1(0), O_RDONLY);
    return done("status_flags");
}
