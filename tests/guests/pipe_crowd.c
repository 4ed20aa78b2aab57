//! flags: -pthread
//! cpus: 1, 2
//! pipe_crowd: many writers and readers on one pipe, processes and threads, some interrupted or
//! killed, while its capacity changes: no byte is lost, torn or out of order, and nobody hangs.
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#define WRITERS 6
#define READERS 3
#define ROUNDS 3
#define LONGEST (300 << 10)

static void pause_us(long us) {
    struct timespec t = {0, us * 1000};
    nanosleep(&t, NULL);
}

static void nothing(int signal) { (void)signal; }

/// Has a call of the calling process interrupted again and again.
static void interrupt_often(long us) {
    struct sigaction action = {.sa_handler = nothing};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){{0, us}, {0, us}}, NULL);
}

/// What runs beside the test.
static pid_t beside(void (*run)(int), int fd) {
    pid_t pid = fork();
    if (pid) return pid;
    run(fd);
    _exit(wrong_count != 0);
}

static void ends_well(pid_t pid) {
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
}

// Records of up to PIPE_BUF: whole, each once, in order per writer, whoever reads.

struct record {
    uint16_t length, writer;
    uint32_t number;
};

static struct {
    _Atomic unsigned written[WRITERS], read[WRITERS];
} *counts;

static const int record_lengths[] = {8, 9, 4096, 100, 4095, 1000, 2048, 3000};

static void write_records(int fd, int writer, int count) {
    static _Thread_local char bytes[4096];
    for (int i = 0; i < count; i++) {
        struct record record = {(uint16_t)record_lengths[(i * 5 + writer) % 8], (uint16_t)writer, (uint32_t)i};
        memset(bytes, writer + i, sizeof bytes);
        memcpy(bytes, &record, sizeof record);
        ssize_t done = write(fd, bytes, record.length);
        if (done < 0 && errno == EINTR) i--;
        else if (done != record.length) WRONG("write of %d: %zd (errno %d)", record.length, done, errno);
        else counts->written[writer]++;
    }
}

struct part {
    pthread_t thread;
    int fd, writer;
};

static void *write_as_thread(void *of) {
    struct part *part = of;
    write_records(part->fd, part->writer, 150);
    return NULL;
}

static void write_as_process(int fd) {
    interrupt_often(300);
    write_records(fd, 0, 150);
}

/// Splits what is in `bytes` into records; where the last one is not whole.
static size_t take_records(const char *bytes, size_t have) {
    size_t at = 0;
    while (have - at >= sizeof(struct record)) {
        struct record record;
        memcpy(&record, bytes + at, sizeof record);
        if (record.writer >= WRITERS || record.length < sizeof record) {
            WRONG("a record of writer %d with %d bytes", record.writer, record.length);
            return have;
        }
        if (have - at < record.length) break;
        CHECK_EQ(record.number, counts->read[record.writer]++);
        for (int i = sizeof record; i < record.length; i++)
            if (bytes[at + i] != (char)(record.writer + record.number)) {
                WRONG("record %u of writer %d is torn", record.number, record.writer);
                break;
            }
        at += record.length;
    }
    return at;
}

static void read_records(int fd) {
    static char bytes[200000];
    static const size_t odd[] = {1, 4097, 7, 65536, 13, 100000, 3, 4095, 12288, 511};
    size_t have = 0;
    for (int i = 0;; i++) {
        ssize_t got = read(fd, bytes + have, odd[i % 10]);
        if (got == 0) break;
        if (got < 0) {
            CHECK_EQ(errno, EINTR);
            continue;
        }
        have += (size_t)got;
        size_t used = take_records(bytes, have);
        memmove(bytes, bytes + used, have -= used);
    }
    CHECK_EQ(have, 0);
}

static volatile int stops_changing;

static void *change_capacity(void *of) {
    static const int pages[] = {1, 16, 2, 64, 1, 4};
    for (int i = 0; !stops_changing; i++) {
        // EBUSY where it holds more.
        if (fcntl(*(int *)of, F_SETPIPE_SZ, pages[i % 6] * 4096) < 0) CHECK_EQ(errno, EBUSY);
        pause_us(100);
    }
    return NULL;
}

static void whole_records(void) {
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    memset(counts, 0, sizeof *counts);
    pid_t writer = fork();
    if (writer == 0) {
        close(ends[0]);
        write_as_process(ends[1]);
        _exit(wrong_count != 0);
    }
    pid_t reader = fork();
    if (reader == 0) {
        close(ends[1]);
        interrupt_often(700);
        read_records(ends[0]);
        _exit(wrong_count != 0);
    }
    struct part parts[WRITERS];
    for (int i = 1; i < WRITERS; i++) {
        parts[i] = (struct part){.fd = ends[1], .writer = i};
        CHECK_EQ(pthread_create(&parts[i].thread, NULL, write_as_thread, &parts[i]), 0);
    }
    pthread_t changer;
    stops_changing = 0;
    CHECK_EQ(pthread_create(&changer, NULL, change_capacity, &ends[0]), 0);
    for (int i = 1; i < WRITERS; i++) pthread_join(parts[i].thread, NULL);
    stops_changing = 1;
    pthread_join(changer, NULL);
    close(ends[1]);
    ends_well(writer);
    ends_well(reader);
    close(ends[0]);
    for (int i = 0; i < WRITERS; i++) {
        CHECK_EQ(counts->written[i], 150);
        CHECK_EQ(counts->read[i], 150);
    }
}

