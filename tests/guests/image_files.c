//! image_files: files of the image are read in place, and change only in memory.
//! build: static
//! options: --include /etc/debian_version --include /usr/share/common-licenses/Apache-2.0
//! native: no
#include "check.h"
#include <dirent.h>

#define LICENSE "/usr/share/common-licenses/Apache-2.0"

int main(void) {
    static char before[65536], after[65536];
    struct stat a, b;
    ssize_t bytes = get_file(LICENSE, before, sizeof before);
    CHECK(bytes > 2048);
    CHECK(stat(LICENSE, &a) == 0 && a.st_size == bytes && a.st_uid == 0 && (a.st_mode & 0777) == 0644);
    int old = open(LICENSE, O_RDONLY);
    char *mapped = mmap(NULL, (size_t)bytes, PROT_READ, MAP_SHARED, old, 0);
    CHECK(mapped != MAP_FAILED && !memcmp(mapped, before, (size_t)bytes));

    // Append, overwrite, truncate: the open file sees it, as on any file system.
    int fd = open(LICENSE, O_RDWR | O_APPEND);
    CHECK(fd >= 0);
    CHECK_EQ(write(fd, "added\n", 6), 6);
    CHECK_EQ(get_file(LICENSE, after, sizeof after), bytes + 6);
    CHECK(!memcmp(before, after, (size_t)bytes) && !strcmp(after + bytes, "added\n"));
    CHECK(fstat(old, &b) == 0 && a.st_ino == b.st_ino && b.st_size == bytes + 6);
    CHECK(stat(LICENSE, &b) == 0 && a.st_ino == b.st_ino);
    CHECK_EQ(pwrite(open(LICENSE, O_WRONLY), "#CHANGED", 8, 0), 8);
    CHECK_EQ(pread(old, after, 8, 0), 8);
    CHECK(!memcmp(after, "#CHANGED", 8));

    CHECK_EQ(rename("/etc/debian_version", "/etc/renamed"), 0);
    CHECK_FAILS(open("/etc/debian_version", O_RDONLY), ENOENT);
    CHECK(get_file("/etc/renamed", after, sizeof after) > 2);
    CHECK_EQ(chmod("/etc/renamed", 0400), 0);
    CHECK(stat("/etc/renamed", &b) == 0 && (b.st_mode & 0777) == 0400);
    CHECK_EQ(unlink("/etc/renamed"), 0);
    CHECK_EQ(link(LICENSE, "/tmp/license"), 0);
    CHECK_EQ(unlink(LICENSE), 0);
    CHECK_EQ(get_file("/tmp/license", after, sizeof after), bytes + 6);
    put_file(LICENSE, "new");
    CHECK_EQ(get_file(LICENSE, after, sizeof after), 3);

    DIR *dir = opendir("/usr/share/common-licenses"), *etc = opendir("/etc");
    int licenses = 0, gone = 0;
    for (struct dirent *e; dir && (e = readdir(dir));) licenses += !strcmp(e->d_name, "Apache-2.0");
    for (struct dirent *e; etc && (e = readdir(etc));)
        gone += !strcmp(e->d_name, "debian_version") || !strcmp(e->d_name, "renamed");
    CHECK(licenses == 1 && gone == 0);
    return done("image_files");
}
