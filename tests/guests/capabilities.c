//! capabilities: root's powers one by one: dropped, kept across users and programs, given up.
//! build: static
#include "check.h"
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>

static struct __user_cap_data_struct data[2];

static int get(void) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    return (int)syscall(SYS_capget, &header, data);
}

static int set(void) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    return (int)syscall(SYS_capset, &header, data);
}

static int effective(int capability) {
    get();
    return data[capability / 32].effective >> capability % 32 & 1;
}

static int permitted(int capability) {
    get();
    return data[capability / 32].permitted >> capability % 32 & 1;
}

static int opens(const char *path) {
    int fd = open(path, O_RDONLY);
    if (fd >= 0) close(fd);
    return fd < 0 ? -1 : 0;
}

static int next(const char *stage) {
    char count[16];
    snprintf(count, sizeof count, "%d", wrong_count);
    fflush(stdout);
    execl("/proc/self/exe", "capabilities", stage, count, NULL);
    WRONG("execl: errno %d", errno);
    return done("capabilities");
}

static void keep_only(unsigned set_effective, unsigned set_permitted, unsigned set_inheritable) {
    memset(data, 0, sizeof data);
    data[0].effective = set_effective;
    data[0].permitted = set_permitted;
    data[0].inheritable = set_inheritable;
    CHECK_EQ(set(), 0);
}

#define BIT(capability) (1u << (capability))

int main(int argc, char **argv) {
    const char *stage = argc > 1 ? argv[1] : "root";
    if (argc > 2) wrong_count = atoi(argv[2]);
    if (!strcmp(stage, "root")) {
        scratch();
        chmod(".", 0755);
        put_file("of-7", "x");
        CHECK(chown("of-7", 7, 7) == 0 && chmod("of-7", 0600) == 0);
        put_file("of-root", "x");
        chmod("of-root", 0600);
        CHECK(effective(CAP_CHOWN) && effective(CAP_DAC_OVERRIDE) && effective(CAP_SETUID) && effective(CAP_MKNOD));
        CHECK_EQ(prctl(PR_CAPBSET_READ, CAP_CHOWN), 1);
        CHECK_FAILS(prctl(PR_CAPBSET_READ, 63), EINVAL);
        CHECK_EQ(mknod("null", S_IFCHR | 0600, 0x103), 0);
        int fd = open("null", O_RDWR);
        CHECK(fd >= 0 && write(fd, "x", 1) == 1 && read(fd, argv, 1) == 0);

        // Root without its override is bound by the bits as everybody is.
        get();
        data[0].effective &= ~BIT(CAP_DAC_OVERRIDE) & ~BIT(CAP_DAC_READ_SEARCH);
        CHECK_EQ(set(), 0);
        CHECK_FAILS(opens("of-7"), EACCES);
        CHECK_EQ(opens("of-root"), 0);
        CHECK_EQ(chmod("of-7", 0644), 0); // another power
        CHECK_EQ(opens("of-7"), 0);
        CHECK_EQ(chmod("of-7", 0600), 0);
        get();
        data[0].effective |= BIT(CAP_DAC_OVERRIDE);
        CHECK_EQ(set(), 0);
        CHECK_EQ(opens("of-7"), 0);
        get();
        data[0].effective &= ~BIT(CAP_CHOWN);
        data[0].permitted &= ~BIT(CAP_CHOWN);
        CHECK_EQ(set(), 0);
        CHECK_FAILS(chown("of-root", 9, 9), EPERM);
        data[0].effective |= BIT(CAP_CHOWN);
        data[0].permitted |= BIT(CAP_CHOWN);
        CHECK_FAILS(set(), EPERM); // gone is gone
        return next("again");
    }
    if (!strcmp(stage, "again")) {
        // A program of root's gets all that is not dropped from the bounding set.
        CHECK(effective(CAP_CHOWN));
        CHECK_EQ(prctl(PR_CAPBSET_DROP, CAP_CHOWN), 0);
        CHECK_EQ(prctl(PR_CAPBSET_READ, CAP_CHOWN), 0);
        CHECK(effective(CAP_CHOWN));
        return next("bounded");
    }
    if (!strcmp(stage, "bounded")) {
        CHECK(!effective(CAP_CHOWN) && !permitted(CAP_CHOWN) && effective(CAP_DAC_OVERRIDE));
        // The effective user takes the effective set along, and brings it back.
        CHECK_EQ(syscall(SYS_setresuid, -1, 1000, -1), 0);
        CHECK(!effective(CAP_DAC_OVERRIDE) && permitted(CAP_DAC_OVERRIDE));
        CHECK_FAILS(opens("of-7"), EACCES);
        CHECK_EQ(syscall(SYS_setresuid, -1, 0, -1), 0);
        CHECK(effective(CAP_DAC_OVERRIDE));
        syscall(SYS_setfsuid, 1000);
        CHECK(!effective(CAP_DAC_OVERRIDE) && effective(CAP_SETUID));
        syscall(SYS_setfsuid, 0);
        CHECK(effective(CAP_DAC_OVERRIDE));
        CHECK_FAILS(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0), EPERM); // not inheritable

        // As servers do it: another user that keeps one power.
        CHECK_EQ(prctl(PR_SET_KEEPCAPS, 1), 0);
        CHECK_EQ(setgroups(0, NULL), 0);
        CHECK(syscall(SYS_setresgid, 1000, 1000, 1000) == 0 && syscall(SYS_setresuid, 1000, 1000, 1000) == 0);
        CHECK(!effective(CAP_DAC_OVERRIDE) && permitted(CAP_DAC_OVERRIDE));
        unsigned kept = BIT(CAP_DAC_OVERRIDE) | BIT(CAP_NET_BIND_SERVICE);
        keep_only(kept, kept, BIT(CAP_NET_BIND_SERVICE));
        CHECK_EQ(opens("of-7"), 0);
        CHECK_FAILS(chmod("of-7", 0644), EPERM);
        CHECK_FAILS(syscall(SYS_setuid, 0), EPERM);
        CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0), 0);
        CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_NET_BIND_SERVICE, 0, 0), 1);
        CHECK_FAILS(prctl(PR_CAPBSET_DROP, CAP_KILL), EPERM);
        return next("user");
    }
    // What is ambient reaches the next program, nothing else does.
    CHECK(effective(CAP_NET_BIND_SERVICE) && !permitted(CAP_DAC_OVERRIDE));
    CHECK_EQ(prctl(PR_GET_KEEPCAPS), 0);
    CHECK_FAILS(opens("of-7"), EACCES);
    char text[8192];
    CHECK(get_file("/proc/self/status", text, sizeof text) > 0);
    CHECK(strstr(text, "\nCapEff:\t0000000000000400\n") && strstr(text, "\nCapAmb:\t0000000000000400\n"));
    CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), 0);
    keep_only(0, 0, 0);
    CHECK(!effective(CAP_NET_BIND_SERVICE));
    CHECK_FAILS(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0), EPERM);
    return done("capabilities");
}
