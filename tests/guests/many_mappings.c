//! many_mappings: 65,530 areas and no more; the guest is well afterwards.
//! build: static
#include "check.h"

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define PAGE 4096UL

int main(void) {
    static char *at[70000];
    // Neighbours differ, so that each is an area of its own.
    int count = 0;
    while (count < 70000) {
        at[count] = mmap(0, PAGE, count % 2 ? PROT_READ : PROT_NONE, ANON, -1, 0);
        if (at[count] == MAP_FAILED) break;
        count++;
    }
    CHECK_EQ(errno, ENOMEM);
    CHECK(count > 65000 && count <= 65530);
    // Cutting an area in three would make two more.
    char *wide = at[100];
    CHECK_EQ(munmap(at[200], PAGE) | munmap(at[300], PAGE), 0);
    char *three = mmap(0, 3 * PAGE, PROT_READ | PROT_WRITE, ANON, -1, 0);
    CHECK(three != MAP_FAILED);
    while (mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) {}
    CHECK_FAILS(munmap(three + PAGE, PAGE), ENOMEM);
    CHECK_FAILS(mprotect(three + PAGE, PAGE, PROT_READ), ENOMEM);
    three[2 * PAGE] = 1;
    CHECK_EQ(munmap(wide, PAGE), 0);
    for (int i = 0; i < count; i++)
        if (i != 100 && i != 200 && i != 300) munmap(at[i], PAGE);
    char *large = mmap(0, 64 << 20, PROT_READ | PROT_WRITE, ANON, -1, 0);
    CHECK(large != MAP_FAILED);
    large[64 << 19] = 1;
    CHECK_EQ(munmap(three + PAGE, PAGE), 0);
    return done("many_mappings");
}
