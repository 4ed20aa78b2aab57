//! stat: stat, lstat, fstat, fstatat and statx agree and tell types, sizes and inodes.
//! build: static, musl-static
#include "check.h"
#include <sys/statfs.h>
#include <sys/sysmacros.h>

int main(void) {
    scratch();
    struct stat a, b;
    put_file("f", "0123456789");
    mkdir("d", 0750);
    symlink("f", "l");
    mkfifo("p", 0600);

    CHECK_EQ(stat("f", &a), 0);
    CHECK(S_ISREG(a.st_mode) && (a.st_mode & 07777) == 0644 && a.st_size == 10 && a.st_nlink == 1);
    CHECK(a.st_uid == getuid() && a.st_gid == getgid() && a.st_ino != 0 && a.st_blksize >= 512);
    CHECK_EQ(stat("l", &b), 0);
    CHECK(a.st_ino == b.st_ino && a.st_dev == b.st_dev);
    CHECK_EQ(lstat("l", &b), 0);
    CHECK(S_ISLNK(b.st_mode) && b.st_size == 1 && b.st_ino != a.st_ino);
    CHECK_EQ(stat("d", &b), 0);
    CHECK(S_ISDIR(b.st_mode) && (b.st_mode & 07777) == 0750);
    CHECK_EQ(stat("p", &b), 0);
    CHECK(S_ISFIFO(b.st_mode));

    int fd = open("f", O_RDONLY), dir = open(".", O_RDONLY);
    CHECK_EQ(fstat(fd, &b), 0);
    CHECK(a.st_ino == b.st_ino && b.st_size == 10);
    CHECK_EQ(fstatat(dir, "l", &b, AT_SYMLINK_NOFOLLOW), 0);
    CHECK(S_ISLNK(b.st_mode));
    CHECK_EQ(fstatat(fd, "", &b, AT_EMPTY_PATH), 0);
    CHECK(a.st_ino == b.st_ino);

    CHECK_FAILS(stat("absent", &b), ENOENT);
    CHECK_FAILS(stat("f/x", &b), ENOTDIR);
    CHECK_FAILS(stat("", &b), ENOENT);
    CHECK_FAILS(fstat(77, &b), EBADF);

    // Raw, because musl has it in another header.
    struct {
        uint32_t mask, blksize;
        uint64_t attributes;
        uint32_t nlink, uid, gid;
        uint16_t mode, spare;
        uint64_t ino, size, blocks, more[28];
    } x;
    CHECK_EQ(syscall(SYS_statx, AT_FDCWD, "f", 0, 0x7ff, &x), 0);
    CHECK(x.ino == a.st_ino && x.size == 10 && x.mode == a.st_mode && x.nlink == 1);

    CHECK_EQ(stat("/", &b), 0);
    CHECK(S_ISDIR(b.st_mode) && b.st_nlink >= 2);
    CHECK_EQ(stat("/dev/null", &b), 0);
    CHECK(S_ISCHR(b.st_mode) && b.st_rdev == makedev(1, 3));

    struct statfs fs;
    CHECK_EQ(statfs("/tmp", &fs), 0);
    CHECK(fs.f_bsize >= 512 && fs.f_blocks > 0 && fs.f_bfree <= fs.f_blocks && fs.f_namelen >= 255);
    CHECK_EQ(fstatfs(fd, &fs), 0);
    return done("stat");
}
