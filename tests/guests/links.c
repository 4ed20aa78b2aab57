//! links: symbolic and hard links, readlink, unlink, and paths through links.
//! build: static
#include "check.h"

int main(void) {
    scratch();
    char got[64];
    struct stat a, b;
    put_file("file", "text");

    CHECK_EQ(symlink("file", "soft"), 0);
    CHECK_EQ(readlink("soft", got, sizeof got), 4);
    CHECK(!memcmp(got, "file", 4));
    CHECK_EQ(readlink("soft", got, 2), 2);
    CHECK_FAILS(readlink("file", got, sizeof got), EINVAL);
    CHECK_FAILS(readlink("absent", got, sizeof got), ENOENT);
    CHECK_FAILS(readlink("soft", got, 0), EINVAL);
    CHECK_FAILS(symlink("other", "soft"), EEXIST);
    CHECK_FAILS(symlink("", "empty"), ENOENT);
    CHECK_EQ(get_file("soft", got, sizeof got), 4);

    // Dangling: cannot be read, but creates its target.
    CHECK_EQ(symlink("made", "dangling"), 0);
    CHECK_FAILS(open("dangling", O_RDONLY), ENOENT);
    put_file("dangling", "via link");
    CHECK_EQ(get_file("made", got, sizeof got), 8);

    // Through directories, relative and absolute, with .. and a slash too many.
    mkdir("d", 0755);
    mkdir("d/e", 0755);
    put_file("d/e/deep", "deep");
    CHECK_EQ(symlink("d/e", "down"), 0);
    CHECK_EQ(symlink("../..", "d/e/up"), 0);
    CHECK_EQ(get_file("down/deep", got, sizeof got), 4);
    CHECK_EQ(get_file("down//up/./file", got, sizeof got), 4);
    CHECK_EQ(get_file("down/../e/deep", got, sizeof got), 4);
    char here[200], absolute[300];
    CHECK(getcwd(here, sizeof here) == here);
    snprintf(absolute, sizeof absolute, "%s/d", here);
    CHECK_EQ(symlink(absolute, "absolute"), 0);
    CHECK_EQ(get_file("absolute/e/deep", got, sizeof got), 4);

    // 40 symlinks in all, also where each has more behind it; circles end.
    char chain[32], target[32];
    CHECK_EQ(mkdir("c0", 0755), 0);
    for (int i = 1; i <= 60; i++) {
        snprintf(chain, sizeof chain, "c%d", i);
        snprintf(target, sizeof target, i % 2 ? "c%d" : "c%d/.", i - 1);
        CHECK_EQ(symlink(target, chain), 0);
    }
    CHECK_EQ(stat("c40/.", &a), 0);
    CHECK(S_ISDIR(a.st_mode) && stat("c20/../c20/.", &b) == 0 && a.st_ino == b.st_ino);
    CHECK_FAILS(stat("c41/.", &a), ELOOP);
    CHECK_FAILS(stat("c60", &a), ELOOP);
    CHECK_FAILS(stat("c21/../c20/.", &a), ELOOP); // counted along the whole path
    CHECK(symlink("circle/x", "circle") == 0 && symlink("self", "self") == 0);
    CHECK_FAILS(stat("circle/y", &a), ELOOP);
    CHECK_FAILS(stat("circle", &a), ELOOP);
    CHECK_FAILS(stat("self/y", &a), ELOOP);
    CHECK_FAILS(mkdir("c0/absent/..", 0755), ENOENT);
    CHECK(symlink("c0/absent", "nowhere") == 0);
    CHECK_FAILS(stat("nowhere/x", &a), ENOENT);
    CHECK_FAILS(stat("nowhere/..", &a), ENOENT);
    put_file("c0/plain", "x");
    CHECK(symlink("c0/plain", "to-plain") == 0);
    CHECK_FAILS(stat("to-plain/x", &a), ENOTDIR);
    CHECK_FAILS(stat("to-plain/", &a), ENOTDIR);
    CHECK_FAILS(stat("to-plain/.", &a), ENOTDIR);

    // Hard links are the same inode.
    CHECK_EQ(link("file", "hard"), 0);
    CHECK(stat("file", &a) == 0 && stat("hard", &b) == 0 && a.st_ino == b.st_ino && a.st_nlink == 2);
    put_file("hard", "changed");
    CHECK_EQ(get_file("file", got, sizeof got), 7);
    CHECK_EQ(unlink("file"), 0);
    CHECK(stat("hard", &b) == 0 && b.st_nlink == 1);
    CHECK_EQ(get_file("hard", got, sizeof got), 7);
    CHECK_FAILS(link("hard", "soft"), EEXIST);
    CHECK_FAILS(link("absent", "x"), ENOENT);
    CHECK_FAILS(link("d", "x"), EPERM);
    CHECK_EQ(linkat(AT_FDCWD, "down", AT_FDCWD, "down2", 0), 0);
    CHECK(lstat("down2", &b) == 0 && S_ISLNK(b.st_mode));

    CHECK_FAILS(open("soft", O_RDONLY), ENOENT); // its target is gone
    CHECK_EQ(unlink("soft"), 0);
    CHECK_FAILS(unlink("soft"), ENOENT);
    CHECK_FAILS(unlink("d"), EISDIR);
    CHECK_FAILS(unlink("hard/"), ENOTDIR);
    CHECK_EQ(unlinkat(AT_FDCWD, "hard", 0), 0);
    return done("links");
}
