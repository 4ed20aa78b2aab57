//! counters: eventfd, timerfd and signalfd to the letter of their man pages.
//! build: static
#include "check.h"
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>

static int ready(int fd) {
    struct pollfd poll_fd = {fd, POLLIN | POLLOUT | POLLRDNORM, 0};
    CHECK(poll(&poll_fd, 1, 0) >= 0);
    return poll_fd.revents;
}

static void nothing(int signal) { (void)signal; }

static void interrupt_soon(void) {
    struct sigaction action = {.sa_handler = nothing}; // no SA_RESTART
    sigaction(SIGALRM, &action, NULL);
    ualarm(20000, 0);
}

static const char *info(int fd) {
    static char text[1000];
    char path[100];
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    CHECK(get_file(path, text, sizeof text) > 0);
    return text;
}

static void common(int fd) {
    char bytes[8];
    struct stat st;
    CHECK_EQ(lseek(fd, 5, SEEK_SET), 0);
    CHECK_FAILS(lseek(fd, 5, 9), EINVAL);
    CHECK_FAILS(pread(fd, bytes, 8, 0), ESPIPE);
    CHECK_FAILS(ftruncate(fd, 0), EINVAL);
    CHECK(fstat(fd, &st) == 0 && (st.st_mode & ~0777u) == 0);
}

static void events(void) {
    uint64_t value = 0;
    CHECK_FAILS(eventfd(0, 7), EINVAL);
    int fd = eventfd(0, 0);
    common(fd);
    CHECK_EQ(ready(fd), POLLOUT);
    interrupt_soon();
    CHECK_FAILS(read(fd, &value, 8), EINTR);
    CHECK_EQ(write(fd, &value, 8), 8); // adds nothing
    CHECK_EQ(ready(fd), POLLOUT);
    value = UINT64_MAX;
    CHECK_FAILS(write(fd, &value, 8), EINVAL);
    value = UINT64_MAX - 1;
    CHECK_EQ(write(fd, &value, 8), 8);
    CHECK_EQ(ready(fd), POLLIN);
    value = 1;
    interrupt_soon();
    CHECK_FAILS(write(fd, &value, 8), EINTR);
    CHECK_EQ(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    CHECK_FAILS(write(fd, &value, 8), EAGAIN);
    CHECK_FAILS(write(fd, &value, 7), EINVAL);
    CHECK_EQ(read(fd, &value, 8), 8);
    CHECK_EQ(value, -2);
    CHECK(strstr(info(fd), "eventfd-count:                0\n") != NULL);
    close(fd);
}

static void timers(void) {
    uint64_t value = 0;
    struct itimerspec left, set = {{0, 0}, {0, 0}};
    CHECK_FAILS(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0), EINVAL);
    CHECK_FAILS(timerfd_create(CLOCK_MONOTONIC, 1), EINVAL);
    close(timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC));
    CHECK_EQ(seteuid(1234), 0);
    CHECK_FAILS(timerfd_create(CLOCK_REALTIME_ALARM, 0), EPERM);
    CHECK_EQ(seteuid(0), 0);
    int fd = timerfd_create(CLOCK_MONOTONIC, 0);
    common(fd);
    CHECK_EQ(ready(fd), 0);
    CHECK_FAILS(read(fd, &value, 7), EINVAL);
    CHECK_FAILS(write(fd, &value, 8), EINVAL);
    interrupt_soon();
    CHECK_FAILS(read(fd, &value, 8), EINTR);
    CHECK_FAILS(timerfd_settime(77, 99, &set, NULL), EINVAL);
    CHECK_FAILS(timerfd_settime(77, 0, &set, NULL), EBADF);
    CHECK_FAILS(syscall(SYS_timerfd_settime, 77, 99, 8, NULL), EFAULT);
    CHECK_FAILS(timerfd_settime(0, 0, &set, NULL), EINVAL);
    CHECK_FAILS(timerfd_gettime(77, &left), EBADF);
    set.it_value.tv_nsec = 1000000000;
    CHECK_FAILS(timerfd_settime(fd, 0, &set, NULL), EINVAL);
    set.it_value = (struct timespec){-1, 0};
    CHECK_FAILS(timerfd_settime(fd, 0, &set, NULL), EINVAL);

    set = (struct itimerspec){{0, 5000000}, {0, 5000000}};
    CHECK_EQ(timerfd_settime(fd, 0, &set, NULL), 0);
    CHECK(read(fd, &value, 8) == 8 && value >= 1);
    struct timespec pause = {0, 30000000};
    nanosleep(&pause, NULL);
    CHECK_EQ(ready(fd), POLLIN);
    CHECK(read(fd, &value, 8) == 8 && value >= 5);
    CHECK(timerfd_gettime(fd, &left) == 0 && left.it_interval.tv_nsec == 5000000);
    CHECK(left.it_value.tv_sec == 0 && left.it_value.tv_nsec > 0 && left.it_value.tv_nsec <= 5000000);
    // Setting it forgets what was not read.
    nanosleep(&pause, NULL);
    set = (struct itimerspec){{0, 0}, {100, 0}};
    CHECK(timerfd_settime(fd, 0, &set, &left) == 0 && left.it_interval.tv_nsec == 5000000);
    CHECK_EQ(ready(fd), 0);
    CHECK(strstr(info(fd), "clockid: 1\nticks: 0\nsettime flags: 00\nit_value: (99, ") != NULL);
    // A time that has passed.
    set = (struct itimerspec){{0, 0}, {0, 1}};
    CHECK_EQ(timerfd_settime(fd, TFD_TIMER_ABSTIME, &set, NULL), 0);
    CHECK(strstr(info(fd), "ticks: 1\nsettime flags: 01\nit_value: (0, 0)\n") != NULL);
    CHECK(timerfd_gettime(fd, &left) == 0 && left.it_value.tv_nsec == 0);
    CHECK(read(fd, &value, 8) == 8 && value == 1);
    // An interval alone does nothing.
    set = (struct itimerspec){{0, 1000}, {0, 0}};
    CHECK_EQ(timerfd_settime(fd, 0, &set, NULL), 0);
    CHECK_EQ(ready(fd), 0);
    close(fd);
    fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);
    CHECK_EQ(clock_gettime(CLOCK_REALTIME, &set.it_value), 0);
    set.it_interval = (struct timespec){0, 0};
    set.it_value.tv_nsec = 0;
    set.it_value.tv_sec += 2;
    CHECK_EQ(timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &set, NULL), 0);
    CHECK_FAILS(read(fd, &value, 8), EAGAIN);
    struct pollfd poll_fd = {fd, POLLIN, 0};
    CHECK_EQ(poll(&poll_fd, 1, -1), 1);
    CHECK(read(fd, &value, 8) == 8 && value == 1);
    close(fd);
}