// Long writes and several readers: what is written is read once, and killed ones take no lock.

static struct {
    _Atomic long written, read;
} *sums;

static void write_long(int fd) {
    static char bytes[LONGEST];
    interrupt_often(500);
    for (int i = 0; i < 12; i++) {
        size_t length = (size_t[]){1, LONGEST, 4096, 70001, 5000, 131072}[i % 6];
        for (size_t done = 0; done < length;) {
            ssize_t now = write(fd, bytes + done, length - done);
            if (now < 0) CHECK_EQ(errno, EINTR);
            else done += (size_t)now, sums->written += now;
        }
    }
}

static void write_until_killed(int fd) {
    static char bytes[LONGEST];
    for (;;) write(fd, bytes, sizeof bytes);
}

static void read_long(int fd) {
    static char bytes[100001];
    interrupt_often(400);
    for (int i = 0;; i++) {
        ssize_t got = read(fd, bytes, (size_t[]){1, 100001, 4096, 333, 65536}[i % 5]);
        if (got == 0) break;
        if (got < 0) CHECK_EQ(errno, EINTR);
        else sums->read += got;
    }
}

static void long_writes(int kills) {
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    memset(sums, 0, sizeof *sums);
    pid_t readers[READERS], writers[WRITERS];
    for (int i = 0; i < WRITERS; i++) writers[i] = beside(kills && i < 2 ? write_until_killed : write_long, ends[1]);
    for (int i = 0; i < READERS; i++) {
        readers[i] = fork();
        if (readers[i] == 0) {
            close(ends[1]);
            read_long(ends[0]);
            _exit(wrong_count != 0);
        }
    }
    close(ends[1]);
    for (int i = 0; kills && i < 2; i++) {
        pause_us(2000);
        CHECK_EQ(kill(writers[i], SIGKILL), 0);
        int status;
        CHECK_EQ(waitpid(writers[i], &status, 0), writers[i]);
        CHECK(WIFSIGNALED(status));
    }
    for (int i = kills ? 2 : 0; i < WRITERS; i++) ends_well(writers[i]);
    for (int i = 0; i < READERS; i++) ends_well(readers[i]);
    close(ends[0]);
    if (kills) CHECK(sums->read >= sums->written);
    else CHECK_EQ(sums->read, sums->written);
}

/// Readers that go while writers sleep: EPIPE for each.
static void write_to_nobody(int fd) {
    static char bytes[LONGEST];
    signal(SIGPIPE, SIG_IGN);
    while (write(fd, bytes, sizeof bytes) > 0) continue;
    CHECK_EQ(errno, EPIPE);
}

static void readers_go(void) {
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    pid_t writers[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = fork();
        if (writers[i] == 0) {
            close(ends[0]);
            write_to_nobody(ends[1]);
            _exit(wrong_count != 0);
        }
    }
    char bytes[5000];
    for (int i = 0; i < 20; i++) CHECK(read(ends[0], bytes, sizeof bytes) > 0);
    close(ends[0]);
    for (int i = 0; i < WRITERS; i++) ends_well(writers[i]);
    close(ends[1]);
}

// Room that comes otherwise than by reading.

static void write_twice_full(int fd) {
    static char bytes[128 << 10];
    CHECK_EQ(write(fd, bytes, sizeof bytes), sizeof bytes);
}

/// A write ends when the pipe has grown by what was left of it.
static void grown(void) {
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    pid_t writer = beside(write_twice_full, ends[1]);
    pause_us(5000);
    CHECK_EQ(fcntl(ends[0], F_SETPIPE_SZ, 128 << 10), 128 << 10);
    ends_well(writer);
    close(ends[0]);
    close(ends[1]);
}

static int sockets[2];

static void splice_nothing(int fd) {
    CHECK_EQ(splice(sockets[0], NULL, fd, NULL, 1 << 20, 0), 0);
}

static void write_ten(int fd) { CHECK_EQ(write(fd, "0123456789", 10), 10); }

/// A splice that waits for a socket keeps the pipe's room, and gives it back unused.
static void room_given_back(void) {
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    pid_t splicer = beside(splice_nothing, ends[1]);
    pause_us(5000);
    pid_t writer = beside(write_ten, ends[1]);
    pause_us(5000);
    CHECK_EQ(shutdown(sockets[1], SHUT_WR), 0);
    char bytes[20];
    CHECK_EQ(read(ends[0], bytes, sizeof bytes), 10);
    ends_well(splicer);
    ends_well(writer);
    close(sockets[0]);
    close(sockets[1]);
    close(ends[0]);
    close(ends[1]);
}

int main(void) {
    counts = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    sums = mmap(NULL, sizeof *sums, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    alarm(30); // a hang is a failure
    for (int i = 0; i < ROUNDS; i++) whole_records();
    long_writes(0);
    long_writes(1);
    readers_go();
    grown();
    room_given_back();
    return done("pipe_crowd");
}
