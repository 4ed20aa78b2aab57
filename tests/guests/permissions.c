//! permissions: what a user may do to files of its own, of its groups, and of root.
//! build: static
#include "check.h"
#include <grp.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

enum { USER = 1000, GROUP = 1000, EXTRA = 3000, FOREIGN = 4000 };

static void make(const char *path, mode_t mode, uid_t uid, gid_t gid) {
    put_file(path, "text");
    CHECK(chown(path, uid, gid) == 0 && chmod(path, mode) == 0);
}

static int mode(const char *path) {
    struct stat st;
    return stat(path, &st) ? -1 : (int)(st.st_mode & 07777);
}

static int opens(const char *path, int flags) {
    int fd = open(path, flags, 0644);
    if (fd >= 0) close(fd);
    return fd < 0 ? -1 : 0;
}

/// All that root prepares.
static void prepare(void) {
    chmod(".", 0755);
    make("secret", 0600, 0, 0);
    make("readable", 0644, 0, 0);
    make("of-extra", 0640, 0, EXTRA);
    make("own", 0600, USER, GROUP);
    make("own-none", 0000, USER, GROUP);
    make("own-denied", 0077, USER, GROUP);
    make("group-denied", 0707, 0, EXTRA);
    make("foreign-group", 0644, USER, FOREIGN);
    make("set-id", 06755, USER, GROUP);
    make("set-id-2", 06755, USER, GROUP);
    make("plain", 0644, 0, 0);
    make("program", 0700, 0, 0);
    mkdir("private", 0700);
    make("private/inside", 0666, 0, 0);
    mkdir("listed", 0744); // may be listed, not searched
    make("listed/inside", 0666, 0, 0);
    mkdir("searched", 0711); // may be searched, not listed
    make("searched/inside", 0644, 0, 0);
    mkdir("sticky", 0);
    chmod("sticky", 01777);
    make("sticky/of-root", 0666, 0, 0);
    mkdir("sticky/empty", 0777);
    mkdir("inheriting", 0);
    CHECK(chown("inheriting", USER, FOREIGN) == 0 && chmod("inheriting", 02777) == 0);
    mkdir("open", 0);
    chmod("open", 0777);
    make("open/of-root", 0600, 0, 0);
}

static void reading_and_writing(void) {
    CHECK_FAILS(opens("secret", O_RDONLY), EACCES);
    CHECK_FAILS(opens("secret", O_WRONLY), EACCES);
    CHECK_EQ(opens("readable", O_RDONLY), 0);
    CHECK_FAILS(opens("readable", O_RDWR), EACCES);
    CHECK_FAILS(opens("readable", O_RDONLY | O_TRUNC), EACCES);
    CHECK_FAILS(truncate("readable", 0), EACCES);
    CHECK_EQ(opens("of-extra", O_RDONLY), 0);
    CHECK_FAILS(opens("of-extra", O_WRONLY), EACCES);
    CHECK_EQ(opens("own", O_RDWR), 0);
    CHECK_FAILS(opens("own-none", O_RDONLY), EACCES);
    // The first class that fits counts, even where a later one would allow more.
    CHECK_FAILS(opens("own-denied", O_RDONLY), EACCES);
    CHECK_FAILS(opens("group-denied", O_RDONLY), EACCES);
    CHECK_FAILS(opens("readable", O_RDONLY | O_NOATIME), EPERM);
    CHECK_EQ(opens("own", O_RDONLY | O_NOATIME), 0);
    CHECK_EQ(opens("secret", O_PATH), 0);
    CHECK_FAILS(execl("plain", "plain", NULL), EACCES);
    CHECK_FAILS(execl("program", "program", NULL), EACCES);

    struct stat st;
    CHECK_FAILS(stat("private/inside", &st), EACCES);
    CHECK_FAILS(chdir("private"), EACCES);
    CHECK_FAILS(opens("private", O_RDONLY | O_DIRECTORY), EACCES);
    CHECK_EQ(opens("listed", O_RDONLY | O_DIRECTORY), 0);
    CHECK_FAILS(stat("listed/inside", &st), EACCES);
    CHECK_FAILS(chdir("listed"), EACCES);
    CHECK_FAILS(opens("searched", O_RDONLY | O_DIRECTORY), EACCES);
    CHECK_EQ(opens("searched/inside", O_RDONLY), 0);
}

