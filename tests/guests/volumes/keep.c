//! Writes files in every way and leaves them to be looked at from outside: by write,
//! at the end, by a shared mapping that is synced, unmapped, or just left.
//! build: static
//! native: no
#include "../check.h"

static char *map(const char *name, int *fd) {
    *fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK_EQ(ftruncate(*fd, 8192), 0);
    char *at = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    CHECK(at != MAP_FAILED);
    return at;
}

int main(int argc, char **argv) {
    if (chdir(argc > 1 ? argv[1] : "/data")) return 1;
    put_file("written", "by write");
    int fd = open("appended", O_WRONLY | O_CREAT | O_APPEND, 0640);
    CHECK_EQ(write(fd, "one ", 4), 4);
    CHECK_EQ(pwrite(fd, "two", 3, 0), 3);
    CHECK_EQ(fsync(fd), 0);
    CHECK_EQ(fdatasync(fd), 0);
    close(fd);
    int dir = open(".", O_RDONLY | O_DIRECTORY);
    CHECK_EQ(fsync(dir), 0);
    CHECK_EQ(syncfs(dir), 0);

    char *at = map("synced", &fd);
    memcpy(at + 4094, "span", 4);
    CHECK_EQ(msync(at, 8192, MS_SYNC), 0);
    char got[8] = "";
    CHECK_EQ(pread(fd, got, 4, 4094), 4);
    CHECK(!strcmp(got, "span"));
    // What write changes, the mapping shows; what the mapping changes, read shows.
    CHECK_EQ(pwrite(fd, "W", 1, 4094), 1);
    CHECK_EQ(at[4094], 'W');
    at[4095] = 'M';
    CHECK_EQ(pread(fd, got, 4, 4094), 4);
    CHECK(!strcmp(got, "WMan"));

    at = map("unmapped", &fd);
    close(fd);
    memcpy(at, "gone", 4);
    CHECK_EQ(munmap(at, 8192), 0);

    at = map("left", &fd);
    memcpy(at + 8188, "last", 4);

    fd = open(".", O_RDWR | O_TMPFILE, 0600);
    CHECK(fd >= 0);
    CHECK_EQ(write(fd, "named", 5), 5);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    CHECK_EQ(linkat(AT_FDCWD, path, AT_FDCWD, "linked", AT_SYMLINK_FOLLOW), 0);
    CHECK_FAILS(mknod("device", S_IFCHR | 0600, 0x103), EPERM);
    CHECK_EQ(mkfifo("fifo", 0600), 0);
    CHECK_EQ(symlink("written", "symlink"), 0);
    return done("keep");
}
