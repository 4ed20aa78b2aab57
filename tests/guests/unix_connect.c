//! unix_connect: names of sockets, listening, connecting and accepting in one thread.
//! build: static, musl-static
#include "check.h"
#include <stddef.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#define PATH_AT offsetof(struct sockaddr_un, sun_path)

static socklen_t name_of(struct sockaddr_un *a, const char *name) {
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    strcpy(a->sun_path, name);
    return (socklen_t)(PATH_AT + strlen(name) + 1);
}

static int stream(void) { return socket(AF_UNIX, SOCK_STREAM, 0); }

static int try_connect(int s, const char *name) {
    struct sockaddr_un a;
    socklen_t len = name_of(&a, name);
    return connect(s, (void *)&a, len);
}

static int try_bind(int s, const char *name) {
    struct sockaddr_un a;
    socklen_t len = name_of(&a, name);
    return bind(s, (void *)&a, len);
}

static void paths(void) {
    struct stat st;
    int s = stream(), t = stream();
    umask(027);
    CHECK_EQ(try_bind(s, "sock"), 0);
    CHECK(stat("sock", &st) == 0 && S_ISSOCK(st.st_mode) && (st.st_mode & 07777) == 0750 && st.st_size == 0);
    CHECK_FAILS(try_bind(t, "sock"), EADDRINUSE);
    CHECK_FAILS(try_bind(s, "other"), EINVAL);
    CHECK_FAILS(access("other", F_OK), ENOENT);
    CHECK_FAILS(try_bind(t, "absent/sock"), ENOENT);
    CHECK_FAILS(try_bind(t, "sock/sock"), ENOTDIR);
    CHECK_FAILS(open("sock", O_RDWR), ENXIO);
    put_file("plain", "x");
    CHECK_FAILS(try_bind(t, "plain"), EADDRINUSE);
    CHECK_EQ(symlink("dangling", "link"), 0);
    CHECK_FAILS(try_bind(t, "link"), EADDRINUSE);
    // Nobody listens yet, and a file is no socket.
    CHECK_FAILS(try_connect(t, "sock"), ECONNREFUSED);
    CHECK_FAILS(try_connect(t, "plain"), ECONNREFUSED);
    CHECK_FAILS(try_connect(t, "."), ECONNREFUSED);
    CHECK_FAILS(try_connect(t, "absent"), ENOENT);
    CHECK_FAILS(try_connect(t, "link"), ENOENT);
    CHECK_EQ(listen(s, 4), 0);
    int d = socket(AF_UNIX, SOCK_DGRAM, 0);
    CHECK_FAILS(try_connect(d, "sock"), EPROTOTYPE);
    CHECK_FAILS(listen(d, 4), EOPNOTSUPP);
    CHECK_FAILS(accept(d, NULL, NULL), EOPNOTSUPP);
    close(d);
    // The inode counts: another name for it leads to the same socket.
    CHECK_EQ(rename("sock", "moved"), 0);
    CHECK_EQ(link("moved", "linked"), 0);
    CHECK_EQ(unlink("moved"), 0);
    CHECK_EQ(symlink("linked", "way"), 0);
    CHECK_EQ(try_connect(t, "way"), 0);
    close(t);
    close(s);
    t = stream();
    CHECK_FAILS(try_connect(t, "linked"), ECONNREFUSED);
    CHECK_EQ(unlink("linked"), 0);
    CHECK_EQ(try_bind(t, "linked"), 0);
    close(t);
    CHECK_EQ(unlink("linked"), 0);

    // The longest path has no NUL, and one byte more than the room for it is no address.
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    memset(a.sun_path, 'l', sizeof a.sun_path);
    t = stream();
    CHECK_FAILS(bind(t, (void *)&a, sizeof a + 1), EINVAL);
    CHECK_EQ(bind(t, (void *)&a, sizeof a), 0);
    char back[sizeof a + 8];
    socklen_t len = sizeof back;
    CHECK_EQ(getsockname(t, (void *)back, &len), 0);
    CHECK_EQ(len, sizeof a + 1);
    close(t);
    umask(022);
}

