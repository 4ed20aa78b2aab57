//! sanitized: a program under AddressSanitizer, whose shadow and heap have fixed addresses
//! and sizes of TiB. Its search for leaks needs ptrace, so it is off.
//! build: pie
//! flags: -fsanitize=address -g -O1
//! env: ASAN_OPTIONS=detect_leaks=0
#include "check.h"
#include <pthread.h>
#include <sanitizer/asan_interface.h>

static void *fill(void *arg) {
    char *p = malloc(1000);
    memset(p, 1, 1000);
    CHECK(!__asan_address_is_poisoned(p + 999) && __asan_address_is_poisoned(p + 1000));
    char *volatile gone = p;
    free(gone);
    CHECK(__asan_address_is_poisoned(gone));
    return arg;
}

int main(void) {
    char *volatile kept = malloc(16);
    char onstack[16];
    CHECK(!__asan_address_is_poisoned(kept + 15) && __asan_address_is_poisoned(kept + 16));
    CHECK(!__asan_address_is_poisoned(onstack));
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) CHECK_EQ(pthread_create(&threads[i], NULL, fill, NULL), 0);
    for (int i = 0; i < 4; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 10000; i++) fill(NULL);
    free(kept);
    return done("sanitized");
}
