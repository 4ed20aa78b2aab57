//! setuid_exec: programs that run as their owner, and when they do not.
//! build: static
#include "check.h"
#include <grp.h>
#include <sys/auxv.h>
#include <sys/prctl.h>

/// Copies this program, with an owner and a mode.
static void copy_self(const char *to, uid_t uid, gid_t gid, mode_t mode) {
    int in = open("/proc/self/exe", O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0700);
    static char block[65536];
    ssize_t n;
    while ((n = read(in, block, sizeof block)) > 0) CHECK_EQ(write(out, block, (size_t)n), n);
    close(in);
    close(out);
    CHECK(chown(to, uid, gid) == 0 && chmod(to, mode) == 0);
}

static void check_users(unsigned real, unsigned effective, unsigned saved, int secure) {
    uid_t r, e, s;
    CHECK(getresuid(&r, &e, &s) == 0 && r == real && e == effective && s == saved);
    CHECK_EQ(getauxval(AT_SECURE), secure);
    CHECK_EQ(getauxval(AT_EUID), effective);
    CHECK_EQ(getauxval(AT_UID), real);
}

static void check_groups(unsigned real, unsigned effective, unsigned saved) {
    gid_t r, e, s;
    CHECK(getresgid(&r, &e, &s) == 0 && r == real && e == effective && s == saved);
}

static int next(const char *program, const char *stage, int wrong) {
    char count[16];
    snprintf(count, sizeof count, "%d", wrong);
    fflush(stdout);
    execl(program, program, stage, count, NULL);
    WRONG("cannot execute %s (errno %d)", program, errno);
    return done("setuid_exec");
}

int main(int argc, char **argv) {
    const char *stage = argc > 1 ? argv[1] : "root";
    if (argc > 2) wrong_count = atoi(argv[2]);
    if (!strcmp(stage, "root")) {
        scratch();
        chmod(".", 0755);
        copy_self("plain", 0, 0, 0755);
        copy_self("as-1234", 1234, 0, 04755);
        copy_self("as-group", 0, 4321, 02755);
        copy_self("no-group", 0, 4321, 02745); // without group execution it is no set-group-ID program
        copy_self("as-root", 0, 0, 04755);
        CHECK_EQ(setgroups(0, NULL), 0);
        CHECK(setresgid(1000, 1000, 1000) == 0 && setresuid(1000, 1000, 1000) == 0);
        return next("./plain", "plain", wrong_count);
    }
    if (!strcmp(stage, "plain")) {
        check_users(1000, 1000, 1000, 0);
        return next("./as-group", "group", wrong_count);
    }
    if (!strcmp(stage, "group")) {
        check_users(1000, 1000, 1000, 1);
        check_groups(1000, 4321, 4321);
        CHECK_EQ(setgid(1000), 0);
        return next("./no-group", "no-group", wrong_count);
    }
    if (!strcmp(stage, "no-group")) {
        check_groups(1000, 1000, 1000);
        check_users(1000, 1000, 1000, 0);
        return next("./as-1234", "1234", wrong_count);
    }
    if (!strcmp(stage, "1234")) {
        check_users(1000, 1234, 1234, 1);
        check_groups(1000, 1000, 1000);
        CHECK_FAILS(syscall(SYS_setresuid, -1, 0, -1), EPERM);
        // The effective user goes on, and is saved anew.
        CHECK_EQ(syscall(SYS_setresuid, -1, 1000, -1), 0);
        return next("./plain", "back", wrong_count);
    }
    if (!strcmp(stage, "back")) {
        check_users(1000, 1000, 1000, 0);
        CHECK_FAILS(syscall(SYS_setresuid, -1, 1234, -1), EPERM);
        return next("./as-root", "as-root", wrong_count);
    }
    if (!strcmp(stage, "as-root")) {
        check_users(1000, 0, 0, 1);
        CHECK_EQ(chown("plain", 7, 7), 0); // it is root
        CHECK_EQ(syscall(SYS_setresuid, -1, 1000, 1000), 0);
        CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        return next("./as-root", "no-new", wrong_count);
    }
    check_users(1000, 1000, 1000, 0);
    char text[8192];
    CHECK(get_file("/proc/self/status", text, sizeof text) > 0 && strstr(text, "\nNoNewPrivs:\t1\n"));
    return done("setuid_exec");
}
