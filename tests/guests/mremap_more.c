//! mremap_more: DONTUNMAP, size 0 of shared mappings, several areas, in place, refusals.
//! build: static
#include "check.h"

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define PAGE 4096UL
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

static long move(void *old, size_t from, size_t to, int flags, void *where) {
    return syscall(SYS_mremap, old, from, to, flags, where);
}

int main(void) {
    scratch();
    char *a = mmap(0, 16 * PAGE, RW, ANON, -1, 0);
    CHECK_FAILS(move(a + 1, PAGE, PAGE, 0, 0), EINVAL);
    CHECK_FAILS(move(a, PAGE, 0, 0, 0), EINVAL);
    CHECK_FAILS(move(a, PAGE, PAGE, 8, 0), EINVAL);
    CHECK_FAILS(move(a, PAGE, PAGE, MREMAP_FIXED, a), EINVAL);
    CHECK_FAILS(move(a, PAGE, PAGE, MREMAP_DONTUNMAP, 0), EINVAL);
    CHECK_FAILS(move(a, PAGE, 2 * PAGE, MREMAP_DONTUNMAP | MREMAP_MAYMOVE, 0), EINVAL);
    CHECK_FAILS(move(a, 2 * PAGE, 2 * PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, a + PAGE), EINVAL);
    CHECK_FAILS(move(a, PAGE, PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, a + 8 * PAGE + 1), EINVAL);
    CHECK_FAILS(move(a, 0, PAGE, MREMAP_MAYMOVE, 0), EINVAL); // private
    CHECK_FAILS(move((void *)0x300000000000, PAGE, PAGE, MREMAP_MAYMOVE, 0), EFAULT);
    CHECK_FAILS(move(a, PAGE, 1UL << 46, MREMAP_MAYMOVE, 0), ENOMEM);

    // In place: shrinking, growing into what is free, refused where it is not.
    memset(a, 'a', 16 * PAGE);
    CHECK_EQ(move(a, 16 * PAGE, 8 * PAGE, 0, 0), (long)a);
    CHECK_EQ(move(a, 8 * PAGE, 12 * PAGE, 0, 0), (long)a);
    CHECK(a[8 * PAGE - 1] == 'a' && a[8 * PAGE] == 0);
    CHECK(mmap(a + 12 * PAGE, PAGE, PROT_NONE, ANON | MAP_FIXED, -1, 0) == a + 12 * PAGE);
    CHECK_FAILS(move(a, 12 * PAGE, 13 * PAGE, 0, 0), ENOMEM);
    CHECK_FAILS(move(a, 4 * PAGE, 5 * PAGE, 0, 0), ENOMEM); // its own rest is in the way
    CHECK_FAILS(move(a, 13 * PAGE, 14 * PAGE, MREMAP_MAYMOVE, 0), EFAULT); // two areas

    // No memory is that large, also where only its end is to go.
    CHECK_FAILS(move(a, 1UL << 63, PAGE, MREMAP_MAYMOVE, 0), EINVAL);
    CHECK_FAILS(move(a, 1UL << 47, PAGE, 0, 0), EINVAL);

    // Moving takes the contents along.
    char *b = (char *)move(a, 12 * PAGE, 20 * PAGE, MREMAP_MAYMOVE, 0);
    CHECK(b != a && b[0] == 'a' && b[8 * PAGE - 1] == 'a' && b[19 * PAGE] == 0);
    unsigned char there;
    CHECK_FAILS(mincore(a, PAGE, &there), ENOMEM);
    char *fixed = mmap(0, 32 * PAGE, RW, ANON, -1, 0);
    fixed[0] = 'f';
    CHECK_EQ(move(b, 20 * PAGE, 4 * PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, fixed), (long)fixed);
    CHECK(fixed[0] == 'a' && fixed[4 * PAGE - 1] == 'a' && fixed[4 * PAGE] == 0);
    CHECK_FAILS(mincore(b + 8 * PAGE, PAGE, &there), ENOMEM);

    // DONTUNMAP leaves an empty mapping behind.
    char *kept = (char *)move(fixed, 2 * PAGE, 2 * PAGE, MREMAP_DONTUNMAP | MREMAP_MAYMOVE, 0);
    CHECK((long)kept != -1 && kept != fixed);
    CHECK(kept[0] == 'a' && kept[2 * PAGE - 1] == 'a');
    CHECK(fixed[0] == 0 && fixed[2 * PAGE - 1] == 0 && fixed[2 * PAGE] == 'a');
    fixed[0] = 'n';
    CHECK(kept[0] == 'a');

    // Large pages, whole and in parts.
    size_t large = 8UL << 20;
    char *big = mmap(0, large, RW, ANON, -1, 0);
    for (size_t at = 0; at < large; at += PAGE) big[at] = (char)(at / PAGE % 251);
    char *moved = (char *)move(big, large, large + PAGE, MREMAP_MAYMOVE, 0);
    int differs = (long)moved == -1;
    for (size_t at = 0; !differs && at < large; at += PAGE) differs += moved[at] != (char)(at / PAGE % 251);
    CHECK_EQ(differs, 0);
    char *part = (char *)move(moved + PAGE, 3UL << 20, 3UL << 20, MREMAP_DONTUNMAP | MREMAP_MAYMOVE, 0);
    CHECK((long)part != -1);
    for (size_t at = 0; at < 3UL << 20; at += PAGE) differs += part[at] != (char)((at / PAGE + 1) % 251) || moved[PAGE + at] != 0;
    CHECK_EQ(differs, 0);
    CHECK_EQ(moved[(3UL << 20) + PAGE], (char)((3 << 8) + 1) % 251 == 0 ? 0 : (char)(((3 << 8) + 1) % 251));

    // Size 0 doubles a shared mapping, of anonymous memory and of a file.
    int fd = open("data", O_RDWR | O_CREAT, 0600);
    CHECK_EQ(ftruncate(fd, 4 * PAGE), 0);
    char *shared = mmap(0, 4 * PAGE, RW, MAP_SHARED, fd, 0);
    char *twin = (char *)move(shared + PAGE, 0, 2 * PAGE, MREMAP_MAYMOVE, 0);
    CHECK((long)twin != -1);
    twin[0] = 't';
    CHECK_EQ(shared[PAGE], 't');
    CHECK_FAILS(move(shared, 0, PAGE, 0, 0), ENOMEM);
    // A file mapping that moves and grows goes on in the file.
    shared[3 * PAGE] = 'z';
    char *grown = (char *)move(shared, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE, 0);
    CHECK((long)grown != -1 && grown[PAGE] == 't' && grown[3 * PAGE] == 'z');

    // remap_file_pages: pages in another order.
    CHECK_EQ(syscall(SYS_remap_file_pages, grown, PAGE, 0L, 3L, 0L), 0);
    CHECK_EQ(grown[0], 'z');
    CHECK_FAILS(syscall(SYS_remap_file_pages, kept, PAGE, 0L, 0L, 0L), EINVAL);
    CHECK_FAILS(syscall(SYS_remap_file_pages, grown, PAGE, 1L, 0L, 0L), EINVAL);
    return done("mremap_more");
}
