//! inet_rings: small and large pieces of connections keep their order: two writers, two readers, slow readers, half close, peeking, readiness.
//! build: static, musl-static
//! cpus: 1, 2
#include "inet.h"
#include <pthread.h>
#include <sys/epoll.h>

/// Where the bytes of a connection begin again: no piece of a size below has as many.
#define PERIOD 251
/// Sizes of pieces: some far below, at, and far above what any buffer of a kernel's is.
static const size_t sizes[] = {1, 7, 100, 4096, 8063, 8064, 8065, 3, 20000, 1, 60, 200000, 8000, 64, 2, 5000};
#define SIZES (sizeof sizes / sizeof *sizes)

static char pattern[PERIOD * 1300], got[PERIOD * 1200];

static void fill(void) {
    for (size_t i = 0; i < sizeof pattern; i++) pattern[i] = (char)(i % PERIOD);
}

/// Whether `len` bytes are those that come at `at`.
static int in_order(const char *bytes, size_t at, size_t len) {
    return !memcmp(bytes, pattern + at % PERIOD, len);
}

static size_t all(int rounds) {
    size_t sum = 0;
    for (int i = 0; i < rounds; i++) sum += sizes[(size_t)i % SIZES];
    return sum;
}

/// Writes pieces of all sizes one after the other.
static void *writes_pieces(void *arg) {
    int s = *(int *)arg;
    size_t at = 0;
    for (int i = 0; i < 64; i++) {
        size_t len = sizes[(size_t)i % SIZES];
        CHECK_EQ(write(s, pattern + at % PERIOD, len), (ssize_t)len);
        at += len;
    }
    return 0;
}

static void pieces_keep_their_order(size_t room, int pause_us) {
    int s[2];
    pthread_t thread;
    tcp_pair(s, AF_INET);
    CHECK_EQ(pthread_create(&thread, 0, writes_pieces, &s[0]), 0);
    size_t at = 0, end = all(64);
    while (at < end) {
        ssize_t n = read(s[1], got, room);
        if (n <= 0 || !in_order(got, at, (size_t)n)) break;
        at += (size_t)n;
        if (pause_us) usleep((useconds_t)pause_us);
    }
    CHECK_EQ(at, end);
    pthread_join(thread, 0);
    CHECK_FAILS(recv(s[1], got, 1, MSG_DONTWAIT), EAGAIN);
    close(s[0]);
    close(s[1]);
}

/// Records that are written and read whole, by whoever comes first.
enum { RECORD = 24, RECORDS = 4000 };
static int shared[2], seen[2][RECORDS];
static pthread_mutex_t reading = PTHREAD_MUTEX_INITIALIZER;
static size_t in_all;

static void *writes_records(void *arg) {
    int writer = (int)(size_t)arg;
    char record[RECORD];
    for (int i = 0; i < RECORDS; i++) {
        memset(record, 'a' + writer, sizeof record);
        memcpy(record, &i, sizeof i);
        CHECK_EQ(write(shared[0], record, sizeof record), sizeof record);
    }
    return 0;
}

/// Reads together with another one; each takes a record at a time.
static void *reads_records(void *arg) {
    (void)arg;
    for (;;) {
        char record[RECORD];
        int number, ok = 1;
        pthread_mutex_lock(&reading);
        ssize_t n = recv(shared[1], record, sizeof record, MSG_WAITALL);
        pthread_mutex_unlock(&reading);
        if (n == 0) return 0;
        CHECK_EQ(n, RECORD);
        if (n != RECORD) return 0;
        memcpy(&number, record, sizeof number);
        for (int i = sizeof number; i < RECORD; i++) ok &= record[i] == record[RECORD - 1];
        int writer = record[RECORD - 1] - 'a';
        CHECK(ok && (writer == 0 || writer == 1) && number >= 0 && number < RECORDS);
        if (ok && (writer == 0 || writer == 1) && number >= 0 && number < RECORDS)
            __atomic_fetch_add(&seen[writer][number], 1, __ATOMIC_SEQ_CST);
    }
}

