//! What first touches of anonymous memory cost.

#include <sys/mman.h>

#include "report.h"

enum { PAGE_BYTES = 4096, HUGE_BYTES = 2 << 20 };

static char *map(size_t bytes)
{
    void *place = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(place != MAP_FAILED, "mmap");
    return place;
}

static void touch(char *place, size_t bytes, size_t step)
{
    for (size_t offset = 0; offset < bytes; offset += step)
        ((volatile char *)place)[offset] = 1;
}

/// Mappings as malloc makes them for medium blocks: mapped, used, given back.
static void small_mappings(void)
{
    enum { COUNT = 200, PAGES = 64 };
    const uint64_t start = now_ns();
    for (int i = 0; i < COUNT; i++) {
        char *place = map(PAGES * PAGE_BYTES);
        touch(place, PAGES * PAGE_BYTES, PAGE_BYTES);
        munmap(place, PAGES * PAGE_BYTES);
    }
    report("touch_4k_small_mappings", start, COUNT * PAGES);
}

/// Every page of one large mapping, with whatever page size the system picks.
static void large_mapping(void)
{
    const size_t bytes = 32 * HUGE_BYTES;
    char *place = map(bytes);
    const uint64_t start = now_ns();
    touch(place, bytes, PAGE_BYTES);
    report("touch_4k_large_mapping", start, bytes / PAGE_BYTES);
    munmap(place, bytes);
}

/// One byte in each 2 MiB of a mapping that asked for huge pages.
static void huge_pages(void)
{
    const size_t bytes = 32 * HUGE_BYTES;
    char *place = map(bytes + HUGE_BYTES);
    char *aligned = place + (-(uintptr_t)place & (HUGE_BYTES - 1));
    madvise(aligned, bytes, MADV_HUGEPAGE);
    const uint64_t start = now_ns();
    touch(aligned, bytes, HUGE_BYTES);
    report("touch_2m_huge_pages", start, bytes / HUGE_BYTES);
    munmap(place, bytes + HUGE_BYTES);
}

int main(void)
{
    small_mappings();
    large_mapping();
    huge_pages();
    return 0;
}