static void signals(void) {
    struct signalfd_siginfo got[3];
    sigset_t set, other;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN);
    sigaddset(&set, SIGKILL); // silently not
    sigprocmask(SIG_BLOCK, &set, NULL);
    CHECK_FAILS(syscall(SYS_signalfd4, -1, &set, 4, 0), EINVAL);
    CHECK_FAILS(signalfd(-1, &set, 1), EINVAL);
    CHECK_FAILS(signalfd(77, &set, 0), EBADF);
    CHECK_FAILS(signalfd(0, &set, 0), EINVAL);
    CHECK_FAILS(syscall(SYS_signalfd4, -1, 8, 8, 0), EFAULT);
    int fd = signalfd(-1, &set, SFD_CLOEXEC);
    common(fd);
    CHECK(strstr(info(fd), "sigmask:\t0000000200000200\n") != NULL);
    CHECK_FAILS(read(fd, got, sizeof *got - 1), EINVAL);
    CHECK_FAILS(write(fd, got, 8), EINVAL);
    interrupt_soon();
    CHECK_FAILS(read(fd, got, sizeof *got), EINTR);
    CHECK_EQ(ready(fd), 0);

    sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 77});
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR1);
    CHECK_EQ(ready(fd), POLLIN);
    CHECK_EQ(read(fd, got, sizeof got), 2 * sizeof *got);
    CHECK(got[0].ssi_signo == SIGUSR1 && got[0].ssi_code == SI_USER && got[0].ssi_pid == (uint32_t)getpid());
    CHECK(got[0].ssi_uid == 0 && got[0].ssi_int == 0 && got[0].ssi_ptr == 0 && got[0].ssi_tid == 0);
    CHECK(got[1].ssi_signo == (uint32_t)SIGRTMIN && got[1].ssi_code == SI_QUEUE && got[1].ssi_int == 77);
    CHECK(got[1].ssi_pid == (uint32_t)getpid() && (got[1].ssi_ptr & 0xffffffff) == 77);

    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value = {.sival_int = 5}};
    CHECK_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    struct itimerspec soon = {{0, 0}, {0, 10000000}};
    CHECK_EQ(timer_settime(timer, 0, &soon, NULL), 0);
    CHECK_EQ(read(fd, got, sizeof got), sizeof *got); // waits for it
    CHECK(got[0].ssi_code == SI_TIMER && got[0].ssi_int == 5 && got[0].ssi_pid == 0 && got[0].ssi_overrun == 0);

    // Another set for the same file: what is pending counts at once.
    raise(SIGUSR1);
    sigemptyset(&other);
    CHECK_EQ(signalfd(fd, &other, 0), fd);
    CHECK_EQ(ready(fd), 0);
    CHECK_EQ(signalfd(fd, &set, 0), fd);
    CHECK_EQ(ready(fd), POLLIN);
    CHECK_EQ(read(fd, got, sizeof *got), sizeof *got);
    CHECK(got[0].ssi_code == SI_TKILL && got[0].ssi_pid == (uint32_t)getpid());
    CHECK_EQ(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    CHECK_FAILS(read(fd, got, sizeof *got), EAGAIN);
    close(fd);
}

int main(void) {
    events();
    timers();
    signals();
    return done("counters");
}
