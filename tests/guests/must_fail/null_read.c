//! null_read: reading through a NULL pointer is a segmentation fault at that address.
//! build: static, pie, musl-static
//! exit: 139
//! record: SIGSEGV (address not mapped) reading 0x18 in read_null_field|NULL page|main+
#include <stdio.h>

struct record {
    long fields[4];
};

__attribute__((noinline)) static long read_null_field(volatile struct record *r) { return r->fields[3] + 1; }

int main(void) {
    puts("about to read");
    fflush(stdout);
    return (int)read_null_field(NULL);
}
