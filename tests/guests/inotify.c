//! inotify: every event, its order, its name and its cookie; limits and refusals.
//! build: static
#include "check.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <utime.h>

static int in;

static const struct {
    uint32_t bit;
    const char *name;
} BITS[] = {
    {IN_ACCESS, "access"},         {IN_MODIFY, "modify"},           {IN_ATTRIB, "attrib"},
    {IN_CLOSE_WRITE, "close_write"}, {IN_CLOSE_NOWRITE, "close_nowrite"}, {IN_OPEN, "open"},
    {IN_MOVED_FROM, "moved_from"}, {IN_MOVED_TO, "moved_to"},       {IN_CREATE, "create"},
    {IN_DELETE, "delete"},         {IN_DELETE_SELF, "delete_self"}, {IN_MOVE_SELF, "move_self"},
    {IN_IGNORED, "ignored"},       {IN_Q_OVERFLOW, "overflow"},     {IN_ISDIR, "isdir"},
};

/// All events that wait, as "wd:event|isdir(name) ...". Cookies are numbered from 1 in each call.
static const char *events(void) {
    static char text[20000];
    static char raw[20000] __attribute__((aligned(8)));
    uint32_t cookies[8] = {0};
    size_t at = 0;
    ssize_t bytes;
    text[0] = 0;
    while ((bytes = read(in, raw, sizeof raw)) > 0)
        for (char *p = raw; p < raw + bytes;) {
            struct inotify_event *event = (struct inotify_event *)p;
            at += (size_t)snprintf(text + at, sizeof text - at, "%s%d:", at ? " " : "", event->wd);
            int several = 0;
            for (size_t i = 0; i < sizeof BITS / sizeof *BITS; i++)
                if (event->mask & BITS[i].bit)
                    at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", several++ ? "|" : "", BITS[i].name);
            if (event->len) at += (size_t)snprintf(text + at, sizeof text - at, "(%s)", event->name);
            for (int i = 0; event->cookie && i < 8; i++) {
                if (!cookies[i]) cookies[i] = event->cookie;
                if (cookies[i] != event->cookie) continue;
                at += (size_t)snprintf(text + at, sizeof text - at, "#%d", i + 1);
                break;
            }
            p += sizeof *event + event->len;
        }
    return text;
}

#define EVENTS(want) \
    do { \
        const char *got_ = events(); \
        if (strcmp(got_, want)) WRONG("got    '%s'\n  wanted '%s'", got_, want); \
    } while (0)

static int watch(const char *path, uint32_t mask) { return inotify_add_watch(in, path, mask); }

static void start(void) {
    in = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    CHECK(in >= 0);
}

