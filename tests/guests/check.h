//! What every guest shares: CHECK says what was wrong, done() gives the verdict,
//! scratch() makes an empty directory to work in. Programs print the same natively.
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static int wrong_count;

#define WRONG(...) \
    (wrong_count++, printf("wrong: %s:%d: ", __FILE__, __LINE__), printf(__VA_ARGS__), (void)putchar('\n'))

/// `cond` holds.
#define CHECK(cond) \
    do { \
        if (!(cond)) WRONG("%s (errno %d)", #cond, errno); \
    } while (0)

/// The two integers are equal.
#define CHECK_EQ(got, want) \
    do { \
        long long got_ = (long long)(got), want_ = (long long)(want); \
        if (got_ != want_) WRONG("%s = %lld, wanted %lld (errno %d)", #got, got_, want_, errno); \
    } while (0)

/// The call returns -1 with this errno.
#define CHECK_FAILS(call, want) \
    do { \
        errno = 0; \
        long long got_ = (long long)(call); \
        if (got_ != -1 || errno != (want)) WRONG("%s = %lld errno %d, wanted errno %d", #call, got_, errno, (want)); \
    } while (0)

/// Changes into a new empty directory below /tmp.
static inline void scratch(void) {
    char name[] = "/tmp/guest.XXXXXX";
    if (!mkdtemp(name) || chdir(name)) {
        perror("scratch directory below /tmp");
        exit(1);
    }
}

/// Writes `text` to a new file.
static inline void put_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) WRONG("cannot write %s", path);
    close(fd);
}

/// Reads a whole file into `buffer` and ends it with NUL; returns its bytes or -1.
static inline ssize_t get_file(const char *path, char *buffer, size_t room) {
    int fd = open(path, O_RDONLY);
    size_t have = 0;
    ssize_t n = fd < 0 ? -1 : 0;
    while (fd >= 0 && have < room - 1 && (n = read(fd, buffer + have, room - 1 - have)) > 0) have += (size_t)n;
    if (fd >= 0) close(fd);
    buffer[have] = 0;
    return n < 0 ? -1 : (ssize_t)have;
}

/// Prints the verdict; what main returns.
static inline int done(const char *name) {
    if (wrong_count) printf("%d wrong in %s\n", wrong_count, name);
    else printf("ok %s\n", name);
    fflush(stdout);
    return wrong_count != 0;
}
