//! stack_smashed: the C library's stack protector notices an overflow and aborts.
//! build: static
//! flags: -fstack-protector-all
//! exit: 134
//! record: SIGABRT (raised by the program itself)|copy+
//! stderr: stack smashing detected
#include <string.h>

__attribute__((noinline)) static void copy(const char *text, size_t len) {
    char small[8];
    char *volatile to = small;
    memcpy(to, text, len);
    __asm__ volatile("" : : "r"(small) : "memory");
}

int main(void) {
    copy("far more than eight bytes, and so over what the compiler guards", 60);
    return 0;
}
