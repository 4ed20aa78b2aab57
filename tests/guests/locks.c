//! locks: flock between open files, record locks of the process, locks of open files.
//! build: static
#include "check.h"
#include <sys/file.h>

static struct flock range(int type, off_t start, off_t len) {
    return (struct flock){.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
}

static int lock(int fd, int command, int type, off_t start, off_t len) {
    struct flock want = range(type, start, len);
    return fcntl(fd, command, &want);
}

/// What would be in the way, as "type start len pid".
static const char *in_the_way(int fd, int command, int type, off_t start, off_t len) {
    static char text[100];
    struct flock want = range(type, start, len);
    want.l_whence = SEEK_SET;
    if (fcntl(fd, command, &want)) snprintf(text, sizeof text, "errno %d", errno);
    else if (want.l_type == F_UNLCK) snprintf(text, sizeof text, "free %ld %ld", (long)want.l_start, (long)want.l_len);
    else snprintf(text, sizeof text, "%s %ld %ld %s", want.l_type == F_RDLCK ? "read" : "write", (long)want.l_start,
                  (long)want.l_len, want.l_pid == -1 ? "file" : want.l_pid == getpid() ? "process" : "?");
    return text;
}

#define CHECK_WAY(got, want) \
    do { \
        const char *got_ = (got); \
        if (strcmp(got_, want)) WRONG("%s is '%s', wanted '%s'", #got, got_, want); \
    } while (0)

static void nothing(int signal) { (void)signal; }

static void interrupt_soon(void) {
    struct sigaction action = {.sa_handler = nothing}; // no SA_RESTART
    sigaction(SIGALRM, &action, NULL);
    ualarm(20000, 0);
}

static void whole_files(void) {
    int a = open("f", O_RDWR | O_CREAT, 0600), b = open("f", O_RDONLY), c = dup(a);
    CHECK_EQ(flock(a, LOCK_EX), 0);
    CHECK_EQ(flock(c, LOCK_EX | LOCK_NB), 0); // the same open file
    CHECK_FAILS(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
    CHECK_EQ(flock(c, LOCK_SH), 0);
    CHECK_EQ(flock(b, LOCK_SH | LOCK_NB), 0);
    CHECK_FAILS(flock(a, LOCK_EX | LOCK_NB), EWOULDBLOCK);
    CHECK_EQ(flock(b, LOCK_EX | LOCK_NB), 0); // the failure lost a's lock
    CHECK_FAILS(flock(a, LOCK_SH | LOCK_NB), EWOULDBLOCK);
    interrupt_soon();
    CHECK_FAILS(flock(a, LOCK_EX), EINTR);
    CHECK_EQ(flock(b, LOCK_UN), 0);
    CHECK_EQ(flock(a, LOCK_EX | LOCK_NB), 0);
    close(a);
    CHECK_FAILS(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK); // c still holds it
    close(c);
    CHECK_EQ(flock(b, LOCK_EX | LOCK_NB), 0); // the access mode does not matter
    CHECK_FAILS(flock(b, LOCK_SH | LOCK_EX), EINVAL);
    CHECK_FAILS(flock(b, 0), EINVAL);
    CHECK_FAILS(flock(open("f", O_PATH), LOCK_SH), EBADF);
    CHECK_EQ(link("f", "g"), 0);
    int d = open("g", O_RDONLY); // the same file by another name
    CHECK_FAILS(flock(d, LOCK_SH | LOCK_NB), EWOULDBLOCK);
    // Ranges are another matter.
    CHECK_EQ(lock(d, F_SETLK, F_RDLCK, 0, 0), 0);
    close(d);
    close(b);
    unlink("g");
}

static void records(void) {
    int a = open("f", O_RDWR), b = open("f", O_RDWR), in = open("f", O_RDONLY), out = open("f", O_WRONLY);
    CHECK_EQ(lock(a, F_SETLK, F_WRLCK, 0, 100), 0);
    CHECK_EQ(lock(b, F_SETLK, F_RDLCK, 50, 10), 0); // the process is not in its own way
    CHECK_WAY(in_the_way(b, F_GETLK, F_WRLCK, 0, 0), "free 0 0");
    CHECK_WAY(in_the_way(b, F_OFD_GETLK, F_RDLCK, 5, 0), "write 0 50 process");
    CHECK_WAY(in_the_way(b, F_OFD_GETLK, F_WRLCK, 50, 0), "read 50 10 process");
    CHECK_WAY(in_the_way(b, F_OFD_GETLK, F_RDLCK, 50, 10), "free 50 10");
    CHECK_EQ(lock(a, F_SETLK, F_WRLCK, 60, 0), 0);
    CHECK_WAY(in_the_way(b, F_OFD_GETLK, F_RDLCK, 200, 1), "write 60 0 process");
    CHECK_EQ(lock(a, F_SETLK, F_UNLCK, 10, 1000), 0);
    CHECK_WAY(in_the_way(b, F_OFD_GETLK, F_RDLCK, 0, 0), "write 0 10 process");
    CHECK_WAY(in_the_way(b, F_OFD_GETLK, F_RDLCK, 10, 0), "write 1010 0 process");
    CHECK_WAY(in_the_way(b, F_OFD_GETLK, F_RDLCK, 10, 1000), "free 10 1000");
    // Any descriptor of the file that is closed ends them all.
    close(open("f", O_RDONLY));
    CHECK_WAY(in_the_way(b, F_OFD_GETLK, F_WRLCK, 0, 0), "free 0 0");

    CHECK_FAILS(lock(in, F_SETLK, F_WRLCK, 0, 1), EBADF);
    CHECK_FAILS(lock(out, F_SETLK, F_RDLCK, 0, 1), EBADF);
    CHECK_EQ(lock(in, F_SETLK, F_UNLCK, 0, 1), 0);
    CHECK_WAY(in_the_way(in, F_GETLK, F_WRLCK, 0, 1), "free 0 1");
    CHECK_FAILS(lock(a, F_SETLK, 7, 0, 1), EINVAL);
    CHECK_FAILS(lock(a, F_SETLK, F_RDLCK, -1, 1), EINVAL);
    CHECK_FAILS(lock(a, F_SETLK, F_RDLCK, 5, -6), EINVAL);
    CHECK_FAILS(lock(a, F_SETLK, F_RDLCK, INT64_MAX, 2), EOVERFLOW);
    CHECK_EQ(lock(a, F_SETLK, F_RDLCK, INT64_MAX, 1), 0);
    CHECK_FAILS(lock(a, F_GETLK, F_UNLCK, 0, 1), EINVAL);
    CHECK_FAILS(fcntl(a, F_SETLK, (void *)8), EFAULT);
    struct flock from_here = {.l_type = F_WRLCK, .l_whence = SEEK_CUR, .l_start = 5, .l_len = -5};
    CHECK_EQ(lseek(a, 20, SEEK_SET), 20);
    CHECK_EQ(fcntl(a, F_SETLK, &from_here), 0);
    CHECK_WAY(in_the_way(b, F_OFD_GETLK, F_RDLCK, 0, 100), "write 20 5 process");
    CHECK_EQ(ftruncate(a, 300), 0);
    struct flock from_end = {.l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = -10};
    CHECK_EQ(fcntl(a, F_SETLK, &from_end), 0);
    CHECK_WAY(in_the_way(b, F_OFD_GETLK, F_RDLCK, 100, 1000), "write 290 0 process");
    from_end.l_whence = 9;
    CHECK_FAILS(fcntl(a, F_SETLK, &from_end), EINVAL);
    close(a);
    close(b);
    close(in);
    close(out);
}

static void of_open_files(void) {
    int a = open("f", O_RDWR), b = open("f", O_RDWR), c = dup(a);
    CHECK_EQ(lock(a, F_OFD_SETLK, F_WRLCK, 0, 10), 0);
    CHECK_EQ(lock(c, F_OFD_SETLK, F_WRLCK, 10, 10), 0);
    CHECK_FAILS(lock(b, F_OFD_SETLK, F_RDLCK, 15, 10), EAGAIN);
    CHECK_FAILS(lock(b, F_SETLK, F_RDLCK, 15, 10), EAGAIN);
    CHECK_FAILS(lock(a, F_SETLK, F_RDLCK, 15, 10), EAGAIN); // the process is not the open file
    CHECK_WAY(in_the_way(b, F_GETLK, F_RDLCK, 0, 0), "write 0 20 file");
    CHECK_EQ(lock(b, F_OFD_SETLK, F_RDLCK, 20, 10), 0);
    interrupt_soon();
    CHECK_FAILS(lock(b, F_OFD_SETLKW, F_WRLCK, 19, 1), EINTR);
    interrupt_soon();
    CHECK_FAILS(lock(b, F_SETLKW, F_WRLCK, 19, 1), EINTR);
    CHECK_EQ(lock(a, F_OFD_SETLK, F_RDLCK, 19, 1), 0);
    CHECK_EQ(lock(b, F_OFD_SETLKW, F_RDLCK, 19, 1), 0);
    CHECK_FAILS(lock(a, F_OFD_SETLK, F_WRLCK, 19, 1), EAGAIN);
    struct flock with_pid = range(F_RDLCK, 0, 1);
    with_pid.l_pid = 1;
    CHECK_FAILS(fcntl(a, F_OFD_SETLK, &with_pid), EINVAL);
    CHECK_FAILS(fcntl(a, F_OFD_GETLK, &with_pid), EINVAL);
    close(open("f", O_RDONLY)); // ends record locks only
    CHECK_WAY(in_the_way(b, F_GETLK, F_WRLCK, 0, 5), "write 0 19 file");
    close(a);
    CHECK_WAY(in_the_way(b, F_GETLK, F_WRLCK, 0, 5), "write 0 19 file");
    close(c);
    CHECK_WAY(in_the_way(b, F_GETLK, F_WRLCK, 0, 5), "free 0 5");
    CHECK_EQ(lock(b, F_SETLK, F_WRLCK, 0, 5), 0);
    CHECK_EQ(dup2(open("f", O_RDONLY), b), b); // so does replacing one
    int d = open("f", O_RDWR);
    CHECK_WAY(in_the_way(d, F_OFD_GETLK, F_WRLCK, 0, 0), "free 0 0");
    close(d);
    close(b);
}

int main(void) {
    scratch();
    whole_files();
    records();
    of_open_files();
    return done("locks");
}