static void in_a_directory(void) {
    char byte;
    start();
    CHECK_EQ(mkdir("d", 0755), 0);
    CHECK_EQ(watch("d", IN_ALL_EVENTS), 1);
    int fd = open("d/f", O_RDWR | O_CREAT, 0600);
    EVENTS("1:create(f) 1:open(f)");
    CHECK_EQ(write(fd, "abc", 3), 3);
    CHECK_EQ(write(fd, "abc", 3), 3);
    CHECK_EQ(pwrite(fd, "abc", 3, 100), 3);
    EVENTS("1:modify(f)"); // equal ones are one
    CHECK_EQ(pread(fd, &byte, 1, 0), 1);
    CHECK_EQ(pread(fd, &byte, 1, 1000), 0);
    EVENTS("1:access(f)");
    CHECK_EQ(ftruncate(fd, 5), 0);
    EVENTS("1:modify(f)");
    CHECK_EQ(fchmod(fd, 0640), 0);
    CHECK_EQ(fchown(fd, (uid_t)-1, (gid_t)-1), 0);
    EVENTS("1:attrib(f)");
    close(dup(fd));
    EVENTS("");
    close(fd);
    EVENTS("1:close_write(f)");
    close(open("d/f", O_RDONLY));
    EVENTS("1:open(f) 1:close_nowrite(f)");
    close(open("d/f", O_WRONLY | O_TRUNC));
    // Linux before 6.10 told of the truncation first.
    const char *truncated = events();
    CHECK(!strcmp(truncated, "1:open(f) 1:modify(f) 1:close_write(f)") ||
          !strcmp(truncated, "1:modify(f) 1:open(f) 1:close_write(f)"));
    close(open("d/f", O_PATH));
    EVENTS("");
    CHECK_EQ(chmod("d/f", 0600), 0);
    CHECK_EQ(chown("d/f", 0, 0), 0);
    CHECK_EQ(utime("d/f", NULL), 0);
    EVENTS("1:attrib(f)");
    struct timespec one[2] = {{5, 0}, {0, UTIME_OMIT}}, other[2] = {{0, UTIME_OMIT}, {5, 0}};
    CHECK_EQ(utimensat(AT_FDCWD, "d/f", one, 0), 0);
    CHECK_EQ(utimensat(AT_FDCWD, "d/f", other, 0), 0);
    EVENTS("1:access(f) 1:modify(f)");
    CHECK_EQ(setxattr("d/f", "user.a", "b", 1, 0), 0);
    CHECK_EQ(truncate("d/f", 10), 0);
    CHECK_EQ(removexattr("d/f", "user.a"), 0);
    EVENTS("1:attrib(f) 1:modify(f) 1:attrib(f)");
    CHECK_EQ(link("d/f", "d/g"), 0);
    EVENTS("1:create(g)");
    CHECK_EQ(symlink("f", "d/s"), 0);
    CHECK_EQ(mkfifo("d/p", 0600), 0);
    CHECK_EQ(mkdir("d/sub", 0700), 0);
    EVENTS("1:create(s) 1:create(p) 1:create|isdir(sub)");
    CHECK_EQ(chmod("d/sub", 0755), 0);
    close(open("d/sub", O_RDONLY | O_DIRECTORY));
    EVENTS("1:attrib|isdir(sub) 1:open|isdir(sub) 1:close_nowrite|isdir(sub)");
    char list[1000];
    fd = open("d", O_RDONLY | O_DIRECTORY);
    CHECK(syscall(SYS_getdents64, fd, list, sizeof list) > 0);
    close(fd);
    EVENTS("1:open|isdir 1:access|isdir 1:close_nowrite|isdir");
    CHECK_EQ(rename("d/f", "d/h"), 0);
    EVENTS("1:moved_from(f)#1 1:moved_to(h)#1");
    CHECK_EQ(rename("d/g", "d/h"), 0); // the same file: nothing happens
    EVENTS("");
    CHECK_EQ(rename("d/h", "outside"), 0);
    EVENTS("1:moved_from(h)#1");
    CHECK_EQ(rename("outside", "d/s"), 0);
    CHECK_EQ(syscall(SYS_renameat2, AT_FDCWD, "d/s", AT_FDCWD, "d/sub", 2), 0);
    EVENTS("1:moved_to(s)#1 1:moved_from(s)#2 1:moved_to(sub)#2 1:moved_from|isdir(sub)#3 1:moved_to|isdir(s)#3");
    CHECK_EQ(rmdir("d/s"), 0);
    CHECK_EQ(unlink("d/p"), 0);
    EVENTS("1:delete|isdir(s) 1:delete(p)");
    // By another name of the directory, and from within.
    CHECK_EQ(symlink("d", "e"), 0);
    CHECK_EQ(chdir("d"), 0);
    close(open("../e/new", O_WRONLY | O_CREAT | O_EXCL, 0600));
    CHECK_EQ(unlink("new"), 0);
    CHECK_EQ(chdir(".."), 0);
    EVENTS("1:create(new) 1:open(new) 1:close_write(new) 1:delete(new)");
    CHECK_EQ(rename("d", "moved"), 0);
    CHECK_EQ(chmod("moved", 0700), 0);
    EVENTS("1:move_self 1:attrib|isdir");
    CHECK_EQ(unlink("moved/sub"), 0);
    CHECK_EQ(unlink("moved/g"), 0);
    EVENTS("1:delete(sub) 1:delete(g)");
    CHECK_EQ(rmdir("moved"), 0);
    EVENTS("1:delete_self 1:ignored");
    CHECK_FAILS(inotify_rm_watch(in, 1), EINVAL);
    unlink("e");
    close(in);
}

