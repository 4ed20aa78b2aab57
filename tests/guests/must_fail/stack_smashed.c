//! stack_smashed: the C library's stack protector notices an overflow and aborts.
//! build: static
//! flags: -fstack-protector-all
//! exit: 134
//! record: SIGABRT
//! stderr: stack smashing detected
#include <string.h>

__attribute__((noinline)) static void copy(const char *text, size_t len) {
    char small[8];
    char *volatile to = small;
    memcpy(to, text, len);
}

int main(void) {
    copy("far more than eight bytes, but less than the whole stack", 40);
    return 0;
}
