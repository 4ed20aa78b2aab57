//! crowded: takes all sockets that it can have but two, and then makes and closes one
//! connection after another: what is closed makes room at once.
//! build: static
#include "../inet.h"

enum { FREE = 2, ROUNDS = 300 };

int main(void) {
    static int taken[100000];
    int l = listener(AF_INET, SOCK_NONBLOCK), count = 0, port = port_of(l);
    while (count < 100000 && (taken[count] = socket(AF_INET, SOCK_DGRAM, 0)) >= 0) count++;
    CHECK_EQ(errno, EMFILE);
    for (int i = 0; i < FREE; i++) close(taken[--count]);
    for (int round = 0; round < ROUNDS; round++) {
        int a = -1, c = socket(AF_INET, SOCK_STREAM, 0);
        char byte = 0;
        CHECK(c >= 0);
        CHECK_EQ(connect_to(c, AF_INET, port), 0);
        // Without a wait, in which what is closed would be gone by itself.
        while ((a = accept(l, 0, 0)) < 0 && errno == EAGAIN) {}
        CHECK(a >= 0);
        CHECK_EQ(write(c, "x", 1), 1);
        while (recv(a, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN) {}
        CHECK_EQ(byte, 'x');
        CHECK_EQ(write(a, "y", 1), 1);
        while (recv(c, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN) {}
        CHECK_EQ(byte, 'y');
        close(c);
        close(a);
        if (wrong_count) break;
    }
    return done("crowded");
}
