//! proc_self: /proc/self tells the truth about this program.
//! build: static, pie
//! args: one|two words
//! env: GUEST_COLOUR=blue
#include "check.h"
#include <dirent.h>
#include <elf.h>
#include <sys/auxv.h>
#include <sys/prctl.h>

static char text[65536];
static int in_data = 1;

/// Permissions of the mapping that holds `p`, from /proc/self/maps.
static const char *permissions(const void *p) {
    static char found[8];
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned long from, to;
    char line[600], perms[8];
    found[0] = 0;
    while (maps && fgets(line, sizeof line, maps))
        if (sscanf(line, "%lx-%lx %4s", &from, &to, perms) == 3 && (unsigned long)p >= from && (unsigned long)p < to)
            strcpy(found, perms);
    if (maps) fclose(maps);
    return found;
}

int main(int argc, char **argv) {
    CHECK_EQ(argc, 3);
    char want[600];
    ssize_t n = readlink("/proc/self/exe", text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    CHECK(!strcmp(text, argv[0]));
    int exe = open("/proc/self/exe", O_RDONLY);
    CHECK(exe >= 0 && read(exe, text, 4) == 4 && !memcmp(text, "\177ELF", 4));

    int len = snprintf(want, sizeof want, "%s%cone%ctwo words%c", argv[0], 0, 0, 0);
    CHECK_EQ(get_file("/proc/self/cmdline", text, sizeof text), len);
    CHECK(!memcmp(text, want, (size_t)len));
    n = get_file("/proc/self/environ", text, sizeof text);
    CHECK(n > 0 && memmem(text, (size_t)n, "GUEST_COLOUR=blue", 18));

    uint64_t entry = 0;
    n = get_file("/proc/self/auxv", text, sizeof text);
    for (const Elf64_auxv_t *a = (Elf64_auxv_t *)(void *)text; (char *)a < text + n; a++)
        if (a->a_type == AT_ENTRY) entry = a->a_un.a_val;
    CHECK_EQ(entry, getauxval(AT_ENTRY));

    int on_stack = 0;
    CHECK(!strcmp(permissions((void *)(uintptr_t)&main), "r-xp"));
    CHECK(!strcmp(permissions(&in_data), "rw-p"));
    CHECK(!strcmp(permissions(&on_stack), "rw-p"));
    CHECK(permissions((void *)0x10)[0] == 0);
    char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(!strcmp(permissions(page), "r--p"));
    munmap(page, 4096);
    CHECK(permissions(page)[0] == 0);
    get_file("/proc/self/maps", text, sizeof text);
    CHECK(strstr(text, argv[0]) != NULL);
    CHECK(strstr(text, "[stack]") != NULL);
    CHECK(strstr(text, "[vdso]") != NULL);

    CHECK_EQ(prctl(PR_SET_NAME, "renamed"), 0);
    CHECK(prctl(PR_GET_NAME, want) == 0 && !strcmp(want, "renamed"));
    CHECK(get_file("/proc/self/comm", text, sizeof text) == 8 && !strcmp(text, "renamed\n"));
    get_file("/proc/self/status", text, sizeof text);
    CHECK(strstr(text, "Name:\trenamed\n") && strstr(text, "\nVmRSS:") && strstr(text, "\nThreads:\t1\n"));
    snprintf(want, sizeof want, "\nPid:\t%d\n", getpid());
    CHECK(strstr(text, want) && strstr(text, "\nUid:\t0\t0\t0\t0\n"));
    get_file("/proc/self/stat", text, sizeof text);
    snprintf(want, sizeof want, "%d (renamed) R ", getpid());
    CHECK(!strncmp(text, want, strlen(want)));
    int fields = 1;
    for (char *c = text; *c; c++) fields += *c == ' ';
    CHECK_EQ(fields, 52);
    long pages[3] = {0};
    get_file("/proc/self/statm", text, sizeof text);
    CHECK(sscanf(text, "%ld %ld %ld", &pages[0], &pages[1], &pages[2]) == 3 && pages[1] > 0);

    int fd = open("/proc/self/cmdline", O_RDONLY);
    snprintf(want, sizeof want, "/proc/self/fd/%d", fd);
    n = readlink(want, text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    CHECK(strstr(text, "/cmdline") != NULL);
    DIR *fds = opendir("/proc/self/fd");
    int found = 0;
    for (struct dirent *e; fds && (e = readdir(fds));) found += atoi(e->d_name) == fd;
    CHECK_EQ(found, 1);
    snprintf(want, sizeof want, "/proc/%d/exe", getpid());
    CHECK(readlink(want, text, sizeof text) > 0);
    CHECK(get_file("/proc/self/mounts", text, sizeof text) > 0 && strstr(text, " / "));
    CHECK_FAILS(open("/proc/self/absent", O_RDONLY), ENOENT);
    CHECK_FAILS(open("/proc/999999999/stat", O_RDONLY), ENOENT);
    return done("proc_self");
}
