//! metadata: chmod, chown, utimensat, access and umask; permission bits refuse nobody but root.
//! build: static
#include "check.h"
#include <sys/xattr.h>

int main(void) {
    scratch();
    struct stat st;
    put_file("f", "x");
    CHECK_EQ(chmod("f", 04751), 0);
    CHECK(stat("f", &st) == 0 && (st.st_mode & 07777) == 04751);
    int fd = open("f", O_RDWR);
    CHECK_EQ(fchmod(fd, 0600), 0);
    CHECK(fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0600);
    CHECK_EQ(fchmodat(AT_FDCWD, "f", 0644, 0), 0);
    CHECK_FAILS(chmod("absent", 0600), ENOENT);

    CHECK_EQ(chown("f", 1234, 5678), 0);
    CHECK(stat("f", &st) == 0 && st.st_uid == 1234 && st.st_gid == 5678);
    CHECK_EQ(fchown(fd, (uid_t)-1, 9), 0);
    CHECK(stat("f", &st) == 0 && st.st_uid == 1234 && st.st_gid == 9);
    symlink("f", "l");
    CHECK_EQ(lchown("l", 7, 7), 0);
    CHECK(stat("f", &st) == 0 && st.st_uid == 1234 && lstat("l", &st) == 0 && st.st_uid == 7);

    struct timespec times[2] = {{1000000000, 123456789}, {1100000000, 987654321}};
    CHECK_EQ(utimensat(AT_FDCWD, "f", times, 0), 0);
    CHECK_EQ(stat("f", &st), 0);
    CHECK(st.st_atim.tv_sec == 1000000000 && st.st_mtim.tv_sec == 1100000000);
    CHECK_EQ(st.st_mtim.tv_nsec, 987654321);
    times[0].tv_nsec = UTIME_OMIT;
    times[1].tv_nsec = UTIME_NOW;
    CHECK_EQ(futimens(fd, times), 0);
    CHECK_EQ(stat("f", &st), 0);
    CHECK(st.st_atim.tv_sec == 1000000000 && st.st_mtim.tv_sec > 1600000000);
    struct timespec before = st.st_mtim;
    CHECK_EQ(write(fd, "y", 1), 1);
    CHECK_EQ(stat("f", &st), 0);
    CHECK(st.st_mtim.tv_sec >= before.tv_sec && st.st_ctim.tv_sec >= before.tv_sec);

    CHECK_EQ(access("f", R_OK | W_OK), 0);
    CHECK_FAILS(access("f", X_OK), EACCES); // not even for root
    CHECK_EQ(chmod("f", 0100), 0);
    CHECK_EQ(access("f", X_OK), 0);
    CHECK_FAILS(access("absent", F_OK), ENOENT);
    CHECK_FAILS(access("f", 99), EINVAL);
    CHECK_EQ(faccessat(AT_FDCWD, "f", R_OK, AT_EACCESS), 0);

    CHECK_EQ(umask(027), 022);
    CHECK_EQ(umask(027), 027);
    close(open("masked", O_CREAT | O_WRONLY, 0666));
    CHECK(stat("masked", &st) == 0 && (st.st_mode & 07777) == 0640);
    mkdir("masked-dir", 0777);
    CHECK(stat("masked-dir", &st) == 0 && (st.st_mode & 07777) == 0750);

    char value[16];
    errno = 0;
    ssize_t got = getxattr("f", "user.absent", value, sizeof value);
    CHECK(got == -1 && (errno == ENODATA || errno == EOPNOTSUPP));
    return done("metadata");
}