/// Reads together with another one without a lock: only how much there was is known.
static void *reads_bytes(void *arg) {
    char bytes[1000];
    ssize_t n;
    (void)arg;
    while ((n = read(shared[1], bytes, sizeof bytes)) > 0)
        __atomic_fetch_add(&in_all, (size_t)n, __ATOMIC_SEQ_CST);
    CHECK_EQ(n, 0);
    return 0;
}

static void two_write_and_two_read(void *(*reads)(void *)) {
    pthread_t writers[2], readers[2];
    tcp_pair(shared, AF_INET6);
    for (size_t i = 0; i < 2; i++) {
        CHECK_EQ(pthread_create(&readers[i], 0, reads, 0), 0);
        CHECK_EQ(pthread_create(&writers[i], 0, writes_records, (void *)i), 0);
    }
    for (int i = 0; i < 2; i++) pthread_join(writers[i], 0);
    CHECK_EQ(shutdown(shared[0], SHUT_WR), 0);
    for (int i = 0; i < 2; i++) pthread_join(readers[i], 0);
    close(shared[0]);
    close(shared[1]);
}

static void records_stay_whole(void) {
    two_write_and_two_read(reads_records);
    int wrong = 0;
    for (int i = 0; i < RECORDS; i++) wrong += seen[0][i] != 1 || seen[1][i] != 1;
    CHECK_EQ(wrong, 0);
    two_write_and_two_read(reads_bytes);
    CHECK_EQ(in_all, 2 * RECORDS * RECORD);
}

enum { FEW = 400, ROUNDS = 40 };

static void *writes_a_few(void *arg) {
    (void)arg;
    for (int i = 0; i < FEW; i++) CHECK_EQ(write(shared[0], pattern, RECORD), RECORD);
    return 0;
}

/// Whoever waits for room is told of it, also where another writer made it and writes no more.
static void nobody_waits_for_room_that_is_there(void) {
    tcp_pair(shared, AF_INET);
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t writers[3];
        for (int i = 0; i < 3; i++) CHECK_EQ(pthread_create(&writers[i], 0, writes_a_few, 0), 0);
        for (int i = 0; i < 3 * FEW; i++) CHECK_EQ(recv(shared[1], got, RECORD, MSG_WAITALL), RECORD);
        for (int i = 0; i < 3; i++) pthread_join(writers[i], 0);
    }
    close(shared[0]);
    close(shared[1]);
}

