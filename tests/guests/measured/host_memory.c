//! host_memory: says in which state its memory is, and waits for a line before it
//! goes on; tests/memory.rs measures the monitor meanwhile. The first argument
//! says how memory is given back, the second in steps of how many KiB.
//! build: static
#include "../check.h"

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define PAGE 4096UL
#define BYTES (64UL << 20)

static void state(const char *what) {
    char line[16];
    puts(what);
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin)) exit(1);
}

static void give_back(const char *how, size_t step) {
    int fd = -1, advice = -1;
    if (!strcmp(how, "dontneed")) advice = MADV_DONTNEED;
    else if (!strcmp(how, "free")) advice = MADV_FREE;
    else if (!strcmp(how, "remove") || !strcmp(how, "punch")) {
        fd = (int)syscall(SYS_memfd_create, "m", 0);
        CHECK_EQ(ftruncate(fd, BYTES), 0);
        if (*how == 'r') advice = MADV_REMOVE;
    }
    char *at = mmap(0, BYTES, RW, fd < 0 ? ANON : MAP_SHARED, fd, 0);
    CHECK(at != MAP_FAILED);
    state("start");
    memset(at, 1, BYTES);
    state("touched");
    for (size_t done = 0; done < BYTES; done += step) {
        if (advice >= 0) CHECK_EQ(madvise(at + done, step, advice), 0);
        else if (fd < 0) CHECK_EQ(munmap(at + done, step), 0);
        else CHECK_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)done, (off_t)step), 0);
    }
    state("given back");
    // Whatever comes next is zero, wherever it comes from.
    char *next = mmap(0, BYTES, RW, ANON, -1, 0);
    size_t dirty = 0;
    for (size_t i = 0; i < BYTES; i += 512) dirty += next[i] != 0;
    CHECK_EQ(dirty, 0);
}

/// Half of each 128 KiB goes.
static void give_back_half(void) {
    char *at = mmap(0, BYTES, RW, ANON, -1, 0);
    state("start");
    memset(at, 1, BYTES);
    state("touched");
    for (size_t done = 0; done < BYTES; done += 128 << 10) CHECK_EQ(madvise(at + done, 64 << 10, MADV_DONTNEED), 0);
    state("given back");
    size_t wrong = 0;
    for (size_t i = 0; i < BYTES; i += 512) wrong += at[i] != (i / (64 << 10) % 2 ? 1 : 0);
    CHECK_EQ(wrong, 0);
}

/// What V8, Go, the JVM and sanitizers reserve.
static void reserve(void) {
    state("start");
    char *cage = mmap(0, 1UL << 40, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
    char *heap = mmap(0, 32UL << 30, RW, ANON | MAP_NORESERVE, -1, 0);
    char *arena = mmap((void *)0xc000000000, 512UL << 30, PROT_NONE, ANON, -1, 0);
    char *shadow = mmap((void *)0x100000000000, 20UL << 40, RW, ANON | MAP_NORESERVE | MAP_FIXED, -1, 0);
    CHECK(cage != MAP_FAILED && heap != MAP_FAILED && arena == (char *)0xc000000000 && shadow == (char *)0x100000000000);
    CHECK_EQ(madvise(shadow, 20UL << 40, MADV_NOHUGEPAGE), 0);
    CHECK_EQ(madvise(heap, 32UL << 30, MADV_NOHUGEPAGE), 0);
    CHECK_EQ(mprotect(arena, 4 << 20, RW), 0);
    CHECK_EQ(mprotect(cage + (1 << 30), 256 << 10, RW), 0);
    cage[1 << 30] = arena[12345] = 1;
    for (size_t i = 0; i < 32; i++) heap[i << 30] = shadow[i << 39] = 1;
    CHECK(heap[5UL << 30] == 1 && shadow[20UL << 39] == 1);
    CHECK_EQ(mprotect(shadow, 20UL << 40, PROT_READ), 0);
    state("touched");
    CHECK_EQ(madvise(shadow, 20UL << 40, MADV_DONTNEED), 0);
    CHECK_EQ(shadow[20UL << 39], 0);
    CHECK_EQ(munmap(shadow, 20UL << 40) | munmap(cage, 1UL << 40) | munmap(heap, 32UL << 30), 0);
    CHECK_EQ(munmap(arena, 512UL << 30), 0);
    state("given back");
}

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "";
    if (!strcmp(how, "reserve")) reserve();
    else if (!strcmp(how, "half")) give_back_half();
    else give_back(how, strtoul(argv[2], NULL, 10) << 10);
    return done("host_memory");
}