static void of_a_file(void) {
    start();
    CHECK_EQ(mkdir("d", 0755), 0);
    put_file("d/f", "abc");
    CHECK_EQ(watch("d/f", IN_ALL_EVENTS), 1);
    CHECK_EQ(watch("d", IN_ALL_EVENTS), 2);
    int fd = open("d/f", O_RDWR);
    EVENTS("2:open(f) 1:open");
    CHECK_EQ(link("d/f", "g"), 0);
    EVENTS("1:attrib");
    CHECK_EQ(rename("d/f", "d/h"), 0);
    EVENTS("2:moved_from(f)#1 2:moved_to(h)#1 1:move_self");
    CHECK_EQ(write(fd, "x", 1), 1); // known by its new name
    EVENTS("2:modify(h) 1:modify");
    CHECK_EQ(unlink("g"), 0);
    EVENTS("1:attrib");
    CHECK_EQ(unlink("d/h"), 0);
    EVENTS("1:attrib 2:delete(h)");
    CHECK_EQ(write(fd, "x", 1), 1); // still open
    EVENTS("2:modify(h) 1:modify");
    close(fd);
    EVENTS("2:close_write(h) 1:close_write 1:delete_self 1:ignored");

    put_file("d/k", "");
    put_file("d/l", "");
    events();
    CHECK_EQ(watch("d/k", IN_ALL_EVENTS), 3);
    CHECK_EQ(rename("d/l", "d/k"), 0); // in place of it
    EVENTS("2:moved_from(l)#1 2:moved_to(k)#1 3:attrib 3:delete_self 3:ignored");
    CHECK_EQ(watch("d/k", IN_DELETE_SELF | IN_ATTRIB), 4);
    CHECK_EQ(unlink("d/k"), 0);
    EVENTS("4:attrib 4:delete_self 4:ignored 2:delete(k)");
    CHECK_EQ(inotify_rm_watch(in, 2), 0);
    CHECK_EQ(rmdir("d"), 0);
    EVENTS("2:ignored");
    close(in);
}

static void flags(void) {
    start();
    CHECK_EQ(mkdir("d", 0755), 0);
    CHECK_EQ(watch("d", IN_CREATE), 1);
    CHECK_EQ(watch("d", IN_DELETE), 1); // replaces
    put_file("d/f", "");
    EVENTS("");
    CHECK_EQ(watch("d", IN_OPEN | IN_MASK_ADD), 1);
    close(open("d/f", O_RDONLY));
    CHECK_EQ(unlink("d/f"), 0);
    EVENTS("1:open(f) 1:delete(f)");
    CHECK_FAILS(watch("d", IN_OPEN | IN_MASK_CREATE), EEXIST);
    CHECK_FAILS(watch("d", IN_OPEN | IN_MASK_CREATE | IN_MASK_ADD), EINVAL);
    put_file("f", "");
    CHECK_FAILS(watch("f", IN_OPEN | IN_ONLYDIR), ENOTDIR);
    CHECK_EQ(watch("f", IN_OPEN | IN_ONESHOT | IN_MASK_CREATE), 2);
    close(open("f", O_RDONLY));
    close(open("f", O_RDONLY));
    EVENTS("2:open 2:ignored");
    CHECK_FAILS(inotify_rm_watch(in, 2), EINVAL);
    CHECK_EQ(symlink("f", "s"), 0);
    CHECK_EQ(watch("s", IN_ATTRIB | IN_OPEN | IN_DONT_FOLLOW), 3);
    CHECK_EQ(watch("s", IN_OPEN), 4);
    close(open("s", O_RDONLY));
    CHECK_EQ(lchown("s", 0, 0), 0);
    EVENTS("4:open 3:attrib");
    // A child that has no name any more is told of unless IN_EXCL_UNLINK.
    CHECK_EQ(watch("d", IN_MODIFY), 1);
    int fd = open("d/x", O_WRONLY | O_CREAT, 0600);
    CHECK_EQ(unlink("d/x"), 0);
    CHECK_EQ(write(fd, "x", 1), 1);
    EVENTS("1:modify(x)");
    CHECK_EQ(watch("d", IN_MODIFY | IN_EXCL_UNLINK), 1);
    CHECK_EQ(write(fd, "x", 1), 1);
    EVENTS("");
    close(fd);

    CHECK_FAILS(watch("d", 0), EINVAL);
    CHECK_FAILS(watch("none", IN_OPEN), ENOENT);
    CHECK_FAILS(inotify_add_watch(77, "d", IN_OPEN), EBADF);
    CHECK_FAILS(inotify_add_watch(0, "d", IN_OPEN), EINVAL);
    CHECK_FAILS(inotify_rm_watch(77, 1), EBADF);
    CHECK_FAILS(inotify_rm_watch(0, 1), EINVAL);
    CHECK_FAILS(inotify_init1(1), EINVAL);
    CHECK_FAILS(watch((char *)8, IN_OPEN), EFAULT);
    CHECK_FAILS(write(in, "x", 1), EBADF);
    CHECK_EQ(chmod("f", 0), 0);
    CHECK_EQ(seteuid(1234), 0);
    CHECK_FAILS(watch("f", IN_OPEN), EACCES);
    CHECK_EQ(seteuid(0), 0);
    close(in);
    unlink("f");
    unlink("s");
    rmdir("d");
}

