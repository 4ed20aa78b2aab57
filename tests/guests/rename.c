//! rename: files and directories move, replace, exchange, and refuse as POSIX says.
//! build: static
#include "check.h"

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE 2
#endif

int main(void) {
    scratch();
    char got[64];
    struct stat st;
    put_file("a", "A");
    put_file("b", "BB");
    mkdir("d", 0755);
    mkdir("full", 0755);
    put_file("full/x", "X");

    CHECK_EQ(rename("a", "c"), 0);
    CHECK_EQ(access("a", F_OK), -1);
    CHECK_EQ(rename("c", "b"), 0);
    CHECK_EQ(get_file("b", got, sizeof got), 1);
    CHECK_EQ(rename("b", "d/b"), 0);
    CHECK_EQ(get_file("d/b", got, sizeof got), 1);
    CHECK_EQ(rename("d/b", "d/b"), 0);

    CHECK_FAILS(rename("absent", "x"), ENOENT);
    CHECK_FAILS(rename("d/b", "full"), EISDIR);
    put_file("plain", "");
    CHECK_FAILS(rename("d", "plain"), ENOTDIR);
    CHECK_FAILS(rename("d", "full"), ENOTEMPTY);
    CHECK_FAILS(rename("d", "d/inside"), EINVAL);
    mkdir("empty", 0755);
    CHECK_EQ(rename("full", "empty"), 0);
    CHECK_EQ(get_file("empty/x", got, sizeof got), 1);
    CHECK_EQ(access("full", F_OK), -1);

    // An open file follows its inode, not its name.
    int fd = open("empty/x", O_RDWR);
    CHECK_EQ(rename("empty/x", "moved"), 0);
    CHECK_EQ(pwrite(fd, "Y", 1, 0), 1);
    get_file("moved", got, sizeof got);
    CHECK_EQ(got[0], 'Y');

    CHECK_FAILS(syscall(SYS_renameat2, AT_FDCWD, "moved", AT_FDCWD, "d/b", RENAME_NOREPLACE), EEXIST);
    CHECK_EQ(syscall(SYS_renameat2, AT_FDCWD, "moved", AT_FDCWD, "new", RENAME_NOREPLACE), 0);
    CHECK_EQ(syscall(SYS_renameat2, AT_FDCWD, "new", AT_FDCWD, "d", RENAME_EXCHANGE), 0);
    CHECK(stat("new", &st) == 0 && S_ISDIR(st.st_mode) && stat("d", &st) == 0 && S_ISREG(st.st_mode));
    return done("rename");
}
