//! cwd: chdir, fchdir, getcwd and relative paths; a removed directory is noticed.
//! build: static
#include "check.h"

int main(void) {
    char start[200], here[400], want[400];
    scratch();
    CHECK(getcwd(start, sizeof start) == start);
    CHECK(!strncmp(start, "/tmp/guest.", 11));
    CHECK_EQ(mkdir("a", 0755), 0);
    CHECK_EQ(mkdir("a/b", 0755), 0);
    CHECK_EQ(chdir("a/b/../b/."), 0);
    snprintf(want, sizeof want, "%s/a/b", start);
    CHECK(getcwd(here, sizeof here) && !strcmp(here, want));
    put_file("f", "1");
    CHECK_EQ(access("../b/f", R_OK), 0);
    CHECK_EQ(chdir(".."), 0);
    CHECK_EQ(access("b/f", R_OK), 0);

    int dir = open("b", O_RDONLY);
    CHECK_EQ(fchdir(dir), 0);
    CHECK_EQ(access("f", R_OK), 0);
    CHECK_FAILS(chdir("f"), ENOTDIR);
    CHECK_FAILS(chdir("absent"), ENOENT);
    CHECK_FAILS(fchdir(77), EBADF);
    CHECK_FAILS((getcwd(here, 3) ? 0 : -1), ERANGE);
    // The raw call counts the NUL.
    CHECK_EQ(syscall(SYS_getcwd, here, sizeof here), strlen(want) + 1);

    CHECK_EQ(symlink("/tmp", "../../t"), 0);
    CHECK_EQ(chdir("../../t"), 0);
    CHECK(getcwd(here, sizeof here) && !strcmp(here, "/tmp"));

    CHECK_EQ(chdir(start), 0);
    CHECK_EQ(rename("a", "z"), 0);
    CHECK_EQ(fchdir(dir), 0);
    snprintf(want, sizeof want, "%s/z/b", start);
    CHECK(getcwd(here, sizeof here) && !strcmp(here, want));
    CHECK_EQ(unlink("f"), 0);
    CHECK_EQ(rmdir("../b"), 0);
    CHECK_FAILS((getcwd(here, sizeof here) ? 0 : -1), ENOENT);
    CHECK_FAILS(open("f", O_CREAT | O_WRONLY, 0600), ENOENT);

    CHECK_EQ(chdir("/"), 0);
    CHECK_EQ(chdir("../../.."), 0);
    CHECK(getcwd(here, sizeof here) && !strcmp(here, "/"));
    return done("cwd");
}
