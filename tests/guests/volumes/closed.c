//! Closes files and waits to be killed.
//! build: static
//! native: no
#include "../check.h"

int main(int argc, char **argv) {
    if (chdir(argc > 1 ? argv[1] : "/data")) return 1;
    char name[16];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "f%d", i);
        put_file(name, name);
    }
    puts("ready");
    fflush(stdout);
    for (;;) pause();
}