static void what_was_written_comes_before_the_end(void) {
    int s[2];
    for (int round = 0; round < 20; round++) {
        tcp_pair(s, AF_INET);
        for (int i = 0; i < 5; i++) CHECK_EQ(write(s[0], pattern + i * 100 % PERIOD, 100), 100);
        if (round % 2) close(s[0]);
        else CHECK_EQ(shutdown(s[0], SHUT_WR), 0);
        CHECK_EQ(recv(s[1], got, 501, MSG_WAITALL), 500);
        CHECK(in_order(got, 0, 500));
        CHECK_EQ(read(s[1], got, 1), 0);
        CHECK_EQ(read(s[1], got, 1), 0);
        if (round % 2 == 0) {
            // The other direction is as it was.
            CHECK_EQ(write(s[1], "answer", 6), 6);
            CHECK_EQ(recv(s[0], got, 6, MSG_WAITALL), 6);
            CHECK_FAILS(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
            close(s[0]);
        }
        close(s[1]);
    }
}

/// Writes until there is no room for some time, in pieces of `len`: how much that was.
static size_t stuff(int s, size_t len) {
    size_t at = 0, before = 1;
    struct pollfd room = {s, POLLOUT, 0};
    // Bytes move to the other end meanwhile, on a busy machine late.
    for (int calm = 0; calm < 5; calm = at == before && poll(&room, 1, 0) == 0 ? calm + 1 : 0) {
        ssize_t n;
        before = at;
        while ((n = send(s, pattern + at % PERIOD, len, MSG_DONTWAIT)) > 0) at += (size_t)n;
        CHECK(n < 0 && errno == EAGAIN);
        usleep(2000);
    }
    return at;
}

/// Reads `end` bytes from `at` on.
static void empty(int s, size_t at, size_t end) {
    while (at < end) {
        size_t left = end - at;
        ssize_t n = recv(s, got, left < 50000 ? left : 50000, 0);
        if (n <= 0 || !in_order(got, at, (size_t)n)) break;
        at += (size_t)n;
    }
    CHECK_EQ(at, end);
}

static void a_full_connection_takes_nothing(void) {
    static const size_t pieces[] = {1000, 100000};
    for (int i = 0; i < 2; i++) {
        int s[2];
        tcp_pair(s, AF_INET);
        int least = 4096, queued = -1;
        CHECK_EQ(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof least), 0);
        size_t full = stuff(s[0], pieces[i]);
        struct pollfd p = {s[0], POLLOUT, 0};
        CHECK_EQ(poll(&p, 1, 0), 0);
        CHECK(ioctl(s[0], TIOCOUTQ, &queued) == 0 && queued > 0);
        CHECK(ioctl(s[1], FIONREAD, &queued) == 0 && queued > 0);
        struct timeval t = {0, 20000};
        CHECK_EQ(setsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t), 0);
        ssize_t n;
        // In the end it waits in vain.
        while ((n = send(s[0], pattern + full % PERIOD, 8000, 0)) > 0) full += (size_t)n;
        CHECK(n < 0 && errno == EAGAIN);
        empty(s[1], 0, full);
        CHECK(wait_for(s[0], POLLOUT) & POLLOUT);
        CHECK_EQ(write(s[0], pattern + full % PERIOD, 10), 10);
        empty(s[1], full, full + 10);
        close(s[0]);
        close(s[1]);
    }
}

static void *writes_slowly(void *arg) {
    int s = *(int *)arg;
    for (size_t at = 0; at < 20000; at += 1000) {
        usleep(1000);
        CHECK_EQ(write(s, pattern + at % PERIOD, 1000), 1000);
    }
    return 0;
}

static void looking_takes_nothing(void) {
    int s[2], waiting = 0;
    pthread_t thread;
    tcp_pair(s, AF_INET);
    // Over the place where a ring begins again.
    CHECK_EQ(write(s[0], pattern, 8000), 8000);
    CHECK_EQ(recv(s[1], got, 8000, MSG_WAITALL), 8000);
    CHECK_EQ(write(s[0], pattern, 600), 600);
    CHECK(wait_for(s[1], POLLIN) & POLLIN);
    CHECK_EQ(recv(s[1], got, 0, MSG_PEEK), 0);
    CHECK_EQ(recv(s[1], got, 600, MSG_PEEK | MSG_WAITALL), 600);
    CHECK(in_order(got, 0, 600));
    CHECK(ioctl(s[1], FIONREAD, &waiting) == 0 && waiting == 600);
    CHECK_EQ(recv(s[1], got, 600, MSG_WAITALL), 600);
    CHECK(in_order(got, 0, 600));
    // More than a ring has.
    CHECK_EQ(pthread_create(&thread, 0, writes_slowly, &s[0]), 0);
    CHECK_EQ(recv(s[1], got, 20000, MSG_PEEK | MSG_WAITALL), 20000);
    CHECK(in_order(got, 0, 20000));
    pthread_join(thread, 0);
    CHECK(ioctl(s[1], FIONREAD, &waiting) == 0 && waiting == 20000);
    memset(got, 0, 20000);
    CHECK_EQ(recv(s[1], got, 1, MSG_PEEK), 1);
    CHECK_EQ(recv(s[1], 0, 500, MSG_TRUNC), 500);
    empty(s[1], 500, 20000);
    CHECK_FAILS(recv(s[1], got, 1, MSG_PEEK | MSG_DONTWAIT), EAGAIN);
    CHECK_EQ(write(s[0], pattern, 9), 9);
    close(s[0]);
    CHECK_EQ(recv(s[1], got, 100, MSG_PEEK | MSG_WAITALL), 9);
    CHECK_EQ(recv(s[1], got, 100, MSG_WAITALL), 9);
    CHECK_EQ(recv(s[1], got, 100, MSG_PEEK), 0);
    close(s[1]);
}

