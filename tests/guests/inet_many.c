//! inet_many: five hundred connections at once, then two thousand short ones, and nothing is left of them.
//! cpus: 1, 2
#include "inet.h"
#include <dirent.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/resource.h>

enum { AT_ONCE = 500, SHORT = 2000 };

static int open_descriptors(void) {
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;
    while (dir && readdir(dir)) count++;
    closedir(dir);
    return count;
}

/// Serves whoever connects, from one event poll, until the listener is shut.
static void *serve(void *arg) {
    int l = *(int *)arg, ep = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = l}, ready[32];
    epoll_ctl(ep, EPOLL_CTL_ADD, l, &e);
    for (;;) {
        int n = epoll_wait(ep, ready, 32, PATIENCE_MS);
        if (n <= 0) WRONG("nothing came: %d", n);
        for (int i = 0; i < n; i++) {
            int s = ready[i].data.fd;
            char got[64];
            if (s == l) {
                int a = accept4(l, 0, 0, SOCK_NONBLOCK);
                if (a < 0 && errno == EINVAL) {
                    close(ep);
                    return 0;
                }
                e = (struct epoll_event){.events = EPOLLIN | EPOLLET, .data.fd = a};
                if (a >= 0) CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, a, &e), 0);
                continue;
            }
            ssize_t len;
            while ((len = read(s, got, sizeof got)) > 0) CHECK_EQ(write(s, got, (size_t)len), len);
            if (len == 0 || errno != EAGAIN) close(s);
        }
        if (n <= 0) return 0;
    }
}

static void ask(int s, int number) {
    int answer = -1;
    CHECK_EQ(send(s, &number, sizeof number, 0), sizeof number);
    CHECK_EQ(recv(s, &answer, sizeof answer, MSG_WAITALL), sizeof answer);
    CHECK_EQ(answer, number);
}

/// Gone at once, without a rest that keeps the port for a minute.
static void abort_connection(int s) {
    struct linger now = {1, 0};
    CHECK_EQ(setsockopt(s, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    close(s);
}

int main(void) {
    struct rlimit files = {2048, 2048};
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
    int l = bound(AF_INET, SOCK_STREAM | SOCK_NONBLOCK), before = open_descriptors();
    CHECK_EQ(listen(l, 512), 0);
    pthread_t server;
    pthread_create(&server, 0, serve, &l);
    int port = port_of(l), clients[AT_ONCE];
    for (int i = 0; i < AT_ONCE; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM, 0);
        CHECK_EQ(connect_to(clients[i], AF_INET, port), 0);
    }
    for (int i = 0; i < AT_ONCE; i++) ask(clients[AT_ONCE - 1 - i], i);
    CHECK(open_descriptors() >= before + 2 * AT_ONCE);
    for (int i = 0; i < AT_ONCE; i++) abort_connection(clients[i]);
    for (int i = 0; i < SHORT; i++) {
        int s = socket(AF_INET, SOCK_STREAM, 0);
        CHECK_EQ(connect_to(s, AF_INET, port), 0);
        ask(s, i);
        abort_connection(s);
    }
    for (int i = 0; i < PATIENCE_MS && open_descriptors() > before + 1; i++) usleep(1000);
    CHECK_EQ(shutdown(l, SHUT_RD), 0);
    pthread_join(server, 0);
    CHECK_EQ(open_descriptors(), before);
    close(l);
    return done("inet_many");
}
