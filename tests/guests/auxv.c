//! auxv: the auxiliary vector says what the kernel's says.
//! build: static, pie, no-pie, static-pie, musl-dynamic
#include "check.h"
#include <elf.h>
#include <sys/auxv.h>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

int main(int argc, char **argv) {
    (void)argc;
    CHECK_EQ(getauxval(AT_PAGESZ), 4096);
    CHECK_EQ(getauxval(AT_CLKTCK), 100);
    CHECK_EQ(getauxval(AT_UID), getuid());
    CHECK_EQ(getauxval(AT_EUID), geteuid());
    CHECK_EQ(getauxval(AT_GID), getgid());
    CHECK_EQ(getauxval(AT_EGID), getegid());
    CHECK_EQ(getauxval(AT_SECURE), 0);
    CHECK(getauxval(AT_HWCAP) != 0); // glibc keeps bits of its own there
    CHECK_EQ(getauxval(AT_PHENT), sizeof(Elf64_Phdr));
    CHECK(getauxval(AT_MINSIGSTKSZ) >= 512);

    const Elf64_Phdr *phdr = (const Elf64_Phdr *)getauxval(AT_PHDR);
    CHECK(phdr != NULL);
    int loads = 0;
    for (unsigned long i = 0; phdr && i < getauxval(AT_PHNUM); i++) loads += phdr[i].p_type == PT_LOAD;
    CHECK(loads >= 2);
    CHECK(getauxval(AT_ENTRY) != 0);

    const unsigned char *random = (const unsigned char *)getauxval(AT_RANDOM);
    int zeros = 0;
    for (int i = 0; random && i < 16; i++) zeros += random[i] == 0;
    CHECK(random && zeros < 8);

    const char *platform = (const char *)getauxval(AT_PLATFORM);
    CHECK(platform && !strcmp(platform, "x86_64"));
    const char *name = (const char *)getauxval(AT_EXECFN);
    CHECK(name && !strcmp(name, argv[0]));

    const unsigned char *vdso = (const unsigned char *)getauxval(AT_SYSINFO_EHDR);
    CHECK(vdso && !memcmp(vdso, ELFMAG, SELFMAG));
    // The interpreter's base is there exactly when the program asks for one.
    int interpreted = 0;
    for (unsigned long i = 0; phdr && i < getauxval(AT_PHNUM); i++) interpreted |= phdr[i].p_type == PT_INTERP;
    CHECK_EQ(getauxval(AT_BASE) != 0, interpreted);
    return done("auxv");
}