static void readiness_follows_the_bytes(void) {
    int s[2], level = epoll_create1(0), edge = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN}, found;
    tcp_pair(s, AF_INET);
    CHECK_EQ(epoll_ctl(level, EPOLL_CTL_ADD, s[1], &e), 0);
    e.events = EPOLLIN | EPOLLET;
    CHECK_EQ(epoll_ctl(edge, EPOLL_CTL_ADD, s[1], &e), 0);
    CHECK_EQ(epoll_wait(level, &found, 1, 0), 0);
    for (int i = 0; i < 50; i++) {
        CHECK_EQ(write(s[0], "ab", 2), 2);
        CHECK_EQ(epoll_wait(edge, &found, 1, PATIENCE_MS), 1);
        CHECK_EQ(epoll_wait(level, &found, 1, PATIENCE_MS), 1);
        CHECK_EQ(read(s[1], got, 1), 1);
        // A byte is left: that is a level, and no edge.
        CHECK_EQ(epoll_wait(level, &found, 1, 0), 1);
        CHECK_EQ(epoll_wait(edge, &found, 1, 0), 0);
        CHECK_EQ(read(s[1], got, 1), 1);
        CHECK_EQ(epoll_wait(level, &found, 1, 0), 0);
    }
    // Every arrival is an edge, also where nothing was read.
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(write(s[0], "c", 1), 1);
        CHECK_EQ(epoll_wait(edge, &found, 1, PATIENCE_MS), 1);
    }
    CHECK_EQ(recv(s[1], got, 20, MSG_WAITALL), 20);
    // So is room, where there was none.
    e.events = EPOLLOUT | EPOLLET;
    CHECK_EQ(epoll_ctl(edge, EPOLL_CTL_ADD, s[0], &e), 0);
    CHECK_EQ(epoll_wait(edge, &found, 1, PATIENCE_MS), 1);
    size_t full = stuff(s[0], 251);
    while (epoll_wait(edge, &found, 1, 0) == 1) {}
    empty(s[1], 0, full);
    CHECK_EQ(epoll_wait(edge, &found, 1, PATIENCE_MS), 1);
    shutdown(s[0], SHUT_WR);
    CHECK(wait_for(s[1], POLLRDHUP) & POLLRDHUP);
    CHECK_EQ(epoll_wait(level, &found, 1, PATIENCE_MS), 1);
    CHECK_EQ(read(s[1], got, 1), 0);
    close(level);
    close(edge);
    close(s[0]);
    close(s[1]);
}

/// Answers each byte until there are no more.
static void *echoes(void *arg) {
    int s = *(int *)arg;
    char byte;
    while (read(s, &byte, 1) == 1) CHECK_EQ(write(s, &byte, 1), 1);
    return 0;
}

static void questions_are_answered(void) {
    int s[2];
    pthread_t thread;
    tcp_pair(s, AF_INET);
    CHECK_EQ(pthread_create(&thread, 0, echoes, &s[1]), 0);
    for (int i = 0; i < 2000; i++) {
        char byte = (char)i, back = 0;
        CHECK_EQ(write(s[0], &byte, 1), 1);
        CHECK_EQ(read(s[0], &back, 1), 1);
        CHECK_EQ(back, byte);
    }
    shutdown(s[0], SHUT_WR);
    pthread_join(thread, 0);
    close(s[0]);
    close(s[1]);
}

int main(void) {
    fill();
    pieces_keep_their_order(sizeof got, 0);
    pieces_keep_their_order(5000, 200);
    records_stay_whole();
    nobody_waits_for_room_that_is_there();
    what_was_written_comes_before_the_end();
    a_full_connection_takes_nothing();
    looking_takes_nothing();
    readiness_follows_the_bytes();
    questions_are_answered();
    return done("inet_rings");
}
