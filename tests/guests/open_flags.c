//! open_flags: O_* flags, and the errno of paths that cannot be opened.
//! build: static
#include "check.h"

int main(void) {
    scratch();
    char got[16], name[5000], part[300];
    put_file("file", "text");
    mkdir("dir", 0755);
    symlink("loop", "loop");
    symlink("file", "link");

    CHECK_FAILS(open("absent", O_RDONLY), ENOENT);
    CHECK_FAILS(open("absent/deeper", O_RDONLY | O_CREAT, 0600), ENOENT);
    CHECK_FAILS(open("file/deeper", O_RDONLY), ENOTDIR);
    CHECK_FAILS(open("file/", O_RDONLY), ENOTDIR);
    CHECK_FAILS(open("dir", O_WRONLY), EISDIR);
    CHECK_FAILS(open("dir", O_RDWR), EISDIR);
    CHECK_FAILS(open("file", O_RDONLY | O_CREAT | O_EXCL, 0600), EEXIST);
    CHECK_FAILS(open("file", O_RDONLY | O_DIRECTORY), ENOTDIR);
    CHECK_FAILS(open("link", O_RDONLY | O_NOFOLLOW), ELOOP);
    CHECK_FAILS(open("loop", O_RDONLY), ELOOP);
    CHECK_FAILS(open("", O_RDONLY), ENOENT);
    memset(part, 'n', 256);
    part[256] = 0;
    CHECK_FAILS(open(part, O_RDONLY), ENAMETOOLONG);
    memset(name, '/', sizeof name - 1);
    name[sizeof name - 1] = 0;
    CHECK_FAILS(open(name, O_RDONLY), ENAMETOOLONG);

    int fd = open("file", O_WRONLY | O_TRUNC);
    CHECK_EQ(lseek(fd, 0, SEEK_END), 0);
    CHECK_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_WRONLY);
    CHECK_EQ(fcntl(fd, F_GETFD), 0);
    CHECK_FAILS(read(fd, got, 1), EBADF);
    CHECK_EQ(close(fd), 0);
    CHECK_FAILS(close(fd), EBADF);

    fd = open("file", O_RDONLY | O_CLOEXEC);
    CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    CHECK_FAILS(write(fd, "x", 1), EBADF);
    close(fd);

    // O_PATH names a file without opening it.
    fd = open("file", O_PATH);
    struct stat st;
    CHECK(fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode));
    CHECK_FAILS(read(fd, got, 1), EBADF);
    close(fd);
    fd = open("link", O_PATH | O_NOFOLLOW);
    CHECK(fd >= 0 && fstat(fd, &st) == 0 && S_ISLNK(st.st_mode));
    close(fd);

    // openat from a directory, and .. out of it.
    int dir = open("dir", O_RDONLY | O_DIRECTORY);
    fd = openat(dir, "inner", O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0 && access("dir/inner", F_OK) == 0);
    close(fd);
    fd = openat(dir, "../link", O_RDONLY);
    CHECK(fd >= 0);
    CHECK_FAILS(openat(fd, "x", O_RDONLY), ENOTDIR);
    CHECK_FAILS(openat(77, "x", O_RDONLY), EBADF);
    CHECK(openat(77, "/", O_RDONLY) >= 0);
    CHECK_FAILS(read(dir, got, 1), EISDIR);

    int temporary = open(".", O_TMPFILE | O_RDWR, 0600);
    if (temporary >= 0) CHECK_EQ(write(temporary, "x", 1), 1);
    else CHECK(errno == EOPNOTSUPP || errno == EISDIR);

    // The running program is not written.
    CHECK_FAILS(open("/proc/self/exe", O_WRONLY), ETXTBSY);
    CHECK_FAILS(open("/proc/self/exe", O_RDWR), ETXTBSY);
    CHECK_FAILS(truncate("/proc/self/exe", 0), ETXTBSY);

    // The lowest free number is taken.
    close(dir);
    CHECK_EQ(open("/dev/null", O_RDONLY), dir);
    return done("open_flags");
}