static void reading(void) {
    char raw[100];
    start();
    CHECK_EQ(mkdir("d", 0755), 0);
    CHECK_EQ(watch("d", IN_CREATE | IN_DELETE), 1);
    struct pollfd fd = {in, POLLIN | POLLOUT, 0};
    CHECK_EQ(poll(&fd, 1, 0), 0);
    CHECK_FAILS(read(in, raw, sizeof raw), EAGAIN);
    int poll_fd = epoll_create1(0);
    struct epoll_event want = {EPOLLIN | EPOLLET, {.u32 = 9}}, got;
    CHECK_EQ(epoll_ctl(poll_fd, EPOLL_CTL_ADD, in, &want), 0);
    CHECK_EQ(mkdir("d/123456789012345", 0700), 0);
    CHECK_EQ(mkdir("d/1234567890123456", 0700), 0);
    CHECK_EQ(epoll_wait(poll_fd, &got, 1, -1), 1);
    CHECK_EQ(poll(&fd, 1, -1), 1);
    CHECK_EQ(fd.revents, POLLIN);
    int bytes = 0;
    CHECK(ioctl(in, FIONREAD, &bytes) == 0 && bytes == 32 + 48);
    CHECK_FAILS(read(in, raw, 31), EINVAL);
    CHECK_EQ(read(in, raw, 79), 32);
    CHECK_EQ(read(in, raw, 48), 48);
    CHECK_EQ(epoll_wait(poll_fd, &got, 1, 0), 0);
    rmdir("d/123456789012345");
    rmdir("d/1234567890123456");
    events();

    // More than the queue holds.
    int limit = 0;
    char text[100];
    for (int i = 0; i < 17000; i++) {
        snprintf(text, sizeof text, "d/%d", i & 1);
        put_file(text, "");
        unlink(text);
    }
    int overflows = 0;
    static char many[1 << 20] __attribute__((aligned(8)));
    ssize_t got_bytes;
    while ((got_bytes = read(in, many, sizeof many)) > 0)
        for (char *p = many; p < many + got_bytes;) {
            struct inotify_event *event = (struct inotify_event *)p;
            if (event->mask & IN_Q_OVERFLOW) {
                overflows++;
                CHECK(event->wd == -1 && event->len == 0);
            } else {
                limit++;
            }
            p += sizeof *event + event->len;
        }
    CHECK_EQ(limit, 16384);
    CHECK_EQ(overflows, 1);
    rmdir("d");
    close(poll_fd);
    close(in);
    close(inotify_init());
}

static void two_instances(void) {
    start();
    int other = inotify_init1(IN_NONBLOCK);
    CHECK_EQ(mkdir("d", 0755), 0);
    CHECK_EQ(watch("d", IN_CREATE), 1);
    CHECK_EQ(inotify_add_watch(other, "d", IN_CREATE | IN_DELETE), 1);
    CHECK_EQ(mkdir("d/x", 0755), 0);
    CHECK_EQ(rmdir("d/x"), 0);
    EVENTS("1:create|isdir(x)");
    close(in);
    in = other;
    EVENTS("1:create|isdir(x) 1:delete|isdir(x)");
    CHECK_EQ(inotify_rm_watch(in, 1), 0);
    CHECK_EQ(watch("d", IN_CREATE), 2); // numbers are not used again
    EVENTS("1:ignored");
    close(in);
    rmdir("d");
}

int main(void) {
    scratch();
    in_a_directory();
    of_a_file();
    flags();
    reading();
    two_instances();
    return done("inotify");
}
