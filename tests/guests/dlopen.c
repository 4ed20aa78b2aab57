//! dlopen: a shared library is found, loaded at run time, and its functions are called.
//! build: pie
//! options: --include /lib/x86_64-linux-gnu/libz.so.1
#include "check.h"
#include <dlfcn.h>

int main(void) {
    void *library = dlopen("libz.so.1", RTLD_NOW);
    if (!library) {
        printf("wrong: %s\n", dlerror());
        return 1;
    }
    unsigned long (*crc32)(unsigned long, const char *, unsigned) = (unsigned long (*)(unsigned long, const char *, unsigned))dlsym(library, "crc32");
    CHECK(crc32 != NULL && crc32(0, "123456789", 9) == 0xcbf43926);
    CHECK(dlsym(library, "absent") == NULL);
    CHECK_EQ(dlclose(library), 0);
    CHECK(dlopen("libabsent.so", RTLD_NOW) == NULL);
    return done("dlopen");
}
