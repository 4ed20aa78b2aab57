//! sparse_mappings: pages of a file far from each other need a page table each; more of
//! those fit than the guest's first memory holds.
//! build: static
#include "check.h"

#define COUNT 3000
#define STEP (2UL << 20)

int main(void) {
    int fd = open("/proc/self/exe", O_RDONLY);
    CHECK(fd >= 0);
    char *place = mmap(0, (COUNT + 1) * STEP, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(place != MAP_FAILED);
    int read_well = 0;
    for (int i = 0; i < COUNT; i++) {
        char *page = mmap(place + i * STEP, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0);
        if (page == MAP_FAILED) break;
        read_well += !memcmp(page, "\177ELF", 4);
    }
    CHECK_EQ(read_well, COUNT);
    CHECK_EQ(munmap(place, (COUNT + 1) * STEP), 0);
    return done("sparse_mappings");
}