static void changing_names(void) {
    CHECK_FAILS(opens("new", O_CREAT | O_WRONLY), EACCES);
    CHECK_FAILS(mkdir("new", 0777), EACCES);
    CHECK_FAILS(symlink("own", "new"), EACCES);
    CHECK_FAILS(mkfifo("new", 0666), EACCES);
    CHECK_FAILS(link("own", "new"), EACCES);
    CHECK_FAILS(unlink("own"), EACCES);
    CHECK_FAILS(rename("own", "other"), EACCES);
    CHECK_FAILS(rmdir("open"), EACCES);
    CHECK_FAILS(opens("/etc/new-file", O_CREAT | O_WRONLY), EACCES);
    // In a directory that may be written everything may go, whose it is or not.
    CHECK_EQ(rename("open/of-root", "open/moved"), 0);
    CHECK_EQ(unlink("open/moved"), 0);
    // But not in a sticky one.
    CHECK_FAILS(unlink("sticky/of-root"), EPERM);
    CHECK_FAILS(rename("sticky/of-root", "sticky/other"), EPERM);
    CHECK_FAILS(rename("sticky/of-root", "open/other"), EPERM);
    CHECK_FAILS(rmdir("sticky/empty"), EPERM);
    CHECK_EQ(opens("sticky/own", O_CREAT | O_WRONLY | O_EXCL), 0);
    CHECK_FAILS(rename("sticky/own", "sticky/of-root"), EPERM);
    CHECK_EQ(rename("sticky/own", "sticky/own-2"), 0);
    CHECK_EQ(unlink("sticky/own-2"), 0);

    struct stat st;
    umask(027);
    CHECK_EQ(opens("inheriting/file", O_CREAT | O_WRONLY), 0);
    CHECK(stat("inheriting/file", &st) == 0 && st.st_uid == USER && st.st_gid == FOREIGN && (st.st_mode & 07777) == 0640);
    CHECK_EQ(mkdir("inheriting/dir", 0777), 0);
    CHECK(stat("inheriting/dir", &st) == 0 && st.st_gid == FOREIGN && (st.st_mode & 07777) == 02750);
    CHECK_EQ(opens("open/file", O_CREAT | O_WRONLY), 0);
    CHECK(stat("open/file", &st) == 0 && st.st_uid == USER && st.st_gid == GROUP && (st.st_mode & 07777) == 0640);
    umask(022);
    // A program that would run as a group that its maker is not in does not come about.
    int fd = open("inheriting/runs", O_CREAT | O_WRONLY, 02755);
    CHECK(fd >= 0 && fstat(fd, &st) == 0 && st.st_gid == FOREIGN && (st.st_mode & 07777) == 0755);
    close(fd);
}

static void changing_attributes(void) {
    CHECK_FAILS(chmod("readable", 0777), EPERM);
    CHECK_EQ(chmod("own", 0640), 0);
    CHECK_FAILS(chown("own", 0, -1), EPERM);
    CHECK_FAILS(chown("own", -1, FOREIGN), EPERM);
    CHECK_FAILS(chown("readable", USER, GROUP), EPERM);
    CHECK_EQ(chown("own", USER, EXTRA), 0);
    CHECK_EQ(chown("own", -1, GROUP), 0);
    CHECK_EQ(chmod("own", 06755), 0);
    CHECK_EQ(mode("own"), 06755);
    CHECK_EQ(chown("own", -1, EXTRA), 0);
    CHECK_EQ(mode("own"), 0755);
    CHECK_EQ(chmod("foreign-group", 06755), 0);
    CHECK_EQ(mode("foreign-group"), 04755); // not in its group
    CHECK_EQ(chmod("own-none", 0400), 0);
    CHECK_EQ(opens("own-none", O_RDONLY), 0);

    // Another content is another program: it does not run as its owner any more.
    int fd = open("set-id", O_WRONLY);
    CHECK_EQ(write(fd, "x", 1), 1);
    close(fd);
    CHECK_EQ(mode("set-id"), 0755);
    CHECK_EQ(truncate("set-id-2", 1), 0);
    CHECK_EQ(mode("set-id-2"), 0755);

    struct timeval times[2] = {{1, 0}, {2, 0}};
    CHECK_FAILS(utimes("readable", times), EPERM);
    CHECK_FAILS(utimes("readable", NULL), EACCES);
    CHECK_EQ(utimes("own", times), 0);
    CHECK_EQ(utimes("sticky/of-root", NULL), 0); // it may be written
    CHECK_FAILS(utimes("sticky/of-root", times), EPERM);

    CHECK_FAILS(mknod("open/null", S_IFCHR | 0666, 0x103), EPERM);
    CHECK_FAILS(chroot("."), EPERM);
    CHECK_FAILS(sethostname("x", 1), EPERM);
    gid_t none = 0;
    CHECK_FAILS(setgroups(1, &none), EPERM);
    CHECK_FAILS(syscall(SYS_setuid, 7), EPERM);
    CHECK_FAILS(syscall(SYS_setresgid, -1, FOREIGN, -1), EPERM);
}

