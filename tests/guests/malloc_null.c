//! malloc_null: an allocation beyond the limit answers NULL, and the program goes on.
//! build: static, musl-static
//! options: --memory 64M
//! native: no
#include "check.h"

int main(void) {
    errno = 0;
    CHECK(malloc(1ul << 40) == NULL && errno == ENOMEM);
    CHECK(calloc(1ul << 30, 1024) == NULL);
    // Reserving is free, and what was freed can be had again.
    for (int round = 0; round < 40; round++) {
        char *p = malloc(24 << 20);
        CHECK(p != NULL);
        if (p) memset(p, round, 24 << 20);
        free(p);
    }
    for (int round = 0; round < 200; round++) {
        void *small[100];
        for (int i = 0; i < 100; i++) small[i] = memset(malloc((size_t)(1000 * i + 1)), 1, (size_t)(1000 * i + 1));
        for (int i = 0; i < 100; i++) free(small[i]);
    }
    return done("malloc_null");
}
