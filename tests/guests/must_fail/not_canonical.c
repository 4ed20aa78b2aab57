//! not_canonical: an address that no page table can map.
//! build: static
//! exit: 139
//! record: SIGSEGV (general protection|not canonical|read_byte|main+
__attribute__((noinline)) static int read_byte(volatile char *p) { return *p; }

int main(void) { return read_byte((char *)0xdead000000000000); }
