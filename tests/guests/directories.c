//! directories: mkdir, rmdir, listing with d_type, rewinding, and many entries.
//! build: static, musl-static
#include "check.h"
#include <dirent.h>

static int count(const char *path, int type) {
    DIR *dir = opendir(path);
    int n = 0;
    for (struct dirent *e; dir && (e = readdir(dir));)
        n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..") && (!type || e->d_type == type);
    if (dir) closedir(dir);
    return n;
}

int main(void) {
    scratch();
    char name[300];
    struct stat st;
    CHECK_EQ(mkdir("d", 0755), 0);
    CHECK_FAILS(mkdir("d", 0755), EEXIST);
    CHECK_FAILS(mkdir("absent/x", 0755), ENOENT);
    CHECK_EQ(mkdir("d/e/", 0755), 0);
    put_file("d/f", "");
    symlink("f", "d/l");
    CHECK_EQ(count("d", 0), 3);
    CHECK_EQ(count("d", DT_DIR), 1);
    CHECK_EQ(count("d", DT_REG), 1);
    CHECK_EQ(count("d", DT_LNK), 1);
    CHECK(stat("d", &st) == 0 && st.st_nlink == 3);
    CHECK_FAILS(rmdir("d"), ENOTEMPTY);
    CHECK_FAILS(rmdir("d/f"), ENOTDIR);
    CHECK_FAILS(rmdir("absent"), ENOENT);
    CHECK_FAILS(rmdir("."), EINVAL);

    for (int i = 0; i < 1500; i++) {
        snprintf(name, sizeof name, "d/e/file-number-%d", i);
        close(open(name, O_CREAT | O_WRONLY, 0600));
    }
    CHECK_EQ(count("d/e", DT_REG), 1500);

    // Removing while listing loses nothing; rewinding starts over.
    DIR *dir = opendir("d/e");
    int seen = 0;
    for (struct dirent *e; (e = readdir(dir));)
        if (e->d_name[0] != '.') {
            seen++;
            CHECK_EQ(unlinkat(dirfd(dir), e->d_name, 0), 0);
        }
    CHECK_EQ(seen, 1500);
    rewinddir(dir);
    int left = 0;
    while (readdir(dir)) left++;
    CHECK_EQ(left, 2);
    closedir(dir);
    CHECK_EQ(count("d/e", 0), 0);

    // telldir and seekdir.
    dir = opendir("d");
    readdir(dir);
    long at = telldir(dir);
    struct dirent *second = readdir(dir);
    snprintf(name, sizeof name, "%s", second->d_name);
    readdir(dir);
    seekdir(dir, at);
    second = readdir(dir);
    CHECK(second && !strcmp(second->d_name, name));
    closedir(dir);

    CHECK_EQ(rmdir("d/e"), 0);
    CHECK_FAILS((opendir("d/e") ? 0 : -1), ENOENT);
    CHECK_FAILS((opendir("d/f") ? 0 : -1), ENOTDIR);
    CHECK_FAILS(rmdir("/"), EBUSY);
    CHECK(count("/", DT_DIR) >= 3);
    CHECK(count("/proc", 0) >= 5 && count("/dev", 0) >= 5);
    return done("directories");
}
