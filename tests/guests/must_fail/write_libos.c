//! write_libos: the library OS's code and constants are as read-only as the program's.
//! build: static
//! native: no
//! exit: 139
//! record: SIGSEGV|writing 0x688000000000 in overwrite+|inside the libOS|main+
__attribute__((noinline)) static void overwrite(volatile char *p) { *p = 1; }

int main(void) {
    overwrite((char *)0x688000000000);
    return 0;
}