static void connections(void) {
    struct sockaddr_un a;
    socklen_t len;
    char got[16];
    int server = stream(), first = stream(), second = stream(), third = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK_FAILS(listen(server, 1), EINVAL); // it has no name
    CHECK_FAILS(accept(server, NULL, NULL), EINVAL);
    CHECK_FAILS(recv(server, got, 1, 0), EINVAL);
    CHECK_FAILS(send(server, got, 1, MSG_NOSIGNAL), ENOTCONN);
    CHECK_EQ(try_bind(server, "server"), 0);
    CHECK_EQ(listen(server, 1), 0);
    CHECK_EQ(try_bind(first, "client"), 0);
    CHECK_EQ(try_connect(first, "server"), 0);
    CHECK_EQ(try_connect(second, "server"), 0);
    CHECK_FAILS(try_connect(third, "server"), EAGAIN); // one more than the backlog waits already
    // Connected before it is accepted: bytes can go already.
    CHECK_EQ(write(first, "early", 5), 5);
    CHECK_EQ(fcntl(server, F_SETFL, O_NONBLOCK), 0);
    len = sizeof a;
    int one = accept4(server, (void *)&a, &len, SOCK_CLOEXEC);
    CHECK(one >= 0);
    CHECK_EQ(fcntl(one, F_GETFD), FD_CLOEXEC);
    CHECK(!(fcntl(one, F_GETFL) & O_NONBLOCK));
    CHECK(len == PATH_AT + 7 && !strcmp(a.sun_path, "client"));
    CHECK_EQ(read(one, got, 16), 5);
    len = sizeof a;
    CHECK(getsockname(one, (void *)&a, &len) == 0 && !strcmp(a.sun_path, "server"));
    len = sizeof a;
    CHECK(getpeername(first, (void *)&a, &len) == 0 && !strcmp(a.sun_path, "server"));
    CHECK_FAILS(try_connect(first, "server"), EISCONN);
    CHECK_FAILS(listen(first, 1), EINVAL);
    CHECK_EQ(try_connect(third, "server"), 0);
    len = sizeof a;
    int two = accept(server, (void *)&a, &len);
    CHECK(two >= 0);
    CHECK(len == PATH_AT && a.sun_family == AF_UNIX); // no name
    int three = accept4(server, NULL, NULL, SOCK_NONBLOCK);
    CHECK(three >= 0 && fcntl(three, F_GETFL) & O_NONBLOCK);
    CHECK_FAILS(accept(server, NULL, NULL), EAGAIN);
    CHECK_FAILS(syscall(SYS_accept4, server, NULL, NULL, 0x40000000), EINVAL);
    CHECK_FAILS(getpeername(server, (void *)&a, &len), ENOTCONN);
    CHECK_EQ(write(three, "to the third", 12), 12);
    CHECK_EQ(read(third, got, 16), 12);

    // A stream that is not accepted is reset when the listener closes; accepted ones live on.
    int late = stream();
    CHECK_EQ(try_connect(late, "server"), 0);
    CHECK_EQ(close(server), 0);
    CHECK_FAILS(read(late, got, 1), ECONNRESET);
    CHECK_EQ(write(one, "alive", 5), 5);
    CHECK_EQ(read(first, got, 16), 5);
    // The name of a peer can be asked for after it is gone.
    close(one);
    len = sizeof a;
    CHECK(getpeername(first, (void *)&a, &len) == 0 && !strcmp(a.sun_path, "server"));
    int all[] = {first, second, third, late, two, three};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) CHECK_EQ(close(all[i]), 0);
}

