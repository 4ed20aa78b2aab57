//! mapped_copy_up: a file of the image that is mapped, then written: mappings show what read() shows.
//! build: static
//! options: --include /usr/include/stdio.h
//! native: no
#include "check.h"
#include <setjmp.h>

#define RW (PROT_READ | PROT_WRITE)
#define PAGE 4096L

static sigjmp_buf back;
static void on_bus(int signal) { siglongjmp(back, signal); }

static const char NAME[] = "/usr/include/stdio.h";

int main(void) {
    int reader = open(NAME, O_RDONLY);
    struct stat before, after;
    CHECK_EQ(fstat(reader, &before), 0);
    CHECK(before.st_size > 5 * PAGE);
    size_t bytes = (size_t)before.st_size;
    char *shared = mmap(0, bytes, PROT_READ, MAP_SHARED, reader, 0);
    char *private = mmap(0, bytes, RW, MAP_PRIVATE, reader, 0);
    char *untouched = mmap(0, bytes, PROT_READ, MAP_PRIVATE, reader, 0);
    CHECK(shared != MAP_FAILED && private != MAP_FAILED && untouched != MAP_FAILED);
    long last = 2 * PAGE;
    char old = shared[last + 7], next = shared[last + PAGE];
    CHECK(private[last + 7] == old && untouched[last + 7] == old);
    private[last] = 'P';

    int writer = open(NAME, O_RDWR);
    CHECK(writer >= 0);
    char fresh = (char)~old, got;
    CHECK_EQ(pwrite(writer, &fresh, 1, last + 7), 1);
    CHECK_EQ(pread(reader, &got, 1, last + 7), 1);
    CHECK_EQ(got, fresh);
    CHECK_EQ(shared[last + 7], fresh);
    CHECK_EQ(untouched[last + 7], fresh);
    CHECK(private[last] == 'P' && private[last + 7] == old); // a copy is a copy
    CHECK_EQ(fstat(reader, &after), 0);
    CHECK(before.st_ino == after.st_ino && before.st_dev == after.st_dev);

    // Through a writable shared mapping.
    char *both = mmap(0, bytes, RW, MAP_SHARED, writer, 0);
    CHECK(both != MAP_FAILED && both[last + 7] == fresh);
    CHECK_EQ(untouched[last + PAGE], next);
    both[last + PAGE] = (char)~next;
    CHECK_EQ(shared[last + PAGE], (char)~next);
    CHECK_EQ(untouched[last + PAGE], (char)~next);
    CHECK_EQ(pread(reader, &got, 1, last + PAGE), 1);
    CHECK_EQ(got, (char)~next);

    // Cut off: the last page of the image's file too.
    signal(SIGBUS, on_bus);
    char tail = shared[last + 2 * PAGE];
    CHECK_EQ(tail, untouched[last + 2 * PAGE]);
    CHECK_EQ(ftruncate(writer, last + 2 * PAGE), 0);
    int hit = sigsetjmp(back, 1);
    if (!hit) got = *(volatile char *)(shared + last + 2 * PAGE);
    CHECK_EQ(hit, SIGBUS);
    CHECK_EQ(shared[last + 7], fresh);
    CHECK_EQ(ftruncate(writer, (off_t)bytes), 0);
    CHECK_EQ(shared[last + 2 * PAGE], 0);
    // After the size changed, pages of the image are still told of.
    old = shared[last - PAGE];
    fresh = (char)~old;
    CHECK_EQ(pwrite(writer, &fresh, 1, last - PAGE), 1);
    CHECK(shared[last - PAGE] == fresh && untouched[last - PAGE] == fresh && both[last - PAGE] == fresh);
    return done("mapped_copy_up");
}
