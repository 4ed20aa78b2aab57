//! mmap_file: private and shared file mappings, offsets, the zeroed tail, SIGBUS past the end.
//! build: static, pie
#include "check.h"
#include <setjmp.h>

#define RW (PROT_READ | PROT_WRITE)

static sigjmp_buf back;
static void on_bus(int signal) { siglongjmp(back, signal); }

int main(int argc, char **argv) {
    (void)argc;
    scratch();
    char page[4096], got[64];
    int fd = open("data", O_RDWR | O_CREAT, 0600);
    for (int i = 0; i < 3; i++) {
        memset(page, 'a' + i, sizeof page);
        CHECK_EQ(write(fd, page, sizeof page), 4096);
    }
    CHECK_EQ(write(fd, "tail", 4), 4);

    char *private = mmap(NULL, 4 * 4096, RW, MAP_PRIVATE, fd, 0);
    char *shared = mmap(NULL, 4 * 4096, RW, MAP_SHARED, fd, 0);
    char *second = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 2 * 4096);
    CHECK(private != MAP_FAILED && shared != MAP_FAILED && second != MAP_FAILED);
    CHECK(private[0] == 'a' && private[4096] == 'b' && second[0] == 'c' && shared[3 * 4096 + 3] == 'l');
    CHECK(shared[3 * 4096 + 4] == 0 && private[4 * 4096 - 1] == 0);

    private[1] = 'P';
    CHECK_EQ(pread(fd, got, 2, 0), 2);
    CHECK(got[1] == 'a' && shared[1] == 'a');
    shared[2 * 4096 + 1] = 'S';
    CHECK_EQ(pread(fd, got, 2, 2 * 4096), 2);
    CHECK(got[1] == 'S' && second[1] == 'S' && private[2 * 4096 + 1] == 'S');
    CHECK_EQ(pwrite(fd, "W", 1, 2 * 4096 + 2), 1);
    CHECK(shared[2 * 4096 + 2] == 'W' && second[2] == 'W');
    CHECK_EQ(msync(shared, 4 * 4096, MS_SYNC), 0);
    CHECK_EQ(close(fd), 0); // mappings outlive the descriptor
    CHECK(second[2] == 'W');

    // Past the last page of the file.
    fd = open("data", O_RDWR);
    char *beyond = mmap(NULL, 8 * 4096, RW, MAP_SHARED, fd, 0);
    signal(SIGBUS, on_bus);
    int hit = sigsetjmp(back, 1);
    if (!hit) beyond[5 * 4096] = 1;
    CHECK_EQ(hit, SIGBUS);
    CHECK_EQ(ftruncate(fd, 6 * 4096), 0);
    beyond[5 * 4096] = 'x';
    CHECK_EQ(pread(fd, got, 1, 5 * 4096), 1);
    CHECK_EQ(got[0], 'x');

    int only = open("data", O_RDONLY);
    CHECK_FAILS((long)mmap(NULL, 4096, RW, MAP_SHARED, only, 0), EACCES);
    char *cow = mmap(NULL, 4096, RW, MAP_PRIVATE, only, 0);
    cow[0] = 'Z';
    CHECK(cow[0] == 'Z' && shared[0] == 'a');
    CHECK_FAILS((long)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, only, 100), EINVAL);

    // Our own executable, from the root file system: the same bytes as read() gives.
    int self = open(argv[0], O_RDONLY);
    struct stat st;
    CHECK_EQ(fstat(self, &st), 0);
    char *image = mmap(NULL, (size_t)st.st_size, RW, MAP_PRIVATE, self, 0);
    CHECK(image != MAP_FAILED);
    int differs = 0;
    for (off_t at = 0; at < st.st_size; at += 4096) {
        ssize_t n = pread(self, page, sizeof page, at);
        differs += n <= 0 || memcmp(page, image + at, (size_t)n) != 0;
    }
    CHECK_EQ(differs, 0);
    image[5] ^= 1;
    CHECK_EQ(pread(self, page, 6, 0), 6);
    CHECK(page[5] != image[5]);
    return done("mmap_file");
}
