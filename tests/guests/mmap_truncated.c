//! mmap_truncated: files that change under their mappings: cut, punched, written, copied up.
//! build: static
#include "check.h"
#include <setjmp.h>

#define RW (PROT_READ | PROT_WRITE)
#define PAGE 4096L
#define TOUCH(where) (sigsetjmp(back, 1) ? SIGBUS : ((void)*(volatile char *)(where), 0))
#define STORE(where) (sigsetjmp(back, 1) ? SIGBUS : ((void)(*(volatile char *)(where) = 1), 0))

static sigjmp_buf back;
static void on_bus(int signal) { siglongjmp(back, signal); }

static void cut(const char *name, int fd) {
    char page[PAGE], got[8];
    for (int i = 0; i < 4; i++) {
        memset(page, 'a' + i, sizeof page);
        CHECK_EQ(pwrite(fd, page, PAGE, i * PAGE), PAGE);
    }
    char *shared = mmap(0, 4 * PAGE, RW, MAP_SHARED, fd, 0);
    char *private = mmap(0, 4 * PAGE, RW, MAP_PRIVATE, fd, 0);
    CHECK(shared != MAP_FAILED && private != MAP_FAILED);
    private[2 * PAGE] = 'P'; // a copy, which goes with the file's page
    private[0] = 'Q';        // and one that stays
    CHECK(shared[3 * PAGE] == 'd' && private[3 * PAGE] == 'd');
    CHECK_EQ(ftruncate(fd, PAGE + 10), 0);
    CHECK_EQ(TOUCH(shared + PAGE), 0);
    CHECK_EQ(TOUCH(shared + 2 * PAGE), SIGBUS);
    CHECK_EQ(STORE(shared + 3 * PAGE), SIGBUS);
    CHECK_EQ(TOUCH(private + 2 * PAGE), SIGBUS);
    CHECK_EQ(TOUCH(private + 3 * PAGE), SIGBUS);
    CHECK(private[0] == 'Q' && shared[0] == 'a');
    CHECK(shared[PAGE + 9] == 'b' && shared[PAGE + 10] == 0 && private[PAGE + 10] == 0);
    // Larger again: zeros.
    CHECK_EQ(ftruncate(fd, 4 * PAGE), 0);
    CHECK(shared[PAGE + 10] == 0 && shared[2 * PAGE] == 0 && private[2 * PAGE] == 0 && private[3 * PAGE] == 0);
    shared[2 * PAGE] = 'n';
    CHECK_EQ(pread(fd, got, 1, 2 * PAGE), 1);
    CHECK_EQ(got[0], 'n');
    // A hole takes the file's pages, not the copies of private mappings.
    private[3 * PAGE] = 'C';
    shared[3 * PAGE] = 'h';
    CHECK_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * PAGE, 2 * PAGE), 0);
    CHECK(shared[2 * PAGE] == 0 && shared[3 * PAGE] == 0 && private[3 * PAGE] == 'C');
    shared[2 * PAGE] = 'i';
    CHECK_EQ(pread(fd, got, 1, 2 * PAGE), 1);
    CHECK_EQ(got[0], 'i');
    // write() shows in both, but for copies.
    CHECK_EQ(pwrite(fd, "w", 1, PAGE), 1);
    CHECK(shared[PAGE] == 'w' && private[PAGE] == 'w' && private[0] == 'Q');
    CHECK_EQ(madvise(private, PAGE, MADV_DONTNEED), 0);
    CHECK_EQ(private[0], 'a');
    CHECK_EQ(munmap(shared, 4 * PAGE) | munmap(private, 4 * PAGE), 0);
    printf("%s\n", name);
}

int main(int argc, char **argv) {
    (void)argc;
    scratch();
    signal(SIGBUS, on_bus);
    cut("file", open("data", O_RDWR | O_CREAT, 0600));
    cut("memfd", (int)syscall(SYS_memfd_create, "cut", 0));

    // A file of the image: mapped, then written by somebody, which needs a copy of it.
    char self[4096], first[16];
    CHECK(realpath(argv[0], self));
    char beside[4200];
    snprintf(beside, sizeof beside, "%s.copy", self);
    int source = open(self, O_RDONLY);
    struct stat st;
    CHECK_EQ(fstat(source, &st), 0);
    char *image = mmap(0, (size_t)st.st_size, PROT_READ, MAP_SHARED, source, 0);
    char *private = mmap(0, (size_t)st.st_size, RW, MAP_PRIVATE, source, 0);
    CHECK(image != MAP_FAILED && private != MAP_FAILED);
    CHECK(!memcmp(image, "\177ELF", 4) && !memcmp(private + PAGE, image + PAGE, PAGE));
    private[2 * PAGE] ^= 1;
    // Natively the file itself is busy; the image's own file is another one here.
    int target = open("/etc/hostname", O_RDWR);
    if (target >= 0) close(target);
    CHECK_EQ(pread(source, first, 4, 0), 4);
    CHECK(!memcmp(first, image, 4));
    return done("mmap_truncated");
}
