//! capabilities: capset drops, capget and /proc/self/status tell, and nothing comes back but by execve.
//! build: static
#include "check.h"
#include <linux/capability.h>

struct sets {
    uint64_t effective, permitted, inheritable;
};

static struct sets get(void) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    CHECK_EQ(syscall(SYS_capget, &header, data), 0);
    return (struct sets){data[0].effective | (uint64_t)data[1].effective << 32, data[0].permitted | (uint64_t)data[1].permitted << 32,
                         data[0].inheritable | (uint64_t)data[1].inheritable << 32};
}

static int set(struct sets s) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{(uint32_t)s.effective, (uint32_t)s.permitted, (uint32_t)s.inheritable},
                                             {(uint32_t)(s.effective >> 32), (uint32_t)(s.permitted >> 32), (uint32_t)(s.inheritable >> 32)}};
    return (int)syscall(SYS_capset, &header, data);
}

static uint64_t row(const char *name) {
    static char text[8192];
    get_file("/proc/self/status", text, sizeof text);
    char *at = strstr(text, name);
    return at ? strtoull(at + strlen(name) + 2, NULL, 16) : ~0UL;
}

int main(int argc, char **argv) {
    struct sets all = get(), now;
    if (argc > 1) { // after execve
        CHECK(all.permitted == strtoull(argv[1], NULL, 16) && all.effective == all.permitted);
        return done("capabilities");
    }
    if (getuid() != 0) return 1;
    CHECK(all.effective == all.permitted && all.permitted >> CAP_CHOWN & 1 && all.inheritable == 0);
    CHECK(row("CapEff") == all.effective && row("CapPrm") == all.permitted);

    const uint64_t chroot_bit = 1UL << CAP_SYS_CHROOT, chown_bit = 1UL << CAP_CHOWN;
    // Effective ones can be put aside and taken up again.
    CHECK_EQ(set((struct sets){all.effective & ~chown_bit, all.permitted, 0}), 0);
    CHECK_EQ(row("CapEff"), all.effective & ~chown_bit);
    CHECK_EQ(set((struct sets){all.effective, all.permitted, chown_bit}), 0);
    now = get();
    CHECK(now.effective == all.effective && now.inheritable == chown_bit && row("CapInh") == chown_bit);
    // Permitted ones are gone for good.
    CHECK_FAILS(set((struct sets){all.effective, all.permitted & ~chroot_bit, 0}), EPERM);
    CHECK_EQ(set((struct sets){all.effective & ~chroot_bit, all.permitted & ~chroot_bit, 0}), 0);
    now = get();
    CHECK(now.effective == (all.effective & ~chroot_bit) && now.permitted == now.effective && now.inheritable == 0);
    CHECK_FAILS(set(all), EPERM);
    CHECK_EQ(row("CapPrm"), all.permitted & ~chroot_bit);
    // An effective user that is not root has none in effect; root again has what is permitted.
    CHECK_EQ(seteuid(1000), 0);
    now = get();
    CHECK(now.effective == 0 && now.permitted == (all.permitted & ~chroot_bit));
    CHECK_EQ(seteuid(0), 0);
    CHECK_EQ(get().effective, all.effective & ~chroot_bit);
    char text[32];
    snprintf(text, sizeof text, "%llx", (unsigned long long)all.permitted);
    fflush(stdout);
    char *arguments[] = {argv[0], text, NULL}, *none[] = {NULL};
    execve(argv[0], arguments, none);
    CHECK(!"execve");
    return 1;
}
