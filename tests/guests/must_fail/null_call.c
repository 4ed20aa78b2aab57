//! null_call: calling a NULL function pointer.
//! build: static
//! exit: 139
//! record: SIGSEGV (address not mapped) executing 0x0|called from call_null+|NULL page|main+
#include <stddef.h>

__attribute__((noinline)) static int call_null(int (*volatile function)(void)) { return function() + 1; }

int main(void) { return call_null(NULL); }
