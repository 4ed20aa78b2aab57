//! rwf_and_ranges: preadv2 and pwritev2 with RWF_APPEND, RWF_NOWAIT; splice with NONBLOCK; fallocate's
//! COLLAPSE_RANGE, INSERT_RANGE, ZERO_RANGE, in files and under mappings.
//! build: static
#include "check.h"
#include <sys/uio.h>
#include <linux/falloc.h>

#define PAGE 4096L
enum { NOWAIT = 8, APPEND = 16, MOVE = 1, NONBLOCK = 2 };

/// First bytes of the pages of a file.
static void pages(int fd, const char *want) {
    struct stat st;
    char got[64] = "", byte;
    CHECK_EQ(fstat(fd, &st), 0);
    for (long i = 0; i < st.st_size / PAGE && i < 60; i++) {
        CHECK_EQ(pread(fd, &byte, 1, i * PAGE), 1);
        got[i] = byte ? byte : '.';
    }
    if (strcmp(got, want)) WRONG("pages are %s, wanted %s", got, want);
}

static int letters(const char *name, const char *text) {
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
    static char page[PAGE];
    for (long i = 0; text[i]; i++) {
        memset(page, text[i], sizeof page);
        CHECK_EQ(pwrite(fd, page, sizeof page, i * PAGE), PAGE);
    }
    return fd;
}

int main(void) {
    scratch();
    char got[64] = "";
    struct iovec one = {"XY", 2}, in = {got, 4};

    int fd = open("f", O_RDWR | O_CREAT, 0600);
    CHECK_EQ(write(fd, "0123456789", 10), 10);
    CHECK_EQ(lseek(fd, 4, SEEK_SET), 4);
    CHECK_EQ(pwritev2(fd, &one, 1, 0, APPEND), 2); // at the end, whatever the offset
    CHECK_EQ(lseek(fd, 0, SEEK_CUR), 4);
    CHECK_EQ(pwritev2(fd, &one, 1, -1, APPEND), 2);
    CHECK_EQ(lseek(fd, 0, SEEK_CUR), 14);
    CHECK_EQ(pwritev2(fd, &one, 1, 1, 0), 2);
    CHECK_EQ(pread(fd, got, 20, 0), 14);
    CHECK(!memcmp(got, "0XY3456789XYXY", 14));
    CHECK_EQ(preadv2(fd, &in, 1, 2, NOWAIT), 4);
    CHECK(!memcmp(got, "Y345", 4));
    CHECK_FAILS(preadv2(fd, &in, 1, -2, 0), EINVAL);

    int p[2];
    CHECK_EQ(pipe(p), 0);
    CHECK_FAILS(preadv2(p[0], &in, 1, -1, NOWAIT), EAGAIN);
    CHECK_FAILS(preadv2(p[0], &in, 1, 0, NOWAIT), ESPIPE);
    CHECK_EQ(write(p[1], "pipe", 4), 4);
    CHECK_EQ(preadv2(p[0], &in, 1, -1, NOWAIT), 4);
    CHECK(!memcmp(got, "pipe", 4));
    // A pipe that was spliced takes no RWF_NOWAIT any more.
    CHECK_FAILS(splice(p[0], NULL, fd, NULL, 4, NONBLOCK), EAGAIN);
    CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
    CHECK_EQ(splice(fd, NULL, p[1], NULL, 3, NONBLOCK | MOVE), 3);
    CHECK_EQ(read(p[0], got, 9), 3);
    CHECK(!memcmp(got, "0XY", 3));

    fd = letters("ranges", "abcdefgh");
    CHECK_FAILS(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 1, PAGE), EINVAL);
    CHECK_FAILS(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, PAGE + 1), EINVAL);
    CHECK_FAILS(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 6 * PAGE, 2 * PAGE), EINVAL); // to the end
    CHECK_FAILS(fallocate(fd, FALLOC_FL_INSERT_RANGE, 8 * PAGE, PAGE), EINVAL);       // at the end
    CHECK_FAILS(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_KEEP_SIZE, 0, PAGE), EOPNOTSUPP);
    char *shared = mmap(NULL, 12 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(shared[2 * PAGE] == 'c' && shared[7 * PAGE] == 'h');
    CHECK_EQ(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, PAGE, 2 * PAGE), 0);
    pages(fd, "adefgh");
    CHECK(shared[PAGE] == 'd' && shared[5 * PAGE] == 'h');
    CHECK_EQ(fallocate(fd, FALLOC_FL_INSERT_RANGE, 3 * PAGE, 3 * PAGE), 0);
    pages(fd, "ade...fgh");
    CHECK(shared[3 * PAGE] == 0 && shared[6 * PAGE] == 'f' && shared[8 * PAGE] == 'h');
    shared[4 * PAGE] = 'm';
    pages(fd, "ade.m.fgh");
    CHECK_EQ(fallocate(fd, FALLOC_FL_ZERO_RANGE, PAGE, PAGE), 0);
    CHECK_EQ(fallocate(fd, FALLOC_FL_ZERO_RANGE, 9 * PAGE, PAGE), 0); // past the end: larger
    CHECK_EQ(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 10 * PAGE, PAGE), 0);
    pages(fd, "a.e.m.fgh.");
    CHECK_EQ(shared[PAGE], 0);
    CHECK_FAILS(fallocate(open("ranges", O_RDONLY), 0, 0, 1), EBADF);
    CHECK_FAILS(fallocate(p[1], 0, 0, 1), ESPIPE);

    // Across the 64 pages that are kept together.
    char text[200];
    for (int i = 0; i < 199; i++) text[i] = (char)('A' + i % 26);
    text[199] = 0;
    fd = letters("long", text);
    CHECK_EQ(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 60 * PAGE, 70 * PAGE), 0);
    int differs = 0;
    for (long i = 0; i < 129; i++) {
        CHECK_EQ(pread(fd, got, 1, i * PAGE), 1);
        differs += got[0] != text[i < 60 ? i : i + 70];
    }
    CHECK_EQ(differs, 0);
    CHECK_EQ(fallocate(fd, FALLOC_FL_INSERT_RANGE, 60 * PAGE, 70 * PAGE), 0);
    for (long i = 0; i < 199; i++) {
        CHECK_EQ(pread(fd, got, 1, i * PAGE), 1);
        differs += got[0] != (i < 60 || i >= 130 ? text[i] : 0);
    }
    CHECK_EQ(differs, 0);
    return done("rwf_and_ranges");
}
