//! Opens `d/secret` again and again until `stop` appears, and says what it read.
//! build: static
//! native: no
#include "../check.h"

int main(int argc, char **argv) {
    if (chdir(argc > 1 ? argv[1] : "/data")) return 1;
    puts("ready");
    fflush(stdout);
    long inside = 0, outside = 0, failed = 0;
    while (access("stop", F_OK)) {
        char got[64];
        if (get_file("d/secret", got, sizeof got) < 0) failed++;
        else if (!strcmp(got, "inside")) inside++;
        else outside++;
    }
    printf("inside %s, outside %ld, failed %s\n", inside ? "some" : "none", outside, failed ? "some" : "none");
    return outside != 0;
}
