//! unix_seqpacket: messages over a connection keep their borders, and end with it.
//! build: static, musl-static
#include "check.h"
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

int main(void) {
    int s[2];
    char got[16];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, s), 0);
    CHECK_EQ(write(s[0], "one", 3), 3);
    CHECK_EQ(write(s[0], "second", 6), 6);
    int waiting = 0;
    CHECK(ioctl(s[1], FIONREAD, &waiting) == 0 && waiting == 9);
    CHECK_EQ(read(s[1], got, 16), 3);
    struct iovec io = {got, 4};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};
    CHECK_EQ(recvmsg(s[1], &m, 0), 4);
    CHECK_EQ(m.msg_flags, MSG_TRUNC);
    CHECK_FAILS(read(s[1], got, 16), EAGAIN);
    // An address that comes with a message is not looked at.
    struct sockaddr nowhere = {.sa_family = AF_UNIX, .sa_data = "/nowhere"};
    CHECK_EQ(sendto(s[0], "x", 1, 0, &nowhere, sizeof nowhere), 1);
    CHECK_EQ(read(s[1], got, 16), 1);
    CHECK_EQ(write(s[1], "bye", 3), 3);
    CHECK_EQ(close(s[1]), 0);
    CHECK_EQ(read(s[0], got, 16), 3);
    CHECK_EQ(read(s[0], got, 16), 0);
    CHECK_FAILS(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
    close(s[0]);

    CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s), 0);
    CHECK_EQ(write(s[0], "unread", 6), 6);
    close(s[1]);
    CHECK_FAILS(read(s[0], got, 16), ECONNRESET);
    CHECK_EQ(read(s[0], got, 16), 0);
    close(s[0]);

    struct sockaddr_un a = {.sun_family = AF_UNIX};
    sprintf(a.sun_path + 1, "seqpacket of guest %d", getpid()); // nobody else on the host has the name
    int server = socket(AF_UNIX, SOCK_SEQPACKET, 0), client = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    CHECK_FAILS(read(client, got, 16), ENOTCONN);
    CHECK_FAILS(send(client, "x", 1, MSG_NOSIGNAL), ENOTCONN);
    CHECK_EQ(bind(server, (void *)&a, sizeof a), 0);
    CHECK_EQ(listen(server, 1), 0);
    // Abstract names are for sockets of one kind.
    int stream = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_FAILS(connect(stream, (void *)&a, sizeof a), ECONNREFUSED);
    CHECK_EQ(connect(client, (void *)&a, sizeof a), 0);
    int accepted = accept(server, NULL, NULL);
    CHECK(accepted >= 0);
    CHECK_EQ(write(client, "a", 1), 1);
    CHECK_EQ(write(client, "bc", 2), 2);
    CHECK_EQ(read(accepted, got, 16), 1);
    CHECK_EQ(read(accepted, got, 16), 2);
    CHECK_EQ(shutdown(client, SHUT_RDWR), 0);
    CHECK_EQ(read(accepted, got, 16), 0);
    return done("unix_seqpacket");
}
