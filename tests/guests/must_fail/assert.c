//! assert: a failed assertion says what it was, then aborts.
//! build: static
//! exit: 134
//! record: SIGABRT (raised by the program itself)|main+
//! stderr: Assertion `two == 3' failed
#include <assert.h>

int main(void) {
    volatile int two = 2;
    assert(two == 3);
    return 0;
}
