//! inet_stream: TCP over the loopback: bytes both ways, half close, peeking, waiting for all, SIGPIPE, resets.
//! build: static, musl-static
//! cpus: 1, 2
#include "inet.h"
#include <pthread.h>
#include <sys/sendfile.h>

static int broken;
static void on_pipe(int signal) { broken += signal == SIGPIPE; }

static void connections_have_two_names(void) {
    int l = listener(AF_INET, SOCK_CLOEXEC), c = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in own, peer, other;
    socklen_t len = sizeof own;
    CHECK_EQ(fcntl(l, F_GETFD), FD_CLOEXEC);
    CHECK_EQ(option_of(l, SOL_SOCKET, SO_ACCEPTCONN), 1);
    CHECK_EQ(option_of(c, SOL_SOCKET, SO_ACCEPTCONN), 0);
    CHECK_EQ(option_of(c, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
    CHECK_EQ(option_of(c, SOL_SOCKET, SO_DOMAIN), AF_INET);
    CHECK_EQ(option_of(c, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
    CHECK_EQ(getsockname(c, (struct sockaddr *)&own, &len), 0);
    CHECK(len == sizeof own && own.sin_family == AF_INET && own.sin_port == 0 && own.sin_addr.s_addr == 0);
    CHECK_FAILS(getpeername(c, (struct sockaddr *)&peer, &len), ENOTCONN);
    CHECK_EQ(connect_to(c, AF_INET, port_of(l)), 0);
    CHECK_FAILS(connect_to(c, AF_INET, port_of(l)), EISCONN);
    len = sizeof peer;
    int a = accept4(l, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    CHECK(a >= 0 && len == sizeof peer);
    CHECK_EQ(fcntl(a, F_GETFD), FD_CLOEXEC);
    CHECK(fcntl(a, F_GETFL) & O_NONBLOCK);
    len = sizeof own;
    CHECK_EQ(getsockname(c, (struct sockaddr *)&own, &len), 0);
    CHECK(own.sin_port == peer.sin_port && own.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    len = sizeof other;
    CHECK_EQ(getpeername(a, (struct sockaddr *)&other, &len), 0);
    CHECK(other.sin_port == own.sin_port);
    len = sizeof other;
    CHECK_EQ(getpeername(c, (struct sockaddr *)&other, &len), 0);
    CHECK_EQ(ntohs(other.sin_port), port_of(l));
    // An address that does not fit is cut, and its length told.
    len = 4;
    memset(&other, 0x55, sizeof other);
    CHECK_EQ(getsockname(c, (struct sockaddr *)&other, &len), 0);
    CHECK(len == sizeof own && other.sin_port == own.sin_port && other.sin_addr.s_addr == 0x55555555);
    char link[64] = {0}, name[64];
    sprintf(name, "/proc/self/fd/%d", c);
    CHECK(readlink(name, link, 63) > 0 && !strncmp(link, "socket:[", 8));
    struct stat st;
    CHECK(fstat(c, &st) == 0 && S_ISSOCK(st.st_mode) && (st.st_mode & 07777) == 0777);
    CHECK_FAILS(lseek(c, 0, SEEK_SET), ESPIPE);
    close(a);
    close(c);
    close(l);
}

static void bytes_go_both_ways(void) {
    int s[2];
    char got[64] = {0};
    tcp_pair(s, AF_INET);
    CHECK_EQ(write(s[0], "abc", 3), 3);
    CHECK_EQ(send(s[0], "def", 3, MSG_MORE), 3);
    struct iovec out[2] = {{"gh", 2}, {"ij", 2}};
    CHECK_EQ(writev(s[0], out, 2), 4);
    CHECK_EQ(recv(s[1], got, 10, MSG_PEEK | MSG_WAITALL), 10);
    CHECK(!memcmp(got, "abcdefghij", 10));
    int waiting = 0;
    CHECK(ioctl(s[1], FIONREAD, &waiting) == 0 && waiting == 10);
    CHECK_EQ(recv(s[1], got, 4, MSG_PEEK), 4);
    struct iovec in[2] = {{got, 2}, {got + 32, 3}};
    CHECK_EQ(readv(s[1], in, 2), 5);
    CHECK(!memcmp(got, "ab", 2) && !memcmp(got + 32, "cde", 3));
    // Thrown away, without a place to put them.
    CHECK_EQ(recv(s[1], 0, 2, MSG_TRUNC), 2);
    CHECK_EQ(recv(s[1], got, 3, MSG_WAITALL), 3);
    CHECK(!memcmp(got, "hij", 3));
    CHECK_FAILS(recv(s[1], got, 1, MSG_DONTWAIT), EAGAIN);
    CHECK_EQ(read(s[1], got, 0), 0);
    CHECK_EQ(send(s[0], "", 0, 0), 0);
    CHECK_FAILS(recv(s[1], got, 1, MSG_DONTWAIT), EAGAIN);
    // An address means nothing on a connection.
    struct sockaddr_storage at, from;
    socklen_t len = loopback(&at, AF_INET, 9), from_len = sizeof from;
    CHECK_EQ(sendto(s[1], "back", 4, 0, (struct sockaddr *)&at, len), 4);
    CHECK_EQ(recvfrom(s[0], got, 64, 0, (struct sockaddr *)&from, &from_len), 4);
    CHECK_EQ(from_len, 0);
    struct msghdr m = {.msg_iov = out, .msg_iovlen = 2};
    CHECK_EQ(sendmsg(s[0], &m, 0), 4);
    struct mmsghdr many[3] = {0};
    for (int i = 0; i < 3; i++) many[i].msg_hdr.msg_iov = out, many[i].msg_hdr.msg_iovlen = 1;
    CHECK_EQ(sendmmsg(s[0], many, 3, 0), 3);
    CHECK(many[0].msg_len == 2 && many[2].msg_len == 2);
    struct iovec all = {got, 10};
    m = (struct msghdr){.msg_iov = &all, .msg_iovlen = 1};
    CHECK_EQ(recvmsg(s[1], &m, MSG_WAITALL), 10);
    CHECK(!memcmp(got, "ghijghghgh", 10) && m.msg_flags == 0);
    CHECK(ioctl(s[0], TIOCOUTQ, &waiting) == 0 && waiting >= 0);
    CHECK_FAILS(ioctl(s[0], TIOCGWINSZ, got), ENOTTY);
    close(s[0]);
    close(s[1]);
}

static void *sends_late(void *arg) {
    int s = *(int *)arg;
    for (int i = 0; i < 4; i++) {
        usleep(20000);
        CHECK_EQ(write(s, "1234", 4), 4);
    }
    return 0;
}

static void waiting_for_all_takes_as_long_as_it_takes(void) {
    int s[2];
    char got[32] = {0};
    pthread_t thread;
    tcp_pair(s, AF_INET);
    CHECK_EQ(pthread_create(&thread, 0, sends_late, &s[0]), 0);
    CHECK_EQ(recv(s[1], got, 8, MSG_PEEK | MSG_WAITALL), 8);
    CHECK_EQ(recv(s[1], got, 16, MSG_WAITALL), 16);
    CHECK(!memcmp(got, "1234123412341234", 16));
    pthread_join(thread, 0);
    // What is there when the connection ends is all.
    CHECK_EQ(write(s[0], "end", 3), 3);
    close(s[0]);
    CHECK_EQ(recv(s[1], got, 8, MSG_PEEK | MSG_WAITALL), 3);
    CHECK_EQ(recv(s[1], got, 8, MSG_WAITALL), 3);
    CHECK_EQ(recv(s[1], got, 8, MSG_WAITALL), 0);
    close(s[1]);
    // A receive waits for as much as SO_RCVLOWAT says.
    tcp_pair(s, AF_INET);
    int least = 12;
    CHECK_EQ(setsockopt(s[1], SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least), 0);
    CHECK_EQ(option_of(s[1], SOL_SOCKET, SO_RCVLOWAT), 12);
    CHECK_EQ(pthread_create(&thread, 0, sends_late, &s[0]), 0);
    ssize_t n = recv(s[1], got, 32, 0);
    CHECK(n >= 12);
    pthread_join(thread, 0);
    close(s[0]);
    close(s[1]);
}

static void timeouts_end_a_wait(void) {
    int s[2];
    char got[8];
    tcp_pair(s, AF_INET);
    struct timeval t = {0, 50000}, shown;
    socklen_t len = sizeof shown;
    CHECK_EQ(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t), 0);
    CHECK_EQ(getsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &shown, &len), 0);
    CHECK(len == sizeof shown && shown.tv_sec == 0 && shown.tv_usec >= 48000 && shown.tv_usec <= 52000);
    CHECK_FAILS(recv(s[0], got, 8, 0), EAGAIN);
    CHECK_EQ(write(s[1], "abc", 3), 3);
    // What came before the time was over counts.
    CHECK_EQ(recv(s[0], got, 8, MSG_WAITALL), 3);
    int l = listener(AF_INET, 0);
    CHECK_EQ(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t), 0);
    CHECK_FAILS(accept(l, 0, 0), EAGAIN);
    close(l);
    close(s[0]);
    close(s[1]);
}

static void ends_are_noticed(void) {
    int s[2];
    char got[16];
    tcp_pair(s, AF_INET);
    CHECK_EQ(write(s[0], "last", 4), 4);
    CHECK_EQ(shutdown(s[0], SHUT_WR), 0);
    CHECK_EQ(read(s[1], got, 16), 4);
    CHECK_EQ(read(s[1], got, 16), 0);
    CHECK(wait_for(s[1], POLLIN | POLLRDHUP) & POLLRDHUP);
    CHECK_FAILS(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
    CHECK_EQ(broken, 0);
    CHECK_FAILS(write(s[0], "x", 1), EPIPE);
    CHECK_EQ(broken, 1);
    // The other direction goes on.
    CHECK_EQ(write(s[1], "still", 5), 5);
    CHECK_EQ(recv(s[0], got, 5, MSG_WAITALL), 5);
    CHECK_EQ(shutdown(s[0], SHUT_RD), 0);
    CHECK_EQ(read(s[0], got, 16), 0);
    CHECK_FAILS(shutdown(s[0], 3), EINVAL);
    close(s[0]);
    close(s[1]);
    int c = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_FAILS(shutdown(c, SHUT_WR), ENOTCONN);
    CHECK_FAILS(recv(c, got, 1, 0), ENOTCONN);
    CHECK_FAILS(send(c, got, 1, 0), EPIPE);
    CHECK_EQ(broken, 2);
    close(c);
}

static void what_is_not_read_is_a_reset(void) {
    int s[2];
    char got[16];
    tcp_pair(s, AF_INET);
    CHECK_EQ(write(s[0], "lost", 4), 4);
    CHECK(wait_for(s[1], POLLIN) & POLLIN);
    close(s[1]);
    CHECK_EQ(wait_for(s[0], POLLIN | POLLRDHUP) & (POLLIN | POLLRDHUP | POLLERR | POLLHUP),
             POLLIN | POLLRDHUP | POLLERR | POLLHUP);
    CHECK_FAILS(read(s[0], got, 16), ECONNRESET);
    CHECK_EQ(read(s[0], got, 16), 0);
    CHECK_FAILS(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
    close(s[0]);
    // Asked for by hand, and told by SO_ERROR once.
    tcp_pair(s, AF_INET);
    struct linger now = {1, 0};
    CHECK_EQ(setsockopt(s[1], SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    close(s[1]);
    CHECK(wait_for(s[0], POLLIN) & POLLERR);
    CHECK_EQ(option_of(s[0], SOL_SOCKET, SO_ERROR), ECONNRESET);
    CHECK_EQ(option_of(s[0], SOL_SOCKET, SO_ERROR), 0);
    close(s[0]);
}

static char big[3 << 20], back[3 << 20];

static void *reads_all(void *arg) {
    int s = *(int *)arg;
    size_t have = 0;
    ssize_t n;
    while (have < sizeof back && (n = recv(s, back + have, have % 3 ? 70001 : sizeof back - have, 0)) > 0)
        have += (size_t)n;
    return (void *)have;
}

static void much_goes_through(void) {
    int s[2];
    pthread_t thread;
    void *have = 0;
    tcp_pair(s, AF_INET);
    for (size_t i = 0; i < sizeof big; i++) big[i] = (char)(i * 31 % 251);
    CHECK_EQ(pthread_create(&thread, 0, reads_all, &s[1]), 0);
    CHECK_EQ(send(s[0], big, sizeof big, 0), sizeof big);
    pthread_join(thread, &have);
    CHECK_EQ((size_t)have, sizeof big);
    CHECK(!memcmp(big, back, sizeof big));
    // sendfile and splice.
    scratch();
    int file = open("data", O_RDWR | O_CREAT, 0600);
    CHECK_EQ(write(file, big, 1 << 20), 1 << 20);
    memset(back, 0, sizeof back);
    CHECK_EQ(pthread_create(&thread, 0, reads_all, &s[1]), 0);
    off_t at = 0;
    while (at < 1 << 20) {
        if (sendfile(s[0], file, &at, (1 << 20) - (size_t)at) <= 0) break;
    }
    CHECK_EQ(at, 1 << 20);
    int p[2];
    CHECK_EQ(pipe(p), 0);
    CHECK_EQ(write(p[1], "by a pipe", 9), 9);
    CHECK_EQ(splice(p[0], 0, s[0], 0, 9, 0), 9);
    shutdown(s[0], SHUT_WR);
    pthread_join(thread, &have);
    CHECK_EQ((size_t)have, (1 << 20) + 9);
    CHECK(!memcmp(big, back, 1 << 20) && !memcmp(back + (1 << 20), "by a pipe", 9));
    CHECK_EQ(write(s[1], "to a pipe", 9), 9);
    CHECK_EQ(splice(s[0], 0, p[1], 0, 64, 0), 9);
    CHECK_EQ(read(p[0], back, 64), 9);
    CHECK(!memcmp(back, "to a pipe", 9));
    close(p[0]);
    close(p[1]);
    close(file);
    close(s[0]);
    close(s[1]);
}

static void bad_memory_loses_nothing(void) {
    int s[2];
    char got[16];
    char *page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK_EQ(mprotect(page + 4096, 4096, PROT_NONE), 0);
    memcpy(page + 4093, "123", 3);
    tcp_pair(s, AF_INET);
    CHECK_FAILS(write(s[0], page + 4096, 1), EFAULT);
    CHECK_FAILS(read(s[1], page + 4096, 0) == 0 && recv(s[1], page, 1, MSG_DONTWAIT) == -1 ? -1 : 0, EAGAIN);
    CHECK_EQ(write(s[0], "abc", 3), 3);
    CHECK(wait_for(s[1], POLLIN) & POLLIN);
    CHECK_FAILS(read(s[1], page + 4096, 3), EFAULT);
    CHECK(wait_for(s[1], POLLIN) & POLLIN);
    int waiting = 0;
    CHECK(ioctl(s[1], FIONREAD, &waiting) == 0 && waiting == 3);
    CHECK_EQ(recv(s[1], got, 16, MSG_PEEK), 3);
    CHECK_EQ(read(s[1], got, 16), 3);
    CHECK(!memcmp(got, "abc", 3));
    close(s[0]);
    close(s[1]);
}

int main(void) {
    signal(SIGPIPE, on_pipe);
    connections_have_two_names();
    bytes_go_both_ways();
    waiting_for_all_takes_as_long_as_it_takes();
    timeouts_end_a_wait();
    ends_are_noticed();
    what_is_not_read_is_a_reset();
    much_goes_through();
    bad_memory_loses_nothing();
    return done("inet_stream");
}
