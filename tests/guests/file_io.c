//! file_io: read, write, seek, append, truncate, holes, and a file that was unlinked.
//! build: static, musl-static
#include "check.h"

int main(void) {
    scratch();
    char got[64] = {0};
    struct stat st;
    int fd = open("f", O_RDWR | O_CREAT | O_EXCL, 0640);
    CHECK(fd >= 0);
    CHECK_EQ(write(fd, "hello, world", 12), 12);
    CHECK_EQ(lseek(fd, 0, SEEK_CUR), 12);
    CHECK_EQ(lseek(fd, -5, SEEK_END), 7);
    CHECK_EQ(read(fd, got, sizeof got), 5);
    CHECK(!memcmp(got, "world", 5));
    CHECK_EQ(read(fd, got, sizeof got), 0);
    CHECK_EQ(lseek(fd, 7, SEEK_SET), 7);
    CHECK_EQ(write(fd, "there", 5), 5);
    CHECK_FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
    CHECK_FAILS(lseek(fd, 0, 77), EINVAL);

    // A hole reads as zeros.
    CHECK_EQ(lseek(fd, 1 << 20, SEEK_SET), 1 << 20);
    CHECK_EQ(write(fd, "end", 3), 3);
    CHECK_EQ(fstat(fd, &st), 0);
    CHECK_EQ(st.st_size, (1 << 20) + 3);
    CHECK_EQ(pread(fd, got, 4, 500000), 4);
    CHECK(!got[0] && !got[3]);

    // Truncated bytes are gone, and zero when the file grows again.
    CHECK_EQ(ftruncate(fd, 5), 0);
    CHECK_EQ(ftruncate(fd, 10), 0);
    CHECK_EQ(pread(fd, got, 20, 0), 10);
    CHECK(!memcmp(got, "hello\0\0\0\0\0", 10));
    CHECK_EQ(truncate("f", 3), 0);
    CHECK_EQ(get_file("f", got, sizeof got), 3);
    CHECK_FAILS(ftruncate(fd, -1), EINVAL);
    CHECK_FAILS(truncate("absent", 1), ENOENT);

    int append = open("f", O_WRONLY | O_APPEND);
    CHECK_EQ(lseek(append, 0, SEEK_SET), 0);
    CHECK_EQ(write(append, "++", 2), 2);
    CHECK_EQ(get_file("f", got, sizeof got), 5);
    CHECK(!strcmp(got, "hel++"));
    CHECK_FAILS(read(append, got, 1), EBADF);

    CHECK_EQ(fsync(fd), 0);
    CHECK_EQ(fdatasync(fd), 0);
    CHECK_EQ(fallocate(fd, 0, 0, 8192) == 0 || errno == EOPNOTSUPP, 1);
    CHECK_EQ(ftruncate(fd, 5), 0);

    // Without its name the file lives on.
    CHECK_EQ(unlink("f"), 0);
    CHECK_EQ(pread(fd, got, 5, 0), 5);
    CHECK_EQ(fstat(fd, &st), 0);
    CHECK_EQ(st.st_nlink, 0);
    CHECK_EQ(access("f", F_OK), -1);

    // 8 MiB, checked after the fact.
    int big = open("big", O_RDWR | O_CREAT, 0600);
    unsigned *block = malloc(1 << 16);
    for (unsigned b = 0; b < 128; b++) {
        for (unsigned i = 0; i < 1 << 14; i++) block[i] = b << 14 | i;
        CHECK_EQ(write(big, block, 1 << 16), 1 << 16);
    }
    int bad = 0;
    lseek(big, 0, SEEK_SET);
    for (unsigned b = 0; b < 128; b++) {
        CHECK_EQ(read(big, block, 1 << 16), 1 << 16);
        for (unsigned i = 0; i < 1 << 14; i++) bad += block[i] != (b << 14 | i);
    }
    CHECK_EQ(bad, 0);

    FILE *stream = fopen("lines", "w+");
    for (int i = 0; i < 1000; i++) fprintf(stream, "line %d\n", i);
    rewind(stream);
    int lines = 0;
    while (fgets(got, sizeof got, stream)) lines++;
    CHECK_EQ(lines, 1000);
    CHECK_EQ(fclose(stream), 0);
    return done("file_io");
}