static void abstract_names(void) {
    struct sockaddr_un a = {.sun_family = AF_UNIX}, b;
    // Nobody else on the host may have the name.
    socklen_t len = (socklen_t)(PATH_AT + 12 + sprintf(a.sun_path + 1, "guest %d", getpid())), got;
    int s = stream(), t = stream();
    CHECK_EQ(bind(s, (void *)&a, len), 0);
    CHECK_FAILS(bind(t, (void *)&a, len), EADDRINUSE);
    CHECK_FAILS(bind(s, (void *)&a, len + 1), EINVAL);
    got = sizeof b;
    CHECK(getsockname(s, (void *)&b, &got) == 0 && got == len && !memcmp(&a, &b, len));
    CHECK_EQ(listen(s, 0), 0);
    CHECK_FAILS(connect(t, (void *)&a, len + 1), ECONNREFUSED); // all bytes count
    CHECK_EQ(connect(t, (void *)&a, len), 0);
    close(s);
    CHECK_FAILS(read(t, &b, 1), ECONNRESET);
    close(t);
    s = stream();
    CHECK_EQ(bind(s, (void *)&a, len), 0); // free again
    close(s);
    // Any name will do.
    s = stream();
    CHECK_EQ(bind(s, (void *)&a, PATH_AT), 0);
    got = sizeof b;
    CHECK(getsockname(s, (void *)&b, &got) == 0 && got == PATH_AT + 6 && b.sun_path[0] == 0);
    CHECK_EQ(bind(s, (void *)&a, PATH_AT), 0);
    close(s);
    // A short buffer gets what fits, and the whole length.
    s = stream();
    got = sizeof b;
    CHECK(getsockname(s, (void *)&b, &got) == 0 && got == PATH_AT && b.sun_family == AF_UNIX);
    CHECK_EQ(bind(s, (void *)&a, len), 0);
    memset(&b, 0x55, sizeof b);
    got = 4;
    CHECK(getsockname(s, (void *)&b, &got) == 0 && got == len && ((char *)&b)[4] == 0x55);
    close(s);
}

static void without_descriptors(void) {
    struct rlimit old, none;
    int server = stream(), client = stream();
    CHECK_EQ(try_bind(server, "tight"), 0);
    CHECK_EQ(listen(server, 4), 0);
    CHECK_EQ(try_connect(client, "tight"), 0);
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = old;
    none.rlim_cur = 3;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    int s[2];
    CHECK_FAILS(accept(server, NULL, NULL), EMFILE);
    CHECK_FAILS(socket(AF_UNIX, SOCK_STREAM, 0), EMFILE);
    CHECK_FAILS(socketpair(AF_UNIX, SOCK_STREAM, 0, s), EMFILE);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
    // The connection waits where it was.
    int accepted = accept(server, NULL, NULL);
    CHECK(accepted >= 0);
    CHECK_EQ(write(client, "x", 1), 1);
    close(accepted);
    close(client);
    close(server);
}

static void listed(void) {
    static char text[1 << 20];
    int s = stream();
    CHECK_EQ(try_bind(s, "listed by the kernel"), 0);
    CHECK_EQ(listen(s, 4), 0);
    CHECK(get_file("/proc/net/unix", text, sizeof text) > 0);
    static const char HEAD[] = "Num       RefCount Protocol Flags    Type St Inode Path\n";
    CHECK(!strncmp(text, HEAD, sizeof HEAD - 1));
    char *path = strstr(text, " listed by the kernel\n"), *line = path;
    while (line && line > text && line[-1] != '\n') line--;
    unsigned references, protocol, flags, type, state;
    unsigned long inode;
    CHECK(line && sscanf(line, "%*x: %x %x %x %x %x %lu", &references, &protocol, &flags, &type, &state, &inode) == 6);
    struct stat st;
    CHECK(fstat(s, &st) == 0 && st.st_ino == inode);
    CHECK(references >= 1 && protocol == 0 && flags == 0x10000 && type == SOCK_STREAM && state == 1);
    close(s);
    CHECK(get_file("/proc/net/unix", text, sizeof text) > 0);
    CHECK(!strstr(text, " listed by the kernel\n"));
}

static void permissions(void) {
    int server = stream(), client = stream();
    CHECK_EQ(try_bind(server, "private"), 0);
    CHECK_EQ(listen(server, 4), 0);
    CHECK_EQ(chmod("private", 0700), 0);
    CHECK_EQ(chmod(".", 0755), 0);
    if (geteuid() == 0) {
        CHECK_EQ(seteuid(1234), 0);
        CHECK_FAILS(try_connect(client, "private"), EACCES);
        CHECK_FAILS(try_bind(client, "mine"), EACCES);
        CHECK_EQ(seteuid(0), 0);
    }
    CHECK_EQ(try_connect(client, "private"), 0);
    close(server);
    close(client);
}

int main(void) {
    scratch();
    paths();
    connections();
    abstract_names();
    without_descriptors();
    listed();
    permissions();
    return done("unix_connect");
}
