//! attributes: extended attributes, file locks, memory residency, splice and O_TMPFILE's link.
//! build: static
#include "check.h"
#include <sys/file.h>
#include <sys/xattr.h>

int main(void) {
    scratch();
    char got[64];
    put_file("f", "text");
    int fd = open("f", O_RDWR);
    if (setxattr("f", "user.colour", "blue", 4, 0) == 0) {
        CHECK_EQ(getxattr("f", "user.colour", NULL, 0), 4);
        CHECK(fgetxattr(fd, "user.colour", got, sizeof got) == 4 && !memcmp(got, "blue", 4));
        CHECK_FAILS(getxattr("f", "user.colour", got, 2), ERANGE);
        CHECK_FAILS(setxattr("f", "user.colour", "red", 3, XATTR_CREATE), EEXIST);
        CHECK_FAILS(setxattr("f", "user.absent", "red", 3, XATTR_REPLACE), ENODATA);
        CHECK(listxattr("f", got, sizeof got) == 12 && !strcmp(got, "user.colour"));
        CHECK_EQ(removexattr("f", "user.colour"), 0);
        CHECK_FAILS(getxattr("f", "user.colour", got, sizeof got), ENODATA);
    } else {
        CHECK_EQ(errno, EOPNOTSUPP); // a file system without them
    }

    CHECK_EQ(flock(fd, LOCK_EX | LOCK_NB), 0);
    CHECK_EQ(flock(fd, LOCK_UN), 0);
    CHECK_FAILS(flock(77, LOCK_SH), EBADF);

    unsigned char resident[4] = {0};
    char *p = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK_EQ(mlock(p, 4096), 0);
    p[8192] = 1;
    CHECK_EQ(mincore(p, 4 * 4096, resident), 0);
    CHECK((resident[0] & 1) && (resident[2] & 1));
    CHECK_EQ(munlock(p, 4096), 0);
    CHECK_FAILS(mincore(p + 1, 4096, resident), EINVAL);

    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    off_t offset = 1;
    CHECK_EQ(splice(fd, &offset, ends[1], NULL, 3, 0), 3);
    CHECK(read(ends[0], got, 3) == 3 && !memcmp(got, "ext", 3) && offset == 4);

    CHECK_EQ(mkdir("root", 0755), 0);
    put_file("root/inside", "x");
    CHECK_EQ(chroot("root"), 0);
    CHECK_EQ(chdir("/"), 0);
    CHECK_EQ(access("/inside", F_OK), 0);
    CHECK_EQ(access("/../../f", F_OK), -1);
    return done("attributes");
}