/// access(2) asks for the real user, which is still root; AT_EACCESS for the one that acts.
static void asking(void) {
    CHECK_EQ(access("secret", R_OK | W_OK), 0);
    CHECK_EQ(access("private/inside", R_OK), 0);
    CHECK_FAILS(access("secret", X_OK), EACCES);
    CHECK_FAILS(syscall(SYS_faccessat2, AT_FDCWD, "secret", R_OK, AT_EACCESS), EACCES);
    CHECK_FAILS(syscall(SYS_faccessat2, AT_FDCWD, "private/inside", R_OK, AT_EACCESS), EACCES);
    CHECK_EQ(syscall(SYS_faccessat2, AT_FDCWD, "of-extra", R_OK, AT_EACCESS), 0);
    CHECK_FAILS(syscall(SYS_faccessat2, AT_FDCWD, "of-extra", W_OK, AT_EACCESS), EACCES);
}

int main(void) {
    umask(022);
    scratch();
    prepare();
    gid_t groups[] = {EXTRA};
    CHECK_EQ(setgroups(1, groups), 0);
    CHECK_EQ(syscall(SYS_setresgid, 0, GROUP, 0), 0);
    CHECK_EQ(syscall(SYS_setresuid, 0, USER, 0), 0);
    reading_and_writing();
    changing_names();
    asking();
    // set-ID bits and ownership rules, with a group of the user's own alone.
    changing_attributes();

    CHECK_EQ(syscall(SYS_setresuid, -1, 0, -1), 0);
    CHECK_EQ(opens("secret", O_RDWR), 0);
    CHECK_EQ(opens("private/inside", O_RDWR), 0);
    CHECK_EQ(unlink("sticky/of-root"), 0);
    CHECK_FAILS(access("secret", X_OK), EACCES); // nobody may execute it
    // Root keeps the bits when it writes, but not when it gives a file away.
    CHECK_EQ(chmod("set-id", 06755), 0);
    int fd = open("set-id", O_WRONLY);
    CHECK_EQ(write(fd, "x", 1), 1);
    CHECK_EQ(mode("set-id"), 06755);
    CHECK_EQ(fchown(fd, 7, 7), 0);
    CHECK_EQ(mode("set-id"), 0755);
    CHECK_EQ(fchmod(fd, 06755), 0);
    CHECK_EQ(fchown(fd, -1, -1), 0);
    printf("chown to nobody leaves %o\n", mode("set-id"));
    CHECK_EQ(fchmod(fd, 02745), 0);
    CHECK_EQ(fchown(fd, 8, 8), 0);
    printf("a group bit without execution is left: %o\n", mode("set-id"));
    CHECK(chown("sticky", 8, 8) == 0 && mode("sticky") == 01777); // a directory keeps its own

    CHECK_EQ(syscall(SYS_setresgid, GROUP, GROUP, GROUP), 0);
    CHECK_EQ(syscall(SYS_setresuid, USER, USER, USER), 0);
    CHECK_FAILS(syscall(SYS_setresuid, -1, 0, -1), EPERM);
    CHECK_FAILS(opens("secret", O_RDONLY), EACCES);
    CHECK_FAILS(access("secret", R_OK), EACCES);
    CHECK_FAILS(access("secret", W_OK), EACCES);
    CHECK_EQ(access("readable", R_OK), 0);
    CHECK_EQ(access("of-extra", R_OK), 0);
    CHECK_EQ(access("secret", F_OK), 0);
    CHECK_FAILS(access("private/inside", F_OK), EACCES);

    // What a user makes is its own, also where it has no name.
    int ends[2];
    char name[64];
    struct stat st;
    CHECK(pipe(ends) == 0 && fstat(ends[1], &st) == 0 && st.st_uid == USER && st.st_gid == GROUP);
    snprintf(name, sizeof name, "/proc/self/fd/%d", ends[1]);
    CHECK_EQ(opens(name, O_WRONLY), 0);
    return done("permissions");
}
